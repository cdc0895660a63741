"""A cluster without nodes whose agents live all the same: their pods get ready, their programs run beside it."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import ssl
import threading
import time
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.error import HTTPError

from infra.arc.azure import Azure
from infra.arc.credentials import credential_for
from infra.arc.environment import AzureEnvironment
from infra.arc.model import AzureScope, Onboarding
from infra.emulator import daemon
from infra.emulator.environment import emulated_environment
from infra.model.work import Work
from tests.emulator.local_agents import LocalAgents
from tests.kubernetes_plugin.apiserver import ApiServer
from tests.kubernetes_plugin.kubelet import pods_get_ready

GROUP = "lab-rg"
_ROLES = ("clusteridentityoperator", "cluster-metadata-operator", "resource-sync-agent", "extension-manager")
_CONFIG = "/api/v1/namespaces/azure-arc/configmaps/azure-clusterconfig"


@dataclass
class Lab:
    """An emulator, and a cluster to connect to it."""

    kubernetes: ApiServer | None
    environment: AzureEnvironment
    folder: Path
    said: list[str] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def cluster(self) -> ApiServer:
        assert self.kubernetes is not None
        return self.kubernetes

    @property
    def client(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.folder / "client.json").read_text())
        return found

    @property
    def scope(self) -> AzureScope:
        return AzureScope(self.client["subscriptionId"], GROUP, self.client["tenantId"])

    def azure(self) -> Azure:
        return Azure(self.environment, self.scope, credential_for(self.environment))

    def wanted(self, **more: Any) -> Onboarding:
        given: dict[str, Any] = {
            "environment": self.environment,
            "scope": self.scope,
            "name": "a",
            "location": "eastus",
            "kubeconfig": self.kubernetes.kubeconfig if self.kubernetes else "",
        }
        return Onboarding(**given | more)

    def work(self, seconds: float = 120) -> Work:
        return Work(time.monotonic() + seconds, self.cancelled, self.said.append)

    def fault(self, **fault: Any) -> None:
        """Let something go wrong."""
        self.admin("POST", "faults", fault)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the emulator for what only a test asks."""
        token = (self.folder / "admin-token").read_text().strip()
        context = ssl.create_default_context(cafile=str(self.environment.ca_file))
        request = urllib.request.Request(
            f"{self.environment.resource_manager}/_emulator/{path}",
            json.dumps(body).encode() if body is not None else None,
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextlib.contextmanager
def emulated(folder: Path) -> Iterator[AzureEnvironment]:
    """Run an emulator of one's own."""
    try:
        with warnings.catch_warnings():
            # The emulator outlives who started it, on purpose.
            warnings.simplefilter("ignore", ResourceWarning)
            environment = emulated_environment(folder)
        yield environment
    finally:
        daemon.stop(folder)


def add_node(cluster: ApiServer, name: str = "node-1", arch: str = "amd64", memory: str = "4Gi") -> None:
    """Give a cluster a node that is ready, in name only."""
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": arch}},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(node))
    status = {
        "allocatable": {"memory": memory, "cpu": "4"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
    }
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", patch)


def renew_lease(cluster: ApiServer, name: str, at: datetime.datetime) -> None:
    """Let a node's heartbeat carry a time."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"renewTime": at.isoformat(timespec="microseconds").replace("+00:00", "Z")},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(lease))


@contextlib.contextmanager
def agents_live(lab: Lab, folder: Path) -> Iterator[LocalAgents]:
    """Let whatever agents are installed meanwhile live: as on a cluster with nodes."""
    folder.mkdir(parents=True, exist_ok=True)
    side = SimpleNamespace(ca_file=lab.environment.ca_file)
    agents = LocalAgents(lab.cluster, cast(Any, side), folder)
    ended = threading.Event()

    def work() -> None:
        for turn in itertools.count():
            if ended.wait(0.3):
                return
            if turn % 50 == 0:  # else Kubernetes taints the node after forty seconds
                add_node(lab.cluster)
                renew_lease(lab.cluster, "node-1", datetime.datetime.now(datetime.UTC))
            installed = _is_there(lab.cluster, _CONFIG)
            with contextlib.suppress(AssertionError, OSError):
                for role in _ROLES:
                    if installed and role not in agents.processes and role not in agents.away:
                        agents.start(role)
                if not installed:
                    agents.end()

    thread = threading.Thread(target=work)
    with pods_get_ready(lab.cluster, "azure-arc"):
        thread.start()
        try:
            yield agents
        finally:
            ended.set()
            thread.join()
            agents.end()


def _is_there(cluster: ApiServer, path: str) -> bool:
    try:
        cluster.get(path)
    except (HTTPError, OSError):
        return False
    return True
