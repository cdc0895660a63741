"""Every rule is broken once, and the finding names the place."""

import re
from dataclasses import replace
from typing import Any

import pytest

from infra.plan.addresses import next_lock
from infra.plan.addresses.lock import Given, Lock
from infra.plan.rules import RULES
from tests.instances import (
    SIZES,
    checked_addresses,
    cluster,
    files,
    host,
    infrastructure,
    make_spec,
    network,
    spec_of,
)
from tests.plan.rules.network_cases import NETWORK_CASES
from tests.plan.rules.node_cases import NODE_CASES, NODE_SOUND
from tests.plan.rules.rule_cases import DHCP, INSTANCE_CASES, ONE, SOUND, balancer, pods, pool
from tests.plan.rules.site_cases import SITE_CASES, SITE_SOUND, direct, on_uplink

CASES = [*INSTANCE_CASES, *NETWORK_CASES, *NODE_CASES, *SITE_CASES]
ONE_OF_MANY = re.compile(
    r"(?<![\w.,:/-])1 ([a-z-]+ )?(addresses|machines|hosts|nodes|clusters|networks|services|zones|processors)\b"
)
MESH = {"transport": "vxlan"}
INSIDE = "qemu+ssh://root@192.168.1.11/system"
ALL_SOUND = [*SOUND, *NODE_SOUND, *SITE_SOUND]


@pytest.mark.parametrize(
    ("rule", "where", "instance"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_broken_rule_is_found_where_it_stands(rule: str, where: str, instance: dict[str, Any]) -> None:
    parts = dict(instance)
    lock = parts.pop("lock", None)
    plan = checked_addresses(make_spec(*parts.pop("clusters", ()), **parts), lock)
    found = [finding for finding in plan.findings if finding.rule == rule]
    assert found, [str(finding) for finding in plan.findings]
    assert where in [
        finding.path.partition(": ")[2].removeprefix("config.azlocal:") or finding.path for finding in found
    ]
    assert all(finding.message and finding.remedy for finding in found)
    assert not [one for one in plan.findings if ONE_OF_MANY.search(f"{one.message}; {one.remedy}")]
    assert plan.ok == all(one.severity != "error" for one in found), [str(one) for one in plan.findings]


def test_an_address_on_record_that_cannot_stay_is_refused() -> None:
    moved = Lock(given={(10 << 24) + 5: Given("lab/a-cp-0", "controlPlaneNode")})
    plan = checked_addresses(make_spec(ONE), moved)
    (finding,) = plan.findings
    assert finding.rule == "address-stranded"
    assert "a-cp-0 has 10.0.0.5, but it lies outside network aks" in finding.message


def test_every_rule_has_a_case() -> None:
    tested = {rule for rule, _, _ in CASES}
    assert {rule.id for rule in RULES if rule.part == "addresses"} - tested == set()


@pytest.mark.parametrize("instance", ALL_SOUND, ids=range(len(ALL_SOUND)))
def test_what_just_keeps_the_rules_breaks_none(instance: dict[str, Any]) -> None:
    parts = dict(instance)
    lock = parts.pop("lock", None)
    assert not checked_addresses(make_spec(*parts.pop("clusters", ()), **parts), lock).findings


def test_one_thing_described_twice_is_no_clash() -> None:
    spec = make_spec(
        infra=infrastructure(gateway="192.168.1.1", dnsServers=["192.168.1.1", "10.220.32.5"]),
        reservations=[{"address": "10.220.32.5", "owner": "dns"}, {"address": "192.168.1.1", "owner": "router"}],
    )
    assert not checked_addresses(spec).findings


def test_two_networks_may_share_one_subnet() -> None:
    spec = make_spec(
        cluster("a"),
        cluster("b", logicalNetwork="other"),
        networks=[network(), network("10.220.32.100", "10.220.32.120", name="other")],
    )
    plan = checked_addresses(spec)
    assert not plan.findings
    assert plan.addresses.network("other").allocations[0].address == "10.220.32.100"


@pytest.mark.parametrize(
    "parts",
    [
        {"clusters": [cluster(f"c{n}") for n in range(129)]},
        {"clusters": [cluster(agentPools=[pool(name=f"p{n}") for n in range(1025)])]},
        {"clusters": [balancer(*["10.0.0.0/8"] * 4097)]},
        {"hosts": [host(1)] * 257},
        {"networks": [network()] * 513},
        {"reservations": [{"address": "10.0.0.1", "owner": "x"}] * 16_385},
        {"networks": [network(ipPools=[{"start": "10.220.32.9", "end": "10.220.32.9"}] * 2049)]},
        {"networks": [network(dnsServers=["10.0.0.1"] * 1024)]},
        {"networks": [network(dhcpRanges=[DHCP] * 513)]},
        {"networks": [network(takenVrrpIds=[1] * 16_385)]},
        {"netplan": {"privateEndpoints": [{"name": "x", "privateIPAddress": "10.0.0.1"}] * 1025}},
        {"netplan": {"proxy": {"noProxy": ["x"] * 1025}}},
    ],
)
def test_beyond_reason_there_is_no_plan(parts: dict[str, Any]) -> None:
    rest = dict(parts)
    plan = checked_addresses(make_spec(*rest.pop("clusters", ()), **rest))
    assert [finding.rule for finding in plan.findings] == ["too-much-to-plan"]


def test_of_one_rule_the_first_two_hundred_faults_are_listed() -> None:
    outside = [{"address": f"10.0.{number // 200}.{number % 200}", "owner": "x"} for number in range(1000)]
    findings = checked_addresses(make_spec(reservations=outside)).findings
    assert len(findings) == 200 + 1
    assert "there is more of this" in findings[-1].message


def test_a_huge_load_balancer_range_ends_soon() -> None:
    plan = checked_addresses(make_spec(balancer("10.0.0.0/8")))
    assert not plan.ok


def test_the_sizes_of_the_helper_are_known() -> None:
    assert set(SIZES) <= set(spec_of(files()).vm_sizes())


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        ("10.220.32.*", "write 10.220.32.0/24"),
        ("10.*", "write 10.0.0.0/8"),
        ("10.220.32.0/255.255.255.0", "write 10.220.32.0/24"),
        ("https://x.example/y", "write x.example"),
        ("a.*.example", "write the end of the names, from its dot on: .example.com"),
        ("10.220.32.1-10.220.32.9", "write each address alone, or a prefix: 192.0.2.0/24"),
    ],
)
def test_an_entry_that_no_program_reads_is_told_as_it_is_read(entry: str, remedy: str) -> None:
    plan = checked_addresses(make_spec(**direct(entry)))
    (found,) = (one for one in plan.findings if one.rule == "no-proxy-without-effect")
    assert found.remedy == remedy


