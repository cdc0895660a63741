"""Puts a stack in order after a run that was killed: `settle.py STACK [--before-destroy]`. Mostly silent.

A killed engine leaves two things behind. A file backend keeps its lock: it is dropped when the
process that took it is gone. And the state lists creates that nobody saw the end of: their ids
follow from their inputs, so the engine can be told to look whether the objects stand. Where only the
plugin was killed the engine forgets the create altogether: the next `up` adopts what stands, and before a
destroy each host that state doesn't know is imported, so that removing it sweeps what carries our mark.

After a run that failed, hosts, machines and clusters are looked at before the next `up`, which then repairs what
was stopped or removed meanwhile. What is inside a cluster isn't asked for: its API server may be what failed. Nor
is a host that is lost (`lost: true` in its file): the next `up` forgets what it had.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from infra.provider.kinds import all_kinds  # noqa: F401 - every kind registers its contract
from infra.resources import host
from infra.resources.contract import Contract
from infra.spec import SpecError, load_instance

OURS = "**azlocal:index:**"
"""Matches the URN of every resource of our own kinds."""


def main(stack: str, before_destroy: bool) -> None:
    """Drop dead locks, settle pending creates, and before a destroy recover hosts that state has lost."""
    if any(is_dead(lock) for lock in locks(os.environ.get("PULUMI_BACKEND_URL", ""), stack)):
        say("the run that locked this stack is gone (killed?); dropping its lock")
        pulumi("cancel", stack, "--yes")
    export = json.loads(pulumi("stack", "export", "--stack", stack))
    lost = lost_hosts(stack)
    found = [(urn, id) for urn, id in pending_creates(export) if not is_on(lost, id)]
    if found:
        names = ", ".join(urn.rsplit("::", 1)[-1] for urn, _ in found)
        say(f"a killed run was making {names}; looking whether they stand")
        pairs = [
            word for urn, id in found for word in ("--import-pending-creates", urn, "--import-pending-creates", id)
        ]
        refresh(stack, targets(export, lost), pairs)
    if before_destroy:
        recover_hosts(stack, json.loads(pulumi("stack", "export", "--stack", stack)))
    elif not found and any(is_ours(one) for one in resources_of(export)) and last_run_failed(stack):
        say("the last run failed; looking what stands")
        refresh(stack, targets(export, lost))


def refresh(stack: str, targets: Sequence[str], options: Sequence[str] = ()) -> None:
    """Bring state to what hosts and machines say; without a target everybody would be asked."""
    if targets:
        pulumi("refresh", "--stack", stack, "--yes", "--skip-preview", *targets, *options)


def targets(export: dict[str, Any], lost: frozenset[str]) -> list[str]:
    """Return the options by which only our own resources are asked for, and none of a lost host."""
    if not lost:
        return ["--target", OURS]
    ours = [one["urn"] for one in resources_of(export) if is_ours(one) and not is_on(lost, one.get("id", ""))]
    return [word for urn in ours for word in ("--target", urn)]


def lost_hosts(stack: str) -> frozenset[str]:
    """Return the connections of hosts that the site's file says are lost."""
    try:
        return frozenset(one.connection for one in load_instance(stack, Path.cwd()).hosts.hosts if one.lost)
    except SpecError:
        return frozenset()  # `up` says what is wrong with the files


def is_on(hosts: frozenset[str], id: str) -> bool:
    """Return whether an id is that of something on one of the hosts."""
    return id.rpartition("#")[0] in hosts


def last_run_failed(stack: str) -> bool:
    """Return whether the newest change of the stack ended in an error."""
    history = json.loads(pulumi("stack", "history", "--json", "--page-size", "1", "--stack", stack))
    return bool(history) and history[0].get("result") != "succeeded"


def recover_hosts(stack: str, export: dict[str, Any]) -> None:
    """Import each host of the files that state doesn't have and that still carries the instance's mark."""
    known = {one.get("id") for one in resources_of(export) if one["type"] == host.HOST.token}
    try:
        hosts = load_instance(stack, Path.cwd()).hosts.hosts
    except SpecError:
        return  # files that can't be read now don't stop a destroy of what state knows
    for one in hosts:
        id = host.HOST.id_of({"connection": one.connection, "instance": stack})
        if id not in known and not one.lost:
            command = ["pulumi", "import", host.HOST.token, one.name, id, "--stack", stack, "--yes"]
            options = ["--protect=false", "--generate-code=false", "--non-interactive"]
            done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                say(f"{one.name} holds what a killed run left; it goes with the rest")


def locks(backend: str, stack: str) -> Iterator[dict[str, Any]]:
    """Return the locks of a stack in a file backend."""
    parts = urlsplit(backend)
    if parts.scheme == "file":
        for path in Path(unquote(parts.path)).glob(f".pulumi/locks/*/*/{stack}/*.json"):
            yield json.loads(path.read_text())


def is_dead(lock: dict[str, Any]) -> bool:
    """Return whether the lock's process ran on this machine and is no more; another machine's can't be judged."""
    if lock.get("hostname") != socket.gethostname():
        return False
    try:
        os.kill(int(lock["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def resources_of(export: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a stack's state lists."""
    found: list[dict[str, Any]] = (export.get("deployment") or {}).get("resources") or []
    return found


def is_ours(resource: dict[str, Any]) -> bool:
    """Return whether a resource is of one of our own kinds."""
    return resource["type"] in Contract.registry


def pending_creates(export: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return URN and id of each of our resources whose create was never answered."""
    for operation in (export.get("deployment") or {}).get("pending_operations") or []:
        resource = operation["resource"]
        contract = Contract.registry.get(resource["type"])
        if operation["type"] == "creating" and contract:
            yield resource["urn"], contract.id_of(resource["inputs"])


def pulumi(*arguments: str) -> str:
    """Run the engine's CLI; what it prints goes to the user only when it fails."""
    done = subprocess.run(["pulumi", *arguments, "--non-interactive"], capture_output=True, text=True, check=False)
    if done.returncode:
        say(f"`pulumi {' '.join(arguments[:2])}` failed:\n{done.stdout}{done.stderr}")
        sys.exit(done.returncode)
    return done.stdout


def say(text: str) -> None:
    """Tell the user what is done and why."""
    print(f"azlocal: {text}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], before_destroy="--before-destroy" in sys.argv[2:])
