"""The agents' program as processes of this machine, each with the rights that the chart gives its role."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from infra.emulator import agent
from infra.emulator.charts import AGENTS_REPOSITORY, AGENTS_VERSION
from tests.emulator.agents_side import CLUSTER, GROUP, SUBSCRIPTION, AgentsSide
from tests.kubernetes_plugin.apiserver import ApiServer, program
from tests.ports import free_port
from tests.waiting import eventually

ACCOUNTS = (
    "clusteridentityoperator",
    "cluster-metadata-operator",
    "resource-sync-agent",
    "kube-aad-proxy",
    "config-agent",
    "extension-manager",
)


@dataclass
class LocalAgents:
    """A cluster's agents, started one by one.

    Attributes:
        away: Those that nobody is to start again.
    """

    cluster: ApiServer
    azure: AgentsSide
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)

    def install(self, private_key: str, **values: str) -> str:
        """Do what an onboarder does in the cluster: namespace, Secret, and the chart by the real helm."""
        self.prepare(private_key)
        settings = {
            "global.subscriptionId": SUBSCRIPTION,
            "global.resourceGroupName": GROUP,
            "global.resourceName": CLUSTER,
            "global.location": "eastus",
            "global.tenantId": "t-1",
            "global.isCustomCert": "true",
            "systemDefaultValues.spnOnboarding": "false",
            "systemDefaultValues.azureArcAgents.autoUpdate": "false",
            "systemDefaultValues.azureArcAgents.config_dp_endpoint_override": f"{self.azure.url}/dp",
            "systemDefaultValues.clusteridentityoperator.his_endpoint_override": (
                f"{self.azure.url}/his/discovery?location=eastus&api-version=1.0-preview"
            ),
            **values,
        }
        given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        return self.cluster.helm(
            *("upgrade", "--install", "azure-arc", f"oci://127.0.0.1:{self.azure.port}/{AGENTS_REPOSITORY}"),
            *("--version", AGENTS_VERSION, "--namespace", "azure-arc-release", "--create-namespace"),
            *("--ca-file", str(self.azure.ca_file), "--set-file", f"global.proxyCert={self.azure.ca_file}"),
            *given,
        )

    def prepare(self, private_key: str) -> None:
        """Make the namespace and the Secret that stand before the chart, marked as Helm's."""
        kubectl = self.cluster.kubectl
        kubectl("create", "namespace", "azure-arc")
        kubectl(
            *("-n", "azure-arc", "create", "secret", "generic", "azure-arc-connect-privatekey"),
            f"--from-literal=privateKey={private_key}",
        )
        for what in ("namespace/azure-arc", "secret/azure-arc-connect-privatekey"):
            kubectl("-n", "azure-arc", "label", what, "app.kubernetes.io/managed-by=Helm")
            kubectl(
                *("-n", "azure-arc", "annotate", what, "meta.helm.sh/release-name=azure-arc"),
                "meta.helm.sh/release-namespace=azure-arc-release",
            )

    def start(self, role: str) -> None:
        """Start an agent, in the environment that its pod would have."""
        account = self._account(role)
        home = self.folder / "opt"
        if not home.exists():  # apart from infra, as in the image
            shutil.copytree(Path(agent.__file__).parent, home / "agent")
            (home / "bin").mkdir()
            (home / "bin" / "helm").symlink_to(str(program("helm")))
        config = self.cluster.get("/api/v1/namespaces/azure-arc/configmaps/azure-clusterconfig")["data"]
        self.ports[role] = free_port()
        environment = {
            **config,
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.cluster.port),
            "EXTRA_CA_FILE": str(self.azure.ca_file),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        options = ["--service-account", str(account), "--health-port", str(self.ports[role])]
        with (self.folder / f"{role}.log").open("ab") as log:
            self.processes[role] = subprocess.Popen(
                [sys.executable, "-m", "agent", role, *options], cwd=home, env=environment, stdout=log, stderr=log
            )

    def _account(self, role: str) -> Path:
        """Return a folder as kubelet mounts one, of the role's service account."""
        folder = self.folder / "accounts" / role
        folder.mkdir(parents=True, exist_ok=True)
        token = self.cluster.kubectl("-n", "azure-arc", "create", "token", f"azure-arc-{role}-sa")
        (folder / "token").write_text(token)
        (folder / "namespace").write_text("azure-arc")
        shutil.copy(self.cluster.folder / "ca.crt", folder / "ca.crt")
        return folder

    def log(self, role: str) -> str:
        return (self.folder / f"{role}.log").read_text()

    def stop(self, role: str) -> float:
        """End an agent as kubelet does; return the seconds that it took."""
        process = self.processes.pop(role)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        return time.monotonic() - begun

    @contextlib.contextmanager
    def without(self, role: str) -> Iterator[None]:
        """Do without an agent meanwhile."""
        eventually(lambda: role in self.processes, f"{role} runs")
        self.away.add(role)
        self.stop(role)
        try:
            yield
        finally:
            self.away.discard(role)

    def end(self) -> None:
        for role in list(self.processes):
            self.stop(role)
