"""Where the Pulumi engine starts the program, for a user of the bare command."""

from infra.program import main, project_directory
from infra.stack.pool_sizes import settings_of_bare_run
from infra.stack.settle import remind

project = project_directory()
remind(project)
main(settings_of_bare_run(project))
