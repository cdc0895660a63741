"""What commands print on real hosts, as facts."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network

import pytest

from infra.doctor.facts import LinkKinds, Unknown
from infra.doctor.gather.commands import learned
from infra.doctor.parse import files, network, storage, system

UBUNTU = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n'
CGROUPS = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t106\t1\nblkio\t7\t88\t1\nmemory\t4\t2\t0\n"


def printed(**contents: str) -> files.Files:
    """Return what files hold, through the command's own form."""
    lines = [f"{path}:{line}" for path, text in contents.items() for line in text.splitlines()]
    return files.parse("\n".join(lines))


def host_files(**more: str) -> files.Files:
    return printed(
        **{
            "/etc/os-release": UBUNTU,
            "/proc/sys/kernel/osrelease": "6.8.0-45-generic",
            "/proc/sys/kernel/random/boot_id": "b1",
            "/proc/meminfo": "MemTotal:       131072 kB\nSwapTotal:  2048 kB\nHugePages_Total: 0\n",
            "/proc/cgroups": CGROUPS,
            "/sys/fs/cgroup/cgroup.controllers": "cpuset io memory pids",
            "/proc/sys/fs/inotify/max_user_instances": "128",
            **more,
        }
    )


def test_operating_system() -> None:
    found = system.system(
        host_files(
            **{
                "/sys/class/tpm/tpm0/tpm_version_major": "2",
                "/sys/class/dmi/id/sys_vendor": "Dell Inc.",
                "/sys/class/dmi/id/product_name": "AX-760",
            }
        ),
        "net:[4026531840]\n",
        frozenset({"/dev/kvm", "/sys/firmware/efi"}),
        True,
        frozenset({"docker"}),
    )
    assert (found.distribution, found.version, found.pretty_name) == ("ubuntu", "24.04", "Ubuntu 24.04.1 LTS")
    assert found.memory_bytes == 128 << 20
    assert (found.manufacturer, found.product) == ("Dell Inc.", "AX-760")
    assert found.identity == "b1/net:[4026531840]"
    assert (found.tpm_version, found.kvm_device, found.loop_control) == (2, True, False)
    assert found.cgroup_controllers == {"cpu", "cpuset", "io", "memory", "pids"}


def test_a_machine_without_firmware_tables() -> None:
    found = system.system(host_files(), "net:[1]", frozenset(), None, None)
    assert (found.manufacturer, found.product, found.tpm_version, found.uefi) == (None, None, None, False)


def test_processor_flat_and_nested() -> None:
    flat = [
        {"field": "Architecture:", "data": "x86_64"},
        {"field": "CPU(s):", "data": "64"},
        {"field": "Vendor ID:", "data": "GenuineIntel"},
        {"field": "Model name:", "data": "Xeon"},
        {"field": "Flags:", "data": "vmx ept"},
    ]
    nested = [flat[0], flat[1], {**flat[2], "children": [{**flat[3], "children": [flat[4]]}]}]
    for rows in (flat, nested):
        found = system.processor(json.dumps({"lscpu": rows}))
        assert (found.model, found.logical, found.hypervisor) == ("Xeon", 64, None)
        assert found.flags == {"vmx", "ept"}


def test_clock_is_compared_with_the_middle_of_the_question() -> None:
    found = system.clock("1005.500000000\n", 1000.0, 1001.0, None)
    assert (found.offset, found.uncertainty) == (5.0, 0.5)


def test_packages_installed_and_removed() -> None:
    assert system.packages("ovmf\tinstalled\nswtpm:amd64\tinstalled\nxfsprogs\tconfig-files\n") == {
        "ovmf",
        "swtpm",
    }


def test_units_that_run() -> None:
    shown = "Id=docker.service\nActiveState=active\n\nActiveState=inactive\nId=ufw.service\n"
    assert system.units(shown) == {"docker"}


def test_secure_boot_variable() -> None:
    assert system.efi_flag("   6   0   0   0   1\n")
    assert not system.efi_flag("   6   0   0   0   0\n")


ADDRESSES = [
    {"ifname": "lo", "flags": ["LOOPBACK", "UP", "LOWER_UP"], "mtu": 65536,
     "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}]},
    {},
    {"ifname": "eno1", "flags": ["BROADCAST", "UP"], "mtu": 1500, "master": "br0", "addr_info": [
        {"family": "inet6", "local": "fe80::1", "prefixlen": 64},
        {"family": "inet", "local": "192.0.2.11", "prefixlen": 24}]},
    {"ifname": "eno1.5", "link": "eno1", "flags": ["UP", "LOWER_UP"], "mtu": 1500,
     "linkinfo": {"info_kind": "vlan"}, "addr_info": []},
]  # fmt: skip
ROUTES = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eno1"},
    {"dst": "192.0.2.0/24", "dev": "eno1"},
    {"type": "blackhole", "dst": "10.9.0.0/16"},
    {
        "dst": "10.8.0.0/16",
        "nexthops": [{"gateway": "192.0.2.2", "dev": "eno1"}, {"gateway": "192.0.2.3", "dev": "eno2"}],
    },
]


