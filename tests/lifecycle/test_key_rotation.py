"""A rotation's promises: whatever is killed, every API server reads every Secret, and whoever goes on ends it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from infra.lifecycle.key_rotation import (
    KeysSeen,
    PlaneKeys,
    RewriteSecrets,
    Step,
    TellPlane,
    TellState,
    next_step,
)
from infra.model.encryption_keys import EncryptionKeys, key_name
from infra.stack.restore.keys import needed

_MOST = 60
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # what fails is told with its draws
NOW = datetime(2026, 11, 30, tzinfo=UTC)


@dataclass
class Server:
    """A control plane: the keys in its file, those its API server goes by, and what marks them as the same."""

    file: tuple[str, ...]
    loaded: tuple[str, ...]
    is_marked: bool = False

    @property
    def may_go_by(self) -> list[tuple[str, ...]]:
        """Return what its API server may go by at any moment: it reads its file by itself, and when it starts."""
        return [self.file, self.loaded]


@dataclass
class World:
    """A cluster whose keys are rotated, and what state says of them."""

    state: EncryptionKeys
    servers: dict[str, Server]
    secrets: dict[str, str] = field(default_factory=dict)
    snapshots: list[dict[str, str]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def seen(self) -> KeysSeen:
        planes = {
            name: PlaneKeys(tuple(map(key_name, server.file)), server.is_marked)
            for name, server in self.servers.items()
        }
        written = frozenset(key_name(key) for key in self.secrets.values())
        return KeysSeen(self.state.newest, self.state.names, planes, written)

    def known(self) -> dict[str, str]:
        return EncryptionKeys(tuple(key for each in self.servers.values() for key in each.file)).by_name | (
            self.state.by_name
        )

    def do(self, step: Step) -> Iterator[None]:
        """Do a step in its parts, between each of which something may kill it."""
        match step:
            case TellState(names):
                self.state = self.state.telling(names)
            case TellPlane(name, names):
                server, known = self.servers[name], self.known()
                server.file, server.is_marked = tuple(known[each] for each in names), False
                yield
                server.loaded = server.file
                yield
                server.is_marked = True
            case RewriteSecrets():
                writer = next(iter(self.servers.values()))
                for secret in [*self.secrets]:
                    self.secrets[secret] = writer.loaded[0]
                    yield
        yield

    def check(self) -> None:
        """See that every API server, and one that is made now, reads all that is written or may be."""
        everyone = [*(keys for server in self.servers.values() for keys in server.may_go_by), self.state.current]
        written = {*self.secrets.values(), *(keys[0] for keys in everyone)}
        for keys in everyone:
            assert written <= {*keys}, f"{written - {*keys}} can't be read by who has {keys}"

    def write(self, server: str) -> None:
        self.secrets[f"s{next(self.numbers)}"] = self.servers[server].loaded[0]

    def come(self, name: str) -> None:
        """Make a control plane, or make it again, as state says: a run holds state's lock meanwhile."""
        self.servers[name] = Server(self.state.current, self.state.current)

    def lose_state(self, server: str) -> None:
        """Adopt: state is written from one control plane, and when keys were made nobody knows any more."""
        self.state = EncryptionKeys(self.servers[server].file)

    def restore(self, snapshot: dict[str, str]) -> None:
        """Restore, with all control planes stopped; a snapshot whose keys are lost is refused."""
        used = tuple({key_name(key) for key in snapshot.values()})
        if not {*used} <= self.state.by_name.keys():
            return
        self.state = self.state.telling(needed(self.state, used))
        for server in self.servers.values():
            server.file = server.loaded = self.state.current
        self.secrets = dict(snapshot)


def go_on(world: World, data: st.DataObject | None) -> bool:
    """Do what is next; with `data`, in parts, between which anything may happen. Return whether it ended."""
    for _ in range(_MOST):
        step = next_step(world.seen())
        if step is None:
            return True
        for _ in world.do(step):
            world.check()
            if data is not None:
                happen(world, data)
                world.check()
                if data.draw(st.integers(0, 7), "killed at 0") == 0:
                    return False
    raise AssertionError("it doesn't end")


