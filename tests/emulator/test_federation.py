"""Workload identity: a cluster as an issuer, and Entra taking its tokens, by the unmodified azure-identity."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientAssertionCredential, WorkloadIdentityCredential
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import RSAAlgorithm

from tests.emulator.azure_sdk import Azure, cluster_body

IDENTITY = "api-version=2023-01-31"
CLUSTER = "api-version=2026-05-01"
AUDIENCE = "api://AzureADTokenExchange"
SUBJECT = "system:serviceaccount:apps:reader"
SCOPE = "https://management.azure.com/.default"
KEY_ID = "kid-1"


@dataclass
class Workload:
    """A cluster that is an issuer, and an identity that trusts one of its service accounts."""

    azure: Azure
    group: str
    key: RSAPrivateKey
    issuer: str
    cluster_id: str
    identity: dict[str, Any] = field(default_factory=dict)

    def trust(self, name: str = "pods", **other: Any) -> tuple[int, Any]:
        """Add a federated identity credential."""
        properties = {"issuer": self.issuer, "subject": SUBJECT, "audiences": [AUDIENCE], **other}
        path = f"{self.identity['id']}/federatedIdentityCredentials/{name}?{IDENTITY}"
        status, answer, _ = self.azure.arm("PUT", path, {"properties": properties})
        return status, answer

    def token(self, key: Any = None, algorithm: str = "RS256", kid: str = KEY_ID, **claims: Any) -> str:
        """Return a token as the API server makes it for a pod."""
        now = int(time.time())
        content = {"iss": self.issuer, "sub": SUBJECT, "aud": [AUDIENCE], "nbf": now, "exp": now + 600, **claims}
        return jwt.encode(content, key or self.key, algorithm=algorithm, headers={"kid": kid})

    @property
    def settings(self) -> dict[str, Any]:
        """What azure-identity is told: the pod's AZURE_* variables, and whom to trust."""
        return {
            "tenant_id": self.azure.emulator.settings.tenant_id,
            "client_id": self.identity["properties"]["clientId"],
            "authority": self.azure.emulator.url,
            "disable_instance_discovery": True,
            "connection_verify": str(self.azure.emulator.ca_file),
        }

    def exchange(self, assertion: str) -> str:
        with ClientAssertionCredential(func=lambda: assertion, **self.settings) as credential:
            return credential.get_token(SCOPE).token


def published(key: RSAPrivateKey, kid: str = KEY_ID) -> dict[str, Any]:
    return {"keys": [{**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}]}


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def workload(azure: Azure, key: RSAPrivateKey) -> Iterator[Workload]:
    group = azure.group(f"federation-{uuid.uuid4()}")
    path = f"{azure.cluster_id(group, 'a')}?{CLUSTER}"
    wanted = {"oidcIssuerProfile": {"enabled": True}, "securityProfile": {"workloadIdentity": {"enabled": True}}}
    _, cluster, _ = azure.arm("PUT", path, cluster_body(properties=wanted))
    azure.admin.advance(2)
    azure.agents.publish(cluster["id"], published(key))
    issuer = cluster["properties"]["oidcIssuerProfile"]["issuerUrl"]
    made = Workload(azure, group, key, issuer, cluster["id"])
    base = f"/subscriptions/{azure.subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity"
    path = f"{base}/userAssignedIdentities/pods?{IDENTITY}"
    status, made.identity, _ = azure.arm("PUT", path, {"location": "eastus"})
    assert status == 201
    yield made
    azure.arm("DELETE", f"{made.identity['id']}?{IDENTITY}")


# -- the issuer -------------------------------------------------------------------------------------


def test_issuer_publishes_what_checks_its_tokens(azure: Azure, workload: Workload) -> None:
    path = workload.issuer.removeprefix(azure.emulator.url)
    status, document, _ = azure.ask("GET", f"{path}.well-known/openid-configuration")
    assert (status, document["issuer"]) == (200, workload.issuer)
    assert document["id_token_signing_alg_values_supported"] == ["RS256"]
    status, keys, headers = azure.ask("GET", document["jwks_uri"].removeprefix(azure.emulator.url))
    assert (status, headers["content-type"]) == (200, "application/jwk-set+json")
    (jwk,) = keys["keys"]
    read = jwt.decode(workload.token(), jwt.PyJWK(jwk, "RS256").key, algorithms=["RS256"], audience=AUDIENCE)
    assert read["iss"] == workload.issuer
    _, cluster, _ = azure.arm("GET", f"{workload.cluster_id}?{CLUSTER}")
    assert cluster["properties"]["securityProfile"] == {"workloadIdentity": {"enabled": True}}
    assert cluster["properties"]["arcAgentProfile"]["agentState"] == "Succeeded"


