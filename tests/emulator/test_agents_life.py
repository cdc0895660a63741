"""The agents' chart in a real API server, and the agents' programs against it and the emulator's services."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest

from infra.emulator import agent_api
from infra.emulator.arm.managed_identity import CREDENTIALS, IDENTITIES
from infra.emulator.faults import Fault
from infra.emulator.federation import Rejected, check_assertion
from infra.emulator.issuers import keys_of
from infra.emulator.store import Resource
from tests.arc.agents import DOCUMENTED_AGENTS
from tests.emulator.agents_side import AgentsSide, KeyPair, key_pair, served
from tests.emulator.flux_crds import define, ready, say
from tests.emulator.local_agents import LocalAgents
from tests.kubernetes_plugin.apiserver import ApiServer
from tests.kubernetes_plugin.kubelet import pods_get_ready
from tests.kubernetes_plugin.shared import lent
from tests.waiting import eventually

pytestmark = pytest.mark.engine

AUDIENCE = "api://AzureADTokenExchange"


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    with lent(request) as server:
        yield server


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentsSide]:
    with served(tmp_path_factory.mktemp("azure")) as side:
        yield side


@pytest.fixture(scope="module")
def keys() -> KeyPair:
    return key_pair()


@pytest.fixture(scope="module")
def agents(
    cluster: ApiServer, azure: AgentsSide, keys: KeyPair, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAgents]:
    """The cluster onboarded, and every agent that has work at it."""
    azure.onboard(keys.public())
    found = LocalAgents(cluster, azure, tmp_path_factory.mktemp("agents"))
    said = found.install(keys.pem)
    assert "STATUS: deployed" in said, said
    try:
        for role in ("clusteridentityoperator", "cluster-metadata-operator", "resource-sync-agent"):
            found.start(role)
        eventually(lambda: azure.connectivity() == "Connected", "it is Connected")
        yield found
    finally:
        found.end()


def test_the_chart_brings_every_documented_deployment(agents: LocalAgents) -> None:
    found = agents.cluster.get("/apis/apps/v1/namespaces/azure-arc/deployments")["items"]
    assert {one["metadata"]["name"] for one in found} == DOCUMENTED_AGENTS
    assert all(one["metadata"]["annotations"]["azlocal.io/emulated"] == "true" for one in found)


def test_the_cluster_shows_itself_in_azure(agents: LocalAgents) -> None:
    agents.cluster.kubectl(
        *("create", "-f", "-"),
        stdin=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}),
    )
    agents.cluster.kubectl(
        *("patch", "node", "node-1", "--subresource=status", "--type=merge"),
        *("-p", json.dumps({"status": {"capacity": {"cpu": "4"}}})),
    )
    eventually(lambda: agents.azure.cluster().properties.get("totalCoreCount") == 4, "its cores are told")
    properties = agents.azure.cluster().properties
    assert properties["totalNodeCount"] == 1
    assert properties["kubernetesVersion"].startswith("1.")
    assert properties["agentVersion"] == "1.36.1"
    agents.cluster.kubectl("delete", "node", "node-1")


def test_a_cluster_that_is_an_issuer_has_its_keys_published_and_entra_takes_its_tokens(
    agents: LocalAgents,
) -> None:
    """What checks its tokens, as the API server itself serves it; and a token that it made."""
    azure, cluster, issuer = agents.azure, agents.cluster, "https://test"  # which this API server names
    trusted = {"issuer": issuer, "subject": "system:serviceaccount:default:pods", "audiences": [AUDIENCE]}
    identity = Resource("/identities/pods", IDENTITIES, {"properties": {"clientId": "c-1"}})
    with azure.store.transaction():
        profile = {"enabled": True, "issuerUrl": issuer}
        azure.store.put(azure.cluster().with_properties(oidcIssuerProfile=profile))
        azure.store.put(identity)
        azure.store.put(Resource(f"{identity.id}/{CREDENTIALS}/pods", CREDENTIALS, {"properties": trusted}))
    eventually(lambda: keys_of(azure.store, issuer) is not None, "the keys are published")
    assert keys_of(azure.store, issuer) == json.loads(cluster.kubectl("get", "--raw", "/openid/v1/jwks"))
    for name in ("pods", "others"):
        cluster.kubectl("create", "serviceaccount", name)
    check_assertion(azure.store, "c-1", cluster.kubectl("create", "token", "pods", "--audience", AUDIENCE).strip())
    for who, audience, code in (("others", AUDIENCE, 700213), ("pods", "https://test", 700212)):
        token = cluster.kubectl("create", "token", who, "--audience", audience).strip()
        with pytest.raises(Rejected, match=f"AADSTS{code}: "):
            check_assertion(azure.store, "c-1", token)
    with azure.store.transaction():
        azure.store.put(azure.cluster().with_properties(oidcIssuerProfile={"enabled": False}))
        azure.store.delete(identity.id)


def test_the_certificate_stands_in_the_documented_secret_and_is_renewed_from_day_46(agents: LocalAgents) -> None:
    def secret() -> dict[str, bytes]:
        found = agents.cluster.get("/api/v1/namespaces/azure-arc/secrets/azure-identity-certificate")
        return {name: base64.b64decode(value) for name, value in found["data"].items()}

    first = secret()
    assert set(first) == {
        "azure-identity-certificate",
        "azure-identity-certificate-expiration-time",
        "azure-identity-client-id",
        "cert-renew-after",
    }
    assert first["azure-identity-client-id"] == b"p-1"
    agents.azure.advance(timedelta(days=46))
    eventually(lambda: secret() != first, "the certificate is renewed")
    expires = agents.azure.cluster().properties["managedIdentityCertificateExpirationTime"]
    assert secret()["azure-identity-certificate-expiration-time"].decode()[:19] == expires[:19]
    eventually(lambda: agents.azure.connectivity() == "Connected", "it is Connected")


def test_a_cluster_whose_agents_end_is_offline_and_comes_back(agents: LocalAgents) -> None:
    assert agents.stop("resource-sync-agent") < 2
    agents.azure.advance(timedelta(minutes=16))
    assert agents.azure.connectivity() == "Offline"
    agents.start("resource-sync-agent")
    eventually(lambda: agents.azure.connectivity() == "Connected", "it is Connected")


def test_dropped_heartbeats_turn_it_offline_too(agents: LocalAgents) -> None:
    fault = Fault(kind="dropHeartbeats")
    agents.azure.faults.plant(fault)
    try:
        agents.azure.advance(timedelta(minutes=16))
        log = partial(agents.log, "resource-sync-agent")
        eventually(lambda: "asked to drop heartbeats" in log(), "heartbeats are dropped")
        assert agents.azure.connectivity() == "Offline"
    finally:
        agents.azure.faults.clear()
    eventually(lambda: agents.azure.connectivity() == "Connected", "it is Connected")


def test_kube_aad_proxy_makes_its_certificate(agents: LocalAgents) -> None:
    agents.start("kube-aad-proxy")
    path = "/api/v1/namespaces/azure-arc/secrets"
    eventually(
        lambda: "kube-aad-proxy-certificate" in {o["metadata"]["name"] for o in agents.cluster.get(path)["items"]},
        "its certificate",
    )


CANARY = "canary-7b1f"


@pytest.fixture
def managed(agents: LocalAgents) -> LocalAgents:
    """The agents, with the one that installs extensions."""
    if "extension-manager" not in agents.processes:
        agents.start("extension-manager")
    return agents


def test_an_extension_is_installed_changed_and_removed(managed: LocalAgents) -> None:
    azure, cluster = managed.azure, managed.cluster
    settings = {"extensionType": "Microsoft.PolicyInsights", "scope": {"cluster": {"releaseNamespace": "policy"}}}
    with pods_get_ready(cluster, "policy"):
        azure.want_extension(
            "azurepolicy", {**settings, "configurationSettings": {"a.b": "1"}}, {"workspace.key": CANARY}
        )
        eventually(lambda: _reported(azure, "azurepolicy") == 1, "the extension is installed")
        found = azure.extension("azurepolicy")
        assert found is not None
        assert found.properties["currentVersion"] == "1.1.0"
        assert azure.store.secret(found.id) is None
        said = cluster.get("/api/v1/namespaces/policy/configmaps/microsoft-policyinsights-stand-in")
        assert json.loads(said["data"]["settings.json"]) == {"a.b": "1"}
        kept = cluster.get("/api/v1/namespaces/policy/secrets/protected-parameters-azurepolicy")["data"]
        assert base64.b64decode(kept["workspace.key"]).decode() == CANARY
        assert CANARY not in cluster.helm("get", "all", "azurepolicy", "-n", "policy")
        assert CANARY not in managed.log("extension-manager")

        azure.want_extension("azurepolicy", {**settings, "configurationSettings": {"a.b": "2"}})
        eventually(lambda: _reported(azure, "azurepolicy") == 2, "the extension is changed")
        said = cluster.get("/api/v1/namespaces/policy/configmaps/microsoft-policyinsights-stand-in")
        assert json.loads(said["data"]["settings.json"]) == {"a.b": "2"}
        volumes = cluster.get("/apis/apps/v1/namespaces/policy/deployments/microsoft-policyinsights-stand-in")
        assert "protected-parameters-azurepolicy" in json.dumps(volumes["spec"])

        azure.want_extension("azurepolicy", settings, deleting=True)
        eventually(lambda: azure.extension("azurepolicy") is None, "the extension is removed")
    assert cluster.helm("list", "-n", "policy", "-q") == ""
    assert cluster.kubectl("-n", "policy", "get", "deployments,configmaps,secrets", "-o", "name") == (
        "configmap/kube-root-ca.crt"
    )
    assert cluster.kubectl("get", "extensionconfigs", "-A", "-o", "name") == ""


def test_an_extension_whose_pods_are_never_scheduled_fails_with_helms_words(
    managed: LocalAgents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts §9, 16: no kubelet lets the pods run here."""
    monkeypatch.setattr(agent_api, "_RELEASE_SECONDS", 5)
    azure = managed.azure
    azure.want_extension("late", {"extensionType": "Microsoft.PolicyInsights"})
    eventually(lambda: _reported(azure, "late") == 1, "the extension failed")
    found = azure.extension("late")
    assert found is not None
    assert found.properties["errorInfo"]["code"] == "ExtensionCreationFailed"
    (status,) = found.properties["statuses"]
    assert (status["code"], status["level"]) == ("InstallationFailed", "Error")
    assert "context deadline exceeded" in status["message"]
    azure.want_extension("late", {"extensionType": "Microsoft.PolicyInsights"}, deleting=True)
    eventually(lambda: azure.extension("late") is None, "the extension is removed")


