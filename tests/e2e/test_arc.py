"""Azure Arc, with the emulator in Azure's place: connected, extended, offline, repaired, moved, taken away.

One cluster serves all tests of this file; they build on each other, and the last ones take it apart. Everything
but Azure itself is real: the SDKs, Helm, the agents' pods, the Flux controllers, a git repository.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from jwt.types import Options

from infra.arc.azure import Azure
from infra.arc.credentials import credential_for
from infra.arc.model import AzureScope
from infra.emulator.daemon import ensure_running, remove
from infra.emulator.environment import emulated_environment
from infra.kubernetes.token_issuers import OWN as OWN_ISSUER
from infra.model.work import Work
from tests.arc.agents import DOCUMENTED_AGENTS
from tests.cluster import (
    DOWN_SECONDS,
    Kubernetes,
    eventually,
    kubernetes,
    kubernetes_cluster,
    recorded_processes,
)
from tests.e2e import workload_identity
from tests.emptiness import leftovers
from tests.git_server import Repository, served
from tests.instance import INSTANCE, address, on, projects, virsh
from tests.project import ROOT, Project
from tests.waiting import waits_less_than

pytestmark = [pytest.mark.e2e, pytest.mark.chain]

AZLOCAL = str(ROOT / ".venv" / "bin" / "azlocal")
UNVERIFIED: Options = {"verify_signature": False}
CANARY = "canary-protected-5d1f0c"
GIT_CANARY = "canary-git-key-77aa31"
WORKSPACE = "/subscriptions/s/resourceGroups/r/providers/Microsoft.OperationalInsights/workspaces/w"
INSIGHTS = {"logAnalyticsWorkspaceResourceID": WORKSPACE}
CUSTOM = {
    "name": "backup",
    "extensionType": "microsoft.dataprotection.kubernetes",
    "configurationSettings": {"first": "1"},
    "configurationProtectedSettings": {"accountKey": "arc:account"},
}

IDENTITY: dict[str, Any] = {
    "oidcIssuerProfile": {"enabled": True},
    "securityProfile": {"workloadIdentity": {"enabled": True}},
}

LOCATED = {
    "customLocationsFeature": {"enabled": True, "oid": "51dfe1e8-70c6-4de5-a08e-e18aff23d815"},
    "customLocations": [{"name": f"{INSTANCE}-site", "namespace": "site", "extensions": ["backup"]}],
}


@dataclass(frozen=True)
class Seen:
    """What an `up` said, and what ran meanwhile: command lines and environments."""

    output: str
    processes: frozenset[str]


@dataclass(frozen=True)
class Made:
    """What the first `up` made, and what could be seen of it meanwhile."""

    project: Project
    a: Kubernetes
    seen: Seen

    @property
    def emulator(self) -> Path:
        return Path(self.project.environment["XDG_STATE_HOME"]) / "azlocal" / "emulator" / INSTANCE

    def azlocal(self, *arguments: str, code: int = 0) -> str:
        """Run our own command line on the project, as a user with `make env` does."""
        done = subprocess.run(
            [AZLOCAL, "-C", str(self.project.directory), *arguments],
            env=os.environ | self.project._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"azlocal {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def connect(self, *, issuer: bool = False, **arc: Any) -> None:
        """Change the cluster's `arc:`, and whether Azure publishes its issuer."""
        self.project.edit(clusters=[kubernetes_cluster(arc=arc, **(IDENTITY if issuer else {}))])


def watched_up(project: Project) -> Seen:
    with recorded_processes() as processes:
        run = project.up(timeout=900).expect()
    return Seen(run.output, frozenset(processes))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("arc")
    with projects(folder, shared=True) as make:
        project = make(clusters=[kubernetes_cluster()], arc={"cloud": "emulator"})
        project.environment["XDG_STATE_HOME"] = str(folder / "state")
        for name, value in (("account", CANARY), ("gitKey", GIT_CANARY)):
            project.pulumi("config", "set", "--secret", f"arc:{name}", value).expect()
        seen = watched_up(project)
        yield Made(project, kubernetes(project, "a"), seen)
    assert not (folder / "state" / "azlocal" / "emulator" / INSTANCE).exists(), "the emulator goes with its stack"


