"""What control planes hold their cluster's address by: keepalived's configuration, and the settings beside it.

They speak VRRPv3 (RFC 9568) with each other alone, four times a second. Whether a control plane may hold the
address is decided beside keepalived, by image/files: api-endpoint, which tells it by a file. The file has no
weight: a fault takes the holder out at once, where a lower priority would first have to be heard three times.
And no control plane takes the address from another one that holds it (`nopreempt`): it would be a second gap
for nothing. Both together are what keepalived can do: `nopreempt` beside weights leaves the address with a
faulty holder (acassen/keepalived, issues 2379 and 2599).

Clusters of before speak VRRPv2, which routers of version 3 don't understand: both would hold the address. So all
control planes of a cluster change together (infra.provider.kinds.address_protocol).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

FOLDER: Final = "/etc/keepalived"

_FAULT_FILE: Final = "/run/azlocal/api-server-fault"  # image/files: api-endpoint
_ADVERTISED_EVERY: Final = 0.25
# A backup waits (256 - priority) / 256 of an interval longer than three of them, or than nothing where the holder
# says that it goes: high numbers wait least, and steps of 40 are 39 ms, so that no two take the address together.
_HIGHEST_PRIORITY: Final = 250
_PRIORITY_STEP: Final = 40
_ANSWER_SECONDS: Final = 1.0
_ANSWER_SECONDS_WHEN_SLOW: Final = 5.0

_FIRST_PRIORITY_OF_VERSION_2: Final = 100  # less its number
_OF_VERSION_2: Final = re.compile(
    r"interface (?P<interface>\S+)\n.*virtual_router_id (?P<id>\d+)\n.*priority (?P<priority>\d+)\n"
    r".*virtual_ipaddress \{\n *(?P<address>[\d.]+)/32",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServerAddress:
    """The address of a cluster's API servers, as one control plane sees it.

    Attributes:
        address: The address that wanders.
        vrrp_id: 1-255, unique on the network.
        interface: The interface that carries it.
        own_address: The control plane's own address.
        number: Of the control plane, from 0; the lowest is preferred while none holds the address.
        is_slow: Its machine is emulated.
    """

    address: str
    vrrp_id: int
    interface: str
    own_address: str
    number: int
    is_slow: bool = False

    @classmethod
    def of_version_2(cls, conf: str, own_address: str, *, is_slow: bool) -> ApiServerAddress:
        """Read a `keepalived.conf` that an earlier azlocal wrote for VRRPv2.

        Args:
            conf: the file.
            own_address: the control plane's.
            is_slow: its machine is emulated.

        Raises:
            ValueError: it is none of those.
        """
        parts = _OF_VERSION_2.search(conf)
        if parts is None:
            raise ValueError("its keepalived.conf isn't as azlocal wrote it")
        return cls(
            address=parts["address"],
            vrrp_id=int(parts["id"]),
            interface=parts["interface"],
            own_address=own_address,
            number=_FIRST_PRIORITY_OF_VERSION_2 - int(parts["priority"]),
            is_slow=is_slow,
        )


def keepalived_files(api: ApiServerAddress) -> dict[str, str]:
    """Return the files for `FOLDER` by their names. Its `peers.conf` is image/files: vrrp-peers'."""
    settings = {
        "address": api.address,
        "ownAddress": api.own_address,
        "answerSeconds": _ANSWER_SECONDS_WHEN_SLOW if api.is_slow else _ANSWER_SECONDS,
    }
    return {"keepalived.conf": _conf(api), "api-endpoint.json": json.dumps(settings, indent=2) + "\n"}


def _conf(api: ApiServerAddress) -> str:
    lines = [
        "global_defs {",
        "  vrrp_version 3",
        # One that is late by three intervals loses the address for nothing.
        "  vrrp_priority -20",
        "}",
        "track_file api-server {",
        f"  file {_FAULT_FILE}",
        "  weight 0",
        "}",
        "vrrp_instance control-plane {",
        "  state BACKUP",
        "  nopreempt",
        f"  interface {api.interface}",
        f"  virtual_router_id {api.vrrp_id}",
        f"  priority {_HIGHEST_PRIORITY - _PRIORITY_STEP * api.number}",
        f"  advert_int {_ADVERTISED_EVERY}",
        # Who has missed that the address moved learns it: at once, after a second, and every ten.
        "  garp_master_delay 1",
        "  garp_master_refresh 10",
        f"  unicast_src_ip {api.own_address}",
        f"  include {FOLDER}/peers.conf",
        "  virtual_ipaddress {",
        f"    {api.address}/32 dev {api.interface}",
        "  }",
        "  track_file {",
        "    api-server",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"
