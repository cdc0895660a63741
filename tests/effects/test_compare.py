"""What `plan --against` says of a machine is what the plugin answers to the engine's diff of the same inputs."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from infra.effects.compare import compare_records
from infra.effects.later import ASKED, LATER
from infra.effects.older import Older, effects_of
from infra.effects.records import CONNECTION, MACHINE, Record, records_of
from infra.errors import UserError
from infra.kvm.connection import Hosts
from infra.plan.addresses import Lock, next_lock
from infra.plan.effects import EffectKind, Effects
from infra.plan.host_networks import bridge_name
from infra.plan.instance import plan_instance
from infra.plan.locks import Locks
from infra.plan.placement import PlacementLock
from infra.plugin.operation import Operation
from infra.plugin.values import UNKNOWN
from infra.provider.kinds.machine import MachineKind
from infra.provider.lives import Lives
from infra.resources import machine
from infra.resources.changes import diff
from infra.resources.connected_cluster import CONNECTED_CLUSTER
from infra.resources.contract import OnChange
from infra.resources.node_placement import NodePlacementInputs, Spare
from tests.instances import cluster, files, host, network, spec_of
from tests.provider.conftest import MemoryLog

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8Ht8Z3j6yDWPBHQtOp/R9rjWfvMo3MSA/K6q8D86mE"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG9iX1n8Yv9kC2r9sD7m2wqT0m5vN1uY3p4xZ6bB7cD8 me"
Content = dict[str, Any]
Edit = Callable[[Content], None]


def instance() -> Content:
    """Return the files of an instance of a built cluster, one of bare machines, and a resource bridge."""
    content = files(
        [cluster("a", workers=2), cluster("b", provisioning="machines")],
        hosts=[host(n, memoryGiB=128, cpus=32) for n in (1, 2)],
        stack={"sshPublicKeys": [KEY], "machineType": "vm"},
    )
    return copy.deepcopy(content)


def pool(content: Content, index: int = 0) -> Content:
    found: Content = content["stack"]["clusters"][index]["agentPools"][0]
    return found


def both(
    edit: Edit, start: Edit | None = None, *, use_lock: bool = True
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Return the records before and after an edit; what the plan before decided stays, as with its locks."""
    content = instance()
    if start:
        start(content)
    spec = spec_of(content)
    plan = plan_instance(spec)
    assert plan.ok, [str(one) for one in plan.findings]
    lock = next_lock(plan.addresses, Lock())
    placed = PlacementLock().record(spec.name, plan.placement.places())
    changed = copy.deepcopy(content)
    edit(changed)
    after = spec_of(changed)
    found = plan_instance(after, Locks(lock, placed) if use_lock else None)
    assert found.ok, [str(one) for one in found.findings]
    before, now = records_of(spec, plan), records_of(after, found)
    assert before is not None
    assert now is not None
    return before, now


def effects(edit: Edit, start: Edit | None = None) -> Effects:
    return compare_records(*both(edit, start))


def said(found: Effects) -> dict[str, EffectKind]:
    return {one.name: one.kind for one in found.machines}


