"""What commands print on real hosts, as facts: one JSON file a case, in the folder of its fact.

`command` is the fact's, `output` what it printed (lines of text, or JSON), `fact` what that means.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.hosts.facts import Fact, census, files, libvirt, network, storage, system

FACTS: Mapping[str, Fact[object]] = {
    "active_units": system.active_units(("docker", "ufw")),
    "chains": network.CHAINS,
    "containers": census.CONTAINERS,
    "contents": files.contents(("/etc/resolv.conf", "/proc/cgroups", "/missing")),
    "definitions": census.DEFINITIONS,
    "disks": storage.DISKS,
    "distribution": system.DISTRIBUTION,
    "existing": files.existing(("/dev/kvm", "/dev/loop-control")),
    "file_systems": storage.FILE_SYSTEMS,
    "forwarding": census.FORWARDING,
    "groups": system.groups("ann"),
    "installed": census.PACKAGES,
    "iptables": network.IPTABLES,
    "libvirt_objects": census.LIBVIRT,
    "link_kinds": network.LINK_KINDS,
    "links": network.LINKS,
    "loop_files": storage.LOOP_FILES,
    "loops": census.LOOPS,
    "machine_groups": census.GROUPS,
    "mounts": census.MOUNTS,
    "packages": system.packages(),
    "paths": census.paths(("/var/lib/azlocal/lab",), "-mindepth", "1"),
    "processes": census.PROCESSES,
    "processor": system.PROCESSOR,
    "routes": network.ROUTES,
    "routes_ipv6": network.ROUTES_IPV6,
    "running": libvirt.RUNNING,
    "running_containers": libvirt.RUNNING_CONTAINERS,
    "secure_boot": system.SECURE_BOOT,
    "synchronised": system.SYNCHRONISED,
    "tables": census.TABLES,
    "unit_files": system.unit_files(("libvirtd.service", "virtqemud.socket")),
}
CASES = sorted(Path(__file__).parent.glob("*/*.json"))


@pytest.mark.parametrize("path", CASES, ids=[f"{path.parent.name}/{path.stem}" for path in CASES])
def test_recorded_output(path: Path) -> None:
    case, fact = json.loads(path.read_text()), FACTS[path.parent.name]
    assert list(fact.argv) == case["command"]
    assert plain(fact.parse(text_of(case["output"]))) == case["fact"]


def test_every_fact_has_a_case() -> None:
    assert {path.parent.name for path in CASES} == FACTS.keys()


@pytest.mark.parametrize("text", ["{}", "[]", '{"lscpu": [{"field": "CPU(s):", "data": "x"}]}', "no JSON"])
@pytest.mark.parametrize("fact", [system.PROCESSOR, storage.FILE_SYSTEMS, storage.DISKS, network.CHAINS])
def test_what_cannot_be_read_is_an_error_that_askers_know(fact: Fact[object], text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, IndexError)):
        fact.parse(text)


def test_a_list_without_loopback_is_no_list_of_interfaces() -> None:
    with pytest.raises(ValueError, match="not a list"):
        network.LINK_KINDS.parse("[]")


def text_of(output: Any) -> str:
    lines = isinstance(output, list) and all(isinstance(line, str) for line in output)
    return "".join(f"{line}\n" for line in output) if lines else json.dumps(output)


def plain(value: Any) -> Any:
    """Return a fact as JSON has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if isinstance(value, bool | int | float | None) else str(value)
