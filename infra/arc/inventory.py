"""What stands on a connected cluster, as a list that can be saved, made again and compared (arc_facts.md §6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from infra.arc.azure import Azure
from infra.arc.errors import ArcError

Body = dict[str, Any]
Kind = Literal["extensions", "fluxConfigurations", "sourceControlConfigurations", "customLocations"]

KINDS: Final[tuple[Kind, ...]] = (
    *("extensions", "fluxConfigurations"),
    *("sourceControlConfigurations", "customLocations"),
)

# What ARM says of a resource and nobody can ask for (§6, step 6): of the resource, and anywhere in it.
_ENVELOPE: Final = frozenset({"id", "name", "type", "systemData", "etag"})
_READ_ONLY: Final = frozenset(
    {
        *("provisioningState", "statuses", "currentVersion", "errorInfo", "errorMessage", "packageUri"),
        *("principalId", "tenantId", "isSystemExtension", "customLocationSettings", "extensionState", "managedBy"),
        *("complianceState", "complianceStatus", "sourceSyncedCommitId", "sourceUpdatedAt", "statusUpdatedAt"),
        "repositoryPublicKey",
    }
)
_WRITE_ONLY: Final = frozenset({"configurationProtectedSettings"})
# What a region's move changes by itself.
_OF_REGION: Final = frozenset({"location"})


class Inventory(BaseModel):
    """A connected cluster with everything on it, as ARM tells it."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    cluster: Body
    extensions: tuple[Body, ...] = ()
    flux_configurations: tuple[Body, ...] = ()
    source_control_configurations: tuple[Body, ...] = ()
    custom_locations: tuple[Body, ...] = ()

    @classmethod
    def take(cls, azure: Azure, cluster: str) -> Self:
        """Ask Azure.

        Raises:
            ArcError: There is no such cluster, or Azure refuses.
        """
        body = azure.get_cluster(cluster)
        if body is None:
            raise ArcError("arc-missing", f"{azure.scope.cluster_id(cluster)} isn't there", "check its name")
        return cls(
            cluster=body,
            extensions=tuple(azure.list_extensions(cluster)),
            flux_configurations=tuple(azure.list_flux_configurations(cluster)),
            source_control_configurations=tuple(azure.list_source_control_configurations(cluster)),
            custom_locations=tuple(azure.list_custom_locations(cluster)),
        )

    def of(self, kind: Kind) -> dict[str, Body]:
        """Return everything of a kind by its name in lower case."""
        bodies: Iterable[Body] = {
            "extensions": self.extensions,
            "fluxConfigurations": self.flux_configurations,
            "sourceControlConfigurations": self.source_control_configurations,
            "customLocations": self.custom_locations,
        }[kind]
        return {str(body["name"]).lower(): body for body in bodies}


def portable(body: Mapping[str, Any]) -> Body:
    """Return what of ARM's answer can be asked for again."""
    return _asked_for({key: value for key, value in body.items() if key not in _ENVELOPE})


def _asked_for(body: Mapping[str, Any]) -> Body:
    unwanted = _READ_ONLY | _WRITE_ONLY
    return {key: _inside(value) for key, value in body.items() if key not in unwanted and value is not None}


def _inside(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _asked_for(value)
    return [_inside(item) for item in value] if isinstance(value, list | tuple) else value


def differences(before: Inventory, after: Inventory) -> list[str]:
    """Return what a move changed beside the region: a line for each property."""
    lines = list(_unequal("cluster", _settled(before.cluster), _settled(after.cluster)))
    for kind in KINDS:
        old, new = before.of(kind), after.of(kind)
        lines += [f"{kind}/{name} is missing" for name in sorted(old.keys() - new.keys())]
        lines += [f"{kind}/{name} is new" for name in sorted(new.keys() - old.keys())]
        for name in sorted(old.keys() & new.keys()):
            lines += _unequal(f"{kind}/{name}", _settled(old[name]), _settled(new[name]))
    return lines


# A new connection has a new key, and what Azure sees of the cluster is news at each look.
_OF_CONNECTION: Final = frozenset(
    {
        *(
            "agentPublicKeyCertificate",
            "connectivityStatus",
            "lastConnectivityTime",
            "agentVersion",
            "kubernetesVersion",
        ),
        *(
            "totalNodeCount",
            "totalCoreCount",
            "managedIdentityCertificateExpirationTime",
            "offering",
            "arcAgentProfile",
        ),
        *("miscellaneousProperties", "oidcIssuerProfile"),
    }
)


def _settled(body: Mapping[str, Any]) -> Body:
    settled = {key: value for key, value in portable(body).items() if key not in _OF_REGION}
    properties = settled.get("properties")
    if isinstance(properties, Mapping):
        settled["properties"] = {key: value for key, value in properties.items() if key not in _OF_CONNECTION}
    return settled


def _unequal(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _unequal(f"{path}.{key}", old.get(key), new.get(key))
    elif old != new and not (old in (None, {}, []) and new in (None, {}, [])):
        yield f"{path}: was {old!r}, is {new!r}"
