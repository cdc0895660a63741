"""Plans that reports are tested with."""

from dataclasses import replace
from typing import Any

from infra.plan.addresses import Lock, next_lock
from infra.plan.addresses.diff import Changes, compare
from infra.plan.instance import Plan
from infra.spec import Finding
from tests.instances import checked_addresses, cluster, host, make_spec, network

HOSTILE = "<script>alert(1)</script>\"'&`|*_@all [x](javascript:x)"


def lab(**parts: Any) -> Plan:
    """Return the plan of the documents' example."""
    a = cluster("a", planes=3, workers=5, loadBalancer={"addresses": ["10.220.32.47-10.220.32.49"]})
    return checked_addresses(make_spec(a, cluster("b", workers=3), **parts))


def grown() -> tuple[Plan, Changes]:
    """Return a plan and what differs from the one before: a pool grew, a cluster went."""
    before = lab()
    a = cluster("a", planes=3, workers=7, loadBalancer={"addresses": ["10.220.32.47-10.220.32.49"]})
    spec = make_spec(a)
    after = checked_addresses(spec, next_lock(before.addresses, Lock()))
    return after, compare(before.addresses, after.addresses, spec, "main")


def hostile() -> Plan:
    """Return a plan in which every text that people choose tries to break out."""
    name = HOSTILE.replace("/", "")
    plan = checked_addresses(
        make_spec(
            cluster(name, logicalNetwork=name, agentPools=[{"name": name, "count": 2}], loadBalancer={"count": 2}),
            hosts=[host(name=name)],
            networks=[network(name=name)],
            reservations=[{"address": "10.220.32.9", "owner": name}],
            name=name,
        )
    )
    finding = Finding(HOSTILE, "error", HOSTILE, HOSTILE, f"{HOSTILE}\n# {HOSTILE}")
    return replace(plan, findings=(*plan.findings, finding))


def large(clusters: int = 32, workers: int = 49) -> Plan:
    """Return a plan with thousands of nodes: four pools a cluster."""
    pools = [{"name": f"pool{index}", "count": workers} for index in range(4)]
    wanted = [cluster(f"c{index:02}", planes=3, agentPools=pools) for index in range(clusters)]
    wide = network("10.64.0.16", "10.64.63.250", addressPrefix="10.64.0.0/16", gateway="10.64.0.1")
    return checked_addresses(make_spec(*wanted, networks=[{**wide, "dnsServers": ["10.64.0.5"]}]))
