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
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import libvirt

from infra.background import Background, StillRuns, wait_for
from infra.files import locked
from infra.kvm.errors import HostError
from infra.kvm.mounts import Mount, parse_mounts
from infra.model.local_libvirt import LXC, QEMU

_OWN_FOLDER: Final = Path("/run/azlocal")
_SYSTEMD: Final = Path("/run/systemd/system")
_LOG_SOCKET: Final = Path("/run/libvirt/virtlogd-sock")
_UNIFIED: Final = "/sys/fs/cgroup/unified"
_KVM: Final = Path("/dev/kvm")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DAEMONS: Final = ("libvirtd", "virtlogd")
_READY_SECONDS: Final = 30.0
_END_SECONDS: Final = 20.0
_LOG_TAIL: Final = 1500
_LOG_BYTES: Final = 4 << 20
"""A daemon's log that has grown beyond this is started over, the old one's end beside it: /run is memory."""
_WITHOUT_UNIFIED: Final = ("sh", "-ec", 'umount "$0"; exec "$@"', _UNIFIED)
_MODULAR: Final = ("virtqemud", "virtlxcd", "virtnetworkd", "virtstoraged", "virtlogd")

Say = Callable[[str], None]


class DaemonError(HostError):
    """libvirt doesn't answer here and can't be made to, or can't be stopped."""


@dataclass(frozen=True)
class Status:
    """How libvirt stands on this machine.

    Attributes:
        unanswered: the hypervisors' URIs that don't answer, each with the reason.
        own: the numbers of the daemons that azlocal started, by name.
    """

    unanswered: dict[str, str]
    own: dict[str, int]
    under_systemd: bool


def status() -> Status:
    """Return how libvirt stands."""
    return Status(unanswered(), own_daemons(), _SYSTEMD.is_dir())


def start(say: Say) -> None:
    """Make QEMU and LXC answer; where they do, nothing is done and nothing said.

    Raises:
        DaemonError: they still don't answer.
    """
    for name in _DAEMONS:  # each `make up` starts libvirt
        _daemon(name).cut_log(_LOG_BYTES)
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
        for name, pid in own_daemons().items():
            _end(name, pid)
            ended.append(f"{name} ({pid})")
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
    running = []
    try:
        with closing(libvirt.open(QEMU)) as qemu, closing(libvirt.open(LXC)) as lxc:
            for driver in (qemu, lxc):
                domains = driver.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
                running += [f"machine {domain.name()}" for domain in domains]
            networks = qemu.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
            running += [f"network {network.name()}" for network in networks]
    except libvirt.libvirtError as error:
        raise DaemonError(
            f"this machine: libvirtd doesn't tell what runs ({error}), so it isn't stopped. "
            "Look with `azlocal hypervisor status` and `ps`."
        ) from error
    return running


def own_daemons() -> dict[str, int]:
    """Return our daemons that run, libvirtd first: it needs the other one to the end."""
    return {name: pid for name in _DAEMONS if (pid := _daemon(name).pid) is not None}


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
    if _daemon("libvirtd").pid is None:  # a killed start may have left it
        apart = (
            ["unshare", "--mount", "--propagation", "slave", *_WITHOUT_UNIFIED] if hides_unified(mounts) else []
        )
        libvirtd = _spawn("libvirtd", apart)
        started.append("libvirtd")
    _wait_until_answered(libvirtd, f"its log is {_daemon('libvirtd').log_file}")
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
    daemon = _daemon(name)
    daemon.log_file.unlink(missing_ok=True)  # an older daemon, not yet gone, may still write to it
    argv = [*prefix, program, "--pid-file", str(daemon.pid_file)]
    return daemon.start(argv, {"PATH": _PATH, "LC_ALL": "C"})


def _wait_for_socket(virtlogd: subprocess.Popen[bytes]) -> None:
    if wait_for(lambda: _listens(_LOG_SOCKET), lambda: virtlogd.poll() is not None, _READY_SECONDS):
        raise DaemonError(f"this machine: virtlogd doesn't start: {_daemon('virtlogd').log_tail()}")


def _wait_until_answered(libvirtd: subprocess.Popen[bytes] | None, more: str) -> None:
    reasons: dict[str, str] = {}

    def answers() -> bool:
        reasons.clear()
        reasons.update(unanswered())
        return not reasons

    wrong = wait_for(answers, lambda: libvirtd is not None and libvirtd.poll() is not None, _READY_SECONDS)
    if wrong is not None:
        who = "libvirtd" if libvirtd else "libvirt"
        shown = "; ".join(f"{uri}: {reason}" for uri, reason in reasons.items())
        log = "" if _SYSTEMD.is_dir() else _daemon("libvirtd").log_tail()
        hint = " Is libvirt-daemon-driver-lxc installed?" if set(reasons) == {LXC} else ""
        raise DaemonError(f"this machine: {who} {wrong}: {shown}.{hint} {log} ({more})")


def _end(name: str, pid: int) -> None:
    try:
        _daemon(name).stop(_END_SECONDS)
    except StillRuns:
        raise DaemonError(
            f"this machine: {name} ({pid}) doesn't end within {_END_SECONDS:.0f} s after SIGTERM: "
            f"{_daemon(name).log_tail()}"
        ) from None


def grant_kvm() -> None:
    """Give /dev/kvm the permissions that udev gives it: QEMU runs as a user of its own."""
    try:
        about, group = _KVM.stat(), grp.getgrnam("kvm").gr_gid
    except (FileNotFoundError, KeyError):
        return
    if about.st_mode & 0o006 != 0o006 and (about.st_gid != group or about.st_mode & 0o060 != 0o060):
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


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _quiet() -> None:
    # Reasons reach the user through exceptions; libvirt's default handler also prints them.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)


def _daemon(name: str) -> Background:
    pid_file = _OWN_FOLDER / f"{name}.pid"
    return Background(pid_file, _OWN_FOLDER / f"{name}.log", (frozenset({str(pid_file)}),))
