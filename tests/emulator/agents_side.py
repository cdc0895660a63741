"""The emulator's services for agents, served for a test on loopback; and the ARM resource to onboard to."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette

from infra.emulator import agent_api, certificates, charts, registry_routes
from infra.emulator.clock import Clock
from infra.emulator.connectivity import CLUSTERS, status_of
from infra.emulator.desired import EXTENSIONS, FLUX_CONFIGURATIONS, want
from infra.emulator.faults import Faults
from infra.emulator.registry import Registry
from infra.emulator.settings import Settings
from infra.emulator.store import Resource, Store
from infra.emulator.tokens import Tokens
from infra.emulator.world import World
from infra.image.bundle import Bundle
from tests.ports import free_port
from tests.waiting import eventually

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = "lab"
CLUSTER = "local-a"
CLUSTER_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/{CLUSTERS}/{CLUSTER}"
# A bundle that nobody built: only the names in it are looked at.
BUNDLE = Bundle(
    source="modules",
    digest="0" * 64,
    kubernetes_version="1.34.4",
    folder=Path("/nonexistent"),
    images={"agent-runtime": "localhost/azlocal/agent-runtime:test"},
    charts={},
)


@dataclass(frozen=True)
class KeyPair:
    """What an onboarder makes."""

    private: rsa.RSAPrivateKey

    @property
    def pem(self) -> str:
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ).decode()

    def public(self, form: serialization.PublicFormat = serialization.PublicFormat.PKCS1) -> str:
        der = self.private.public_key().public_bytes(serialization.Encoding.DER, form)
        return base64.b64encode(der).decode()


def key_pair() -> KeyPair:
    return KeyPair(rsa.generate_private_key(65537, 2048))


class AgentsSide:
    """What agents see of Azure, and the test's own way to its state."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.ca_file = folder / "ca.pem"
        self.store = Store(folder / "state.sqlite")
        self.clock = Clock(self.store)
        self.faults = Faults(self.store)
        self._folder = folder

    def serve(self) -> uvicorn.Server:
        ca, ca_key = certificates.make_ca()
        server, server_key = certificates.make_server_certificate(ca, ca_key, ["127.0.0.1"])
        self.ca_file.write_text(ca)
        (self._folder / "server.pem").write_text(server)
        (self._folder / "server.key").write_text(server_key)
        config = uvicorn.Config(
            self._application,
            factory=True,
            lifespan="off",
            host="127.0.0.1",
            port=self.port,
            ssl_certfile=str(self._folder / "server.pem"),
            ssl_keyfile=str(self._folder / "server.key"),
            log_level="warning",
        )
        return uvicorn.Server(config)

    def _application(self) -> Starlette:
        store = Store(self._folder / "state.sqlite")  # the server's thread has a connection of its own
        settings = Settings(port=self.port, subscription_id=SUBSCRIPTION, tenant_id="t", client_id="c")
        world = World(
            settings=settings,
            store=store,
            clock=Clock(store),
            faults=Faults(store),
            tokens=Tokens(rsa.generate_private_key(65537, 2048), "t"),
            registry=Registry(charts.repositories(settings, lambda: BUNDLE)),
            ca_certificate="",
            admin_token="",
            client_secrets={},
        )
        return Starlette(routes=[*registry_routes.routes(world), *agent_api.routes(world)])

    def onboard(self, public_key: str) -> Resource:
        """Make the ARM resource, as PUT does."""
        body = {
            "location": "eastus",
            "identity": {"type": "SystemAssigned", "principalId": "p-1", "tenantId": "t-1"},
            "properties": {"agentPublicKeyCertificate": public_key},
        }
        with self.store.transaction():
            return self.store.put(Resource(CLUSTER_ID, CLUSTERS, body))

    def cluster(self) -> Resource:
        found = self.store.get(CLUSTER_ID)
        assert found is not None
        return found

    def connectivity(self) -> str:
        return status_of(self.cluster(), self.clock.now())

    def want_extension(
        self,
        name: str,
        properties: Mapping[str, Any],
        protected: Mapping[str, Any] | None = None,
        *,
        deleting: bool = False,
    ) -> None:
        """Want an extension, as PUT and DELETE do."""
        self._want(EXTENSIONS, name, properties, protected, deleting=deleting)

    def want_configuration(
        self,
        name: str,
        properties: Mapping[str, Any],
        protected: Mapping[str, Any] | None = None,
        *,
        deleting: bool = False,
    ) -> None:
        """Want a Flux configuration, as PUT and DELETE do."""
        self._want(FLUX_CONFIGURATIONS, name, properties, protected, deleting=deleting)

    def _want(
        self,
        kind: str,
        name: str,
        properties: Mapping[str, Any],
        protected: Mapping[str, Any] | None,
        *,
        deleting: bool,
    ) -> None:
        key = f"{CLUSTER_ID}/providers/{kind}/{name}"
        with self.store.transaction():
            found = self.store.get(key)
            hidden = found.hidden if found else {}
            resource = Resource(key, kind, {"properties": dict(properties)}, hidden)
            want(self.store, self.clock, resource, protected, deleting=deleting)

    def extension(self, name: str) -> Resource | None:
        return self.store.get(f"{CLUSTER_ID}/providers/{EXTENSIONS}/{name}")

    def configuration(self, name: str) -> Resource | None:
        return self.store.get(f"{CLUSTER_ID}/providers/{FLUX_CONFIGURATIONS}/{name}")

    def advance(self, by: timedelta) -> None:
        with self.store.transaction():
            self.clock.advance(by)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send a request by other means than the agents'; return status and content."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, dict(headers or {}), method=method)
        context = ssl.create_default_context(cafile=str(self.ca_file))
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@contextmanager
def served(folder: Path) -> Iterator[AgentsSide]:
    """Serve until the test ends."""
    side = AgentsSide(folder)
    server = side.serve()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, "the server has started", every=0.02)
        yield side
    finally:
        server.should_exit = True
        thread.join(10)
        side.store.close()
