"""Instances for tests: whole and small, each part to be replaced by what a test is about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from infra.plan.addresses import Lock
from infra.plan.instance import Plan, plan_instance
from infra.plan.locks import Locks
from infra.plan.placement import PlacementLock
from infra.spec import InstanceSpec, Sources
from infra.spec.hosts import HostsFile
from infra.spec.loader import Sibling, absent_files
from infra.spec.neighbours import Neighbour, SharedHost
from infra.spec.netplan import Netplan
from infra.spec.ssh_keys import absent_key_files
from infra.spec.stack import StackConfig
from infra.spec.tree import Document

Mappings = Mapping[str, Any]

SIZES = {"Small": {"vcpus": 2, "memoryGiB": 2, "diskGiB": 20}}


def cluster(name: str = "a", *, planes: int = 1, workers: int = 1, **more: Any) -> dict[str, Any]:
    """Return a cluster of one pool on network `aks`."""
    return {
        "name": name,
        "logicalNetwork": "aks",
        "controlPlane": {"count": planes},
        "agentPools": [{"name": "nodepool1", "count": workers}],
        "kubernetesVersion": "1.33.5",
        **more,
    }


def infrastructure(**more: Any) -> dict[str, Any]:
    """Return an infrastructure network with eleven addresses in its pool."""
    return {
        "addressPrefix": "192.168.1.0/24",
        "gateway": "192.168.1.1",
        "dnsServers": ["192.168.1.1"],
        "pool": {"start": "192.168.1.20", "end": "192.168.1.30"},
        **more,
    }


def network(start: str = "10.220.32.18", end: str = "10.220.32.37", **more: Any) -> dict[str, Any]:
    """Return the logical network of the documents' example."""
    return {
        "name": "aks",
        "vlan": 110,
        "addressPrefix": "10.220.32.0/24",
        "gateway": "10.220.32.1",
        "dnsServers": ["10.220.32.5"],
        "ipPools": [{"start": start, "end": end}],
        **more,
    }


def host(number: int = 1, **more: Any) -> dict[str, Any]:
    """Return a remote host."""
    return {
        "name": f"node{number}",
        "connection": f"qemu+ssh://root@192.0.2.{number}/system",
        "managementAddress": f"192.168.1.{number + 10}",
        "uplink": "eno1",
        **more,
    }


def files(
    clusters: Sequence[Mappings] = (),
    *,
    stack: Mappings | None = None,
    hosts: Sequence[Mappings] | None = None,
    infra: Mappings | None = None,
    networks: Sequence[Mappings] | None = None,
    reservations: Sequence[Mappings] = (),
    netplan: Mappings | None = None,
    sizes: Mappings | None = None,
    neighbours: Sequence[Neighbour] = (),
    shared_hosts: Sequence[SharedHost] = (),
    siblings: Mapping[str, Mappings] | None = None,
) -> dict[str, Any]:
    """Return the content of the three files by kind, and beside them other stacks and sites that are there."""
    return {
        **({"neighbours": tuple(neighbours)} if neighbours else {}),
        **({"shared_hosts": tuple(shared_hosts)} if shared_hosts else {}),
        **({"siblings": siblings} if siblings else {}),
        "stack": {"site": "s", "clusters": list(clusters), **(stack or {})},
        "hosts": {"hosts": [host()] if hosts is None else list(hosts), "vmSizes": {**SIZES, **(sizes or {})}},
        "netplan": {
            "infrastructure": infra or infrastructure(),
            "logicalNetworks": [network()] if networks is None else list(networks),
            "reservations": list(reservations),
            **(netplan or {}),
        },
    }


def spec_of(content: Mapping[str, Any], name: str = "lab", directory: Path = Path()) -> InstanceSpec:
    """Return the spec of three files' content, without any file."""
    stack = StackConfig.model_validate(content["stack"])
    return InstanceSpec(
        name,
        stack,
        HostsFile.model_validate(content["hosts"]),
        Netplan.model_validate(content["netplan"]),
        Sources(
            Document(f"Pulumi.{name}.yaml", None),
            Document("hosts/s.yaml", None),
            Document("netplans/s.yaml", None),
        ),
        directory,
        absent_key_files(stack.ssh_public_keys, directory),
        content.get("neighbours", ()),
        tuple(absent_files(stack, directory)),
        content.get("shared_hosts", ()),
        tuple(
            Sibling(other, StackConfig.model_validate({"site": "s", **config}))
            for other, config in content.get("siblings", {}).items()
        ),
    )


def make_spec(*clusters: Mappings, name: str = "lab", directory: Path = Path(), **parts: Any) -> InstanceSpec:
    """Return the spec of an instance; see `files` for its parts."""
    return spec_of(files(clusters, **parts), name, directory)


def checked_addresses(spec: InstanceSpec, lock: Lock | None = None) -> Plan:
    """Return a plan with what is wrong with its addresses alone, whatever room its hosts have."""
    plan = plan_instance(spec, Locks(addresses=lock or Lock()))
    return replace(plan, findings=plan.findings_about("bounds", "addresses"))


def checked_placement(spec: InstanceSpec, lock: PlacementLock | None = None) -> Plan:
    """Return a plan with what is wrong with its placement alone."""
    plan = plan_instance(spec, Locks(placement=lock or PlacementLock()))
    return replace(plan, findings=plan.findings_about("bounds", "placement"))


def in_files(content: Mapping[str, Mappings], stack: str = "lab") -> dict[str, Mappings]:
    """Return three files' content by their names in a project."""
    config = {f"azlocal:{key}": value for key, value in content["stack"].items()}
    return {
        f"Pulumi.{stack}.yaml": {"config": config},
        "hosts/s.yaml": content["hosts"],
        "netplans/s.yaml": content["netplan"],
    }


def write_files(folder: Path, content: Mapping[str, Mappings], stack: str = "lab") -> None:
    """Write three files' content as a project would have them."""
    for name, one in in_files(content, stack).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(one, sort_keys=False), encoding="utf-8")