# what is edited; what becomes of a-cp-0, a worker of a, the machines of b, and rb-0; None: nothing
TABLE: dict[str, tuple[Edit, tuple[str | None, str | None, str | None, str | None]]] = {
    "nothing": (lambda c: None, (None, None, None, None)),
    "a DNS server": (
        lambda c: c["netplan"]["logicalNetworks"][0].update(dnsServers=["10.220.32.9"]),
        ("replaced", "replaced", "replaced", None),
    ),
    "the infrastructure's DNS server": (
        lambda c: c["netplan"]["infrastructure"].update(dnsServers=["192.168.1.9"]),
        (None, None, None, "replaced"),
    ),
    "podCidr": (
        lambda c: c["stack"]["clusters"][0].update(networkProfile={"podCidr": "10.60.0.0/16"}),
        ("refused", None, None, None),
    ),
    "the version": (
        lambda c: c["stack"]["clusters"][0].update(kubernetesVersion="1.32.9"),
        ("refused", "refused", None, None),
    ),
    "vmSize of a pool": (
        lambda c: pool(c).update(vmSize="Standard_D4s_v3"),
        (None, "restarted", None, None),
    ),
    "vmSize of a control plane": (
        lambda c: c["stack"]["clusters"][0]["controlPlane"].update(vmSize="Standard_D4s_v3"),
        ("restarted", None, None, None),
    ),
    "labels": (lambda c: pool(c).update(nodeLabels={"tier": "web"}), (None, "patched", None, None)),
    "taints": (lambda c: pool(c).update(nodeTaints=["a=b:NoSchedule"]), (None, "patched", None, None)),
    "maxPods": (lambda c: pool(c).update(maxPods=50), (None, "patched", None, None)),
    "login keys": (
        lambda c: c["stack"].update(sshPublicKeys=[OTHER_KEY]),
        ("patched", "patched", "patched", "patched"),
    ),
    "login keys that are no longer named": (
        lambda c: c["stack"].pop("sshPublicKeys"),
        ("patched", "patched", "patched", "patched"),
    ),
    "labels, and a DNS server": (
        lambda c: c["netplan"]["logicalNetworks"][0].update(
            dnsServers=pool(c).update(nodeLabels={"example.com/tier": "web"}) or ["10.220.32.9"]
        ),
        ("replaced", "replaced", "replaced", None),
    ),
    "taints, and vmSize": (
        lambda c: pool(c).update(nodeTaints=["a=b:NoSchedule"], vmSize="Standard_D4s_v3"),
        (None, "restarted", None, None),
    ),
    "machineType": (
        lambda c: c["stack"].update(machineType="container"),
        ("replaced", "replaced", "replaced", "replaced"),
    ),
    "the node image": (
        lambda c: c["stack"].update(nodeImage="plain"),
        (None, None, "replaced", "replaced"),
    ),
    "Kubernetes on bare machines": (
        lambda c: c["stack"]["clusters"][1].update(provisioning="kubernetes"),
        (None, None, "replaced", None),
    ),
}
NAMES = ("a-cp-0", "a-nodepool1-0", "b-nodepool1-0", "rb-0")


def bare(content: Content) -> None:
    """Make both clusters bare machines, which alone a plain image can hold."""
    for one in content["stack"]["clusters"]:
        one["provisioning"] = "machines"


@pytest.mark.parametrize("name", TABLE)
def test_what_becomes_of_machines(name: str) -> None:
    edit, wanted = TABLE[name]
    if name == "the node image":
        found = said(effects(edit, bare))
        assert set(found.values()) == {"replaced"}
        return
    found = said(effects(edit))
    assert tuple(found.get(one) for one in NAMES) == wanted


def told(value: Any, names: Mapping[str, Any]) -> Any:
    """Return an input as the program tells it once hosts were looked at."""
    if isinstance(value, Mapping):
        if LATER in value:
            return names.get(value[LATER], value.get(ASKED, value[LATER]))
        return {key: told(inner, names) for key, inner in value.items()}
    return value


def as_told(one: Record) -> dict[str, Any]:
    seen = {f"host node{number}": True for number in (1, 2)} | {"the login keys": [OTHER_KEY]}
    return {machine.MACHINE.wire_names[name]: told(value, seen) for name, value in one.inputs.items()}


class Sound:
    """A cluster that lets any machine leave."""

    def objections(self, op: object, leaver: object, reason: str) -> str:
        return ""

    def pods_on(self, name: str) -> int:
        return 1

    def local_volumes(self, name: str) -> list[object]:
        return []


def clusters_that_stay() -> Lives:
    """Return the instance's clusters, each with the spare that the plan has for it."""
    lives = Lives()
    for name in ("a", "b"):
        spare = Spare(name=f"lab-{name}-spare", address="10.220.32.99/24", mac_address="02:00:00:00:00:09")
        planes = {f"lab-{name}-cp-0": "10.220.32.10"}
        lives.announce(
            NodePlacementInputs(
                instance="lab",
                cluster=name,
                kubeconfig="",
                hosts={},
                control_planes=planes,
                spare=spare,
                surging={f"lab-{name}-nodepool1-{number}": "nodepool1" for number in range(2)},
            )
        )
        run = lives.of(f"lab-{name}")
        assert run is not None
        run.__dict__["life"] = Sound()
    return lives


