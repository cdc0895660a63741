"""The TokenIssuer kind: API servers name the issuer that Azure publishes, one control plane after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from infra.kubernetes import token_issuers
from infra.kubernetes.api import ClusterApi, ClusterError
from infra.kubernetes.certificates import at_server
from infra.kubernetes.readiness import READY, Progress, waiting
from infra.kubernetes.waiting import wait_until_ready
from infra.kvm.errors import HostError
from infra.plugin.operation import Operation
from infra.provider.kind import Kind, Made
from infra.provider.kinds.cluster_base import logged_in
from infra.resources.contract import Fault
from infra.resources.token_issuer import TOKEN_ISSUER, TokenIssuerInputs, TokenIssuerState
from infra.ssh import Shell, ShellError

_MANIFEST: Final = "/etc/kubernetes/manifests/kube-apiserver.yaml"
# kubelet sees a manifest whole or not at all: it is written beside the folder, in the same file system.
_NEW: Final = "/etc/kubernetes/kube-apiserver.yaml.azlocal"
_WRITE: Final = 'umask 077; cat > "$1"; mv "$1" "$2"'
_BACK_SECONDS: Final = 300.0
_PAUSE: Final = 0.5
_DISCOVERY: Final = "/.well-known/openid-configuration"


class TokenIssuerKind(Kind[TokenIssuerInputs, TokenIssuerState]):
    """The issuer that a cluster's API servers name."""

    contract = TOKEN_ISSUER

    def check(self, inputs: dict[str, Any], unknown: frozenset[str]) -> list[Fault]:
        """Refuse a cluster whose tokens Entra doesn't take: one that was founded with an elliptic curve's key."""
        key = inputs.get("signingKey")
        if "signingKey" in unknown or not isinstance(key, str) or not key or _is_rsa(key):
            return []
        return [
            Fault(
                "signingKey",
                f"cluster {inputs.get('cluster')} signs tokens of service accounts with an elliptic curve's key, "
                "and Microsoft Entra takes RSA's alone (workload-identity-key): remove oidcIssuerProfile and "
                "securityProfile.workloadIdentity; or found a new cluster, which signs with RSA",
            )
        ]

    def create(self, op: Operation, inputs: TokenIssuerInputs) -> Made[TokenIssuerState]:
        """Have API servers name the issuer; those that do are left alone."""
        return self.made(self._named(op, inputs))

    def read(self, op: Operation, id: str, old: TokenIssuerState | None) -> TokenIssuerState | None:
        """Return which issuer the API server names; one that is down tells nothing."""
        if old is None:
            return None
        try:
            named = str(ClusterApi(old.kubeconfig).get(_DISCOVERY).get("issuer"))
        except ClusterError:
            return old
        return old.model_copy(update={"issuer_url": named})

    def update(self, op: Operation, id: str, old: TokenIssuerState, inputs: TokenIssuerInputs) -> TokenIssuerState:
        """Have API servers name the issuer as it is now, those of new machines, too."""
        return self._named(op, inputs)

    def delete(self, op: Operation, id: str, old: TokenIssuerState) -> None:
        """Have API servers name kubeadm's issuer again; tokens that are out stay valid.

        Raises:
            HostError: A control plane can't be changed.
        """
        _change(op, old, token_issuers.OWN)

    def _named(self, op: Operation, inputs: TokenIssuerInputs) -> TokenIssuerState:
        if not inputs.issuer_url:
            raise HostError(
                f"Azure has published no issuer for cluster {inputs.cluster}: oidcIssuerProfile.issuerUrl of the "
                "connected cluster is empty. See `az connectedk8s show`; the next `pulumi up` goes on"
            )
        taken = _change(op, inputs, inputs.issuer_url)
        return TokenIssuerState(**inputs.model_dump(), accepted=list(taken))


def _change(op: Operation, inputs: TokenIssuerInputs, first: str) -> Sequence[str]:
    """Have all API servers of a cluster name an issuer; return whose tokens they take.

    Raises:
        HostError: A control plane can't be changed; those before it are done.
    """
    api = ClusterApi(inputs.kubeconfig)
    taken = token_issuers.accepted(first, token_issuers.known_to_kubeadm(api))
    # First for those that join meanwhile.
    token_issuers.tell_kubeadm(api, taken)
    for member in inputs.members:
        op.check_cancelled()
        try:
            with logged_in(member, inputs.identity_files) as shell:
                before = shell.run(["sudo", "cat", _MANIFEST]).stdout
                wanted = token_issuers.with_issuers(before, taken)
                if wanted == before:
                    continue
                op.status(f"{member.name} is to name {first} in tokens of service accounts")
                _write(shell, wanted)
                missing = _waited(op, ClusterApi(at_server(inputs.kubeconfig, member.address)), member.name, first)
                if missing:
                    _write(shell, before)
        except (ShellError, ValueError) as error:
            raise HostError(
                f"{member.name} can't be told which issuer its tokens name: {error}. See that it runs, and that "
                "`ssh` logs in there; the next `pulumi up` goes on"
            ) from error
        if missing:
            raise HostError(
                f"the API server of {member.name} doesn't come back with another issuer: {missing}. Its manifest "
                "is as it was; the other control planes are left as they are"
            )
        op.info(f"{member.name} names {first} in tokens of service accounts")
    # What comes next asks at the cluster's address, which may be on its way to a control plane.
    missing = _waited(op, api, inputs.cluster, first)
    if missing:
        raise HostError(
            f"the control planes of {inputs.cluster} name {first}, and its address doesn't answer: {missing}"
        )
    return taken


def _write(shell: Shell, manifest: str) -> None:
    shell.run(["sudo", "sh", "-euc", _WRITE, "write-manifest", _NEW, _MANIFEST], input=manifest.encode())


def _waited(op: Operation, api: ClusterApi, name: str, issuer: str) -> str:
    """Wait until an API server names an issuer; return what is missing at the end."""

    def look() -> Progress:
        try:
            named = api.get(_DISCOVERY).get("issuer")
            api.text("/readyz")
        except ClusterError as error:
            return waiting(str(error))
        return READY if named == issuer else waiting(f"it names {named}")

    progress = wait_until_ready(
        look, op.work().with_own_limit(_BACK_SECONDS), _PAUSE, f"waiting for the API server of {name}:"
    )
    return "" if progress.ready else progress.waiting_for


def _is_rsa(pem: str) -> bool:
    try:
        return isinstance(load_pem_public_key(pem.encode()), RSAPublicKey)
    except ValueError:
        return False
