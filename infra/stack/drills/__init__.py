"""Breaking a standing instance on purpose, and measuring what clients see until `azlocal up` has healed it."""