@pytest.fixture(scope="module")
def repository(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with served(tmp_path_factory.mktemp("git"), address(1, 1)) as repository:
        yield repository


# -- connected ------------------------------------------------------------------------------------


def test_the_cluster_ends_connected_and_every_agent_runs(made: Made) -> None:
    outputs = made.project.outputs()
    assert outputs["connectedClusters"]["a"]["connectivityStatus"] == "Connected"
    assert outputs["azure"] == {"cloud": "emulator", "isEmulated": True}
    assert "stands in for Azure" in made.seen.output, "up says that it isn't Azure"
    assert available_agents(made) == DOCUMENTED_AGENTS
    assert made.a.unfinished_pods() == []


def available_agents(made: Made) -> set[str]:
    deployments = made.a.get("deployments", "--namespace", "azure-arc")["items"]
    return {one["metadata"]["name"] for one in deployments if one["status"].get("availableReplicas")}


# -- GitOps and extensions --------------------------------------------------------------------------


def config_map(value: str) -> str:
    return yaml.safe_dump(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "from-git"}, "data": {"value": value}}
    )


def flux(repository: Repository, path: str = "app", **more: Any) -> dict[str, Any]:
    return {
        "name": "app",
        "namespace": "apps",
        "gitRepository": {"url": repository.url, "syncIntervalInSeconds": 5, "repositoryRef": {"branch": "main"}},
        "kustomizations": {"all": {"path": f"./{path}", "syncIntervalInSeconds": 5}},
        **more,
    }


def from_git(made: Made) -> str:
    done = made.a.run("get", "configmap", "from-git", "--namespace", "apps", "--output", "jsonpath={.data.value}")
    return done.stdout.strip()


@dataclass(frozen=True)
class Extended:
    """The `up` that brought everything on the connected cluster; a token that was out before."""

    seen: Seen
    commit: str
    token: str


@pytest.fixture(scope="module")
def extended(made: Made, repository: Repository) -> Extended:
    manifest = {
        "app/map.yaml": config_map("one"),
        "app/kustomization.yaml": "namespace: apps\nresources: [map.yaml]\n",
    }
    commit = repository.commit(manifest)
    token = made.a.kubectl("create", "token", "default").strip()
    made.connect(
        issuer=True,
        **LOCATED,
        extensions=[CUSTOM],
        knownExtensions={"containerInsights": INSIGHTS},
        fluxConfigurations=[
            flux(repository, configurationProtectedSettings={"httpsKey": "arc:gitKey"})
            | {"gitRepository": flux(repository)["gitRepository"] | {"httpsUser": "reader"}}
        ],
    )
    return Extended(watched_up(made.project), commit, token)


def test_flux_applies_what_the_repository_has_and_follows_it(
    made: Made, repository: Repository, extended: Extended
) -> None:
    assert eventually(lambda: from_git(made) == "one", "the repository's object")
    repository.commit({"app/map.yaml": config_map("two")})
    assert eventually(lambda: from_git(made) == "two", "the repository's change")
    state = resource(made, "FluxConfiguration")
    assert state["complianceState"] == "Compliant"
    assert extended.commit in state["sourceSyncedCommitId"]


def resources(made: Made, kind: str) -> list[dict[str, Any]]:
    """Return the outputs of a kind's resources in the stack's state."""
    listed = made.project.state()["resources"]
    return [one["outputs"] for one in listed if one["type"] == f"azlocal:index:{kind}"]


def resource(made: Made, kind: str) -> dict[str, Any]:
    (found,) = resources(made, kind)
    return found


def extensions(made: Made) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in resources(made, "Extension")}


