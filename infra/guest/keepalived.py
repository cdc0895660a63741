"""keepalived's configuration: which control plane holds the cluster's address."""

from dataclasses import dataclass

_FIRST_PRIORITY = 100
_ANSWERING_BONUS = 50  # more than all priorities differ by, so that an API server that answers always wins


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServerAddress:
    """The address of a cluster's API servers, as one control plane sees it.

    Attributes:
        address: The address that wanders.
        vrrp_id: 1-255, unique on the network.
        interface: The interface that carries it.
        own_address: The control plane's own address.
        number: Of the control plane, from 0; the lowest is preferred while none answers, as at the first boot.
        by_multicast: As clusters of 0.1.0 do. Else with its peers alone, whom image/files: vrrp-peers names.
    """

    address: str
    vrrp_id: int
    interface: str
    own_address: str
    number: int
    by_multicast: bool = True


def keepalived_conf(api: ApiServerAddress) -> str:
    """Return `keepalived.conf`."""
    lines = [
        "global_defs {",
        "  enable_script_security",
        "  script_user root",
        "}",
        "vrrp_script api-server {",
        f'  script "/usr/lib/azlocal/api-server-answers {api.own_address}"',
        "  interval 2",
        "  timeout 3",
        "  fall 3",
        "  rise 1",
        f"  weight {_ANSWERING_BONUS}",
        "}",
        "vrrp_instance control-plane {",
        "  state BACKUP",
        f"  interface {api.interface}",
        f"  virtual_router_id {api.vrrp_id}",
        f"  priority {_FIRST_PRIORITY - api.number}",
        "  advert_int 1",
        *(
            []
            if api.by_multicast
            else [f"  unicast_src_ip {api.own_address}", "  include /etc/keepalived/peers.conf"]
        ),
        "  virtual_ipaddress {",
        f"    {api.address}/32 dev {api.interface}",
        "  }",
        "  track_script {",
        "    api-server",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"