def answer(old: dict[str, Any], new: dict[str, Any]) -> tuple[str | None, str]:
    """Return what the plugin makes of a machine that stands as `old` says, and that is to be as `new` says."""
    kind = MachineKind(Hosts(), lives=clusters_that_stay())
    checked = []
    for inputs in (old, new):
        found, faults = kind.contract.check(inputs, frozenset())
        assert not faults, [fault.reason for fault in faults]
        assert not kind.check(found, frozenset())
        checked.append(found)
    changes = diff(kind.contract, *checked)
    if not changes.by_path:
        return None, ""
    log = MemoryLog()
    op = Operation("urn:pulumi:lab::azlocal::azlocal:index:Machine::x", log, threading.Event())
    try:
        kind.refine({**checked[0], "uuid": "u", "sshHostKey": "k"}, checked[1], changes, op)
    except UserError as error:
        return "refused", str(error)
    text = "; ".join(line for kind_of_line, line in log.lines if kind_of_line != "status")
    if changes.replaces():
        return ("moved" if old["connection"] != new["connection"] else "replaced"), text
    if not changes.by_path:
        return "kept", text
    return ("restarted" if " restarts for " in text else "patched"), text


def moved(content: Content) -> None:
    """Pin what is on one host to the other."""
    content["stack"]["placement"] = {"pins": {"a-nodepool1-0": "node2", "rb-0": "node2"}}


def stay(content: Content) -> None:
    content["stack"]["placement"] = {"pins": {"a-nodepool1-0": "node1", "rb-0": "node1"}}


MORE: dict[str, tuple[Edit, Edit | None]] = {
    "a move": (moved, stay),
    "a smaller disk": (
        lambda c: c["hosts"]["vmSizes"]["Small"].update(diskGiB=16),
        lambda c: pool(c).update(vmSize="Small"),
    ),
    "a larger disk": (
        lambda c: c["hosts"]["vmSizes"]["Small"].update(diskGiB=30),
        lambda c: pool(c).update(vmSize="Small"),
    ),
    "containers": (
        lambda c: pool(c).update(vmSize="Standard_D4s_v3"),
        lambda c: c["stack"].update(machineType="container"),
    ),
    "the gateway": (lambda c: c["netplan"]["logicalNetworks"][0].update(gateway="10.220.32.2"), None),
}


@pytest.mark.parametrize("name", [*TABLE, *MORE])
def test_the_plugin_answers_the_same(name: str) -> None:
    edit, start = MORE[name] if name in MORE else (TABLE[name][0], bare if name == "the node image" else None)
    before, after = both(edit, start)
    found = {one.name: one for one in compare_records(before, after).machines}
    olds = {one.name: one for one in before if one.type == MACHINE}
    news = {one.name: one for one in after if one.type == MACHINE}
    assert olds.keys() == news.keys()
    for one in olds:
        kind, text = answer(as_told(olds[one]), as_told(news[one]))
        mine = found.get(one)
        assert (mine.kind if mine else None) == kind, (one, text)
        if mine is not None:
            # A container has no firmware: what it had as a VM is among the causes, once that is known.
            assert mine.then == text.replace(", seedDigest", "").replace(", secureBoot, tpm", ""), one


def test_a_control_plane_that_goes_gives_up_its_vote_first() -> None:
    found = effects(
        lambda c: c["stack"]["clusters"][0]["controlPlane"].update(count=1),
        lambda c: c["stack"]["clusters"][0]["controlPlane"].update(count=3),
    )
    assert said(found) == {"a-cp-1": "removed", "a-cp-2": "removed"}
    then = {effect.then for effect in found.machines}
    assert then == {"it is drained, and gives up its vote in etcd; then its disk goes with it"}
    assert [(effect.kind, effect.name) for effect in found.clusters] == [("patched", "a")]


