"""What is installed on a cluster: MetalLB's addresses, extensions, Flux configurations, as ARM's bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.arc.cluster_resources import ExtensionWanted, FluxWanted, extension_body, flux_body
from infra.export.facts import ExportFacts
from infra.plan.addresses.numbers import range_text
from infra.spec.arc import FluxConfiguration
from infra.spec.arc_extensions import ExtensionSpec, Networking
from infra.spec.stack import ClusterSpec

EXTENSIONS_VERSION: Final = "2023-05-01"
FLUX_VERSION: Final = "2023-05-01"
LOAD_BALANCERS_VERSION: Final = "2024-03-01"
LOAD_BALANCER: Final = "services"
_NAMESPACE: Final = "arc:"


class Secret(str):
    """A secret's place in a body: the name of a variable that whoever deploys fills; never its value.

    Attributes:
        encoded: Whether Azure wants the value in base64.
    """

    encoded: bool

    def __new__(cls, name: str, *, encoded: bool = False) -> Secret:
        """Make it of what people call it, which may have characters that no variable has."""
        text = name.removeprefix(_NAMESPACE)
        secret = super().__new__(
            cls, "secret_" + re.sub("[^A-Za-z0-9]", lambda match: f"_{ord(match[0]):x}_", text)
        )
        secret.encoded = encoded
        return secret


def secret_name(text: str) -> str | None:
    """Return what people call the secret whose variable a text names; None where it names none."""
    named = re.search(r"\bsecret_((?:[A-Za-z0-9]|_[0-9a-f]{1,5}_)*)", text)
    return re.sub("_([0-9a-f]{1,5})_", lambda match: chr(int(match[1], 16)), named[1]) if named else None


@dataclass(frozen=True, slots=True)
class Above:
    """All that is installed on one cluster.

    Attributes:
        addresses: The ranges of services, as MetalLB writes them; none where no load balancer is exported.
        extensions: Their specs by name, each with ARM's body.
        flux: Flux configurations by name, each with ARM's body.
        specs: The extensions as they are written.
        configurations: The Flux configurations as they are written.
        own_networking: MetalLB's extension is in `extensions` without anybody having written it.
    """

    addresses: tuple[str, ...]
    extensions: Mapping[str, Mapping[str, Any]]
    flux: Mapping[str, Mapping[str, Any]]
    specs: tuple[ExtensionSpec, ...]
    configurations: tuple[FluxConfiguration, ...]
    own_networking: str | None = None

    @property
    def is_nothing(self) -> bool:
        """Tell whether nothing is installed."""
        return not (self.addresses or self.extensions or self.flux)

    @property
    def networking(self) -> str | None:
        """Return the name of MetalLB's extension."""
        written = next((spec.name for spec in self.specs if spec.is_load_balancer), None)
        return written or self.own_networking

    @property
    def secrets(self) -> list[Secret]:
        """Return all secrets that have to be filled in, once each."""
        bodies = [*self.extensions.values(), *self.flux.values()]
        values = (body["properties"].get("configurationProtectedSettings", {}).values() for body in bodies)
        return sorted({value for settings in values for value in settings})


def above(facts: ExportFacts, cluster: ClusterSpec) -> Above:
    """Return what is installed on a cluster."""
    arc = cluster.arc
    specs = arc.all_extensions() if arc.enabled else ()
    configurations = arc.flux_configurations if arc.enabled else ()
    brings = any(spec.is_load_balancer for spec in specs)
    services = facts.services_of(cluster) if brings or cluster.add_ons.metallb.enabled else []
    extensions = {spec.name: _extension(spec) for spec in specs}
    own, principal = None, facts.target.k8s_runtime_fpa_object_id
    if services and not brings and principal is not None:
        networking = Networking(k8s_runtime_fpa_object_id=principal).extension()
        own = networking.name
        extensions = {own: _extension(networking), **extensions}
    return Above(
        tuple(map(range_text, services)),
        extensions,
        {flux.name: _flux(flux) for flux in configurations},
        specs,
        configurations,
        own,
    )


def _extension(spec: ExtensionSpec) -> dict[str, Any]:
    cluster, namespace = spec.scope.cluster, spec.scope.namespace
    return _with_settings(
        extension_body(
            ExtensionWanted(
                spec.extension_type,
                spec.release_train,
                spec.version,
                cluster.release_namespace if cluster is not None else None,
                namespace.target_namespace if namespace is not None else None,
                spec.configuration_settings,
                {key: Secret(name) for key, name in spec.configuration_protected_settings.items()},
            )
        )
    )


def _flux(flux: FluxConfiguration) -> dict[str, Any]:
    git = flux.git_repository
    reference = git.repository_ref
    return _with_settings(
        flux_body(
            FluxWanted(
                flux.namespace,
                flux.scope,
                flux.suspend,
                {
                    "url": git.url,
                    "repositoryRef": {
                        "branch": reference.branch,
                        "tag": reference.tag,
                        "semver": reference.semver,
                        "commit": reference.commit,
                    },
                    "syncIntervalInSeconds": git.sync_interval_in_seconds,
                    "timeoutInSeconds": git.timeout_in_seconds,
                    "httpsUser": git.https_user,
                    "localAuthRef": git.local_auth_ref,
                },
                {
                    name: {
                        "path": step.path,
                        "dependsOn": list(step.depends_on),
                        "syncIntervalInSeconds": step.sync_interval_in_seconds,
                        "timeoutInSeconds": step.timeout_in_seconds,
                        "retryIntervalInSeconds": step.retry_interval_in_seconds,
                        "prune": step.prune,
                        "force": step.force,
                        "wait": step.wait,
                    }
                    for name, step in flux.kustomizations.items()
                },
                {key: Secret(name, encoded=True) for key, name in flux.configuration_protected_settings.items()},
            )
        )
    )


def _with_settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body without settings of which there are none, or lists of which there is nothing."""

    def filled(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        parts = {key: filled(item) for key, item in value.items()}
        return {key: item for key, item in parts.items() if item not in ({}, [])}

    return {key: filled(item) for key, item in body.items()}
