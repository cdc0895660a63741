"""Control planes of an earlier azlocal change together to VRRPv3, and the address never has two holders."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.kubernetes.watch import Answer
from infra.kvm.errors import HostError
from infra.provider.kind import InitFailed
from infra.provider.kinds import control_plane
from infra.provider.kinds.address_protocol import change_protocol
from infra.provider.kinds.control_plane import ControlPlaneKind
from infra.provider.standing import Standing
from infra.resources.control_plane import ControlPlaneInputs, ControlPlaneState, Member
from infra.ssh import CommandResult, ShellError
from tests.guest.test_kubernetes_node import OF_VERSION_2, UNICAST
from tests.provider.conftest import MemoryLog
from tests.provider.test_certificate_renewal import MEMBERS, OF_0_1_0, WIRE, Servers, in_days, use
from tests.provider.test_kinds import operation

PLANES = [Member.model_validate(one) for one in MEMBERS[:3]]
V2 = OF_VERSION_2.format(unicast=UNICAST)
FOLDER = "etc/keepalived"


@dataclass
class Node:
    """A control plane, as far as its keepalived goes."""

    conf: str = V2
    speaks: int | None = 2
    starts_at_boot: bool = True
    holds: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    peers: list[str] = field(default_factory=list)


class Cluster:
    """Three control planes over SSH; the connection may break after so many commands that change something."""

    def __init__(self, *, breaks_after: int = 99) -> None:
        self.nodes = {plane.name: Node() for plane in PLANES}
        self.nodes["lab-a-cp-1"].holds = True
        self.gone: set[str] = set()
        self.left = breaks_after

    @contextmanager
    def login(self, member: Member) -> Iterator[Any]:
        yield _Shell(self, member.name)

    def versions(self) -> set[int]:
        return {node.speaks for node in self.nodes.values() if node.speaks is not None}

    def versions_after_a_boot(self) -> set[int]:
        """Return what is spoken if those that are silent boot."""
        return self.versions() | {self.version(node) for node in self.nodes.values() if node.starts_at_boot}

    def version(self, node: Node) -> int:
        return 3 if "vrrp_version 3" in node.conf else 2


@dataclass
class _Shell:
    cluster: Cluster
    name: str

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout: float = 60, check: bool = True
    ) -> CommandResult:
        node = self.cluster.nodes[self.name]
        if self.name in self.cluster.gone:
            raise ShellError("No route to host")
        output, code = "", 0
        match list(argv):
            case ["sudo", "cat", _]:
                output, code = node.conf, 0 if node.conf else 1
            case ["ip", *_]:
                output = "4: enp1s0 inet 10.0.0.9/32\n" if node.holds else ""
            case ["systemd-detect-virt"]:
                output = "kvm\n"
            case ["sudo", "tar", *_]:
                assert input is not None
                with tarfile.open(fileobj=io.BytesIO(input)) as tar:
                    for entry in tar:
                        file = tar.extractfile(entry)
                        assert file is not None
                        node.files[entry.name] = file.read()
                        assert (entry.mode == 0o755) == node.files[entry.name].startswith(b"#!")
            case ["sudo", "sh", "-euc", script, _, *peers]:
                if self.cluster.left == 0:
                    raise ShellError("Connection lost")
                self.cluster.left -= 1
                for line in script.split("\n"):
                    self._step(node, line.split(), peers)
            case _:
                raise AssertionError(argv)
        return CommandResult(tuple(argv), code, output, "")

    def _step(self, node: Node, words: list[str], peers: list[str]) -> None:
        match words:
            case ["systemctl", "disable", "--now", _]:
                node.speaks, node.starts_at_boot = None, False
            case ["systemctl", "enable", "--now", _]:
                node.speaks, node.starts_at_boot = self.cluster.version(node), True
            case ["systemctl", "restart", _]:
                node.speaks = self.cluster.version(node)
            case ["/usr/lib/azlocal/vrrp-peers", _]:
                node.peers = peers
            case ["mv", new, _]:
                node.conf = node.files[new.lstrip("/")].decode()
        assert len(self.cluster.versions()) <= 1, "two routers that don't understand each other"


def change(cluster: Cluster, planes: Sequence[Member] = PLANES) -> None:
    change_protocol(operation("ControlPlane"), PLANES, planes, cluster.login)


def test_all_of_them_change_and_never_speak_two_versions() -> None:
    cluster = Cluster()
    change(cluster)
    assert [node.speaks for node in cluster.nodes.values()] == [3, 3, 3]
    assert all(node.starts_at_boot for node in cluster.nodes.values())
    first, second, _ = cluster.nodes.values()
    assert first.peers == ["10.0.0.19", "10.0.0.20"]
    assert "unicast_src_ip 10.0.0.19" in second.conf
    assert {
        "usr/lib/azlocal/api-endpoint",
        f"{FOLDER}/api-endpoint.json",
        "usr/lib/systemd/system/azlocal-api-endpoint.service",
    } <= set(second.files)


@pytest.mark.parametrize("breaks_after", range(6))
def test_one_that_is_interrupted_anywhere_leaves_one_version_and_goes_on(breaks_after: int) -> None:
    cluster = Cluster(breaks_after=breaks_after)
    with pytest.raises(HostError, match=r"Connection lost.*the next `pulumi up` goes on"):
        change(cluster)
    assert len(cluster.versions_after_a_boot()) == 1
    cluster.left = 99
    change(cluster)
    assert [node.speaks for node in cluster.nodes.values()] == [3, 3, 3]


def test_nothing_changes_as_long_as_one_cannot_be_reached() -> None:
    cluster = Cluster()
    cluster.gone = {"lab-a-cp-2"}
    with pytest.raises(HostError, match="lab-a-cp-2 can't be told"):
        change(cluster)
    assert all(node == Node(holds=node.holds) for node in cluster.nodes.values())


def test_what_somebody_wrote_by_hand_is_left_alone() -> None:
    cluster = Cluster()
    cluster.nodes["lab-a-cp-0"].conf = "vrrp_instance mine {}"
    with pytest.raises(HostError, match=r"lab-a-cp-0 can't be told.*isn't as azlocal wrote it"):
        change(cluster)


def test_the_only_one_changes_too() -> None:
    cluster = Cluster()
    cluster.nodes = {"lab-a-cp-0": Node()}
    change_protocol(operation("ControlPlane"), PLANES[:1], PLANES[:1], cluster.login)
    assert (cluster.nodes["lab-a-cp-0"].speaks, cluster.nodes["lab-a-cp-0"].peers) == (3, [])


# -- what `up` makes of it -------------------------------------------------------------------------

OF_VERSION_2_STATE = {name: value for name, value in OF_0_1_0.items() if name != "vrrpVersion"}


def update(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, old: dict[str, Any]
) -> tuple[ControlPlaneState, str]:
    use(monkeypatch, Servers(**{f"cp_{number}": in_days(3650) for number in range(3)}))
    monkeypatch.setattr(control_plane, "_login", lambda _: cluster.login)
    monkeypatch.setattr(control_plane, "admit_nodes", lambda *_: None)
    monkeypatch.setattr(control_plane, "wait_until_answering", lambda *_, **__: Answer("1.34.4", "u"))
    log = MemoryLog()
    state = ControlPlaneKind().update(
        operation("ControlPlane", log),
        "lab/a",
        ControlPlaneState.model_validate(old),
        ControlPlaneInputs.model_validate(WIRE),
    )
    return state, "\n".join(text for _, text in log.lines)


def test_a_cluster_of_before_changes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    state, _ = update(monkeypatch, cluster, OF_VERSION_2_STATE)
    assert (state.vrrp_version, cluster.versions()) == (3, {3})
    cluster.gone = set(cluster.nodes)
    state, told = update(monkeypatch, cluster, state.to_wire())
    assert (state.vrrp_version, told) == (3, "")


def test_one_that_is_away_keeps_no_up_from_success(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.gone = {"lab-a-cp-2"}
    state, told = update(monkeypatch, cluster, OF_VERSION_2_STATE)
    assert state.vrrp_version is None
    assert "lab-a-cp-2 can't be told to hold the cluster's address by VRRPv3" in told


def test_but_no_other_one_joins_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.gone = {"lab-a-cp-0"}
    with pytest.raises(HostError, match="lab-a-cp-0 can't be told"):
        update(monkeypatch, cluster, OF_VERSION_2_STATE | {"members": [MEMBERS[0], MEMBERS[3]]})


def adopted(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> ControlPlaneState:
    use(monkeypatch, Servers(**{f"cp_{number}": in_days(3650) for number in range(3)}))
    monkeypatch.setattr(control_plane, "_login", lambda _: cluster.login)
    for name in ("admit_nodes", "bring"):
        monkeypatch.setattr(control_plane, name, lambda *_: None)
    monkeypatch.setattr(control_plane, "wait_until_answering", lambda *_, **__: Answer("1.34.4", "u"))
    kind = ControlPlaneKind(Standing("owner", {}, frozenset({"lab/a"})))
    return kind.create(operation("ControlPlane"), ControlPlaneInputs.model_validate(WIRE)).state


def test_a_cluster_that_is_adopted_changes_with_its_adoption(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    assert adopted(monkeypatch, cluster).vrrp_version == 3
    assert cluster.versions() == {3}


def test_an_adoption_that_cannot_change_it_is_gone_on_with_by_the_next_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.gone = {"lab-a-cp-1"}
    with pytest.raises(InitFailed, match="lab-a-cp-1 can't be told") as failure:
        adopted(monkeypatch, cluster)
    assert failure.value.made.state.vrrp_version is None