def test_of_three_control_planes_each_is_replaced_in_turn_and_a_single_one_is_not() -> None:
    def three(content: Content) -> None:
        content["stack"]["clusters"][0]["controlPlane"].update(count=3)

    def other_servers(content: Content) -> None:
        content["netplan"]["logicalNetworks"][0].update(dnsServers=["10.220.32.9"])

    def three_with_other_servers(content: Content) -> None:
        three(content)
        other_servers(content)

    changed = effects(three_with_other_servers, three)
    plane = next(effect for effect in changed.machines if effect.name == "a-cp-0")
    assert plane.kind == "replaced"
    assert plane.then.endswith("it leaves etcd and joins again from an empty disk, one control plane at a time")
    alone = next(effect for effect in effects(other_servers).machines if effect.name == "a-cp-0")
    assert alone.kind == "replaced"
    assert "another control plane joins at the cluster's spare address first" in alone.then

    def other_version(content: Content) -> None:
        three(content)
        content["stack"]["clusters"][0].update(kubernetesVersion="1.32.9")

    version = effects(other_version, three)
    assert next(effect for effect in version.machines if effect.name == "a-cp-0").kind == "refused"


def test_to_the_next_version_every_node_is_replaced_the_only_control_plane_by_way_of_the_spare() -> None:
    def version(version: str) -> Edit:
        return lambda c: c["stack"]["clusters"][0].update(kubernetesVersion=version)

    found = {effect.name: effect for effect in effects(version("1.34.4"), version("1.33.5")).machines}
    assert {name: effect.kind for name, effect in found.items()} == {
        "a-cp-0": "replaced",
        "a-nodepool1-0": "replaced",
        "a-nodepool1-1": "replaced",
    }
    assert "another control plane joins at the cluster's spare address first" in found["a-cp-0"].then
    assert "after the control planes, drained, at its address" in found["a-nodepool1-0"].then
    passed = {effect.name: effect for effect in effects(version("1.34.4"), version("1.32.9")).machines}
    assert "once more for 1.33 before, in a run of `azlocal up` each" in passed["a-cp-0"].then
    assert "1.33" not in passed["a-nodepool1-0"].then


def test_a_machine_is_patched_with_what_differs() -> None:
    def edit(content: Content) -> None:
        pool(content).update(
            nodeLabels={"example.com/tier": "db", "a": "b"}, nodeTaints=["x:NoExecute"], maxPods=50
        )
        content["stack"].update(sshPublicKeys=[OTHER_KEY])

    def start(content: Content) -> None:
        pool(content).update(nodeLabels={"example.com/tier": "web", "c": "d"}, nodeTaints=["x=y:NoExecute"])

    patched = {effect.name: effect.then for effect in effects(edit, start).machines}
    assert patched["rb-0"] == "lab-rb-0 is patched as it runs: login keys"
    assert patched["a-nodepool1-0"] == (
        "lab-a-nodepool1-0 is patched as it runs: login keys, label a none → b, label c d → none, label "
        "example.com/tier web → db, taint x=y:NoExecute goes, taint x:NoExecute comes, maxPods 110 → 50"
    )


def test_a_control_plane_goes_to_another_version_before_its_login_keys_change() -> None:
    def edit(content: Content) -> None:
        content["stack"]["clusters"][0].update(kubernetesVersion="1.34.4")
        content["stack"].update(sshPublicKeys=[OTHER_KEY])

    changed = effects(edit, lambda c: c["stack"]["clusters"][0].update(kubernetesVersion="1.33.5"))
    refused = {effect.name: effect.then for effect in changed.machines if effect.kind == "refused"}
    assert [*refused] == ["a-cp-0"]
    assert "its login keys change: make one change after the other" in refused["a-cp-0"]


def test_machines_and_clusters_come_and_go_for_a_reason() -> None:
    found = effects(lambda c: pool(c).update(count=3))
    assert [(one.kind, one.name, one.why) for one in found.machines] == [
        ("added", "a-nodepool1-2", "pool nodepool1 of cluster a grew from 2 to 3")
    ]
    assert [(one.kind, one.why) for one in found.clusters] == [("patched", "1 machine added")]
    found = effects(lambda c: c["stack"]["clusters"].pop())
    assert said(found) == {"b-cp-0": "removed", "b-nodepool1-0": "removed"}
    assert [(one.kind, one.why) for one in found.clusters] == [("removed", "cluster b is gone")]
    found = effects(lambda c: c["stack"]["clusters"].append(cluster("c")))
    assert [(one.kind, one.why) for one in found.clusters] == [("added", "new cluster c")]


