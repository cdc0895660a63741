"""The lab itself: hosts that answer as hosts do, whose power and cables can be cut, and that leave nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from ipaddress import IPv4Address
from pathlib import Path

import libvirt
import pytest

from infra.kvm.connection import Hosts, HostSession
from infra.kvm.errors import HostUnreachable, is_connection_lost
from infra.lab import groups
from infra.lab import lab as labs
from infra.lab.client import known_hosts
from infra.lab.host import LabHost, processes
from infra.lab.lab import Lab
from infra.lab.leftovers import lab_leftovers
from infra.lab.marks import LabError, check_name
from infra.model.work import Work
from infra.ssh import fingerprint, shell_for
from tests.lab.conftest import MakeLab, standing_lab
from tests.waiting import eventually, waits_less_than

ROOT = Path(__file__).parents[2]


def test_hierarchies_of_v1_are_read() -> None:
    cgroup = "5:net_cls,net_prio:/\n4:memory:/x\n3:name=systemd:/\n0::/\n"
    mountinfo = (
        "11 32 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "12 32 0:30 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
        "13 32 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    )
    assert [(one.type, one.options, str(one.target)) for one in groups.hierarchies(cgroup, mountinfo)] == [
        ("cgroup", "net_cls,net_prio", "None"),
        ("cgroup", "memory", "/sys/fs/cgroup/memory"),
        ("cgroup", "none,name=systemd", "/sys/fs/cgroup/systemd"),
        ("cgroup2", "", "/sys/fs/cgroup/unified"),
    ]


def test_v2_alone_is_read() -> None:
    mountinfo = "13 32 0:31 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
    found = groups.hierarchies("0::/user.slice\n", mountinfo)
    assert [(one.type, one.options, str(one.target)) for one in found] == [("cgroup2", "", "/sys/fs/cgroup")]


@pytest.mark.parametrize("name", ["", "A", "a/b", "-a", "a-", "a" * 21, ".."])
def test_a_name_that_cannot_be_a_file_name_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="can't name a lab"):
        check_name(name)


def virsh(connection: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["virsh", "-q", "-c", connection, *command], check=check, capture_output=True, text=True, timeout=60
    )


def dialled(host: LabHost, address: IPv4Address, port: int = 22) -> str:
    """Open a TCP connection from a host and return what is wrong with it."""
    script = "exec 3<>/dev/tcp/$0/$1"
    return host.run("timeout", "3", "bash", "-c", script, str(address), str(port), check=False).stderr.strip()


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[Lab, float]]:
    """Return a lab of four hosts, and in how many seconds it was there."""
    began = time.monotonic()
    with standing_lab(4) as lab:
        yield lab, time.monotonic() - began


@pytest.fixture
def lab(started: tuple[Lab, float]) -> Iterator[Lab]:
    """Return the lab that these tests share: each leaves it as it was, or is helped to."""
    lab, _ = started
    yield lab
    for host in lab.hosts:
        host.power_on()
        host.restore_link()
    lab.pin_host_keys()


@pytest.mark.lab
class TestReal:
    def test_every_host_answers_over_ssh_and_libvirt(self, started: tuple[Lab, float]) -> None:
        lab, seconds = started
        assert seconds < 20  # 2 s; more where the machine is busy
        assert [host.name for host in lab.hosts] == ["node1", "node2", "node3", "node4"]
        for host in lab.hosts:
            shell = shell_for(host.connection)
            assert shell.run(["hostname"]).stdout.strip() == host.name
            shell.close()
            for uri in (host.connection, host.connection.replace("qemu+", "lxc+")):
                assert virsh(uri, "hostname").stdout.strip() == host.name
        assert len({virsh(host.connection, "capabilities").stdout.split("uuid")[1] for host in lab.hosts}) == 4

    def test_hosts_reach_each_other_and_this_machine(self, lab: Lab) -> None:
        first, second, *_ = lab.hosts
        assert dialled(first, second.address) == ""
        with socket.create_server((str(lab.controller_address), 0)) as server:
            assert dialled(first, lab.controller_address, server.getsockname()[1]) == ""

    def test_what_a_host_has_is_its_own(self, lab: Lab) -> None:
        first, second, *_ = lab.hosts
        first.run("sh", "-c", "touch /etc/own /var/lib/own /root/own /run/own /tmp/own")
        for path in ("/etc/own", "/var/lib/own", "/root/own", "/run/own", "/tmp/own"):
            assert second.run("test", "-e", path, check=False).returncode == 1
            assert not Path(path).exists()
        assert first.run("touch", "/usr/own", check=False).returncode == 1
        first.run("mount", "-t", "tmpfs", "own", "/srv")
        assert " /srv " not in Path("/proc/self/mountinfo").read_text()
        assert first.run("cat", "/proc/1/cgroup").stdout.count(":/\n") == len(
            first.run("cat", "/proc/1/cgroup").stdout.splitlines()
        )

    def test_without_power_everything_is_gone_at_once_but_the_disk(self, lab: Lab) -> None:
        first, second, *_ = lab.hosts
        shell = shell_for(first.connection)
        shell.run(["sh", "-c", "echo kept > /var/lib/azlocal/kept; setsid sleep 1000 >/dev/null 2>&1 &"])
        key = first.host_key

        with waits_less_than(60):
            first.power_off()
        assert not first.answers()
        with pytest.raises(LabError, match="is off"):
            first.run("true")
        assert second.answers()

        first.power_on()
        assert shell.run(["cat", "/var/lib/azlocal/kept"]).stdout == "kept\n"
        assert shell.run(["pgrep", "-x", "sleep"], check=False).exit_code == 1
        assert first.host_key == key
        shell.close()

    def test_a_host_knows_nothing_of_who_switched_it_on(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        """`up` after a drill has a passphrase; and who ends what an `up` left must not end a host by that."""
        host = lab.hosts[1]
        host.power_off()
        monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "secret of who switches on")
        host.power_on()
        host.stop_sshd()
        host.start_sshd()
        eventually(host.answers, "an answer of the host", seconds=20)  # its file has the number of the one before
        sshd = host.run("cat", "/run/sshd.pid").stdout.strip()
        inside = host.run("cat", "/proc/1/environ", f"/proc/{sshd}/environ").stdout
        outside = [Path(f"/proc/{process}/environ").read_text() for process in processes(host.lab, host.name)]
        assert "secret" not in "".join([inside, *outside])
        assert host.run("printenv", "PULUMI_CONFIG_PASSPHRASE", check=False).returncode == 1

    def test_a_cut_cable_leaves_the_host_running(self, lab: Lab) -> None:
        host = lab.hosts[0]
        host.cut_link()
        assert not host.answers()
        assert host.run("cat", "/sys/class/net/eno1/carrier", check=False).stdout.strip() != "1"
        host.restore_link()
        eventually(host.answers, "an answer of the host", seconds=20)

    def test_daemons_stop_and_start(self, lab: Lab) -> None:
        host = lab.hosts[0]
        host.stop_sshd()
        assert not host.answers()
        host.start_sshd()
        eventually(host.answers, "an answer of the host", seconds=20)
        host.stop_daemon("libvirtd")
        assert virsh(host.connection, "version", check=False).returncode != 0
        host.start_daemon("libvirtd")
        virsh(host.connection, "version")

    def test_two_labs_stand_beside_each_other(self, lab: Lab) -> None:
        other = labs.start(f"{lab.name}-2", 1)
        try:
            assert not other.subnet.overlaps(lab.subnet)
            assert other.hosts[0].answers()
            assert "unreachable" in dialled(other.hosts[0], lab.hosts[0].address)
        finally:
            other.destroy()
        assert all(host.answers() for host in lab.hosts)

    def test_what_a_killed_run_left_is_found_and_removed(self, lab_name: str, make_lab: MakeLab) -> None:
        script = f"import infra.lab.lab as labs, os; labs.start({lab_name!r}, 2); os.kill(os.getpid(), 9)"
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, timeout=60)
        left = "\n".join(lab_leftovers(lab_name))
        for what in ("process", "control group", "network namespace", "link", "file"):
            assert what in left
        found = labs.find(lab_name)
        assert found is not None
        assert found.hosts[1].answers()
        before = found.hosts[1].host_key

        lab = make_lab(1)
        assert lab.hosts[0].answers()
        assert lab.hosts[0].host_key != before
        lab.destroy()
        assert lab_leftovers(lab_name) == []


@pytest.mark.lab
class TestHostKeys:
    """A host that shows another key than the one that this machine knows is not talked to."""

    def test_a_wrong_key_and_an_unknown_one_are_refused_by_shell_and_libvirt(self, lab: Lab) -> None:
        host = lab.hosts[0]
        expected, found = fingerprint(host.host_key), fingerprint(host.renew_host_key())
        with pytest.raises(HostUnreachable) as refusal, _session(host) as session:
            session.shell.run(["true"])
        for word in (str(host.address), expected, found, "ssh-keygen -R"):
            assert word in str(refusal.value)
        with pytest.raises(HostUnreachable, match="Host key verification failed"), _session(host) as session:
            session.qemu.getHostname()

        known_hosts(lab.name).write_text("")
        with pytest.raises(HostUnreachable) as refusal, _session(host) as session:
            session.shell.run(["true"])
        assert found in str(refusal.value)
        with pytest.raises(HostUnreachable, match="Host key verification failed"), _session(host) as session:
            session.qemu.getHostname()

        lab.pin_host_keys()
        with _session(host) as session:
            assert session.shell.run(["hostname"]).stdout.strip() == session.qemu.getHostname() == host.name

    def test_a_dead_host_is_noticed_where_libvirt_would_wait_for_ever(self, lab: Lab) -> None:
        host = lab.hosts[0]
        with _session(host) as session:
            session.qemu.getHostname()
            host.power_off()
            with waits_less_than(180):
                with pytest.raises(libvirt.libvirtError) as loss:
                    session.qemu.getHostname()
                assert is_connection_lost(loss.value)
            with pytest.raises(libvirt.libvirtError) as again:
                session.qemu.getHostname()
            assert is_connection_lost(again.value)


def _session(host: LabHost) -> AbstractContextManager[HostSession]:
    return Hosts().session(host.connection, Work())
