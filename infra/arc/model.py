"""What a connection to Arc is to be, and what it is."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from infra.arc.environment import AzureEnvironment


@dataclass(frozen=True)
class AzureScope:
    """Where in Azure something stands.

    Attributes:
        tenant_id: None: the credential's, or the subscription's.
    """

    subscription_id: str
    resource_group: str
    tenant_id: str | None = None

    @property
    def group_id(self) -> str:
        """Return the resource group's ARM id."""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"

    def cluster_id(self, name: str) -> str:
        """Return a connected cluster's ARM id."""
        return f"{self.group_id}/providers/Microsoft.Kubernetes/connectedClusters/{name}"


@dataclass(frozen=True)
class Proxy:
    """How agents leave the cluster.

    Attributes:
        https, http: URLs; user and password in them end up in the cluster, where the agents need them.
        no_proxy: What is reached without it: the service network, `.svc` and the like.
        certificate: PEM, of whoever signs for the proxy.
    """

    https: str = field(default="", repr=False)
    http: str = field(default="", repr=False)
    no_proxy: tuple[str, ...] = ()
    certificate: str = field(default="", repr=False)


@dataclass(frozen=True)
class CustomLocations:
    """Attributes: oid: the object id, in this tenant, of the service principal of Azure's custom locations."""

    enabled: bool = False
    oid: str | None = None


@dataclass(frozen=True)
class AzureRbac:
    """Attributes: skip: users and groups whose access Azure isn't asked about."""

    enabled: bool = False
    skip: tuple[str, ...] = ()


@dataclass(frozen=True)
class OidcIssuer:
    """Attributes: self_hosted_url: the cluster's own issuer; None: Azure hosts one."""

    enabled: bool = False
    self_hosted_url: str | None = None


@dataclass(frozen=True)
class Features:
    """What of Arc a cluster uses.

    Attributes:
        cluster_connect: Whether the cluster is to be reached through Azure; `connects` says whether it is.
    """

    proxy: Proxy | None = None
    private_link_scope_id: str | None = None
    gateway_id: str | None = None
    cluster_connect: bool = True
    custom_locations: CustomLocations = CustomLocations()
    azure_rbac: AzureRbac = AzureRbac()
    oidc_issuer: OidcIssuer = OidcIssuer()
    workload_identity: bool = False

    @property
    def connects(self) -> bool:
        """Return whether the cluster is reached through Azure, which a private link excludes (facts §8.3)."""
        return self.cluster_connect and self.private_link_scope_id is None


@dataclass(frozen=True)
class Onboarding:
    """A cluster's connection to Arc, as it is wanted.

    Attributes:
        name: Of the connectedClusters resource.
        kubeconfig: An administrator's, as text; a secret.
        distribution, infrastructure: Azure's words, as `generic`, `azure_stack_hci`.
        azure_hybrid_benefit: `True`, `False` or `NotApplicable`.
        auto_upgrade: Whether Azure keeps the agents up to date. What it then installs is no drift.
        agent_version: The agents' chart; None: what Azure says is current.
        register_providers: Whether resource providers that a subscription lacks may be registered.
        providers: Those that what is declared on it needs, beside Arc's own.
        probe_image: With Python, and on the cluster's nodes already: to try endpoints from a pod first. None: they
            aren't tried from there.
    """

    environment: AzureEnvironment
    scope: AzureScope
    name: str
    location: str
    kubeconfig: str = field(repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
    distribution: str = "generic"
    infrastructure: str = "generic"
    azure_hybrid_benefit: str = "NotApplicable"
    features: Features = Features()
    auto_upgrade: bool = True
    agent_version: str | None = None
    release_train: str = "stable"
    register_providers: bool = False
    providers: tuple[str, ...] = ()
    probe_image: str | None = None

    @property
    def id(self) -> str:
        """Return the ARM id."""
        return self.scope.cluster_id(self.name)


Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """What a precheck found.

    Attributes:
        rule: Its short name, which stays the same for ever.
        severity: An error keeps a cluster from being connected.
    """

    rule: str
    message: str
    remedy: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        text = f"{self.rule}: {self.message}"
        return f"{text}; {self.remedy}" if self.remedy else text


@dataclass(frozen=True)
class Connected:
    """A connection to Arc, as Azure and the cluster tell it.

    Attributes:
        connectivity_status: Connecting, Connected, Offline, Expired or AgentNotInstalled.
        certificate_expires: Of the identity that agents use; None until they have one.
        last_connectivity: When Azure heard of them last.
        public_key: As ARM has it; base64 of a PKCS#1 public key.
        principal_id, tenant_id: Of the cluster's managed identity.
        agents_ready: Whether everything in the namespace azure-arc is available; None: the cluster wasn't asked,
            or doesn't answer.
        warnings: What will bite soon, or does already, one text each.
        agent_errors: What ARM says that went wrong with agents.
        issuer_url: Where Azure publishes the keys of service accounts; empty: nowhere.
        body: ARM's whole answer.
    """

    id: str
    location: str
    connectivity_status: str
    provisioning_state: str
    agent_version: str
    kubernetes_version: str
    node_count: int
    distribution: str
    infrastructure: str
    certificate_expires: datetime.datetime | None
    last_connectivity: datetime.datetime | None
    public_key: str
    principal_id: str
    tenant_id: str
    tags: Mapping[str, str]
    agents_ready: bool | None = None
    warnings: tuple[str, ...] = ()
    agent_errors: tuple[str, ...] = ()
    issuer_url: str = ""
    body: Mapping[str, object] = field(default_factory=dict, repr=False)
