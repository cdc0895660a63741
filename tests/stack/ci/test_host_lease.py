"""The lease's file on a host: of many who want it at the same time one gets it."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from infra.audit.judge import compared
from infra.audit.model import Object, Observed
from infra.errors import UserError
from infra.ssh import LocalShell
from infra.stack.ci import host_lease, lease
from infra.stack.ci.lease import Decision
from tests.stack.ci.test_lease import claimant, remains

SHELL = LocalShell()


@pytest.fixture
def change(tmp_path: Path) -> partial[tuple[Decision, int]]:
    return partial(
        host_lease.change, SHELL, path=str(tmp_path / "azlocal/ci.lease"), lock=str(tmp_path / "ci.lock")
    )


def wants(holder: str) -> host_lease.Decide:
    return lambda standing, now: lease.acquire(standing, claimant(holder), remains(holder), now)


def test_one_of_many_gets_the_host(change: partial[tuple[Decision, int]], tmp_path: Path) -> None:
    names = [f"run{number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as pool:
        verdicts = [decision.verdict for decision, _ in pool.map(lambda name: change(wants(name)), names)]
    assert sorted(verdicts) == ["granted"] + ["refused"] * (len(names) - 1)
    file = tmp_path / "azlocal/ci.lease"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    seen = host_lease.look(SHELL, str(file))
    assert seen.lease is not None
    assert seen.lease.holder == names[verdicts.index("granted")]


def test_a_host_that_is_given_back_has_no_file(change: partial[tuple[Decision, int]], tmp_path: Path) -> None:
    change(wants("one"))
    decision, now = change(lambda standing, now: lease.release(standing, claimant("one"), now, is_clean=True))
    assert decision.verdict == "free"
    assert now > 1_700_000_000
    assert list((tmp_path / "azlocal").iterdir()) == []


def test_who_decided_by_what_has_changed_since_decides_again(change: partial[tuple[Decision, int]]) -> None:
    asked: list[str] = []

    def slow(standing: lease.Lease | None, now: int) -> Decision:
        if not asked:
            change(wants("two"))
        asked.append(standing.holder if standing else "free")
        return wants("one")(standing, now)

    assert change(slow)[0].verdict == "refused"
    assert asked == ["free", "two"]


def test_a_file_of_another_version_is_left_and_named(
    change: partial[tuple[Decision, int]], tmp_path: Path
) -> None:
    file = tmp_path / "azlocal/ci.lease"
    file.parent.mkdir()
    file.write_text('{"format": "azlocal/lease-9"}')
    with pytest.raises(UserError, match=r"ci\.lease .* can't be read by this version"):
        change(wants("one"))
    assert file.exists()


def test_an_instance_that_stands_takes_a_lease_for_nobodys_leftover() -> None:
    seen = [Object("file", host_lease.LEASE_FILE), Object("file", "/var/lib/azlocal/other")]
    assert [thing.name for thing in compared(Observed(objects=tuple(seen)))] == ["/var/lib/azlocal/other"]
