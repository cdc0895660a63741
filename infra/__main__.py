"""Where the Pulumi engine starts the program."""

from infra.program import main

main()
