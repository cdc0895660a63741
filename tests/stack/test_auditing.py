"""Which hosts an audit of a stack looks at, what is to stand there, and what it looks at beside hosts."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.audit.model import WRONG, Audit, Inventory, Item, Place, Scope
from infra.emulator import daemon
from infra.emulator.store import Resource
from infra.errors import UserError
from infra.stack.auditing import beside, cleaning, run
from infra.stack.auditing.scopes import scopes_of
from infra.stack.state import Stack
from tests.audit.samples import BEFORE, GONE, STANDS
from tests.instances import cluster, make_spec

NODE1, NODE2 = "qemu+ssh://root@192.0.2.11/system", "qemu+ssh://root@192.0.2.12/system"


def resource(kind: str, **outputs: Any) -> dict[str, Any]:
    return {"type": f"azlocal:index:{kind}", "outputs": outputs}


DEPLOYMENT: dict[str, Any] = {
    "resources": [
        resource("Host", name="node1", connection=NODE1, storageDirectory="/srv/lab", machines=["lab-old"]),
        resource("Host", name="node2", connection=NODE2, storageDirectory="/srv/lab", lost=True),
        resource("Machine", name="lab-rb-0", connection=NODE1, firstBoot={"address": "192.0.2.20/24"}),
        resource("StackIdentity", uid="id-1"),
        resource("Network", name="lab-aks", connection=NODE1, bridge="azl-lab-aks"),
        {"type": "azlocal:index:Machine"},  # its create was never answered
    ]
}


def test_state_says_what_is_to_stand_where() -> None:
    node1, node2 = scopes_of("lab", DEPLOYMENT)
    assert (node1.host, node1.connection, node1.directory, node1.stands) == ("node1", NODE1, "/srv/lab", True)
    assert node1.machines == {"lab-rb-0"}
    assert node1.networks == {"lab-aks": "azl-lab-aks"}
    assert node1.machine_names == node2.machine_names == {"lab-rb-0", "lab-old"}
    assert (node2.is_lost, node2.stands, node2.machines, node2.networks) == (True, False, frozenset(), {})
    assert node1.owners == frozenset({"", "id-1"})
    assert scopes_of("lab", {}) == []


def test_files_say_which_hosts_there_are_and_how_things_would_be_called() -> None:
    spec = make_spec(cluster())
    scopes = scopes_of(spec.name, {}, spec)
    assert [scope.host for scope in scopes] == [host.name for host in spec.hosts.hosts]
    for scope in scopes:
        assert not scope.stands
        assert scope.machines == frozenset()
        assert f"{spec.name}-rb-0" in scope.machine_names
        assert scope.network_bridges
        assert scope.directory == f"/var/lib/azlocal/{spec.name}"


def test_a_host_that_is_only_in_state_is_looked_at_too() -> None:
    spec = make_spec(cluster())
    gone = resource(
        "Host", name="gone", connection="qemu+ssh://root@192.0.2.99/system", storageDirectory="/srv/lab"
    )
    scopes = scopes_of(spec.name, {"resources": [gone]}, spec)
    assert [scope.host for scope in scopes] == [*(host.name for host in spec.hosts.hosts), "gone"]
    assert scopes[-1].stands


def test_a_protected_host_is_known_by_its_file() -> None:
    hosts = [{"name": "node1", "connection": NODE1, "protected": True, "cpus": 8, "memoryGiB": 64}]
    spec = make_spec(cluster(), hosts=hosts)
    (scope,) = scopes_of(spec.name, {}, spec)
    assert scope.is_protected


def test_contexts_and_known_hosts_of_what_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    for folder in (".kube", ".ssh"):
        (tmp_path / folder).mkdir()
    salt = b"01234567890123456789"
    digest = hmac.new(salt, b"192.0.2.21", hashlib.sha1).digest()
    hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    lines = ["# 192.0.2.20", "192.0.2.20,lab-rb-0 ssh-ed25519 AAAA", f"{hashed} ssh-ed25519 AAAA", "|1|x|y z", ""]
    (tmp_path / ".ssh/known_hosts").write_text("\n".join(lines))
    entries = "".join(
        f"- name: {name}\n  context: {{cluster: {name}, user: {name}-administrator}}\n"
        for name in ("lab-a", "lab-b")
    )
    (tmp_path / ".kube/config").write_text(f"contexts:\n{entries}")
    addresses = ("192.0.2.20", "192.0.2.21", "192.0.2.22")
    place = beside.user_files(["lab-a", "lab-b", "lab-c"], ["lab-b"], addresses)
    said = [(item.verdict, item.kind, item.name) for item in place.items]
    assert said == [
        ("leftover", "context", "lab-a"),
        ("note", "known_hosts", "192.0.2.20"),
        ("note", "known_hosts", "192.0.2.21"),
    ]
    assert "ssh-keygen -R 192.0.2.20" in place.items[1].note
    (tmp_path / ".kube/config").write_text("{")
    assert "contexts" in beside.user_files(["lab-a"], [], []).unseen


def test_addresses_and_names_of_machines_in_state() -> None:
    assert beside.addresses_of(DEPLOYMENT) == ["192.0.2.20", "lab-rb-0"]


@pytest.mark.parametrize(
    ("pid", "clusters", "standing", "expected"),
    [
        (7, ["lab-a"], ["lab-a"], []),
        (7, [], ["lab-a"], [("missing", "arm", "lab-a")]),
        (7, ["lab-a", "lab-b"], ["lab-a"], [("leftover", "arm", "lab-b")]),
        (7, [], None, [("leftover", "emulator", "lab")]),
        (None, ["others"], None, [("kept", "emulator", "/emulator/lab")]),
    ],
)
def test_the_emulator_is_looked_at_without_starting_it(
    monkeypatch: pytest.MonkeyPatch,
    pid: int | None,
    clusters: list[str],
    standing: list[str] | None,
    expected: list[tuple[str, str, str]],
) -> None:
    kind = "Microsoft.Kubernetes/connectedClusters"
    entries = [Resource(f"/subscriptions/1/x/{name}", kind, {}) for name in clusters]
    monkeypatch.setattr(daemon, "default_folder", lambda instance: Path("/emulator") / instance)
    monkeypatch.setattr(daemon, "status", lambda _folder: SimpleNamespace(pid=pid))
    monkeypatch.setattr(daemon, "resources", lambda _folder: entries)
    resources = [resource("ConnectedCluster", name=name) for name in standing or ()]
    if standing is not None:
        resources.append(resource("ArcEmulator"))
    place = beside.emulator("lab", {"resources": resources}, ["lab-a", "lab-b"])
    assert [(item.verdict, item.kind, item.name) for item in place.items] == expected


def test_an_emulator_that_is_gone_is_missed_only_where_state_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "status", lambda _folder: None)
    assert beside.emulator("lab", {}).items == ()
    (item,) = beside.emulator("lab", {"resources": [resource("ArcEmulator")]}).items
    assert (item.verdict, item.kind) == ("missing", "emulator")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack with two hosts, whose state is empty after a destroy."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(Stack, "exists", lambda _stack: True)
    monkeypatch.setattr(Stack, "deployment", lambda _stack: {})
    monkeypatch.setattr(Stack, "outputs", lambda _stack: {})
    monkeypatch.setattr(run, "_ENDING_SECONDS", 0.0)
    return Stack("lab", tmp_path, "")


class Looks:
    """Stands for looking at hosts: each look gives the next of some answers, the last one for ever."""

    def __init__(self, *answers: tuple[Place, ...]) -> None:
        self.answers = list(answers)
        self.scopes: list[Scope] = []
        self.inventories: Sequence[Inventory | None] = ()

    def __call__(
        self, scopes: Sequence[Scope], *, inventories: Sequence[Inventory | None], strict: bool = False
    ) -> tuple[Place, ...]:
        self.scopes, self.inventories = list(scopes), inventories
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def taken_down(stack: Stack, monkeypatch: pytest.MonkeyPatch, looks: Looks, noted: list[Inventory | None]) -> int:
    monkeypatch.setattr(run, "read_inventories", lambda _scopes: noted)
    monkeypatch.setattr(run, "look", looks)
    return run.Before.of(stack, DEPLOYMENT, []).prove()


def test_a_down_proves_that_nothing_is_left(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = Looks((Place("node1", looked_at=7, since="then"), Place("node2", given_up="lost")))
    assert taken_down(stack, monkeypatch, looks, [BEFORE, None]) == 0
    assert "azlocal: nothing of lab is left on 1 host: 7 objects looked at in 0." in capsys.readouterr().err
    assert [(scope.stands, scope.machines) for scope in looks.scopes] == [(False, frozenset())] * 2
    assert looks.inventories == [BEFORE, None]
    assert not (stack.directory / ".azlocal/audit/lab").exists(), "what was kept for the proof goes with it"


def test_what_is_left_fails_a_down_and_the_next_one_still_knows_the_inventory(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = (Place("node1", (Item("leftover", "domain", "lab-rb-0"),), since="then"),)
    assert taken_down(stack, monkeypatch, Looks(left), [BEFORE, None]) == 2
    assert "1 object of lab still there: node1: domain lab-rb-0" in capsys.readouterr().err
    looks = Looks((Place("node1", since="then"),))
    assert taken_down(stack, monkeypatch, looks, [None, None]) == 0
    assert looks.inventories == [BEFORE, None]


def test_what_is_ending_still_is_no_leftover(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = (Place("node1", (Item("leftover", "process", "dnsmasq"),), since="then"),)
    assert (
        taken_down(stack, monkeypatch, Looks(ending, ending, (Place("node1", since="then"),)), [None, None]) == 0
    )


def test_a_host_that_does_not_answer_fails_a_down_that_cannot_prove_anything(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert taken_down(stack, monkeypatch, Looks((Place("node1", unseen={"": "off"}),)), [None, None]) == 1


def test_what_state_still_has_is_not_said_to_be_gone(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Stack, "deployment", lambda _stack: DEPLOYMENT)
    looks = Looks((Place("node1", looked_at=7, since="then"),))
    assert taken_down(stack, monkeypatch, looks, [BEFORE, None]) == 0
    assert capsys.readouterr().err == "azlocal: lab still stands on node1, as its state says\n"
    assert looks.scopes[0].stands
    assert (stack.directory / ".azlocal/audit/lab/node1.json").exists()


LEFT = Item("leftover", "domain", "lab-rb-0")


@pytest.fixture
def cleaned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Item, ...]]]:
    """Notes what is removed, and where."""
    noted: list[tuple[str, tuple[Item, ...]]] = []
    monkeypatch.setattr(
        cleaning, "clean_host", lambda scope, items, _say: noted.append((scope.host, tuple(items)))
    )
    return noted


def test_only_what_is_proven_ours_is_removed(stack: Stack, cleaned: list[Any]) -> None:
    guess = replace(LEFT, name="lab-old", is_certain=False)
    places = (Place("node1", (LEFT, guess)), Place("node2", (guess, Item("foreign", "pool", "azlocal-lab"))))
    scopes = [GONE, replace(GONE, host="node2")]
    assert cleaning.clean(stack, Audit("lab", places), scopes, yes=True)
    assert cleaned == [("node1", (LEFT,))]
    cleaned.clear()
    others = tuple(Item(verdict, "file", "/x") for verdict in (*WRONG[1:], "unexplained", "kept", "note"))
    assert not cleaning.clean(stack, Audit("lab", (Place("node1", others),)), [STANDS], yes=True)
    assert cleaned == []


def test_a_protected_host_refuses_and_nothing_is_removed_anywhere(stack: Stack, cleaned: list[Any]) -> None:
    scopes = [GONE, replace(GONE, host="node2", is_protected=True)]
    audit = Audit("lab", (Place("node1", (LEFT,)), Place("node2", (LEFT,))))
    with pytest.raises(UserError, match="node2 has `protected: true`"):
        cleaning.clean(stack, audit, scopes, yes=True)
    assert cleaned == []
    assert cleaning.clean(stack, replace(audit, hosts=audit.hosts[:1]), scopes[:1], yes=True)


def test_the_stacks_name_is_asked_for(stack: Stack, cleaned: list[Any]) -> None:
    with pytest.raises(UserError, match="add --yes"):
        cleaning.clean(stack, Audit("lab", (Place("node1", (LEFT,)),)), [GONE], yes=False)
    assert cleaned == []
