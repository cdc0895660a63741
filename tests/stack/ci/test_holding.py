"""Hosts of a run: all or none, cleaned before it has them, renewed while a command works."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.audit.model import Item, Place, Scope
from infra.emulator import daemon
from infra.errors import UserError
from infra.ssh import LocalShell
from infra.stack.ci import holding as holdings
from infra.stack.ci import host_lease
from infra.stack.ci.holding import Holding, RunHost
from infra.stack.ci.lease import Lease, Remains
from tests.stack.ci.test_lease import claimant, remains

SHELL = LocalShell()
QEMU = "qemu:///system"


@dataclass
class Site:
    """Two hosts, which are folders here; `left`: what cleaning doesn't remove, by the run that left it."""

    folder: Path
    left: set[str] = field(default_factory=set)
    cleaned: list[tuple[str, str]] = field(default_factory=list)

    def host(self, name: str) -> RunHost:
        return RunHost(
            name, QEMU, lease_file=str(self.folder / f"{name}.lease"), lock_file=str(self.folder / "lock")
        )

    def clean(self, host: RunHost, of: Remains) -> bool:
        self.cleaned.append((host.name, of.run))
        return of.run not in self.left

    def run(self, name: str, *hosts: str, seconds: int = 3600) -> Holding:
        return Holding([self.host(host) for host in hosts or ("x", "y")], claimant(name, seconds), self.clean)

    def lease_of(self, name: str) -> Lease | None:
        return host_lease.look(SHELL, self.host(name).lease_file).lease

    def leases(self) -> dict[str, Lease | None]:
        return {name: self.lease_of(name) for name in ("x", "y")}

    def states(self) -> dict[str, tuple[str, str] | None]:
        return {name: (lease.state, lease.remains.run) if lease else None for name, lease in self.leases().items()}

    def end_lease(self, name: str, holder: str) -> None:
        """Have a host's lease end long ago, as that of a run that was killed."""
        file = Path(self.host(name).lease_file)
        lease = host_lease.look(SHELL, str(file)).lease
        assert lease is not None
        assert lease.holder == holder
        file.write_text(lease.model_copy(update={"renewed": 1}).model_dump_json(by_alias=True))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def take(holding: Holding, name: str, wait: float = 0.0) -> None:
    holding.take({host.name: remains(name) for host in holding.hosts}, wait)


def test_a_run_has_all_its_hosts_or_none(site: Site) -> None:
    take(site.run("one", "y"), "one")
    with pytest.raises(UserError, match=r"y is busy: run one .*azlocal ci lease"):
        take(site.run("two"), "two")
    assert site.states() == {"x": None, "y": ("busy", "one")}


def test_what_a_run_had_before_stays_its_own_where_another_host_is_refused(site: Site) -> None:
    take(site.run("one", "x"), "one")
    take(site.run("two", "y"), "two")
    with pytest.raises(UserError, match="y is busy"):
        take(site.run("one"), "one")
    assert site.states() == {"x": ("busy", "one"), "y": ("busy", "two")}


