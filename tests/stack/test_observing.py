"""What status reads of state and hosts, and that one who hangs holds up nobody and counts as unknown."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.emulator import daemon
from infra.hosts.facts.batch import Answer
from infra.kubernetes.api import ClusterUnreachable
from infra.ssh import SshError
from infra.stack import clusters as stack_clusters
from infra.stack.observing import azure, clusters, hosts, stored
from infra.stack.observing.observer import Observer
from infra.stack.state import EngineFailed, Run, Stack
from infra.status.model import Status
from infra.status.seen import PhaseRecord, SeenHost, Unseen
from infra.status.trouble import each_of
from tests.instances import cluster, files, write_files
from tests.instances import host as host_file
from tests.status.samples import NOW, etcd, objects

DIRECTORY = "/var/lib/azlocal/lab"
HERE = "qemu+ssh://root@192.0.2.1/system"


def resource(kind: str, urn: str, modified: str = "", **outputs: Any) -> dict[str, Any]:
    made = {"modified": modified} if modified else {}
    return {"type": kind, "urn": f"urn:pulumi:lab::azlocal::{kind}::{urn}", "outputs": outputs, **made}


def machine(name: str, **more: Any) -> dict[str, Any]:
    node = {"cluster": "lab-a", "role": "worker", "version": "1.33.5"}
    first_boot = {"address": "10.220.32.20/24", "node": node if "-a-" in name else None}
    return resource("azlocal:index:Machine", name, name=name, connection=HERE, firstBoot=first_boot, **more)


DEPLOYMENT: dict[str, Any] = {
    "manifest": {"time": "2026-11-30T10:00:00Z"},
    "resources": [
        resource(
            *("azlocal:index:Host", "node1", "2026-11-30T10:00:04.000000001Z"),
            name="node1",
            connection=HERE,
            bootId="b",
            machineType="vm",
        ),
        resource("azlocal:index:Network", "aks@node1", "2026-11-30T10:00:06Z", name="lab-aks", connection=HERE),
        {**machine("lab-a-nodepool1-0", started=7), "modified": "2026-11-30T09:00:00Z"},
        machine("lab-rb-0"),
        {**machine("lab-a-cp-9"), "delete": True},
        resource("kubernetes:helm.sh/v3:Release", "calico", "2026-11-30T10:01:00Z"),
    ],
    "pending_operations": [{"type": "creating", "resource": machine("lab-a-cp-0")}],
}
BEGUN = NOW.timestamp() - 7200


def test_state_says_which_machines_and_hosts_there_are() -> None:
    machines = stored.machines_of("lab", DEPLOYMENT)
    assert machines.keys() == {"lab-a-nodepool1-0", "lab-rb-0"}
    worker = machines["lab-a-nodepool1-0"]
    assert (worker.cluster, worker.version, worker.started, worker.role) == ("a", "1.33.5", 7, "worker")
    assert (machines["lab-rb-0"].cluster, machines["lab-rb-0"].version) == ("", "")
    (host,) = stored.hosts_of(DEPLOYMENT).values()
    assert (host.name, host.boot_id, host.machine_type, *host.networks) == ("node1", "b", "vm", "lab-aks")


def test_phases_are_read_from_when_resources_were_made() -> None:
    phases = stored.phases_of(DEPLOYMENT, BEGUN)
    assert phases["hosts and networks"] == PhaseRecord((4.0, 6.0), 0, 2)
    assert phases["machines"] == PhaseRecord((), 1, 3), "one is being made, and two were made before this run"
    assert phases["add-ons"] == PhaseRecord((60.0,), 0, 1)
    assert "Azure Arc" not in phases
    assert stored.phases_of(DEPLOYMENT, BEGUN, BEGUN + 4)["hosts and networks"].seconds == (4.0,)


def test_what_a_run_is_told_to_do_is_seen_in_its_process(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cmdline").write_bytes(b"pulumi\0destroy\0--stack\0up\0")
    lock = {"pid": 7, "hostname": socket.gethostname()}
    assert stored.verb_of(lock, tmp_path) == "destroy"
    assert stored.verb_of({**lock, "hostname": "elsewhere"}, tmp_path) == ""
    assert stored.verb_of({**lock, "pid": 8}, tmp_path) == ""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack of two hosts and a cluster, whose state is in files and has what the plan has."""
    content = files(
        [cluster()], hosts=[host_file(number, cpus=16, memoryGiB=64, diskGiB=500) for number in (1, 2)]
    )
    write_files(tmp_path, content)
    (tmp_path / "Pulumi.yaml").write_text("name: azlocal\n")
    found = Stack("lab", tmp_path, (tmp_path / "state").as_uri())
    write_state(found, {"resources": [machine("lab-a-cp-0"), machine("lab-a-nodepool1-0")]})
    return found


