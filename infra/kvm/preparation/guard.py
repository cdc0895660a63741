"""A change of a host's network that takes itself back: `netplan try` without a terminal.

The host arms a timer first. Then the change is applied on trial, in a unit of its own, so that a connection that
breaks stops nothing. We reach the host by a new connection, look whether it is as designed and has kept its
addresses and default routes, and confirm. If we don't, because the host doesn't answer or because nobody is there
any more to do it, the timer brings the old network back (files/guard.sh).
"""

from __future__ import annotations

import contextlib
import difflib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Final

from infra.errors import Interrupted
from infra.hosts.facts.network import Link, Route
from infra.kvm.errors import HostError
from infra.kvm.preparation.facts import PreparationFacts, read_links, read_routes
from infra.kvm.preparation.netplan import Design
from infra.kvm.preparation.wanted import Wanted
from infra.model.work import Work
from infra.ssh import Shell, ShellError, read_if_there

TRIAL_SECONDS: Final = 90.0
"""How long the host waits for our word. A switch port with spanning tree takes up to 50 s to forward again."""

_ROLLBACK_SECONDS: Final = 60.0
_PAUSE: Final = 0.5
_ARM_SECONDS: Final = 20.0
_CONFIRM_SECONDS: Final = 60.0
_DECIDED: Final = 3
"""The exit code of guard.sh where the other of confirm and rollback was faster."""

_TOLD: Final = 1000
"""So many characters of what the host says, the last, are told."""

Reach = Callable[[], Shell]
"""Opens a connection of its own to the host, as root; whoever calls it closes the shell."""


class NetworkRolledBack(HostError):
    """The change of the host's network was taken back; the host is as before."""


@dataclass(frozen=True)
class Trial:
    """A change under guard.

    Attributes:
        facts: The host before.
        wanted: Whose files they are.
        design: The network as it is to be.
        seconds: How long the host waits for our word.
    """

    facts: PreparationFacts
    wanted: Wanted
    design: Design
    seconds: float = TRIAL_SECONDS

    @property
    def folder(self) -> str:
        """Return where the trial's files lie on the host; a boot empties it."""
        return f"/run/azlocal/network-{self.wanted.instance}"

    @property
    def timer(self) -> str:
        """Return the name of the unit that takes the change back."""
        return f"azlocal-network-{self.wanted.instance}"


def change_network(reach: Reach, trial: Trial, work: Work) -> None:
    """Change a host's network, and keep the change only where the host is reached by it.

    Raises:
        NetworkRolledBack: it was taken back; the message has the reason and the difference.
        Interrupted: it was taken back, since the run was stopped.
        HostError: the host doesn't answer even after the time of its rollback.
        ShellError: the change couldn't be started.
    """
    first = reach()
    try:
        _end_older(first, trial)
        _lay_out(first, trial)
        started = time.monotonic()
        _arm(first, trial)
        _try(first, trial)
    finally:
        first.close()
    work.status(f"trying the new network; the host takes it back in {trial.seconds:.0f} s unless it answers")
    reason = _wait_for_success(reach, trial, replace(work, deadline=started + trial.seconds))
    if reason is None:
        work.status("the host answers by its new network, which stays")
        return
    work.status(f"{reason}; waiting for the host to take the change back")
    try:
        _wait_for_rollback(reach, trial, reason)
    except NetworkRolledBack as error:
        if work.cancelled.is_set():
            raise Interrupted(
                f"{trial.facts.host}: stopped on request; the host has its old network again"
            ) from error
        raise


def difference(facts: PreparationFacts, wanted: Wanted, design: Design) -> str:
    """Return how our files would change, as a unified diff."""
    pairs = (
        (wanted.netplan_path, facts.own_netplan, design.netplan),
        (wanted.port_path, facts.own_port, design.port),
    )
    lines: list[str] = []
    for path, old, new in pairs:
        old_lines, new_lines = (old or "").splitlines(), (new or "").splitlines()
        lines += difflib.unified_diff(old_lines, new_lines, path, path, lineterm="")
    return "\n".join(lines)


def shortcomings(trial: Trial, links: Mapping[str, Link], routes: Iterable[Route]) -> list[str]:
    """Return what isn't as designed, or was lost: addresses and default routes that the host had before."""
    deviations = [
        f"{name} isn't there"
        for name in dict.fromkeys((*trial.design.ports, *trial.design.new))
        if name not in links
    ]
    deviations += [f"{name} is still there" for name in trial.design.stale if name in links]
    for bridge, port in trial.design.ports.items():
        if port in links and bridge in links:
            if links[port].master != bridge:
                deviations.append(f"{port} is no port of {bridge}")
            deviations += [f"{name} is down" for name in (bridge, port) if not links[name].is_up]
    addresses = {address.text for link in links.values() for address in link.global_addresses}
    for link in trial.facts.links.values():
        deviations += [
            f"{address.text} of {link.name} is gone"
            for address in link.global_addresses
            if (address.is_lasting or address.is_ipv4) and address.text not in addresses
        ]
    gateways = _default_gateways(routes)
    deviations += [
        f"the default route by {gateway} is gone"
        for gateway in sorted(_default_gateways(trial.facts.routes) - gateways)
    ]
    return deviations


def _default_gateways(routes: Iterable[Route]) -> set[str]:
    return {str(route.gateway) for route in routes if route.is_default and route.gateway}


