"""Upstream's protocol, as its client calls it: over TLS, with certificates on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from infra.errors import UserError
from infra.model.run import PoolSizes
from infra.stack.autoscale import Autoscaler
from infra.stack.command import Signals
from infra.stack.external_grpc import loop
from infra.stack.external_grpc.certificates import ensure
from infra.stack.external_grpc.groups import Groups
from infra.stack.external_grpc.loop import Served
from infra.stack.external_grpc.protocol import CREATING, DELETING, MESSAGES, RUNNING, SERVICE
from infra.stack.external_grpc.service import Service, start
from infra.stack.state import Stack
from tests.external_grpc import Client, channel_to
from tests.instances import cluster, files, write_files
from tests.lifecycle.scaling.clusters import pool

ID = "a/pool1"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("autoscaler")
    ensure(folder, "127.0.0.1")
    return folder


@pytest.fixture
def groups() -> Groups:
    """Pools of one to three nodes, of which two stand."""
    made = Groups("lab", "a")
    made.renew([pool(size=2)])
    return made


@pytest.fixture
def port(groups: Groups, certificates: Path) -> Iterator[int]:
    server, bound = start(Service(groups), "127.0.0.1:0", certificates)
    yield bound
    server.stop(0).wait()


@pytest.fixture
def client(port: int, certificates: Path) -> Iterator[Client]:
    with channel_to(port, certificates) as channel:
        yield Client(channel)


def test_pools_are_node_groups_with_their_bounds(client: Client) -> None:
    (group,) = client("NodeGroups").nodeGroups
    assert (group.id, group.minSize, group.maxSize) == (ID, 1, 3)
    assert client("NodeGroupForNode", node={"name": "pool1-1"}).nodeGroup.id == ID
    assert client("NodeGroupForNode", node={"name": "a-cp-0"}).nodeGroup.id == ""
    assert client("NodeGroupTargetSize", id=ID).targetSize == 2
    assert client("NodeGroupTargetSize", id="a/other").code is grpc.StatusCode.NOT_FOUND
    assert client("GPULabel").label
    for method in ("GetAvailableGPUTypes", "Refresh", "Cleanup"):
        assert client(method) == MESSAGES[f"{method}Response"]()


def test_a_pool_that_grows_has_its_target_at_once_and_the_node_later(client: Client, groups: Groups) -> None:
    client("NodeGroupIncreaseSize", id=ID, delta=1)
    assert client("NodeGroupTargetSize", id=ID).targetSize == 3
    ids = [f"azlocal://lab/pool1-{number}" for number in range(3)]
    assert client.nodes(ID) == dict(zip(ids, (RUNNING, RUNNING, CREATING), strict=True))
    assert groups.changes() == {"pool1": 3}
    groups.renew([pool(size=3)])
    assert groups.changes() == {}
    assert set(client.nodes(ID).values()) == {RUNNING}
    refused = client("NodeGroupIncreaseSize", id=ID, delta=1)
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.text == "pool pool1 can't grow by 1 to 4: its maxCount is 3"


def test_only_the_highest_number_can_go(client: Client, groups: Groups) -> None:
    refused = client("NodeGroupDeleteNodes", id=ID, nodes=[{"name": "pool1-0"}])
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "only the highest numbers can (pool1-1)" in refused.text
    client("NodeGroupDeleteNodes", id=ID, nodes=[{"name": "pool1-1"}])
    assert [*client.nodes(ID).values()] == [RUNNING, DELETING]
    assert groups.changes() == {"pool1": 1}
    assert "its minCount is 1" in client("NodeGroupDeleteNodes", id=ID, nodes=[{"name": "pool1-0"}]).text


def test_only_nodes_that_do_not_stand_are_given_up(client: Client, groups: Groups) -> None:
    assert client("NodeGroupDecreaseTargetSize", id=ID, delta=-1).code is grpc.StatusCode.FAILED_PRECONDITION
    client("NodeGroupIncreaseSize", id=ID, delta=1)
    client("NodeGroupDecreaseTargetSize", id=ID, delta=-1)
    assert client("NodeGroupTargetSize", id=ID).targetSize == 2
    groups.renew([pool(size=2)])
    assert groups.changes() == {}


def test_what_did_not_come_is_given_up(client: Client, groups: Groups) -> None:
    client("NodeGroupIncreaseSize", id=ID, delta=1)
    groups.renew([pool(size=2)], forget=True)
    assert client("NodeGroupTargetSize", id=ID).targetSize == 2


@pytest.mark.parametrize(
    "method", ["PricingNodePrice", "PricingPodPrice", "NodeGroupTemplateNodeInfo", "NodeGroupGetOptions"]
)
def test_what_upstream_would_misread_is_unimplemented(port: int, certificates: Path, method: str) -> None:
    with channel_to(port, certificates) as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(f"/{SERVICE}/{method}")(b"", timeout=5)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_who_has_no_certificate_of_ours_is_not_answered(port: int, certificates: Path) -> None:
    with channel_to(port, certificates, known=False) as channel:
        assert Client(channel)("Refresh").code is grpc.StatusCode.UNAVAILABLE


def test_certificates_are_kept_until_they_end_or_are_for_another_host(tmp_path: Path) -> None:
    def served() -> bytes:
        return (tmp_path / "server.crt").read_bytes()

    ensure(tmp_path, "127.0.0.1")
    first = served()
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {
        "server.key": 0o600,
        "client.key": 0o600,
    }
    ensure(tmp_path, "127.0.0.1")
    assert served() == first
    ensure(tmp_path, "10.0.0.1")
    second = served()
    names = x509.load_pem_x509_certificate(second).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert "10.0.0.1" in map(str, names.value.get_values_for_type(x509.IPAddress))
    ensure(tmp_path, "10.0.0.1", datetime.now(UTC) + timedelta(days=340))
    assert served() != second


SCALES = {"name": "pool1", "count": 1, "enableAutoScaling": True, "minCount": 1, "maxCount": 3}


class Stood(Stack):
    """A stack with one machine of a pool, and nobody who locks it."""

    def deployment(self) -> dict[str, Any]:
        return {"resources": [{"type": "azlocal:index:Machine", "outputs": {"name": "lab-a-pool1-0"}}]}

    def locks(self) -> Iterator[dict[str, Any]]:
        return iter(())


def test_what_upstream_asks_for_is_an_up_with_that_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path, files([cluster("a", agentPools=[SCALES])]))
    marked: list[tuple[dict[str, str], set[str]]] = []
    sizes: list[PoolSizes] = []
    signals = Signals()

    def resize(_stack: Stack, wanted: PoolSizes) -> int:
        sizes.append(wanted)
        signals.came = True
        return 1

    monkeypatch.setattr(Autoscaler, "api", lambda *_: None)
    monkeypatch.setattr(loop, "mark_for_upstream", lambda _api, ids, last: marked.append((ids, last)))
    served = Served(Autoscaler(Stood("lab", tmp_path, ""), None, signals, (), resize))

    def serve(service: Service, address: str, folder: Path) -> tuple[grpc.Server, int]:
        server, bound = start(service, address, folder)
        with channel_to(bound, folder) as channel:
            Client(channel)("NodeGroupIncreaseSize", id=ID, delta=2)
        return server, bound

    monkeypatch.setattr(loop, "start", serve)
    assert served.run("127.0.0.1:0") == 0
    assert sizes == [{"a": {"pool1": 3}}]
    ids, last = marked[0]
    assert ids["lab-a-pool1-0"] == "azlocal://lab/lab-a-pool1-0"
    assert last == {"lab-a-pool1-0"}
    assert served.groups.changes() == {}, "the run failed"
    said = capsys.readouterr().err
    assert "cluster a: upstream asks that pool1 has 3 nodes" in said
    assert "the run failed; upstream sees the sizes that stand" in said


@pytest.mark.parametrize("address", ["8086", "127.0.0.1", "127.0.0.1:x", ":8086"])
def test_an_address_has_a_host_and_a_port(address: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="write HOST:PORT"):
        Served(Autoscaler(Stood("lab", tmp_path, ""), None, Signals())).run(address)


def test_one_cluster_is_served(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster(name, agentPools=[SCALES]) for name in "ab"]))
    with pytest.raises(UserError, match="name it with --cluster: a, b"):
        Served(Autoscaler(Stood("lab", tmp_path, ""), None, Signals())).run("127.0.0.1:0")