def test_a_new_endpoint_is_another_cluster_which_is_refused() -> None:
    before, after = both(
        lambda c: c["stack"]["clusters"][0]["controlPlane"].update(hostIP="10.220.32.101"),
        lambda c: c["stack"]["clusters"][0]["controlPlane"].update(hostIP="10.220.32.100"),
        use_lock=False,  # the address was released
    )
    found = compare_records(before, after)
    assert said(found) == {"a-cp-0": "refused", "a-nodepool1-0": "replaced", "a-nodepool1-1": "replaced"}
    settings = {one.name: (one.before, one.after) for one in found.machines[0].settings}
    assert settings["hostIP"] == ("10.220.32.100", "10.220.32.101")


def test_a_cluster_is_patched_for_what_is_in_it() -> None:
    def edit(content: Content) -> None:
        one = content["stack"]["clusters"][0]
        one["loadBalancer"] = {"addresses": ["10.220.32.60-10.220.32.62"]}
        one["addOns"] = {"metallb": {"values": {"password": "geheim"}}}
        one["arc"] = {"tags": {"a": "b"}, "location": "westeurope"}

    def start(content: Content) -> None:
        content["stack"]["arc"] = {"cloud": "emulator", "emulatorAddress": "192.0.2.200"}

    before, after = both(edit, start)
    found = compare_records(before, after)
    assert not found.machines
    (one,) = found.clusters
    assert (one.kind, one.name) == ("patched", "a")
    assert {setting.name for setting in one.settings} == {
        "loadBalancer",
        "addOns.metallb",
        "arc.tags.a",
        "arc.location",
    }
    assert "replaced for arc.location" in one.then
    assert "geheim" not in str([record.to_json() for record in after])


def test_pod_security_of_a_cluster_that_stands_is_kept() -> None:
    (one,) = effects(lambda c: c["stack"]["clusters"][0].update(podSecurity="restricted")).clusters
    assert (one.kind, one.why) == ("kept", "podSecurity baseline → restricted")
    assert one.then == "the cluster keeps podSecurity baseline, which it was founded with"


def test_how_machines_run_may_turn_out_the_same() -> None:
    found = effects(lambda c: c["stack"].update(machineType="vm"), lambda c: c["stack"].update(machineType="auto"))
    assert said(found)["rb-0"] == "replaced"
    (setting,) = next(one for one in found.machines if one.name == "rb-0").settings
    assert (setting.name, setting.before, setting.after) == ("machineType", "auto", "vm")
    assert not effects(lambda c: None, lambda c: c["stack"].update(machineType="auto")).machines


def test_a_record_of_an_older_version_that_lacks_an_input_differs_in_nothing() -> None:
    before, after = both(lambda c: None)
    older = [
        Record(one.type, one.name, {key: value for key, value in one.inputs.items() if key != "tpm"}, one.about)
        for one in before
    ]
    assert compare_records(older, after) == Effects()


def test_a_record_that_spells_out_what_this_version_leaves_to_its_default_differs_in_nothing() -> None:
    before, after = both(lambda c: None)
    older = copy.deepcopy(before)
    nodes = [
        record.inputs["first_boot"]["node"]
        for record in older
        if record.type == MACHINE and record.about["cluster"] == "a"
    ]
    left_out = [node for node in nodes if "labels" not in node]
    for node in left_out:
        node |= {"labels": {}, "taints": []}
    assert left_out
    assert compare_records(older, after) == Effects()


def test_nothing_that_a_machine_is_told_is_missing_in_its_record() -> None:
    before, _ = both(lambda c: None)
    names = {name for one in before if one.type == MACHINE for name in one.inputs}
    derived = {"seed_digest", "running"}
    declared = {
        name
        for name, prop in zip(machine.MachineInputs.model_fields, machine.MACHINE.properties.values(), strict=True)
        if prop.on_change is not OnChange.IGNORE
    }
    assert declared - derived <= names
    assert UNKNOWN not in str(before)


def test_networks_of_a_cluster_can_change_without_its_machines() -> None:
    other = network(
        "10.9.0.10", "10.9.0.20", name="other", vlan=7, addressPrefix="10.9.0.0/24", gateway="10.9.0.1"
    )
    found = effects(lambda c: c["netplan"]["logicalNetworks"].append(other))
    assert (found.machines, found.clusters) == ((), ())
    bridge = bridge_name("lab", "other")
    assert {one.why for one in found.hosts} == {f"bridges none → {bridge} (VLAN 7)"}


