"""How a connection is, and what will bite soon (facts §3)."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from infra.arc.agents import NAMESPACE, missing_agents
from infra.arc.azure import Azure
from infra.arc.conflicts import EXPIRED, NOT_INSTALLED
from infra.arc.model import AzureScope, Connected
from infra.counting import counted
from infra.errors import UserError
from infra.kubernetes.api import ClusterApi

_DAY: Final = datetime.timedelta(days=1)
_LIFE: Final = 90  # days that the agents' certificate is valid
_RENEWAL: Final = 46  # the day from which they try to renew it
_LATE: Final = 60  # the day by which that should have worked
_BILLING: Final = 30  # days after which Azure wants to hear of a semi-connected cluster
_BILLING_SOON: Final = 23


def observe(azure: Azure, scope: AzureScope, name: str, cluster_api: ClusterApi | None) -> Connected | None:
    """Return how a connection is; see `infra.arc.onboarding.observe`."""
    body = azure.get_cluster(name, scope=scope)
    if body is None:
        return None
    connected = read(body)
    agents, notes = _agents(cluster_api)
    warnings = [*notes, *warnings_of(connected, azure.clock())]
    return replace(connected, agents_ready=agents, warnings=tuple(warnings))


def read(body: Mapping[str, Any]) -> Connected:
    """Read ARM's answer. Pure."""
    properties, identity = body.get("properties") or {}, body.get("identity") or {}
    profile = properties.get("arcAgentProfile") or {}
    return Connected(
        id=str(body.get("id") or ""),
        location=str(body.get("location") or ""),
        connectivity_status=str(properties.get("connectivityStatus") or ""),
        provisioning_state=str(properties.get("provisioningState") or ""),
        agent_version=str(properties.get("agentVersion") or ""),
        kubernetes_version=str(properties.get("kubernetesVersion") or ""),
        node_count=int(properties.get("totalNodeCount") or 0),
        distribution=str(properties.get("distribution") or ""),
        infrastructure=str(properties.get("infrastructure") or ""),
        certificate_expires=_time(properties.get("managedIdentityCertificateExpirationTime")),
        last_connectivity=_time(properties.get("lastConnectivityTime")),
        public_key=str(properties.get("agentPublicKeyCertificate") or ""),
        principal_id=str(identity.get("principalId") or ""),
        tenant_id=str(identity.get("tenantId") or ""),
        tags=dict(body.get("tags") or {}),
        agent_errors=tuple(
            f"{error.get('component') or 'agent'}: {error.get('message')}"
            for error in profile.get("agentErrors") or []
        ),
        issuer_url=str((properties.get("oidcIssuerProfile") or {}).get("issuerUrl") or ""),
        body=dict(body),
    )


def warnings_of(found: Connected, now: datetime.datetime) -> Iterator[str]:
    """Yield what will bite soon, or does already. Pure.

    Args:
        found: The connection.
        now: By Azure's clock.
    """
    yield from _status(found)
    if found.connectivity_status == EXPIRED:
        return
    yield from _contact(found, now)
    yield from _certificate(found, now)
    for error in found.agent_errors:
        yield f"an agent reports: {error}"
    if found.provisioning_state == "Failed":
        yield "its last change failed in Azure (provisioningState Failed): run `pulumi up` again"


def _status(connected: Connected) -> Iterator[str]:
    match connected.connectivity_status:
        case "Offline":
            since = f" since {_day(connected.last_connectivity)}" if connected.last_connectivity else ""
            yield (
                f"Offline: Azure hasn't heard of its agents{since}; see that they run (kubectl get pods "
                "--namespace azure-arc) and reach Azure (`azlocal arc check`)"
            )
        case "Expired":
            yield (
                "Expired: the agents' certificate ran out after 90 days without contact; disconnect the cluster "
                "and connect it again (pulumi up --replace URN)"
            )
        case "Connecting":
            yield "Connecting: Azure hasn't heard of its agents yet"
        case _ if connected.connectivity_status == NOT_INSTALLED:
            yield "AgentNotInstalled: the resource was made, and no agents yet; `pulumi up` installs them"


def _contact(connected: Connected, now: datetime.datetime) -> Iterator[str]:
    if connected.last_connectivity is None:
        return
    days = (now - connected.last_connectivity) // _DAY
    if days >= _BILLING:
        yield f"no contact for {days} days: Azure wants to hear of a cluster every {_BILLING} days, for billing"
    elif days >= _BILLING_SOON:
        last = _day(connected.last_connectivity + _BILLING * _DAY)
        yield f"no contact for {counted(days, 'day')}: Azure wants to hear of it for billing until {last}"


def _certificate(connected: Connected, now: datetime.datetime) -> Iterator[str]:
    expires = connected.certificate_expires
    if expires is None:
        return
    left, day = (expires - now) // _DAY, _day(expires)
    if expires <= now:
        yield f"the agents' certificate ran out on {day}: disconnect the cluster and connect it again"
    elif _LIFE - left >= _LATE:
        yield (
            f"the agents' certificate runs out on {day}, in {counted(left, 'day')}, and its renewal, due since "
            f"day {_RENEWAL}, hasn't worked: let the agents reach Azure before, else it has to be connected again"
        )
    elif _LIFE - left >= _RENEWAL and connected.connectivity_status != "Connected":
        yield (
            f"the agents' certificate runs out on {day}, in {counted(left, 'day')}; agents renew it from day "
            f"{_RENEWAL}, for which they have to reach Azure"
        )


def _agents(api: ClusterApi | None) -> tuple[bool | None, list[str]]:
    if api is None:
        return None, []
    try:
        deployments = api.items(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments")
    except UserError as error:
        return None, [f"the cluster can't be asked: {error}"]
    if not deployments:
        return False, ["the cluster has no agents: `pulumi up` installs them"]
    lacking = missing_agents(api)
    return not lacking, [f"agents: {lack}" for lack in lacking]


def _time(value: Any) -> datetime.datetime | None:
    if not value:
        return None
    try:
        parsed = datetime.datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)


def _day(value: datetime.datetime) -> str:
    return value.strftime("%Y-%m-%d")
