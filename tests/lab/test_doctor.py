"""The doctor on real hosts, over real SSH and libvirt: it finds each planted fault, and nothing besides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dns.rcode
import pytest
import yaml
from typer.testing import CliRunner

from infra.cli import app
from infra.doctor.facts import HostFacts
from infra.doctor.gather import Asked, gather
from infra.doctor.survey import HOST_SECONDS
from infra.doctor.wanted import WantedHost, WantedInstance
from infra.lab import client
from infra.lab.host import LabHost
from infra.lab.lab import Lab
from infra.lab.site import hosts_file, netplan, stack
from infra.model.work import Work
from infra.ssh import wait_for_host_key
from tests.doctor.test_outside import NAME, coded, context, listening, name_server, tls
from tests.lab.conftest import MakeLab, standing_lab
from tests.waiting import eventually, waits_less_than

pytestmark = pytest.mark.lab

__all__ = ["context"]  # a fixture

Problems = dict[str, set[str]]
"""By host, `all` for all together: what isn't ok."""


@pytest.fixture(scope="module", autouse=True)
def _small_image() -> Iterator[None]:
    """Have plans take disks that the lab's hosts have room for; the doctor makes no machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.plan.rules.machines.NODE_IMAGE_GIB", 4)
        yield


@dataclass
class Site:
    """A project on a lab's hosts, and what the doctor says of it."""

    folder: Path
    lab: Lab
    hosts: dict[str, Any]
    netplan: dict[str, Any]
    options: list[str] = field(default_factory=lambda: ["--offline"])
    found: dict[str, Any] = field(default_factory=dict)

    def write(self) -> None:
        self.hosts["vmSizes"] = {name: {**size, "diskGiB": 4} for name, size in self.hosts["vmSizes"].items()}
        content = stack(self.lab)
        content["config"] |= {"azlocal:site": "lab", "azlocal:machineType": "container"}
        for name, one in (("hosts/lab", self.hosts), ("netplans/lab", self.netplan), ("Pulumi.site", content)):
            path = self.folder / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump(one))

    def problems(self) -> Problems:
        """Run the doctor; return what isn't ok."""
        self.write()
        arguments = ["-C", str(self.folder), "doctor", "--format", "json", *self.options]
        result = CliRunner().invoke(app, arguments)
        self.found = json.loads(result.stdout)
        found = {host["name"]: _wrong(host["checks"]) for host in self.found["hosts"]}
        failed = any(one["status"] == "failed" for one in self.checks())
        assert result.exit_code == (2 if failed else 0), result.output
        return found | {"all": _wrong(self.found["site"])}

    def checks(self) -> list[dict[str, str]]:
        return [*(one for host in self.found["hosts"] for one in host["checks"]), *self.found["site"]]

    def seen(self, host: str, check: str) -> str:
        """Return what a check saw, and its remedy."""
        [one] = [one for one in self.found["hosts"] if one["name"] == host]
        [checked] = [one for one in one["checks"] if one["id"] == check]
        return f"{checked['status']}: {checked['seen']} -> {checked['remedy']}"


def _wrong(checks: list[dict[str, str]]) -> set[str]:
    return {one["id"] for one in checks if one["status"] in ("failed", "warning")}


def wire(host: LabHost, address: str) -> None:
    """Give a host a second NIC with something at its other end."""
    host.run("ip", "link", "add", "eno2", "type", "veth", "peer", "name", "wire2")
    for name in ("eno2", "wire2"):
        host.run("ip", "link", "set", name, "up")
    host.run("ip", "address", "add", address, "dev", "eno2")


def restart_sshd(host: LabHost) -> None:
    """Have it read its files again, and wait until it did."""
    host.stop_sshd()
    # A killed process takes its moment to let go of the port.
    eventually(lambda: not host.answers(), "the end of sshd", every=0.05)
    host.start_sshd()
    host.wait_until_ready()


def cover(host: LabHost, path: str, content: str) -> None:
    """Put other content over a file that a host can't change."""
    name = f"/run/{Path(path).name}"
    host.run("tee", name, input=content)
    host.run("chmod", "755", name)
    host.run("mount", "--bind", name, path)


def mount_store(host: LabHost, folder: str, file: str) -> None:
    host.run("mkdir", "--parents", folder)
    host.run("truncate", "--size", "64M", file)
    host.run("mkfs.ext4", "-q", "-F", file)
    host.run("mount", "-o", "loop", file, folder)


def management(host: LabHost, site: dict[str, Any]) -> str:
    [one] = [one for one in site["hosts"] if one["name"] == host.name]
    address: str = one["managementAddress"]
    return address


