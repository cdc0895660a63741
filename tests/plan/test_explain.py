from typing import Any

import pytest

from infra.plan.addresses import Lock, next_lock, plan_addresses
from infra.plan.explain import explain
from infra.spec import SpecError
from tests.instances import checked_addresses, cluster, make_spec, network

A, B = cluster("a", workers=2, loadBalancer={"count": 2}), cluster("b")


def facts(query: str, *clusters: Any, lock: Lock | None = None, **parts: Any) -> list[tuple[str, str]]:
    spec = make_spec(*(clusters or (A, B)), **parts)
    lock = lock or Lock()
    return [fact for one in explain(query, spec, checked_addresses(spec, lock), lock) for fact in one.facts]


def lock_after(*clusters: Any) -> Lock:
    return next_lock(plan_addresses(make_spec(*clusters)), Lock())


def test_who_why_and_what_is_beside_it() -> None:
    said = dict(facts("10.220.32.20"))
    assert said["owner"] == "a-nodepool1-1"
    assert said["use"] == "workerNode of cluster a"
    assert said["why"] == "node 2 of 2 in pool nodepool1"
    assert said["placed by"].startswith("first choice: the lowest address of the pool")
    assert said["asked for in"] == "Pulumi.lab.yaml: clusters[0].agentPools[0]"
    assert said["lock"] == "netplans/s.lock.yaml has never given it out"
    assert said["network"] == "aks (10.220.32.0/24, VLAN 110)"
    assert said["pool"] == "10.220.32.18-10.220.32.37"
    assert said["below"] == "10.220.32.19 is a-nodepool1-0's (workerNode)"
    assert said["next free"] == "10.220.32.27 in the pool"


def test_a_name_is_its_address() -> None:
    assert facts("a-nodepool1-1") == facts("10.220.32.20")


def test_how_it_was_placed() -> None:
    lock = lock_after(A, B)
    assert dict(facts("a-cp-0", lock=lock))["placed by"].startswith("the lock: an address, once given, stays")
    assert (
        dict(facts("a-cp-0", lock=lock))["lock"]
        == "netplans/s.lock.yaml gives it to lab/a-cp-0 (controlPlaneNode)"
    )
    pin = [{"address": "10.220.32.30", "owner": "a-cp-0"}]
    pinned = dict(facts("a-cp-0", reservations=pin))
    assert pinned["placed by"].startswith("a pin")
    assert pinned["reservation"] == "netplans/s.yaml: reservations[0] pins a-cp-0 here"
    assert dict(facts("rb-spare"))["placed by"] == "adjacency: next to rb-0, as Azure Local asks"
    assert dict(facts("a-lb-0"))["placed by"].startswith("first choice: the first address behind the pools")
    assert dict(facts("10.220.32.5"))["placed by"].startswith("the files")
    assert dict(facts("10.220.32.5"))["written in"].startswith("netplans/s.yaml: logicalNetworks[0].dnsServers[0]")


def test_a_freed_address_knows_whose_it_was_and_when_it_is_used_again() -> None:
    spec = make_spec(A)
    lock = next_lock(plan_addresses(spec, lock_after(A, B)), lock_after(A, B))
    freed = dict(facts("10.220.32.23", A, lock=lock))
    assert freed["owner"] == "nobody"
    assert freed["lock"] == "netplans/s.lock.yaml: lab/b-cp-0 had it; number 1 of 4 freed ones in the queue"
    assert freed["can be given"] == "yes: number 12 of 15 that new machines get"
    back = dict(facts("b-cp-0", A, B, lock=lock))
    assert back["placed by"] == "the lock: it had this address before, and comes back to it"


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("10.220.32.0", "no: it is the network address of network aks"),
        ("10.220.32.255", "no: it is the broadcast address of network aks"),
        ("10.220.32.200", "to no machine: it lies outside the pools"),
        ("10.220.32.27", "yes: number 1 of 11"),
        ("172.16.0.1", "no: it lies in none of the netplan's networks"),
    ],
)
def test_whether_a_free_address_can_be_given(address: str, answer: str) -> None:
    assert dict(facts(address))["can be given"].startswith(answer)


def test_what_else_lies_there() -> None:
    inside = [text for about, text in facts("10.100.0.1") if about == "inside"]
    assert inside[0].startswith("serviceCidr 10.96.0.0/12 of cluster a")


