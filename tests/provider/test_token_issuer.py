"""API servers are told one after the other which issuer Azure publishes; one that fails is put back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.kubernetes import token_issuers
from infra.kubernetes.api import ClusterUnreachable
from infra.kubernetes.token_issuers import OWN, issuers_of
from infra.kvm.errors import HostError
from infra.provider.kinds import all_kinds, token_issuer
from infra.provider.kinds.token_issuer import TokenIssuerKind
from infra.resources.control_plane import Member
from infra.resources.token_issuer import TOKEN_ISSUER, TokenIssuerInputs, TokenIssuerState
from infra.ssh import CommandResult, ShellError
from tests.kubernetes.test_token_issuers import AZURE, LATER, manifest
from tests.provider.conftest import MemoryLog
from tests.provider.test_certificate_renewal import KUBECONFIG, MEMBERS, PKI
from tests.provider.test_kinds import operation

PLANES = [member for member in MEMBERS if member["role"] == "controlPlane"]
WIRE: dict[str, Any] = {
    "instance": "lab",
    "cluster": "a",
    "kubeconfig": KUBECONFIG,
    "identityFiles": [],
    "members": PLANES,
    "signingKey": PKI.files["sa.pub"],
    "issuerUrl": AZURE,
}


@dataclass
class Cluster:
    """Three control planes, kubeadm's settings, and who doesn't come back."""

    manifests: dict[str, str] = field(default_factory=lambda: {one["name"]: manifest() for one in PLANES})
    settings: tuple[str, ...] = ()
    written: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)

    @contextmanager
    def login(self, member: Member, files: Any) -> Iterator[Any]:
        yield _Shell(self, member.name)

    def named(self) -> dict[str, tuple[str, ...]]:
        return {name: issuers_of(text) for name, text in self.manifests.items()}


@dataclass
class _Shell:
    cluster: Cluster
    name: str

    def run(self, argv: Sequence[str], *, input: bytes | None = None) -> CommandResult:
        if self.name in self.cluster.gone:
            raise ShellError("No route to host")
        if argv[:2] == ["sudo", "cat"]:
            return CommandResult(tuple(argv), 0, self.cluster.manifests[self.name], "")
        assert argv[:3] == ["sudo", "sh", "-euc"]
        assert argv[-1] == "/etc/kubernetes/manifests/kube-apiserver.yaml"
        assert not argv[-2].startswith("/etc/kubernetes/manifests"), "kubelet would run both"
        assert input is not None
        self.cluster.written.append(self.name)
        self.cluster.manifests[self.name] = input.decode()
        return CommandResult(tuple(argv), 0, "", "")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()

    class Api:
        def __init__(self, server: str) -> None:
            self.server = server

        def get(self, path: str) -> dict[str, str]:
            name = next(name for name in made.manifests if name in (self.server, "lab-a-cp-0"))
            if self.server in made.broken and issuers_of(made.manifests[self.server])[0] != OWN:
                raise ClusterUnreachable("nobody answers")
            return {
                "issuer": issuers_of(made.manifests[self.server if self.server in made.manifests else name])[0]
            }

        def text(self, path: str) -> str:
            return "ok"

    names = {one["address"]: one["name"] for one in PLANES}
    monkeypatch.setattr(token_issuer, "ClusterApi", Api)
    monkeypatch.setattr(token_issuer, "at_server", lambda _, address: names[address])
    monkeypatch.setattr(token_issuer, "logged_in", made.login)
    monkeypatch.setattr(token_issuer, "_BACK_SECONDS", 0.05)
    monkeypatch.setattr(token_issuer, "_PAUSE", 0.01)
    monkeypatch.setattr(token_issuers, "known_to_kubeadm", lambda _: made.settings)

    def tell(api: Api, issuers: Sequence[str]) -> None:
        assert not made.written, "those that join meanwhile are told first"
        made.settings = tuple(issuers)

    monkeypatch.setattr(token_issuers, "tell_kubeadm", tell)
    return made


def inputs(**other: Any) -> TokenIssuerInputs:
    return TokenIssuerInputs.model_validate(WIRE | other)


def state(cluster: Cluster, **other: Any) -> TokenIssuerState:
    return TokenIssuerState.model_validate(WIRE | {"accepted": list(cluster.settings), **other})


def test_each_api_server_names_azures_issuer_and_takes_its_old_tokens(cluster: Cluster) -> None:
    log = MemoryLog()
    made = TokenIssuerKind().create(operation("TokenIssuer", log), inputs())
    assert made.state.accepted == [AZURE, OWN]
    assert cluster.named() == dict.fromkeys(cluster.manifests, (AZURE, OWN))
    assert cluster.written == sorted(cluster.manifests)
    assert cluster.settings == (AZURE, OWN)
    assert [text for level, text in log.lines if level == "info"] == [
        f"{one['name']} names {AZURE} in tokens of service accounts" for one in PLANES
    ]


def test_a_second_run_restarts_nothing_and_a_new_control_plane_is_told(cluster: Cluster) -> None:
    made = TokenIssuerKind().create(operation(), inputs())
    cluster.written.clear()
    assert TokenIssuerKind().update(operation(), made.id, made.state, inputs()) == made.state
    assert cluster.written == []
    cluster.manifests["lab-a-cp-1"] = manifest()
    TokenIssuerKind().update(operation(), made.id, made.state, inputs())
    assert cluster.written == ["lab-a-cp-1"]


def test_one_that_doesnt_come_back_is_put_back_and_the_others_are_left(cluster: Cluster) -> None:
    cluster.broken = {"lab-a-cp-1"}
    with pytest.raises(HostError, match=r"lab-a-cp-1 doesn't come back .* Its manifest is as it was"):
        TokenIssuerKind().create(operation(), inputs())
    assert cluster.named() == {"lab-a-cp-0": (AZURE, OWN), "lab-a-cp-1": (OWN,), "lab-a-cp-2": (OWN,)}
    cluster.broken.clear()
    cluster.written.clear()
    TokenIssuerKind().create(operation(), inputs())
    assert cluster.written == ["lab-a-cp-1", "lab-a-cp-2"]


def test_a_machine_that_cant_be_logged_in_to_is_named(cluster: Cluster) -> None:
    cluster.gone = {"lab-a-cp-0"}
    with pytest.raises(HostError, match=r"lab-a-cp-0 can't be told .* No route to host"):
        TokenIssuerKind().create(operation(), inputs())
    assert cluster.written == []


def test_an_issuer_that_azure_doesnt_publish_is_said(cluster: Cluster) -> None:
    with pytest.raises(HostError, match=r"published no issuer for cluster a: oidcIssuerProfile.issuerUrl"):
        TokenIssuerKind().create(operation(), inputs(issuerUrl=None))
    assert cluster.written == []


def test_another_connection_has_another_issuer_and_tokens_of_the_last_are_taken(cluster: Cluster) -> None:
    made = TokenIssuerKind().create(operation(), inputs())
    cluster.written.clear()
    moved = TokenIssuerKind().update(operation(), made.id, made.state, inputs(issuerUrl=LATER))
    assert moved.accepted == [LATER, AZURE, OWN]
    assert cluster.named() == dict.fromkeys(cluster.manifests, (LATER, AZURE, OWN))


def test_taken_away_kubeadms_issuer_is_named_again(cluster: Cluster) -> None:
    made = TokenIssuerKind().create(operation(), inputs())
    cluster.written.clear()
    TokenIssuerKind().delete(operation(), made.id, made.state)
    assert cluster.named() == dict.fromkeys(cluster.manifests, (OWN, AZURE))


def test_a_refresh_shows_an_issuer_that_somebody_else_set(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = TokenIssuerKind().create(operation(), inputs())
    assert TokenIssuerKind().read(operation(), made.id, made.state) == made.state
    cluster.manifests["lab-a-cp-0"] = manifest()
    read = TokenIssuerKind().read(operation(), made.id, made.state)
    assert read is not None
    assert read.issuer_url == OWN


def test_a_cluster_that_signs_with_an_elliptic_curve_is_refused_in_preview() -> None:
    kind = all_kinds()[TOKEN_ISSUER.token]
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = curve.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    assert kind.check(dict(WIRE), frozenset()) == []
    assert kind.check(WIRE | {"signingKey": "?"}, frozenset({"signingKey"})) == []
    assert kind.check(WIRE | {"signingKey": ""}, frozenset()) == [], "it is not known"
    (fault,) = kind.check(WIRE | {"signingKey": pem}, frozenset())
    assert "workload-identity-key" in fault.reason
    assert pem.splitlines()[1] not in fault.reason