@contextmanager
def outside(lab: Lab, serve: Callable[..., None]) -> Iterator[int]:
    """Serve DNS and TLS at this machine's address on the lab's network; yield the TLS port."""
    address = str(lab.controller_address)
    with name_server(coded(dns.rcode.NOERROR), address, 53), listening(serve, address) as port:
        yield port


def test_faults_of_hosts_and_of_their_networks(make_lab: MakeLab, tmp_path: Path, context: Any) -> None:
    lab = make_lab(4)
    node1, node2, node3, node4 = lab.hosts
    controller = str(lab.controller_address)
    site = Site(tmp_path, lab, hosts_file(lab, uplink="eno2"), netplan(lab))
    for network in (site.netplan["infrastructure"], *site.netplan["logicalNetworks"]):
        network["dnsServers"] = [controller]
    planned = site.netplan["logicalNetworks"][0]["ipPools"][0]["start"]
    prefix = site.netplan["logicalNetworks"][1]["addressPrefix"]
    for host in lab.hosts:
        wire(host, f"{management(host, site.hosts)}/24")
        (host.disk / "etc/resolv.conf").write_text(f"nameserver {controller}\n")
        with (host.disk / "etc/hosts").open("a") as file:
            file.write(f"{controller} {NAME}\n")
    with outside(lab, tls(context)) as port:
        site.options = ["--endpoint", f"{NAME}:{port}"]
        before = site.problems()
        assert len({frozenset(before[host.name]) for host in lab.hosts}) == 1  # alike, as the lab's hosts are
        assert before["all"] == set()
        assert before["node1"] <= LABS
        assert "ok" in site.seen("node1", "dns")
        assert "ok" in site.seen("node1", "endpoints")

        _plant_in_system(node1)
        _plant_in_software(node2, planned)
        _plant_in_network(node3, prefix.replace("/24", "/25"), controller, port)
        _plant_in_storage(node4, node1)
        node3_uuid = (node4.disk / "etc/libvirt/libvirtd.conf").read_text()
        (node3.disk / "etc/libvirt/libvirtd.conf").write_text(node3_uuid)
        node3.stop_daemon("libvirtd")
        node3.start_daemon("libvirtd")
        site.hosts["hosts"][3]["memoryGiB"] = 4096
        with waits_less_than(BOUND):
            after = site.problems()
    before["node2"].discard("packages")
    new = {name: found - before[name] for name, found in after.items()}
    assert new == {
        "node1": {"distribution", "ssh-forwarding", "uplink-carrier", "clock", "peers"},  # node4 never answers it
        "node2": {"packages", "libvirt", "address-overlap", "reserved-overlap", "uplink", "management-address"},
        "node3": {"firewall", "resolvers", "route-overlap", "dns", "endpoints"},
        "node4": {"free-disk", "leftovers", "names", "mtu", "peers", "declared"},
        "all": {"same-cpu", "same-cpu-features", "host-uuid", "clocks"},
    }
    for name, check, words in SAID:
        said = site.seen(name, check).format(controller=controller)
        assert words.format(controller=controller) in said, said
    assert all(one["remedy"] for one in site.checks() if one["status"] in ("failed", "warning"))


BOUND = HOST_SECONDS + 60
"""A busy machine takes long; beyond this the doctor doesn't keep its word."""

LABS = {
    "bare-metal", "boot-drive", "data-drives", "free-disk", "memory", "nics", "own-connection", "packages",
    "preparation", "secure-boot", "tpm",
}  # fmt: skip
"""What a lab's hosts may lack: they are as big as this machine is, have its packages, and no systemd."""

SAID = [
    ("node1", "distribution", "failed: Debian GNU/Linux 11"),
    ("node1", "uplink-carrier", "failed: eno2 has none"),
    ("node1", "ssh-forwarding", "AllowTcpForwarding yes"),
    ("node1", "clock", "s behind"),
    ("node2", "packages", "netcat-openbsd"),
    ("node2", "libvirt", "systemctl start libvirtd"),
    ("node2", "uplink", "failed: there is no interface eno2"),
    ("node2", "reserved-overlap", "10.244.7.1/32 (lo) lies in 10.244.0.0/16"),
    ("node3", "firewall", "br_netfilter"),
    ("node3", "dns", "{controller}: no answer"),
    ("node3", "resolvers", "the host asks 9.9.9.9, the netplan says {controller}"),
    ("node3", "endpoints", "1 of 1 not reached"),
    ("node4", "free-disk", "free at /var/lib/azlocal"),
    ("node4", "names", "pool azlocal-site was not made by site"),
    ("node4", "leftovers", "/var/lib/azlocal/ci is mounted from /var/lib/azlocal/ci.xfs"),
    ("node4", "leftovers", "azlocal-doctor-0123"),
    ("node4", "mtu", "eno2 carries 1400"),
    ("node4", "declared", "memoryGiB: 4,096"),
]


