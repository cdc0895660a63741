"""What `plan --size` makes up fits the site: no finding blames anybody for a value that nobody wrote."""

import copy
import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infra.plan.addresses.lock import Given, Lock
from infra.plan.sizing import Sizing, size_instance
from infra.spec.hosts import HostsFile
from infra.spec.netplan import Netplan
from infra.spec.stack import StackConfig
from infra.spec.tree import Document
from tests.instances import cluster, files, host, network, write_files
from tests.plan.sizing.test_sizing import azlocal

DNS = ["192.168.1.4", "192.168.1.5"]


def sized(
    *clusters: dict[str, Any],
    hosts: list[dict[str, Any]] | None = None,
    netplan: dict[str, Any] | None = None,
    lock: Lock | None = None,
    **stack: Any,
) -> Sizing:
    content = files(clusters, hosts=hosts, stack=stack)
    return size_instance(
        "lab",
        StackConfig.model_validate(content["stack"]),
        Document("Pulumi.lab.yaml", None),
        HostsFile.model_validate(content["hosts"]) if hosts is not None else None,
        Netplan.model_validate(netplan) if netplan is not None else None,
        lock,
    )


def proposed(sizing: Sizing) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    assert sizing.ok, [str(one) for one in sizing.findings]
    assert sizing.netplan is not None
    return sizing.netplan["infrastructure"], sizing.netplan["logicalNetworks"]


def test_hosts_dns_servers_are_the_infrastructures() -> None:
    infrastructure, _ = proposed(sized(cluster(), hosts=[host(n, dnsServers=DNS) for n in (1, 2)]))
    assert infrastructure["dnsServers"] == DNS
    pool = infrastructure["pool"]
    given_out = range(int(IPv4Address(pool["start"])), int(IPv4Address(pool["end"])) + 1)
    assert not any(int(IPv4Address(one)) in given_out for one in DNS)
    assert infrastructure["gateway"] not in DNS


def test_hosts_that_differ_are_the_hosts_fault() -> None:
    sizing = sized(cluster(), hosts=[host(1, dnsServers=DNS), host(2, dnsServers=["192.168.1.9"])])
    (finding,) = [one for one in sizing.findings if one.severity == "error"]
    assert finding.path == "hosts/s.yaml: hosts[1].dnsServers"


def test_a_fault_of_hosts_dns_servers_stands_in_the_hosts_file() -> None:
    sizing = sized(cluster(), hosts=[host(1, dnsServers=["8.8.8.8"])])
    faults = [one for one in sizing.findings if "8.8.8.8" in one.message]
    assert faults
    assert {one.path for one in faults} == {"hosts/s.yaml: hosts[0].dnsServers"}


@pytest.mark.parametrize(
    "name", ["hyperconverged", "lowCapacity", "rackAware", "disaggregated", "resourceBridgeTest"]
)
def test_every_class_is_sized_before_there_are_hosts(name: str) -> None:
    clusters = [] if name == "resourceBridgeTest" else [cluster()]
    sizing = sized(*clusters, deploymentClass=name)
    proposed(sizing)
    assert sizing.hosts == {"lowCapacity": 3, "rackAware": 8, "disaggregated": 64}.get(name, 16)


def test_no_address_that_a_file_names_is_given_away() -> None:
    hosts = [
        host(1, managementAddress="192.168.1.11", connection="qemu+ssh://root@192.168.1.1/system"),
        host(2, managementAddress="192.168.1.12", tunnelAddress="192.168.1.2"),
    ]
    arc = {"cloud": "emulator", "emulatorAddress": "192.168.1.3"}
    infrastructure, _ = proposed(sized(cluster(), hosts=hosts, arc=arc))
    pool = infrastructure["pool"]
    held = {*range(int(IPv4Address(pool["start"])), int(IPv4Address(pool["end"])) + 1)}
    held.add(int(IPv4Address(infrastructure["gateway"])))
    named = ("192.168.1.1", "192.168.1.2", "192.168.1.3", "192.168.1.11", "192.168.1.12")
    assert not held & {int(IPv4Address(one)) for one in named}


