"""Golden outputs: all that azlocal decides of many instances, as text by which two commits are compared."""
