import importlib
value = importlib.import_module(".inner", __package__)
sibling = importlib.import_module("..sibling", __name__)
