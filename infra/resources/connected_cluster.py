"""A cluster's connection to Azure Arc: the ARM resource, and the agents in the cluster (arc_facts.md §1)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.model.base import Model
from infra.resources.azure_access import AzureAccess
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract, Secret


class ProxySettings(Model):
    """The proxy through which the agents reach Azure; its URLs may have a password."""

    https_proxy: str | None = Field(default=None, repr=False)
    http_proxy: str | None = Field(default=None, repr=False)
    no_proxy: list[str] = Field(default_factory=list)


class CustomLocationsSettings(Model):
    """The custom-locations feature."""

    enabled: bool = False
    oid: str | None = None


class AzureRbacSettings(Model):
    """Azure roles in the cluster."""

    enabled: bool = False
    skip_authz_check: list[str] = Field(default_factory=list)


class OidcIssuerSettings(Model):
    """The cluster as an OpenID Connect issuer."""

    enabled: bool = False
    self_hosted_issuer_url: str | None = None


class ConnectedClusterInputs(Model):
    """What the program says of a connected cluster. What replaces it can't be changed in Azure either."""

    access: Annotated[AzureAccess, IGNORE] = Field(description="How Azure is reached")
    subscription_id: Annotated[str, REPLACE]
    resource_group: Annotated[str, REPLACE] = Field(description="Made if need be")
    name: Annotated[str, REPLACE]
    location: Annotated[str, REPLACE] = Field(description="The region; a move is a new connection")
    cluster_uid: Annotated[str, REPLACE] = Field(
        description="Which cluster it is: a re-created one isn't the same"
    )
    kubeconfig: Annotated[str, UPDATE, Secret()]
    tags: Annotated[dict[str, str], UPDATE] = Field(default_factory=dict)
    distribution: Annotated[str, UPDATE] = "generic"
    infrastructure: Annotated[str, REPLACE] = "generic"
    azure_hybrid_benefit: Annotated[Literal["True", "False", "NotApplicable"], UPDATE] = "NotApplicable"
    agent_auto_upgrade: Annotated[bool, UPDATE] = True
    release_train: Annotated[Literal["stable", "preview"], UPDATE] = "stable"
    cluster_connect: Annotated[bool, UPDATE] = True
    custom_locations: Annotated[CustomLocationsSettings, UPDATE] = Field(default_factory=CustomLocationsSettings)
    azure_rbac: Annotated[AzureRbacSettings, UPDATE] = Field(default_factory=AzureRbacSettings)
    oidc_issuer: Annotated[OidcIssuerSettings, UPDATE] = Field(default_factory=OidcIssuerSettings)
    workload_identity: Annotated[bool, UPDATE] = False
    proxy: Annotated[ProxySettings | None, UPDATE, Secret()] = None
    proxy_ca: Annotated[str | None, UPDATE] = Field(
        default=None, description="PEM of the authorities that the proxy, or a TLS inspection, signs with"
    )
    private_link_scope_id: Annotated[str | None, REPLACE] = None
    gateway_id: Annotated[str | None, UPDATE] = None
    register_providers: Annotated[bool, IGNORE] = Field(
        default=False, description="Register what the subscription lacks, instead of saying so"
    )
    probe_image: Annotated[str | None, IGNORE] = Field(
        default=None,
        description="An image on every node: a pod of it tries Azure's endpoints before anything is made",
    )
    connected: Annotated[bool, UPDATE] = Field(
        default=True, description="Azure hears from the agents, and all of them run; drift where it isn't so"
    )


class ConnectedClusterState(ConnectedClusterInputs):
    """The connection as it stands."""

    connectivity_status: str = Field(description="Connecting, Connected, Offline or Expired, as Azure says")
    agent_version: str | None = Field(default=None, description="What Azure upgrades by itself: no drift")
    kubernetes_version: str | None = None
    total_node_count: int | None = None
    certificate_expires: str | None = Field(default=None, description="When the identity's certificate ends")
    last_connectivity_time: str | None = None
    public_key: str = Field(description="The agents' public key, PKCS #1 in Base64: new with each connection")
    principal_id: str | None = Field(default=None, description="The managed identity's object id")
    issuer_url: str | None = Field(
        default=None, description="Where Azure publishes the keys of its service accounts; absent: nowhere"
    )
    warnings: list[str] = Field(default_factory=list, description="What will bite later")


CONNECTED_CLUSTER = Contract(
    "azlocal:index:ConnectedCluster",
    ConnectedClusterInputs,
    ConnectedClusterState,
    "A Kubernetes cluster connected to Azure Arc, with its agents.",
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroup}"
    "/providers/Microsoft.Kubernetes/connectedClusters/{name}",
)
