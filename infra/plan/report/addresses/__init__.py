"""The plan as people see it, one format a module."""
