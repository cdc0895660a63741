"""The placement as people see it, one format a module."""
