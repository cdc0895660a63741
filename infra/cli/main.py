"""`azlocal`: every command by its name, and the module that has it, which is imported when it is called."""

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from infra.cli.errors import EXIT_CODES, errors
from infra.errors import UserError

# Commands and groups, by name: the module that has its `app`, and what the help says.
_GROUPS = {
    "plan": ("infra.cli.plan", "Plan every address of a stack and every machine's host, and check the plan."),
    "release": (
        "infra.cli.plan",
        "Free what the lock file holds for an instance that is gone, or for parts of one.",
    ),
    "rules": ("infra.cli.plan", "List the rules that a plan is checked against, each with its source."),
    "schema": ("infra.cli.plan", "Write the JSON schemas of the input files."),
    "export": ("infra.cli.export", "Carry a plan over to Azure Local: Bicep, Terraform, az, ARM, ODIN."),
    "import": (
        "infra.cli.azure_import",
        "Take over what stands in Azure Local: networks, clusters, the instance.",
    ),
    "up": ("infra.cli.stack", "Make the instance: from the YAML files to running clusters."),
    "preview": ("infra.cli.stack", "Show what `up` would change, without touching a host."),
    "refresh": ("infra.cli.stack", "Look at the real machines: what was changed by hand."),
    "down": ("infra.cli.stack", "Take everything of the instance away again."),
    "show": ("infra.cli.stack", "Show the machines, clusters and connections that stand."),
    "status": ("infra.cli.status", "Show how an instance is: what stands, what doesn't and why, what helps."),
    "outputs": ("infra.cli.stack", "Print the stack's outputs."),
    "ssh": ("infra.cli.stack", "Log in to a machine."),
    "autoscale": ("infra.cli.stack", "Add nodes where pods find none, and remove those that no pod needs."),
    "adopt": ("infra.cli.stack", "Go on with what stands, where its Pulumi state was lost."),
    "backup": ("infra.cli.backup", "Take a snapshot of each cluster's etcd, list those kept, bring one here."),
    "restore": ("infra.cli.backup", "Restore a cluster's etcd from a snapshot, as after lost quorum."),
    "rotate-keys": ("infra.cli.rotation", "Give clusters another key for their Secrets in etcd."),
    "settle": ("infra.cli.stack", "Put a stack in order after a run that was killed."),
    "drill": ("infra.cli.drill", "Break an instance on purpose, and measure how `azlocal up` heals it."),
    "env": ("infra.cli.stack", "Print the settings for using the bare `pulumi`."),
    "arc": ("infra.cli.arc", "See what Azure Arc needs, and how a cluster's connection is."),
    "ci": ("infra.cli.ci", "Make an instance for one run of a pipeline; lease its hosts, and clean them."),
    "audit": ("infra.cli.audit", "Look at every host and at Azure: what is left, missing, in the way."),
    "doctor": ("infra.cli.doctor", "Look at every host of a stack: what is wrong, what to do."),
    "image": ("infra.cli.image", "Build and inspect the image that machines boot."),
    "emulator": ("infra.cli.emulator", "See and handle what stands in for Azure on this machine."),
    "hypervisor": ("infra.cli.hypervisor", "See what a host can run, and what of ours is there."),
    "kubeconfig": ("infra.cli.kubeconfig", "Print a cluster's kubeconfig, or put it into your own."),
}

_HELP = """Plan and run an Azure Local instance and its AKS clusters on plain KVM machines.

The project's folder has Pulumi.STACK.yaml (an instance), hosts/SITE.yaml and netplans/SITE.yaml.

\b
Examples:
    azlocal up local                       the stack `local`: this machine becomes an instance
    azlocal plan local                     every address of it
    azlocal plan lab --format json         the same for scripts
    azlocal -C ../site plan lab --frozen   for CI: the lock file must not change
"""


class _Groups(TyperGroup):
    """All commands and groups; each is imported when it is called, not when it is listed."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is called; what a user can remedy ends any of them the same way."""
        with errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return every command's name."""
        return sorted(_GROUPS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command that only knows its help."""
        return _placeholder(_GROUPS[cmd_name][1]) if cmd_name in _GROUPS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called, with its module imported."""
        if args and args[0] in _GROUPS:
            return args[0], _group(args[0]), args[1:]
        return super().resolve_command(ctx, args)


def _group(name: str) -> Any:
    module, help_text = _GROUPS[name]
    try:
        command: Any = typer.main.get_command(importlib.import_module(module).app)
    except ImportError as error:
        raise UserError(f"`azlocal {name}` can't be loaded: {error}; run `make setup`") from None
    command = getattr(command, "commands", {}).get(name, command)  # one of a module's several, or all of them
    command.name, command.help = name, command.help or help_text
    return command


def _placeholder(help_text: str) -> Any:
    stub = typer.Typer(help=help_text)
    stub.callback()(lambda: None)
    return typer.main.get_command(stub)


class _App(typer.Typer):
    """Ends at once after a run of the engine, whose gRPC threads take half a second, and where somebody hangs."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Run the command."""
        try:
            return super().__call__(*arguments, **options)
        except SystemExit as end:
            late = "infra.in_time" in sys.modules and sys.modules["infra.in_time"].is_late()
            if not ("grpc" in sys.modules or late) or not isinstance(end.code, int):
                raise
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code)


app = _App(
    cls=_Groups,
    help=_HELP,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _project(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Option("-C", metavar="DIR", help="The project's folder; the current one when absent.")
    ] = Path(),
) -> None:
    context.obj = directory
