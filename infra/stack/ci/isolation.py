"""The files of a run's own instance, from those of a stack, and nothing shared with any other instance. Pure.

What is changed, and nothing else is:

- the instance's name: machines, networks, bridges, tunnels, marks, MAC addresses and connected clusters are drawn
  from it, and ports are free ones wherever it needs any;
- the prefix of each network of the netplan: each address in it that a value names keeps its place in the new one;
- names that begin with the stack's, in pins and reservations; Azure's names that a file fixes;
- paths, which were relative to the project's folder.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final

import yaml

from infra.errors import UserError
from infra.spec import InstanceSpec
from infra.spec.hosts import HostsFile
from infra.spec.loader import NAMESPACE
from infra.spec.netplan import Netplan
from infra.spec.reading import local_file
from infra.spec.ssh_keys import is_public_key

Moves = Mapping[IPv4Network, IPv4Network]
"""The prefix that each network's own is replaced by."""

RANGE: Final = IPv4Network("10.198.0.0/16")
"""Where networks of runs are, unless somebody says otherwise."""
_ADDRESS: Final = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)")
_LETTERS: Final = string.digits + string.ascii_lowercase
_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_VARIABLES: Final = (
    ("AZLOCAL_CI_RUN",),
    ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB"),
    ("CI_JOB_ID",),
)
_PATHS_OF_PROJECT: Final = ("main", "backend", "stackConfigDir", "config")
"""Keys of Pulumi.yaml that a run's has not: places of the project's own."""


@dataclass(frozen=True)
class Written:
    """What people wrote, as plain values.

    Attributes:
        project: Pulumi.yaml.
        stack: Pulumi.<stack>.yaml, with all that is none of ours.
        netplan: netplans/<site>.yaml.
        hosts: hosts/<site>.yaml, as it is.
    """

    project: Mapping[str, Any]
    stack: Mapping[str, Any]
    netplan: Mapping[str, Any]
    hosts: str


def run_name(variables: Mapping[str, str]) -> str:
    """Return what a run is called: as the pipeline's own variables say, else `here`."""
    for names in _VARIABLES:
        values = [variables.get(name, "") for name in names]
        if values[0]:
            text = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(filter(None, values)))
            return text.strip("._-")[:63] or "here"
    return "here"


def check_run_name(text: str) -> str:
    """Return a run's name that somebody wrote.

    Raises:
        UserError: It is none.
    """
    if not _RUN.fullmatch(text):
        raise UserError(f"{text!r} can't name a run: write at most 63 letters, digits, dots and hyphens")
    return text


def instance_name(number: int) -> str:
    """Return the name of a run's instance, drawn from a large number.

    It is short, as a container's disk is known to the kernel by a path of 63 characters at most (LO_NAME_SIZE of
    linux/loop.h), which has the name twice; libvirt fails with a longer one.
    """
    number, first = divmod(number, 10)
    letters = ""
    for _ in range(4):
        number, place = divmod(number, len(_LETTERS))
        letters += _LETTERS[place]
    return f"ci{first}{letters}"


def prefixes_of(netplan: Netplan) -> list[IPv4Network]:
    """Return the prefixes of a netplan's networks, each once; the largest first, so that all are aligned."""
    prefixes = {network.address_prefix.network for network in netplan.logical_networks}
    prefixes.add(netplan.infrastructure.address_prefix.network)
    return sorted(prefixes, key=lambda prefix: (prefix.prefixlen, prefix))


def refuse_shared_networks(spec: InstanceSpec) -> None:
    """Refuse a site whose networks are VLANs of an uplink: others are on them, and no run has one of its own.

    Raises:
        UserError: It is such a site.
    """
    bridged = [host.name for host in spec.standing_hosts if spec.network_mode(host) == "bridge"]
    if bridged:
        raise UserError(
            f"site {spec.site}: the networks of {', '.join(bridged)} are VLANs of an uplink, which a run can't "
            "have for itself. Give `azlocal ci` a site with `transport: vxlan` in netplans/, or hosts without "
            "`uplink`; or use `azlocal up` with a stack of its own"
        )


def choose_moves(
    within: IPv4Network, prefixes: Collection[IPv4Network], taken: Collection[IPv4Network], number: int
) -> Moves:
    """Return new prefixes for a run: the first slice of a range that meets nothing, from the run's own one on.

    Args:
        within: The range that runs have.
        prefixes: Those to be replaced, as `prefixes_of` has them.
        taken: What the new ones mustn't meet.
        number: Drawn from the run, so that runs begin at different slices.

    Raises:
        UserError: There is no such slice.
    """
    size = 1 << (sum(prefix.num_addresses for prefix in prefixes) - 1).bit_length()
    count = within.num_addresses // size
    for index in range(count):
        moves = _slice(int(within.network_address) + (number + index) % count * size, prefixes)
        if not any(new.overlaps(other) for new in moves.values() for other in taken):
            return moves
    needed = f"a run needs {size:,} addresses"
    if not count:
        raise UserError(f"{within} is too small: {needed}; name a larger range with --range")
    raise UserError(
        f"{within} has no room: {needed} in one piece, and other networks and routes are in each; name another "
        "range with --range"
    )


