@decorated
def also_broken(:
