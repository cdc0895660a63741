"""How agents prove who they are: the agents' own code against the emulator's services, over TLS."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from infra.emulator import agent_identity
from infra.emulator.agent import credential, kube, wire
from infra.emulator.agent.clock import Clock
from infra.emulator.agent.credential import Identity
from infra.emulator.agent.data_plane import DataPlane
from infra.emulator.agent.errors import FatalError, Refused
from infra.emulator.agent.identity_operator import IdentityOperator, parse_key
from infra.emulator.agent.settings import Settings, read_settings
from infra.emulator.clock import is_duration, seconds_of
from infra.emulator.faults import Fault
from infra.emulator.store import Resource
from tests.emulator.agents_side import CLUSTER, GROUP, SUBSCRIPTION, AgentsSide, KeyPair, key_pair, served


class Cluster(kube.Api):
    """Objects in memory, in place of a cluster's API."""

    def __init__(self) -> None:
        self.objects: dict[str, kube.Object] = {}

    def find(self, path: str) -> kube.Object | None:
        return self.objects.get(path)

    def apply(self, path: str, content: kube.Object) -> kube.Object:
        self.objects[path] = content
        return content


class Agents:
    """A cluster's agents, as far as identity goes."""

    def __init__(self, azure: AgentsSide, folder: Path, private_key: str) -> None:
        (folder / "namespace").write_text("azure-arc")
        self.cluster = Cluster()
        self.settings = settings(azure, folder)
        path = kube.secret_path("azure-arc", "azure-arc-connect-privatekey")
        self.cluster.objects[path] = kube.secret({"name": "k"}, {"privateKey": private_key})
        self.clock = Clock()
        self.wire = wire.Wire(wire.trust(azure.ca_file))
        self.operator = IdentityOperator(self.settings, self.cluster, self.wire, self.clock)
        self.service = DataPlane(self.settings, self.wire, self.clock, self.identity)

    def identity(self) -> Identity:
        return credential.load(self.cluster, "azure-arc")

    def heartbeat(self, **facts: Any) -> dict[str, Any]:
        return self.service.call("syncResources", {"properties": facts})


def settings(azure: AgentsSide, folder: Path) -> Settings:
    environment = {
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        "AZURE_RESOURCE_GROUP": GROUP.upper(),  # Azure doesn't mind the case
        "AZURE_RESOURCE_NAME": CLUSTER,
        "AZURE_ARC_AGENT_VERSION": "1.36.1",
        "CONFIG_DP_ENDPOINT": f"{azure.url}/dp",
        "HIS_ENDPOINT": f"{azure.url}/his/discovery?location=eastus&api-version=1.0-preview",
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    }
    return read_settings(environment, folder)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentsSide]:
    with served(tmp_path_factory.mktemp("azure")) as side:
        yield side


@pytest.fixture(scope="module")
def keys() -> KeyPair:
    return key_pair()


@pytest.fixture
def agents(azure: AgentsSide, keys: KeyPair, tmp_path: Path) -> Agents:
    """Agents of a cluster that was onboarded just now."""
    azure.store.delete(azure.onboard(keys.public()).id)
    azure.onboard(keys.public())
    return Agents(azure, tmp_path, keys.pem)


def test_who_holds_the_private_key_gets_a_certificate_for_90_days(agents: Agents, azure: AgentsSide) -> None:
    agents.operator.step()
    identity = agents.identity()
    life = identity.expires - azure.clock.now()
    assert timedelta(days=90) - timedelta(minutes=1) < life <= timedelta(days=90)
    assert identity.expires - identity.renew_after == timedelta(days=45)
    assert identity.client_id == "p-1"
    assert azure.connectivity() == "Connecting"
    assert (
        azure.cluster().properties["managedIdentityCertificateExpirationTime"][:19]
        == identity.expires.isoformat()[:19]
    )


def test_heartbeats_make_the_cluster_connected_and_show_what_it_is(agents: Agents, azure: AgentsSide) -> None:
    agents.operator.step()
    answer = agents.heartbeat(
        kubernetesVersion="1.34.4", totalNodeCount=3, totalCoreCount=12, agentVersion="1.36.1", offering="mine"
    )
    assert answer == {"nextInSeconds": 10, "publishesKeys": False, "hasKeys": False}
    properties = azure.cluster().properties
    assert azure.connectivity() == "Connected"
    assert (properties["kubernetesVersion"], properties["totalNodeCount"]) == ("1.34.4", 3)
    assert "offering" not in properties
    with pytest.raises(Refused, match=r"properties.totalNodeCount"):
        agents.heartbeat(totalNodeCount=-1)


def test_another_private_key_gets_none(azure: AgentsSide, keys: KeyPair, tmp_path: Path) -> None:
    azure.onboard(keys.public())
    stranger = Agents(azure, tmp_path, key_pair().pem)
    with pytest.raises(Refused, match=r"isn't of the key whose public half is local-a's") as caught:
        stranger.operator.step()
    assert caught.value.code == "SignatureMismatch"


def test_a_public_key_of_the_wrong_form_ends_the_operator(
    azure: AgentsSide, keys: KeyPair, tmp_path: Path
) -> None:
    azure.onboard(keys.public(serialization.PublicFormat.SubjectPublicKeyInfo))
    agents = Agents(azure, tmp_path, keys.pem)
    with pytest.raises(FatalError, match=r"PKCS#1 RSAPublicKey; that of local-a is a SubjectPublicKeyInfo"):
        agents.operator.step()
    azure.onboard("bm8ga2V5")
    with pytest.raises(FatalError, match="that of local-a is no public key"):
        agents.operator.step()


@pytest.mark.parametrize("instead", [" ", "\\n", ""])
def test_a_private_key_without_its_line_breaks_ends_the_operator_without_showing_it(
    keys: KeyPair, instead: str
) -> None:
    mangled = keys.pem.replace("\n", instead).encode()
    with pytest.raises(FatalError, match="failing to parse PEM block") as caught:
        parse_key(mangled)
    assert str(mangled[40:60], "ascii") not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_proof_counts_once(agents: Agents, azure: AgentsSide, keys: KeyPair) -> None:
    resource = agents.settings.cluster_id
    _, said = azure.ask("POST", f"/his/challenge?id={resource}", {})
    request = certificate_request()
    proof = credential.sign(keys.private, credential.proof(said["nonce"], request), salt=32)
    headers = {"Authorization": f"rsapss {base64.b64encode(proof).decode()}"}
    body = {"nonce": said["nonce"], "csr": base64.b64encode(request).decode()}
    path = f"/his/type/ConnectedClusters/identity?id={resource}"
    other = {**body, "csr": base64.b64encode(certificate_request()).decode()}
    assert azure.ask("POST", path, other, headers)[1]["error"]["code"] == "SignatureMismatch"
    assert azure.ask("POST", path, body, headers)[0] == 200
    status, refused = azure.ask("POST", path, body, headers)
    assert (status, refused["error"]["code"]) == (401, "InvalidNonce")


def test_a_challenge_is_for_minutes(agents: Agents, azure: AgentsSide, keys: KeyPair) -> None:
    resource = agents.settings.cluster_id
    _, said = azure.ask("POST", f"/his/challenge?id={resource}", {})
    azure.advance(timedelta(minutes=6))
    request = certificate_request()
    proof = credential.sign(keys.private, credential.proof(said["nonce"], request), salt=32)
    headers = {"Authorization": f"rsapss {base64.b64encode(proof).decode()}"}
    body = {"nonce": said["nonce"], "csr": base64.b64encode(request).decode()}
    _, refused = azure.ask("POST", f"/his/type/ConnectedClusters/identity?id={resource}", body, headers)
    assert refused["error"]["code"] == "InvalidNonce"


def prove(azure: AgentsSide, cluster_id: str, keys: KeyPair, *, of: str = "", until: str = "") -> tuple[int, Any]:
    """Ask for a certificate, by a nonce that may be another cluster's, or say that it holds longer."""
    nonce = azure.ask("POST", f"/his/challenge?id={of or cluster_id}", {})[1]["nonce"]
    nonce = until + nonce[nonce.index(".") :] if until else nonce
    request = certificate_request()
    proof = credential.sign(keys.private, credential.proof(nonce, request), salt=32)
    headers = {"Authorization": f"rsapss {base64.b64encode(proof).decode()}"}
    body = {"nonce": nonce, "csr": base64.b64encode(request).decode()}
    return azure.ask("POST", f"/his/type/ConnectedClusters/identity?id={cluster_id}", body, headers)


def test_challenges_leave_nothing_behind(agents: Agents, azure: AgentsSide) -> None:
    cluster = azure.cluster()
    first = azure.ask("POST", f"/his/challenge?id={cluster.id}", {})[1]["nonce"]
    nonces = {azure.ask("POST", f"/his/challenge?id={cluster.id}", {})[1]["nonce"] for _ in range(50)}
    assert len(nonces | {first}) == 51
    assert [kind for kind in ("nonce", "usedNonce") if azure.store.records(cluster.id, kind)] == []


def test_a_challenge_is_ours_and_one_clusters(agents: Agents, azure: AgentsSide, keys: KeyPair) -> None:
    cluster = azure.cluster()
    other = azure.store.put(Resource(cluster.id.replace(CLUSTER, "other"), cluster.type, cluster.body))
    assert prove(azure, cluster.id, keys, of=other.id)[1]["error"]["code"] == "InvalidNonce"
    for until in ("99999999999", "soon"):
        assert prove(azure, cluster.id, keys, until=until)[1]["error"]["code"] == "InvalidNonce"
    assert prove(azure, cluster.id.upper(), keys, of=cluster.id)[0] == 200  # Azure doesn't mind the case
    headers = {"Authorization": "rsapss AAAA"}
    for nonce in ("", ".", "ü", "\ud800", "1.2.3"):
        body = {"nonce": nonce, "csr": ""}
        path = f"/his/type/ConnectedClusters/identity?id={cluster.id}"
        assert azure.ask("POST", path, body, headers)[0] in (400, 401)


def test_who_holds_the_key_gets_certificates_but_not_without_end(
    agents: Agents, azure: AgentsSide, keys: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_identity, "_MOST_USED", 4)
    monkeypatch.setattr(agent_identity, "_MOST_CERTIFICATES", 3)
    cluster = azure.cluster()
    assert [prove(azure, cluster.id, keys)[0] for _ in range(5)] == [200, 200, 200, 200, 429]
    assert len(azure.store.records(cluster.id, "certificate")) == 3
    azure.advance(timedelta(minutes=6))
    assert prove(azure, cluster.id, keys)[0] == 200
    assert len(azure.store.records(cluster.id, "usedNonce")) == 1
    azure.advance(timedelta(days=60))
    azure.onboard(keys.public())
    azure.advance(timedelta(days=40))
    assert prove(azure, cluster.id, keys)[0] == 200
    assert len(azure.store.records(cluster.id, "certificate")) == 1  # those that have ended are forgotten


def test_a_certificate_is_renewed_from_day_46_and_not_before(agents: Agents, azure: AgentsSide) -> None:
    agents.operator.step()
    first = agents.identity()
    azure.advance(timedelta(days=44))
    agents.operator.step()
    assert agents.identity() == first
    azure.advance(timedelta(days=2))
    agents.operator.step()
    assert agents.identity().expires > first.expires + timedelta(days=45)
    agents.heartbeat()
    assert azure.connectivity() == "Connected"


def test_time_that_is_set_ahead_costs_one_refused_call_at_most(agents: Agents, azure: AgentsSide) -> None:
    agents.operator.step()
    agents.heartbeat()
    azure.advance(timedelta(hours=3))
    assert azure.connectivity() == "Offline"
    agents.heartbeat()
    assert azure.connectivity() == "Connected"


def test_after_90_days_nothing_is_taken_and_nothing_renewed(agents: Agents, azure: AgentsSide) -> None:
    agents.operator.step()
    agents.heartbeat()
    azure.advance(timedelta(days=91))
    assert azure.connectivity() == "Expired"
    for attempt in (agents.heartbeat, agents.operator.step):
        with pytest.raises(Refused, match="delete the connected cluster and connect it again") as caught:
            attempt()
        assert caught.value.code == "CertificateExpired"