def happen(world: World, data: st.DataObject) -> None:
    names = st.sampled_from(sorted(world.servers))
    match data.draw(st.sampled_from(("", "", "", "write", "reload", "come", "again", "snapshot")), "event"):
        case "write":
            world.write(data.draw(names))
        case "reload":
            server = world.servers[data.draw(names)]
            server.loaded = server.file
        case "come" if len(world.servers) < 3:
            world.come(f"cp-{next(world.numbers)}")
        case "again" if len(world.servers) > 1:
            world.come(data.draw(names))
        case "snapshot":
            world.snapshots.append(dict(world.secrets))


@settings(max_examples=200, deadline=None, phases=_PHASES)
@given(data=st.data())
def test_every_api_server_reads_every_secret_and_any_prefix_that_is_killed_is_ended(data: st.DataObject) -> None:
    first = "a"
    world = World(
        EncryptionKeys((first,)),
        {f"cp-{number}": Server((first,), (first,)) for number in range(data.draw(st.sampled_from((1, 3))))},
    )
    for server in world.servers:
        world.write(server)
    for number in range(data.draw(st.integers(1, 4), "runs")):
        if len(world.state.current) == 1:
            world.state = world.state.with_new(f"key {number}", NOW)
        world.check()
        ended = go_on(world, data)
        if not ended and data.draw(st.integers(0, 3), "state is lost at 0") == 0:
            world.lose_state(data.draw(st.sampled_from(sorted(world.servers))))
        if ended and world.snapshots and data.draw(st.booleans(), "restored"):
            world.restore(data.draw(st.sampled_from(world.snapshots)))
        world.check()
    assert go_on(world, None)
    world.check()
    alone = (world.state.newest,)
    assert world.state.names == alone
    assert {server.file for server in world.servers.values()} == {world.state.current}
    assert {*world.secrets.values()} <= {*world.state.current}
    assert next_step(world.seen()) is None, "and so it stays"


def seen(in_state: str, *planes: str, written: str = "", loaded: bool = True, target: str = "b") -> KeysSeen:
    held = {f"cp-{number}": PlaneKeys(tuple(keys), loaded) for number, keys in enumerate(planes)}
    return KeysSeen(target, tuple(in_state), held, frozenset(written))


@pytest.mark.parametrize(
    ("stands", "step"),
    [
        (seen("ab", "a", "a", written="a"), TellPlane("cp-0", ("a", "b"))),
        (seen("ab", "ab", "a", written="a"), TellPlane("cp-1", ("a", "b"))),
        (seen("ab", "ab", "ab", written="a", loaded=False), TellPlane("cp-0", ("a", "b"))),
        (seen("ab", "ab", "ab", written="a"), TellState(("b", "a"))),
        (seen("ba", "ba", "ab", written="a"), TellPlane("cp-1", ("b", "a"))),
        (seen("ba", "ba", "ba", written="ab"), RewriteSecrets("b")),
        (seen("ba", "ba", "ba", written="b"), TellPlane("cp-0", ("b",))),
        (seen("ba", "b", "b", written="b"), TellState(("b",))),
        (seen("b", "b", "b", written="b", loaded=False), None),
    ],
)
def test_the_steps_are_those_that_kubernetes_publishes(stands: KeysSeen, step: Step | None) -> None:
    assert next_step(stands) == step


def test_secrets_in_plain_are_written_again_too() -> None:
    stands = KeysSeen("b", ("b",), {"cp-0": PlaneKeys(("b",), True)}, frozenset({""}))
    assert next_step(stands) == RewriteSecrets("b")


def test_a_step_is_told_with_names_alone() -> None:
    assert str(TellState(("key-2", "key-1"))) == "state has key-2 and key-1 for new control planes"
    assert str(TellPlane("cp-0", ("key-2", "key-1"))) == (
        "cp-0: its API server starts again, writes Secrets by key-2, reads by key-1, too"
    )