def releases(made: Made) -> dict[str, str]:
    """Return the Helm releases of extensions, by name."""
    secrets = made.a.get("secrets", "--all-namespaces", "--selector", "owner=helm")["items"]
    return {one["metadata"]["labels"]["name"]: one["metadata"]["namespace"] for one in secrets}


def test_extensions_are_installed_as_their_type_says(made: Made, extended: Extended) -> None:
    states = {name: one["provisioningState"] for name, one in extensions(made).items()}
    assert states == dict.fromkeys(("backup", "azuremonitor-containers", "flux"), "Succeeded")
    assert releases(made)["azuremonitor-containers"] == "azuremonitor-containers"
    flux_pods = made.a.get("pods", "--namespace", "flux-system")["items"]
    assert {one["metadata"]["name"].partition("-controller")[0] for one in flux_pods} >= {"source", "kustomize"}


def test_a_custom_location_offers_an_extension(made: Made, extended: Extended) -> None:
    location = resource(made, "CustomLocation")
    assert (location["provisioningState"], location["namespace"]) == ("Succeeded", "site")
    assert [one.rpartition("/")[2] for one in location["extensionIds"]] == ["backup"]
    config = made.a.get("configmap", "azure-clusterconfig", "--namespace", "azure-arc")
    assert config["data"]["AZURE_RESOURCE_NAME"] == f"{INSTANCE}-a"


def test_a_pod_is_an_identity_of_entra_by_its_service_account(made: Made, extended: Extended) -> None:
    """A cluster that stands names Azure's issuer in tokens, and those that are out stay valid."""
    issuer = made.project.outputs()["connectedClusters"]["a"]["issuerUrl"]
    assert resource(made, "TokenIssuer")["accepted"] == [issuer, OWN_ISSUER]
    assert f"{made.a.control_plane} names {issuer}" in " ".join(extended.seen.output.split())
    authority = ensure_running(made.emulator).agent_url
    with azure_of(made) as azure:
        identity = workload_identity.make_identity(azure, INSTANCE, issuer)
        try:
            workload_identity.start(made.a, authority, made.emulator / "ca.pem", identity)
            told = workload_identity.answer(made.a)
        finally:
            workload_identity.remove_identity(azure, identity)
    assert "access_token" in told, told["error_description"]
    pod, entra = (jwt.decode(told[name], options=UNVERIFIED) for name in ("token", "access_token"))
    assert (pod["iss"], pod["sub"]) == (issuer, workload_identity.SUBJECT)
    assert entra["appid"] == identity["properties"]["clientId"]
    assert jwt.decode(extended.token, options=UNVERIFIED)["iss"] == OWN_ISSUER
    assert workload_identity.is_taken(made.a, extended.token)
    long = made.a.kubectl("create", "token", "default", "--duration", "48h").strip()
    claims = jwt.decode(long, options=UNVERIFIED)
    assert claims["exp"] - claims["iat"] == 24 * 3600, "no token lives for longer than Microsoft has it"


def test_a_second_up_and_a_refresh_change_nothing(made: Made, extended: Extended) -> None:
    made.project.up("--expect-no-changes").expect()
    made.project.refresh("--expect-no-changes").expect()


# -- offline ----------------------------------------------------------------------------------------


def test_stopped_agents_turn_it_offline(made: Made) -> None:
    made.a.kubectl("scale", "deployment", "--all", "--replicas=0", "--namespace", "azure-arc")
    made.a.wait("delete", "pods", "--all", "--namespace", "azure-arc")
    made.azlocal("emulator", "advance", "16m", "--instance", INSTANCE)
    made.project.refresh().expect()
    assert resource(made, "ConnectedCluster")["connectivityStatus"] == "Offline"


