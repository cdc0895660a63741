"""The unmodified Azure SDKs against a running emulator; every answer is checked against Azure's shapes."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.extendedlocation import CustomLocations
from azure.mgmt.hybridkubernetes import ConnectedKubernetesClient
from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient
from azure.mgmt.kubernetesconfiguration.fluxconfigurations import (
    KubernetesConfigurationFluxConfigurationsMgmtClient,
)
from azure.mgmt.resource.resources import ResourceManagementClient

from infra.emulator import issuers, operations
from infra.emulator.admin_client import AdminClient
from infra.emulator.arm.dispatch import KINDS
from infra.emulator.clock import Clock
from infra.emulator.connectivity import CERTIFICATE_LIFE, find_cluster, record_certificate, record_heartbeat
from infra.emulator.daemon import Emulator
from infra.emulator.desired import Desired, Report, desired_of, report
from infra.emulator.settings import Folder
from infra.emulator.shapes import Object, shape_of
from infra.emulator.store import Store
from tests.emulator.responses import faults_of_response

# A public key as onboarders send it; what agents prove is tested with the agents.
PUBLIC_KEY = "TUlJQ0NnS0NBZ0VB"
SHAPES: dict[str, Callable[[], Object]] = {
    **{kind.type.lower(): kind.shape for kind in KINDS.values()},
    "microsoft.resources/resourcegroups": partial(
        shape_of, "azure.mgmt.resource.resources.models", "ResourceGroup"
    ),
}


@dataclass
class Azure:
    """Who uses the emulator: the SDKs' clients, plain requests, and what Azure and the agents do unseen."""

    emulator: Emulator
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def subscription(self) -> str:
        return self.emulator.settings.subscription_id

    @property
    def admin(self) -> AdminClient:
        return AdminClient(self.emulator.folder)

    @cached_property
    def credential(self) -> ClientSecretCredential:
        return self.credential_with()

    def credential_with(self, **other: str) -> ClientSecretCredential:
        """Return a credential; without changes, the one that the emulator was set up with."""
        client = Folder(self.emulator.folder).client()
        given = {
            "tenant_id": client.tenant_id,
            "client_id": client.client_id,
            "client_secret": client.client_secret,
        }
        return ClientSecretCredential(
            **{**given, **other},
            authority=self.emulator.url,
            disable_instance_discovery=True,
            connection_verify=str(self.emulator.ca_file),
        )

    @cached_property
    def clusters(self) -> Any:
        return self.client(ConnectedKubernetesClient).connected_cluster

    @cached_property
    def extensions(self) -> Any:
        return self.client(KubernetesConfigurationExtensionsMgmtClient).extensions

    @cached_property
    def flux(self) -> Any:
        return self.client(KubernetesConfigurationFluxConfigurationsMgmtClient).flux_configurations

    @cached_property
    def custom_locations(self) -> Any:
        return self.client(CustomLocations).custom_locations

    @cached_property
    def resources(self) -> Any:
        return self.client(ResourceManagementClient)

    def client(self, kind: Any, credential: Any = None, **more: Any) -> Any:
        """Return an SDK's client as a user makes it, but for the address and the certificate."""
        return kind(
            credential or self.credential,
            self.subscription,
            base_url=self.emulator.url,
            connection_verify=str(self.emulator.ca_file),
            raw_response_hook=self._seen,
            **more,
        )

    def _seen(self, response: Any) -> None:
        request, answer = response.http_request, response.http_response
        self.requests.append((request.method, request.url, answer.status_code))
        assert answer.headers["x-ms-azlocal-emulator"] == "1"
        if "/customLocations/" in request.url and request.method in ("PUT", "DELETE"):
            return  # this client reads the stream itself; the GET that follows is checked
        if hasattr(answer, "read"):  # else it is read already
            answer.read()
        content = json.loads(answer.text()) if answer.text() else None
        for one in content.get("value", [content]) if isinstance(content, dict) else []:
            shape = SHAPES.get(str(one.get("type", "")).lower())
            if shape is not None and "/resources" not in request.url.partition("?")[0]:
                self.faults += [
                    f"{request.method} {request.url}: {fault}" for fault in faults_of_response(shape(), one)
                ]

    def group(self, name: str, location: str = "eastus", **more: Any) -> str:
        """Make a resource group."""
        self.resources.resource_groups.create_or_update(name, {"location": location, **more})
        return name

    def connect(self, group: str, name: str, **more: Any) -> Any:
        """Make a connected cluster, without waiting in real time for what Azure does then."""
        self.clusters.begin_create_or_replace(group, name, cluster_body(**more), polling=False)
        self.admin.advance(operations.AZURE_SECONDS)
        return self.clusters.get(group, name)

    def cluster_id(self, group: str, name: str) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{group}/providers/Microsoft.Kubernetes/"
            f"connectedClusters/{name}"
        )

    def token(self) -> str:
        return self.credential.get_token("https://management.azure.com/.default").token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        """Send a plain request; return status, JSON and headers (named in lower case)."""
        request = urllib.request.Request(  # https only
            self.emulator.url + path,
            None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode(),
            {"Content-Type": "application/json", **headers},
            method=method,
        )
        trusted = ssl.create_default_context(cafile=str(self.emulator.ca_file))
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trusted))
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, _json(answer.read()), _lowered(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _json(error.read()), _lowered(error.headers)

    def arm(self, method: str, path: str, body: Any = None) -> tuple[int, Any, Mapping[str, str]]:
        """Send a plain request to ARM, with a token."""
        return self.ask(method, path, body, Authorization=f"Bearer {self.token()}")

    @property
    def agents(self) -> Agents:
        return Agents(self.emulator.folder)


@dataclass(frozen=True)
class Agents:
    """What agents would do, by way of the state that the server shares."""

    folder: Path

    def beat(self, cluster_id: str, **facts: Any) -> None:
        """Let a cluster be heard."""
        with closing(Store(Folder(self.folder).state_file)) as store, store.transaction():
            clock, cluster = Clock(store), find_cluster(store, cluster_id)
            assert cluster is not None
            if "managedIdentityCertificateExpirationTime" not in cluster.properties:
                cluster = record_certificate(store, cluster, clock.now() + CERTIFICATE_LIFE)
            record_heartbeat(store, clock, cluster, {"agentVersion": "1.36.1", "totalNodeCount": 1, **facts})

    def publish(self, cluster_id: str, keys: dict[str, Any]) -> None:
        """Send the keys that a cluster's API server serves."""
        with closing(Store(Folder(self.folder).state_file)) as store, store.transaction():
            cluster = find_cluster(store, cluster_id)
            assert cluster is not None
            issuers.publish(store, Clock(store), cluster, issuers.Keys.model_validate(keys))

    def desired(self, cluster_id: str) -> dict[str, Desired]:
        """Return what is wanted of a cluster, by name."""
        with closing(Store(Folder(self.folder).state_file)) as store:
            cluster = find_cluster(store, cluster_id)
            assert cluster is not None
            return {one.name: one for one in desired_of(store, Clock(store), cluster)}

    def report(self, cluster_id: str, name: str, state: str = "Succeeded", **more: Any) -> bool:
        """Report on what is wanted now."""
        wanted = self.desired(cluster_id)[name]
        with closing(Store(Folder(self.folder).state_file)) as store, store.transaction():
            cluster = find_cluster(store, cluster_id)
            assert cluster is not None
            said = Report(**{"generation": wanted.generation, "state": state, **more})
            return report(store, Clock(store), cluster, wanted.id, said)


def code_of(error: HttpResponseError) -> str:
    """Return the code that ARM's answer gives."""
    assert error.error is not None, f"no error of ARM's: {error}"
    return str(error.error.code)


def cluster_body(**more: Any) -> dict[str, Any]:
    """Return what an onboarder PUTs."""
    properties = {"agentPublicKeyCertificate": PUBLIC_KEY, **more.pop("properties", {})}
    return {"location": "eastus", "identity": {"type": "SystemAssigned"}, "properties": properties, **more}


def extension_body(kind: str = "microsoft.flux", **properties: Any) -> dict[str, Any]:
    return {"identity": {"type": "SystemAssigned"}, "properties": {"extensionType": kind, **properties}}


def flux_body(**properties: Any) -> dict[str, Any]:
    source = {"url": "https://git.example/r", "repositoryRef": {"branch": "main"}}
    return {
        "properties": {
            "scope": "cluster",
            "namespace": "apps",
            "sourceKind": "GitRepository",
            "gitRepository": source,
            "kustomizations": {"apps": {"path": "./apps", "prune": True}},
            **properties,
        }
    }


OF_CLUSTER = ("Microsoft.Kubernetes", "connectedClusters")
HOUR = timedelta(hours=1).total_seconds()
LIMIT = operations.AGENTS_LIMIT.total_seconds()


def _json(content: bytes) -> Any:
    return json.loads(content) if content else None


def _lowered(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