def test_an_extension_version_that_does_not_exist_fails_as_its_chart_is_missing(managed: LocalAgents) -> None:
    azure = managed.azure
    azure.want_extension("akv", {"extensionType": "Microsoft.AzureKeyVaultSecretsProvider", "version": "9.9.9"})
    eventually(lambda: _reported(azure, "akv") == 1, "the extension failed")
    found = azure.extension("akv")
    assert found is not None
    assert found.properties["errorInfo"]["code"] == "ExtensionCreationFailed"
    assert "microsoft.azurekeyvaultsecretsprovider:9.9.9: not found" in found.properties["statuses"][0]["message"]
    azure.want_extension("akv", {"extensionType": "Microsoft.AzureKeyVaultSecretsProvider"}, deleting=True)
    eventually(lambda: azure.extension("akv") is None, "the extension is removed")


def _reported(azure: AgentsSide, name: str) -> int | None:
    found = azure.extension(name)
    return found.hidden.get("reported") if found else None


GIT = {
    "scope": "cluster",
    "namespace": "apps",
    "sourceKind": "GitRepository",
    "gitRepository": {
        "url": "https://git.example/lab",
        "repositoryRef": {"branch": "main"},
        "httpsUser": "git",
        "syncIntervalInSeconds": 60,
    },
    "kustomizations": {
        "infra": {"path": "./infra", "prune": True},
        "apps": {"path": "./apps", "dependsOn": ["infra"], "prune": True},
    },
}