def test_issuer_shows_no_more_than_the_public_half(azure: Azure, workload: Workload, key: RSAPrivateKey) -> None:
    private = {**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": KEY_ID}
    assert "d" in private
    azure.agents.publish(workload.cluster_id, {"keys": [private]})
    _, keys, _ = azure.ask("GET", f"{workload.issuer.removeprefix(azure.emulator.url)}openid/v1/jwks")
    assert set(keys["keys"][0]) == {"kty", "kid", "use", "alg", "n", "e"}


def test_issuer_goes_with_its_cluster_and_is_silent_without_keys(azure: Azure, group: str, key: Any) -> None:
    path = f"{azure.cluster_id(group, 'b')}?{CLUSTER}"
    _, cluster, _ = azure.arm("PUT", path, cluster_body(properties={"oidcIssuerProfile": {"enabled": True}}))
    issuer = cluster["properties"]["oidcIssuerProfile"]["issuerUrl"].removeprefix(azure.emulator.url)
    assert azure.ask("GET", f"{issuer}openid/v1/jwks")[0] == 404
    azure.admin.advance(2)
    azure.agents.publish(cluster["id"], published(key))
    assert azure.ask("GET", f"{issuer}openid/v1/jwks")[0] == 200
    azure.arm("DELETE", path)
    azure.admin.advance(2)
    assert azure.ask("GET", f"{issuer}openid/v1/jwks")[0] == 404


# -- the exchange -----------------------------------------------------------------------------------


def test_azure_identity_exchanges_a_pods_token_for_one_that_opens_arm(workload: Workload, tmp_path: Path) -> None:
    assert workload.trust()[0] == 201
    mounted = tmp_path / "azure-identity-token"
    mounted.write_text(workload.token())
    with WorkloadIdentityCredential(token_file_path=str(mounted), **workload.settings) as credential:
        token = credential.get_token(SCOPE).token
    claims = jwt.decode(token, options={"verify_signature": False})
    properties = workload.identity["properties"]
    assert (claims["appid"], claims["oid"]) == (properties["clientId"], properties["principalId"])
    azure = workload.azure
    path = f"/subscriptions/{azure.subscription}?api-version=2021-04-01"
    assert azure.ask("GET", path, Authorization=f"Bearer {token}")[0] == 200


def other_key(workload: Workload) -> str:
    return workload.token(rsa.generate_private_key(65537, 2048))


REFUSED: list[tuple[str, Callable[[Workload], str], int]] = [
    ("another issuer", lambda w: w.token(iss="https://kubernetes.default.svc.cluster.local"), 700211),
    ("the issuer without its slash", lambda w: w.token(iss=w.issuer.rstrip("/")), 700211),
    ("another audience", lambda w: w.token(aud=["https://kubernetes.default.svc"]), 700212),
    ("another service account", lambda w: w.token(sub="system:serviceaccount:apps:other"), 700213),
    ("another case", lambda w: w.token(sub=SUBJECT.upper()), 700213),
    ("a key that isn't published", lambda w: w.token(kid="kid-2"), 7000272),
    ("another's signature", other_key, 700027),
    ("an expired one", lambda w: w.token(nbf=1, exp=int(time.time()) - 900), 700024),
    ("one of the future", lambda w: w.token(nbf=int(time.time()) + 900), 700024),
    ("one that never ends", lambda w: w.token(exp="never"), 700024),
    ("ECDSA", lambda w: w.token(ec.generate_private_key(ec.SECP256R1()), "ES256"), 5002738),
    ("a shared secret", lambda w: w.token("s" * 64, "HS256"), 5002738),
    ("no token", lambda w: "c4nary", 50027),
]


@pytest.mark.parametrize(("make", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_entra_refuses(workload: Workload, make: Callable[[Workload], str], code: int) -> None:
    workload.trust()
    assertion = make(workload)
    with pytest.raises(ClientAuthenticationError, match=f"AADSTS{code}: ") as refused:
        workload.exchange(assertion)
    assert assertion not in str(refused.value)


def test_entra_refuses_an_unsigned_token(workload: Workload) -> None:
    workload.trust()
    body = workload.token().split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": KEY_ID}).encode()).decode().rstrip("=")
    with pytest.raises(ClientAuthenticationError, match="AADSTS5002738: "):
        workload.exchange(f"{head}.{body}.")


def test_entra_refuses_an_identity_that_trusts_nobody(workload: Workload) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS70025: "):
        workload.exchange(workload.token())


def test_entra_refuses_what_two_credentials_have_together(workload: Workload) -> None:
    workload.trust("first", subject="system:serviceaccount:apps:other")
    workload.trust("second", audiences=["api://other"])
    with pytest.raises(ClientAuthenticationError, match="AADSTS70021: "):
        workload.exchange(workload.token())


def test_entra_refuses_an_issuer_that_it_cant_ask(workload: Workload) -> None:
    workload.trust(issuer="https://issuer.example/")
    with pytest.raises(ClientAuthenticationError, match="AADSTS501661: "):
        workload.exchange(workload.token(iss="https://issuer.example/"))


def test_rotated_keys_count_at_once(workload: Workload) -> None:
    workload.trust()
    workload.exchange(workload.token())
    new = rsa.generate_private_key(65537, 2048)
    workload.azure.agents.publish(workload.cluster_id, published(new, "kid-2"))
    assert workload.exchange(workload.token(new, kid="kid-2"))
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000272: "):
        workload.exchange(workload.token())


# -- identities and credentials ----------------------------------------------------------------------


def test_credentials_are_listed_changed_and_removed(workload: Workload) -> None:
    azure, base = workload.azure, f"{workload.identity['id']}/federatedIdentityCredentials"
    assert workload.trust("one")[0] == 201
    assert workload.trust("two", subject="system:serviceaccount:apps:two")[0] == 201
    status, changed = workload.trust("two", subject="system:serviceaccount:apps:three")
    assert (status, changed["properties"]["subject"]) == (200, "system:serviceaccount:apps:three")
    _, listed, _ = azure.arm("GET", f"{base}?{IDENTITY}")
    assert [one["name"] for one in listed["value"]] == ["one", "two"]
    assert azure.arm("GET", f"{base}/one?{IDENTITY}")[1]["type"] == (
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
    )
    assert azure.arm("DELETE", f"{base}/one?{IDENTITY}")[0] == 200
    assert azure.arm("GET", f"{base}/one?{IDENTITY}")[0] == 404
    _, again, _ = azure.arm("PUT", f"{workload.identity['id']}?{IDENTITY}", {"location": "eastus"})
    assert again["properties"] == workload.identity["properties"], "an identity keeps its ids"
    azure.arm("DELETE", f"{workload.identity['id']}?{IDENTITY}")
    assert azure.arm("GET", f"{base}/two?{IDENTITY}")[0] == 404, "credentials go with their identity"
    assert azure.arm("GET", f"{base}?{IDENTITY}")[0] == 404


@pytest.mark.parametrize(
    ("other", "status", "says"),
    [
        ({"issuer": "http://issuer.example/"}, 400, "https://"),
        ({"subject": ""}, 400, "subject"),
        ({"audiences": []}, 400, "one audience"),
        ({"audiences": [AUDIENCE, "api://other"]}, 400, "one audience"),
        ({"subject": "s" * 601}, 400, "600"),
        ({"name": "no"}, 400, "invalid"),
        ({"name": "again"}, 409, "already exists"),
    ],
)
def test_credentials_that_azure_refuses(workload: Workload, other: dict[str, Any], status: int, says: str) -> None:
    workload.trust()
    given = other if other.get("name") == "again" else {"subject": "system:serviceaccount:apps:other", **other}
    found, answer = workload.trust(**{"name": "other", **given})
    assert found == status
    assert says in answer["error"]["message"]


def test_an_identity_trusts_twenty_at_most(workload: Workload) -> None:
    for number in range(20):
        assert workload.trust(f"pods-{number}", subject=f"s{number}")[0] == 201
    status, answer = workload.trust("pods-20", subject="s20")
    assert (status, answer["error"]["code"]) == (400, "BadRequest")
    assert workload.trust("pods-0", subject="s20")[0] == 200


def test_an_identity_has_no_secret(workload: Workload) -> None:
    form = {
        "client_id": workload.identity["properties"]["clientId"],
        "client_secret": "",
        "grant_type": "client_credentials",
        "scope": SCOPE,
    }
    path = f"/{workload.settings['tenant_id']}/oauth2/v2.0/token"
    header = {"Content-Type": "application/x-www-form-urlencoded"}
    for secret, code in (("", 7000218), ("c4nary", 7000215)):
        body = urlencode({**form, "client_secret": secret}).encode()
        status, answer, _ = workload.azure.ask("POST", path, body, **header)
        assert (status, answer["error_codes"]) == (401, [code])
    assertion = {"client_assertion": workload.token(), "client_assertion_type": "other"}
    _, answer, _ = workload.azure.ask("POST", path, urlencode({**form, **assertion}).encode(), **header)
    assert answer["error_codes"] == [900144]