@pytest.fixture(scope="module")
def repaired(made: Made, repository: Repository) -> Seen:
    """An `up` that brings stopped agents back, who then have an extension to change."""
    made.connect(
        issuer=True,
        **LOCATED,
        extensions=[CUSTOM | {"configurationSettings": {"first": "2"}}],
        knownExtensions={"containerInsights": INSIGHTS},
        fluxConfigurations=[flux(repository)],
    )
    return watched_up(made.project)


def test_up_repairs_stopped_agents(made: Made, repaired: Seen) -> None:
    assert made.project.outputs()["connectedClusters"]["a"]["connectivityStatus"] == "Connected"
    assert available_agents(made) == DOCUMENTED_AGENTS
    assert made.a.unfinished_pods() == []


def test_an_extension_that_the_same_up_changes_is_changed_in_the_cluster(made: Made, repaired: Seen) -> None:
    assert extensions(made)["backup"]["configurationSettings"] == {"first": "2"}
    maps = made.a.get("configmaps", "--namespace", "dataprotection-microsoft")["items"]
    assert any('"first": "2"' in one.get("data", {}).get("settings.json", "") for one in maps), maps


def test_no_secret_lies_in_plain_text(made: Made, extended: Extended, repaired: Seen) -> None:
    """Private key, client secret, protected settings: in no state, log, process, Helm release."""
    key = made.a.get("secret", "azure-arc-connect-privatekey", "--namespace", "azure-arc")
    assert key["data"], "the key is where the agents read it"
    client = json.loads((made.emulator / "client.json").read_text())["clientSecret"]
    helm = made.a.run("get", "secrets", "--all-namespaces", "--selector", "owner=helm", "--output", "yaml").stdout
    unpacked = "\n".join(decoded_releases(made))
    private = private_key_line(key["data"])
    runs = (made.seen, extended.seen, repaired)
    places = {
        "pulumi stack export": made.project.pulumi("stack", "export").expect().output,
        "the output of pulumi up": "".join(one.output for one in runs),
        "processes": "\n".join(line for one in runs for line in one.processes),
        "Helm releases": helm + unpacked,
        "the emulator's log": (made.emulator / "emulator.log").read_text(),
        "the agents' logs": made.a.run(
            "logs", "--namespace", "azure-arc", "--selector", "app.kubernetes.io/part-of=azure-arc", "--tail=-1"
        ).stdout,
    }
    secrets = {"account key": CANARY, "git key": GIT_CANARY, "client secret": client, "private key": private}
    found = [
        f"{name} in {where}" for where, text in places.items() for name, one in secrets.items() if one in text
    ]
    assert found == []
    assert unpacked, "releases were read"


def private_key_line(data: dict[str, str]) -> str:
    (value,) = data.values()
    return base64.b64decode(value).decode().splitlines()[1]


def decoded_releases(made: Made) -> Iterator[str]:
    """Yield every revision of every Helm release in plain text, with its values."""
    for one in made.a.get("secrets", "--all-namespaces", "--selector", "owner=helm")["items"]:
        yield gzip.decompress(base64.b64decode(base64.b64decode(one["data"]["release"]))).decode()


def test_commands_look_at_the_connection(made: Made) -> None:
    status = made.azlocal("arc", "status", "a", "--stack", INSTANCE)
    assert "Connected" in status
    assert "webhook isn't installed" in " ".join(status.split())
    seen = json.loads(made.azlocal("status", INSTANCE, "--timeout", "1m", "--format", "json"))
    arc = seen["clusters"][0]["arc"]
    assert (arc["connectivityStatus"], arc["isEmulated"]) == ("Connected", True)
    check = ("arc", "check", "a", "--stack", INSTANCE, "--node", "all", "--format", "json")
    endpoints = json.loads(made.azlocal(*check))["endpoints"]
    assert {one["node"] for one in endpoints} == {made.a.control_plane, made.a.worker}
    assert {"configuration", "identity of agents"} <= {
        purpose for one in endpoints for purpose in one["purpose"].split(", ")
    }
    assert [one for one in endpoints if (one["status"], one["stage"]) != ("ok", "done")] == []