def folder(stack: Stack) -> Path:
    return stack.directory / "state/.pulumi"


def write_state(stack: Stack, deployment: dict[str, Any]) -> None:
    path = folder(stack) / "stacks/azlocal/lab.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 3, "checkpoint": {"latest": deployment}}))


def write_run(stack: Stack, number: int, deployment: dict[str, Any] | None = None, **entry: Any) -> None:
    path = folder(stack) / f"history/azlocal/lab/lab-{number}.history.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entry))
    if deployment is not None:
        copy = path.with_name(f"lab-{number}.checkpoint.json")
        copy.write_text(json.dumps({"version": 3, "checkpoint": {"latest": deployment}}))


def write_lock(stack: Stack, **lock: Any) -> None:
    path = folder(stack) / "locks/organization/azlocal/lab/1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"username": "ann", "timestamp": "2026-11-30T11:59:19.123456789Z", **lock}))


def test_a_run_that_goes_on_is_compared_with_the_last_one_that_changed_something(stack: Stack) -> None:
    at = int(BEGUN)
    made = {"create": 32, "same": 1}
    write_run(
        stack,
        1,
        DEPLOYMENT,
        kind="update",
        result="succeeded",
        startTime=at,
        endTime=at + 99,
        resourceChanges=made,
    )
    write_run(
        stack,
        2,
        kind="update",
        result="succeeded",
        startTime=at + 200,
        endTime=at + 203,
        resourceChanges={"same": 33},
    )
    write_run(stack, 3, kind="refresh", result="failed", startTime=at + 300, endTime=at + 301)
    write_lock(stack, pid=1, hostname="elsewhere")
    seen = stored.state_of(stack, stack.deployment())
    assert seen.lock is not None
    assert (seen.lock.owner, seen.lock.command, seen.last_alike) == ("ann on elsewhere", "", None)
    assert seen.last_run is not None
    assert (seen.last_run.command, seen.last_run.result, seen.last_run.seconds) == ("azlocal refresh", "failed", 1)

    (run,) = [run for run in stack.runs(9) if run.changes]
    assert run == Run("update", "succeeded", at, at + 99, 32)
    assert stored.phases_of(stack.deployment_after(run), run.started, run.ended)["add-ons"].seconds == (60.0,)


def test_the_command_of_a_run_on_this_machine_says_which_runs_were_alike(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "verb_of", lambda _lock: "up")
    monkeypatch.setattr(stored, "is_dead", lambda _lock: False)
    at = int(BEGUN)
    write_run(
        stack,
        1,
        DEPLOYMENT,
        kind="update",
        result="succeeded",
        startTime=at,
        endTime=at + 99,
        resourceChanges={"create": 1},
    )
    write_lock(stack, pid=1, hostname="here")
    seen = stored.state_of(stack, stack.deployment())
    assert seen.lock is not None
    assert seen.lock.command == "azlocal up"
    assert seen.last_alike is not None
    assert seen.last_alike.seconds == 99
    assert seen.last_phases["add-ons"] == PhaseRecord((60.0,), 0, 1)
    monkeypatch.setattr(stored, "verb_of", lambda _lock: "destroy")
    seen = stored.state_of(stack, stack.deployment())
    assert seen.lock is not None
    assert (seen.lock.command, seen.phases, seen.last_phases) == ("azlocal down", {}, {}), "it makes nothing"


