"""An audit of a stack: which hosts there are, what is to stand on them, and what there is beside hosts."""
