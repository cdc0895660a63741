"""What goes wrong between a cluster and Azure, produced: interruptions, leftovers, silence on either side."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.arc import cleanup, installation
from infra.arc.agents import Agents
from infra.arc.azure import GATEWAY_VERSION, Azure
from infra.arc.bodies import cluster_body
from infra.arc.charts import parse_chart
from infra.arc.credentials import credential_for
from infra.arc.errors import ArcError, AzureUnreachable, Conflict, NotInTime, Unready
from infra.arc.keys import make_key_pair
from infra.arc.model import Features
from infra.arc.onboarding import connect, disconnect, observe, update
from infra.errors import Interrupted
from infra.kubernetes.api import ApiError, ClusterApi
from infra.model.work import Work
from tests.arc.living import Lab, agents_live
from tests.waiting import eventually

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def azure(lab: Lab) -> Iterator[Azure]:
    with lab.azure() as found:
        yield found


@pytest.fixture(autouse=True)
def apart(lab: Lab, azure: Azure) -> Iterator[None]:
    """Leave nothing to the next test."""
    yield
    lab.admin("DELETE", "faults")
    lab.said.clear()
    disconnect(azure, lab.scope, "a", lab.cluster.kubeconfig, force=True, work=lab.work())


def stopping_at(lab: Lab, text: str) -> Work:
    """Return work that is cancelled when some progress is told."""
    cancelled = threading.Event()

    def status(said: str) -> None:
        lab.said.append(said)
        if text in said:
            cancelled.set()

    return replace(lab.work(), cancelled=cancelled, status=status)


def test_a_run_that_is_stopped_anywhere_goes_on_with_its_key(lab: Lab, azure: Azure, tmp_path: Path) -> None:
    keys = []
    lab.fault(kind="slowOperation", seconds=1, count=1)
    for text in ("making connected cluster", "asking https://", "pulling oci://", "installing", "waiting for the"):
        with pytest.raises(Interrupted):
            connect(azure, lab.wanted(), work=stopping_at(lab, text))
        pair = Agents(lab.cluster.kubeconfig).key_pair()
        assert pair is not None
        keys.append(pair.public)
    with agents_live(lab, tmp_path):
        found = connect(azure, lab.wanted(), work=lab.work())
    assert found.connectivity_status == "Connected"
    assert {*keys, found.public_key} == {found.public_key}


def test_a_gateway_is_linked_before_it_is_switched_on_and_can_be_taken_away(lab: Lab, azure: Azure) -> None:
    azure.ensure_resource_group("eastus", {})
    gateway = f"{azure.scope.group_id}/providers/Microsoft.HybridCompute/gateways/g"
    with pytest.raises(Unready, match="there is no Arc gateway"):
        connect(azure, lab.wanted(features=Features(gateway_id=gateway)), work=lab.work())
    body = {"location": "eastus", "properties": {"gatewayType": "Public", "allowedFeatures": ["*"]}}
    azure.put_resource(gateway, GATEWAY_VERSION, body, work=lab.work())
    with_it, without = lab.wanted(features=Features(gateway_id=gateway)), lab.wanted()
    with pytest.raises(Interrupted):
        connect(azure, with_it, work=stopping_at(lab, "asking https://"))
    settings = f"{azure.scope.cluster_id('a')}/providers/Microsoft.HybridCompute/settings/Default"
    assert _gateway(azure, settings) == (True, gateway)
    with pytest.raises(Interrupted):
        update(azure, with_it, without, work=stopping_at(lab, "asking https://"))
    assert _gateway(azure, settings) == (False, None)


def _gateway(azure: Azure, settings: str) -> tuple[bool, str | None]:
    cluster, linked = azure.get_cluster("a"), azure.get_resource(settings, GATEWAY_VERSION)
    assert cluster is not None
    found = ((linked or {}).get("properties") or {}).get("gatewayProperties") or {}
    return cluster["properties"]["gateway"]["enabled"], found.get("gatewayResourceId") or None


def test_helm_that_was_killed_is_no_obstacle(lab: Lab, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the"))
    _pretend_pending(lab)
    monkeypatch.setattr("infra.arc.agents._PENDING_SECONDS", 1.0)
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the"))
    assert '"status":"deployed"' in lab.cluster.helm(
        "list", "--namespace", "azure-arc-release", "--output", "json"
    )


def _pretend_pending(lab: Lab) -> None:
    """Let the release look as a helm that is killed within leaves it."""
    import base64
    import gzip

    path = "/api/v1/namespaces/azure-arc-release/secrets/sh.helm.release.v1.azure-arc.v1"
    record = lab.cluster.get(path)
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(record["data"]["release"]))))
    release["info"]["status"] = "pending-install"
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode()))).decode()
    patch = {"metadata": {"labels": {"status": "pending-install"}}, "data": {"release": packed}}
    name = record["metadata"]["name"]
    lab.cluster.kubectl(
        "-n", "azure-arc-release", "patch", "secret", name, "--type=merge", "-p", json.dumps(patch)
    )


def test_agents_that_do_not_come_are_told_with_what_is_missing(
    lab: Lab, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_AGENTS_SECONDS", 2.0)
    with pytest.raises(NotInTime, match=r"deployment azure-arc/.*0 of 1 available") as caught:
        connect(azure, lab.wanted(), work=lab.work())
    assert "kubectl get pods --namespace azure-arc" in str(caught.value)
    seen = observe(azure, lab.scope, "a", ClusterApi(lab.cluster.kubeconfig))
    assert seen is not None
    assert seen.connectivity_status == "Connecting"
    assert seen.agents_ready is False
    assert any("agents: deployment" in one for one in seen.warnings)


def _shown(lab: Lab, pod: dict[str, Any], reason: str, message: str) -> None:
    """Let the cluster warn, as its kubelet or controllers would."""
    of = {"kind": "Pod", "namespace": "azure-arc", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    event = {"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason, "message": message}
    meta = {"generateName": "shown-", "namespace": "azure-arc"}
    event_of = json.dumps({**event, "metadata": meta, "involvedObject": of})
    lab.cluster.kubectl("create", "-f", "-", stdin=event_of)


def _standing(lab: Lab, pod: dict[str, Any], status: dict[str, Any]) -> None:
    """Let a pod stand as its scheduler or kubelet would say."""
    patch = json.dumps({"status": status})
    name = pod["metadata"]["name"]
    lab.cluster.kubectl(
        "-n", "azure-arc", "patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch
    )


def test_agents_that_do_not_come_are_told_with_the_cause_that_the_cluster_shows(
    lab: Lab, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_AGENTS_SECONDS", 1.0)
    with pytest.raises(NotInTime, match="0 of 1 available"):
        connect(azure, lab.wanted(), work=lab.work())
    pod, *_ = lab.cluster.get("/api/v1/namespaces/azure-arc/pods")["items"]

    def told() -> NotInTime:
        with pytest.raises(NotInTime, match="the agents of a don't get ready") as caught:
            connect(azure, lab.wanted(), work=lab.work())
        return caught.value

    # Each is nearer to the cause than the one before it, which it therefore hides.
    _shown(lab, pod, "FailedMount", 'MountVolume.SetUp failed: secret "azure-identity-certificate" not found')
    seen = told()
    assert "the agents have no identity yet" in seen.message
    assert "identity service and Entra (`azlocal arc check`), and check their clocks" in seen.remedy
    _shown(lab, pod, "FailedMount", 'MountVolume.SetUp failed: secret "kube-aad-proxy-certificate" not found')
    seen = told()
    assert "kube-aad-proxy-certificate" in seen.message
    assert "oc adm policy add-scc-to-user" in seen.remedy
    scheduled = {
        "type": "PodScheduled",
        "status": "False",
        "message": "0/1 nodes are available: Insufficient memory",
    }
    _standing(lab, pod, {"conditions": [scheduled]})
    seen = told()
    assert "isn't scheduled: 0/1 nodes are available: Insufficient memory" in seen.message
    assert "free about 850 MB" in seen.remedy
    waiting = {"reason": "ImagePullBackOff", "message": "mcr.microsoft.com: i/o timeout"}
    container = {"name": "c", "image": "mcr.microsoft.com/x", "imageID": "", "ready": False, "restartCount": 0}
    _standing(lab, pod, {"containerStatuses": [{**container, "state": {"waiting": waiting}}]})
    seen = told()
    assert "can't pull mcr.microsoft.com/x: mcr.microsoft.com: i/o timeout" in seen.message
    assert "registry" in seen.remedy


def test_a_resource_that_somebody_made_alone_brings_no_agents_and_says_so(lab: Lab, azure: Azure) -> None:
    """As Terraform's resource does (facts §9, 27)."""
    azure.ensure_resource_group("eastus", {})
    azure.put_cluster("a", cluster_body(lab.wanted(), make_key_pair().public), work=lab.work())
    seen = observe(azure, lab.scope, "a", ClusterApi(lab.cluster.kubeconfig))
    assert seen is not None
    assert (seen.connectivity_status, seen.agents_ready) == ("Connecting", False)
    assert "the cluster has no agents: `pulumi up` installs them" in seen.warnings
    assert any(one.startswith("Connecting") for one in seen.warnings)