def test_a_run_that_was_killed_or_failed_is_told(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(stack, 1, kind="update", result="failed", startTime=1, endTime=2)
    assert stored.state_of(stack, stack.deployment()).unsettled == ("the last run failed",)
    monkeypatch.setattr(stored, "is_dead", lambda _lock: True)
    write_lock(stack, pid=1, hostname="here")
    seen = stored.state_of(stack, stack.deployment())
    assert seen.lock is None
    assert seen.unsettled[0] == "the run that locked this stack is gone (killed?)"


def test_the_engines_command_tells_of_runs_as_well() -> None:
    entry = {"kind": "update", "result": "succeeded", "startTime": "2026-11-30T10:00:00.000Z", "endTime": ""}
    assert Run.of(entry).started == BEGUN
    assert Run.of(entry).seconds == 0


# -- hosts -----------------------------------------------------------------------------------------


def answers(**more: Answer) -> dict[str, Answer]:
    uuid = "11111111-aaaa-8bbb-8ccc-000000000001"
    system = {"target": "/", "source": "/dev/vda", "fstype": "ext4", "size": 1 << 40, "avail": 1 << 39}
    memory = "/proc/meminfo:MemTotal: 2048 kB\n/proc/meminfo:MemAvailable: 1024 kB\n"
    status = f'{DIRECTORY}/backups/lab-a.schedule/status.json:{{"failure": "no member answers"}}\n'
    backup = {
        "instance": "lab",
        "cluster": "a",
        "taken": "2026-11-30T09:00:00Z",
        "kubernetesVersion": "1.33.5",
        "revision": 7,
        "sha256": "",
        "size": 1,
        "caHash": "",
        "reason": "schedule",
    }
    return {
        "machines": Answer(
            0, f"{uuid} lab-rb-0\n\n:states\n 1 lab-rb-0 running\n\n:networks\n lab-aks active yes yes\n"
        ),
        "containers": Answer(1, "error: no connection driver available for lxc:///system"),
        "systems": Answer(0, json.dumps({"filesystems": [system]})),
        "loops": Answer(0, ""),
        "backups": Answer(0, json.dumps(backup) + "\nno JSON\n"),
        "files": Answer(2, f"/proc/sys/kernel/random/boot_id:b-1\n{memory}{status}"),
        **more,
    }


def read(**more: Answer) -> SeenHost:
    return hosts.read(DIRECTORY, "lab", ["a"], answers(**more))


def test_a_host_tells_all_of_it_in_one_command() -> None:
    seen = read()
    assert not isinstance(seen.running, Unseen)
    assert seen.running.domains["lab-rb-0"].is_running
    assert seen.running.networks == {"lab-aks": True}
    assert (seen.boot_id, seen.memory_mib, seen.available_memory_mib) == ("b-1", 2, 1)
    assert (seen.disk_mib, seen.available_disk_mib) == (1 << 20, 1 << 19)
    assert [backup.cluster for backup in seen.backups] == ["a"]
    assert seen.schedules["a"].failure == "no member answers"


def test_a_host_that_tells_a_part_is_known_as_far() -> None:
    seen = hosts.read(DIRECTORY, "lab", ["a"], {"files": answers()["files"]})
    assert isinstance(seen.running, Unseen)
    assert not seen.running.is_refusal
    assert (seen.boot_id, seen.disk_mib, seen.backups) == ("b-1", None, ())


@pytest.mark.parametrize(
    ("answer", "is_refusal"),
    [(Answer(1, ""), True), (Answer(127, ""), True), (Answer(124, ""), False), (Answer(0, "x"), False)],
)
def test_a_libvirt_that_refuses_is_told_apart_from_one_that_hangs(answer: Answer, is_refusal: bool) -> None:
    seen = read(machines=answer).running
    assert isinstance(seen, Unseen)
    assert seen.is_refusal is is_refusal


# -- all at once -----------------------------------------------------------------------------------


@pytest.fixture
def everybody(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., Any]]:
    """Everybody who is asked, each of whom a test may have answer otherwise."""
    asked: dict[str, Callable[..., Any]] = {
        "host": lambda *_: read(),
        "keys": lambda _stack: [],
        "objects": lambda *_: objects(),
    }
    monkeypatch.setattr(hosts, "look", lambda *words: asked["host"](*words))
    monkeypatch.setattr(stack_clusters, "clusters_of", lambda stack: asked["keys"](stack))
    monkeypatch.setattr(clusters, "objects_of", lambda *words: asked["objects"](*words))
    monkeypatch.setattr(clusters, "silent_of", lambda _cluster: ())
    monkeypatch.setattr(clusters, "etcd_of", lambda _cluster: etcd())
    monkeypatch.setattr(clusters, "ends_of_servers", lambda _cluster: {})
    monkeypatch.setattr(clusters, "end_of_administrator", lambda _kubeconfig: None)
    return asked