def _plant_in_system(host: LabHost) -> None:
    release = host.disk / "etc/os-release"
    release.unlink()
    release.write_text('ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\n')
    with (host.disk / "etc/ssh/sshd_config").open("a") as file:
        file.write("AllowTcpForwarding no\n")
    restart_sshd(host)
    host.run("ip", "link", "set", "wire2", "down")
    # A clock can't be wrong in one namespace alone.
    cover(host, "/usr/bin/date", "#!/bin/bash\nprintf '%s.0\\n' $(($(printf '%(%s)T' -1) - 4000))\n")


def _plant_in_software(host: LabHost, planned: str) -> None:
    status = host.run("cat", "/var/lib/dpkg/status").stdout
    before, _, after = status.partition("Package: netcat-openbsd\nStatus: install ok installed")
    removed = "Package: netcat-openbsd\nStatus: deinstall ok config-files"
    cover(host, "/var/lib/dpkg/status", f"{before}{removed}{after}")
    flags = [{"field": "Flags:", "data": "fpu"}, {"field": "Model name:", "data": "Old"}]
    plain = [{"field": "Architecture:", "data": "x86_64"}, {"field": "CPU(s):", "data": "64"}]
    printed = json.dumps({"lscpu": [*plain, *flags]})
    cover(host, "/usr/bin/lscpu", f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\n")
    host.stop_daemon("libvirtd")
    host.run("ip", "link", "delete", "eno2")
    host.run("ip", "address", "add", f"{planned}/32", "dev", "lo")
    host.run("ip", "address", "add", "10.244.7.1/32", "dev", "lo")


def _plant_in_network(host: LabHost, part: str, controller: str, port: int) -> None:
    host.run("iptables", "-P", "FORWARD", "DROP")
    host.run("tee", "/proc/sys/net/bridge/bridge-nf-call-iptables", input="1\n")
    host.run("ip", "route", "add", part, "dev", "eno1")
    (host.disk / "etc/resolv.conf").write_text("nameserver 9.9.9.9\n")
    for protocol, number in (("udp", "53"), ("tcp", str(port))):
        host.run("iptables", "-A", "OUTPUT", "-d", controller, "-p", protocol, "--dport", number, "-j", "DROP")


def _plant_in_storage(host: LabHost, other: LabHost) -> None:
    mount_store(host, "/var/lib/azlocal", "/var/lib/small")
    mount_store(host, "/var/lib/azlocal/ci", "/var/lib/azlocal/ci.xfs")
    for name in ("azlocal-site", "azlocal-doctor-0123"):
        host.run("virsh", "pool-define-as", name, "dir", "--target", f"/var/lib/{name}")
    host.run("ip", "link", "set", "eno2", "mtu", "1400")
    host.run("iptables", "-A", "OUTPUT", "-d", str(other.address), "-p", "icmp", "-j", "DROP")


@pytest.fixture(scope="module")
def logins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Problems]]:
    """Return what the doctor finds on a host that lets two users in, and on four that let nobody in."""
    with standing_lab(5) as lab:
        site = Site(tmp_path_factory.mktemp("logins"), lab, hosts_file(lab), netplan(lab))
        *_, last = site.hosts["hosts"]
        _add_user(lab.hosts[-1], "ann")
        twin = last | {"name": "twin", "managementAddress": last["managementAddress"].replace(".15", ".16")}
        user = last | {"name": "ann", "managementAddress": last["managementAddress"].replace(".15", ".17")}
        user["connection"] = f"qemu+ssh://ann@{lab.hosts[-1].address}/system"
        site.hosts["hosts"] += [twin, user]
        _lock_out(lab)
        with waits_less_than(BOUND):
            found = site.problems()
        yield site, found


def _lock_out(lab: Lab) -> None:
    off, changed, unknown, refusing, _ = lab.hosts
    client.write_known_hosts(lab.name, [one for one in lab.hosts if one is not unknown])
    off.power_off()
    key = changed.renew_host_key()
    wait_for_host_key(str(changed.address), key, Work().within(30))
    (refusing.disk / "root/.ssh/authorized_keys").write_text("")


