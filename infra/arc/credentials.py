"""Who we are towards Azure, without ever asking anybody: a service principal of the environment, or `az login`.

Which credential is taken is decided by what is there, once, and said in every error: a chain that tries all ends
in a list of failures of which one matters.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.arc.environment import AzureEnvironment
from infra.arc.errors import TRUST_REMEDY, UNTRUSTED, AzureUnreachable, CredentialError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo

CLIENT_FILE: Final = "client.json"

_TENANT, _CLIENT = "AZURE_TENANT_ID", "AZURE_CLIENT_ID"
_SECRET: Final = "AZURE_CLIENT_SECRET"  # noqa: S105 - the variable's name
_CERTIFICATE, _PASSWORD = "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_CLIENT_CERTIFICATE_PASSWORD"
_FEDERATED: Final = "AZURE_FEDERATED_TOKEN_FILE"
_CODE: Final = re.compile(r"AADSTS\d+")
_LONGEST: Final = 600
_NONE: Final = (
    f"log in with `az login`, or set {_TENANT}, {_CLIENT} and one of {_SECRET}, {_CERTIFICATE}, {_FEDERATED}"
)
_REMEDIES: Final[Mapping[str, str]] = {
    "AADSTS7000215": "the client secret is wrong: use its value, not its id, or make a new one",
    "AADSTS7000222": "the client secret has expired: make a new one",
    "AADSTS700016": "the tenant knows no such application: check the client id and the tenant",
    "AADSTS90002": "there is no such tenant: check its id, and the cloud",
    "AADSTS900023": "that is no tenant's id: check it",
    "AADSTS700027": "Entra doesn't know that certificate: upload its public half to the application",
    "AADSTS700024": "the federated token isn't valid now: check this machine's clock and the token's age",
    "AADSTS70021": "no federated credential of the application matches the token's issuer and subject",
    "AADSTS700213": "no federated credential of the application matches the token's issuer and subject",
    "AADSTS7000112": "the application is disabled: enable it, or use another one",
    "AADSTS53003": "a conditional access policy forbids it from here",
    "AADSTS50173": "the login is no longer valid: `az login` again",
    "AADSTS700082": "the login has expired: `az login` again",
    "AADSTS50076": "the login needs a second factor again: `az login`",
}


@dataclass(frozen=True)
class Identity:
    """What credential there is.

    Attributes:
        kind: For messages.
        where: Where it comes from.
        secrets: What no message may repeat.
    """

    kind: str
    where: str
    tenant_id: str = ""
    client_id: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        who = f" {self.client_id} of tenant {self.tenant_id}" if self.client_id else ""
        return f"{self.kind}{who} ({self.where})"


class Credential:
    """A credential of azure-identity's whose failures a user can read. Thread-safe."""

    def __init__(self, identity: Identity, source: Any) -> None:
        self.identity = identity
        self._source = source

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token.

        Raises:
            CredentialError: Entra gives none; never repeats a secret.
            AzureUnreachable: It doesn't answer.
        """
        token: AccessToken = self._answered(lambda: self._source.get_token(*scopes, **options))
        return token

    def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        """Return a token with what is known of it.

        Raises:
            CredentialError, AzureUnreachable: As `get_token`.
        """
        token: AccessTokenInfo = self._answered(lambda: self._source.get_token_info(*scopes, options=options))
        return token

    def _answered(self, ask: Any) -> Any:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            return ask()
        except ClientAuthenticationError as error:
            message = str(error.message or error)
            if _is_unreachable(error):
                raise _unanswered(self.identity, message) from None
            raise _refused(self.identity, message) from None
        except AzureError as error:
            raise _unanswered(self.identity, str(error)) from None
        except ValueError as error:  # of certificates and their passwords
            raise CredentialError(
                "credential", f"no token for {self.identity}: {_clean(self.identity, str(error))}"
            ) from None


def credential_for(
    environment: AzureEnvironment, tenant_id: str | None = None, variables: Mapping[str, str] = os.environ
) -> Credential:
    """Return the credential for a cloud: the emulator's own, the environment variables', or `az login`'s.

    Nobody is asked and nothing is sent; `get_token` does that.

    Args:
        environment: The cloud.
        tenant_id: The subscription's tenant, where the credential's isn't meant.
        variables: Where AZURE_CLIENT_ID and the others stand.

    Raises:
        CredentialError: There is none, or only half of one.
    """
    if environment.is_emulator:
        return _of_emulator(environment)
    named = [name for name in (_FEDERATED, _SECRET, _CERTIFICATE) if variables.get(name)]
    if not named:
        return _of_cli(tenant_id, has_half=bool(variables.get(_CLIENT)))
    tenant = tenant_id or variables.get(_TENANT, "")
    missing = [name for name, value in ((_TENANT, tenant), (_CLIENT, variables.get(_CLIENT))) if not value]
    if missing:
        raise CredentialError(
            "credential-incomplete",
            f"{named[0]} is set, but {' and '.join(missing)} isn't",
            f"set {missing[0]}, too",
        )
    return _of_variables(environment, named[0], tenant, variables)


def _of_variables(
    environment: AzureEnvironment, name: str, tenant: str, variables: Mapping[str, str]
) -> Credential:
    from azure.identity import CertificateCredential, ClientSecretCredential, WorkloadIdentityCredential

    client, settings = variables[_CLIENT], _settings(environment)
    if name == _SECRET:
        identity = Identity("the client secret", name, tenant, client, (variables[name],))
        return Credential(identity, ClientSecretCredential(tenant, client, variables[name], **settings))
    path = variables[name]
    if not Path(path).is_file():
        raise CredentialError("credential-file", f"{name} names {path}, and there is no such file")
    if name == _FEDERATED:
        identity = Identity("the workload identity", f"{name}={path}", tenant, client)
        federated = WorkloadIdentityCredential(
            tenant_id=tenant, client_id=client, token_file_path=path, **settings
        )
        return Credential(identity, federated)
    password = variables.get(_PASSWORD)
    identity = Identity(
        "the client certificate", f"{name}={path}", tenant, client, (password,) if password else ()
    )
    try:
        source = CertificateCredential(tenant, client, path, password=password, **settings)
    except ValueError as error:
        reason = _clean(identity, str(error))
        raise CredentialError("credential-file", f"{identity} can't be read: {reason}") from None
    return Credential(identity, source)


def _of_cli(tenant_id: str | None, *, has_half: bool) -> Credential:
    from azure.identity import AzureCliCredential

    where = f"no {_SECRET}, {_CERTIFICATE} or {_FEDERATED} goes with {_CLIENT}" if has_half else "`az login`"
    return Credential(Identity("the Azure CLI's login", where), AzureCliCredential(tenant_id=tenant_id or ""))


def _of_emulator(environment: AzureEnvironment) -> Credential:
    from azure.identity import ClientSecretCredential

    path = (environment.emulator_folder or Path()) / CLIENT_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tenant, client, secret = (str(content[key]) for key in ("tenantId", "clientId", "clientSecret"))
    except (OSError, ValueError, KeyError) as error:
        raise CredentialError(
            "credential-file",
            f"the emulator's credential {path} can't be read ({type(error).__name__})",
            "`azlocal emulator start` makes it",
        ) from None
    identity = Identity("the emulator's client secret", str(path), tenant, client, (secret,))
    return Credential(identity, ClientSecretCredential(tenant, client, secret, **_settings(environment)))


def _settings(environment: AzureEnvironment) -> dict[str, Any]:
    settings: dict[str, Any] = {"authority": environment.authority}
    if not environment.is_public:
        # Only Microsoft's own authorities can be looked up at login.microsoftonline.com.
        settings["disable_instance_discovery"] = True
    if environment.ca_file is not None:
        settings["connection_verify"] = str(environment.ca_file)
    return settings


def _refused(identity: Identity, message: str) -> CredentialError:
    match = _CODE.search(message)
    code = match.group() if match else ""
    remedy = _REMEDIES.get(code) or _NONE
    return CredentialError(
        "credential-refused" if code else "credential-missing",
        f"no token for {identity}: {_clean(identity, message)}",
        remedy,
        code,
    )


def _is_unreachable(error: BaseException | None) -> bool:
    """Return whether a failure goes back to a connection: azure-identity makes refusals of those, too."""
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    while error is not None:
        if isinstance(error, (ServiceRequestError, ServiceResponseError)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _unanswered(identity: Identity, message: str) -> AzureUnreachable:
    if UNTRUSTED in message:
        return AzureUnreachable(
            "entra-untrusted",
            f"no token for {identity}: nobody whom this machine trusts vouches for Entra's certificate: "
            f"{_clean(identity, message)}",
            TRUST_REMEDY,
        )
    return AzureUnreachable(
        "entra-unreachable",
        f"no token for {identity}: Entra doesn't answer: {_clean(identity, message)}",
        "check DNS, firewall and proxy (HTTPS_PROXY) of this machine",
    )


def _clean(identity: Identity, message: str) -> str:
    """Return a message on one line, without what follows the reason (trace ids, links) and without secrets."""
    for secret in identity.secrets:
        message = message.replace(secret, "[secret]")
    text = " ".join(message.split()).partition(" Trace ID:")[0].partition(" To mitigate this issue")[0]
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
