"""Who we are: which credential is taken, what is said where it isn't good, and that no secret is repeated."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from infra.arc.credentials import Credential, credential_for
from infra.arc.environment import AzureEnvironment, environment_of
from infra.arc.errors import ArcError, AzureUnreachable, CredentialError
from tests.arc.living import Lab

CANARY = "canary-4f1c"
GUID = "11111111-2222-3333-4444-555555555555"
CLOUD = environment_of("AzureCloud")


def own(authority: str, ca_file: Path | None = None) -> AzureEnvironment:
    return AzureEnvironment(
        name="custom",
        resource_manager=authority,
        authority=authority,
        audience="https://arm/",
        data_plane_audience="https://arm/",
        suffix="com",
        ca_file=ca_file,
    )


def failure(credential: Credential) -> ArcError:
    with pytest.raises(ArcError) as caught:
        credential.get_token(CLOUD.token_scope)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None  # whose own text could repeat it
    return caught.value


def test_without_any_credential_az_is_asked_and_the_remedy_names_both_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    error = failure(credential_for(CLOUD, None, {}))
    assert isinstance(error, CredentialError)
    assert "az login" in error.remedy
    assert "AZURE_CLIENT_SECRET" in error.remedy


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"AZURE_CLIENT_SECRET": CANARY}, "AZURE_TENANT_ID and AZURE_CLIENT_ID"),
        ({"AZURE_CLIENT_SECRET": CANARY, "AZURE_CLIENT_ID": GUID}, "AZURE_TENANT_ID"),
        ({"AZURE_CLIENT_CERTIFICATE_PATH": "/x", "AZURE_TENANT_ID": GUID}, "AZURE_CLIENT_ID"),
    ],
)
def test_half_a_credential_is_named(given: dict[str, str], missing: str) -> None:
    with pytest.raises(CredentialError, match=missing) as caught:
        credential_for(CLOUD, None, given)
    assert CANARY not in str(caught.value)


def test_the_stacks_tenant_completes_the_variables() -> None:
    given = {"AZURE_CLIENT_SECRET": CANARY, "AZURE_CLIENT_ID": GUID}
    assert credential_for(CLOUD, "tenant", given).identity.tenant_id == "tenant"


@pytest.mark.parametrize("name", ["AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"])
def test_a_file_that_is_not_there_is_named(name: str) -> None:
    given = {name: "/nonexistent/file", "AZURE_CLIENT_ID": GUID, "AZURE_TENANT_ID": GUID}
    with pytest.raises(CredentialError, match="/nonexistent/file"):
        credential_for(CLOUD, None, given)


def test_a_certificate_with_the_wrong_password_is_refused_without_repeating_it(tmp_path: Path) -> None:
    file = tmp_path / "client.pem"
    file.write_bytes(certificate(b"right"))
    given = {
        "AZURE_CLIENT_CERTIFICATE_PATH": str(file),
        "AZURE_CLIENT_CERTIFICATE_PASSWORD": CANARY,
        "AZURE_CLIENT_ID": GUID,
        "AZURE_TENANT_ID": GUID,
    }
    with pytest.raises(CredentialError, match=r"client\.pem") as caught:
        credential_for(CLOUD, None, given)
    assert CANARY not in str(caught.value)


def test_an_entra_that_does_not_answer_is_no_wrong_credential() -> None:
    given = {"AZURE_CLIENT_SECRET": CANARY, "AZURE_CLIENT_ID": GUID, "AZURE_TENANT_ID": GUID}
    error = failure(credential_for(own("https://127.0.0.1:1"), None, given))
    assert isinstance(error, AzureUnreachable)
    assert error.rule == "entra-unreachable"


def test_a_credential_shows_no_secret() -> None:
    given = {"AZURE_CLIENT_SECRET": CANARY, "AZURE_CLIENT_ID": GUID, "AZURE_TENANT_ID": GUID}
    credential = credential_for(CLOUD, None, given)
    assert CANARY not in repr(credential.identity) + str(credential.identity)
    assert GUID in str(credential.identity)


def test_the_emulators_credential_is_its_own_and_needs_no_variables(emulated_lab: Lab) -> None:
    token = credential_for(emulated_lab.environment, None, {}).get_token(emulated_lab.environment.token_scope)
    assert token.token


def test_an_emulator_without_its_file_is_named(tmp_path: Path, emulated_lab: Lab) -> None:
    elsewhere = emulated_lab.environment.model_copy(update={"emulator_folder": tmp_path})
    with pytest.raises(CredentialError, match=r"client\.json"):
        credential_for(elsewhere)


def test_a_wrong_secret_is_told_with_entras_code_and_the_remedy(emulated_lab: Lab) -> None:
    client = emulated_lab.client
    given = {
        "AZURE_CLIENT_SECRET": CANARY,
        "AZURE_CLIENT_ID": client["clientId"],
        "AZURE_TENANT_ID": client["tenantId"],
    }
    error = failure(credential_for(_as_custom(emulated_lab), None, given))
    assert isinstance(error, CredentialError)
    assert error.code == "AADSTS7000215"
    assert "client secret is wrong" in error.remedy
    assert client["clientId"] in str(error)
    assert "Trace ID" not in str(error)


def test_a_client_that_the_tenant_does_not_know_is_told(emulated_lab: Lab) -> None:
    given = {
        "AZURE_CLIENT_SECRET": CANARY,
        "AZURE_CLIENT_ID": GUID,
        "AZURE_TENANT_ID": emulated_lab.client["tenantId"],
    }
    error = failure(credential_for(_as_custom(emulated_lab), None, given))
    assert isinstance(error, CredentialError)
    assert error.code == "AADSTS700016"


def _as_custom(lab: Lab) -> AzureEnvironment:
    """Return the emulator as another cloud, for which the variables count."""
    return lab.environment.model_copy(update={"name": "custom"})


def certificate(password: bytes) -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    ) + signed.public_bytes(serialization.Encoding.PEM)
