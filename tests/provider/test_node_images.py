"""Nodes that stand get the container images of a newer bundle before anything there asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.kubernetes.watch import Answer
from infra.kvm.errors import HostError
from infra.provider.kind import InitFailed
from infra.provider.kinds import control_plane
from infra.provider.kinds.control_plane import ControlPlaneKind
from infra.provider.kinds.node_images import bring, standing
from infra.provider.standing import Standing
from infra.resources.changes import diff
from infra.resources.contract import OnChange
from infra.resources.control_plane import CONTROL_PLANE, ControlPlaneInputs, ControlPlaneState, Member
from infra.ssh import CommandError, CommandResult
from tests.provider.test_certificate_renewal import MEMBERS, OF_0_1_0, WIRE, Servers, use
from tests.provider.test_kinds import operation

NODES = [Member.model_validate(one) for one in MEMBERS]
OLD, NEW = "quay.io/metallb/speaker:v0.15.2", "quay.io/metallb/speaker:v0.15.3"


class Stores:
    """The container stores of nodes, behind the shells that open them."""

    def __init__(self, *references: str) -> None:
        self.images = {member.name: set(references) for member in NODES}
        self.brought: list[tuple[str, bytes]] = []
        self.silent = ""

    @contextmanager
    def login(self, member: Member) -> Iterator[Any]:
        def run(argv: Sequence[str], *, input: bytes | None = None, timeout: float = 0) -> CommandResult:
            assert argv[:5] == ["sudo", "ctr", "--namespace", "k8s.io", "images"]
            if member.name == self.silent:
                raise CommandError(member.name, argv, 1, "", "no containerd")
            if argv[5:] == ["list", "--quiet"]:
                return CommandResult(tuple(argv), 0, "".join(f"{one}\n" for one in self.images[member.name]), "")
            assert argv[5:] == ["import", "-"]
            assert input is not None
            self.brought.append((member.name, input))
            return CommandResult(tuple(argv), 0, "", "")

        yield type("Shell", (), {"run": staticmethod(run)})


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, str]:
    for name in ("old", "new"):
        (tmp_path / name).write_bytes(name.encode())
    return {OLD: str(tmp_path / "old"), NEW: str(tmp_path / "new")}


def test_a_node_gets_what_its_store_lacks(archives: dict[str, str]) -> None:
    stores = Stores(OLD, "sha256:0123")
    stores.images["lab-a-cp-1"].add(NEW)
    bring(operation("ControlPlane"), NODES, archives, stores.login)
    assert stores.brought == [(name, b"new") for name in ("lab-a-cp-0", "lab-a-cp-2", "lab-a-pool1-0")]


def test_a_worker_gets_nothing_that_runs_on_control_planes_alone(tmp_path: Path) -> None:
    names = (
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "etcd",
        "kube-proxy",
        "coredns/coredns",
    )
    archives = {f"registry.k8s.io/{name}:v1": str(tmp_path / name.replace("/", "-")) for name in names}
    for path in archives.values():
        Path(path).write_bytes(Path(path).name.encode())
    stores = Stores()
    bring(operation("ControlPlane"), NODES, archives, stores.login)
    brought = {name: [what for node, what in stores.brought if node == name] for name, _ in stores.brought}
    assert sorted(brought["lab-a-pool1-0"]) == [b"coredns-coredns", b"kube-proxy"]
    assert len(brought["lab-a-cp-0"]) == len(names)


def test_machines_made_since_have_their_images_from_their_own(archives: dict[str, str]) -> None:
    replaced = NODES[0].model_copy(update={"ssh_host_key": "another"})
    assert standing(NODES[:2], [replaced, *NODES[1:]]) == [NODES[1]]


def test_a_node_that_does_not_take_them_is_named(archives: dict[str, str]) -> None:
    stores = Stores()
    stores.silent = "lab-a-cp-1"
    with pytest.raises(HostError, match="lab-a-cp-1 can't be brought the container images"):
        bring(operation("ControlPlane"), NODES, archives, stores.login)
    assert {name for name, _ in stores.brought} == {"lab-a-cp-0"}


def test_an_archive_that_is_gone_is_named(archives: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "new").unlink()
    with pytest.raises(HostError, match=r"new isn't there.*azlocal image build"):
        bring(operation("ControlPlane"), NODES, archives, Stores(OLD).login)


def changes(news: dict[str, Any]) -> dict[str, OnChange]:
    return diff(CONTROL_PLANE, OF_0_1_0, WIRE | news).by_path


def test_another_bundle_is_an_update_and_its_place_on_this_machine_is_nothing() -> None:
    assert set(changes({"images": [NEW]}).values()) == {OnChange.UPDATE}
    assert changes({"archives": {NEW: "/elsewhere"}}) == {}


def test_up_brings_them_before_the_add_ons_that_name_them(
    archives: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Servers())
    done: list[str] = []
    monkeypatch.setattr(control_plane, "bring", lambda op, members, *_: done.append(f"bring {len(members)}"))
    monkeypatch.setattr(control_plane, "admit_nodes", lambda *_: done.append("admit"))
    monkeypatch.setattr(
        control_plane, "wait_until_answering", lambda *_, **__: type("", (), {"version": "1", "cluster_uid": "u"})
    )
    old = ControlPlaneState.model_validate(OF_0_1_0)
    news = ControlPlaneInputs.model_validate(WIRE | {"images": [NEW], "archives": {NEW: archives[NEW]}})
    state = ControlPlaneKind().update(operation("ControlPlane"), "lab/a", old, news)
    assert (done, state.images) == (["bring 4", "admit"], [NEW])
    ControlPlaneKind().update(operation("ControlPlane"), "lab/a", state, news)
    assert done == ["bring 4", "admit", "admit"], "they have them"


# -- an adopted cluster: its nodes were there before the state ------------------------------------


def created(
    monkeypatch: pytest.MonkeyPatch, stores: Stores, archives: dict[str, str], *adopted: str
) -> ControlPlaneState:
    use(monkeypatch, Servers())
    monkeypatch.setattr(control_plane, "logged_in", lambda member, identity_files: stores.login(member))
    monkeypatch.setattr(control_plane, "admit_nodes", lambda api, token: None)
    monkeypatch.setattr(control_plane, "change_protocol", lambda *_: None)  # test_address_protocol.py
    monkeypatch.setattr(control_plane, "wait_until_answering", lambda *_, **__: Answer("1.34.4", "u"))
    kind = ControlPlaneKind(Standing("owner", {}, frozenset(adopted)))
    inputs = ControlPlaneInputs.model_validate(WIRE | {"images": [OLD, NEW], "archives": archives})
    return kind.create(operation("ControlPlane"), inputs).state


def test_nodes_that_are_adopted_get_what_their_stores_lack(
    monkeypatch: pytest.MonkeyPatch, archives: dict[str, str]
) -> None:
    stores = Stores(OLD)
    state = created(monkeypatch, stores, archives, "lab/a")
    assert stores.brought == [(member.name, b"new") for member in NODES]
    assert state.images == [OLD, NEW]


def test_nodes_of_a_new_cluster_are_not_asked(monkeypatch: pytest.MonkeyPatch, archives: dict[str, str]) -> None:
    stores = Stores()
    created(monkeypatch, stores, archives, "lab/b")
    assert stores.brought == []


def test_an_adoption_that_cannot_bring_them_is_gone_on_with_by_the_next_up(
    monkeypatch: pytest.MonkeyPatch, archives: dict[str, str]
) -> None:
    stores = Stores(OLD)
    stores.silent = "lab-a-cp-1"
    with pytest.raises(InitFailed, match="lab-a-cp-1 can't be brought") as failure:
        created(monkeypatch, stores, archives, "lab/a")
    assert failure.value.made.state.images == [], "whatever the program names is a difference, which update brings"
