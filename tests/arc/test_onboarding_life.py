"""Connecting, changing and disconnecting a real API server, against the emulator over real TLS."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from infra.arc.agents import Agents
from infra.arc.azure import Azure
from infra.arc.errors import Conflict
from infra.arc.keys import read_key_pair
from infra.arc.model import AzureRbac, Connected, Features, Proxy
from infra.arc.onboarding import connect, disconnect, observe, update
from infra.kubernetes.api import ClusterApi
from infra.model.work import Work
from tests.arc.living import Lab, agents_live
from tests.emulator.local_agents import LocalAgents
from tests.kubernetes_plugin.kubelet import pods_get_ready

pytestmark = [pytest.mark.engine, pytest.mark.chain]

CANARY = "canary-91d0"
PROXY = Proxy(f"http://user:{CANARY}@10.255.255.1:3128", "", ("127.0.0.1", ".svc"))


@pytest.fixture(scope="module")
def agents(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAgents]:
    with agents_live(lab, tmp_path_factory.mktemp("agents")) as found:
        yield found


@pytest.fixture(scope="module")
def azure(lab: Lab) -> Iterator[Azure]:
    with lab.azure() as found:
        yield found


@pytest.fixture(scope="module")
def commands() -> Iterator[list[str]]:
    """All that was started, as the process list shows it."""
    seen: list[str] = []
    original = subprocess.Popen.__init__

    def noted(self: Any, arguments: Any, *more: Any, **named: Any) -> None:
        seen.append(repr(arguments) + repr({**(named.get("env") or {})}))
        original(self, arguments, *more, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", noted)
        yield seen


@pytest.fixture(scope="module")
def connected(lab: Lab, azure: Azure, agents: LocalAgents, commands: list[str]) -> Connected:
    """Connect once; what follows goes on from it, in this order."""
    wanted = lab.wanted(tags={"team": "lab"}, features=Features(proxy=PROXY))
    return connect(azure, wanted, work=lab.work())


def private_key(lab: Lab) -> str:
    found = lab.cluster.get("/api/v1/namespaces/azure-arc/secrets/azure-arc-connect-privatekey")
    return base64.b64decode(found["data"]["privateKey"]).decode()


def revision(lab: Lab) -> int:
    found = json.loads(lab.cluster.helm("list", "--namespace", "azure-arc-release", "--output", "json"))
    return int(found[0]["revision"])


def test_a_cluster_is_connected_when_its_agents_run_and_azure_hears_of_them(
    lab: Lab, connected: Connected
) -> None:
    assert connected.connectivity_status == "Connected"
    assert connected.agents_ready is True
    assert connected.agent_version == "1.36.1"
    assert connected.certificate_expires is not None
    assert connected.tags == {"team": "lab"}
    assert connected.warnings == ()
    assert connected.principal_id


def test_progress_is_told_step_by_step(lab: Lab, connected: Connected) -> None:
    said = "\n".join(lab.said)
    steps = (
        "checking",
        "making connected cluster a",
        "asking https://",
        "pulling oci://",
        "installing agents",  # what is waited for then is told only where the agents were slower than Helm
    )
    places = [said.find(step) for step in steps]
    assert -1 not in places, said
    assert places == sorted(places)


def test_the_key_that_azure_has_is_the_public_half_of_the_one_in_the_cluster(
    lab: Lab, connected: Connected
) -> None:
    assert read_key_pair(private_key(lab)).public == connected.public_key


def test_no_secret_is_where_it_can_be_read(
    lab: Lab, connected: Connected, commands: list[str], azure: Azure
) -> None:
    key, secret = private_key(lab), lab.client["clientSecret"]  # its first lines are the public modulus
    line, token = key.splitlines()[30], azure.credential.get_token(azure.environment.token_scope).token
    history = lab.cluster.helm("get", "all", "azure-arc", "--namespace", "azure-arc-release")
    state = b"".join(file.read_bytes() for file in lab.folder.glob("state.sqlite*"))
    arm = json.dumps(azure.get_cluster("a"))
    log = (lab.folder / "emulator.log").read_text()
    for place in (history, "\n".join(commands), "\n".join(lab.said), arm, log, state.decode(errors="replace")):
        assert line not in place
        assert token not in place
        assert secret not in place
    # The agents need the proxy's password, so it is in their values; it is nowhere on the way there, nor in Azure.
    for place in ("\n".join(commands), "\n".join(lab.said), arm, log, state.decode(errors="replace")):
        assert CANARY not in place
    assert len(commands) > 3


def test_connecting_again_changes_nothing(lab: Lab, azure: Azure, connected: Connected) -> None:
    before, body = revision(lab), azure.get_cluster("a")
    wanted = lab.wanted(tags={"team": "lab"}, features=Features(proxy=PROXY))
    again = connect(azure, wanted, work=lab.work())
    assert again.public_key == connected.public_key
    assert revision(lab) == before
    after = azure.get_cluster("a")
    assert body is not None
    assert after is not None
    assert after.get("systemData") == body.get("systemData")


def test_another_name_for_a_connected_cluster_is_refused(lab: Lab, azure: Azure, connected: Connected) -> None:
    with pytest.raises(Conflict, match="connected already, as lab-rg/a") as caught:
        connect(azure, lab.wanted(name="b"), work=lab.work())
    assert caught.value.rule == "connected-elsewhere"
    assert azure.get_cluster("b") is None
    with pytest.raises(Conflict, match="nothing was removed"):
        disconnect(azure, lab.scope, "b", lab.cluster.kubeconfig, force=True, work=lab.work())


def test_tags_and_benefit_are_changed_in_azure_alone(lab: Lab, azure: Azure, connected: Connected) -> None:
    old = lab.wanted(tags={"team": "lab"}, features=Features(proxy=PROXY))
    new = dataclasses.replace(old, tags={"stage": "x"}, azure_hybrid_benefit="True")
    before = revision(lab)
    found = update(azure, old, new, work=lab.work())
    assert found.tags == {"stage": "x"}
    assert (found.body["properties"])["azureHybridBenefit"] == "True"  # type: ignore[index]
    assert revision(lab) == before
    assert found.public_key == connected.public_key


def test_features_are_changed_by_helm_alone_and_can_be_taken_back(
    lab: Lab, azure: Azure, connected: Connected
) -> None:
    old = lab.wanted(tags={"stage": "x"}, azure_hybrid_benefit="True", features=Features(proxy=PROXY))
    new = dataclasses.replace(old, features=Features(azure_rbac=AzureRbac(True, ("a", "b"))))
    found = update(azure, old, new, work=lab.work())
    assert found.public_key == connected.public_key
    values = json.loads(
        lab.cluster.helm("get", "values", "azure-arc", "--namespace", "azure-arc-release", "-o", "json")
    )
    assert values["systemDefaultValues"]["guard"] == {"enabled": True, "authnMode": "arc", "skipAuthzCheck": "a,b"}
    assert values["global"]["isProxyEnabled"] is False
    assert CANARY not in json.dumps(values)
    lab.cluster.get("/apis/apps/v1/namespaces/azure-arc/deployments/guard")


def test_a_pinned_version_is_installed_and_what_auto_upgrade_does_is_no_drift(
    lab: Lab, azure: Azure, connected: Connected
) -> None:
    pinned = lab.wanted(auto_upgrade=False, agent_version="1.35.3")
    assert update(azure, lab.wanted(), pinned, work=lab.work())
    release = Agents(lab.cluster.kubeconfig).release(Work())
    assert release is not None
    assert release.chart == "azure-arc-k8sagents-1.35.3"
    update(azure, pinned, lab.wanted(auto_upgrade=True), work=lab.work())
    release = Agents(lab.cluster.kubeconfig).release(Work())
    assert release is not None
    assert release.chart == "azure-arc-k8sagents-1.35.3"  # upgrading is the agents' own business now
    assert private_key(lab)


def test_agents_whose_resource_was_deleted_in_azure_are_cleaned_away_and_connected_anew(
    lab: Lab, azure: Azure, connected: Connected
) -> None:
    azure.delete_cluster("a", work=lab.work())
    api = ClusterApi(lab.cluster.kubeconfig)
    assert observe(azure, lab.scope, "a", api) is None
    found = connect(azure, lab.wanted(), work=lab.work())
    assert found.connectivity_status == "Connected"
    assert found.public_key != connected.public_key
    assert any("stale" in one for one in lab.said)


def test_agents_that_azure_no_longer_hears_are_offline_and_come_back(
    lab: Lab, azure: Azure, connected: Connected
) -> None:
    lab.fault(kind="dropHeartbeats")
    lab.admin("POST", "clock", {"advanceSeconds": 16 * 60})
    api = ClusterApi(lab.cluster.kubeconfig)
    seen = observe(azure, lab.scope, "a", api)
    assert seen is not None
    assert seen.connectivity_status == "Offline"
    assert "azlocal arc check" in seen.warnings[0]
    lab.admin("POST", "clock", {"advanceSeconds": 31 * 86400})
    seen = observe(azure, lab.scope, "a", api)
    assert seen is not None
    assert any("no contact for 31 days" in one for one in seen.warnings)
    lab.admin("DELETE", "faults")
    assert connect(azure, lab.wanted(), work=lab.work()).warnings == ()


def test_an_agent_that_somebody_scaled_to_nothing_is_noticed_and_put_right(
    lab: Lab, azure: Azure, connected: Connected
) -> None:
    lab.cluster.kubectl("-n", "azure-arc", "scale", "deployment", "metrics-agent", "--replicas=0")
    seen = observe(azure, lab.scope, "a", ClusterApi(lab.cluster.kubeconfig))
    assert seen is not None
    assert seen.agents_ready is False
    assert "agents: deployment azure-arc/metrics-agent is scaled to nothing" in seen.warnings
    assert connect(azure, lab.wanted(), work=lab.work()).agents_ready is True


def test_extensions_leave_the_cluster_before_their_agents_do(lab: Lab, azure: Azure, connected: Connected) -> None:
    body = {
        "identity": {"type": "SystemAssigned"},
        "properties": {"extensionType": "microsoft.policyinsights", "autoUpgradeMinorVersion": True},
    }
    with pods_get_ready(lab.cluster, "kube-system"):
        made = azure.put_extension("a", "azurepolicy", body, work=lab.work())
        assert made["properties"]["provisioningState"] == "Succeeded"
        assert disconnect(azure, lab.scope, "a", lab.cluster.kubeconfig, work=lab.work()) == ()
    assert json.loads(lab.cluster.helm("list", "--all", "--all-namespaces", "--output", "json")) == []
    assert connect(azure, lab.wanted(), work=lab.work()).connectivity_status == "Connected"


def test_an_expired_identity_is_refused_and_a_reconnect_under_the_same_name_works(
    lab: Lab, azure: Azure, connected: Connected, agents: LocalAgents
) -> None:
    with agents.without("clusteridentityoperator"):  # which would get a new one
        lab.fault(kind="expireCertificate", path="connectedClusters/a")
        seen = observe(azure, lab.scope, "a", None)
        assert seen is not None
        assert seen.connectivity_status == "Expired"
        with pytest.raises(Conflict, match="90 days"):
            connect(azure, lab.wanted(), work=lab.work())
    assert disconnect(azure, lab.scope, "a", lab.cluster.kubeconfig, work=lab.work()) == ()
    assert azure.get_cluster("a") is None
    for namespace in ("azure-arc", "azure-arc-release"):
        assert lab.cluster.kubectl("get", "namespace", namespace, "--ignore-not-found") == ""
    assert "azure" not in lab.cluster.kubectl("get", "customresourcedefinitions", "--output", "name")
    assert connect(azure, lab.wanted(), work=lab.work()).connectivity_status == "Connected"
    assert disconnect(azure, lab.scope, "a", lab.cluster.kubeconfig, work=lab.work()) == ()
    # Nothing there is fine.
    assert disconnect(azure, lab.scope, "a", lab.cluster.kubeconfig, work=lab.work()) == ()
