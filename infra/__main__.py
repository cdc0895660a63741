"""Where the Pulumi engine starts the program, for a user of the bare command."""

from infra.program import main, project_directory
from infra.stack.settle import remind

remind(project_directory())
main()