def test_other_instances_are_named() -> None:
    lock = next_lock(plan_addresses(make_spec(A, name="other")), Lock())
    said = dict(facts("10.220.32.18", lock=lock))
    assert (said["owner"], said["placed by"]) == ("other/a-cp-0", "another instance of this site: other")


def test_a_cluster_lists_all_that_it_has() -> None:
    said = dict(facts("a"))
    assert said["needs"] == "5 of the pool, 0 VIP outside it, 2 for services"
    assert said["has"] == "10.220.32.18-10.220.32.22, 10.220.32.38-10.220.32.39"
    assert said["10.220.32.19"] == "a-nodepool1-0: node 1 of 2 in pool nodepool1"


def test_what_found_no_address_says_so() -> None:
    said = facts("b-vip", networks=[network(end="10.220.32.25")])
    assert ("address", "none: nothing was free where it has to be") in said


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(SpecError) as caught:
        facts("a-nodepol1-1")
    assert caught.value.findings[0].remedy.startswith("did you mean a-nodepool1-1")


@pytest.mark.parametrize(
    ("query", "remedy"),
    [
        ("A-CP-0", "did you mean a-cp-0?"),
        ("LAB-A-CP-0", "did you mean a-cp-0?"),
        (" a-cp-0", "did you mean a-cp-0?"),
        ("10.220.32.18:6443", "did you mean 10.220.32.18?"),
        ("10.220.32.18/24", "did you mean 10.220.32.18?"),
        ("::ffff:10.220.32.18", "did you mean 10.220.32.18?"),
        ("10.220.32.300", "`azlocal plan` lists every name and address"),
    ],
)
def test_what_is_nearly_a_name_or_an_address_is_suggested(query: str, remedy: str) -> None:
    with pytest.raises(SpecError) as caught:
        facts(query)
    assert caught.value.findings[0].remedy == remedy


def test_a_range_of_services_is_explained_by_its_name() -> None:
    ranged = cluster(loadBalancer={"addresses": ["10.220.32.50-10.220.32.52"]})
    assert ("owner", "a-lb-0") in facts("a-lb", ranged)


NAMED: dict[str, Any] = {
    "hosts": [
        {
            "name": "node1",
            "connection": "qemu+ssh://root@192.0.2.1/system",
            "managementAddress": "192.168.1.11",
            "tunnelAddress": "172.16.0.1",
            "uplink": "eno1",
        }
    ],
    "stack": {"arc": {"cloud": "emulator", "emulatorAddress": "192.168.1.9"}},
    "netplan": {
        "proxy": {"httpProxy": "http://10.220.32.90:3128"},
        "privateEndpoints": [{"name": "vault", "privateIPAddress": "10.77.0.4"}],
    },
    "networks": [network(dhcpRanges=[{"start": "10.220.32.100", "end": "10.220.32.200"}])],
    "reservations": [{"address": "10.220.32.91", "owner": "printer"}],
}


@pytest.mark.parametrize(
    ("address", "owner", "why"),
    [
        ("192.168.1.11", "node1", "the host's management address"),
        ("192.0.2.1", "node1", "ssh reaches the host here"),
        ("172.16.0.1", "node1", "the host's end of VXLAN tunnels"),
        ("192.168.1.9", "emulator", "the emulator"),
        ("10.220.32.90", "proxy", "the proxy"),
        ("10.77.0.4", "vault", "a private endpoint"),
        ("10.220.32.5", "dns", "DNS server of network aks"),
        ("10.220.32.1", "gateway", "default gateway of network aks"),
        ("10.220.32.150", "dhcp", "a DHCP server of network aks hands it out"),
        ("10.220.32.91", "printer", "reserved in the netplan"),
    ],
)
def test_every_address_that_a_file_names_is_somebodys(address: str, owner: str, why: str) -> None:
    said = dict(facts(address, **NAMED))
    assert (said["owner"], said["why"]) == (owner, why)
    assert said["placed by"].startswith("the files")
    assert "written in" in said


@pytest.mark.parametrize("name", ["lab-a-nodepool1-1", "lab/a-nodepool1-1"])
def test_a_machine_is_known_by_its_own_name(name: str) -> None:
    assert facts(name) == facts("a-nodepool1-1")


def test_a_pin_by_a_machines_own_name() -> None:
    pin = [{"address": "10.220.32.30", "owner": "lab-a-cp-0"}]
    pinned = dict(facts("lab-a-cp-0", reservations=pin))
    assert pinned["placed by"].startswith("a pin")
    assert pinned["reservation"] == "netplans/s.yaml: reservations[0] pins a-cp-0 here"