# -- another region ---------------------------------------------------------------------------------


def azure_of(made: Made) -> Azure:
    """Return the emulator as somebody beside the stack uses it, in the portal or with az."""
    environment = emulated_environment(made.emulator)
    client = json.loads((made.emulator / "client.json").read_text())
    return Azure(environment, AzureScope(client["subscriptionId"], INSTANCE), credential_for(environment))


@pytest.mark.full
def test_a_move_takes_everything_along_and_the_next_preview_is_empty(made: Made, repository: Repository) -> None:
    """What somebody made beside the stack, too; a move that is interrupted goes on where it was."""
    before = resource(made, "ConnectedCluster")["publicKey"]
    work = Work().within(120)
    with azure_of(made) as azure:
        foreign = {"properties": {"extensionType": "microsoft.policyinsights"}}
        azure.put_extension(f"{INSTANCE}-a", "by-hand", foreign, work)
    move = ("arc", "move", "a", "--to", "westeurope", "--stack", INSTANCE)
    assert "atlantis" in made.azlocal(*move[:4], "atlantis", *move[5:], code=2)
    planned = made.azlocal(*move, "--dry-run", code=2)
    assert "eastus -> westeurope" in planned
    assert "made again by the stack: extensions/backup" in planned
    assert "extensions/by-hand isn't declared in the stack" in planned, "its secrets are asked for first"
    assert resource(made, "ConnectedCluster")["location"] == "eastus", "nothing was deleted"
    file = made.project.directory / ".azlocal" / "moves" / f"{INSTANCE}-a.json"
    with azure_of(made) as azure:
        interrupt(made, [*move, "--unprotected", "by-hand"], lambda: has_left(azure, "eastus"))
    assert json.loads(file.read_text())["done"] == ["configuration"], "it was interrupted while the engine ran"
    assert "going on with the move" in made.azlocal(*move, "--unprotected", "by-hand")
    now = resource(made, "ConnectedCluster")
    assert (now["location"], now["connectivityStatus"]) == ("westeurope", "Connected")
    assert now["publicKey"] != before, "a new connection has a new key"
    assert extensions(made)["backup"]["provisioningState"] == "Succeeded"
    with azure_of(made) as azure:
        by_hand = azure.get_extension(f"{INSTANCE}-a", "by-hand")
        assert by_hand is not None
        assert by_hand["properties"]["provisioningState"] == "Succeeded"
    made.project.up("--expect-no-changes").expect()
    repository.commit({"app/map.yaml": config_map("three")})
    assert eventually(lambda: from_git(made) == "three", "Flux works in the new region")


def has_left(azure: Azure, region: str) -> bool:
    cluster = azure.get_cluster(f"{INSTANCE}-a")
    return cluster is None or cluster["location"] != region


