"""Connections to hosts: a few per host, reused, and never more work on one host than it carries."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Final, Literal
from urllib.parse import quote, urlsplit

import libvirt

from infra.kvm.errors import HostError, HostUnreachable, is_connection_lost
from infra.model.work import Work
from infra.ssh import Shared, Shell, ShellError, SshError, root_shell

OPERATIONS_PER_HOST: Final = 8
"""Below sshd's MaxStartups (10) and libvirtd's max_workers (20), so that no host drops a connection."""

Driver = Literal["qemu", "lxc"]

# Errors reach the user through exceptions; libvirt's default handler also prints them to stderr.
libvirt.registerErrorHandler(lambda _context, _error: None, None)


class Hypervisors:
    """The drivers of one host, connected to at their first use. Thread-safe, as libvirt's connections are."""

    def __init__(self, connection: str) -> None:
        """Say where; nothing is connected to yet."""
        self._shared = {name: _shared(libvirt_uri(connection, name)) for name in ("qemu", "lxc")}

    def driver(self, name: Driver) -> libvirt.virConnect:
        """Return the connection to a driver; one that broke is opened again.

        Raises:
            HostUnreachable: libvirt doesn't answer there.
        """
        return self._shared[name].get()

    def forget(self) -> None:
        """Reconnect at the next use."""
        for shared in self._shared.values():
            shared.forget()


class HostSession:
    """One caller's use of a host: its hypervisors and its shell."""

    def __init__(self, connection: str, shell: Shell, starting: threading.Lock, hypervisors: Hypervisors) -> None:
        """Make a session.

        Args:
            starting: held while a container starts; one per host (see `Container.start`).
            hypervisors: what it reaches them by; others may use that at the same time.
        """
        self.connection = connection
        self.shell = shell
        self.starting = starting
        self.hypervisors = hypervisors
        self._used: dict[str, libvirt.virConnect] = {}

    @property
    def qemu(self) -> libvirt.virConnect:
        """Return the connection to QEMU, which also serves networks and storage."""
        return self.hypervisor("qemu")

    @property
    def lxc(self) -> libvirt.virConnect:
        """Return the connection to LXC on the same host."""
        return self.hypervisor("lxc")

    def hypervisor(self, driver: Driver) -> libvirt.virConnect:
        """Return the connection to a driver: the same to the end, even if it breaks.

        Nothing is gone on with on a host that may have restarted.
        """
        if driver not in self._used:
            self._used[driver] = self.hypervisors.driver(driver)
        return self._used[driver]

    def connect_anew(self) -> None:
        """Log in again at the next use, for this caller and all later ones."""
        self.shell.close()
        self._used.clear()
        self.hypervisors.forget()


def _shared(uri: str) -> Shared[libvirt.virConnect]:
    # libvirt itself closes a connection when nobody uses it any more.
    return Shared(lambda: _connected(uri), lambda open: bool(open.isAlive()), lambda _open: None)


def _connected(uri: str) -> libvirt.virConnect:
    try:
        return libvirt.open(noticing_loss(uri))
    except libvirt.libvirtError as error:
        raise HostUnreachable(
            f"{uri}: libvirt doesn't answer: {error}. Is libvirtd running there "
            f"(`systemctl status libvirtd`; on this machine `azlocal hypervisor start`), "
            f"and does `virsh -c {uri} version` work?"
        ) from error


def libvirt_uri(connection: str, driver: str) -> str:
    """Return the URI of another driver on the same host; over SSH it never asks questions."""
    parts = urlsplit(connection)
    transport = parts.scheme.partition("+")[2]
    if parts.scheme == "test":
        return connection
    scheme = f"{driver}+{transport}" if transport else driver
    query = "&".join(filter(None, (parts.query, "no_tty=1" if transport == "ssh" else "")))
    # Not urlunsplit: it drops the empty host of qemu:///system.
    return f"{scheme}://{parts.netloc}/system" + (f"?{query}" if query else "")


def noticing_loss(uri: str) -> str:
    """Return the URI with an ssh that gives up within half a minute when the host falls silent, even in a call.

    libvirt's own keepalive (virConnectSetKeepAlive) begins when the connection is open, and needs an event loop.
    """
    if "+ssh://" not in uri:
        return uri
    command = files("infra.ssh").joinpath("files", "ssh-keepalive")
    return f"{uri}{'&' if '?' in uri else '?'}command={quote(str(command))}"


class Hosts:
    """All hosts this process talks to. Thread-safe."""

    def __init__(self, per_host: int = OPERATIONS_PER_HOST) -> None:
        self._per_host = per_host
        self._lock = threading.Lock()
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._shells: dict[str, Shell] = {}
        self._starting: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._idle: dict[str, list[Hypervisors]] = defaultdict(list)
        self._lost: set[str] = set()

    def give_up(self, connection: str) -> None:
        """Take a host for lost: what is to be removed from it is forgotten, and nothing is asked of it."""
        with self._lock:
            self._lost.add(connection)

    def is_lost(self, connection: str) -> bool:
        """Return whether the host was given up."""
        with self._lock:
            return connection in self._lost

    @contextmanager
    def session(self, connection: str, work: Work) -> Iterator[HostSession]:
        """Lend a session on a host, waiting while the host has its share of work.

        Raises:
            HostUnreachable: the host can't be logged in to, or the connection broke on the way.
            Interrupted: the run was cancelled while waiting.
            DeadlineExceeded: the time for it was over by then.
        """
        with self._slot(connection, work):
            session = self._take(connection)
            try:
                yield session
            except libvirt.libvirtError as error:
                if is_connection_lost(error):
                    raise HostUnreachable(
                        f"{connection}: the connection broke: {error}. Nothing is concluded from that; "
                        "run the same command again once the host answers."
                    ) from error
                raise HostError(f"{connection}: {error}") from error
            except SshError as error:
                raise HostUnreachable(str(error)) from error
            except ShellError as error:
                raise HostError(str(error)) from error
            finally:
                self._give_back(session)

    def shell(self, connection: str) -> Shell:
        """Return a host's shell without waiting for a turn there: for what needs little of it.

        Raises:
            HostUnreachable: libvirt's way to that host carries no commands.
        """
        try:
            with self._lock:
                if connection not in self._shells:
                    self._shells[connection] = root_shell(connection)
                return self._shells[connection]
        except SshError as error:
            raise HostUnreachable(str(error)) from error

    @contextmanager
    def _slot(self, connection: str, work: Work) -> Iterator[None]:
        with self._lock:
            slot = self._slots.setdefault(connection, threading.BoundedSemaphore(self._per_host))
        while not slot.acquire(timeout=0.5):
            text = f"waiting for a turn on {connection} ({self._per_host} operations at once)"
            work.status(text)
            work.check(text)
        try:
            yield
        finally:
            slot.release()

    def _take(self, connection: str) -> HostSession:
        shell = self.shell(connection)
        with self._lock:
            idle = self._idle[connection]
            hypervisors = idle.pop() if idle else Hypervisors(connection)
            if _is_shared(connection):
                idle.append(hypervisors)
            return HostSession(connection, shell, self._starting[connection], hypervisors)

    def _give_back(self, session: HostSession) -> None:
        if not _is_shared(session.connection):
            with self._lock:
                self._idle[session.connection].append(session.hypervisors)


def _is_shared(connection: str) -> bool:
    """Return whether all callers use the same connections to a host: over SSH each would cost a login of its own.

    libvirtd works on five requests of a connection at once (max_client_requests); on this machine, where a
    connection costs nothing, everybody has one.
    """
    return "ssh" in urlsplit(connection).scheme
