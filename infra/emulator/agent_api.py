"""What the agents in a cluster talk to: the identity service (/his) and the configuration service (/dp).

A cluster's agents prove once that they hold the private key whose public half stands in ARM, and get a certificate
for 90 days; every later call carries a short-lived token that the certificate's key has signed. The protocol is
the emulator's own, after what is known of Azure's (arc_facts.md §3): both ends of it are ours.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.routing import Route

from infra.emulator import agent_identity, charts, issuers
from infra.emulator.agent_identity import Unusable
from infra.emulator.clock import seconds_of, text
from infra.emulator.connectivity import (
    EXPIRED,
    find_cluster,
    record_certificate,
    record_heartbeat,
    status_of,
)
from infra.emulator.desired import (
    EXTENSIONS,
    FLUX_CONFIGURATIONS,
    REPORTABLE,
    Desired,
    Report,
    desired_of,
    report,
)
from infra.emulator.http import JSON, Answer, Refusal, Request
from infra.emulator.limits import BODY_BYTES
from infra.emulator.routes import Handler, route
from infra.emulator.store import Resource
from infra.emulator.world import World

TIME_HEADER: Final = "x-ms-azlocal-time"
HEARTBEAT_SECONDS: Final = 10
LOOK_SECONDS: Final = 3
_RELEASE_SECONDS: Final = 300
_CLUSTER: Final = (
    "/dp/subscriptions/{subscription}/resourceGroups/{group}/provider/connectedclusters/clusters/{cluster}"
)


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", strict=True)


class _Facts(_Body):
    agent_version: str | None = None
    kubernetes_version: str | None = None
    total_node_count: int | None = Field(default=None, ge=0)
    total_core_count: int | None = Field(default=None, ge=0)


class _Heartbeat(_Body):
    properties: _Facts


class _Status(_Body):
    generation: int
    state: Literal["InProgress", "Succeeded", "Failed", "Deleted"]
    version: str = ""
    properties: dict[str, Any] = Field(default_factory=dict)
    error_code: str = ""
    error_message: str = ""


def routes(world: World) -> list[Route]:
    """Return the routes of both services."""

    def open_to_all(path: str, handler: Handler, method: str = "POST") -> Route:
        return route(world, path, _timed(handler), [method])

    def of_cluster(path: str, handler: Handler) -> Route:
        return route(world, f"{_CLUSTER}/{path}", _timed(handler), ["POST"], body_bytes=BODY_BYTES)

    return [
        open_to_all("/his/discovery", _discover, "GET"),
        open_to_all("/his/challenge", _challenge),
        open_to_all("/his/type/ConnectedClusters/identity", _identity),
        of_cluster("syncResources", _heartbeat),
        of_cluster("publishKeys", _keys),
        of_cluster("getExtensionUpdateConfigs", _extensions),
        of_cluster("extensions/{name}/postStatus", _extension_status),
        of_cluster("configurations/getPendingConfigs", _configurations),
        of_cluster("configurations/{name}/postStatus", _configuration_status),
    ]


def _timed(handler: Handler) -> Handler:
    """Let every answer tell the emulator's time: the agents live in it."""

    def timed(world: World, request: Request) -> Answer:
        header = {TIME_HEADER: repr(world.clock.now().timestamp())}
        try:
            answer = handler(world, request)
        except Refusal as refusal:
            refusal.headers.update(header)
            raise
        return Answer(answer.status, answer.body, {**answer.headers, **header})

    return timed


def _discover(_world: World, request: Request) -> Answer:
    return Answer(200, {"endpoint": f"{request.base_url}/his", "location": request.query.get("location", "")})


def _challenge(world: World, request: Request) -> Answer:
    cluster = _living(world, request.query.get("id", ""))
    nonce = agent_identity.challenge(world.store, world.clock, cluster)
    return Answer(200, {"nonce": nonce})


