"""Make libvirt answer on this machine, and end what was started for that.

With systemd, libvirtd is systemd's. Without it (a container, a CI machine whose PID 1 is no init) virtlogd and
libvirtd are started here, each with a PID file of ours on its command line: that is how `stop` knows them again,
whatever was killed in between. Three things that an init does on other machines are done before, and stay:
`/` is made a shared mount (libvirtd and containers then see, and let go of, what is mounted later), /dev/kvm gets
udev's permissions (libvirt otherwise probes QEMU again, for 4 s, at each start of a VM), and where cgroup v1 has
v2's `unified` beside it, libvirtd doesn't see that (libvirt_lxc fails on it).
"""

from __future__ import annotations

import grp
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import libvirt

from infra.files import locked
from infra.kvm.errors import HostError
from infra.kvm.mounts import Mount, parse_mounts

QEMU: Final = "qemu:///system"
LXC: Final = "lxc:///system"

_OWN_FOLDER: Final = Path("/run/azlocal")
_SYSTEMD: Final = Path("/run/systemd/system")
_LOG_SOCKET: Final = Path("/run/libvirt/virtlogd-sock")
_UNIFIED: Final = "/sys/fs/cgroup/unified"
_KVM: Final = Path("/dev/kvm")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_READY_SECONDS: Final = 30.0
_END_SECONDS: Final = 20.0
_LOG_TAIL: Final = 1500
_LOG_BYTES: Final = 4 << 20
"""A daemon's log that has grown beyond this is begun anew, the old one's end beside it: /run is memory."""
_WITHOUT_UNIFIED: Final = ("sh", "-ec", 'umount "$0"; exec "$@"', _UNIFIED)
_MODULAR: Final = ("virtqemud", "virtlxcd", "virtnetworkd", "virtstoraged", "virtlogd")

Say = Callable[[str], None]


class DaemonError(HostError):
    """libvirt doesn't answer here and can't be made to, or can't be stopped."""


@dataclass(frozen=True)
class Daemon:
    """A daemon that runs because we started it."""

    name: str
    pid: int


@dataclass(frozen=True)
class Status:
    """How libvirt stands on this machine.

    Attributes:
        unanswered: the hypervisors' URIs that don't answer, each with the reason.
        own: the daemons that azlocal started.
    """

    unanswered: dict[str, str]
    own: tuple[Daemon, ...]
    under_systemd: bool


def status() -> Status:
    """Return how libvirt stands."""
    return Status(unanswered(), tuple(own_daemons()), _SYSTEMD.is_dir())


def start(say: Say) -> None:
    """Make QEMU and LXC answer; where they do, nothing is done and nothing said.

    Raises:
        DaemonError: they still don't answer.
    """
    _rotate_logs()
    if not unanswered():
        return
    if _SYSTEMD.is_dir():
        _start_by_systemd(say)
        return
    _require_root()
    with _lock():
        if unanswered():  # another start may have been faster
            _start_own(say)


def stop(say: Say) -> None:
    """End the daemons that `start` started, unless somebody still needs them.

    Raises:
        DaemonError: one of them doesn't end.
    """
    if not own_daemons():
        say("nothing to stop: no libvirt daemon of azlocal's runs here")
        return
    _require_root()
    with _lock():
        left = in_use()
        if left:
            say(f"libvirtd goes on, since it is in use: {', '.join(left)}")
            return
        ended = []
        for daemon in own_daemons():
            _end(daemon)
            ended.append(f"{daemon.name} ({daemon.pid})")
        say(f"stopped {' and '.join(ended)}")


def unanswered() -> dict[str, str]:
    """Return the hypervisors that don't answer, each with libvirt's reason."""
    _quiet()
    reasons = {}
    for uri in (QEMU, LXC):
        try:
            with closing(libvirt.open(uri)):
                pass
        except libvirt.libvirtError as error:
            reasons[uri] = str(error)
    return reasons


