"""How the plugin's process begins and ends, and which kinds it imports only when they act."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import infra
from infra.provider.kind import Kind
from infra.provider.kinds import all_kinds
from infra.provider.kinds.deferred import Deferred
from infra.resources.contract import Contract
from tests.waiting import eventually, has_ended

PLUGIN = [sys.executable, "-m", "infra.provider"]
# Prints its child's number, and lets the child tell its port.
PARENT = "import subprocess, sys, time; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(60)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_as_soon_as_its_port_is_known(number: signal.Signals) -> None:
    with subprocess.Popen(PLUGIN, stdout=subprocess.PIPE) as plugin:
        assert plugin.stdout is not None
        assert int(plugin.stdout.readline()) > 0
        plugin.send_signal(number)
        assert plugin.wait(10) == 0


def test_it_ends_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, *PLUGIN], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert int(parent.stdout.readline()) > 0  # the plugin's port
        assert not has_ended(pid)
        parent.kill()
    try:
        eventually(lambda: has_ended(pid), "the plugin's end after its parent's", 10, every=0.01)
    finally:
        if not has_ended(pid):
            os.kill(pid, signal.SIGKILL)


def test_each_kind_is_served_under_its_contracts_token() -> None:
    kinds = all_kinds()
    assert {token: kind.contract.token for token, kind in kinds.items()} == {token: token for token in kinds}
    assert kinds.keys() <= Contract.registry.keys()
    assert len(kinds) == len(kinds.keys()) == 19
    assert "azlocal:index:Nothing" not in kinds


def test_a_deferred_kind_adds_nothing_to_its_contracts_check() -> None:
    """Else its check would never run."""
    deferred = {token: kind for token, kind in all_kinds().items() if isinstance(kind, Deferred)}
    assert len(deferred) == 13
    for token, kind in deferred.items():
        itself = kind.kind()
        assert itself.contract is kind.contract, token
        assert type(itself).check is Kind.check, token
        assert kind.kind() is itself


def test_every_kind_has_a_file_and_every_file_a_kind() -> None:
    folder = Path(str(import_module("infra.resources").__path__[0]))
    contracts = {
        path.stem
        for path in folder.glob("*.py")
        if path.stem not in {"__init__", "arguments", "contract", "declared", "azure_access", "on_cluster"}
    }
    served = {
        type(kind.kind() if isinstance(kind, Deferred) else kind).__module__ for kind in all_kinds().values()
    }
    assert {name.rpartition(".")[2] for name in served} == contracts


def test_the_version_is_that_of_the_package() -> None:
    assert infra.__version__ == version("azlocal")
