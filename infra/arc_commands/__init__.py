"""A stack's Azure Arc without the engine: the prechecks before `up`, and the commands of `azlocal arc`."""
