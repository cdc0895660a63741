"""What the configuration service tells agents to do, and what it makes of their reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.emulator.agent.errors import Refused
from tests.emulator.agents_side import AgentsSide, key_pair, served
from tests.emulator.test_agent_identity import Agents

Call = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentsSide]:
    with served(tmp_path_factory.mktemp("azure")) as side:
        yield side


@pytest.fixture
def call(azure: AgentsSide, tmp_path: Path) -> Call:
    """A call by the agents of a cluster of which nothing is wanted yet."""
    keys = key_pair()
    azure.store.delete(azure.onboard(keys.public()).id)
    azure.onboard(keys.public())
    agents = Agents(azure, tmp_path, keys.pem)
    agents.operator.step()
    return agents.service.call


def extensions(call: Call) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call("getExtensionUpdateConfigs")["extensions"]
    return found


POLICY = {"extensionType": "Microsoft.PolicyInsights"}


def test_an_extension_names_its_chart_release_and_values(call: Call, azure: AgentsSide) -> None:
    azure.want_extension("Policy", {**POLICY, "configurationSettings": {"a": "1"}}, {"key": "canary"})
    (found,) = extensions(call)
    registry = azure.url.removeprefix("https://")
    assert found["chart"] == f"oci://{registry}/azurearck8s/extensions/stable/microsoft.policyinsights"
    assert found["chartVersion"] == "1.1.0"
    assert found["release"] == {"name": "policy", "namespace": "kube-system"}
    assert found["values"] == {"configurationSettings": {"a": "1"}}
    assert (found["generation"], found["deleting"], found["isReported"]) == (1, False, False)
    assert found["protected"] == {"key": "canary"}


@pytest.mark.parametrize(
    ("more", "namespace", "version", "train"),
    [
        ({"version": "1.0.0"}, "kube-system", "1.0.0", "stable"),
        ({"version": "7"}, "kube-system", "7", "stable"),
        ({"releaseTrain": "Preview"}, "kube-system", "1.2.0-preview", "preview"),
        ({"releaseTrain": "nightly"}, "kube-system", "0.0.0", "nightly"),
        ({"scope": {"cluster": {"releaseNamespace": "mine"}}}, "mine", "1.1.0", "stable"),
        ({"scope": {"namespace": {"targetNamespace": "ours"}}}, "ours", "1.1.0", "stable"),
    ],
)
def test_version_train_and_scope_are_the_users(
    call: Call, azure: AgentsSide, more: dict[str, Any], namespace: str, version: str, train: str
) -> None:
    azure.want_extension("policy", {**POLICY, **more})
    (found,) = extensions(call)
    assert (found["release"]["namespace"], found["chartVersion"]) == (namespace, version)
    assert f"/{train}/" in found["chart"]


def test_fluxs_own_chart_gets_nested_values(call: Call, azure: AgentsSide) -> None:
    settings = {"kustomize-controller.enabled": "true", "toleration-keys": "a"}
    azure.want_extension("flux", {"extensionType": "microsoft.flux", "configurationSettings": settings})
    (found,) = extensions(call)
    assert found["release"]["namespace"] == "flux-system"
    assert found["values"] == {
        "multiTenancy": {"enforce": True},
        "kustomize-controller": {"enabled": True},
        "toleration-keys": "a",
    }


def test_success_shows_the_version_and_forgets_protected_settings(call: Call, azure: AgentsSide) -> None:
    azure.want_extension("policy", POLICY, {"key": "canary"})
    report = {"generation": 1, "state": "Succeeded", "version": "1.1.0"}
    assert call("extensions/policy/postStatus", report) == {"accepted": True}
    (found,) = extensions(call)
    assert (found["isReported"], found["protected"]) == (True, None)
    shown = azure.extension("policy")
    assert shown is not None
    assert shown.properties["currentVersion"] == "1.1.0"
    assert shown.properties["statuses"] == []


def test_failure_shows_what_helm_said(call: Call, azure: AgentsSide) -> None:
    azure.want_extension("policy", POLICY)
    report = {"generation": 1, "state": "Failed", "errorCode": "ExtensionCreationFailed", "errorMessage": "why"}
    call("extensions/policy/postStatus", report)
    shown = azure.extension("policy")
    assert shown is not None
    (status,) = shown.properties["statuses"]
    assert (status["code"], status["level"], status["message"]) == ("InstallationFailed", "Error", "why")
    assert shown.properties["errorInfo"] == {"code": "ExtensionCreationFailed", "message": "why"}


def test_a_report_on_an_older_generation_changes_nothing(call: Call, azure: AgentsSide) -> None:
    azure.want_extension("policy", POLICY)
    azure.want_extension("policy", {**POLICY, "version": "1.0.0"})
    report = {"generation": 1, "state": "Succeeded", "version": "1.1.0"}
    assert call("extensions/policy/postStatus", report) == {"accepted": False}
    assert [one["isReported"] for one in extensions(call)] == [False]


def test_protected_settings_wait_48_hours(call: Call, azure: AgentsSide) -> None:
    azure.want_extension("policy", POLICY, {"key": "canary"})
    azure.advance(timedelta(hours=47))
    assert extensions(call)[0]["protected"] == {"key": "canary"}
    azure.advance(timedelta(hours=2))
    assert extensions(call)[0]["protected"] is None


def test_an_unknown_type_fails_and_can_be_deleted(call: Call, azure: AgentsSide) -> None:
    azure.want_extension("x", {"extensionType": "contoso.nothing"})
    assert extensions(call) == []
    shown = azure.extension("x")
    assert shown is not None
    assert "'contoso.nothing' isn't known here" in shown.properties["statuses"][0]["message"]
    azure.want_extension("x", {"extensionType": "contoso.nothing"}, deleting=True)
    extensions(call)
    assert azure.extension("x") is None


def test_a_configuration_comes_whole_and_its_state_is_shown(call: Call, azure: AgentsSide) -> None:
    wanted = {"gitRepository": {"url": "https://x"}, "waitForReconciliation": True}
    azure.want_configuration("lab", wanted, {"httpsKey": "Y2FuYXJ5"})
    (found,) = call("configurations/getPendingConfigs")["configurations"]
    assert found["properties"] == wanted
    assert (found["protected"], found["reconciliationWaitSeconds"]) == ({"httpsKey": "Y2FuYXJ5"}, 1800)
    report = {"generation": 1, "state": "Succeeded", "properties": {"complianceState": "Compliant"}}
    call("configurations/lab/postStatus", report)
    shown = azure.configuration("lab")
    assert shown is not None
    assert shown.properties["complianceState"] == "Compliant"
    assert shown.properties["gitRepository"] == {"url": "https://x"}


def test_agents_cannot_change_what_the_user_wants(call: Call, azure: AgentsSide) -> None:
    azure.want_configuration("lab", {"gitRepository": {"url": "https://x"}})
    report = {"generation": 1, "state": "Succeeded", "properties": {"gitRepository": {"url": "https://evil"}}}
    with pytest.raises(Refused, match="Agents don't write gitRepository"):
        call("configurations/lab/postStatus", report)
    with pytest.raises(Refused, match="state: Input should be"):
        call("configurations/lab/postStatus", {"generation": 1, "state": "Great"})
