"""Entra's endpoints, as clients other than azure-identity ask them, and the tokens."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from jwt import PyJWK

from infra.emulator.settings import Folder
from tests.emulator.azure_sdk import Azure

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def token(
    azure: Azure, version: str = "v2.0/", tenant: str | None = None, **changes: str | None
) -> tuple[int, Any]:
    """Ask for a token as a client of that version does; None leaves a field out."""
    client = Folder(azure.emulator.folder).client()
    form: dict[str, str | None] = {
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "grant_type": "client_credentials",
        **(
            {"scope": "https://management.azure.com/.default"}
            if version
            else {"resource": "https://management.azure.com/"}
        ),
        **changes,
    }
    body = urlencode({name: one for name, one in form.items() if one is not None}).encode()
    path = f"/{tenant or client.tenant_id}/oauth2/{version}token"
    status, answer, _ = azure.ask("POST", path, body, **FORM)
    return status, answer


@pytest.mark.parametrize("version", ["", "v2.0/"])
def test_token_opens_arm_and_can_be_checked(azure: Azure, version: str) -> None:
    status, answer = token(azure, version)
    assert (status, answer["token_type"], answer["expires_in"]) == (200, "Bearer", 3599)
    path = f"/subscriptions/{azure.subscription}?api-version=2021-04-01"
    assert azure.ask("GET", path, Authorization=f"Bearer {answer['access_token']}")[0] == 200
    _, keys, _ = azure.ask("GET", f"/{azure.emulator.settings.tenant_id}/discovery/v2.0/keys")
    key = PyJWK(keys["keys"][0])
    audience = "https://management.azure.com" + ("" if version else "/")  # as it was asked for
    said = jwt.decode(answer["access_token"], key, ["RS256"], audience=audience)
    assert said["tid"] == azure.emulator.settings.tenant_id
    assert said["appid"] == azure.emulator.settings.client_id
    assert jwt.get_unverified_header(answer["access_token"])["kid"] == keys["keys"][0]["kid"]


@pytest.mark.parametrize(
    ("changes", "status", "error", "code"),
    [
        ({"client_secret": "c4nary"}, 401, "invalid_client", 7000215),
        ({"client_secret": None}, 401, "invalid_client", 7000218),
        ({"client_id": "c0ffee"}, 400, "unauthorized_client", 700016),
        ({"tenant": "c0ffee"}, 400, "invalid_request", 90002),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "openid"}, 400, "invalid_scope", 1002012),
        ({"scope": "https://nothing.example/.default"}, 400, "invalid_resource", 500011),
    ],
)
def test_refusals_are_entras(azure: Azure, changes: dict[str, Any], status: int, error: str, code: int) -> None:
    found, answer = token(azure, **changes)
    assert (found, answer["error"], answer["error_codes"]) == (status, error, [code])
    assert answer["error_description"].startswith(f"AADSTS{code}: ")
    assert "c4nary" not in str(answer)


def test_what_clients_look_up_first(azure: Azure) -> None:
    tenant, url = azure.emulator.settings.tenant_id, azure.emulator.url
    _, second, _ = azure.ask("GET", f"/{tenant}/v2.0/.well-known/openid-configuration")
    assert second["token_endpoint"] == f"{url}/{tenant}/oauth2/v2.0/token"
    _, first, _ = azure.ask("GET", f"/{tenant}/.well-known/openid-configuration")
    assert first["token_endpoint"] == f"{url}/{tenant}/oauth2/token"
    _, found, _ = azure.ask("GET", "/common/discovery/instance?api-version=1.1&authorization_endpoint=x")
    assert found["tenant_discovery_endpoint"] == f"{url}/{tenant}/v2.0/.well-known/openid-configuration"
    assert found["metadata"][0]["aliases"] == [url.removeprefix("https://")]


def test_directory_isnt_read_by_applications(azure: Azure) -> None:
    status, answer, _ = azure.ask("GET", "/v1.0/servicePrincipals?$filter=appId%20eq%20'x'")
    assert (status, answer["error"]["code"]) == (403, "Authorization_RequestDenied")


def test_urls_follow_the_name_that_the_client_used(azure: Azure) -> None:
    host = f"localhost:{azure.emulator.port}"
    tenant = azure.emulator.settings.tenant_id
    _, found, _ = azure.ask("GET", f"/{tenant}/v2.0/.well-known/openid-configuration", Host=host)
    assert found["token_endpoint"].startswith(f"https://{host}/")


def test_secret_in_a_query_is_no_login(azure: Azure) -> None:
    client = Folder(azure.emulator.folder).client()
    query = urlencode(
        {"client_id": client.client_id, "client_secret": "c4nary", "grant_type": "client_credentials"}
    )
    status, answer, _ = azure.ask("POST", f"/{client.tenant_id}/oauth2/token?{query}", b"", **FORM)
    assert status == 400
    assert answer["error"] == "unsupported_grant_type"