def test_hosts_need_no_address_in_a_network_that_is_only_asked_for() -> None:
    hosts = [
        {"name": f"node{n}", "connection": f"qemu+ssh://root@node{n}/system", "uplink": "eno1"} for n in (1, 2)
    ]
    sizing = sized(cluster(), hosts=hosts)
    infrastructure, _ = proposed(sizing)
    assert sizing.networks[0].hosts == 2
    assert IPv4Network(infrastructure["addressPrefix"]).num_addresses >= 6 + 2 + 3


@pytest.mark.parametrize(
    "site",
    [
        {"hosts": [host(1, connection="qemu+ssh://root@192.168.1.21/system")]},
        {"hosts": [host(1, tunnelAddress="192.168.1.21")]},
        {"hosts": [host(1, connection="qemu+ssh://root@10.220.32.21/system")]},
        {"reservations": [{"address": "192.168.1.25", "owner": "printer"}]},
        {"clusters": [cluster(loadBalancer={"count": 256})]},
    ],
    ids=["connection", "tunnel", "logical", "divided", "services"],
)
def test_a_pool_that_is_there_and_can_not_be_kept_is_laid_out_anew(site: dict[str, Any]) -> None:
    content = files(**({"clusters": [cluster()]} | site))
    sizing = sized(*content["stack"]["clusters"], hosts=content["hosts"]["hosts"], netplan=content["netplan"])
    infrastructure, (logical,) = proposed(sizing)
    (pool,) = logical["ipPools"]
    assert {pool["start"], infrastructure["pool"]["start"]} != {"10.220.32.18", "192.168.1.20"}


def test_vlans_of_storage_and_of_others_are_left_alone() -> None:
    names = [f"n{number:03}" for number in range(200)]
    clusters = [cluster(f"c{number}", logicalNetwork=name) for number, name in enumerate(names[:30])]
    _, networks = proposed(sized(*clusters, deploymentClass="disaggregated"))
    assert len({one["vlan"] for one in networks}) == 30
    taken = network(name="other", vlan=110)
    _, networks = proposed(
        sized(cluster("a", logicalNetwork="mine"), netplan=files([], networks=[taken])["netplan"])
    )
    assert [(one["name"], one["vlan"]) for one in networks] == [("mine", 111), ("other", 110)]
    mine = IPv4Network(networks[0]["addressPrefix"])
    assert not mine.overlaps(IPv4Network("10.220.32.0/24"))


def test_addresses_that_people_chose_may_lie_where_storage_is() -> None:
    infrastructure, _ = proposed(sized(cluster(), hosts=[host(1, managementAddress="10.71.1.5")]))
    assert infrastructure["addressPrefix"].startswith("10.71.1.")
    _, (one,) = proposed(sized(cluster(controlPlane={"hostIP": "10.71.2.5"})))
    assert one["addressPrefix"].startswith("10.71.2.")


def test_hosts_that_name_no_dns_server_are_no_fault_of_a_proposal() -> None:
    proposed(sized(cluster(), hosts=[host(1, dnsServers=[])]))


def test_a_name_that_is_taken_is_all_that_is_said() -> None:
    rules = [one.rule for one in sized(cluster(logicalNetwork="infrastructure")).findings]
    assert rules == ["duplicate-name"]


def test_a_dynamic_network_is_proposed_static() -> None:
    standing = files([], networks=[network(ipAllocationMethod="Dynamic")])["netplan"]
    _, (one,) = proposed(sized(cluster(), hosts=[host(1)], netplan=standing))
    assert one["ipAllocationMethod"] == "Static"


def test_what_the_site_has_is_kept_where_it_has_room() -> None:
    standing = files([])["netplan"]
    sizing = sized(cluster(planes=3, workers=5), hosts=[host(1)], netplan=standing)
    infrastructure, networks = proposed(sizing)
    assert infrastructure == standing["infrastructure"]
    assert networks == [{"ipAllocationMethod": "Static"} | one for one in standing["logicalNetworks"]]
    small = copy.deepcopy(standing)
    small["logicalNetworks"][0]["ipPools"] = [{"start": "10.220.32.20", "end": "10.220.32.21"}]
    _, (grown,) = proposed(sized(cluster(planes=3, workers=5), hosts=[host(1)], netplan=small))
    assert (grown["addressPrefix"], grown["vlan"]) == ("10.220.32.0/24", 110)
    assert grown["dnsServers"] == ["10.220.32.5"]
    assert grown["ipPools"] != small["logicalNetworks"][0]["ipPools"]
    _, (moved,) = proposed(
        sized(*(cluster(f"c{n}", workers=60) for n in range(5)), hosts=[host(1)], netplan=small)
    )
    assert moved["addressPrefix"] != "10.220.32.0/24"
    assert moved["vlan"] == 110


