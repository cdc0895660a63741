"""What the real Azure lacks for a stack's clusters, asked before the first resource is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.arc.azure import Azure
from infra.arc.errors import AzureUnreachable
from infra.arc.monitoring import INSIGHTS
from infra.arc.onboarding import CustomLocations, Features, OidcIssuer, Onboarding, Problem, precheck
from infra.arc_commands.access import azure_of
from infra.arc_topology import ConnectedCluster
from infra.errors import UserError
from infra.spec import Finding, InstanceSpec
from infra.spec.arc_extensions import ExtensionSpec
from infra.topology import Topology

_UNREACHABLE = "azure-unreachable"
_NOT_REGISTERED = "provider-not-registered"


def azure_findings(spec: InstanceSpec, topology: Topology, *, may_register: bool) -> list[Finding]:
    """Return what keeps clusters from being connected, each once; the emulator lacks nothing and isn't asked.

    An Azure that doesn't answer is a warning: what is connected already needs nothing of it.

    Args:
        spec: What people wrote.
        topology: What was decided.
        may_register: Whether resource providers are registered now, where the stack allows it; not in a preview.
    """
    arc = topology.arc
    connected = [cluster.arc for cluster in topology.clusters if cluster.arc is not None]
    if arc is None or arc.is_emulated or not connected:
        return []
    place = spec.sources.where("stack", ("arc",))
    try:
        azure = azure_of(spec, arc)
    except AzureUnreachable as error:
        return [_finding(Problem(_UNREACHABLE, error.message, error.remedy, "warning"), place)]
    except UserError as error:
        return [Finding("arc-azure", "error", place, str(error), "correct azlocal:arc, or log in to Azure")]
    with azure:
        problems = dict.fromkeys(
            problem
            for wanted in _each_once(spec, azure, connected)
            for problem in _problems(azure, wanted, may_register=may_register)
        )
    return [_finding(problem, place) for problem in problems]


def _each_once(spec: InstanceSpec, azure: Azure, connected: list[ConnectedCluster]) -> Iterator[Onboarding]:
    """Yield what Azure is asked, once for clusters that differ in nothing that it is asked about."""
    seen: set[tuple[str, str, Features, tuple[str, ...]]] = set()
    for cluster in connected:
        wanted = _wanted(spec, azure, cluster)
        key = (wanted.location, wanted.release_train, wanted.features, wanted.providers)
        if key not in seen:
            seen.add(key)
            yield wanted


def _wanted(spec: InstanceSpec, azure: Azure, cluster: ConnectedCluster) -> Onboarding:
    """Return what Azure has to know of a cluster that there isn't yet."""
    arc, settings = spec.stack.arc, cluster.settings
    return Onboarding(
        environment=azure.environment,
        scope=azure.scope,
        name=cluster.name,
        location=cluster.location,
        kubeconfig="",
        distribution=settings.distribution,
        features=Features(
            private_link_scope_id=arc.private_link_scope if arc else None,
            gateway_id=arc.gateway if arc else None,
            cluster_connect=cluster.cluster_connect,
            custom_locations=CustomLocations(
                settings.custom_locations_feature.enabled, settings.custom_locations_feature.oid
            ),
            oidc_issuer=OidcIssuer(settings.oidc_issuer.enabled, settings.oidc_issuer.self_hosted_issuer_url),
            workload_identity=settings.workload_identity,
        ),
        release_train=settings.release_train,
        register_providers=arc.register_providers if arc else False,
        providers=(INSIGHTS,) if any(map(_is_collected, cluster.extensions)) else (),
    )


def _is_collected(extension: ExtensionSpec) -> bool:
    return extension.data_collection is not None and extension.data_collection.is_workspace


def _problems(azure: Azure, wanted: Onboarding, *, may_register: bool) -> Iterator[Problem]:
    asked = wanted if may_register else replace(wanted, register_providers=False)
    for problem in precheck(azure, asked, None):
        if problem.rule == _NOT_REGISTERED and wanted.register_providers:
            continue  # `up` registers it
        yield replace(problem, severity="warning") if problem.rule == _UNREACHABLE else problem


def _finding(problem: Problem, place: str) -> Finding:
    return Finding(f"arc-{problem.rule}", problem.severity, place, problem.message, problem.remedy or "see above")