def _identity(world: World, request: Request) -> Answer:
    cluster = _living(world, request.query.get("id", ""))
    body = request.json()
    try:
        signed_request = agent_identity.read_request(body, request.headers.get("authorization", ""))
        agent_identity.check_proof(world.store, world.clock, cluster, signed_request)
        issued = agent_identity.issue(world.store, world.clock, cluster, signed_request)
    except Unusable as error:
        raise Refusal(error.status, error.code, str(error)) from None
    # The certificates of an earlier key pair or of an earlier time go on until they end.
    record_certificate(world.store, cluster, issued.expires)
    identity = cluster.body.get("identity") or {}
    return Answer(
        200,
        {
            "certificate": issued.pem,
            "clientId": identity.get("principalId", ""),
            "tenantId": identity.get("tenantId", ""),
            "notAfter": text(issued.expires),
            "renewAfter": text(issued.renew_after),
        },
    )


def _heartbeat(world: World, request: Request) -> Answer:
    cluster = _authenticated(world, request)
    if world.faults.met("dropHeartbeats", request.method, cluster.id, "") is not None:
        # Returned, not raised: the fault has counted down.
        return Refusal(503, "ServiceUnavailable", "The emulator was asked to drop heartbeats.").answer()
    facts = _read(_Heartbeat, request).properties.model_dump(by_alias=True, exclude_none=True)
    record_heartbeat(world.store, world.clock, cluster, facts)
    return Answer(200, {"nextInSeconds": HEARTBEAT_SECONDS, **issuers.asked_of_agents(world.store, cluster)})


def _keys(world: World, request: Request) -> Answer:
    cluster = _authenticated(world, request)
    if not issuers.awaits_keys(cluster):
        raise Refusal(400, "OidcIssuerDisabled", f"No issuer is hosted for {cluster.name}.")
    issuers.publish(world.store, world.clock, cluster, _read(issuers.Keys, request))
    return Answer(200, {"accepted": True})


def _extensions(world: World, request: Request) -> Answer:
    cluster = _authenticated(world, request)
    registry = request.base_url.removeprefix("https://")
    extensions = []
    for wanted in _wanted(world, cluster, EXTENSIONS):
        if charts.is_known(str(wanted.properties.get("extensionType", ""))):
            extensions.append(_extension(world, wanted, registry))
        elif not wanted.is_reported:
            _end_unknown(world, cluster, wanted)
    return Answer(200, {"extensions": extensions, "nextInSeconds": LOOK_SECONDS})


def _extension(world: World, wanted: Desired, registry: str) -> JSON:
    chart = charts.extension_chart(wanted.properties, world.registry)
    return {
        **_common(wanted),
        "extensionType": wanted.properties["extensionType"],
        "release": {"name": wanted.name.lower(), "namespace": chart.namespace},
        "chart": f"oci://{registry}/{chart.repository}",
        "chartVersion": chart.version,
        "values": chart.values,
        "timeoutSeconds": _RELEASE_SECONDS,
    }


def _end_unknown(world: World, cluster: Resource, wanted: Desired) -> None:
    """Nobody's agents can install a type that doesn't exist; remove one they can, since nothing is there."""
    if wanted.deleting:
        outcome = Report(wanted.generation, "Deleted")
    else:
        message = (
            f"Extension type {wanted.properties.get('extensionType')!r} isn't known here. "
            f"The emulator knows {', '.join(charts.known_types())}."
        )
        outcome = _failure(world, wanted.generation, "ExtensionTypeNotFound", message)
    report(world.store, world.clock, cluster, wanted.id, outcome)


def _extension_status(world: World, request: Request) -> Answer:
    cluster = _authenticated(world, request)
    status = _read(_Status, request)
    if status.state == "Failed":
        result = _failure(world, status.generation, status.error_code, status.error_message)
    elif status.state == "Succeeded":
        shown = {"currentVersion": status.version, "statuses": [], "errorInfo": None}
        result = Report(status.generation, "Succeeded", shown)
    else:
        result = Report(status.generation, status.state)
    return _reported(world, cluster, EXTENSIONS, request, result)


