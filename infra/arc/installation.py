"""Install agents, or bring them up to date, and wait until they run and Azure hears of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from infra.arc import observation
from infra.arc.agents import RELEASE_NAMESPACE, Agents
from infra.arc.azure import Azure
from infra.arc.bodies import is_within, protected_settings, settings_body
from infra.arc.charts import Chart, check_version, parse_chart, release_version
from infra.arc.conflicts import EXPIRED
from infra.arc.data_plane import REGISTRY_VARIABLE, DataPlane, HelmSettings
from infra.arc.errors import ArcError, AzureUnreachable, NotInTime
from infra.arc.helm_values import agent_values
from infra.arc.model import Connected, Onboarding
from infra.arc.triage import find_cause
from infra.errors import UserError
from infra.kubernetes.helm import Release
from infra.kubernetes.readiness import READY, Progress, failed, waiting
from infra.kubernetes.waiting import wait_until_ready
from infra.model.azure_regions import short_location
from infra.model.work import Work

_AGENTS_SECONDS: Final = 1200.0  # what Azure's own client gives Helm
_CONNECTED_SECONDS: Final = 600.0  # metadata may need as long to show
_PROFILE_SECONDS: Final = 900.0


def install_agents(
    azure: Azure,
    wanted: Onboarding,
    agents: Agents,
    cluster: Mapping[str, Any],
    work: Work,
) -> None:
    """Install agents, or change what isn't as wanted; agents that are, and all run, stay untouched.

    Where some don't, Helm also puts right what was changed by hand under its release: an agent scaled to nothing.

    Args:
        azure: Where the cluster is connected.
        wanted: How.
        agents: The cluster's.
        cluster: ARM's answer.
        work: Until when, and who may stop it.

    Raises:
        ArcError: The data plane, the registry or Helm refuses.
    """
    release = agents.release(work)
    if release is not None and release.status != "deployed":
        agents.settle(release, work)
        release = agents.release(work)
    settings = _settings(azure, wanted, cluster, work)
    standing = release if release is not None and release.status == "deployed" else None
    chart = _chart(settings.chart, wanted, standing)
    check_version(chart.version, wanted.release_train)
    values = _values(azure, wanted, cluster, chart, settings.values)
    if standing is not None and release_version(standing.chart) == chart.version:
        is_as_wanted = is_within(values, agents.values(standing, work))
        if is_as_wanted and not agents.lacks():
            return
    agents.install(
        chart,
        values,
        namespace=release.namespace if release is not None else RELEASE_NAMESPACE,
        ca_file=wanted.environment.ca_file,
        hidden=list(protected_settings(wanted).values()),
        work=work,
    )


def _settings(azure: Azure, wanted: Onboarding, cluster: Mapping[str, Any], work: Work) -> HelmSettings:
    """Ask the data plane for chart and values, unless the user names the chart."""
    named = os.environ.get(REGISTRY_VARIABLE)
    if named:
        return HelmSettings(named, {})
    plane = DataPlane(azure.environment, short_location(wanted.location), azure.credential)
    work.status(f"asking {plane.url} for the agents' chart")
    plane.check_health(work)
    return plane.settings(settings_body(wanted, cluster), wanted.release_train, work)


def _chart(path: str, wanted: Onboarding, standing: Release | None) -> Chart:
    """Return the chart: the version that is asked for, else the one that stands, else the newest.

    What auto-upgrade has installed since isn't undone.
    """
    version = wanted.agent_version if not wanted.auto_upgrade else None
    if version is None and standing is not None:
        version = release_version(standing.chart)
    return parse_chart(path, version or wanted.agent_version)


def _values(
    azure: Azure, wanted: Onboarding, cluster: Mapping[str, Any], chart: Chart, served: Mapping[str, str]
) -> dict[str, Any]:
    identity, ca_file = cluster.get("identity") or {}, wanted.environment.ca_file
    return agent_values(
        wanted,
        tenant_id=str(identity.get("tenantId") or azure.tenant_id()),
        principal_id=str(identity.get("principalId") or ""),
        registry=chart.registry,
        served=served,
        authorities=ca_file.read_text(encoding="ascii") if ca_file else "",
    )


def wait_until_connected(azure: Azure, wanted: Onboarding, agents: Agents, work: Work) -> Connected:
    """Wait until all agents are available, then until Azure says Connected.

    Raises:
        NotInTime: Says what is missing, and why.
    """
    _wait_for_agents(azure, agents, wanted, work.within(_AGENTS_SECONDS))
    _wait_for_azure(azure, wanted, agents, work.within(_CONNECTED_SECONDS))
    if wanted.features.workload_identity or wanted.features.oidc_issuer.enabled:
        _wait_for_profile(azure, wanted, work.within(_PROFILE_SECONDS))
    connected = observation.observe(azure, wanted.scope, wanted.name, agents.api)
    if connected is None:
        raise ArcError("gone", f"{wanted.id} was deleted meanwhile", "run again")
    return connected


def _wait_for_agents(azure: Azure, agents: Agents, wanted: Onboarding, work: Work) -> None:
    def look() -> Progress:
        missing = agents.lacks()
        if missing:
            agents.nudge()
        return Progress(tuple(missing))

    progress = wait_until_ready(look, work, azure.pause, "waiting for the agents:")
    if not progress.ready:
        raise _untold(agents, f"the agents of {wanted.name} don't get ready: {'; '.join(progress.missing[:3])}")


def _wait_for_azure(azure: Azure, wanted: Onboarding, agents: Agents, work: Work) -> None:
    def look() -> Progress:
        try:
            body = azure.get_cluster(wanted.name)
        except AzureUnreachable as error:
            return waiting(error.message)
        status = observation.read(body).connectivity_status if body is not None else "that it doesn't exist"
        if status == EXPIRED:
            raise ArcError(
                "identity-expired",
                f"the agents' certificate of {wanted.id} has expired",
                "disconnect the cluster and connect it again (pulumi up --replace URN)",
            )
        return READY if status == "Connected" else waiting(status)

    doing = "the agents run; waiting for Azure to hear of them: it says"
    progress = wait_until_ready(look, work, azure.pause, doing)
    if not progress.ready:
        raise _untold(agents, f"all agents of {wanted.name} run, but Azure says {progress.waiting_for}")


def _wait_for_profile(azure: Azure, wanted: Onboarding, work: Work) -> None:
    """Wait until agents have done what the profiles of issuer and workload identity ask for (facts §1.1, 20)."""
    body: dict[str, Any] = {}

    def look() -> Progress:
        nonlocal body
        body = azure.get_cluster(wanted.name) or {}
        state = ((body.get("properties") or {}).get("arcAgentProfile") or {}).get("agentState")
        if state in (None, "Succeeded"):
            return READY
        return failed(state) if state == "Failed" else waiting(state)

    progress = wait_until_ready(look, work, azure.pause, "waiting for the agents' state:")
    if not progress.ready:
        reasons = "; ".join(observation.read(body).agent_errors) or "they give no reason"
        raise NotInTime("agents-state", f"the agents' state is {progress.waiting_for}: {reasons}")


def _untold(agents: Agents, what: str) -> NotInTime:
    """Return the error for agents that don't come, with the cause as far as the cluster shows it."""
    try:
        cause = find_cause(agents.look(), agents.last_words)
    except UserError:
        cause = None  # it only explains the failure that is being reported
    if cause is None:
        return NotInTime(
            "agents-timeout",
            what,
            "see that the agents run (kubectl get pods --namespace azure-arc) and reach Azure (`azlocal arc "
            "check`)",
        )
    return NotInTime(cause.rule, f"{what}. {cause.text}", cause.remedy)