def test_a_network_that_is_made_anew_takes_its_machines_with_it() -> None:
    """The engine removes it first, and before that what is on it."""

    def alone(content: Content) -> None:
        content["hosts"]["hosts"] = [{"name": "here", "connection": "qemu:///system"}]

    found = effects(lambda c: c["netplan"]["logicalNetworks"][0].update(gateway="10.220.32.2"), alone)
    (worker,) = [one for one in found.machines if one.name == "b-nodepool1-0"]
    assert worker.kind == "replaced"
    assert ("network", "lab-aks", "replaced") in {(one.name, one.before, one.after) for one in worker.settings}


def test_a_mesh_whose_gateway_moves_keeps_its_machines() -> None:
    found = effects(
        lambda c: c["netplan"].update(gatewayHost="node2"), lambda c: c["netplan"].update(transport="vxlan")
    )
    assert set(said(found).values()) == {"patched"}


def test_another_uplink_changes_its_host_and_no_machine() -> None:
    found = effects(lambda c: c["hosts"]["hosts"][0].update(uplink="eno2"))
    assert (found.machines, found.clusters) == ((), ())
    assert [(one.kind, one.name, one.why) for one in found.hosts] == [("patched", "node1", "uplink eno1 → eno2")]


def test_another_vlan_is_another_bridge_on_each_host() -> None:
    found = effects(lambda c: c["netplan"]["logicalNetworks"][0].update(vlan=120))
    assert [(one.kind, one.name) for one in found.hosts] == [("patched", "node1"), ("patched", "node2")]
    assert found.hosts[0].why == "bridges azl-lab-aks (VLAN 110) → azl-lab-aks (VLAN 120)"


def test_another_folder_is_another_host_with_other_machines_and_the_folder_is_the_reason() -> None:
    found = effects(lambda c: c["hosts"]["hosts"][0].update(storageDirectory="/srv/azl"))
    why = "storageDirectory /var/lib/azlocal/lab → /srv/azl/lab"
    assert [(one.kind, one.name, one.why) for one in found.hosts] == [("replaced", "node1", why)]
    assert found.machines
    assert {one.why for one in found.machines} == {
        why.replace("storageDirectory", "storageDirectory of host node1")
    }
    assert {one.kind for one in found.machines} <= {"replaced", "refused"}


def test_hosts_come_and_go() -> None:
    found = effects(lambda c: c["hosts"]["hosts"].append(host(3, memoryGiB=128, cpus=32)))
    assert [(one.kind, one.name, one.why) for one in found.hosts] == [("added", "node3", "new host node3")]


