"""What Azure Monitor needs beside an extension: made, found again, repaired, taken away; the emulator is Azure."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from infra.arc import monitoring
from infra.arc.azure import Azure
from infra.arc.bodies import cluster_body, is_within
from infra.arc.errors import ArcError
from infra.arc.keys import make_key_pair
from infra.plugin.operation import Operation
from infra.provider.kinds.arc_base import AzureSessions
from infra.provider.kinds.data_collection import DataCollectionKind
from infra.resources.azure_access import AzureAccess
from infra.resources.data_collection import (
    ASSOCIATION_NAMES,
    DATA_COLLECTION,
    DataCollectionInputs,
    DataCollectionState,
)
from tests.arc.living import Lab
from tests.provider.conftest import MemoryLog

pytestmark = pytest.mark.engine

V = "2022-06-01"
KEY = make_key_pair().public
ELSEWHERE = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/r/providers"
WORKSPACES = {
    "logs": f"{ELSEWHERE}/Microsoft.OperationalInsights/workspaces/w",
    "metrics": f"{ELSEWHERE}/Microsoft.Monitor/accounts/m",
}


@pytest.fixture(scope="module")
def azure(emulated_lab: Lab) -> Iterator[Azure]:
    lab = emulated_lab
    with lab.azure() as found:
        found.ensure_resource_group("eastus", {})
        for name in ("a", "b"):
            found.put_cluster(
                name, cluster_body(lab.wanted(name=name, location="westeurope"), KEY), work=lab.work()
            )
        yield found


@pytest.fixture
def lab(emulated_lab: Lab) -> Lab:
    return emulated_lab


@pytest.fixture
def kind(azure: Azure, lab: Lab) -> Iterator[DataCollectionKind]:
    yield DataCollectionKind(AzureSessions())
    for cluster in ("a", "b"):
        for name in ASSOCIATION_NAMES.values():
            association = f"{azure.scope.cluster_id(cluster)}/providers/{monitoring.ASSOCIATIONS}/{name}"
            azure.delete_resource(association, V, work=lab.work())
    for one in azure.list_resources(f"{azure.scope.group_id}/providers/Microsoft.Insights/dataCollectionRules", V):
        azure.delete_resource(one["id"], V, work=lab.work())


def operation(log: MemoryLog | None = None) -> Operation:
    urn = "urn:pulumi:lab::azlocal::azlocal:index:DataCollection::x"
    return Operation(urn, log or MemoryLog(), threading.Event())


def inputs(lab: Lab, collects: str, cluster: str = "a", **more: Any) -> DataCollectionInputs:
    return DataCollectionInputs(
        access=AzureAccess(cloud="emulator", emulator_folder=str(lab.folder)),
        cluster_id=lab.scope.cluster_id(cluster),
        connection=KEY,
        name=ASSOCIATION_NAMES[collects],
        collects=collects,
        **{"workspace_id": WORKSPACES[collects]} | more,
    )


def read(kind: DataCollectionKind, state: DataCollectionState) -> DataCollectionState | None:
    return kind.read(operation(), DATA_COLLECTION.id_of(state.to_wire()), state)


def test_container_insights_gets_its_rule_and_association(
    lab: Lab, azure: Azure, kind: DataCollectionKind
) -> None:
    settings = {"interval": "5m", "streams": ["Microsoft-ContainerLogV2"]}
    made = kind.create(operation(), inputs(lab, "logs", settings=json.dumps(settings), tags={"team": "x"}))
    assert made.id == (
        f"{lab.scope.cluster_id('a')}/providers/Microsoft.Insights/dataCollectionRuleAssociations"
        "/ContainerInsightsExtension"
    )
    rule = azure.get_resource(made.state.rule_id, V)
    assert rule is not None
    assert (rule["name"], rule["location"], rule["tags"]) == ("MSCI-eastus-a", "eastus", {"team": "x"})
    (source,) = rule["properties"]["dataSources"]["extensions"]
    assert source["extensionName"] == "ContainerInsights"
    assert source["streams"] == ["Microsoft-ContainerLogV2"]
    assert source["extensionSettings"] == {"dataCollectionSettings": settings}
    assert rule["properties"]["dataFlows"] == [
        {"streams": ["Microsoft-ContainerLogV2"], "destinations": ["la-workspace"]}
    ]
    association = azure.get_resource(made.id, V)
    assert association is not None
    assert association["properties"]["dataCollectionRuleId"] == made.state.rule_id
    assert made.state.endpoint_id is None
    assert made.state.workspace_key == rule["properties"]["destinations"]["logAnalytics"][0]["workspaceId"]
    assert read(kind, made.state) == made.state


def test_managed_prometheus_gets_its_endpoint_too(lab: Lab, azure: Azure, kind: DataCollectionKind) -> None:
    made = kind.create(operation(), inputs(lab, "metrics"))
    assert made.id.endswith("/ContainerInsightsMetricsExtension-Arc")
    assert made.state.endpoint_id is not None
    assert made.state.workspace_key is None
    endpoint, rule = (azure.get_resource(one, V) for one in (made.state.endpoint_id, made.state.rule_id))
    assert endpoint is not None
    assert rule is not None
    assert (endpoint["name"], rule["name"]) == ("MSProm-eastus-a", "MSProm-eastus-a")
    assert rule["properties"]["dataCollectionEndpointId"] == made.state.endpoint_id
    assert [one["streams"] for one in rule["properties"]["dataSources"]["prometheusForwarder"]] == [
        ["Microsoft-PrometheusMetrics"]
    ]
    assert read(kind, made.state) == made.state
    kind.delete(operation(), made.id, made.state)
    for one in (made.id, made.state.rule_id, made.state.endpoint_id):
        assert azure.get_resource(one, V) is None
    kind.delete(operation(), made.id, made.state)  # which is fine
    assert read(kind, made.state) is None


def test_what_is_there_already_is_taken_over_with_its_tags(
    lab: Lab, azure: Azure, kind: DataCollectionKind
) -> None:
    first = kind.create(operation(), inputs(lab, "logs", tags={"of": "az"})).state
    before = azure.get_resource(first.rule_id, V)
    again = kind.create(operation(), inputs(lab, "logs")).state
    assert again.rule_id == first.rule_id
    assert azure.get_resource(first.rule_id, V) == before, "nothing was sent"
    kind.update(operation(), "", first, inputs(lab, "logs", tags={"team": "x"}, settings='{"interval": "1m"}'))
    rule = azure.get_resource(first.rule_id, V)
    assert rule is not None
    assert rule["tags"] == {"of": "az", "team": "x"}


def test_what_somebody_removes_is_drift_and_repaired(lab: Lab, azure: Azure, kind: DataCollectionKind) -> None:
    made = kind.create(operation(), inputs(lab, "logs"))
    azure.delete_resource(made.id, V, work=lab.work())
    seen = read(kind, made.state)
    assert seen is not None
    assert seen.complete is False
    repaired = kind.update(operation(), made.id, seen, inputs(lab, "logs"))
    assert repaired == made.state
    assert azure.get_resource(made.id, V) is not None
    azure.delete_resource(made.id, V, work=lab.work())
    azure.delete_resource(made.state.rule_id, V, work=lab.work())
    assert read(kind, made.state) is None


def test_a_rule_that_holds_for_another_cluster_stays(lab: Lab, azure: Azure, kind: DataCollectionKind) -> None:
    made = kind.create(operation(), inputs(lab, "logs"))
    other = f"{lab.scope.cluster_id('b')}/providers/{monitoring.ASSOCIATIONS}/ContainerInsightsExtension"
    azure.put_resource(other, V, {"properties": {"dataCollectionRuleId": made.state.rule_id}}, work=lab.work())
    log = MemoryLog()
    kind.delete(operation(log), made.id, made.state)
    assert azure.get_resource(made.id, V) is None
    assert azure.get_resource(made.state.rule_id, V) is not None
    assert [text for level, text in log.lines if level == "warning" and other in text]


def test_import_reads_it_back(lab: Lab, azure: Azure, kind: DataCollectionKind) -> None:
    for collects in ("logs", "metrics"):
        settings = '{"interval": "1m"}' if collects == "logs" else None
        made = kind.create(operation(), inputs(lab, collects, settings=settings, tags={"a": "b"}))
        there = monitoring.found_at(azure, made.id)
        assert there is not None
        wanted, found = there
        assert (wanted.collects, wanted.workspace_id) == (collects, WORKSPACES[collects])
        assert wanted.settings == ({"interval": "1m"} if settings else {})
        assert (found.rule_id, found.endpoint_id) == (made.state.rule_id, made.state.endpoint_id)
        assert found.workspace_key == made.state.workspace_key
    assert monitoring.found_at(azure, f"{lab.scope.cluster_id('b')}/providers/{monitoring.ASSOCIATIONS}/x") is None


def test_a_workspace_that_is_not_there(lab: Lab, azure: Azure, kind: DataCollectionKind) -> None:
    own = f"{azure.scope.group_id}/providers/Microsoft.OperationalInsights/workspaces/none"
    with pytest.raises(ArcError, match="there is no Log Analytics workspace") as caught:
        kind.create(operation(), inputs(lab, "logs", workspace_id=own))
    assert caught.value.rule == "monitor-workspace"


def test_a_subscription_without_the_provider(lab: Lab, azure: Azure, kind: DataCollectionKind) -> None:
    azure._resources.providers.unregister("Microsoft.Insights")
    with pytest.raises(ArcError, match=r"hasn't registered Microsoft\.Insights") as caught:
        kind.create(operation(), inputs(lab, "logs"))
    assert "az provider register --namespace Microsoft.Insights" in caught.value.remedy
    kind.create(operation(), inputs(lab, "logs", register_providers=True))
    assert azure.provider_state("Microsoft.Insights") == "Registered"


def test_a_region_without_data_collection_rules(
    lab: Lab, kind: DataCollectionKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Azure, "locations", lambda *_: ["westeurope"])
    with pytest.raises(ArcError, match=r"aren't offered in eastus, where the Log Analytics workspace is"):
        kind.create(operation(), inputs(lab, "logs"))


@pytest.mark.parametrize(
    ("cluster", "rule", "endpoint"),
    [
        ("a", "MSProm-eastus-a", "MSProm-eastus-a"),
        ("a_b", "MSProm-eastus-a_b", "MSProm-eastus-ab"),
        ("x" * 60, f"MSProm-eastus-{'x' * 50}", f"MSProm-eastus-{'x' * 30}"),
        ("x" * 49 + "-y", f"MSProm-eastus-{'x' * 49}", f"MSProm-eastus-{'x' * 30}"),
    ],
)
def test_names_are_those_that_az_gives(cluster: str, rule: str, endpoint: str) -> None:
    assert monitoring._rule_name("metrics", "eastus", cluster) == rule
    assert monitoring._endpoint_name("eastus", cluster) == endpoint


def test_settings_that_are_no_json_are_refused_before() -> None:
    for text, said in (("{", "isn't json"), ("[]", "a json object is needed")):
        _, faults = DATA_COLLECTION.check({"settings": text}, frozenset())
        assert any(said in one.reason for one in faults if one.property == "settings"), faults


def test_what_azure_adds_inside_a_list_is_no_difference() -> None:
    assert is_within({"a": [{"b": 1}]}, {"a": [{"b": 1, "added": 2}]})
    assert not is_within({"a": [{"b": 1}]}, {"a": [{"b": 2}]})
    assert not is_within({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 1}]})
