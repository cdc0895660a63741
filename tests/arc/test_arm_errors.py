"""What Azure's clients raise, as a user reads it (facts §9 rows 18, 22, 26, and Azure's usual refusals)."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError

from infra.arc.arm_errors import is_missing, mapped
from infra.arc.errors import ArmError, AzureUnreachable


def failure(status: int, body: Any) -> HttpResponseError:
    text = body if isinstance(body, str) else json.dumps(body)
    response = SimpleNamespace(status_code=status, reason="reason", text=lambda: text, headers={})
    return HttpResponseError(response=cast(Any, response), message="x")


def refusal(status: int, code: str, message: str = "said") -> ArmError:
    error = mapped(failure(status, {"error": {"code": code, "message": message}}), "doing")
    assert isinstance(error, ArmError)
    return error


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (409, "MissingSubscriptionRegistration", "az provider register"),
        (403, "AuthorizationFailed", "Azure Arc Onboarding"),
        (404, "SubscriptionNotFound", "tenant"),
        (404, "ResourceGroupNotFound", "resource group"),
        (404, "ResourceNotFound", "another resource group or subscription"),
        (401, "InvalidAuthenticationTokenTenant", "tenant"),
        (401, "SomethingNew", "token"),
        (409, "AnotherOperationInProgress", "run again"),
        (429, "TooManyRequests", "throttles"),
        (503, "ServerBusy", "later"),
        (400, "LocationNotAvailableForResourceType", "locations"),
    ],
)
def test_a_refusal_says_code_message_status_and_remedy(status: int, code: str, remedy: str) -> None:
    error = refusal(status, code)
    assert str(error).startswith(f"doing: {code}: said (HTTP {status}); ")
    assert remedy in error.remedy
    assert (error.code, error.status, error.rule) == (code, status, f"arm-{code}")


def test_a_wrong_location_is_known_by_its_wording() -> None:
    said = "Connected cluster resource creation is supported only in the following locations: eastus"
    assert "locations" in refusal(400, "BadRequest", said).remedy


@pytest.mark.parametrize("code", ["ResourceNotFound", "ResourceGroupNotFound", "ParentResourceNotFound"])
def test_only_azures_own_word_says_that_a_resource_is_missing(code: str) -> None:
    error = failure(404, {"error": {"code": code, "message": ""}})
    assert is_missing(error, is_emulator=False)
    assert is_missing(error, is_emulator=True)


@pytest.mark.parametrize(
    "error",
    [
        failure(404, {"error": {"code": "SubscriptionNotFound", "message": ""}}),
        failure(404, "<html>a proxy's page</html>"),
        failure(403, {"error": {"code": "ResourceNotFound", "message": ""}}),
        AzureError("x"),
    ],
    ids=["subscription", "proxy", "forbidden", "client"],
)
def test_nothing_else_does(error: AzureError) -> None:
    assert not is_missing(error, is_emulator=False)


def test_a_failed_operation_that_came_with_http_200_tells_its_error() -> None:
    body = {
        "status": "Failed",
        "error": {
            "code": "ResourceOperationFailure",
            "message": "The operation failed.",
            "details": [{"code": "ExtensionCreationFailed", "message": "no such chart"}],
        },
    }
    error = mapped(failure(200, body), "installing extension x")
    assert "ResourceOperationFailure: The operation failed.; ExtensionCreationFailed: no such chart" in str(error)
    assert "invalid status 'OK'" not in str(error)
    assert "pods" in error.remedy


def test_a_failed_operation_without_an_error_tells_its_resources_statuses() -> None:
    resource = {
        "properties": {
            "statuses": [
                {
                    "code": "InstallationFailed",
                    "level": "Error",
                    "message": "no status from the local CRD",
                },
                {"code": "Fine", "level": "Information", "message": "not this"},
            ],
            "errorInfo": {"code": "Helm", "message": "timed out"},
        }
    }
    text = str(mapped(failure(200, {"status": "Failed"}), "installing", resource))
    assert "OperationFailed: InstallationFailed: no status from the local CRD; Helm: timed out" in text
    assert "not this" not in text


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (
            "Unable to get the status from the local CRD with the error : {Error : Retry for given duration}",
            "pods",
        ),
        ("Error: {failed to install chart from path: context deadline exceeded}", "not scheduled?"),
        (
            'failed to perform "FetchReference" on source: mcr.microsoft.com/c/akv:9.9.9: not found',
            "leave `version` out",
        ),
        ("Cluster extension ... InstallState is Failed", "fix that extension first"),
    ],
    ids=["local CRD", "time-out", "no such version", "failed extension"],
)
def test_what_azure_only_words_has_its_own_remedy(said: str, remedy: str) -> None:
    body = {"status": "Failed", "error": {"code": "ResourceOperationFailure", "message": said}}
    assert remedy in mapped(failure(200, body), "doing").remedy
    assert remedy in refusal(400, "BadRequest", said).remedy


def test_a_git_server_that_is_not_found_is_no_missing_version() -> None:
    assert refusal(400, "X", "failed to clone https://git.example:8443: not found").remedy == ""


def test_a_failed_operation_that_tells_nothing_is_still_a_failure() -> None:
    assert "OperationCanceled: Azure gives no reason" in str(mapped(failure(200, {"status": "Canceled"}), "x"))


def test_an_azure_that_does_not_answer_is_no_refusal() -> None:
    error = mapped(ServiceRequestError("Failed to resolve 'management.azure.com'"), "reading x")
    assert isinstance(error, AzureUnreachable)
    assert error.rule == "azure-unreachable"
    assert "proxy" in error.remedy


def test_a_proxy_that_inspects_tls_is_told_apart() -> None:
    error = mapped(ServiceRequestError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate in chain"), "x")
    assert error.rule == "azure-untrusted"
    assert "REQUESTS_CA_BUNDLE" in error.remedy


def test_a_long_answer_is_cut() -> None:
    assert len(str(refusal(500, "X", "long " * 5000))) < 2000


def test_a_subscription_goes_with_its_emulators_store_alone() -> None:
    error = failure(404, {"error": {"code": "SubscriptionNotFound", "message": ""}})
    assert is_missing(error, is_emulator=True)
    assert not is_missing(error, is_emulator=False), "the credential may only not see it"