def test_a_run_waits_for_hosts_until_they_are_given_back(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = site.run("one")
    take(first, "one")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        if seconds < 1:
            return  # subprocess's own
        waits.append(seconds)
        if len(waits) == 3:
            first.give_back({"x", "y"})

    monkeypatch.setattr(time, "sleep", sleep)
    take(site.run("two"), "two", wait=3600)
    assert len(waits) == 3
    assert site.states() == {"x": ("busy", "two"), "y": ("busy", "two")}
    assert capsys.readouterr().err.count("waiting: x is busy") == 1


def test_what_a_killed_run_left_is_cleaned_first(site: Site) -> None:
    take(site.run("one"), "one")
    for name in ("x", "y"):
        site.end_lease(name, "one")
    take(site.run("two"), "two")
    assert site.cleaned == [("x", "one"), ("y", "one")]
    assert site.states() == {"x": ("busy", "two"), "y": ("busy", "two")}


def test_a_host_that_isnt_clean_is_nobodys_and_the_others_are_free_again(site: Site) -> None:
    take(site.run("one", "y"), "one")
    site.end_lease("y", "one")
    site.left.add("one")
    with pytest.raises(UserError, match=r"y can't be had: what run one \(ci00000\) left there isn't gone"):
        take(site.run("two"), "two")
    assert site.states() == {"x": None, "y": ("dirty", "one")}


def test_hosts_are_given_back_clean_or_dirty_each(site: Site) -> None:
    run = site.run("one")
    take(run, "one")
    run.give_back({"x"})
    assert site.states() == {"x": None, "y": ("dirty", "one")}


def test_leases_are_renewed_while_a_block_runs_and_a_loss_is_noted(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(holdings, "_BEAT_SECONDS", 0.01)
    run = site.run("one")
    take(run, "one")
    site.end_lease("x", "one")
    beats, again = threading.Event(), run.reclaim

    def reclaim() -> None:
        again()
        beats.set()

    run.reclaim = reclaim  # type: ignore[method-assign]
    with run.renewed():
        assert beats.wait(20)
    renewed = site.leases()["x"]
    assert renewed is not None
    assert renewed.renewed > 1_700_000_000
    assert run.lost == {}

    Path(site.host("x").lease_file).unlink()
    take(site.run("two", "x"), "two")
    lost = threading.Event()
    with run.renewed(lost.set):
        assert lost.wait(20)
    assert run.lost.keys() == {"x"}
    assert "the lease of x is lost: busy: run two" in capsys.readouterr().err
    run.give_back({"x", "y"})
    assert site.states() == {"x": ("busy", "two"), "y": None}


def test_a_host_that_is_silent_keeps_nobody_from_the_others(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    run = site.run("one")
    take(run, "one")
    Path(site.host("x").lease_file).write_text("{")
    for _ in range(2):
        run.reclaim()
    run.give_back({"x", "y"})
    assert site.lease_of("y") is None
    assert capsys.readouterr().err.count("the lease of x isn't renewed: ") == 1


@pytest.mark.parametrize(("is_left", "state"), [(False, None), (True, ("dirty", "one"))])
def test_the_reaper_frees_what_it_could_clean(site: Site, is_left: bool, state: tuple[str, str] | None) -> None:
    take(site.run("one", "x"), "one")
    site.end_lease("x", "one")
    site.left |= {"one"} if is_left else set()
    site.run("reaper", "x").reap(site.host("x"), None)
    assert site.states()["x"] == state


def test_nothing_is_removed_from_a_protected_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert not holdings.clean(RunHost("x", QEMU, is_protected=True), remains("one"))
    assert "protected: true" in capsys.readouterr().err


LEFT = Item("leftover", "domain", "ci00000-a-cp-0")
BY_NAME = Item("leftover", "process", "x", is_certain=False)


@pytest.mark.parametrize(
    ("looks", "is_clean", "removed"),
    [
        ([Place("x")], True, []),
        ([Place("x", (LEFT,)), Place("x")], True, [LEFT]),
        ([Place("x", (LEFT, BY_NAME)), Place("x", (BY_NAME,))], False, [LEFT]),
        ([Place("x", unseen={"libvirt": "it hangs"})], False, []),
    ],
)
def test_what_a_run_left_is_removed_by_its_marks_and_looked_for_again(
    monkeypatch: pytest.MonkeyPatch, looks: list[Place], is_clean: bool, removed: list[Item]
) -> None:
    taken: list[Item] = []
    emulators: list[Path] = []

    def clean_host(scope: Scope, items: list[Item], _say: object) -> None:
        assert (scope.instance, scope.stands, scope.owners) == ("ci00000", False, None)
        assert scope.machine_names == {"ci00000-a-cp-0"}
        taken.extend(items)

    monkeypatch.setattr(holdings, "look_until_gone", lambda _scopes: (looks.pop(0),))
    monkeypatch.setattr(holdings, "clean_host", clean_host)
    monkeypatch.setattr(daemon, "remove", emulators.append)
    of = remains("one").model_copy(update={"machines": ("ci00000-a-cp-0",)})
    assert holdings.clean(RunHost("x", QEMU), of) == is_clean
    assert taken == removed
    assert [folder.name for folder in emulators] == ["ci00000"]
