"""What an instance has left on this machine, asked of libvirt, the kernel and the file system themselves."""

from __future__ import annotations

import glob
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.kvm.ownership import Mark
from infra.model.local_libvirt import LXC, QEMU
from infra.plan.host_networks import bridge_name
from infra.plan.inventory import BRIDGE_MACHINE


def leftovers(instance: str) -> list[str]:
    """Return a line for each object of the instance that still stands; empty when it is proven gone."""
    return [
        *_libvirt(LXC, "list", instance),
        *_libvirt(QEMU, "list", instance),
        *_libvirt(QEMU, "net-list", instance),
        *_libvirt(QEMU, "pool-list", f"azlocal-{instance}"),
        *_mounts(instance),
        *_loop_devices(instance),
        *_bridges(instance),
        *_processes(instance),
        *_control_groups(instance),
        *_files(instance),
    ]


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _libvirt(uri: str, command: str, start: str) -> list[str]:
    names = _run("virsh", "-q", "-c", uri, command, "--all", "--name").split()
    return [f"{uri} {command}: {name}" for name in names if name.startswith(start)]


def _mounts(instance: str) -> list[str]:
    return [
        f"mount: {line}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if f"/azlocal/{instance}" in line
    ]


def _loop_devices(instance: str) -> list[str]:
    devices = json.loads(_run("losetup", "--json", "--list") or '{"loopdevices": []}')["loopdevices"]
    return [
        f"loop device: {device}" for device in devices if f"/azlocal/{instance}" in (device["back-file"] or "")
    ]


def _bridges(instance: str) -> list[str]:
    ours = {bridge_name(instance, network) for network in ("infrastructure", "aks")}
    return [f"link: {path.name}" for path in Path("/sys/class/net").iterdir() if path.name in ours]


def emulators(instance: str) -> list[int]:
    """Return the processes that stand in for Azure for the instance."""
    return [pid for pid, words in _command_lines() if _is_emulator(words, instance)]


def _processes(instance: str) -> list[str]:
    return [
        f"process: {' '.join(words)[:200]}"
        for _, words in _command_lines()
        if _is_emulator(words, instance) or _serves_machines(words, instance)
    ]


def _serves_machines(words: Sequence[str], instance: str) -> bool:
    program = words[0].rpartition("/")[2]
    return program in {"dnsmasq", "swtpm", "qemu-system-x86_64", "libvirt_lxc"} and any(
        f"{instance}-" in word for word in words
    )


def _is_emulator(words: Sequence[str], instance: str) -> bool:
    return "infra.emulator" in words and any(word.endswith(f"/emulator/{instance}") for word in words)


def _command_lines() -> Iterator[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it ended meanwhile
        yield int(path.parent.name), words


def _control_groups(instance: str) -> list[str]:
    """Groups that libvirt made carry a machine's name, those that the machine made itself its UUID."""
    names = [f"{cluster}-{role}-{number}" for cluster in "ab" for role in ("cp", "pool1") for number in range(3)]
    mark = Mark(instance, instance, "")
    uuids = {mark.uuid("domain", f"{instance}-{name}") for name in (BRIDGE_MACHINE, *names)}
    named = re.compile(rf"(lxc|qemu)-\d+-{re.escape(instance)}-")
    groups = [*Path("/sys/fs/cgroup").glob("*/*"), *Path("/sys/fs/cgroup").glob("*/machine*/*")]
    return [
        f"control group: {path}"
        for path in groups
        if named.match(path.name) or path.name.removeprefix("azlocal-") in uuids
    ]


def _files(instance: str) -> list[str]:
    patterns = (
        f"/var/lib/azlocal/{instance}*",
        f"/var/lib/libvirt/qemu/nvram/{instance}-*",
        f"/var/lib/libvirt/dnsmasq/{instance}-*",
        f"/etc/libvirt/*/{instance}-*",
        f"/etc/libvirt/*/networks/{instance}-*",
        f"/etc/libvirt/storage/azlocal-{instance}*",
    )
    return [f"file: {path}" for pattern in patterns for path in glob.glob(pattern)]  # noqa: PTH207 - absolute patterns
