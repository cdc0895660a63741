"""ARM's front as plain requests see it: who is let in, in which version, and how it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.azure_sdk import PUBLIC_KEY, Azure, cluster_body

V = "api-version=2024-01-01"
OWN = "api-version=2021-04-01"


def code_of(answer: tuple[int, Any, Any]) -> tuple[int, str]:
    status, body, _ = answer
    assert set(body) == {"error"}
    assert body["error"]["message"]
    return status, body["error"]["code"]


def test_says_what_it_is(azure: Azure) -> None:
    status, body, headers = azure.ask("GET", "/")
    assert status == 200
    assert "not Azure" in body["description"]
    assert headers["x-ms-azlocal-emulator"] == "1"


def test_version_is_required(azure: Azure, group: str) -> None:
    cluster = azure.cluster_id(group, "a")
    assert code_of(azure.arm("GET", cluster)) == (400, "MissingApiVersionParameter")
    assert code_of(azure.arm("GET", f"{cluster}?api-version=2020-02-02")) == (400, "NoRegisteredProviderFound")
    groups = f"/subscriptions/{azure.subscription}/resourcegroups"
    assert code_of(azure.arm("GET", f"{groups}?api-version=x")) == (400, "InvalidApiVersionParameter")
    # Azure's own clients spell it in several ways.
    assert azure.arm("GET", f"{groups}?Api-Version=2021-04-01")[0] == 200


def test_token_is_required(azure: Azure, group: str) -> None:
    path = f"{azure.cluster_id(group, 'a')}?{V}"
    status, body, headers = azure.ask("GET", path)
    assert (status, body["error"]["code"]) == (401, "AuthenticationFailed")
    assert azure.emulator.settings.tenant_id in headers["www-authenticate"]
    for wrong in ("Bearer nonsense", "Bearer a.b.c", f"Bearer {azure.token()[:-8]}AAAAAAAA"):
        assert code_of(azure.ask("GET", path, Authorization=wrong)) == (401, "InvalidAuthenticationToken")


def test_what_isnt_there(azure: Azure, group: str) -> None:
    other = "/subscriptions/00000000-0000-0000-0000-000000000001"
    assert code_of(azure.arm("GET", f"{other}?{OWN}")) == (404, "SubscriptionNotFound")
    nowhere = azure.cluster_id("nowhere", "a")
    for method, body in (("GET", None), ("PUT", cluster_body()), ("DELETE", None)):
        assert code_of(azure.arm(method, f"{nowhere}?{V}", body)) == (404, "ResourceGroupNotFound")
    base = f"/subscriptions/{azure.subscription}/resourceGroups/{group}/providers"
    assert code_of(azure.arm("GET", f"{base}/Microsoft.Nothing/x/y?{V}")) == (404, "InvalidResourceNamespace")
    assert code_of(azure.arm("GET", f"{base}/Microsoft.Kubernetes/x/y?{V}")) == (404, "InvalidResourceType")
    # An extension hangs on a cluster, not on a group.
    path = f"{base}/Microsoft.KubernetesConfiguration/extensions/x?api-version=2023-05-01"
    assert code_of(azure.arm("GET", path)) == (404, "InvalidResourceType")
    assert code_of(azure.arm("GET", f"/nothing/at/all?{OWN}")) == (404, "NotFound")


def test_verbs_that_a_type_doesnt_have(azure: Azure, group: str) -> None:
    clusters = azure.cluster_id(group, "a").rpartition("/")[0]
    assert code_of(azure.arm("PUT", f"{clusters}?{V}", {})) == (405, "UnsupportedHttpMethod")
    azure.connect(group, "a")
    assert azure.arm("HEAD", f"{clusters}/a?{V}")[0] == 204
    assert azure.arm("HEAD", f"{clusters}/b?{V}")[0] == 404
    status, refusal, headers = azure.ask("OPTIONS", f"/subscriptions?{OWN}")
    assert (status, refusal["error"]["code"]) == (405, "UnsupportedHttpMethod")
    assert headers["x-ms-azlocal-emulator"] == "1"
    action = f"{clusters}/a/reboot?{V}"
    assert code_of(azure.arm("POST", action, {})) == (404, "InvalidResourceType")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"identity": None}, "identity"),
        ({"properties": {}}, "agentPublicKeyCertificate"),
        ({"properties": {"agentPublicKeyCertificate": 7}}, "properties.agentPublicKeyCertificate"),
        ({"nonsense": 1}, "nonsense"),
        ({"properties": {"agentPublicKeyCertificate": PUBLIC_KEY, "distro": "x"}}, "properties.distro"),
        ({"tags": {"a": ["b"]}}, "tags.a"),
        (
            {"properties": {"agentPublicKeyCertificate": PUBLIC_KEY, "privateLinkState": "Maybe"}},
            "privateLinkState",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_content_is_named(azure: Azure, group: str, change: dict[str, Any], named: str) -> None:
    body = {name: one for name, one in {**cluster_body(), **change}.items() if one is not None}
    status, refusal, _ = azure.arm("PUT", f"{azure.cluster_id(group, 'a')}?{V}", body)
    assert (status, refusal["error"]["code"]) == (400, "InvalidRequestContent")
    assert f"'{named}'" in refusal["error"]["message"] or f".{named}'" in refusal["error"]["message"]


def test_content_that_is_no_json(azure: Azure, group: str) -> None:
    path = f"{azure.cluster_id(group, 'a')}?{V}"
    assert code_of(azure.arm("PUT", path, b"{")) == (400, "InvalidRequestContent")
    assert code_of(azure.arm("PUT", path, b"[]")) == (400, "InvalidRequestContent")
    assert code_of(azure.arm("PUT", path, b" ")) == (400, "MissingRequestBody")


def test_wrong_values(azure: Azure, group: str) -> None:
    path = f"{azure.cluster_id(group, 'a')}?{V}"
    assert code_of(azure.arm("PUT", path, cluster_body(location="moon"))) == (
        400,
        "LocationNotAvailableForResourceType",
    )
    linked = cluster_body(properties={"privateLinkState": "Enabled", "privateLinkScopeResourceId": "/x"})
    assert code_of(azure.arm("PUT", path, linked)) == (400, "InvalidPrivateLinkScope")
    broken = cluster_body(properties={"agentPublicKeyCertificate": "!"})
    assert code_of(azure.arm("PUT", path, broken)) == (400, "BadRequest")
    named = f"{azure.cluster_id(group, 'a.b')}?{V}"
    assert code_of(azure.arm("PUT", named, cluster_body())) == (400, "InvalidResourceName")


def test_private_link_scope_has_to_be_near(azure: Azure, group: str) -> None:
    scope = (
        f"/subscriptions/{azure.subscription}/resourceGroups/{group}/providers/Microsoft.HybridCompute/"
        "privateLinkScopes/s"
    )
    azure.arm("PUT", f"{scope}?api-version=2024-07-10", {"location": "westeurope", "properties": {}})
    linked = {"privateLinkState": "Enabled", "privateLinkScopeResourceId": scope}
    path = f"{azure.cluster_id(group, 'a')}?{V}"
    assert code_of(azure.arm("PUT", path, cluster_body(properties=linked))) == (400, "InvalidPrivateLinkScope")
    body = cluster_body(location="West Europe", properties=linked)
    status, made, _ = azure.arm("PUT", path, body)
    assert (status, made["location"]) == (201, "westeurope")


def test_read_only_properties_are_ignored(azure: Azure, group: str) -> None:
    path = f"{azure.cluster_id(group, 'a')}?{V}"
    claimed = {"connectivityStatus": "Connected", "agentVersion": "9", "provisioningState": "Succeeded"}
    _, made, _ = azure.arm("PUT", path, {**cluster_body(properties=claimed), "id": "/x", "systemData": {}})
    assert made["id"] == azure.cluster_id(group, "a")
    assert made["properties"]["connectivityStatus"] == "Connecting"
    assert made["properties"]["provisioningState"] == "Accepted"
    assert "agentVersion" not in made["properties"]


def test_null_says_nothing(azure: Azure, group: str) -> None:
    path = f"{azure.cluster_id(group, 'a')}?{V}"
    _, made, _ = azure.arm("PUT", path, cluster_body(properties={"distribution": None, "aadProfile": None}))
    assert made["properties"]["distribution"] == "generic"
    assert "aadProfile" not in made["properties"]


def test_ids_keep_the_spelling_they_were_made_with(azure: Azure, group: str) -> None:
    azure.connect(group, "Mixed")
    base = f"/SUBSCRIPTIONS/{azure.subscription.upper()}/resourcegroups/{group.upper()}/PROVIDERS"
    status, found, _ = azure.arm("GET", f"{base}/microsoft.kubernetes/CONNECTEDCLUSTERS/mixed?{V}")
    assert (status, found["id"]) == (200, azure.cluster_id(group, "Mixed"))
    _, again, _ = azure.arm("PUT", f"{base}/microsoft.kubernetes/CONNECTEDCLUSTERS/mixed?{V}", cluster_body())
    assert again["id"] == azure.cluster_id(group, "Mixed")
    extension = f"{base}/microsoft.kubernetes/connectedclusters/MIXED/providers/microsoft.kubernetesconfiguration"
    body = {"properties": {"extensionType": "microsoft.flux"}}
    _, made, _ = azure.arm("PUT", f"{extension}/EXTENSIONS/flux?api-version=2023-05-01", body)
    assert made["id"] == (
        f"{azure.cluster_id(group, 'Mixed')}/providers/Microsoft.KubernetesConfiguration/extensions/flux"
    )


def test_operation_is_answered_as_azures(azure: Azure, group: str) -> None:
    path = f"{azure.cluster_id(group, 'a')}?{V}"
    status, _, headers = azure.arm("PUT", path, cluster_body())
    assert (status, headers["retry-after"]) == (201, "1")
    url = headers["azure-asyncoperation"].removeprefix(azure.emulator.url)
    _, running, _ = azure.arm("GET", url)
    assert running == {"id": url.partition("?")[0], "name": running["name"], "status": "Creating"}
    azure.admin.advance(2)
    _, ended, _ = azure.arm("GET", url)
    assert ended["status"] == "Succeeded"
    status, _, headers = azure.arm("DELETE", path)
    assert status == 202
    location = headers["location"].removeprefix(azure.emulator.url)
    assert azure.arm("GET", location)[0] == 202
    azure.admin.advance(2)
    assert azure.arm("GET", location)[0] == 204
    assert azure.ask("GET", url)[0] == 401  # not without a token
    missing = url.replace(ended["name"], "00000000-0000-0000-0000-000000000000")
    assert code_of(azure.arm("GET", missing)) == (404, "OperationNotFound")


def test_load_balancers_need_their_extension(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    azure.agents.beat(cluster.id)
    path = f"{cluster.id}/providers/Microsoft.KubernetesRuntime/loadBalancers/lb?api-version=2024-08-01"
    body = {"properties": {"addresses": ["10.0.0.10-10.0.0.20"], "advertiseMode": "ARP"}}
    assert code_of(azure.arm("PUT", path, body)) == (400, "ArcNetworkingExtensionNotReady")
    extension = f"{cluster.id}/providers/Microsoft.KubernetesConfiguration/extensions/arcnetworking"
    azure.arm(
        "PUT", f"{extension}?api-version=2023-05-01", {"properties": {"extensionType": "microsoft.arcnetworking"}}
    )
    azure.agents.report(cluster.id, "arcnetworking")
    assert azure.arm("PUT", path, body)[0] == 201
    azure.admin.advance(2)
    _, found, _ = azure.arm("GET", path)
    assert found["properties"] == {**body["properties"], "provisioningState": "Succeeded"}
    wrong = {"properties": {"addresses": "10.0.0.10", "advertiseMode": "ARP"}}
    assert code_of(azure.arm("PUT", path, wrong)) == (400, "InvalidRequestContent")
    assert azure.arm("DELETE", path)[0] == 202


def test_gateway_is_attached_and_detached(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    gateway = (
        f"/subscriptions/{azure.subscription}/resourceGroups/{group}/providers/Microsoft.HybridCompute/gateways/g"
    )
    path = f"{cluster.id}/providers/Microsoft.HybridCompute/settings/Default?api-version=2025-02-19-preview"
    body = {"properties": {"gatewayProperties": {"gatewayResourceId": gateway}}}
    assert code_of(azure.arm("PUT", path, body)) == (404, "GatewayNotFound")
    azure.arm("PUT", f"{gateway}?api-version=2025-01-13", {"location": "eastus", "properties": {}})
    assert azure.arm("PUT", path, body)[0] == 200
    assert azure.arm("GET", path)[1]["properties"]["gatewayProperties"]["gatewayResourceId"] == gateway
    detached = {"properties": {"gatewayProperties": {"gatewayResourceId": None}}}
    assert azure.arm("PUT", path, detached)[0] == 200
    assert azure.arm("GET", path)[1]["properties"]["gatewayProperties"]["gatewayResourceId"] is None


def test_what_a_region_move_lists(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    base = f"{cluster.id}/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations"
    secret = {"configurationProtectedSettings": {"k": "c4nary"}}
    body = {"properties": {"repositoryUrl": "https://git.example/r", **secret}}
    status, made, _ = azure.arm("PUT", f"{base}/v1?api-version=2023-05-01", body)
    assert (status, made["properties"]["provisioningState"]) == (201, "Succeeded")
    _, listed, _ = azure.arm("GET", f"{base}?api-version=2023-05-01")
    assert [one["name"] for one in listed["value"]] == ["v1"]
    assert "c4nary" not in str((made, listed))
    assert code_of(azure.arm("PATCH", f"{base}/v1?api-version=2023-05-01", {})) == (405, "UnsupportedHttpMethod")
    assert azure.arm("DELETE", f"{base}/v1?api-version=2023-05-01")[0] == 200
    assert azure.arm("DELETE", f"{base}/v1?api-version=2023-05-01")[0] == 204


def test_issuer_stays_on(azure: Azure, group: str) -> None:
    path = f"{azure.cluster_id(group, 'a')}?api-version=2026-05-01"
    _, made, _ = azure.arm("PUT", path, cluster_body(properties={"oidcIssuerProfile": {"enabled": True}}))
    issuer = made["properties"]["oidcIssuerProfile"]["issuerUrl"]
    assert issuer.startswith(f"{azure.emulator.url}/oic/{azure.emulator.settings.tenant_id}/")
    assert made["properties"]["arcAgentProfile"]["agentState"] == "Updating", "agents have to send the keys"
    azure.admin.advance(2)
    _, again, _ = azure.arm("PUT", path, cluster_body(properties={"oidcIssuerProfile": {"enabled": True}}))
    assert again["properties"]["oidcIssuerProfile"]["issuerUrl"] == issuer
    azure.admin.advance(2)
    assert code_of(azure.arm("PUT", path, cluster_body())) == (400, "BadRequest")


def test_lists_across_types_can_be_filtered(azure: Azure, group: str) -> None:
    azure.connect(group, "a", tags={"site": "lab"})
    azure.connect(group, "b")
    path = f"/subscriptions/{azure.subscription}/resourceGroups/{group}/resources?{OWN}&$filter="

    def named(condition: str) -> list[str]:
        return [one["name"] for one in azure.arm("GET", path + condition.replace(" ", "%20"))[1]["value"]]

    assert named("") == ["a", "b"]
    assert named("resourceType eq 'microsoft.kubernetes/connectedclusters'") == ["a", "b"]
    assert named("tagName eq 'site' and tagValue eq 'lab'") == ["a"]
    assert named("name eq 'b' and location eq 'eastus'") == ["b"]
    assert named("location ne 'eastus'") == []
    refused = azure.arm("GET", f"{path}startswith(name,'a')")
    assert code_of(refused) == (400, "InvalidFilterInQueryString")


def test_metadata_in_every_version_that_clients_ask(azure: Azure) -> None:
    _, first, _ = azure.ask("GET", "/metadata/endpoints?api-version=2015-01-01")
    assert first["authentication"]["loginEndpoint"] == azure.emulator.url
    _, listed, _ = azure.ask("GET", "//metadata/endpoints?api-version=2019-05-01")
    assert [one["name"] for one in listed] == ["azlocal-emulator"]
    _, found, _ = azure.ask("GET", "/metadata/endpoints?api-version=2022-09-01")
    assert found["resourceManager"] == f"{azure.emulator.url}/"
    assert found["dataplaneEndpoints"]["arcConfigEndpoint"] == f"{azure.emulator.agent_url}/dp"
    assert code_of(azure.ask("GET", "/metadata/endpoints")) == (400, "MissingApiVersionParameter")


def test_own_api_is_guarded(azure: Azure) -> None:
    for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {azure.token()}"}):
        status, body, _ = azure.ask("GET", "/_emulator/state", None, **wrong)
        assert (status, body["error"]["code"]) == (401, "Unauthorized")
