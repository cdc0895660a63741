"""A host's end of a VXLAN mesh (RFC 7348), and the gateway that one of the hosts holds for it.

The kernel's own VXLAN device hangs on libvirt's bridge. Each host names all others (`bridge fdb`), so what a host
has not learnt goes to every one of them, and no multicast is needed below. A host takes packets of a mesh from
those others only: whoever else reaches it on the network below is not on the machines' network. That is no
secrecy, and holds as far as senders' addresses can't be forged there.

The device and the nftables tables carry our mark in their names, which are drawn from it. They are gone with the
host's next boot, and a hook of libvirt's makes them again when it starts the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.kvm.errors import HostError
from infra.kvm.network_hook import HookCommand, install_hook, remove_hook
from infra.kvm.ownership import Mark
from infra.model.network import VXLAN_PORT, Tunnel
from infra.ssh import Shell

_NFT: Final = ("nft", "--json", "--file", "-")
_EVERYBODY_ELSE: Final = "00:00:00:00:00:00"
_OUR_BRIDGES: Final = "azl-*"
_TABLE_FAMILY: Final = "ip"
# In bits from the UDP header on: behind it, VXLAN's flags and three reserved bytes.
_VNI_FIELD: Final = {"payload": {"base": "th", "offset": 96, "len": 24}}


@dataclass(frozen=True)
class Gateway:
    """What the host that holds a network's gateway does for it."""

    bridge: str
    address_prefix: str


def ensure_tunnel(shell: Shell, name: str, mark: Mark, bridge: str, mtu: int, wanted: Tunnel) -> None:
    """Bring the device and its guard to what is wanted; machines notice nothing of a changed peer."""
    _nft(shell, _guard_rules(guard_table_of(mark, name), wanted))
    device = device_of(mark, name)
    tunnel = read_tunnel(shell, name, mark)
    if tunnel is not None and (tunnel.vni, tunnel.local) != (wanted.vni, wanted.local):
        _delete_device(shell, device)
        tunnel = None
    _batch(shell, "ip", [*([] if tunnel else [_made(device, wanted)]), _joined(device, bridge, mtu)])
    known = set(tunnel.peers) if tunnel else set()
    entries = [
        _sent_to(device, peer, action)
        for action, peers in (("append", set(wanted.peers) - known), ("delete", known - set(wanted.peers)))
        for peer in sorted(peers)
    ]
    if entries:
        _batch(shell, "bridge", entries)


def read_tunnel(shell: Shell, name: str, mark: Mark) -> Tunnel | None:
    """Return the tunnel as it stands, None when there is none or when it is on no bridge."""
    device = device_of(mark, name)
    shown = shell.run(["ip", "-json", "-details", "link", "show", "dev", device], check=False)
    if shown.exit_code != 0:
        return None
    link = json.loads(shown.stdout)[0]
    settings = link.get("linkinfo", {}).get("info_data", {})
    entries = json.loads(shell.run(["bridge", "-json", "fdb", "show", "dev", device]).stdout)
    return Tunnel.model_construct(  # as it stands, whatever that is
        vni=int(settings.get("id", 0)),
        local=str(settings.get("local", "")),
        peers=tuple(sorted(entry["dst"] for entry in entries if _is_for_all(entry))),
    )


def ensure_gateway(shell: Shell, name: str, mark: Mark, gateway: Gateway) -> None:
    """Let the network out under the host's address, and keep it apart from the other networks of ours.

    Who is let in from outside is left to the host's own firewall.
    """
    _nft(shell, _gateway_rules(gateway_table_of(mark, name), gateway))


def ensure_at_boot(
    shell: Shell, name: str, mark: Mark, bridge: str, mtu: int, tunnel: Tunnel, gateway: Gateway | None
) -> None:
    """Have a host make tunnel, guard and gateway again whenever it starts the network."""
    device = device_of(mark, name)
    # The guard first: nobody else is on the network before it stands.
    commands = [
        HookCommand(_NFT, nft_rules(name, mark, tunnel, gateway)),
        HookCommand(["ip", "link", "delete", "dev", device], may_fail=True),
        HookCommand(["ip", "-batch", "-"], _lines([_made(device, tunnel), _joined(device, bridge, mtu)])),
    ]
    if tunnel.peers:
        sent = [_sent_to(device, peer, "append") for peer in tunnel.peers]
        commands.append(HookCommand(["bridge", "-batch", "-"], _lines(sent)))
    install_hook(shell, name, mark, commands)


def nft_rules(name: str, mark: Mark, tunnel: Tunnel, gateway: Gateway | None) -> str:
    """Return the rules of a host's end of a mesh as nft reads them, its gateway's where it holds that."""
    rules = _guard_rules(guard_table_of(mark, name), tunnel)
    if gateway is not None:
        rules += _gateway_rules(gateway_table_of(mark, name), gateway)
    return _nftables(rules)


def _gateway_rules(table: str, gateway: Gateway) -> list[dict[str, Any]]:
    chains = [
        _chain(table, "out", type="nat", hook="postrouting", prio=100),
        _rule(
            table, "out", _is_inside("saddr", gateway), _is_inside("daddr", gateway, "!="), {"masquerade": None}
        ),
        _chain(table, "apart", type="filter", hook="forward", prio=0),
    ]
    for inward, outward in (("iifname", "oifname"), ("oifname", "iifname")):
        others = [
            _match({"meta": {"key": inward}}, gateway.bridge),
            _match({"meta": {"key": outward}}, _OUR_BRIDGES),
            _match({"meta": {"key": outward}}, gateway.bridge, "!="),
        ]
        chains.append(_rule(table, "apart", *others, {"drop": None}))
    return _replaced_table(table, chains)