def in_use() -> list[str]:
    """Return what runs: domains and networks, whoever made them."""
    _quiet()
    found = []
    try:
        with closing(libvirt.open(QEMU)) as qemu, closing(libvirt.open(LXC)) as lxc:
            for driver in (qemu, lxc):
                domains = driver.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
                found += [f"machine {domain.name()}" for domain in domains]
            networks = qemu.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
            found += [f"network {network.name()}" for network in networks]
    except libvirt.libvirtError as error:
        raise DaemonError(
            f"this machine: libvirtd doesn't tell what runs ({error}), so it isn't stopped. "
            "Look with `azlocal hypervisor status` and `ps`."
        ) from error
    return found


def own_daemons() -> list[Daemon]:
    """Return our daemons that run, libvirtd first: it needs the other one to the end."""
    found = []
    for name in ("libvirtd", "virtlogd"):
        try:
            pid = int(_pid_file(name).read_text())
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, ValueError):
            continue
        if os.fsencode(_pid_file(name)) in arguments:  # else the number is another process's by now
            found.append(Daemon(name, pid))
    return found


def mounts_to_share(mounts: list[Mount]) -> list[str]:
    """Return the mounts with real files that other mount namespaces would not follow, `/` among them."""
    return [
        mount.target
        for number, mount in enumerate(mounts)
        if not mount.shared
        and (mount.target == "/" or mount.source.startswith("/dev/"))
        and not any(_covers(later, mount) for later in mounts[number + 1 :])
    ]


def _covers(later: Mount, earlier: Mount) -> bool:
    """Return whether a mount hides one that was there before: at its place, or at a folder above."""
    return PurePosixPath(earlier.target).is_relative_to(later.target)


def hides_unified(mounts: list[Mount]) -> bool:
    """Return whether cgroup v2 is mounted beside v1's controllers."""
    return any(mount.target == _UNIFIED and mount.type == "cgroup2" for mount in mounts)


def _start_by_systemd(say: Say) -> None:
    units = ["libvirtd.service"]
    if subprocess.run(["systemctl", "cat", *units], capture_output=True, check=False).returncode != 0:
        units = [f"{name}.socket" for name in _MODULAR]
    done = subprocess.run(["systemctl", "start", *units], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DaemonError(
            f"this machine: `systemctl start {' '.join(units)}` failed: {done.stderr.strip()[-_LOG_TAIL:]}. "
            "Are libvirt-daemon-system and libvirt-daemon-driver-lxc installed?"
        )
    _wait_until_answered(None, f"`journalctl -u {units[0]}` says more")
    say(f"started {', '.join(units)} by systemd, since libvirt didn't answer")


def _start_own(say: Say) -> None:
    mounts = _mounts()
    for target in mounts_to_share(mounts):
        _share(target)
    grant_kvm()
    started = []
    if not _listens(_LOG_SOCKET):
        _wait_for_socket(_spawn("virtlogd", []))
        started.append("virtlogd")
    libvirtd = None
    if not any(daemon.name == "libvirtd" for daemon in own_daemons()):  # a killed start may have left it
        apart = (
            ["unshare", "--mount", "--propagation", "slave", *_WITHOUT_UNIFIED] if hides_unified(mounts) else []
        )
        libvirtd = _spawn("libvirtd", apart)
        started.append("libvirtd")
    _wait_until_answered(libvirtd, f"its log is {_log_file('libvirtd')}")
    did = f"started {' and '.join(started)}" if started else "waited for libvirtd"
    say(f"{did}, since libvirt didn't answer and no systemd runs here")


def _share(target: str) -> None:
    """Make a mount shared; one that somebody has taken away meanwhile needn't be."""
    try:
        _run(["mount", "--make-shared", target])
    except DaemonError:
        if any(mount.target == target for mount in _mounts()):
            raise


def _mounts() -> list[Mount]:
    return parse_mounts(Path("/proc/self/mountinfo").read_text())


def _spawn(name: str, prefix: list[str]) -> subprocess.Popen[bytes]:
    """Start a daemon in a session of its own, which outlives the terminal, with nothing of our environment."""
    program = shutil.which(name, path=_PATH)
    if program is None:
        raise DaemonError(
            f"this machine: {name} isn't installed: `apt-get install libvirt-daemon-system "
            "libvirt-daemon-driver-lxc` (`make setup` does)"
        )
    argv = [*prefix, program, "--pid-file", str(_pid_file(name))]
    _log_file(name).unlink(missing_ok=True)  # an older daemon, not yet gone, may still write to it
    with _log_file(name).open("ab") as log:  # appended to, so that what is cut off under it is gone
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": _PATH, "LC_ALL": "C"},
            start_new_session=True,
        )


