"""Microsoft Entra's endpoints: what MSAL, azure-identity and the az CLI ask, and how Entra words its refusals."""

from __future__ import annotations

import hmac
import uuid
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

import jwt
from starlette.routing import Route

from infra.emulator.arm.managed_identity import identity_of
from infra.emulator.federation import ASSERTION_TYPE, Rejected, check_assertion
from infra.emulator.http import JSON, Answer, Refusal, Request
from infra.emulator.routes import route
from infra.emulator.tokens import LIFE_SECONDS
from infra.emulator.world import World

# The tenant's own id, and the names that stand for "whichever".
_ANY_TENANT: Final = frozenset({"common", "organizations"})
ARM_AUDIENCES: Final = ("https://management.core.windows.net/", "https://management.azure.com/")
_MOST_FIELDS: Final = 64
_OTHER_AUDIENCES: Final = ("https://graph.microsoft.com/",)


def routes(world: World) -> list[Route]:
    """Return Entra's routes."""
    known = [
        ("/{tenant}/.well-known/openid-configuration", _openid_v1, ["GET"]),
        ("/{tenant}/v2.0/.well-known/openid-configuration", _openid_v2, ["GET"]),
        ("/{tenant}/discovery/instance", _discovery, ["GET"]),
        ("/{tenant}/discovery/keys", _keys, ["GET"]),
        ("/{tenant}/discovery/v2.0/keys", _keys, ["GET"]),
        ("/{tenant}/oauth2/token", _token_v1, ["POST"]),
        ("/{tenant}/oauth2/v2.0/token", _token_v2, ["POST"]),
        ("/v1.0/{rest:path}", _graph, ["GET"]),
    ]
    return [route(world, path, handler, methods) for path, handler, methods in known]


def _graph(world: World, request: Request) -> Answer:
    """Answer Microsoft Graph as it does an application that may not read the directory."""
    del world, request
    message = "Insufficient privileges to complete the operation."
    return Answer(403, {"error": {"code": "Authorization_RequestDenied", "message": message}})