def test_a_flux_configuration_becomes_flux_objects_and_tells_how_they_are(agents: LocalAgents) -> None:
    azure, cluster = agents.azure, agents.cluster

    def shown(name: str) -> object:
        found = azure.configuration("lab")
        return found.properties.get(name) if found else None

    agents.start("config-agent")
    key = base64.b64encode(CANARY.encode()).decode()
    azure.want_configuration("lab", GIT, {"httpsKey": key})
    eventually(lambda: "no Flux" in str(shown("errorMessage")), "Flux is missed")
    define(cluster)
    eventually(lambda: shown("errorMessage") is None and shown("complianceState") == "Pending", "Pending")
    source = cluster.get("/apis/source.toolkit.fluxcd.io/v1/namespaces/apps/gitrepositories/lab")["spec"]
    assert source["url"] == "https://git.example/lab"
    assert source["ref"] == {"branch": "main"}
    assert source["interval"] == "60s"
    secret = cluster.get(f"/api/v1/namespaces/apps/secrets/{source['secretRef']['name']}")["data"]
    assert base64.b64decode(secret["password"]).decode() == CANARY
    applied = cluster.get("/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/apps/kustomizations")["items"]
    assert {one["metadata"]["name"] for one in applied} == {"lab-infra", "lab-apps"}
    assert applied[0]["spec"]["dependsOn"] == [{"name": "lab-infra"}]

    artifact = {
        "revision": "main@sha1:abc",
        "lastUpdateTime": "2026-11-21T21:00:00Z",
        "digest": f"sha256:{'0' * 64}",
        "path": "a.tar.gz",
        "url": "http://source-controller/a.tar.gz",
    }
    say(cluster, "gitrepository", "apps", "lab", {**ready("True", "Succeeded"), "artifact": artifact})
    say(cluster, "kustomization", "apps", "lab-infra", ready("True", "ReconciliationSucceeded"))
    say(cluster, "kustomization", "apps", "lab-apps", ready("True", "ReconciliationSucceeded"))
    eventually(lambda: shown("complianceState") == "Compliant", "Compliant")
    assert shown("sourceSyncedCommitId") == "main@sha1:abc"
    say(cluster, "kustomization", "apps", "lab-apps", ready("False", "BuildFailed", "no such folder"))
    eventually(lambda: shown("complianceState") == "Non-Compliant", "Non-Compliant")
    assert shown("errorMessage") == "Kustomization lab-apps: no such folder"
    cluster.kubectl("-n", "apps", "delete", "kustomization", "lab-apps")
    eventually(lambda: shown("complianceState") == "Pending", "Pending")

    azure.want_configuration("lab", {**GIT, "kustomizations": {"infra": {"path": "./new"}}})
    names = ("-n", "apps", "get", "kustomizations", "-o", "name")
    eventually(lambda: cluster.kubectl(*names).count("/") == 1, "one kustomization is left")
    azure.want_configuration("lab", GIT, deleting=True)
    eventually(lambda: azure.configuration("lab") is None, "the configuration is removed")
    left = "gitrepositories,kustomizations,secrets,rolebindings"
    assert cluster.kubectl("-n", "apps", "get", left, "-o", "name") == ""
    assert "flux-applier" not in cluster.kubectl("get", "clusterrolebindings", "-o", "name")
    assert CANARY not in agents.log("config-agent")
