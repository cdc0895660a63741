"""The plan of an instance: what is decided before any host is touched."""
