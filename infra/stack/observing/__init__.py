"""Looking at everything of a stack at the same time, in bounded time, for `azlocal status`. Changes nothing."""