class Keys:
    """A cluster's keys, as far as tests need them."""

    name = "a"

    class placement:  # noqa: N801 - an attribute of the real one
        kubeconfig = "x"


def failures(seen: Status) -> dict[str, str | None]:
    return {source.name: source.failure for source in seen.sources if source.failure}


def test_everybody_is_asked_once_and_at_the_same_time(stack: Stack, everybody: dict[str, Any]) -> None:
    everybody["keys"] = lambda _stack: [Keys]
    seen = Observer(stack, 5).look()
    assert failures(seen) == {}
    assert [source.name for source in seen.sources] == [
        "keys in state",
        "host node1",
        "host node2",
        "API of cluster a",
        "API servers of cluster a",
        "etcd of cluster a",
        "certificates of cluster a",
    ]
    assert seen.clusters[0].version == "1.33.5"


def test_one_that_hangs_is_unknown_in_time_and_is_not_asked_again_meanwhile(
    stack: Stack, everybody: dict[str, Any]
) -> None:
    end, calls = threading.Event(), []

    def hang(connection: str, *_: Any) -> SeenHost:
        calls.append(connection)
        if connection == HERE:
            end.wait(20)
        return read()

    everybody |= {"host": hang, "keys": lambda _stack: [Keys]}
    observer = Observer(stack, 0.5)
    begun = time.monotonic()
    for _ in range(2):
        seen = observer.look()
        assert failures(seen) == {"host node1": "no answer within 0.5 s; --timeout gives it more"}
        assert {host.name: host.state for host in seen.hosts} == {"node1": "unknown", "node2": "ok"}
    assert time.monotonic() - begun < 10
    assert calls.count(HERE) == 1
    end.set()


def test_who_refuses_is_told_with_its_words(stack: Stack, everybody: dict[str, Any]) -> None:
    def refuse(error: Exception) -> Callable[..., Any]:
        def ask(*_: Any) -> Any:
            raise error

        return ask

    everybody |= {
        "host": refuse(SshError("no route\nto host")),
        "keys": lambda _stack: [Keys],
        "objects": refuse(ClusterUnreachable("the API server doesn't answer: refused")),
    }
    seen = Observer(stack, 5).look()
    assert failures(seen)["host node1"] == "no route to host"
    api = next(reason for reason in each_of(seen.reasons) if reason.subject.startswith("API server"))
    assert (api.level, api.text) == ("wrong", "the API server doesn't answer: refused")

    everybody["keys"] = refuse(EngineFailed("no passphrase", 255))
    told = failures(Observer(stack, 5).look())
    assert {name: why for name, why in told.items() if "cluster" in name} == dict.fromkeys(
        (
            "API of cluster a",
            "API servers of cluster a",
            "etcd of cluster a",
            "certificates of cluster a",
        ),
        "no passphrase",
    )
    everybody |= {"keys": lambda _stack: [], "host": refuse(ZeroDivisionError("x"))}
    told = failures(Observer(stack, 5).look())
    assert told["etcd of cluster a"] == "state has no keys of it yet"
    assert told["host node1"] == "azlocal itself failed (ZeroDivisionError: x)"


def test_keys_are_asked_again_only_where_state_is_new(stack: Stack, everybody: dict[str, Any]) -> None:
    calls: list[str] = []

    def keys(_stack: Stack) -> list[Any]:
        calls.append("")
        return [Keys]

    everybody["keys"] = keys
    observer = Observer(stack, 5)
    for moment, expected in (("1", 1), ("1", 1), ("2", 2)):
        resources = [machine("lab-a-cp-0")]
        write_state(stack, {"manifest": {"time": moment}, "resources": resources})
        observer.look()
        assert len(calls) == expected


def test_an_emulator_is_looked_at_and_never_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from infra.arc.errors import ArcError
    from infra.emulator.environment import emulated_environment

    monkeypatch.setattr(daemon, "default_folder", lambda _instance: tmp_path / "none")
    monkeypatch.setattr(daemon, "ensure_running", lambda _folder: pytest.fail("it was started"))
    assert not azure.is_emulator_up("lab")
    with pytest.raises(ArcError, match="doesn't run"):
        emulated_environment(tmp_path / "none", starts=False)