def test_a_cluster_that_was_deleted_and_connected_again_gives_a_new_certificate(
    azure: AgentsSide, keys: KeyPair, tmp_path: Path
) -> None:
    azure.onboard(keys.public())
    agents = Agents(azure, tmp_path, keys.pem)
    agents.operator.step()
    before = agents.identity()
    azure.store.delete(azure.cluster().id)
    with pytest.raises(Refused, match="There is no connected cluster"):
        agents.heartbeat()
    new = key_pair()
    azure.onboard(new.public())
    with pytest.raises(Refused, match="The certificate wasn't issued to local-a"):
        agents.heartbeat()
    path = kube.secret_path("azure-arc", "azure-arc-connect-privatekey")
    agents.cluster.objects[path] = kube.secret({"name": "k"}, {"privateKey": new.pem})
    agents.operator.step()
    assert agents.identity() != before
    agents.heartbeat()


def test_a_token_holds_for_its_cluster_its_service_and_its_minutes(agents: Agents, azure: AgentsSide) -> None:
    agents.operator.step()
    identity, now = agents.identity(), azure.clock.now()
    audience = f"{azure.url}/dp"
    assert ask(azure, credential.token(identity, audience, now))[0] == 200
    assert code(azure, credential.token(identity, "https://else.example/dp", now)) == "InvalidToken"
    assert code(azure, credential.token(identity, audience, now - timedelta(minutes=7))) == "TokenExpired"
    assert code(azure, credential.token(identity, audience, now + timedelta(minutes=7))) == "TokenExpired"
    assert code(azure, "a.b.c") == "InvalidToken"
    assert azure.ask("POST", PATH, {})[1]["error"]["code"] == "AuthenticationFailed"
    # Its key is another one's: what the certificate says counts, not who shows it.
    stolen = pem_key(key_pair()) + identity.pem[identity.pem.find(b"-----BEGIN CERT") :]
    thief = Identity(stolen, identity.client_id, identity.expires, identity.renew_after)
    assert code(azure, credential.token(thief, audience, now)) == "InvalidToken"
    home_made = Identity(self_signed(key_pair()), identity.client_id, identity.expires, identity.renew_after)
    assert code(azure, credential.token(home_made, audience, now)) == "InvalidCertificate"


def test_another_clusters_certificate_is_refused(agents: Agents, azure: AgentsSide) -> None:
    agents.operator.step()
    token = credential.token(agents.identity(), f"{azure.url}/dp", azure.clock.now())
    found = azure.cluster()
    azure.store.put(Resource(found.id.replace(CLUSTER, "other"), found.type, found.body))
    status, said = azure.ask("POST", PATH.replace(CLUSTER, "other"), {}, {"Authorization": f"Bearer {token}"})
    assert (status, said["error"]["code"]) == (401, "InvalidCertificate")


def test_a_dropped_heartbeat_is_not_taken_as_often_as_was_asked(agents: Agents, azure: AgentsSide) -> None:
    agents.operator.step()
    azure.faults.plant(Fault(kind="dropHeartbeats", count=2))
    for _ in range(2):
        with pytest.raises(Refused, match="asked to drop heartbeats"):
            agents.heartbeat()
    assert azure.connectivity() == "Connecting"
    agents.heartbeat()
    assert azure.connectivity() == "Connected"


@pytest.mark.parametrize(
    ("duration", "seconds", "is_one"),
    [
        ("PT30M", 1800, True),
        ("P1DT2H", 93600, True),
        ("PT45S", 45, True),
        ("P", 1800, False),
        ("soon", 1800, False),
        ("P999999999D", 999999999 * 86400, True),
        ("P9999999999D", 1800, False),
        (f"P{'9' * 5000}D", 1800, False),
    ],
)
def test_durations(duration: str, seconds: int, is_one: bool) -> None:
    assert (seconds_of(duration), is_duration(duration)) == (seconds, is_one)


PATH = (
    f"/dp/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/provider/connectedclusters/clusters/{CLUSTER}"
    "/getExtensionUpdateConfigs"
)


def ask(azure: AgentsSide, token: str) -> tuple[int, Any]:
    return azure.ask("POST", PATH, {}, {"Authorization": f"Bearer {token}"})


def code(azure: AgentsSide, token: str) -> str:
    status, said = ask(azure, token)
    assert status == 401
    return str(said["error"]["code"])


def certificate_request() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def pem_key(keys: KeyPair) -> bytes:
    return keys.pem.encode()


def self_signed(keys: KeyPair) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "p-1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(keys.private.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(keys.private, hashes.SHA256())
    )
    return pem_key(keys) + made.public_bytes(serialization.Encoding.PEM)
