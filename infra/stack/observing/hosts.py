"""What a host tells in one command: what its libvirt runs, what room it has, which snapshots it keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from typing import Any, Final

from infra.hosts.asking import answers_of
from infra.hosts.facts import Fact
from infra.hosts.facts.batch import NOT_THERE, Answer, NoAnswer, learn
from infra.hosts.facts.files import contents
from infra.hosts.facts.libvirt import RUNNING, RUNNING_CONTAINERS, Running
from infra.hosts.facts.storage import FILE_SYSTEMS, LOOP_FILES, Storage
from infra.hosts.facts.system import BOOT_ID, MEMORY, parse_memory
from infra.kvm.backups import listing, parse_backups
from infra.kvm.host_folders import BACKUPS
from infra.kvm.snapshot_timer import read_status, status_file
from infra.ssh import root_shell
from infra.status.seen import Seen, SeenHost, Unseen

_MIB: Final = 1 << 20


def look(connection: str, directory: str, instance: str, clusters: Collection[str], seconds: float) -> SeenHost:
    """Ask a host.

    Args:
        connection: Its libvirt URI.
        directory: The instance's storage directory there.
        instance: The instance.
        clusters: Those of which it may take snapshots.
        seconds: What it may take.

    Raises:
        ShellError: It can't be asked.
    """
    with closing(root_shell(connection)) as shell:
        answers = answers_of(
            shell, facts(directory, instance, clusters), seconds=seconds, command_seconds=max(1, int(seconds))
        )
    return read(directory, instance, clusters, answers)


def facts(directory: str, instance: str, clusters: Collection[str]) -> dict[str, Fact[Any]]:
    """Return what a host is asked, by names."""
    return {
        "machines": RUNNING,
        "containers": RUNNING_CONTAINERS,
        "systems": FILE_SYSTEMS,
        "loops": LOOP_FILES,
        "backups": _backups(directory),
        "files": _files(directory, instance, clusters),
    }


def read(directory: str, instance: str, clusters: Collection[str], answers: Mapping[str, Answer]) -> SeenHost:
    """Return what a host that has answered told. Pure."""
    files = _answer(answers, "files", _files(directory, instance, clusters)) or {}
    memory = parse_memory(files[MEMORY]) if MEMORY in files else {}
    systems, loops = _answer(answers, "systems", FILE_SYSTEMS), _answer(answers, "loops", LOOP_FILES)
    storage = Storage((), systems or (), loops or ())
    holding = storage.holding(directory)
    paths = {cluster: status_file(directory, instance, cluster) for cluster in clusters}
    return SeenHost(
        running=_running(answers),
        boot_id=files.get(BOOT_ID, "").strip(),
        memory_mib=memory["MemTotal"] // _MIB if "MemTotal" in memory else None,
        available_memory_mib=memory["MemAvailable"] // _MIB if "MemAvailable" in memory else None,
        disk_mib=holding.size // _MIB if holding else None,
        available_disk_mib=storage.available(holding) // _MIB if holding else None,
        backups=tuple(_answer(answers, "backups", _backups(directory)) or ()),
        schedules={
            cluster: read_status(path, files[path].encode()) for cluster, path in paths.items() if path in files
        },
    )


def _running(answers: Mapping[str, Answer]) -> Seen[Running]:
    both = []
    for name, fact in (("machines", RUNNING), ("containers", RUNNING_CONTAINERS)):
        answer = answers.get(name)
        try:
            both.append(learn(fact, answer))
        except NoAnswer as error:
            # A command that ended, and failed, is an answer; one that was broken off is none.
            return Unseen(str(error), is_refusal=answer is not None and _has_failed(answer))
    machines, containers = both
    return Running({**machines.domains, **containers.domains}, machines.networks)


def _has_failed(answer: Answer) -> bool:
    return answer.exit_code in (1, NOT_THERE) or "error:" in answer.output


def _answer(answers: Mapping[str, Answer], name: str, fact: Fact[Any]) -> Any:
    """Return a fact without which there is still enough to tell; None where it can't be learnt."""
    try:
        return learn(fact, answers.get(name))
    except NoAnswer:
        return None


def _backups(directory: str) -> Fact[Any]:
    return Fact(listing(f"{directory}/{BACKUPS}"), parse_backups, as_root=True, must_succeed=False)


def _files(directory: str, instance: str, clusters: Collection[str]) -> Fact[Any]:
    return contents((BOOT_ID, MEMORY, *(status_file(directory, instance, cluster) for cluster in clusters)))
