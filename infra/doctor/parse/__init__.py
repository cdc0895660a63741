"""From what commands print to facts. Pure; JSON wherever the command has it.

Every function raises ValueError, KeyError or TypeError on text it wasn't made for; the caller turns that into
`Unknown`.
"""
