"""The hosts of a run: taken all or none, cleaned where another run left something, held while a command works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from infra.audit.clean import clean_host
from infra.audit.model import Scope
from infra.errors import UserError
from infra.model.local_libvirt import QEMU
from infra.ssh import Shell, ShellError, root_shell
from infra.stack.auditing.cleaning import removable
from infra.stack.auditing.run import look_until_gone
from infra.stack.ci import host_lease
from infra.stack.ci.host_lease import LEASE_FILE, LOCK_FILE, Decide, Seen
from infra.stack.ci.lease import Claimant, Decision, Lease, Remains, acquire, finish_cleaning, reap, release, renew
from infra.stack.messages import say

_BEAT_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = 10.0


@dataclass(frozen=True)
class RunHost:
    """A host that runs may have.

    Attributes:
        name: As the hosts file has it.
        connection: libvirt's URI.
        is_protected: Whether the hosts file has `protected: true`: nothing is cleaned there.
        lease_file: Where its lease is.
        lock_file: What whoever changes the lease locks.
    """

    name: str
    connection: str
    is_protected: bool = False
    lease_file: str = LEASE_FILE
    lock_file: str = LOCK_FILE

    def look(self, shell: Shell) -> Seen:
        """Return its lease as it is now."""
        return host_lease.look(shell, self.lease_file)

    def change(self, shell: Shell, decide: Decide) -> Decision:
        """Do with its lease what is decided."""
        return host_lease.change(shell, decide, self.lease_file, self.lock_file)[0]


Clean = Callable[[RunHost, Remains], bool]
"""Removes from a host what a run left; returns whether nothing is left."""


def clean(host: RunHost, remains: Remains) -> bool:
    """Remove from a host what a run left there, by its marks alone, and look whether that is all."""
    if host.is_protected:
        say(f"{host.name} has `protected: true` in the hosts file: nothing of run {remains.run} is removed there")
        return False
    say(f"{host.name}: removing what run {remains.run} ({remains.instance}) left")
    scope = Scope(
        instance=remains.instance,
        stack=remains.instance,
        host=host.name,
        connection=host.connection,
        directory=remains.directory,
        machine_names=frozenset(remains.machines),
        network_bridges=remains.networks,
    )
    try:
        if host.connection == QEMU:
            _end_emulator(remains.instance)
        (before,) = look_until_gone([scope])
        items = removable(before)
        if items:
            clean_host(scope, items, say)
        (after,) = look_until_gone([scope]) if items else (before,)
    except (UserError, ShellError) as error:
        say(f"{host.name}: {error}")
        return False
    for item in after.of("leftover"):
        say(f"{host.name}: {item} is left")
    for what, why in after.unseen.items():
        say(f"{host.name} couldn't be looked at: {what + ': ' if what else ''}{why}")
    return not after.of("leftover") and not after.unseen


def _end_emulator(instance: str) -> None:
    """End what stood in for Azure for a run whose state is gone; it is always on the machine of `up`."""
    from infra.emulator import daemon

    daemon.remove(daemon.default_folder(instance))


@dataclass
class Holding:
    """Hosts, and the run that has them or wants them.

    Attributes:
        hosts: The hosts.
        claimant: The run.
        clean: How what another run left is removed.
        lost: What the run has lost meanwhile, by the host's name.
    """

    hosts: Sequence[RunHost]
    claimant: Claimant
    clean: Clean = clean
    lost: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._shells = {host.name: root_shell(host.connection) for host in self.hosts}
        self._silent: set[str] = set()

    def look(self, host: RunHost) -> Seen:
        """Return a host's lease as it is now."""
        return host.look(self._shells[host.name])

    def take(self, remains: Mapping[str, Remains], wait: float = 0.0) -> None:
        """Take all hosts for a run, or none; a host that another run left dirty is cleaned first.

        Args:
            remains: What the run is going to make on each.
            wait: For how many seconds others' runs are waited for.

        Raises:
            UserError: Another run has one of them, or one can't be cleaned.
            ShellError: One of them doesn't answer.
        """
        until, last = time.monotonic() + wait, ""
        while True:
            refusal = self._try_all(remains)
            if not refusal:
                return
            left = until - time.monotonic()
            if left <= 0:
                raise UserError(f"{refusal}. Wait for it with --wait 30m, or see `azlocal ci lease`")
            if refusal.partition(";")[0] != last.partition(";")[0]:
                say(f"waiting: {refusal}")
                last = refusal
            time.sleep(min(left, _AGAIN_SECONDS))

    def give_back(self, clean: Collection[str]) -> None:
        """Give all hosts back: those named are free, the others dirty; one that doesn't answer keeps its lease."""
        for host, decision in self._change_each(
            lambda host: partial(self._released, is_clean=host.name in clean), "given back"
        ):
            if decision.verdict == "lost":
                say(f"{host.name} was this run's no more: {decision.why}")
            elif decision.verdict == "dirty":
                say(f"{host.name} is dirty until nothing of the run is left there: `azlocal ci reap` cleans it")

    def reap(self, host: RunHost, older_than: float | None) -> None:
        """Remove what a run has or left on a host, if that is still due; the host is free then, or dirty.

        Args:
            host: The host.
            older_than: See `infra.stack.ci.lease.reap`.

        Raises:
            ShellError: It doesn't answer.
        """
        decision = self._change(host, lambda lease, now: reap(lease, self.claimant, now, older_than))
        if decision.verdict == "clean" and decision.lease is not None:
            self._cleaned(host, decision.lease.remains, None)

    def reclaim(self) -> None:
        """Renew the lease of each host that answers; what was lost is told, and noted."""
        for host, decision in self._change_each(
            lambda _host: lambda lease, now: renew(lease, self.claimant, now), "renewed"
        ):
            if decision.verdict == "lost" and host.name not in self.lost:
                self.lost[host.name] = decision.why
                say(f"the lease of {host.name} is lost: {decision.why}")

    @contextmanager
    def renewed(self, on_loss: Callable[[], None] | None = None) -> Iterator[None]:
        """Renew the leases, now and then, as long as a block runs.

        Args:
            on_loss: Called once when one of them is lost.
        """
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(ended, on_loss), name="leases", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(_BEAT_SECONDS)

    def close(self) -> None:
        """End the connections."""
        for shell in self._shells.values():
            shell.close()

    def _beat(self, ended: threading.Event, on_loss: Callable[[], None] | None) -> None:
        while not ended.wait(min(_BEAT_SECONDS, self.claimant.seconds / 4)):
            self.reclaim()
            if self.lost and on_loss is not None:
                on_loss()
                on_loss = None

    def _change_each(
        self, decide: Callable[[RunHost], Decide], purpose: str
    ) -> Iterator[tuple[RunHost, Decision]]:
        """Change the lease of each host; of one that doesn't answer it is told once."""
        for host in self.hosts:
            try:
                yield host, self._change(host, decide(host))
                self._silent.discard(host.name)
            except (ShellError, UserError) as error:
                if host.name not in self._silent:
                    say(f"the lease of {host.name} isn't {purpose}: {error}")
                self._silent.add(host.name)

    def _try_all(self, remains: Mapping[str, Remains]) -> str:
        """Take all hosts, in an order that is the same for everybody; return why not, and have none then."""
        taken: list[RunHost] = []
        has_all = False
        try:
            for host in sorted(self.hosts, key=lambda host: host.connection):
                refusal, is_new = self._try(host, remains[host.name])
                if refusal:
                    return f"{host.name} is {refusal}"
                if is_new:
                    taken.append(host)
            has_all = True
            return ""
        finally:
            if not has_all:  # nothing was made on those so far
                for host in taken:
                    self._change(host, partial(self._released, is_clean=True))

    def _try(self, host: RunHost, remains: Remains) -> tuple[str, bool]:
        """Take a host; return why not, and whether the run hadn't it before."""
        before: list[Lease | None] = []

        def decide(standing: Lease | None, now: int) -> Decision:
            before[:] = [standing]
            return acquire(standing, self.claimant, remains, now)

        decision = self._change(host, decide)
        is_new = before[0] is None or before[0].remains.holder != self.claimant.holder
        if decision.verdict == "clean" and decision.lease is not None:
            of = decision.lease.remains
            decision = self._cleaned(host, of, remains)
            if decision.verdict == "dirty":
                raise UserError(
                    f"{host.name} can't be had: what run {of.run} ({of.instance}) left there isn't gone, as told "
                    "above. Remove that, then go on"
                )
        return ("" if decision.verdict == "granted" else decision.why), is_new

    def _cleaned(self, host: RunHost, of: Remains, remains: Remains | None) -> Decision:
        """Clean a host that is this run's to clean, and take it, or set it free."""
        is_clean = self.clean(host, of)
        return self._change(
            host, lambda lease, now: finish_cleaning(lease, self.claimant, remains, now, is_clean=is_clean)
        )

    def _released(self, lease: Lease | None, now: int, *, is_clean: bool) -> Decision:
        return release(lease, self.claimant, now, is_clean=is_clean)

    def _change(self, host: RunHost, decide: Decide) -> Decision:
        return host.change(self._shells[host.name], decide)