SCOPE = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.HybridCompute"
# a setting of `arc:`, of the stack or of cluster a; whether Azure's resource is replaced for it
ARC_SETTINGS: dict[str, tuple[Edit, bool]] = {
    "arc.location": (lambda c: c["stack"].update(location="westeurope"), True),
    "arc.name": (lambda c: of_a(c).update(name="other"), True),
    "arc.infrastructure": (lambda c: of_a(c).update(infrastructure="generic"), True),
    "arc.subscriptionId": (
        lambda c: c["stack"]["arc"].update(subscriptionId=SCOPE.split("/")[2][:-1] + "9"),
        True,
    ),
    "arc.resourceGroup": (lambda c: c["stack"]["arc"].update(resourceGroup="other"), True),
    "arc.privateLinkScopeId": (
        lambda c: c["stack"]["arc"].update(privateLinkScope=f"{SCOPE}/privateLinkScopes/s"),
        True,
    ),
    "arc.gatewayId": (lambda c: c["stack"]["arc"].update(gateway=f"{SCOPE}/gateways/g"), False),
    "arc.tags.env": (lambda c: c["stack"]["arc"].update(tags={"env": "lab"}), False),
    "arc.distribution": (lambda c: of_a(c).update(distribution="k3s"), False),
    "arc.azureHybridBenefit": (lambda c: of_a(c).update(azureHybridBenefit="True"), False),
    "arc.agentAutoUpgrade": (lambda c: of_a(c).update(agentAutoUpgrade=False), False),
    "arc.releaseTrain": (lambda c: of_a(c).update(releaseTrain="preview"), False),
    "arc.clusterConnect": (lambda c: of_a(c).update(clusterConnect=False), False),
    "arc.azureRbac.enabled": (lambda c: of_a(c).update(azureRbac={"enabled": True}), False),
    "arc.oidcIssuer.enabled": (lambda c: of_a(c).update(oidcIssuer={"enabled": True}), False),
    "arc.workloadIdentity": (
        lambda c: c["stack"]["clusters"][0].update(
            oidcIssuerProfile={"enabled": True}, securityProfile={"workloadIdentity": {"enabled": True}}
        ),
        False,
    ),
    "arc.customLocations.enabled": (
        lambda c: of_a(c).update(customLocationsFeature={"enabled": True, "oid": SCOPE.split("/")[2]}),
        False,
    ),
    "extensions.dapr": (
        lambda c: of_a(c).update(extensions=[{"name": "dapr", "extensionType": "microsoft.dapr"}]),
        False,
    ),
    "fluxConfigurations.apps": (
        lambda c: of_a(c).update(
            fluxConfigurations=[{"name": "apps", "gitRepository": {"url": "https://git.example/r.git"}}]
        ),
        False,
    ),
    "loadBalancer": (lambda c: c["stack"]["clusters"][0].update(loadBalancer={"count": 2}), False),
    "addOns.calico": (
        lambda c: c["stack"]["clusters"][0].update(addOns={"calico": {"values": {"typha": {"replicas": 2}}}}),
        False,
    ),
    "proxy.httpProxy": (
        lambda c: c["netplan"].update(proxy={"httpProxy": "http://p:80", "noProxy": ["*"]}),
        False,
    ),
}


def of_a(content: Content) -> Content:
    found: Content = content["stack"]["clusters"][0].setdefault("arc", {})
    return found


@pytest.mark.parametrize("name", ARC_SETTINGS)
def test_each_setting_of_a_cluster_and_of_its_connection_is_told(name: str) -> None:
    edit, is_replaced = ARC_SETTINGS[name]

    def connect(content: Content) -> None:
        content["stack"]["arc"] = {"subscriptionId": SCOPE.split("/")[2], "resourceGroup": "rg"}

    before, after = both(edit, connect)
    found = compare_records(before, after)
    (effect,) = (one for one in found.clusters if one.name == "a")
    assert effect.kind == "patched"
    assert name in {setting.name for setting in effect.settings}
    assert ("is replaced for" in effect.then) == is_replaced
    # the engine asks the contract the same
    old, new = (
        next(one.inputs for one in records if (one.type, one.name) == (CONNECTION, "a"))
        for records in (before, after)
    )
    wire = CONNECTED_CLUSTER.wire_names
    state, news = ({wire[key]: value for key, value in inputs.items()} for inputs in (old, new))
    assert bool(diff(CONNECTED_CLUSTER, state, news).replaces()) == is_replaced
    assert not found.machines, "no machine is touched for what is in a cluster or in Azure"


SCALES = {"enableAutoScaling": True, "minCount": 1, "maxCount": 4}
# From a pool of two nodes: what is edited, and what becomes of it.
SCALED: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "count, where it scales by itself": ({"count": 4}, {}),
    "a minCount that it doesn't have yet": ({"minCount": 3, "count": 3}, {"a-nodepool1-2": "added"}),
    "a maxCount below what it has": ({"maxCount": 1, "count": 1}, {"a-nodepool1-1": "removed"}),
    "autoscaling off": ({"enableAutoScaling": False, "count": 1}, {"a-nodepool1-1": "removed"}),
}


@pytest.mark.parametrize("name", SCALED)
def test_where_a_pool_scales_by_itself_its_count_is_no_change(name: str) -> None:
    edit, wanted = SCALED[name]
    before, after = instance(), instance()
    pool(before).update(SCALES)
    pool(after).update({**SCALES, **edit})
    spec, changed = spec_of(before), spec_of(after)
    old = plan_instance(spec)
    new = plan_instance(changed, old.locks_after(Locks()))
    assert old.ok
    assert new.ok
    found = effects_of(Older(old.addresses, records_of(spec, old)), new, changed)
    assert said(found) == wanted
