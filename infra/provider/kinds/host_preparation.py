"""The Host kind's part that makes a host ready, shows in preview what that will be, and tells drift."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from infra.kvm.connection import HostSession
from infra.kvm.errors import NotOurs
from infra.kvm.ownership import Mark
from infra.kvm.preparation import (
    Plan,
    Wanted,
    difference,
    plan,
    prepare,
    read_facts,
    withdraw,
)
from infra.model.machine_traits import may_run_containers, may_run_vms
from infra.plugin.operation import Operation
from infra.provider.kinds.host_owner import check_owner
from infra.resources.host import HostInputs
from infra.ssh import RootShell, Shell, ShellError, root_shell

PREVIEW_SECONDS: Final = 8.0
"""How long a preview waits for a host: it may be off, and a preview is to be quick."""


def make_ready(op: Operation, session: HostSession, inputs: HostInputs, mark: Mark) -> None:
    """Make what the host lacks, and see that it is there; where that isn't wanted, only say it.

    Raises:
        PreparationError: a step can't be done.
        NetworkRolledBack: the host wouldn't have been reached by its new network.
    """
    wanted = _wanted(inputs, mark)
    if not inputs.prepare:
        _report(op, session.shell, inputs, wanted)
        return
    op.status("looking what the host lacks")
    done = prepare(
        session.shell,
        lambda: root_shell(inputs.connection),
        wanted,
        op.work(),
        _login(session.shell),
    )
    for text in (*(f"prepared: {step.why}" for step in done.steps), *done.notes):
        op.info(text)
    if done.steps:
        session.connect_anew()  # a login has its groups, and a connection its addresses, from its beginning


def withdraw_from(op: Operation, session: HostSession, inputs: HostInputs, mark: Mark) -> None:
    """Take our part of the host's network away; packages and libvirtd stay."""
    reach = lambda: root_shell(inputs.connection)  # noqa: E731
    if withdraw(session.shell, reach, _wanted(inputs, mark), op.work()):
        session.shell.close()


def is_prepared(session: HostSession, inputs: HostInputs, mark: Mark) -> bool:
    """Return whether nothing is missing; a host that isn't prepared by us lacks nothing of ours."""
    if not inputs.prepare:
        return True
    missing = _look(session.shell, _wanted(inputs, mark))
    return not missing.steps and not missing.faults


def foresee(op: Operation, inputs: HostInputs, mark: Mark) -> None:
    """Say in a preview what will be done on the host; nothing is changed there.

    Raises:
        NotOurs: another state has the instance there, and nobody said that it may go.
    """
    wanted, shell = _wanted(inputs, mark), root_shell(inputs.connection)
    sentences: list[str] = []
    problem: list[str] = []
    refusal: list[NotOurs] = []

    def look() -> None:
        try:
            check_owner(shell, inputs)
            sentences.extend(_sentences(inputs, wanted, shell))
        except NotOurs as error:
            refusal.append(error)
        except ShellError as error:
            problem.append(str(error))
        finally:
            shell.close()

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(PREVIEW_SECONDS)
    if looking.is_alive():
        problem.append(f"it doesn't answer within {PREVIEW_SECONDS:.0f} s")
    if refusal:
        raise refusal[0]
    if problem:
        op.info(f"what {inputs.name} lacks is unknown: {problem[0]}")
    for text in () if problem else sentences:
        (op.info if inputs.prepare else op.warning)(text)


def _report(op: Operation, shell: Shell, inputs: HostInputs, wanted: Wanted) -> None:
    try:
        for text in _sentences(inputs, wanted, shell):
            op.warning(text)
    except ShellError as error:
        op.info(f"what {inputs.name} lacks is unknown: {error}")


def _sentences(inputs: HostInputs, wanted: Wanted, shell: Shell) -> Iterator[str]:
    facts = read_facts(shell, wanted, _login(shell))
    missing = plan(facts, wanted)
    if not inputs.prepare and not facts.distribution.is_supported and not wanted.bridges:
        return  # nobody asked for it, and nothing is known about its packages
    will = "will be prepared" if inputs.prepare else "isn't prepared by azlocal, and lacks something"
    if missing.steps:
        lines = (f"  {step.id}: {step.why}; at a destroy {step.undo}" for step in missing.steps)
        yield "\n".join((f"{inputs.name} {will}:", *lines))
    for step in missing.steps if inputs.prepare else ():
        if step.network:
            changed = difference(facts, wanted, step.network)
            yield f"{inputs.name}'s network will change, on trial first:\n{changed}"
    for text in (*missing.faults, *missing.notes):
        yield f"{inputs.name}: {text}"


def _look(shell: Shell, wanted: Wanted) -> Plan:
    return plan(read_facts(shell, wanted, _login(shell)), wanted)


def _login(shell: Shell) -> str | None:
    return shell.login() if isinstance(shell, RootShell) else None


def _wanted(inputs: HostInputs, mark: Mark) -> Wanted:
    return Wanted(
        instance=inputs.instance,
        mark=mark,
        uplink=inputs.uplink,
        bridges=tuple(inputs.bridges),
        runs_containers=may_run_containers(inputs.requested_machine_type),
        runs_vms=may_run_vms(inputs.requested_machine_type),
    )