def _wait_for_socket(virtlogd: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not _listens(_LOG_SOCKET):
        if virtlogd.poll() is not None or time.monotonic() > deadline:
            raise DaemonError(f"this machine: virtlogd doesn't start: {_log_tail('virtlogd')}")
        time.sleep(0.02)


def _wait_until_answered(libvirtd: subprocess.Popen[bytes] | None, more: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while reasons := unanswered():
        ended = libvirtd is not None and libvirtd.poll() is not None
        if ended or time.monotonic() > deadline:
            found = "; ".join(f"{uri}: {reason}" for uri, reason in reasons.items())
            log = "" if _SYSTEMD.is_dir() else _log_tail("libvirtd")
            hint = " Is libvirt-daemon-driver-lxc installed?" if set(reasons) == {LXC} else ""
            what = "libvirtd ended again" if ended else f"libvirt doesn't answer after {_READY_SECONDS:.0f} s"
            raise DaemonError(f"this machine: {what}: {found}.{hint} {log} ({more})")
        time.sleep(0.05)


def _end(daemon: Daemon) -> None:
    os.kill(daemon.pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while daemon in own_daemons():
        if time.monotonic() > deadline:
            raise DaemonError(
                f"this machine: {daemon.name} ({daemon.pid}) doesn't end within {_END_SECONDS:.0f} s after "
                f"SIGTERM: {_log_tail(daemon.name)}"
            )
        time.sleep(0.02)


def grant_kvm() -> None:
    """Give /dev/kvm the permissions that udev gives it: QEMU runs as a user of its own."""
    try:
        found, group = _KVM.stat(), grp.getgrnam("kvm").gr_gid
    except (FileNotFoundError, KeyError):
        return
    if found.st_mode & 0o006 != 0o006 and (found.st_gid != group or found.st_mode & 0o060 != 0o060):
        os.chown(_KVM, -1, group)
        _KVM.chmod(0o660)


@contextmanager
def _lock() -> Iterator[None]:
    """One start or stop at a time. Daemons don't inherit the lock."""
    _OWN_FOLDER.mkdir(mode=0o755, exist_ok=True)
    with locked(_OWN_FOLDER / "hypervisor.lock"):
        yield


def _require_root() -> None:
    if os.geteuid() != 0:
        raise DaemonError("this machine: no systemd runs here, and only root starts and stops libvirtd: use sudo")


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DaemonError(f"this machine: `{' '.join(argv)}` failed: {done.stderr.strip()}")


def _rotate_logs() -> None:
    """Cut the logs that became big; the last part stays. Each `make up` starts libvirt, so each looks."""
    for name in ("libvirtd", "virtlogd"):
        log = _log_file(name)
        try:
            # What it occupies: where an older version of ours opened it, it keeps its length as a hole.
            if log.stat().st_blocks * 512 <= _LOG_BYTES:
                continue
            with log.open("r+b") as file:
                file.seek(-_LOG_BYTES, os.SEEK_END)
                log.with_suffix(".log.1").write_bytes(file.read())
                file.truncate(0)
        except (FileNotFoundError, PermissionError):
            continue  # there is none, or it is for root to cut


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _quiet() -> None:
    # Reasons reach the user through exceptions; libvirt's default handler also prints them.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)


def _pid_file(name: str) -> Path:
    return _OWN_FOLDER / f"{name}.pid"


def _log_file(name: str) -> Path:
    return _OWN_FOLDER / f"{name}.log"


def _log_tail(name: str) -> str:
    try:
        text = _log_file(name).read_text(errors="replace").strip()
    except FileNotFoundError:
        return "no log"
    return f"its log ends: {text[-_LOG_TAIL:]}" if text else "its log is empty"
