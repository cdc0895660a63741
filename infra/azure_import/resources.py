"""The ARM resources that an import knows, whatever syntax they are written in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from infra.azure_import.things import Thing


class Kind(StrEnum):
    """What a resource is, as people call it."""

    NETWORK = "logical network"
    INTERFACE = "network interface"
    CLUSTER = "AKS cluster"
    POOL = "node pool"
    CONNECTED = "connected cluster"
    EXTENSION = "extension"
    FLUX = "Flux configuration"
    BALANCER = "load balancer"
    DEPLOYMENT = "deployment of an instance"
    NODE = "node"


ARM_TYPES: Final = {
    "microsoft.azurestackhci/logicalnetworks": Kind.NETWORK,
    "microsoft.azurestackhci/networkinterfaces": Kind.INTERFACE,
    "microsoft.azurestackhci/clusters/deploymentsettings": Kind.DEPLOYMENT,
    "microsoft.hybridcontainerservice/provisionedclusterinstances": Kind.CLUSTER,
    "microsoft.hybridcontainerservice/provisionedclusterinstances/agentpools": Kind.POOL,
    "microsoft.kubernetes/connectedclusters": Kind.CONNECTED,
    "microsoft.kubernetesconfiguration/extensions": Kind.EXTENSION,
    "microsoft.kubernetesconfiguration/fluxconfigurations": Kind.FLUX,
    "microsoft.kubernetesruntime/loadbalancers": Kind.BALANCER,
}
"""Kinds by ARM's types in lower case."""

_CLUSTER_OF_ID: Final = re.compile(r"/connectedClusters/([^/]+)", re.IGNORECASE)
_DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource.

    Attributes:
        kind: What it is.
        name: Its name; that of an AKS cluster is its connected cluster's, since its own is always `default`.
        thing: What the file says of it, by ARM's keys.
        cluster: The connected cluster that it is of or on; None where it is of none, or that isn't said.
    """

    kind: Kind
    name: str
    thing: Thing
    cluster: str | None = None

    @property
    def properties(self) -> Thing:
        """Return its properties, which az lifts to the top for some resources."""
        return self.thing.get("properties") or self.thing

    @property
    def key(self) -> tuple[Kind, str, str]:
        """Return what no two resources have in common."""
        own = self.kind in (Kind.CLUSTER, Kind.CONNECTED)
        return self.kind, "" if own else (self.cluster or "").lower(), self.name.lower()


def last_of(id: str) -> str:
    """Return the name at the end of an ARM id."""
    return id.rstrip("/").rpartition("/")[2]


def arm_type(thing: Thing) -> str | None:
    """Return an object's ARM type in lower case, by its `type` or by its id; None where it has neither."""
    written = thing.text("type")
    if written is not None and "/" in written:
        return written.lower()
    below = (thing.text("id") or "").lower().rpartition("/providers/")[2].split("/")
    return "/".join([below[0], *below[1::2]]) if len(below) >= 3 else None


def arm_resource(thing: Thing) -> Resource | None:
    """Return what az or ARM says of a resource; None where an import has no use for its type."""
    kind = ARM_TYPES.get(arm_type(thing) or "")
    if kind is None:
        return None
    id = thing.text("id") or ""
    match = _CLUSTER_OF_ID.search(id)
    cluster = match[1] if match else None
    name = thing.text("name") or last_of(id)
    if kind is Kind.CLUSTER:
        cluster = name = cluster or (name if name.lower() != _DEFAULT else "")
    if kind is Kind.CONNECTED:
        cluster = name = cluster or name
    return Resource(kind, name, thing, cluster)
