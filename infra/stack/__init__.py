"""Running the engine on a stack: what has to be there before, order after a killed run, a way to what was made."""