def test_what_two_sites_on_one_wire_give_out_both_is_named() -> None:
    plan = checked_addresses(make_spec(ONE))
    address = next(one.address for one in plan.addresses.network("aks").allocations if one.owner == "a-cp-0")
    ids = next(iter(next_lock(plan.addresses, Lock()).vrrp.items()))
    key = (ids[1].vlan, ids[1].number)
    neighbour = replace(on_uplink(key[0]), given={address: "dev/x-cp-0"}, vrrp_ids={key: "dev/x"})
    found = checked_addresses(make_spec(ONE, neighbours=[neighbour])).findings
    said = " ".join(one.message for one in found if one.rule == "uplink-of-another-site")
    assert f"VRRP id {key[1]} is {ids[0]}'s, and dev/x's there" in said
    everywhere = replace(on_uplink(110), given={address: "dev/x-cp-0"})
    found = checked_addresses(make_spec(ONE, neighbours=[everywhere])).findings
    (one,) = (one for one in found if one.rule == "uplink-of-another-site")
    assert f"{address} is lab/a-cp-0's, and dev/x-cp-0's there" in one.message


@pytest.mark.parametrize(
    ("rule", "instance"),
    [
        ("tunnel-address-clash", {"hosts": [host(1), host(2, tunnelAddress="192.0.2.1")], "netplan": MESH}),
        ("duplicate-connection", {"hosts": [host(1), host(2, connection=host(1)["connection"])]}),
        ("cidr-overlap", {"clusters": [pods("10.220.0.0/16")]}),
        ("cidr-overlap", {"clusters": [pods("192.168.0.0/16")], "hosts": [host(connection=INSIDE)]}),
    ],
)
def test_a_condition_is_said_by_one_rule(rule: str, instance: dict[str, Any]) -> None:
    plan = checked_addresses(make_spec(*instance.pop("clusters", ()), **instance))
    assert {one.rule for one in plan.findings if one.severity != "info"} == {rule}
