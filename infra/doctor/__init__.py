"""`azlocal doctor`: what every host of an instance is, and whether the instance can stand on it.

Three parts that meet in two kinds of plain data: `gather` learns facts of a host (effects), `checks` judge facts
against what the instance wants (pure), `report` shows the results.
"""
