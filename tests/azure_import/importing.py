"""Imports for tests: what comes of files, and samples as az prints them.

data/ has samples with values of our own, in shapes that are published: the keys, their case and their nesting are
those of the sources below.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.azure_import.importing import import_files
from infra.plan.instance import Plan, plan_instance
from infra.spec import Finding, InstanceSpec
from tests.instances import spec_of

DATA = Path(__file__).parent / "data"
_AKS = "https://learn.microsoft.com/azure/aks/aksarc"
_LOCAL = "https://learn.microsoft.com/azure/azure-local/manage"
_SPECS = "Azure/azure-rest-api-specs, specification"
SOURCES = {
    "networks.json": f"{_LOCAL}/create-logical-networks, and create-network-security-groups: sample output",
    "interfaces.json": f"{_LOCAL}/create-network-interfaces, sample output",
    "cluster.json": f"{_AKS}/azure-hybrid-benefit, sample output of az aksarc create",
    "pools.json": f"{_AKS}/manage-node-pools, example output of az aksarc nodepool show",
    "cluster-rest.json": f"{_SPECS}/hybridaks/…/2026-06-01-preview/ProvisionedClusters_Get_MaximumSet_Gen.json "
    "at 43a88e83763e49e4119e4a2ac583fe361866ac4f",
    "pools-rest.json": f"{_SPECS}/hybridaks/…/2026-06-01-preview/AgentPools_Get_MaximumSet_Gen.json "
    "at 48604e324f5e79b9d374e74a4b624438a4e4c678",
    "balancers.json": f"{_SPECS}/kubernetesruntime/…/2024-03-01/LoadBalancers_List.json "
    "at e84d72b6fd284aaa0f8df1426353f710106eca16",
    "connected.json": "azure-mgmt-hybridkubernetes: ConnectedCluster, which az connectedk8s show prints",
    "extensions.json": "https://learn.microsoft.com/azure/container-registry/quickstart-connected-registry-arc-cli",
    "flux.json": "azure-mgmt-kubernetesconfiguration: FluxConfiguration, which az prints",
    "deployment.json": f"{_SPECS}/azurestackhci/…/StackHCI/stable/2024-01-01/examples/GetDeploymentSettings.json "
    "at df74858bfda6128d16c98265db2a6f42e89b20ff",
    "azuredeploy.parameters.json": "Azure/azure-quickstart-templates, quickstarts/microsoft.azurestackhci/"
    "create-cluster at 16b99e82ed68a6ef41bef36f6f2b8db847c70f63: its values, without what isn't about networks",
}
"""Where the shape of each sample is published."""


@dataclass(frozen=True)
class Imported:
    """What an import made.

    Attributes:
        stack: The stack's name.
        files: The texts.
        content: What is in them, by kind.
        findings: The loss report.
    """

    stack: str
    files: Mapping[str, str]
    content: dict[str, Any]
    findings: list[Finding]

    @property
    def spec(self) -> InstanceSpec:
        return spec_of(self.content, self.stack)

    @property
    def plan(self) -> Plan:
        return plan_instance(self.spec)

    @property
    def clusters(self) -> list[dict[str, Any]]:
        clusters: list[dict[str, Any]] = self.content["stack"].get("clusters", [])
        return clusters

    def said(self, rule: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.rule == rule]


def imported(texts: Mapping[str, str], **names: str) -> Imported:
    made, findings = import_files(texts, **names)
    read = {name: yaml.safe_load(text) for name, text in made.files.items()}
    stack, hosts, netplan = read.values()
    config = {key.removeprefix("azlocal:"): value for key, value in stack["config"].items()}
    return Imported(made.stack, made.files, {"stack": config, "hosts": hosts, "netplan": netplan}, findings)


def sample(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def samples(*names: str, **others: Any) -> dict[str, str]:
    """Return texts of samples, and of what a test has of its own by `name=content`."""
    own = {f"{name}.json": json.dumps(content, indent=1) for name, content in others.items()}
    return {name: (DATA / name).read_text(encoding="utf-8") for name in names} | own


def errors(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == "error"]