def test_agents_of_another_cluster_are_not_changed(lab: Lab, azure: Azure) -> None:
    """A kubeconfig of the wrong cluster is easily given (facts §9, 12)."""
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the"))
    other = lab.wanted(name="b")
    azure.put_cluster("b", cluster_body(other, make_key_pair().public), work=lab.work())
    with pytest.raises(Conflict, match="agents speak as lab-rg/a") as caught:
        update(azure, other, other, work=lab.work())
    assert caught.value.rule == "connected-elsewhere"
    assert "check whose kubeconfig that is" in caught.value.remedy
    azure.delete_cluster("b", work=lab.work())


def test_agents_whom_azure_does_not_hear_are_told(
    lab: Lab, azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_CONNECTED_SECONDS", 3.0)
    lab.fault(kind="dropHeartbeats")
    with agents_live(lab, tmp_path), pytest.raises(NotInTime, match="Azure says Connecting"):
        connect(azure, lab.wanted(), work=lab.work())


def test_a_chart_that_cannot_be_pulled_is_told(lab: Lab, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.arc.agents._BETWEEN_PULLS", 0.1)
    wanted = lab.wanted(auto_upgrade=False, agent_version="1.99.0")
    with pytest.raises(ArcError, match=r"azure-arc-k8sagents 1\.99\.0 can't be pulled") as caught:
        connect(azure, wanted, work=lab.work())
    assert caught.value.rule == "agents-chart-pull"
    assert "no such version: leave agentVersion out" in caught.value.remedy
    host = lab.environment.resource_manager.removeprefix("https://")
    chart = parse_chart(f"{host}/azurearck8s/batch1/stable/azure-arc-k8sagents:1.36.1")
    with pytest.raises(ArcError, match="x509") as caught:  # a certificate that nobody vouches for, as a proxy's
        Agents(lab.cluster.kubeconfig).install(chart, {}, ca_file=None, hidden=[], work=Work())
    assert "inspects TLS, name its CA" in caught.value.remedy


def test_a_chart_that_the_user_names_is_taken_without_asking_the_data_plane(
    lab: Lab, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = lab.environment.resource_manager.removeprefix("https://")
    monkeypatch.setenv("HELMREGISTRY", f"{host}/azurearck8s/batch1/stable/azure-arc-k8sagents:1.35.3")
    lab.fault(kind="status", path="/dp/azure-arc-k8sagents", statusCode=403, code="Forbidden")
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the"))
    release = Agents(lab.cluster.kubeconfig).release(Work())
    assert release is not None
    assert release.chart == "azure-arc-k8sagents-1.35.3"
    identity = Agents(lab.cluster.kubeconfig).identity()
    assert identity is not None
    assert identity.key == (lab.scope.subscription_id, "lab-rg", "a")


def test_a_half_removed_installation_is_refused_with_the_command(lab: Lab, azure: Azure) -> None:
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the"))
    lab.cluster.kubectl("-n", "azure-arc", "delete", "configmap", "azure-clusterconfig")
    lab.cluster.kubectl("-n", "azure-arc", "delete", "secret", "azure-arc-connect-privatekey")
    with pytest.raises(Conflict, match="helm uninstall azure-arc") as caught:
        connect(azure, lab.wanted(), work=lab.work())
    assert caught.value.rule == "agents-half-removed"
    with pytest.raises(Conflict, match="use force"):
        disconnect(azure, lab.scope, "a", lab.cluster.kubeconfig, work=lab.work())


def test_a_resource_of_another_cluster_is_not_taken_over(lab: Lab, azure: Azure) -> None:
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the"))
    assert Agents(lab.cluster.kubeconfig).release(Work()) is not None
    lab.cluster.helm("uninstall", "azure-arc", "--namespace", "azure-arc-release", "--no-hooks")
    lab.cluster.kubectl("delete", "namespace", "azure-arc", "--ignore-not-found")
    assert Agents(lab.cluster.kubeconfig).release(Work()) is None
    with pytest.raises(Conflict, match="belongs to another cluster") as caught:
        connect(azure, lab.wanted(), work=lab.work())
    assert caught.value.rule == "resource-exists"


def test_a_mangled_key_is_told_before_agents_crash_on_it(lab: Lab, azure: Azure) -> None:
    lab.cluster.kubectl("create", "namespace", "azure-arc")
    lab.cluster.kubectl(
        *("-n", "azure-arc", "create", "secret", "generic", "azure-arc-connect-privatekey"),
        r"--from-literal=privateKey=-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----",
    )
    with pytest.raises(ArcError, match="mangled") as caught:
        connect(azure, lab.wanted(), work=lab.work())
    assert "canary" not in str(caught.value)


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "extensionconfigs.clusterconfig.azure.com"},
    "spec": {
        "group": "clusterconfig.azure.com",
        "scope": "Namespaced",
        "names": {"plural": "extensionconfigs", "singular": "extensionconfig", "kind": "ExtensionConfig"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


def _held_namespace(lab: Lab, content: dict[str, object]) -> None:
    lab.cluster.kubectl("create", "namespace", "azure-arc")
    applied = ("apply", "-f", "-")
    eventually(lambda: lab.cluster.kubectl(*applied, stdin=json.dumps(content), check=False), "it is applied")
    lab.cluster.kubectl("delete", "namespace", "azure-arc", "--wait=false")
    # Kubernetes begins some seconds later, and only then says what holds it.
    eventually(lambda: _is_held(lab.cluster.get("/api/v1/namespaces/azure-arc")), "the namespace is held")


def _is_held(namespace: dict[str, Any]) -> bool:
    conditions = namespace["status"].get("conditions") or []
    return any(one["type"] == "NamespaceFinalizersRemaining" and one["status"] == "True" for one in conditions)


def test_a_namespace_that_arcs_own_objects_hold_is_let_go(lab: Lab, azure: Azure) -> None:
    lab.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(DEFINITION))
    held = {"name": "flux", "namespace": "azure-arc", "finalizers": ["agents.example/uninstall"]}
    _held_namespace(lab, {"apiVersion": "clusterconfig.azure.com/v1", "kind": "ExtensionConfig", "metadata": held})
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the agents"))
    assert any("removing extensionconfigs" in one for one in lab.said)
    assert lab.cluster.get("/api/v1/namespaces/azure-arc")["status"]["phase"] == "Active"


def test_a_namespace_that_somebody_elses_object_holds_is_told(
    lab: Lab, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "_NAMESPACE_SECONDS", 4.0)
    held = {"name": "held", "namespace": "azure-arc", "finalizers": ["somebody.example/else"]}
    _held_namespace(lab, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    with pytest.raises(Conflict, match=r"somebody\.example/else") as caught:
        connect(azure, lab.wanted(), work=lab.work())
    assert caught.value.rule == "namespace-terminating"
    patch = json.dumps({"metadata": {"finalizers": None}})
    lab.cluster.kubectl("-n", "azure-arc", "patch", "configmap", "held", "--type=merge", "-p", patch)


def test_a_cluster_that_is_gone_leaves_nothing_in_azure_and_says_what_may_be_left_there(
    lab: Lab, azure: Azure
) -> None:
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the"))
    gone = json.dumps(lab.cluster.config(port=1))
    (left,) = disconnect(azure, lab.scope, "a", gone, work=lab.work())
    assert "the cluster doesn't answer or let us in" in left
    assert "helm uninstall azure-arc" in left
    assert azure.get_cluster("a") is None


def test_a_cluster_that_lets_us_in_no_more_is_only_given_up_by_force(lab: Lab, azure: Azure) -> None:
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the"))
    config = lab.cluster.config()
    config["users"] = [{"name": "admin", "user": {"token": "canary-token"}}]
    with pytest.raises(ApiError, match="Unauthorized"):
        disconnect(azure, lab.scope, "a", json.dumps(config), work=lab.work())
    assert azure.get_cluster("a") is not None
    (left,) = disconnect(azure, lab.scope, "a", json.dumps(config), force=True, work=lab.work())
    assert "Unauthorized" in left
    assert "canary" not in left
    assert azure.get_cluster("a") is None


def test_a_cluster_that_was_removed_on_purpose_is_no_loss(lab: Lab, azure: Azure) -> None:
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the"))
    assert disconnect(azure, lab.scope, "a", None, work=lab.work()) == ()
    assert azure.get_cluster("a") is None


def test_an_azure_that_does_not_answer_keeps_the_cluster_connected_unless_forced(lab: Lab, azure: Azure) -> None:
    with pytest.raises(Interrupted):
        connect(azure, lab.wanted(), work=stopping_at(lab, "waiting for the"))
    silent = lab.environment.model_copy(update={"resource_manager": "https://127.0.0.1:1"})
    with Azure(silent, lab.scope, credential_for(lab.environment)) as away:
        with pytest.raises(AzureUnreachable, match="with force the agents are removed now") as caught:
            disconnect(away, lab.scope, "a", lab.cluster.kubeconfig, work=lab.work())
        assert "lab-rg/a" in str(caught.value)
        lab.cluster.get("/api/v1/namespaces/azure-arc")
        with pytest.raises(AzureUnreachable, match="the cluster doesn't answer either"):
            disconnect(away, lab.scope, "a", json.dumps(lab.cluster.config(port=1)), force=True, work=lab.work())
        (left,) = disconnect(away, lab.scope, "a", lab.cluster.kubeconfig, force=True, work=lab.work())
    assert "lab-rg/a in subscription" in left
    assert "az connectedk8s delete --name a --resource-group lab-rg --force" in left
    assert lab.cluster.kubectl("get", "namespace", "azure-arc", "--ignore-not-found") == ""
    assert azure.get_cluster("a") is not None
