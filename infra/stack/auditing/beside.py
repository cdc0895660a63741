"""What an audit looks at that is on no host: Azure, the emulator, and files of whoever runs azlocal."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.audit.model import Item, Place
from infra.files import user_cache
from infra.resources.arc_emulator import ARC_EMULATOR
from infra.resources.connected_cluster import CONNECTED_CLUSTER
from infra.resources.machine import MACHINE
from infra.stack.settle import resources_of

if TYPE_CHECKING:
    from infra.spec import InstanceSpec

AZURE: Final = "Azure"
USER: Final = "this user"
_HASHED: Final = "|1|"
_CONNECTED_CLUSTERS: Final = "microsoft.kubernetes/connectedclusters"


def user_files(contexts: Iterable[str], standing: Iterable[str], addresses: Iterable[str]) -> Place:
    """Return what the user's kubeconfig and known_hosts have of an instance.

    Args:
        contexts: What kubectl's contexts of its clusters are called.
        standing: Those of clusters that stand.
        addresses: Its machines' addresses, and names, that are gone.
    """
    from infra.errors import UserError
    from infra.kubernetes.kubeconfig import default_file, merged_contexts

    items: list[Item] = []
    unseen = {}
    contexts, standing = list(contexts), set(standing)
    file = default_file()
    try:
        for context in merged_contexts(file, contexts):
            if context not in standing:
                items.append(Item("leftover", "context", context, f"in {file}"))
    except (UserError, OSError) as error:
        unseen["contexts"] = str(error)
    known_hosts = Path.home() / ".ssh" / "known_hosts"
    lines = _lines(known_hosts)
    for name in sorted(set(addresses)):
        numbers = [str(number) for number, line in enumerate(lines, 1) if _speaks_of(line, name)]
        if numbers:
            note = f"line {', '.join(numbers)} of {known_hosts}, written by your ssh: `ssh-keygen -R {name}`"
            items.append(Item("note", "known_hosts", name, note))
    return Place(USER, tuple(items), len(contexts) + len(lines), unseen)


def emulator(instance: str, deployment: Mapping[str, Any], names: Iterable[str] = ()) -> Place:
    """Return what is there of the instance's emulator on this machine; it isn't started for that.

    Args:
        instance: Whose.
        deployment: What its state has.
        names: What the connected clusters of its files are called.
    """
    from infra.emulator import daemon
    from infra.emulator.errors import EmulatorError

    resources = resources_of(deployment)
    is_wanted = any(resource["type"] == ARC_EMULATOR.token for resource in resources)
    folder = daemon.default_folder(instance)
    try:
        there = daemon.status(folder)
        if there is None:
            missing = [Item("missing", "emulator", instance, "state says that it stands")] if is_wanted else []
            return Place(AZURE, tuple(missing), 1)
        entries = daemon.resources(folder)
    except EmulatorError as error:
        return Place(AZURE, unseen={"emulator": str(error)})
    items = []
    if not is_wanted and there.pid is not None:
        items.append(Item("leftover", "emulator", instance, f"process {there.pid}"))
    elif not is_wanted:
        items.append(Item("kept", "emulator", str(folder), "with resources that others made"))
    there_too = {
        resource.id.rpartition("/")[2].lower()
        for resource in entries
        if resource.type.lower() == _CONNECTED_CLUSTERS
    }
    items += _compared(names, _clusters(deployment), lambda name: name.lower() in there_too, "in the emulator")
    return Place(AZURE, tuple(items), 1 + len(entries))


def azure(spec: InstanceSpec, deployment: Mapping[str, Any]) -> Place:
    """Return what Azure has of the clusters that the files connect, or state has connected.

    The emulator is only looked at where it stands.
    """
    from infra.arc.errors import ArcError
    from infra.doctor.azure import azure_of
    from infra.plan.arc_topology import arc_of, connected_cluster_of

    arc = arc_of(spec)
    if arc is None:
        return Place(AZURE)
    described = (connected_cluster_of(spec, cluster) for cluster in spec.stack.clusters)
    names = [cluster.name for cluster in described if cluster is not None]
    if arc.is_emulated:
        return emulator(spec.name, deployment, names)
    standing = _clusters(deployment)
    where = f"in resource group {arc.resource_group}"
    try:
        with azure_of(spec, arc) as door:
            items = _compared(names, standing, lambda name: door.get_cluster(name) is not None, where)
    except (ArcError, OSError) as error:
        return Place(AZURE, unseen={"connected clusters": str(error)})
    return Place(AZURE, tuple(items), len({*names, *standing}))


def store_here() -> list[Item]:
    """Return what stays on this machine on purpose, for the next `up` of any stack."""
    folder = user_cache() / "azlocal"
    return (
        [Item("kept", "image", str(folder), "node images and bundles, for all stacks")] if folder.is_dir() else []
    )


def addresses_of(deployment: Mapping[str, Any]) -> list[str]:
    """Return the addresses and names of the machines in state."""
    machines = [
        resource.get("outputs") or {} for resource in resources_of(deployment) if resource["type"] == MACHINE.token
    ]
    at = [str((machine.get("firstBoot") or {}).get("address", "")).partition("/")[0] for machine in machines]
    return [name for name in (*at, *(str(machine.get("name", "")) for machine in machines)) if name]


def _compared(
    planned: Iterable[str], standing: Iterable[str], is_there: Callable[[str], bool], where: str
) -> list[Item]:
    """Return which connected clusters are left in Azure and which are missing there; they carry no mark."""
    items, standing = [], set(standing)
    for name in sorted({*planned, *standing}):
        if is_there(name) and name not in standing:
            note = f"{where}; not in this stack's state"
            items.append(Item("leftover", "arm", name, note, is_certain=False))
        elif name in standing and not is_there(name):
            items.append(Item("missing", "arm", name, "state says that it is connected"))
    return items


def _clusters(deployment: Mapping[str, Any]) -> list[str]:
    resources = resources_of(deployment)
    return [
        str((resource.get("outputs") or {}).get("name", ""))
        for resource in resources
        if resource["type"] == CONNECTED_CLUSTER.token
    ]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _speaks_of(line: str, name: str) -> bool:
    """Return whether a line of known_hosts is about a host (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT")."""
    return any(_matches(pattern, name) for pattern in _patterns(line))


def _patterns(line: str) -> Iterator[str]:
    words = line.split()
    if not words or words[0].startswith("#"):
        return
    yield from words[1 if words[0].startswith("@") else 0].split(",") if len(words) > 1 else ()


def _matches(pattern: str, name: str) -> bool:
    if not pattern.startswith(_HASHED):
        return pattern == name
    salt, _, digest = pattern.removeprefix(_HASHED).partition("|")
    try:
        expected = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(expected, base64.b64decode(digest))
    except ValueError:
        return False
