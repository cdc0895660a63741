"""The life of a cluster: what is wanted and what is seen in, the next steps out. Pure."""