def test_a_proxy_needs_no_exception_for_what_is_made_up() -> None:
    standing = files([])["netplan"]
    standing["logicalNetworks"] = []
    standing["proxy"] = {"httpProxy": "http://192.168.1.31:3128", "noProxy": ["192.168.1.0/24"]}
    sizing = sized(cluster(), hosts=[host(1)], netplan=standing)
    _, (made,) = proposed(sizing)
    assert sizing.netplan is not None
    assert sizing.netplan["proxy"]["noProxy"] == ["192.168.1.0/24", made["addressPrefix"]]
    standing["proxy"]["httpProxy"] = "http://me:geheim@proxy.example:3128"
    assert "geheim" not in json.dumps(sized(cluster(), hosts=[host(1)], netplan=standing).to_json())


def test_what_other_instances_have_is_not_given_away() -> None:
    lock = Lock(given={int(IPv4Address("10.220.32.18")): Given("ci/a-cp-0", "controlPlaneNode")})
    sizing = sized(cluster(workers=18), hosts=[host(1)], netplan=files([])["netplan"], lock=lock)
    _, (one,) = proposed(sizing)
    assert one["ipPools"][0]["start"] != "10.220.32.18"


def test_management_addresses_far_apart_are_the_hosts_fault() -> None:
    hosts = [host(1, managementAddress="10.1.1.1"), host(2, managementAddress="192.168.7.7")]
    (finding,) = [one for one in sized(cluster(), hosts=hosts).findings if one.rule == "no-layout"]
    assert finding.path == "hosts/s.yaml: hosts"


def test_the_command_reads_what_the_site_has(tmp_path: Path) -> None:
    content = files([cluster()], hosts=[host(n, dnsServers=DNS) for n in (1, 2)])
    content["netplan"]["infrastructure"]["dnsServers"] = DNS
    write_files(tmp_path, content)
    done = azlocal("-C", tmp_path, "plan", "lab", "--size", "--format", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["netplan"]["infrastructure"]["dnsServers"] == DNS
    (tmp_path / "netplans/s.yaml").write_text("nonsense: [")
    assert azlocal("-C", tmp_path, "plan", "lab", "--size").exit_code == 0


@settings(max_examples=60, deadline=None)
@given(
    addresses=st.lists(st.integers(1, 254), min_size=6, max_size=12, unique=True),
    servers=st.lists(st.integers(1, 254), min_size=1, max_size=3, unique=True),
    workers=st.integers(1, 64),
)
@example(addresses=[201, 193, 194, 1, 2, 3], servers=[1, 223], workers=1)  # a smallest prefix's broadcast address
@example(addresses=[201, 193, 194, 1, 2, 3], servers=[1, 222, 223], workers=1)  # beside another one
@example(addresses=[201, 193, 194, 1, 222, 223], servers=[1, 221], workers=1)
def test_hosts_anywhere_in_a_subnet_are_sized(addresses: list[int], servers: list[int], workers: int) -> None:
    half = len(addresses) // 2
    dns = [f"192.168.5.{one}" for one in servers if one not in addresses] or ["192.0.2.53"]
    hosts = [
        host(
            number,
            managementAddress=f"192.168.5.{first}",
            connection=f"qemu+ssh://root@192.168.5.{second}/system",
            dnsServers=dns,
        )
        for number, (first, second) in enumerate(zip(addresses[:half], addresses[half:], strict=False), 1)
    ]
    sizing = sized(cluster(workers=workers), hosts=hosts)
    assert not [str(one) for one in sizing.findings if one.severity == "error"]