def interrupt(made: Made, arguments: list[str], reached: Callable[[], bool]) -> None:
    """Run a command and press Ctrl-C, as a terminal sends it, once something was reached."""
    process = subprocess.Popen(
        [AZLOCAL, "-C", str(made.project.directory), *arguments],
        env=os.environ | made.project._environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    eventually(reached, "the point of the interruption", 300)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(120) != 0


# -- the end ----------------------------------------------------------------------------------------


def test_what_is_taken_out_of_the_file_leaves_the_cluster(made: Made) -> None:
    made.connect(issuer=True, location=resource(made, "ConnectedCluster")["location"])
    made.project.up(timeout=600).expect()
    assert {"backup", "azuremonitor-containers", "flux"} & releases(made).keys() == set()
    assert from_git(made) == "", "what Flux applied goes with its configuration"


def test_disconnected_and_connected_again_under_the_same_name(made: Made) -> None:
    made.connect(enabled=False)
    made.project.up(timeout=600).expect()
    namespaces = {one["metadata"]["name"] for one in made.a.get("namespaces")["items"]}
    assert namespaces & {"azure-arc", "azure-arc-release"} == set()
    assert "connectedClusters" not in made.project.outputs()
    made.connect()
    made.project.up(timeout=600).expect()
    assert made.project.outputs()["connectedClusters"]["a"]["connectivityStatus"] == "Connected"


def test_a_lost_state_is_written_anew_from_what_stands(made: Made, tmp_path: Path) -> None:
    # As if the nodes were of an older bundle: no pod of this cluster has a volume that is made by this one.
    spare = next(one for one in stored_images(made, made.a.worker) if "/busybox:" in one)
    on(made.project, made.a.worker, *CTR_IMAGES, "remove", "--sync", spare)
    encryption_keys = identity_of(made)["encryptionKeys"]
    old = Project(tmp_path / "old", INSTANCE, environment=made.project.environment)
    shutil.copytree(made.project.directory, old.directory)
    shutil.rmtree(made.project.directory / "state" / ".pulumi")
    stood = standing(made)

    made.project.pulumi("stack", "init", INSTANCE, stack=False).expect()
    refused = made.project.up()
    assert refused.code != 0
    assert "`make adopt` goes on with what stands" in " ".join(refused.output.split())
    said = made.azlocal("adopt", INSTANCE, "--yes")
    assert f"{made.a.control_plane}, {made.a.worker}, {INSTANCE}-rb-0; made by the state of" in " ".join(
        said.split()
    )

    assert standing(made) == stood, "nothing was replaced"
    assert identity_of(made)["encryptionKeys"] == encryption_keys, "what etcd has encrypted can be read further on"
    assert spare in stored_images(made, made.a.worker)
    assert all(made.a.nodes().values())
    made.project.up("--expect-no-changes").expect()
    made.project.refresh("--expect-no-changes").expect()
    assert all(kubernetes(made.project, "a").nodes().values()), "the new administrator is one of the same cluster"
    assert made.project.outputs()["connectedClusters"]["a"]["connectivityStatus"] == "Connected"
    late = old.refresh()
    assert late.code != 0
    assert "another state made it" in " ".join(late.output.split())


def identity_of(made: Made) -> dict[str, Any]:
    """Return what the state has of the cluster's identity, with what is secret there as JSON."""
    state = json.loads(made.project.pulumi("stack", "export", "--show-secrets").expect().output)
    (identity,) = (
        one["outputs"] for one in state["deployment"]["resources"] if one["type"].endswith(":ClusterIdentity")
    )
    return {name: one.get("plaintext") if isinstance(one, dict) else one for name, one in identity.items()}


CTR_IMAGES = ("sudo", "ctr", "--namespace", "k8s.io", "images")


def stored_images(made: Made, machine: str) -> list[str]:
    """Return the images in a node's own store."""
    return on(made.project, machine, *CTR_IMAGES, "list", "--quiet").split()


def standing(made: Made) -> dict[str, str]:
    """Return what would differ if machines, pods, releases' objects or the connection were replaced."""
    machines = {name: virsh("domid", name) for name in (made.a.control_plane, made.a.worker)}
    pods = {
        one["metadata"]["name"]: one["metadata"]["uid"] for one in made.a.get("pods", "--all-namespaces")["items"]
    }
    return machines | pods


def test_an_instance_whose_emulator_was_replaced_is_taken_down_quickly_and_leaves_nothing(made: Made) -> None:
    """A second clone took the emulator down and set it up again: its subscription is another one."""
    assert all(made.a.nodes().values())
    known = ensure_running(made.emulator).settings.subscription_id
    remove(made.emulator)
    assert ensure_running(made.emulator).settings.subscription_id != known
    made.project.refresh().expect()
    assert made.project.kinds()["ConnectedCluster"] == 0, "what Azure doesn't have is gone"
    with waits_less_than(DOWN_SECONDS):
        made.project.destroy().expect()
    assert leftovers(INSTANCE) == []
    assert not made.emulator.exists(), "an emulator in which no ARM resource is left goes, too"
