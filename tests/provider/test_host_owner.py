"""Whose the instance on a host is, before anything is done there: libvirt's test driver, real files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest

from infra.kvm.claim import TAKE_OVER, Claim, claim_file, read_claim
from infra.kvm.errors import NotOurs
from infra.kvm.ownership import Mark
from infra.kvm.storage import ensure_pool, remove_pool
from infra.plugin.operation import Operation
from infra.provider.kinds.host_owner import (
    VOLUMES,
    Possession,
    check_may_remove,
    check_owner,
    check_still_ours,
    give_up_possession,
    imported_owner,
    take_possession,
)
from infra.resources.host import HostInputs
from infra.ssh import LocalShell
from tests.provider.conftest import MemoryLog

OURS, THEIRS = "our-id", "their-id"
MARK = Mark("lab", "lab", "")
OP = Operation("urn:pulumi:lab::azlocal::azlocal:index:Host::here", MemoryLog(), threading.Event())


@pytest.fixture
def session() -> Iterator[Any]:
    connection = libvirt.open("test:///default")
    yield SimpleNamespace(shell=LocalShell(), qemu=connection)
    remove_pool(connection, "azlocal-lab", MARK)
    connection.close()


@pytest.fixture
def wanted(tmp_path: Path) -> HostInputs:
    return HostInputs(
        instance="lab",
        name="here",
        connection="test:///default",
        storage_directory=str(tmp_path / "lab"),
        owner=OURS,
    )


def claim(inputs: HostInputs, owner: str) -> None:
    Claim(owner, "lab", "lab", "somebody").make(LocalShell(), inputs.storage_directory)


def make_pool(session: Any, directory: str) -> None:
    ensure_pool(session.qemu, "azlocal-lab", directory + VOLUMES, MARK)


def test_an_empty_host_is_claimed_and_stays_so(session: Any, wanted: HostInputs) -> None:
    assert check_owner(session.shell, wanted) is False
    for is_unknown, new in ((True, True), (True, False), (False, False)):
        assert take_possession(OP, session, wanted, MARK, is_unknown=is_unknown) == Possession(is_new=new)
    assert check_still_ours(session.shell, wanted) == OURS
    check_may_remove(session.shell, wanted)
    give_up_possession(session, wanted)
    assert read_claim(session.shell, wanted.storage_directory) is None


def test_what_another_state_made_is_refused_everywhere(session: Any, wanted: HostInputs) -> None:
    claim(wanted, THEIRS)
    for look in (
        lambda: check_owner(session.shell, wanted),
        lambda: check_owner(session.shell, wanted.model_copy(update={"owner": None})),
        lambda: take_possession(OP, session, wanted, MARK, is_unknown=True),
        lambda: take_possession(OP, session, wanted, MARK, is_unknown=False),
        lambda: check_still_ours(session.shell, wanted),
        lambda: check_may_remove(session.shell, wanted),
        lambda: check_may_remove(session.shell, wanted.model_copy(update={"owner": None})),
    ):
        with pytest.raises(NotOurs, match="another state made it: that of somebody"):
            look()
    give_up_possession(session, wanted)
    assert imported_owner(session.shell, wanted.storage_directory) == THEIRS, "nothing was changed"


def test_an_instance_in_another_folder_is_another_states_too(
    session: Any, wanted: HostInputs, tmp_path: Path
) -> None:
    theirs = wanted.model_copy(update={"storage_directory": str(tmp_path / "elsewhere" / "lab")})
    claim(theirs, THEIRS)
    make_pool(session, theirs.storage_directory)
    with pytest.raises(NotOurs, match="another state made it"):
        take_possession(OP, session, wanted, MARK, is_unknown=True)
    assert not Path(claim_file(wanted.storage_directory)).exists()


def test_what_azlocal_0_1_0_made_is_another_states_unless_state_knows_it(session: Any, wanted: HostInputs) -> None:
    make_pool(session, wanted.storage_directory)
    with pytest.raises(NotOurs, match=r"azlocal 0\.1\.0 or older"):
        take_possession(OP, session, wanted, MARK, is_unknown=True)
    assert take_possession(OP, session, wanted, MARK, is_unknown=False) == Possession(is_new=True)
    assert check_still_ours(session.shell, wanted) == OURS


def test_the_user_can_let_exactly_that_instance_go(
    session: Any, wanted: HostInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(wanted, THEIRS)
    monkeypatch.setenv(TAKE_OVER, "a third one's")
    with pytest.raises(NotOurs):
        take_possession(OP, session, wanted, MARK, is_unknown=True)
    monkeypatch.setenv(TAKE_OVER, THEIRS)
    assert check_owner(session.shell, wanted) is True
    assert take_possession(OP, session, wanted, MARK, is_unknown=True) == Possession(has_others=True)
    assert check_still_ours(session.shell, wanted) == OURS
    assert take_possession(OP, session, wanted, MARK, is_unknown=True) == Possession()
