"""What a scanner in Python does at least: parse every file with `ast` and look at every decorated definition."""

import ast
import os
import sys

found = 0
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                tree = ast.parse(file.read())
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    found += len(node.decorator_list)
print(found)