def is_guarded(shell: Shell, name: str, mark: Mark) -> bool:
    """Return whether the rule stands that keeps other hosts out of the mesh."""
    return _has_table(shell, guard_table_of(mark, name))


def has_gateway(shell: Shell, name: str, mark: Mark) -> bool:
    """Return whether the gateway's rules stand."""
    return _has_table(shell, gateway_table_of(mark, name))


def remove_mesh(shell: Shell, name: str, mark: Mark) -> None:
    """Remove the tunnel, its guard, the gateway's rules and the hook, whatever of them is there."""
    remove_hook(shell, name, mark)
    if read_tunnel(shell, name, mark) is not None:
        _delete_device(shell, device_of(mark, name))
    for table in (gateway_table_of(mark, name), guard_table_of(mark, name)):
        if _has_table(shell, table):
            shell.run(["nft", "delete", "table", _TABLE_FAMILY, table])


def _guard_rules(table: str, tunnel: Tunnel) -> list[dict[str, Any]]:
    """Drop this network's packets from hosts that aren't its own; other users of the port aren't touched."""
    others = [_match(_field("ip", "saddr"), {"set": list(tunnel.peers)}, "!=")] if tunnel.peers else []
    rule = [_match(_field("udp", "dport"), VXLAN_PORT), _match(_VNI_FIELD, tunnel.vni), *others, {"drop": None}]
    chain = _chain(table, "in", type="filter", hook="input", prio=0)
    return _replaced_table(table, [chain, _rule(table, "in", *rule)])


def _replaced_table(table: str, content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # Added first, so that deleting it can't fail: the new table replaces the old one in a single transaction.
    named = {"table": {"family": _TABLE_FAMILY, "name": table}}
    return [{"add": named}, {"delete": named}, {"add": named}, *content]


def _has_table(shell: Shell, table: str) -> bool:
    return shell.run(["nft", "list", "table", _TABLE_FAMILY, table], check=False).exit_code == 0


def device_of(mark: Mark, name: str) -> str:
    """Return the name of a network's VXLAN device."""
    return f"azv-{mark.uuid('tunnel', name).replace('-', '')[:11]}"


def gateway_table_of(mark: Mark, name: str) -> str:
    """Return the name of the table with the rules of a network's gateway."""
    return f"azlocal_{mark.uuid('gateway', name).replace('-', '')}"


def guard_table_of(mark: Mark, name: str) -> str:
    """Return the name of the table that keeps strangers out of a network."""
    return f"azlocal_{mark.uuid('guard', name).replace('-', '')}"


def _batch(shell: Shell, program: str, commands: Sequence[Sequence[str]]) -> None:
    """Have iproute2 carry out several commands of one of its programs: sixteen hosts have many peers."""
    shell.run([program, "-batch", "-"], input=_lines(commands).encode())


def _lines(commands: Sequence[Sequence[str]]) -> str:
    return "".join(f"{' '.join(command)}\n" for command in commands)


def _made(device: str, tunnel: Tunnel) -> list[str]:
    return [
        "link",
        "add",
        device,
        "type",
        "vxlan",
        "id",
        str(tunnel.vni),
        "local",
        tunnel.local,
        "dstport",
        str(VXLAN_PORT),
    ]


def _joined(device: str, bridge: str, mtu: int) -> list[str]:
    return ["link", "set", "dev", device, "mtu", str(mtu), "master", bridge, "up"]


def _sent_to(device: str, peer: str, action: str) -> list[str]:
    return ["fdb", action, _EVERYBODY_ELSE, "dev", device, "dst", peer]


def _delete_device(shell: Shell, device: str) -> None:
    shell.run(["ip", "link", "delete", "dev", device])


def _is_for_all(entry: Mapping[str, Any]) -> bool:
    return entry.get("mac") == _EVERYBODY_ELSE and "dst" in entry


def _nftables(commands: list[dict[str, Any]]) -> str:
    return json.dumps({"nftables": commands})


def _nft(shell: Shell, commands: list[dict[str, Any]]) -> None:
    done = shell.run(_NFT, input=_nftables(commands).encode(), check=False)
    if done.exit_code != 0:
        raise HostError(
            f"{shell.host}: nft refuses the rules of a mesh: {(done.stderr or done.stdout).strip()}. "
            "Is the package nftables installed there?"
        )


def _chain(table: str, name: str, **hook: Any) -> dict[str, Any]:
    return {"add": {"chain": {"family": _TABLE_FAMILY, "table": table, "name": name, "policy": "accept", **hook}}}


def _rule(table: str, chain: str, *expressions: dict[str, Any]) -> dict[str, Any]:
    return {"add": {"rule": {"family": _TABLE_FAMILY, "table": table, "chain": chain, "expr": list(expressions)}}}


def _match(left: dict[str, Any], right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def _is_inside(field: str, gateway: Gateway, operator: str = "==") -> dict[str, Any]:
    address, _, length = gateway.address_prefix.partition("/")
    prefix = {"prefix": {"addr": address, "len": int(length)}}
    return _match(_field("ip", field), prefix, operator)


def _field(protocol: str, name: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": name}}
