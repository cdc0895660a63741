"""`python -m infra.stack VERB STACK [ARGUMENT …]`: what `make up` and its like do once the environment is chosen.

    up, preview, refresh, down    the engine's run with what goes before and after it; ARGUMENTs go to the engine
    adopt                         a new state for what stands, where the old one is lost; --yes: doesn't ask
    show, ssh                     what was made, and a way in: MACHINE [COMMAND …]
    settle                        order after a killed run; --before-destroy

Imports inside the functions are deliberate: what is true already costs no import, and the program's come while the
engine starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.errors import UserError
from infra.stack.messages import say
from infra.stack.state import EngineFailed, Stack

if TYPE_CHECKING:
    from infra.provider.standing import Standing
    from infra.stack.engine import Program


def up(stack: Stack, *options: str) -> int:
    """Make the instance."""
    build_image(stack)
    start_hypervisor()
    stack.select()
    settle(stack)
    return _made(stack, *options)


def adopt(stack: Stack, *options: str) -> int:
    """Write a new state from what stands, as an `up` that makes nothing anew."""
    from infra.stack import adoption

    start_hypervisor()
    found = adoption.find(stack)
    adoption.confirm(stack, found, yes="--yes" in options)
    build_image(stack)
    adoption.take(stack, found)
    stack.select()
    settle(stack)
    return _made(stack, *(one for one in options if one != "--yes"), standing=found.standing)


def _made(stack: Stack, *options: str, standing: Standing | None = None) -> int:
    code = engine(stack, "up", "--yes", "--skip-preview", "--suppress-outputs", *options, standing=standing)
    if code:
        return code
    from infra.stack import contexts

    contexts.update(stack)
    return show(stack)


def down(stack: Stack, *options: str) -> int:
    """Take everything of the instance away again."""
    if not stack.exists():
        say(f"there is no stack '{stack.name}', so there is nothing to take down")
        return 0
    from infra.stack import contexts

    standing = contexts.contexts_of(stack)
    start_hypervisor()
    settle(stack, "--before-destroy")
    # A host that doesn't answer keeps only what stands on itself.
    flags = ("--yes", "--skip-preview", "--suppress-outputs", "--continue-on-error")
    code = engine(stack, "destroy", *flags, *options)
    if code == 0:
        from infra.kvm import daemon

        contexts.remove(standing)
        daemon.stop(say)
    return code


def preview(stack: Stack, *options: str) -> int:
    """Show what `up` would change."""
    build_image(stack)  # the plan of the machines names the image they boot by its content
    stack.select()
    return engine(stack, "preview", "--diff", *options)


def refresh(stack: Stack, *options: str) -> int:
    """Look at the real machines."""
    start_hypervisor()
    return engine(stack, "refresh", "--yes", "--skip-preview", "--diff", *options)


def show(stack: Stack) -> int:
    """Say what was made."""
    from infra.stack.machines import show_stack

    show_stack(stack.outputs())
    return 0


def ssh(stack: Stack, *arguments: str) -> int:
    """Log in to a machine."""
    from infra.stack.machines import log_in

    return log_in(stack.outputs(), list(arguments))


def settle(stack: Stack, *options: str) -> int:
    """Put the stack in order after a killed run."""
    from infra.stack.settle import settle

    settle(stack, before_destroy="--before-destroy" in options)
    return 0


def engine(stack: Stack, verb: str, *options: str, standing: Standing | None = None) -> int:
    """Run the engine, with the program where it runs one; `standing` is what stands of an adopted instance."""
    from infra.stack.engine import run

    return run(stack.name, verb, *options, load=load_program, standing=standing)


def build_image(stack: Stack) -> None:
    """Have the image that the stack's machines boot; building one is another command's."""
    from infra.image.needs import needs_of
    from infra.spec import SpecError

    try:
        image = needs_of(stack.name, stack.directory).find()
    except SpecError:
        image = None  # the command says what is wrong with the files
    if image is None:
        code = subprocess.call(["azlocal", "image", "build", stack.name])
        if code:
            raise EngineFailed("", code)
        return
    print(f"{image.name} is in {image.container.path.parent}")  # noqa: T201
    if image.bundle:
        print(f"{image.bundle.name} is in {image.bundle.folder}")  # noqa: T201


def start_hypervisor() -> None:
    """Make libvirt answer; silent where it does already."""
    from infra.kvm import daemon

    daemon.start(say)


def main(verb: str, stack: Stack, arguments: list[str]) -> int:
    """Do what a verb says; an error that a user can remedy is said, and nothing more."""
    try:
        return VERBS[verb](stack, *arguments)
    except EngineFailed as error:
        if str(error):
            say(str(error))
        return error.code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1


def load_program() -> Program:
    """Return what declares an instance; a second of imports."""
    from infra.program import main

    return main


VERBS: dict[str, Callable[..., int]] = {
    verb.__name__: verb for verb in (up, adopt, down, preview, refresh, show, ssh, settle)
}

if __name__ == "__main__":
    code = main(sys.argv[1], Stack.here(sys.argv[2]), sys.argv[3:])
    sys.stdout.flush()
    sys.stderr.flush()
    # gRPC's threads take half a second to end in order, and there is nothing left to say.
    os._exit(code)