def application_of(world: World, request: Request) -> str:
    """Return the application whose token a request carries.

    Raises:
        Refusal: 401, as ARM words it: no token, somebody else's, an expired one, one for another audience.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _unauthenticated(
            world, request, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
        )
    try:
        claims = world.tokens.claims(token.strip())
    except jwt.ExpiredSignatureError:
        raise _unauthenticated(
            world, request, "ExpiredAuthenticationToken", "The access token expiry is in the past."
        ) from None
    except jwt.InvalidTokenError:
        raise _unauthenticated(
            world, request, "InvalidAuthenticationToken", "The access token is invalid."
        ) from None
    wanted = {*ARM_AUDIENCES, f"{request.base_url}/"}
    if f"{str(claims['aud']).rstrip('/')}/" not in wanted:
        raise _unauthenticated(
            world,
            request,
            "InvalidAuthenticationTokenAudience",
            f"The access token has been obtained for wrong audience or resource '{claims['aud']}'. It should "
            f"exactly match with one of the allowed audiences '{','.join(sorted(wanted))}'.",
        )
    return str(claims["appid"])


def _unauthenticated(world: World, request: Request, code: str, message: str) -> Refusal:
    challenge = (
        f'Bearer authorization_uri="{request.base_url}/{world.settings.tenant_id}", '
        f'error="invalid_token", error_description="{message}"'
    )
    return Refusal(401, code, message, headers={"WWW-Authenticate": challenge})


def _openid_v2(world: World, request: Request) -> Answer:
    base = f"{request.base_url}/{_tenant(world, request)}"
    return Answer(
        200,
        {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "issuer": f"{base}/v2.0",
            **_openid_common(),
        },
    )


def _openid_v1(world: World, request: Request) -> Answer:
    tenant = _tenant(world, request)
    base = f"{request.base_url}/{tenant}"
    return Answer(
        200,
        {
            "token_endpoint": f"{base}/oauth2/token",
            "authorization_endpoint": f"{base}/oauth2/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/devicecode",
            "end_session_endpoint": f"{base}/oauth2/logout",
            "jwks_uri": f"{base}/discovery/keys",
            "issuer": f"https://sts.windows.net/{world.settings.tenant_id}/",
            **_openid_common(),
        },
    )


def _openid_common() -> JSON:
    return {
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["code", "id_token", "token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "tenant_region_scope": "NA",
    }


def _discovery(world: World, request: Request) -> Answer:
    host = request.base_url.removeprefix("https://")
    return Answer(
        200,
        {
            "tenant_discovery_endpoint": (
                f"{request.base_url}/{_tenant(world, request)}/v2.0/.well-known/openid-configuration"
            ),
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        },
    )


def _keys(world: World, _request: Request) -> Answer:
    return Answer(200, world.tokens.jwks())


def _token_v2(world: World, request: Request) -> Answer:
    form = _form(request)
    if form is None:
        return _malformed()
    scope = form.get("scope", "")
    if not scope.endswith("/.default"):
        return _refuse(
            400,
            1002012,
            "invalid_scope",
            f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value "
            "with /.default suffixed to the resource identifier (application ID URI).",
        )
    return _token(world, request, form, scope.removesuffix("/.default"))


def _token_v1(world: World, request: Request) -> Answer:
    form = _form(request)
    if form is None:
        return _malformed()
    return _token(world, request, form, form.get("resource", ARM_AUDIENCES[0]))


def _token(world: World, request: Request, form: dict[str, str], audience: str) -> Answer:
    settings, tenant = world.settings, request.path_parameters["tenant"]
    if tenant.lower() != settings.tenant_id:
        return _refuse(
            400,
            90002,
            "invalid_request",
            f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into "
            "the correct cloud. Check with your subscription administrator, this may happen if there are no "
            "active subscriptions for the tenant.",
        )
    if form.get("grant_type") != "client_credentials":
        return _refuse(
            400,
            70003,
            "unsupported_grant_type",
            f"The app requested an unsupported grant type '{form.get('grant_type', '')}'.",
        )
    application = form.get("client_id", "")
    identity = identity_of(world.store, application)
    if identity is None and application not in world.client_secrets:
        return _refuse(
            400,
            700016,
            "unauthorized_client",
            f"Application with identifier '{application}' was not found in the directory "
            f"'{settings.subscription_name}'. This can happen if the application has not been installed by the "
            "administrator of the tenant or consented to by any user in the tenant. You may have sent your "
            "authentication request to the wrong tenant.",
        )
    try:
        _check_client(world, application, form)
    except Rejected as reason:
        return _refuse(reason.status, reason.code, reason.error, reason.description)
    known = {url.rstrip("/") for url in (*ARM_AUDIENCES, *_OTHER_AUDIENCES, request.base_url)}
    if audience.rstrip("/") not in known:
        return _refuse(
            400,
            500011,
            "invalid_resource",
            f"The resource principal named {audience} was not found in the tenant named "
            f"{settings.subscription_name}.",
        )
    object_id = str(identity.properties["principalId"]) if identity is not None else object_id_of(application)
    return Answer(
        200,
        {
            "token_type": "Bearer",
            "expires_in": LIFE_SECONDS,
            "ext_expires_in": LIFE_SECONDS,
            "access_token": world.tokens.issue(audience, application, object_id),
        },
        {"cache-control": "no-store, no-cache", "pragma": "no-cache"},
    )


def _check_client(world: World, application: str, form: dict[str, str]) -> None:
    """Return if a client has shown who it is: by its secret, or by a token of an issuer that it trusts.

    Raises:
        Rejected: it hasn't.
    """
    if "client_assertion" in form:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise Rejected(
                400,
                900144,
                "invalid_request",
                "The request body must contain the following parameter: 'client_assertion_type'.",
            )
        check_assertion(world.store, application, form["client_assertion"])
        return
    if "client_secret" not in form:
        raise Rejected(
            401,
            7000218,
            "invalid_client",
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        )
    # A managed identity has no secret.
    secret = world.client_secrets.get(application, "")
    if not secret or not hmac.compare_digest(form["client_secret"].encode(), secret.encode()):
        raise Rejected(
            401,
            7000215,
            "invalid_client",
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
            f"value, not the client secret ID, for a secret added to app '{application}'.",
        )


def object_id_of(application: str) -> str:
    """Return the object id of an application's service principal."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"azlocal:servicePrincipal:{application}"))


def _tenant(world: World, request: Request) -> str:
    tenant = request.path_parameters["tenant"]
    return world.settings.tenant_id if tenant.lower() in _ANY_TENANT else tenant


def _form(request: Request) -> dict[str, str] | None:
    """Return the fields of a body; None where they are too many for a form of Entra's."""
    # Only bodies: a secret in a query would reach the log.
    text = request.body.decode(errors="replace")
    try:
        return {name: values[-1] for name, values in parse_qs(text, max_num_fields=_MOST_FIELDS).items()}
    except ValueError:
        return None


def _malformed() -> Answer:
    return _refuse(400, 9002313, "invalid_request", "Invalid request. Request is malformed or invalid.")


def _refuse(status: int, code: int, error: str, description: str) -> Answer:
    """Return an error as Entra words it; it never repeats the secret."""
    now, trace, correlation = datetime.now(UTC), str(uuid.uuid4()), str(uuid.uuid4())
    stamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
    content: dict[str, Any] = {
        "error": error,
        "error_description": (
            f"AADSTS{code}: {description} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        ),
        "error_codes": [code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={code}",
    }
    return Answer(status, content)
