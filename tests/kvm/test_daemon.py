"""Starting libvirt where no init does: in namespaces, apart from the machine's own libvirtd."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.kvm import daemon
from infra.kvm.daemon import _share, hides_unified, mounts_to_share
from infra.kvm.mounts import Mount
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
NETWORK = "<network><name>n</name><bridge name='azltest0'/><ip address='10.213.7.1' prefix='24'/></network>"


def test_mounts_with_real_files_are_shared_once() -> None:
    mounts = [
        Mount("/", "overlay", "overlay"),
        Mount("/proc", "proc", "proc"),
        Mount("/data", "/dev/sdb1", "ext4"),
        Mount("/home", "/dev/sdc1", "ext4", shared=True),
        Mount("/covered", "/dev/sdd1", "ext4"),
        Mount("/covered", "tmpfs", "tmpfs"),
        Mount("/run/netns", "/dev/vda", "ext4"),
        Mount("/run", "tmpfs", "tmpfs"),
        Mount("/run/later", "/dev/sde1", "ext4"),
    ]
    assert mounts_to_share(mounts) == ["/", "/data", "/run/later"]
    assert mounts_to_share([Mount("/", "/dev/vda", "ext4", shared=True)]) == []


def test_a_mount_that_somebody_took_away_meanwhile_is_no_fault(tmp_path: Path) -> None:
    _share(str(tmp_path))  # no mount any more


def test_unified_beside_v1() -> None:
    assert hides_unified([Mount("/sys/fs/cgroup/unified", "cgroup2", "cgroup2")])
    assert not hides_unified([Mount("/sys/fs/cgroup", "cgroup2", "cgroup2")])


CHATTY = "yes an old line | head --bytes 5242880; while sleep 0.01; do echo a new line; done"


def test_a_log_that_became_big_is_cut_while_its_daemon_writes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "_OWN_FOLDER", tmp_path)
    monkeypatch.setattr(daemon, "unanswered", dict)
    monkeypatch.setattr("shutil.which", lambda name, path: "/bin/true")
    log = tmp_path / "libvirtd.log"
    chatty = daemon._spawn("libvirtd", ["sh", "-c", CHATTY])
    try:
        eventually(lambda: log.stat().st_size > 5 << 20, "a big log", 30)
        daemon.start(pytest.fail)
        eventually(lambda: b"a new line" in log.read_bytes(), "the next line", 30)
        assert log.stat().st_size < 1 << 20
        assert b"\0" not in log.read_bytes(), "nor does it keep its length as a hole"
        size = (tmp_path / "libvirtd.log.1").stat().st_size
        assert 4 << 20 <= size < 5 << 20, "its end, and what was written while that was copied"
        kept = (tmp_path / "libvirtd.log.1").read_bytes()
        daemon.start(pytest.fail)
        assert (tmp_path / "libvirtd.log.1").read_bytes() == kept, "a small one is left alone"
    finally:
        os.killpg(chatty.pid, signal.SIGKILL)
        chatty.wait()


@dataclass
class Machine:
    """Namespaces of mounts, processes and network, in which no libvirt runs."""

    pid: int

    def begin(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["nsenter", "--target", str(self.pid), "--mount", "--net", "--pid", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def run(self, *argv: str, code: int = 0) -> str:
        with self.begin(*argv) as process:
            stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == code, stdout + stderr
        return stdout + stderr

    def begin_azlocal(self, *arguments: str) -> subprocess.Popen[str]:
        return self.begin(sys.executable, "-m", "infra.cli", "hypervisor", *arguments)

    def azlocal(self, *arguments: str, code: int = 0) -> str:
        return self.run(sys.executable, "-m", "infra.cli", "hypervisor", *arguments, code=code)

    def pids(self, name: str) -> list[str]:
        with self.begin("pgrep", "-x", name) as process:
            return process.communicate()[0].split()


@pytest.fixture
def machine() -> Iterator[Machine]:
    if not shutil.which("libvirtd"):
        pytest.skip("libvirtd isn't installed")
    init = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); signal.pause()"  # leaves no zombies
    # A slave of the machine's mounts: it must not hold on to what others unmount meanwhile.
    spaces = ["--mount", "--propagation", "slave", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    holder = subprocess.Popen(["unshare", *spaces, sys.executable, "-c", f"while True: {init}"])
    try:
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
        first, *_ = eventually(lambda: children.read_text().split(), "the first process", every=0.01)
        found = Machine(int(first))
        command, ours = Path(f"/proc/{first}/cmdline"), os.fsencode(sys.executable)
        eventually(lambda: command.read_bytes().startswith(ours), "the namespaces", every=0.01)
        for folder in ("/run", "/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt"):
            found.run("mount", "-t", "tmpfs", "tmpfs", folder)
        yield found
    finally:
        holder.kill()  # and with it, by its PID namespace, all that was started there
        holder.wait()


@pytest.mark.lab
class TestReal:
    def test_life(self, machine: Machine) -> None:
        assert "no answer" in machine.azlocal("status", code=1)
        assert "nothing to stop" in machine.azlocal("stop")
        assert "started virtlogd and libvirtd, since libvirt didn't answer" in machine.azlocal("start")
        assert machine.azlocal("start") == ""
        assert machine.azlocal("status").count("answers (started by azlocal: libvirtd (") == 2
        assert "cgroup2" not in machine.run("cat", f"/proc/{machine.pids('libvirtd')[0]}/mountinfo")

        machine.run("virsh", "net-create", _file(machine, NETWORK))
        assert "goes on, since it is in use: network n" in machine.azlocal("stop")
        assert machine.azlocal("start") == ""
        machine.run("virsh", "net-destroy", "n")
        assert "stopped libvirtd (" in machine.azlocal("stop")
        assert not machine.pids("libvirtd") + machine.pids("virtlogd") + machine.pids("dnsmasq")

    def test_later_mounts_are_followed(self, machine: Machine) -> None:
        machine.azlocal("start")
        table = f"/proc/{machine.pids('libvirtd')[0]}/mountinfo"
        machine.run("mount", "-t", "tmpfs", "later", "/opt")
        assert " /opt " in machine.run("cat", table)
        machine.run("umount", "/opt")
        assert " /opt " not in machine.run("cat", table)

    def test_many_starts_at_once_start_one(self, machine: Machine) -> None:
        starts = [machine.begin_azlocal("start") for _ in range(4)]
        said = [start.communicate(timeout=60)[1] for start in starts]
        assert [start.returncode for start in starts] == [0, 0, 0, 0], said
        assert len([text for text in said if text]) == 1
        assert (len(machine.pids("libvirtd")), len(machine.pids("virtlogd"))) == (1, 1)

    def test_outlives_its_starter_and_is_known_again(self, machine: Machine) -> None:
        start = machine.begin_azlocal("start")

        def begun() -> list[str]:
            assert start.poll() is None, start.communicate()
            return machine.pids("virtlogd")

        eventually(begun, "the first daemon", every=0.01)
        start.kill()
        start.communicate()
        machine.azlocal("start")
        assert (len(machine.pids("libvirtd")), len(machine.pids("virtlogd"))) == (1, 1)
        assert "virtlogd" in machine.azlocal("stop")
        assert not machine.pids("libvirtd") + machine.pids("virtlogd")

    def test_others_daemons_are_left_alone(self, machine: Machine) -> None:
        machine.run("virtlogd", "-d")
        machine.run("libvirtd", "-d")
        machine.run("sh", "-c", "until virsh version; do sleep 0.1; done")  # `run` ends it after a minute
        assert machine.azlocal("start") == ""
        assert "answers (not azlocal's)" in machine.azlocal("status")
        assert "nothing to stop" in machine.azlocal("stop")
        assert machine.pids("libvirtd")

    def test_a_daemon_that_cannot_start_says_why(self, machine: Machine) -> None:
        machine.run("sh", "-c", "echo 'unix_sock_group = \"no-such-group\"' > /etc/libvirt/libvirtd.conf")
        said = machine.azlocal("start", code=1)
        assert "libvirtd ended again" in said
        assert "no-such-group" in said
        assert "Traceback" not in said


def _file(machine: Machine, content: str) -> str:
    with machine.begin("sh", "-c", 'printf %s "$0" > /run/file', content) as writer:
        writer.communicate()
    return "/run/file"