def _failure(world: World, generation: int, code: str, message: str) -> Report:
    shown = {"code": "InstallationFailed", "displayStatus": None, "level": "Error", "message": message}
    return Report(
        generation,
        "Failed",
        {
            "statuses": [{**shown, "time": text(world.clock.now())}],
            "errorInfo": {"code": code, "message": message},
        },
        error_code=code,
        error_message=message,
    )


def _configurations(world: World, request: Request) -> Answer:
    cluster = _authenticated(world, request)
    configurations = [_configuration(wanted) for wanted in _wanted(world, cluster, FLUX_CONFIGURATIONS)]
    return Answer(200, {"configurations": configurations, "nextInSeconds": LOOK_SECONDS})


def _configuration(wanted: Desired) -> JSON:
    limit = wanted.properties.get("reconciliationWaitDuration") or "PT30M"
    waits = wanted.properties.get("waitForReconciliation") is True
    return {
        **_common(wanted),
        "properties": wanted.properties,
        "reconciliationWaitSeconds": seconds_of(limit) if waits else None,
    }


def _configuration_status(world: World, request: Request) -> Answer:
    cluster = _authenticated(world, request)
    status = _read(_Status, request)
    foreign = set(status.properties) - REPORTABLE[FLUX_CONFIGURATIONS]
    if foreign:
        raise Refusal(400, "InvalidRequestContent", f"Agents don't write {', '.join(sorted(foreign))}.")
    result = Report(status.generation, status.state, status.properties, status.error_code, status.error_message)
    return _reported(world, cluster, FLUX_CONFIGURATIONS, request, result)


def _common(wanted: Desired) -> JSON:
    return {
        "id": wanted.id,
        "name": wanted.name,
        "generation": wanted.generation,
        "deleting": wanted.deleting,
        "isReported": wanted.is_reported,
        "protected": wanted.protected,
    }


def _wanted(world: World, cluster: Resource, kind: str) -> list[Desired]:
    return [desired for desired in desired_of(world.store, world.clock, cluster) if desired.type == kind]


def _reported(world: World, cluster: Resource, kind: str, request: Request, result: Report) -> Answer:
    resource_id = f"{cluster.id}/providers/{kind}/{request.path_parameters['name']}"
    return Answer(200, {"accepted": report(world.store, world.clock, cluster, resource_id, result)})


def _living(world: World, cluster_id: str) -> Resource:
    """Return a cluster whose agents may still talk.

    Raises:
        Refusal: there is none of that id, or its certificate has run out.
    """
    cluster = find_cluster(world.store, cluster_id)
    if cluster is None:
        raise Refusal(404, "ResourceNotFound", f"There is no connected cluster {cluster_id!r}.")
    if status_of(cluster, world.clock.now()) == EXPIRED:
        raise Refusal(
            403,
            "CertificateExpired",
            f"The certificate of {cluster.name} has expired; delete the connected cluster and connect it again.",
        )
    return cluster


def _authenticated(world: World, request: Request) -> Resource:
    """Return the cluster that a request is about, once it is clear that its agents sent it."""
    path = request.path_parameters
    cluster = _living(
        world,
        f"/subscriptions/{path['subscription']}/resourceGroups/{path['group']}"
        f"/providers/Microsoft.Kubernetes/connectedClusters/{path['cluster']}",
    )
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise Unusable(401, "AuthenticationFailed", "The request has no bearer token.")
        agent_identity.check_token(world.store, world.clock, cluster, token, f"{request.base_url}/dp")
    except Unusable as error:
        raise Refusal(error.status, error.code, str(error)) from None
    return cluster


def _read(model: type[Any], request: Request) -> Any:
    try:
        return model.model_validate(request.json())
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors())
        raise Refusal(400, "InvalidRequestContent", f"The request content was invalid: {places}.") from None
