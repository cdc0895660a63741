from typing import Any

from infra.plan.addresses import AddressPlan, Lock, next_lock, plan_addresses
from infra.plan.addresses.diff import Changes, compare
from tests.instances import cluster, host, make_spec, network

A, B = cluster("a", planes=3, workers=3), cluster("b")


def changes(before: list[Any], after: list[Any], old: dict[str, Any], new: dict[str, Any]) -> Changes:
    first = plan_addresses(make_spec(*before, **old))
    spec = make_spec(*after, **new)
    return compare(first, plan_addresses(spec, next_lock(first, Lock())), spec, "HEAD")


def said(found: Changes) -> list[str]:
    return [f"{one.kind} {one.one.owner}: {one.why}" for one in found.changes]


def of(*clusters: Any, old: dict[str, Any] | None = None, **new: Any) -> list[str]:
    return said(changes([A, B], list(clusters), old or {}, new))


def test_nothing_differs() -> None:
    found = changes([A, B], [B, A], {}, {})
    assert (found.networks, found.changes) == ((), ())
    assert found.to_json() == {
        "against": "HEAD",
        "networks": [],
        "added": [],
        "removed": [],
        "moved": [],
        "changed": [],
        "machines": [],
        "clusters": [],
        "hosts": [],
    }


def test_a_cluster_comes_or_goes() -> None:
    assert of(A, B, cluster("c"))[:2] == ["added c-cp-0: new cluster c", "added c-nodepool1-0: new cluster c"]
    assert of(A) == [
        f"removed b-{name}: cluster b is gone; the address is freed, to be used again last"
        for name in ("cp-0", "nodepool1-0", "spare", "vip")
    ]


def test_a_pool_grows_shrinks_comes_and_goes() -> None:
    assert of(cluster("a", planes=3, workers=4), B) == [
        "added a-nodepool1-3: pool nodepool1 of cluster a grew from 3 to 4"
    ]
    assert of(cluster("a", planes=3, workers=2), B) == [
        "removed a-nodepool1-2: pool nodepool1 of cluster a shrank from 3 to 2; "
        "the address is freed, to be used again last"
    ]
    pools = [{"name": "nodepool1", "count": 3}, {"name": "gpu", "count": 1}]
    assert of({**A, "agentPools": pools}, B) == ["added a-gpu-0: new pool gpu of cluster a"]
    gone = changes([{**A, "agentPools": pools}], [A], {}, {})
    assert [one.why for one in gone.changes] == [
        "pool gpu of cluster a is gone; the address is freed, to be used again last"
    ]
    assert (
        of(cluster("a", planes=5, workers=3), B)[0] == "added a-cp-3: control plane of cluster a grew from 3 to 5"
    )


def test_a_pin_moves() -> None:
    pin = [{"address": "10.220.32.36", "owner": "b-cp-0"}]
    assert of(A, B, reservations=pin) == ["moved b-cp-0: pinned by a reservation"]
    given = {**B, "controlPlane": {"count": 1, "hostIP": "10.220.32.99"}}
    assert of(A, given) == ["moved b-vip: pinned by its hostIP"]


def test_hosts_and_reservations_are_the_files() -> None:
    assert of(A, B, hosts=[host(1), host(2)]) == ["added node2: new host"]
    assert of(A, B, reservations=[{"address": "10.220.32.9", "owner": "printer"}]) == [
        "added printer: new reservation"
    ]
    moved = of(A, B, networks=[network(gateway="10.220.32.254")])
    assert moved == ["moved gateway: the files say so"]
    dns = of(A, B, networks=[network(dnsServers=["10.220.32.1"])])
    assert dns == ["removed dns: DNS server is gone"]


def test_without_a_lock_the_reason_is_that() -> None:
    spec = make_spec(cluster("a", planes=3, workers=4), B)
    found = compare(plan_addresses(make_spec(A, B)), plan_addresses(spec), spec, "HEAD")
    assert "moved a-spare: its former address is a-nodepool1-3's now; no lock file held it" in said(found)
    assert said(found)[0].endswith("grew from 3 to 4; the address was a-spare's")


def test_networks_differ_themselves() -> None:
    wide = network("10.220.32.18", "10.220.32.60", vlan=7)
    other = network(
        "10.9.0.9", "10.9.0.20", name="other", addressPrefix="10.9.0.0/24", gateway="10.9.0.1", dnsServers=[]
    )
    found = changes([A, B], [A, B], {}, {"networks": [wide, other]})
    assert found.networks == (
        "network aks: VLAN 110, now 7",
        "network aks: 20 addresses in the pools, now 43",
        "new network other: 10.9.0.0/24",
    )
    assert said(found) == ["added gateway: new network other"]


def test_everything_is_new_without_an_older_plan() -> None:
    spec = make_spec(A)
    found = compare(AddressPlan("lab", ()), plan_addresses(spec), spec, "HEAD")
    assert len(found.changes) == sum(len(net.allocations) for net in plan_addresses(spec).networks)
    assert "added rb-0: new instance" in said(found)