def test_interfaces_routes_and_resolvers() -> None:
    contents = printed(
        **{
            "/sys/class/net/eno1/speed": "10000",
            "/run/systemd/resolve/resolv.conf": "# made\nnameserver 192.0.2.53\nsearch lab\n",
            "/etc/resolv.conf": "nameserver 127.0.0.53\n",
        }
    )
    wireless = frozenset({"/sys/class/net/eno1/phy80211"})
    found = network.network(json.dumps(ADDRESSES), json.dumps(ROUTES), contents, wireless)
    eno1, vlan = found.link("eno1"), found.link("eno1.5")
    assert eno1 is not None
    assert vlan is not None
    assert (eno1.speed, eno1.is_up, eno1.has_carrier, eno1.master, eno1.is_wireless) == (
        10000,
        True,
        False,
        "br0",
        True,
    )
    assert (vlan.kind, vlan.parent, vlan.speed) == ("vlan", "eno1", None)
    assert found.holder(IPv4Address("192.0.2.11")) is eno1
    assert found.default_devices == {"eno1"}
    assert [(one.destination, one.device) for one in found.routes[1:]] == [
        (IPv4Network("192.0.2.0/24"), "eno1"),
        (IPv4Network("10.8.0.0/16"), "eno1"),
        (IPv4Network("10.8.0.0/16"), "eno2"),
    ]
    assert found.resolvers == ("192.0.2.53",)


def test_kinds_of_interface_that_could_be_made() -> None:
    assert network.link_kinds('[{"ifname":"lo"},{"ifname":"azl0"},{"ifname":"azl2"}]') == LinkKinds(
        True, False, True
    )
    with pytest.raises(ValueError, match="not a list"):
        network.link_kinds("[]")


def test_firewall_by_nftables_and_by_iptables() -> None:
    chains = [
        {"metainfo": {"version": "1.0.6"}},
        {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
        {"chain": {"family": "ip6", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
        {"chain": {"family": "inet", "table": "fw", "name": "in", "hook": "input", "policy": "drop"}},
        {"chain": {"family": "ip", "table": "filter", "name": "DOCKER"}},
    ]
    contents = printed(
        **{"/proc/sys/net/bridge/bridge-nf-call-iptables": "1", "/proc/sys/net/ipv4/ip_forward": "0"}
    )
    found = network.firewall(json.dumps({"nftables": chains}), "", contents)
    assert (found.dropping, found.refusing) == (("ip filter FORWARD",), ("inet fw in",))
    assert (found.bridge_calls_iptables, found.forwards) == (True, False)
    legacy = network.firewall(None, "-P INPUT ACCEPT\n-P FORWARD DROP\n", printed())
    assert (legacy.dropping, legacy.refusing, legacy.bridge_calls_iptables) == (("iptables FORWARD",), (), False)


def test_storage() -> None:
    mounted = {"target": "/var/lib/azlocal", "source": "/dev/sdb", "fstype": "xfs", "size": 900, "avail": 800}
    root = {"target": "/", "source": "/dev/sda2", "fstype": "ext4", "size": 100, "avail": 50}
    mounts = [{**root, "children": [mounted]}]
    drives = [
        {"name": "sda", "type": "disk", "size": 100, "model": "A", "mountpoints": [None],
         "children": [{"name": "sda2", "type": "part", "size": 90, "mountpoints": ["/"]}]},
        {"name": "sr0", "type": "rom", "size": 1, "mountpoints": [None]},
    ]  # fmt: skip
    loops = {"loopdevices": [{"name": "/dev/loop0", "back-file": "/x.xfs (deleted)"}, {"name": "/dev/loop1"}]}
    found = storage.storage(
        json.dumps({"filesystems": mounts}), json.dumps({"blockdevices": drives}), json.dumps(loops)
    )
    assert [(one.name, one.mount_points) for one in found.disks] == [("sda", ("/",))]
    assert found.loop_files == (("/dev/loop0", "/x.xfs"),)
    for path, target in {
        "/var/lib/azlocal/lab": "/var/lib/azlocal",
        "/var/lib/azlocalx": "/",
        "/": "/",
    }.items():
        holding = found.holding(path)
        assert holding is not None
        assert holding.target == target


def test_no_loop_devices_and_no_drives() -> None:
    found = storage.storage('{"filesystems": []}', "", "\n")
    assert (found.disks, found.loop_files, found.holding("/var")) == ((), (), None)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"lscpu": [{"field": "CPU(s):", "data": "x"}]}', "no JSON"])
def test_what_cannot_be_read_is_unknown(text: str) -> None:
    found = learned(lambda: system.processor(text))
    assert isinstance(found, Unknown)
    assert "can't be read" in found.reason