def taken_prefixes(spec: InstanceSpec, others: Iterable[tuple[HostsFile, Netplan]]) -> Iterator[IPv4Network]:
    """Yield what the networks of a run mustn't meet: networks of the project's sites, pods and services.

    Args:
        spec: The stack that the run is of.
        others: All sites of the project.
    """
    for hosts, netplan in ((spec.hosts, spec.netplan), *others):
        yield from prefixes_of(netplan)
        addresses = (address for host in hosts.hosts for address in (host.management_address, host.tunnel_address))
        yield from (IPv4Network(address) for address in addresses if address is not None)
    for cluster in spec.stack.clusters:
        yield cluster.network_profile.pod_cidr.network
        yield cluster.network_profile.service_cidr.network


def moved(value: Any, moves: Moves) -> Any:
    """Return a value in which each address of a network that moves has its place in the new one."""
    return _texts(value, lambda text: _ADDRESS.sub(lambda match: _moved_address(match[0], moves), text))


def files_of(written: Written, spec: InstanceSpec, instance: str, moves: Moves) -> dict[str, str]:
    """Return the files of a run's own project, by their names.

    Args:
        written: What people wrote.
        spec: The same, read.
        instance: The name of the run's instance.
        moves: The new prefixes.
    """
    return {
        "Pulumi.yaml": _yaml(_project(written.project, spec.directory)),
        f"Pulumi.{instance}.yaml": _yaml(_stack(written.stack, spec, instance, moves)),
        f"hosts/{spec.site}.yaml": written.hosts,
        f"netplans/{spec.site}.yaml": _yaml(_netplan(written.netplan, spec.name, instance, moves)),
    }


def has_secrets(stack: Mapping[str, Any]) -> bool:
    """Return whether a stack's file has values that a passphrase is needed for."""
    values = (stack.get("config") or {}).values()
    return any(isinstance(value, Mapping) and "secure" in value for value in values)


def _slice(start: int, prefixes: Iterable[IPv4Network]) -> dict[IPv4Network, IPv4Network]:
    moves = {}
    for prefix in prefixes:
        moves[prefix] = IPv4Network((start, prefix.prefixlen))
        start += prefix.num_addresses
    return moves


def _moved_address(text: str, moves: Moves) -> str:
    try:
        address = IPv4Address(text)
    except ValueError:
        return text
    for old, new in moves.items():
        if address in old:
            return str(new[int(address) - int(old.network_address)])
    return text


def _texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _texts(part, change) for key, part in value.items()}
    return [_texts(part, change) for part in value] if isinstance(value, list) else value


def _project(written: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Return Pulumi.yaml for a folder elsewhere: the program and its environment stay where they are."""
    project = {key: deepcopy(value) for key, value in written.items() if key not in _PATHS_OF_PROJECT}
    for plugins in (project.get("plugins") or {}).values():
        for plugin in plugins:
            if "path" in plugin:
                plugin["path"] = _absolute(plugin["path"], directory)
    options = project["runtime"].get("options", {}) if isinstance(project.get("runtime"), dict) else {}
    if "virtualenv" in options:
        options["virtualenv"] = _absolute(options["virtualenv"], directory)
    return project


def _stack(written: Mapping[str, Any], spec: InstanceSpec, instance: str, moves: Moves) -> dict[str, Any]:
    config: dict[str, Any] = deepcopy(dict(written["config"]))
    ours = {key: moved(value, moves) for key, value in config.items() if key.startswith(NAMESPACE)}
    config |= ours
    directory = spec.directory
    keys = f"{NAMESPACE}sshPublicKeys"
    if keys in config:
        config[keys] = [key if is_public_key(key) else _absolute(key, directory) for key in config[keys]]
    if spec.stack.arc is not None:
        arc = config[f"{NAMESPACE}arc"]
        for place, path in spec.stack.arc.files():
            _put(arc, place, _absolute(path, directory))
    for cluster, entry in zip(spec.stack.clusters, config.get(f"{NAMESPACE}clusters") or (), strict=True):
        connection = entry.get("arc") or {}
        for place, path in cluster.arc.files():
            _put(connection, place, _absolute(path, directory))
        connection.pop("name", None)  # absent, it is drawn from the instance's
        for location in connection.get("customLocations") or ():
            location["name"] = f"{instance}-{location['name']}"[:63].rstrip("-")
    placement = config.get(f"{NAMESPACE}placement") or {}
    if "pins" in placement:
        pins = placement["pins"].items()
        placement["pins"] = {_without_stack(owner, spec.name): host for owner, host in pins}
    stack = {key: value for key, value in written.items() if key != "config"}
    if not has_secrets(written):
        stack.pop("encryptionsalt", None)
    return {**stack, "config": config}


def _netplan(written: Mapping[str, Any], stack: str, instance: str, moves: Moves) -> dict[str, Any]:
    netplan: dict[str, Any] = moved(written, moves)
    for reservation in netplan.get("reservations") or ():
        owner = reservation["owner"]
        if owner.startswith(f"{stack}/"):
            reservation["owner"] = f"{instance}/{owner.removeprefix(f'{stack}/')}"
        elif owner.startswith(f"{stack}-"):
            reservation["owner"] = f"{instance}-{owner.removeprefix(f'{stack}-')}"
    return netplan


def _without_stack(owner: str, stack: str) -> str:
    return owner.removeprefix(f"{stack}/").removeprefix(f"{stack}-")


def _absolute(path: str, directory: Path) -> str:
    return str(local_file(directory.absolute(), path))


def _put(tree: Any, place: Iterable[str | int], value: str) -> None:
    *above, last = place
    for key in above:
        tree = tree[key]
    tree[last] = value


def _yaml(content: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    return text
