"""What Azure's clients raise, as the user should read it: code, message, HTTP status, remedy. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)

from infra.arc.errors import TRUST_REMEDY, UNTRUSTED, ArcError, ArmError, AzureUnreachable

_LONGEST: Final = 1500

_CLOCK: Final = "Azure doesn't take the token: check the cloud, the tenant and this machine's clock"
_EXTENSION: Final = (
    "look at the extension's pods (not scheduled? image not pulled?) and at the agents' (`azlocal arc status`)"
)
_REMEDIES: Final[Mapping[str, str]] = {
    "MissingSubscriptionRegistration": "register it: `az provider register --namespace NAMESPACE`, or set "
    "registerProviders",
    "AuthorizationFailed": "give the identity the role `Kubernetes Cluster - Azure Arc Onboarding` (or "
    "Contributor) on the resource group, and wait some minutes until it counts",
    "LinkedAuthorizationFailed": "the identity lacks a right on a resource that this one names; give it that",
    "SubscriptionNotFound": "check the subscription's id, and that the credential's tenant is the subscription's",
    "InvalidSubscriptionId": "write the subscription's id, a GUID",
    "InvalidAuthenticationTokenTenant": "name the subscription's tenant: the token is another one's",
    "AuthenticationFailed": _CLOCK,
    "InvalidAuthenticationToken": _CLOCK,
    "ExpiredAuthenticationToken": "check this machine's clock",
    "ResourceGroupNotFound": "make the resource group, or correct its name and the subscription",
    "ParentResourceNotFound": "the connected cluster isn't there, or is in another resource group or subscription",
    "LocationNotAvailableForResourceType": "choose one of the locations that the message names",
    "RequestDisallowedByPolicy": "an Azure Policy forbids it; its assignment is in the message",
    "ScopeLocked": "remove the lock on the resource or its group",
    "AnotherOperationInProgress": "wait until the other operation is done, and run again",
    "Conflict": "wait until the other operation is done, and run again",
    "TooManyRequests": "Azure throttles this subscription: run again later",
    "ExtensionCreationFailed": _EXTENSION,
    "ExtensionUpdateFailed": _EXTENSION,
    "ResourceNotFound": "it isn't there, or is in another resource group or subscription",
    "HostResourceNotConnected": "bring the cluster's agents online first (`azlocal arc status`)",
}
_BY_STATUS: Final[Mapping[int, str]] = {
    401: _REMEDIES["AuthenticationFailed"],
    403: _REMEDIES["AuthorizationFailed"],
    409: _REMEDIES["Conflict"],
    429: _REMEDIES["TooManyRequests"],
    500: "run again later; Azure's status page tells of outages",
    502: "run again later; Azure's status page tells of outages",
    503: "run again later; Azure's status page tells of outages",
    504: "run again later; Azure's status page tells of outages",
}
# Where one code stands for many causes, Azure's words tell which (facts §9: 22, 31, 17, 16); the first one counts.
_BY_WORDING: Final = (
    (re.compile("only in the following locations"), _REMEDIES["LocationNotAvailableForResourceType"]),
    (
        re.compile(r"\w/[\w./-]+:[\w.+-]+: not found|manifest unknown", re.IGNORECASE),
        "the registry has no such version: leave `version` out (Azure then chooses), or name one that exists",
    ),
    (
        re.compile("InstallState"),
        "fix that extension first, or delete it and make it again: only one that is Succeeded can be offered",
    ),
    (re.compile("local CRD|context deadline exceeded|timed out waiting", re.IGNORECASE), _EXTENSION),
)

# Other 404s (a subscription, a provider, a proxy's own page) don't say that a resource isn't there.
_MISSING: Final = frozenset({"ResourceNotFound", "ResourceGroupNotFound", "ParentResourceNotFound", "NotFound"})
_MISSING_IN_EMULATOR: Final = _MISSING | {"SubscriptionNotFound"}


def is_missing(error: AzureError, *, is_emulator: bool) -> bool:
    """Return whether Azure says that there is no such resource. The one place that decides it.

    Args:
        error: What the client raised.
        is_emulator: An emulator makes up its subscription with its store; where that is another one, all that was
            in the old is gone. Azure's own may only be hidden from the credential, with all that stands in it.
    """
    if not isinstance(error, HttpResponseError) or error.status_code != 404:
        return False
    return _of(_body(error))[0] in (_MISSING_IN_EMULATOR if is_emulator else _MISSING)


def mapped(error: AzureError, doing: str, resource: Mapping[str, Any] | None = None) -> ArcError:
    """Return an error of ours for one of Azure's clients.

    Args:
        error: What the client raised.
        doing: What was done, for the message.
        resource: The resource as it stands after an operation failed: its statuses tell why, where the operation's
            own answer doesn't (facts §9, 26).
    """
    if isinstance(error, HttpResponseError) and error.response is not None:
        return _refused(error, doing, resource)
    if isinstance(error, (ServiceRequestError, ServiceResponseError, IncompleteReadError)):
        return _unreachable(error, doing)
    return ArcError("azure-client", f"{doing}: {_short(str(error))}")


def _refused(error: HttpResponseError, doing: str, resource: Mapping[str, Any] | None) -> ArmError:
    status = error.status_code or 0
    body = _body(error)
    code, message = _of(body)
    reasons = [message, *_statuses(body), *_statuses(resource or {})]
    innermost = _innermost(body)
    text = _short("; ".join(dict.fromkeys(reason for reason in reasons if reason)))
    if not code:
        state = str(body.get("status") or "")
        code = f"Operation{state}" if state else ""
        text = text or ("Azure gives no reason" if state else _reason(error))
    by_words = next((remedy for words, remedy in _BY_WORDING if words.search(text)), "")
    remedy = by_words or _REMEDIES.get(innermost) or _REMEDIES.get(code) or _BY_STATUS.get(status, "")
    return ArmError(doing, code, text, status, remedy)


def _reason(error: HttpResponseError) -> str:
    text = _text(error).strip()
    return text if text and not text.startswith("<") else str(error.reason or "no reason given")


def _of(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return code and message of an answer, with those of its details."""
    inner = body.get("error")
    error = inner if isinstance(inner, Mapping) else body if "code" in body else {}
    parts = [str(error.get("message") or "")]
    parts += [f"{detail.get('code')}: {detail.get('message')}" for detail in _details(error)]
    return str(error.get("code") or ""), "; ".join(part for part in parts if part)


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for detail in error.get("details") or []:
        if isinstance(detail, Mapping) and detail.get("code"):
            yield detail
            yield from _details(detail)


