"""`azlocal ci`: an instance for one run of a pipeline, on hosts that no other run has meanwhile."""
