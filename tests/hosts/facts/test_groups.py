"""Facts that are put together of several answers."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from infra.hosts.facts import network, system
from infra.hosts.facts.files import Files
from infra.hosts.facts.network import Address, Link, Network, Route
from infra.hosts.facts.storage import FileSystem, Storage

UBUNTU = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n'
CGROUPS = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t106\t1\nblkio\t7\t88\t1\nmemory\t4\t2\t0\n"


def host_files(**more: str) -> Files:
    return {
        "/etc/os-release": UBUNTU,
        "/proc/sys/kernel/osrelease": "6.8.0-45-generic",
        "/proc/sys/kernel/random/boot_id": "b1",
        "/proc/meminfo": "MemTotal:       131072 kB\nSwapTotal:  2048 kB\nHugePages_Total: 0\n",
        "/proc/cgroups": CGROUPS,
        "/sys/fs/cgroup/cgroup.controllers": "cpuset io memory pids",
        "/proc/sys/fs/inotify/max_user_instances": "128",
        **more,
    }


def test_operating_system() -> None:
    hardware = {
        "/sys/class/tpm/tpm0/tpm_version_major": "2",
        "/sys/class/dmi/id/sys_vendor": "Dell Inc.",
        "/sys/class/dmi/id/product_name": "AX-760",
    }
    paths = frozenset({"/dev/kvm", "/sys/firmware/efi"})
    found = system.parse_system(host_files(**hardware), "net:[4026531840]", paths, True, frozenset({"docker"}))
    assert (found.distribution.id, found.distribution.version) == ("ubuntu", "24.04")
    assert found.distribution.name == "Ubuntu 24.04.1 LTS"
    assert found.memory_bytes == 128 << 20
    assert (found.manufacturer, found.product) == ("Dell Inc.", "AX-760")
    assert found.identity == "b1/net:[4026531840]"
    assert (found.tpm_version, found.kvm_device, found.loop_control) == (2, True, False)
    assert found.cgroup_controllers == {"cpu", "cpuset", "io", "memory", "pids"}


def test_a_machine_without_firmware_tables() -> None:
    found = system.parse_system(host_files(), "net:[1]", frozenset(), None, None)
    assert (found.manufacturer, found.product, found.tpm_version, found.uefi) == (None, None, None, False)


def test_speed_and_wifi_of_the_interface_that_was_asked_for() -> None:
    files = {"/sys/class/net/eno1/speed": "10000", "/sys/class/net/eno2/speed": "-1"}
    there = frozenset({"/sys/class/net/eno1/phy80211"})
    found = list(network.with_hardware([Link("eno1"), Link("eno2"), Link("eno3")], files, there))
    assert [(link.speed, link.is_wireless) for link in found] == [(10000, True), (None, False), (None, False)]


def test_resolvers_of_systemd_stand_for_its_stub() -> None:
    stub = {"/etc/resolv.conf": "nameserver 127.0.0.53\n"}
    real = {"/run/systemd/resolve/resolv.conf": "# made\nnameserver 192.0.2.53\nsearch lab\n"}
    assert network.resolvers(stub | real) == ("192.0.2.53",)
    assert network.resolvers(stub) == ("127.0.0.53",)
    assert network.resolvers({}) == ()


def test_firewall_with_the_kernels_switches() -> None:
    files = {"/proc/sys/net/bridge/bridge-nf-call-iptables": "1", "/proc/sys/net/ipv4/ip_forward": "0"}
    found = network.firewall((("ip filter FORWARD",), ()), files)
    assert (found.dropping, found.bridge_calls_iptables, found.forwards) == (("ip filter FORWARD",), True, False)
    assert not network.firewall(((), ()), {}).bridge_calls_iptables


def test_which_interface_has_an_address_and_which_ones_the_default_route() -> None:
    addresses = (Address("fe80::1/64", is_global=False), Address("192.0.2.11/24"))
    eno1 = Link("eno1", addresses=addresses)
    routes = (Route(IPv4Network("0.0.0.0/0"), "eno1"), Route(IPv4Network("10.0.0.0/8"), "eno2"))
    found = Network((Link("lo"), eno1), routes, ())
    assert found.holder(IPv4Address("192.0.2.11")) is eno1
    assert found.default_devices == {"eno1"}
    assert eno1.global_addresses == addresses[1:]


def test_the_file_system_that_holds_a_path() -> None:
    root = FileSystem("/", "/dev/sda2", "ext4", 100, 50)
    own = FileSystem("/var/lib/azlocal", "/dev/sdb", "xfs", 900, 800)
    storage = Storage((), (root, own), ())
    expected = {"/var/lib/azlocal/lab": own, "/var/lib/azlocalx": root, "/": root}
    assert {path: storage.holding(path) for path in expected} == expected
    assert Storage((), (), ()).holding("/var") is None