def _add_user(host: LabHost, name: str) -> None:
    """Let somebody log in who has the same key as root, and no rights."""
    account = {"passwd": f"{name}:x:5000:5000::/home/{name}:/bin/bash"}
    account |= {"group": f"{name}:x:5000:", "shadow": f"{name}:*:::::::"}
    for file, line in account.items():
        with (host.disk / "etc" / file).open("a") as content:
            content.write(f"{line}\n")
    host.run("install", "-d", "-o", "5000", "-g", "5000", "-m", "700", f"/home/{name}", f"/home/{name}/.ssh")
    key = "/root/.ssh/authorized_keys"
    host.run("install", "-o", "5000", "-g", "5000", "-m", "600", key, f"/home/{name}/.ssh/authorized_keys")


def test_each_way_of_not_getting_in(logins: tuple[Site, Problems]) -> None:
    site, found = logins
    assert {name: found[name] for name in ("node1", "node2", "node3", "node4")} == {
        "node1": {"reachable"},
        "node2": {"host-key"},
        "node3": {"host-key"},
        "node4": {"login"},
    }
    assert "Is the host on" in site.seen("node1", "reachable")
    assert "ssh-keygen -R" in site.seen("node2", "host-key")
    assert "is in none of" in site.seen("node3", "host-key")
    assert "ssh-copy-id" in site.seen("node4", "login")


def test_a_user_without_rights_and_a_host_of_two_names(logins: tuple[Site, Problems]) -> None:
    site, found = logins
    assert "distinct-hosts" in found["all"]
    assert found["node5"] <= LABS | {"peers"}  # it reaches node1 as little as we do
    assert found["twin"] == found["node5"]
    assert found["ann"] - found["node5"] == {"root", "libvirt"}
    assert "usermod --append --groups libvirt ann" in site.seen("ann", "libvirt")


def test_a_mesh_without_room_and_behind_a_firewall(lab: Lab, tmp_path: Path) -> None:
    plan = netplan(lab, transport="vxlan", underlayMtu=1500)
    site = Site(tmp_path, lab, hosts_file(lab), plan)
    node1, node2 = lab.hosts
    site.options = [word for name in "abc" for word in ("--endpoint", f"{name}.example.com")]
    for host in lab.hosts:  # a DNS server that isn't there must not look like a host that hangs
        (host.disk / "etc/resolv.conf").write_text(f"nameserver {lab.subnet[250]}\n")
    before = site.problems()
    assert before["node1"] == before["node2"]
    assert "3 of 3 not reached: a.example.com (the host can't resolve" in site.seen("node1", "endpoints")
    assert "machines get 1450" in site.seen("node1", "mtu")
    assert "with packets of 1500 bytes" in site.seen("node1", "peers")
    plan["underlayMtu"] = 1550
    node1.run("ip", "link", "add", "azv-0123456789a", "type", "vxlan", "id", "9", "dstport", "4789")
    accepted = ("-p tcp --dport 22", "-m state --state ESTABLISHED,RELATED", "-p icmp")
    for words in accepted:
        node2.run("iptables", "-A", "INPUT", *words.split(), "-j", "ACCEPT")
    node2.run("iptables", "-P", "INPUT", "DROP")
    after = site.problems()
    assert after["node1"] - before["node1"] == {"leftovers", "peers"}
    assert after["node2"] - before["node2"] == {"vxlan-port", "peers"}
    assert "failed: eno1 carries 1500, the netplan's underlayMtu is 1550" in site.seen("node1", "mtu")
    assert "packets of 1550 bytes don't reach" in site.seen("node2", "peers")


def test_a_cable_that_is_cut_while_it_looks(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, lab, hosts_file(lab), netplan(lab))
    node1, node2 = lab.hosts

    def cut(
        host: WantedHost,
        instance: WantedInstance,
        asked: Asked,
        publish: Callable[[HostFacts], None],
        work: Work,
    ) -> None:
        def watch(doing: str) -> None:
            if host.name == node1.name and doing == "storage":
                node1.cut_link()
            if host.name == node2.name and doing == "libvirt":
                node2.run("pkill", "--signal", "STOP", "--exact", "libvirtd")
            work.status(doing)

        gather(host, instance, asked, publish, replace(work, status=watch))

    monkeypatch.setattr("infra.doctor.survey.gather", cut)
    monkeypatch.setattr("infra.doctor.survey.HOST_SECONDS", 20.0)
    with waits_less_than(BOUND - HOST_SECONDS + 20):
        found = site.problems()
    node1.restore_link()
    assert "reachable" in found["node1"]
    assert "Does the host hang, or did its network go?" in site.seen("node1", "reachable")
    assert "ok: x86_64" in site.seen("node1", "architecture")  # what was learned before counts
    assert "skipped" in site.seen("node1", "free-disk")
    assert "libvirt" in found["node2"]
    assert "systemctl restart libvirtd" in site.seen("node2", "libvirt")
