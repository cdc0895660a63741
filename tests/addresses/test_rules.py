"""Every rule is broken once, and the finding names the place."""

from typing import Any

import pytest

from infra.addresses import plan_addresses
from infra.addresses.lock import Given, Lock
from infra.addresses.rules import RULES
from tests.addresses.network_cases import NETWORK_CASES
from tests.addresses.node_cases import NODE_CASES, NODE_SOUND
from tests.addresses.rule_cases import DHCP, INSTANCE_CASES, ONE, SOUND, balancer, pool
from tests.addresses.site_cases import SITE_CASES, SITE_SOUND
from tests.instances import SIZES, cluster, files, host, infrastructure, make_spec, network, spec_of

CASES = [*INSTANCE_CASES, *NETWORK_CASES, *NODE_CASES, *SITE_CASES]
ALL_SOUND = [*SOUND, *NODE_SOUND, *SITE_SOUND]


@pytest.mark.parametrize(
    ("rule", "where", "instance"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_broken_rule_is_found_where_it_stands(rule: str, where: str, instance: dict[str, Any]) -> None:
    parts = dict(instance)
    lock = parts.pop("lock", None)
    plan = plan_addresses(make_spec(*parts.pop("clusters", ()), **parts), lock)
    found = [finding for finding in plan.findings if finding.rule == rule]
    assert found, [str(finding) for finding in plan.findings]
    assert where in [
        finding.path.partition(": ")[2].removeprefix("config.azlocal:") or finding.path for finding in found
    ]
    assert all(finding.message and finding.remedy for finding in found)
    assert plan.ok == all(one.severity != "error" for one in found), [str(one) for one in plan.findings]


def test_an_address_on_record_that_cannot_stay_is_refused() -> None:
    moved = Lock(given={(10 << 24) + 5: Given("lab/a-cp-0", "controlPlaneNode")})
    plan = plan_addresses(make_spec(ONE), moved)
    (finding,) = plan.findings
    assert finding.rule == "address-stranded"
    assert "a-cp-0 has 10.0.0.5, but it lies outside network aks" in finding.message


def test_every_rule_has_a_case() -> None:
    tested = {rule for rule, _, _ in CASES}
    assert {rule.id for rule in RULES} - tested == set()


@pytest.mark.parametrize("instance", ALL_SOUND, ids=range(len(ALL_SOUND)))
def test_what_just_keeps_the_rules_breaks_none(instance: dict[str, Any]) -> None:
    parts = dict(instance)
    lock = parts.pop("lock", None)
    assert not plan_addresses(make_spec(*parts.pop("clusters", ()), **parts), lock).findings


def test_rules_have_one_id_each_a_source_and_a_sentence() -> None:
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids))
    assert all(rule.source and rule.check.__doc__ for rule in RULES)


def test_one_thing_described_twice_is_no_clash() -> None:
    spec = make_spec(
        infra=infrastructure(gateway="192.168.1.1", dnsServers=["192.168.1.1", "10.220.32.5"]),
        reservations=[{"address": "10.220.32.5", "owner": "dns"}, {"address": "192.168.1.1", "owner": "router"}],
    )
    assert not plan_addresses(spec).findings


def test_two_networks_may_share_one_subnet() -> None:
    spec = make_spec(
        cluster("a"),
        cluster("b", logicalNetwork="other"),
        networks=[network(), network("10.220.32.100", "10.220.32.120", name="other")],
    )
    plan = plan_addresses(spec)
    assert not plan.findings
    assert plan.network("other").allocations[0].address == "10.220.32.100"


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
    plan = plan_addresses(make_spec(*rest.pop("clusters", ()), **rest))
    assert [finding.rule for finding in plan.findings] == ["too-much-to-plan"]


def test_of_one_rule_the_first_two_hundred_faults_are_listed() -> None:
    outside = [{"address": f"10.0.{number // 200}.{number % 200}", "owner": "x"} for number in range(1000)]
    findings = plan_addresses(make_spec(reservations=outside)).findings
    assert len(findings) == 200 + 1
    assert "there is more of this" in findings[-1].message


def test_a_huge_load_balancer_range_ends_soon() -> None:
    plan = plan_addresses(make_spec(balancer("10.0.0.0/8")))
    assert not plan.ok


def test_the_sizes_of_the_helper_are_known() -> None:
    assert set(SIZES) <= set(spec_of(files()).vm_sizes())
