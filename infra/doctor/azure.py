"""The Azure that a stack names, and what it lacks for the clusters, asked before the first resource is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.arc.azure import Azure
from infra.arc.credentials import credential_for
from infra.arc.errors import AzureUnreachable
from infra.arc.model import AzureScope
from infra.arc.monitoring import INSIGHTS
from infra.arc.onboarding import CustomLocations, Features, OidcIssuer, Onboarding, Problem, precheck
from infra.emulator.daemon import default_folder
from infra.emulator.environment import any_environment
from infra.errors import UserError
from infra.plan.arc_topology import Arc, ConnectedCluster
from infra.plan.topology import Topology
from infra.spec import Finding, InstanceSpec
from infra.spec.arc_extensions import ExtensionSpec
from infra.spec.reading import local_file

_UNREACHABLE = "azure-unreachable"
_NOT_REGISTERED = "provider-not-registered"


def azure_of(spec: InstanceSpec, arc: Arc, *, starts_emulator: bool = True) -> Azure:
    """Return a stack's Azure.

    Args:
        spec: What people wrote.
        arc: Which Azure.
        starts_emulator: Whether an emulator that doesn't run is started; else it is no Azure.

    Raises:
        ArcError: There is no such Azure, or no credential for it.
    """
    written = arc.spec
    environment = any_environment(
        written.cloud,
        emulator_folder=default_folder(spec.name) if arc.is_emulated else None,
        resource_manager=written.resource_manager,
        ca_file=local_file(spec.directory, written.ca_file).resolve() if written.ca_file else None,
        starts_emulator=starts_emulator,
    )
    credential = credential_for(environment, written.tenant_id)
    subscription = written.subscription_id or _emulated_subscription(spec.name)
    return Azure(environment, AzureScope(subscription, arc.resource_group, written.tenant_id), credential)


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
            oidc_issuer=OidcIssuer(cluster.is_issuer, settings.oidc_issuer.self_hosted_issuer_url),
            workload_identity=cluster.workload_identity,
        ),
        release_train=settings.release_train,
        register_providers=arc.register_providers if arc else False,
        providers=(INSIGHTS,) if any(map(_is_collected, cluster.extensions)) else (),
    )


def _is_collected(extension: ExtensionSpec) -> bool:
    return extension.data_collection is not None and extension.data_collection.is_workspace


def _problems(azure: Azure, wanted: Onboarding, *, may_register: bool) -> Iterator[Problem]:
    checked = wanted if may_register else replace(wanted, register_providers=False)
    for problem in precheck(azure, checked, None):
        if problem.rule == _NOT_REGISTERED and wanted.register_providers:
            continue  # `up` registers it
        yield replace(problem, severity="warning") if problem.rule == _UNREACHABLE else problem


def _finding(problem: Problem, place: str) -> Finding:
    return Finding(f"arc-{problem.rule}", problem.severity, place, problem.message, problem.remedy or "see above")


def _emulated_subscription(instance: str) -> str:
    """Return the subscription that an instance's emulator has."""
    from infra.emulator.settings import Folder

    return Folder(default_folder(instance)).settings().subscription_id