def _innermost(body: Mapping[str, Any]) -> str:
    inner = body.get("error")
    codes = [str(detail["code"]) for detail in _details(inner)] if isinstance(inner, Mapping) else []
    return codes[-1] if codes else ""


def _statuses(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a resource says of its own failure."""
    properties = body.get("properties")
    if not isinstance(properties, Mapping):
        return
    for status in properties.get("statuses") or []:
        if isinstance(status, Mapping) and str(status.get("level")).lower() == "error":
            yield f"{status.get('code')}: {status.get('message') or status.get('displayStatus')}"
    for key in ("errorInfo", "error"):
        info = properties.get(key)
        if isinstance(info, Mapping) and info.get("message"):
            yield f"{info.get('code')}: {info['message']}"
    if properties.get("errorMessage"):
        yield str(properties["errorMessage"])


def _unreachable(error: AzureError, doing: str) -> AzureUnreachable:
    text = str(error)
    if UNTRUSTED in text:
        return AzureUnreachable(
            "azure-untrusted",
            f"{doing}: nobody whom this machine trusts vouches for Azure's certificate: {_short(text)}",
            TRUST_REMEDY,
        )
    return AzureUnreachable(
        "azure-unreachable",
        f"{doing}: Azure doesn't answer: {_short(text)}",
        "check DNS, firewall and proxy (HTTPS_PROXY) of this machine; `azlocal arc check` looks from the nodes",
    )


def _body(error: HttpResponseError) -> Mapping[str, Any]:
    try:
        content = json.loads(_text(error))
    except ValueError:
        return {}
    return content if isinstance(content, Mapping) else {}


def _text(error: HttpResponseError) -> str:
    if error.response is None:
        return ""
    return str(error.response.text())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