def _end_older(shell: Shell, trial: Trial) -> None:
    """Take back what an interrupted run left on trial, so that two never run at once."""
    if shell.exists(f"{trial.folder}/guard.sh"):
        shell.run(["sh", f"{trial.folder}/guard.sh", "rollback"], timeout=_ROLLBACK_SECONDS)
    for unit in (f"{trial.timer}.timer", f"{trial.timer}.service", f"{trial.timer}-try.service"):
        shell.run(["systemctl", "stop", unit], check=False)
        shell.run(["systemctl", "reset-failed", unit], check=False)
    shell.remove_tree(trial.folder)


def _lay_out(shell: Shell, trial: Trial) -> None:
    design, folder = trial.design, trial.folder
    moving = trial.wanted.uplink if design.port or trial.facts.own_port else ""
    names = (trial.wanted.netplan_name, trial.wanted.port_name, moving or "", trial.timer)
    shell.make_directory(folder, mode=0o700)
    shell.make_directory(f"{folder}/new", mode=0o700)
    texts = {
        "guard.sh": (files(__package__) / "files" / "guard.sh").read_text(encoding="ascii"),
        "names": "".join(f"{name}\n" for name in names),
        "new-links": "".join(f"{name}\n" for name in design.new),
        "stale-links": "".join(f"{name}\n" for name in design.stale),
        "new/netplan.yaml": design.netplan,
        "new/port.network": design.port,
    }
    for name, text in texts.items():
        if text is not None:
            shell.write_file(f"{folder}/{name}", text.encode(), mode=0o600)


def _arm(shell: Shell, trial: Trial) -> None:
    """Start the timer; nothing has changed before it runs."""
    after = f"--on-active={trial.seconds:.0f}s"
    unit = ["systemd-run", "--quiet", f"--unit={trial.timer}", after, "--timer-property=AccuracySec=1s"]
    shell.run([*unit, "sh", f"{trial.folder}/guard.sh", "rollback"], timeout=_ARM_SECONDS)


def _try(shell: Shell, trial: Trial) -> None:
    unit = ["systemd-run", "--quiet", "--no-block", "--collect", f"--unit={trial.timer}-try"]
    shell.run([*unit, "sh", f"{trial.folder}/guard.sh", "try"], timeout=_ARM_SECONDS)


def _wait_for_success(reach: Reach, trial: Trial, work: Work) -> str | None:
    """Return None once the change is confirmed, else why it isn't."""
    reason = f"{trial.facts.host} hasn't answered since"
    while work.remaining and not work.cancelled.wait(_PAUSE):
        try:
            shell = reach()
            try:
                status = _status(shell, trial)
                if status in ("refused", "rolled-back"):
                    return reason if status == "rolled-back" else f"netplan refuses it: {_log(shell, trial)}"
                if status == "confirmed":  # by us, though the answer was lost
                    return None
                if status is None:
                    return "the host booted meanwhile"
                if status != "applied":
                    continue
                if lacking := shortcomings(trial, read_links(shell), read_routes(shell)):
                    reason = f"it isn't as designed: {', '.join(lacking)}"
                elif failed := _confirm(shell, trial):
                    reason = failed
                else:
                    return None
            finally:
                shell.close()
        except ShellError as error:
            reason = f"the host can't be reached by it: {error}"
    return reason


def _confirm(shell: Shell, trial: Trial) -> str | None:
    """Keep the change; return None once the host has, else why it doesn't."""
    done = shell.run(["sh", f"{trial.folder}/guard.sh", "confirm"], timeout=_CONFIRM_SECONDS, check=False)
    if done.exit_code == _DECIDED:
        return "the host had begun to take it back by itself"
    if done.exit_code != 0:
        return f"the host can't keep it: {done.stderr.strip()[-_TOLD:] or f'exit code {done.exit_code}'}"
    with contextlib.suppress(ShellError):  # it is confirmed all the same; the next trial clears it away
        shell.remove_tree(trial.folder)
    return None


def _wait_for_rollback(reach: Reach, trial: Trial, reason: str) -> None:
    """Wait until the host has its old network, and say so; return only where the change was confirmed after all.

    Raises:
        NetworkRolledBack: it has.
        HostError: nobody knows.
    """
    changed = difference(trial.facts, trial.wanted, trial.design)
    deadline = time.monotonic() + trial.seconds + _ROLLBACK_SECONDS
    last: Exception | None = None
    while time.monotonic() < deadline:
        try:
            shell = reach()
            try:
                status = _status(shell, trial)
                if status == "confirmed":
                    return
                if status == "applied":  # the host answers: no need to wait for its timer
                    shell.run(["systemctl", "start", "--no-block", f"{trial.timer}.service"], check=False)
                if status in ("rolled-back", "refused", None):
                    raise NetworkRolledBack(
                        f"{trial.facts.host}: the change of its network was taken back, and it is as before: "
                        f"{reason}. What was tried:\n{changed}"
                    )
            finally:
                shell.close()
        except ShellError as error:
            last = error
        time.sleep(_PAUSE)
    raise HostError(
        f"{trial.facts.host} doesn't answer after a change of its network ({reason}), though it should have taken "
        f"it back by itself by now: {last or 'its rollback has not ended'}. Nothing of the change outlives a "
        f"reboot of the host. What was tried:\n{changed}"
    ) from last


def _status(shell: Shell, trial: Trial) -> str | None:
    """Return how the trial stands; None when its folder is gone, as after a reboot."""
    content = read_if_there(shell, f"{trial.folder}/status")
    if content is not None:
        return content.decode().strip()
    return "started" if shell.exists(f"{trial.folder}/guard.sh") else None


def _log(shell: Shell, trial: Trial) -> str:
    content = read_if_there(shell, f"{trial.folder}/log")
    return "it says nothing" if content is None else content.decode(errors="replace").strip()[-_TOLD:]
