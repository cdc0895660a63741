"""A site's files for a lab: what hardware, network and platform teams would write for these hosts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import yaml

from infra.lab.lab import Lab
from infra.lab.marks import LabError

_OURS: Final = "# Written by `make lab`, and again by the next; `make lab-down` removes it."
_INFRASTRUCTURE, _LOGICAL = 198, 200  # second numbers of networks that nothing else here has
SIZES: Final = {"Lab_Small": {"vcpus": 1, "memoryGiB": 1, "diskGiB": 16}}


def hosts_file(lab: Lab, **changes: Any) -> dict[str, Any]:
    """Return hosts/<site>.yaml: the hosts, this machine's memory shared out evenly.

    Args:
        changes: more keys of every host, or other values.
    """
    share, memory = len(lab.hosts), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    sizes = {
        "cpus": os.cpu_count() or 1,
        "memoryGiB": max(1, (memory >> 30) // share),
    }
    hosts = [
        {
            "name": host.name,
            "connection": host.connection,
            "managementAddress": _address(lab, _INFRASTRUCTURE, int(host.address) & 0xFF),
            **sizes,
            **changes,
        }
        for host in lab.hosts
    ]
    return {"hosts": hosts, "vmSizes": SIZES}


def draining(lab: Lab, **drains: bool | str) -> dict[str, Any]:
    """Return hosts/<site>.yaml, in which each host drains as its name says here; the others don't."""
    content = hosts_file(lab)
    return content | {"hosts": [host | {"drain": drains.get(host["name"], False)} for host in content["hosts"]]}


def netplan(lab: Lab, **changes: Any) -> dict[str, Any]:
    """Return netplans/<site>.yaml: the infrastructure network and two logical ones, `aks` and `edge`."""
    logical = [
        {
            "name": name,
            "addressPrefix": f"{_address(lab, second, 0)}/24",
            "gateway": _address(lab, second, 1),
            "dnsServers": [_address(lab, second, 1)],
            "ipPools": [
                {"start": _address(lab, second, 20), "end": _address(lab, second, 99), "ipPoolType": "vm"}
            ],
        }
        for second, name in enumerate(("aks", "edge"), _LOGICAL)
    ]
    infrastructure = {
        "addressPrefix": f"{_address(lab, _INFRASTRUCTURE, 0)}/24",
        "gateway": _address(lab, _INFRASTRUCTURE, 1),
        "dnsServers": [_address(lab, _INFRASTRUCTURE, 1)],
        "pool": {"start": _address(lab, _INFRASTRUCTURE, 50), "end": _address(lab, _INFRASTRUCTURE, 60)},
    }
    return {"infrastructure": infrastructure, "logicalNetworks": logical, **changes}


def stack(lab: Lab) -> dict[str, Any]:
    """Return Pulumi.<stack>.yaml: a cluster's machines, as many workers as hosts."""
    cluster = {
        "name": "a",
        "logicalNetwork": "aks",
        "controlPlane": {"count": 1, "vmSize": "Lab_Small"},
        "agentPools": [{"name": "pool1", "count": len(lab.hosts), "vmSize": "Lab_Small"}],
        "loadBalancer": {"count": 0},
        "provisioning": "machines",
    }
    keys = {
        "site": lab.name,
        "nodeImage": "plain",
        "resourceBridge": {"vmSize": "Lab_Small"},
        "clusters": [cluster],
    }
    return {"config": {f"azlocal:{key}": value for key, value in keys.items()}}


def write_site(root: Path, lab: Lab) -> list[Path]:
    """Write the three files; one that people have made their own stays. Return what was written.

    Raises:
        LabError: the hosts file isn't ours, and names other hosts.
    """
    hosts = _hosts_path(root, lab.name)
    if not _is_ours(hosts):
        raise LabError(f"{hosts} is somebody's own; give the lab another name: make lab LAB=…")
    contents = {
        hosts: hosts_file(lab),
        root / "netplans" / f"{lab.name}.yaml": netplan(lab, transport="vxlan"),
        root / f"Pulumi.{lab.name}.yaml": stack(lab),
    }
    written = [path for path in contents if _is_ours(path)]
    for path in written:
        path.write_text(f"{_OURS}\n{yaml.safe_dump(contents[path], sort_keys=False)}")
        os.chown(path, int(os.environ.get("SUDO_UID", -1)), int(os.environ.get("SUDO_GID", -1)))
    return written


def remove_site(root: Path, name: str) -> None:
    """Remove what was written, with what azlocal recorded for it, unless people have made it their own."""
    for path in (_hosts_path(root, name), root / "netplans" / f"{name}.yaml", root / f"Pulumi.{name}.yaml"):
        if path.exists() and _is_ours(path):
            path.unlink()
            path.with_suffix(".lock.yaml").unlink(missing_ok=True)


def _hosts_path(root: Path, name: str) -> Path:
    return root / "hosts" / f"{name}.yaml"


def _is_ours(path: Path) -> bool:
    return not path.exists() or path.read_text().startswith(_OURS)


def _address(lab: Lab, second: int, last: int) -> str:
    return f"10.{second}.{lab.subnet.network_address.packed[2]}.{last}"
