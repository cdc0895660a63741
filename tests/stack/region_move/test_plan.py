"""What a region move has to do, and what keeps it from beginning."""

from __future__ import annotations

from typing import Any

import pytest

from infra.arc.inventory import Inventory, differences, portable
from infra.plan.arc_topology import ConnectedCluster, connected_cluster_of
from infra.stack.region_move.plan import NEEDED, Plan, needed_of, plan_move
from tests.instances import cluster, make_spec

ID = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Kubernetes/connectedClusters/lab-a"
EVERYWHERE = {one: ["East US", "West Europe"] for one in NEEDED}
DECLARED = {"extensions": [{"name": "Policy", "extensionType": "microsoft.policyinsights"}]}


def connected(**arc: Any) -> ConnectedCluster:
    spec = make_spec(cluster(arc=arc), stack={"arc": {"cloud": "emulator", "emulatorAddress": "192.0.2.1"}})
    found = connected_cluster_of(spec, spec.stack.clusters[0])
    assert found is not None
    return found


def body(name: str, **properties: Any) -> dict[str, Any]:
    return {"id": f"{ID}/x/{name}", "name": name, "type": "t", "properties": properties}


def standing(*extensions: dict[str, Any], status: str = "Connected", **more: Any) -> Inventory:
    return Inventory(
        cluster={"name": "lab-a", "location": "eastus", "properties": {"connectivityStatus": status}},
        extensions=extensions,
        **more,
    )


def plan(inventory: Inventory, target: str = "westeurope", **more: Any) -> Plan:
    offered = more.pop("offered", EVERYWHERE)
    protected, unprotected = more.pop("protected", ()), more.pop("unprotected", ())
    return plan_move(inventory, connected(**DECLARED), target, offered, protected, unprotected, **more)


def test_what_the_stack_declares_needs_nothing_of_the_user() -> None:
    found = plan(standing(body("policy")))
    assert found.faults == ()
    assert found.declared == (("extensions", "policy"),)
    assert found.foreign == ()


def test_a_region_has_to_offer_what_the_cluster_has() -> None:
    workspace = "/subscriptions/s/resourceGroups/r/providers/Microsoft.OperationalInsights/workspaces/w"
    insights = {"containerInsights": {"logAnalyticsWorkspaceResourceID": workspace}}
    assert needed_of(connected(**DECLARED)) == NEEDED
    assert needed_of(connected(knownExtensions=insights)) == (
        *NEEDED,
        ("Microsoft.Insights", "dataCollectionRuleAssociations"),
    )


@pytest.mark.parametrize(
    "said", [{}, {"protected": ["Backup"]}, {"unprotected": ["backup"]}, {"protected": ["policy"]}]
)
def test_what_somebody_else_made_waits_for_its_secrets(said: dict[str, Any]) -> None:
    found = plan(standing(body("Policy"), body("Backup")), **said)
    assert found.foreign == (("extensions", "backup"),)
    is_said = "backup" in [name.lower() for names in said.values() for name in names]
    assert [
        fault for fault in found.faults if "extensions/backup" in fault and "--protected backup=FILE" in fault
    ] == ([] if is_said else list(found.faults))
    assert bool(found.faults) is not is_said


def test_secrets_are_asked_for_also_when_a_move_goes_on() -> None:
    assert plan(standing(body("backup")), is_begun=True).faults
    assert not plan(standing(body("backup"), status="Offline"), unprotected=["backup"], is_begun=True).faults


@pytest.mark.parametrize(
    ("target", "status", "offered", "says"),
    [
        ("East US", "Connected", EVERYWHERE, "in East US already"),
        ("northeurope", "Connected", EVERYWHERE, "isn't offered in northeurope; it is in eastus, westeurope"),
        ("westeurope", "Offline", EVERYWHERE, "the cluster is Offline"),
    ],
)
def test_it_doesnt_begin_where_it_couldnt_end(target: str, status: str, offered: Any, says: str) -> None:
    faults = plan(standing(status=status), target, offered=offered).faults
    assert any(says in fault for fault in faults), faults


def test_what_arm_adds_is_not_asked_for_again() -> None:
    answered = {
        **body("flux", extensionType="microsoft.flux", provisioningState="Succeeded", currentVersion="1.2.3"),
        "identity": {"type": "SystemAssigned", "principalId": "p", "tenantId": "t"},
        "systemData": {"createdAt": "now"},
    }
    assert portable(answered) == {
        "properties": {"extensionType": "microsoft.flux"},
        "identity": {"type": "SystemAssigned"},
    }


def test_only_what_a_move_may_change_is_no_difference() -> None:
    before = standing(body("a", version="1"), body("b"))
    after = Inventory(
        cluster={"name": "lab-a", "location": "westeurope", "tags": {"x": "y"}, "properties": {}},
        extensions=(body("a", version="2"), body("c")),
    )
    assert differences(before, after) == [
        "cluster.tags: was None, is {'x': 'y'}",
        "extensions/b is missing",
        "extensions/c is new",
        "extensions/a.properties.version: was '1', is '2'",
    ]
    assert differences(before, before.model_copy(update={"cluster": {**before.cluster, "location": "x"}})) == []
