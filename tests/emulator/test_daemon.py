"""The emulator as a process: its folder, its life, and what outlives it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from infra.emulator import daemon
from infra.emulator.errors import EmulatorError
from infra.emulator.settings import Folder
from tests.emulator.azure_sdk import OF_CLUSTER, Azure, extension_body
from tests.waiting import eventually, has_ended

VERSION = "api-version=2021-04-01"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "emulator"
    daemon.remove(tmp_path / "emulator")


def found(folder: Path) -> daemon.Emulator:
    """Return the emulator that a folder has to hold, running or not."""
    emulator = daemon.status(folder)
    assert emulator is not None
    return emulator


def pid_of(emulator: daemon.Emulator) -> int:
    """Return the process of an emulator that has to run."""
    assert emulator.pid is not None
    return emulator.pid


def test_setting_up_again_changes_nothing(folder: Path) -> None:
    first = daemon.initialise(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert daemon.initialise(folder) == first
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert first.pid is None
    assert daemon.status(folder) == first


def test_only_the_owner_reads_secrets(folder: Path) -> None:
    daemon.ensure_running(folder)
    readable = {path.name for path in folder.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077}
    assert readable <= {"ca.pem", "server.pem", "emulator.pid", "code", "lock", "emulator.log"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    client = json.loads((folder / "client.json").read_text())
    assert set(client) == {"clientId", "clientSecret", "tenantId", "subscriptionId"}
    shown = Path(f"/proc/{daemon.ensure_running(folder).pid}/cmdline").read_text()
    shown += Path(f"/proc/{daemon.ensure_running(folder).pid}/environ").read_text()
    assert client["clientSecret"] not in shown + (folder / "emulator.log").read_text()


def test_runs_once(folder: Path) -> None:
    starts = [
        subprocess.Popen(
            [
                *(sys.executable, "-c"),
                "import sys, pathlib; from infra.emulator import daemon; "
                "print(daemon.ensure_running(pathlib.Path(sys.argv[1])).pid)",
                str(folder),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    pids = {process.communicate(timeout=60)[0] for process in starts}
    assert len(pids) == 1
    assert found(folder).pid == int(pids.pop())


def test_state_survives_restart_and_kill(folder: Path) -> None:
    azure = Azure(daemon.ensure_running(folder))
    azure.group("g")
    cluster = azure.connect("g", "a")
    azure.agents.beat(cluster.id)
    protected = {"key": "secret"}
    azure.extensions.begin_create(
        "g", *OF_CLUSTER, "a", "x", extension_body(configurationProtectedSettings=protected), polling=False
    )
    azure.admin.advance(60)
    azure.admin.plant(kind="throttle", path="/nothing")
    faults = azure.admin.faults()

    assert daemon.stop(folder)
    again = Azure(daemon.ensure_running(folder))
    assert again.emulator.url == azure.emulator.url
    assert again.clusters.get("g", "a").properties.connectivity_status == "Connected"
    assert again.admin.faults() == faults
    assert again.admin.clock()["offsetSeconds"] >= 60

    again.connect("g", "b")
    os.kill(pid_of(again.emulator), signal.SIGKILL)
    third = Azure(daemon.ensure_running(folder))
    assert {one.name for one in third.clusters.list_by_subscription()} == {"a", "b"}
    wanted = third.agents.desired(cluster.id)["x"]
    assert (wanted.protected, wanted.is_reported) == (protected, False)
    third.agents.report(cluster.id, "x")
    assert third.extensions.get("g", *OF_CLUSTER, "a", "x").properties.provisioning_state == "Succeeded"
    # A token of before is still good: clients keep theirs.
    assert azure.arm("GET", f"{cluster.id}?api-version=2024-01-01")[0] == 200


# CPython forgets to close a socket whose peer resets it right before the handshake (3.11, ssl.py).
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_nothing_that_was_answered_is_lost_by_a_kill(folder: Path) -> None:
    azure = Azure(daemon.ensure_running(folder))
    groups = f"/subscriptions/{azure.subscription}/resourcegroups"
    answered: list[str] = []

    def write() -> None:
        with contextlib.suppress(OSError, HTTPException):  # the end of the server
            for number in range(10_000):
                status, made, _ = azure.arm("PUT", f"{groups}/g{number}?{VERSION}", {"location": "eastus"})
                assert status == 201
                answered.append(made["name"])

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: len(answered) >= 20, "twenty answers")
    os.kill(pid_of(azure.emulator), signal.SIGKILL)
    writer.join()
    again = Azure(daemon.ensure_running(folder))
    kept = {one["name"] for one in again.arm("GET", f"{groups}?{VERSION}")[1]["value"]}
    assert set(answered) <= kept
    assert len(kept) <= len(answered) + 1  # one may have been written and not answered


def test_agents_address_is_listened_on_before_it_exists(folder: Path) -> None:
    daemon.ensure_running(folder)
    before = found(folder)
    again = daemon.initialise(folder, agent_address="10.255.254.1")
    assert again.agent_url == f"https://10.255.254.1:{before.port}"
    assert again.url == before.url
    assert again.pid not in (None, before.pid)
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line]
    at_port = {address.partition(":")[0] for address in listening if address.endswith(f":{before.port:04X}")}
    assert at_port == {"0100007F", "01FEFF0A"}  # 127.0.0.1 and 10.255.254.1, nothing else
    assert Azure(again).ask("GET", "/")[0] == 200
    assert daemon.initialise(folder, agent_address="10.255.254.1").pid == again.pid
    assert daemon.initialise(folder).agent_url == again.agent_url
    with pytest.raises(EmulatorError, match="no IPv4 address"):
        daemon.initialise(folder, agent_address="nonsense")
    with pytest.raises(EmulatorError, match="not at all of them"):
        daemon.initialise(folder, agent_address="0.0.0.0")


def test_taken_port_is_told(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        daemon.initialise(folder, port=taken.getsockname()[1])
        with pytest.raises(EmulatorError, match=r"(?s)ended again: .* taken by another"):
            daemon.ensure_running(folder)


def test_one_that_doesnt_answer_is_told_apart_from_one_that_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "_READY_SECONDS", 0)
    with pytest.raises(EmulatorError, match="doesn't answer after 0 s"):
        daemon.ensure_running(folder)
    assert found(folder).pid is None


def test_older_code_is_replaced(folder: Path) -> None:
    first = daemon.ensure_running(folder)
    (folder / "code").write_text("another")
    second = daemon.ensure_running(folder)
    assert second.pid != first.pid
    assert daemon.ensure_running(folder).pid == second.pid


def test_another_process_with_its_pid_is_left_alone(folder: Path) -> None:
    daemon.initialise(folder)
    other = subprocess.Popen(["sleep", "60"])
    try:
        (folder / "emulator.pid").write_text(f"{other.pid}\n")
        assert found(folder).pid is None
        assert not daemon.stop(folder)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_what_is_left_keeps_the_folder(folder: Path) -> None:
    azure = Azure(daemon.ensure_running(folder))
    made = azure.group("g")
    azure.connect(made, "a")
    assert daemon.retire(folder) == [azure.cluster_id(made, "a")]
    assert found(folder).pid is None
    daemon.reset(folder)
    assert daemon.retire(folder) == []
    assert not folder.exists()
    assert daemon.retire(folder) == []
    assert daemon.status(folder) is None


def test_an_empty_group_is_nothing_to_keep(folder: Path) -> None:
    Azure(daemon.ensure_running(folder)).group("g")
    assert daemon.retire(folder) == []
    assert not folder.exists()


def test_reset_forgets_but_keeps_ids(folder: Path) -> None:
    azure = Azure(daemon.ensure_running(folder))
    azure.group("g")
    azure.admin.advance(60)
    daemon.reset(folder)
    again = Azure(found(folder))
    assert list(again.resources.resource_groups.list()) == []
    assert again.subscription == azure.subscription
    assert again.admin.clock()["offsetSeconds"] == 0


def wait_for_end(pid: int) -> None:
    eventually(lambda: has_ended(pid), "the process ends")


def test_ends_by_itself_without_its_folder_and_leaves_the_next_one_alone(folder: Path) -> None:
    first = daemon.ensure_running(folder)
    Azure(first).group("g")
    shutil.rmtree(folder)
    second = daemon.ensure_running(folder)
    begun = time.monotonic()
    wait_for_end(pid_of(first))
    assert second.settings.subscription_id != first.settings.subscription_id
    time.sleep(max(0.0, begun + 1.5 - time.monotonic()))  # so that the second one has looked, too, as each second
    assert found(folder).pid == second.pid
    assert Azure(second).ask("GET", "/")[0] == 200


def test_ends_by_itself_without_its_state_and_says_so(folder: Path) -> None:
    first = daemon.ensure_running(folder)
    files = Folder(folder)
    files.state_file.rename(folder / "elsewhere")
    wait_for_end(pid_of(first))
    assert f"{files.state_file} is gone" in files.log_file.read_text()
    assert found(folder).pid is None
    again = daemon.ensure_running(folder)
    assert again.url == first.url
    assert list(Azure(again).resources.resource_groups.list()) == []


def test_unreadable_state_is_told(folder: Path) -> None:
    daemon.initialise(folder)
    Folder(folder).state_file.write_bytes(b"not a database, but long enough to look at" * 50)
    with pytest.raises(EmulatorError, match="can't be read"):
        daemon.ensure_running(folder)
    started = time.monotonic()
    assert not daemon.stop(folder)
    assert time.monotonic() - started < 5, "it isn't waited for"
    Folder(folder).client_file.write_text('{"clientSecret": "c4nary"}')
    Folder(folder).state_file.unlink()
    with pytest.raises(EmulatorError) as error:
        daemon.ensure_running(folder)
    assert "c4nary" not in str(error.value)
