"""The cloud-init NoCloud seed of a machine: meta-data, user-data, network-config.

One seed serves a VM and a container: the interface is matched by name (`enp1s0`, `eth0`), and what a container
can't do (growing a partition) is no error there.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import yaml

from infra.guest.host_key import SshHostKey
from infra.guest.kubernetes_node import NO_SECRETS, KubernetesNode, NodeSecrets, node_archive

LOGIN_USER = "azlocal"
_USER_DATA_HEADER = "#cloud-config\n"

_NO_KEY = SshHostKey(private_openssh="", public_openssh="")
# Nothing in a seed needs the network: cloud-init's first stage does all of it, the second one nothing.
_BEFORE_THE_NETWORK = {"dsmode": "local"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBoot:
    """What a machine is told once.

    Attributes:
        hostname: Its short name.
        instance_id: cloud-init runs anew where this changes.
        address: Its address with the subnet's length, e.g. `10.0.0.5/24`.
        gateway: The default gateway.
        dns_servers: DNS servers.
        authorized_keys: Public keys that may log in as `azlocal`.
        fqdn: Its full name, where it has one.
        node: The Kubernetes node that it becomes; None for other machines.
        mtu: Largest packet on its network, in bytes, where it isn't the usual 1500.
    """

    hostname: str
    instance_id: str
    address: str
    gateway: str
    dns_servers: tuple[str, ...] = ()
    authorized_keys: tuple[str, ...] = ()
    fqdn: str | None = None
    node: KubernetesNode | None = None
    mtu: int | None = None


def render_seed(
    first_boot: FirstBoot, host_key: SshHostKey, secrets: NodeSecrets = NO_SECRETS
) -> dict[str, bytes]:
    """Return the seed's files by name; it holds private keys, so treat it as a secret."""
    return _files(_meta_data(first_boot) | _BEFORE_THE_NETWORK, first_boot, host_key, secrets)


def seed_digest(first_boot: FirstBoot) -> str:
    """Return a digest of what the seed says, apart from its keys and tokens, and from when it is read."""
    digest = hashlib.sha256()
    for name, content in sorted(_files(_meta_data(first_boot), first_boot, _NO_KEY, NO_SECRETS).items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _files(
    meta_data: dict[str, Any], first_boot: FirstBoot, host_key: SshHostKey, secrets: NodeSecrets
) -> dict[str, bytes]:
    files = {
        "meta-data": _yaml(meta_data),
        "user-data": _USER_DATA_HEADER.encode() + _yaml(_user_data(first_boot, host_key)),
        "network-config": _yaml(_network_config(first_boot)),
    }
    if first_boot.node:
        address = first_boot.address.partition("/")[0]
        files["node.tar"] = node_archive(first_boot.node, first_boot.hostname, address, secrets)
    return files


def _meta_data(first_boot: FirstBoot) -> dict[str, Any]:
    return {"instance-id": first_boot.instance_id, "local-hostname": first_boot.hostname}


def _user_data(first_boot: FirstBoot, host_key: SshHostKey) -> dict[str, Any]:
    user = {
        "name": LOGIN_USER,
        "gecos": "azlocal",
        "shell": "/bin/bash",
        "lock_passwd": True,
        "sudo": ["ALL=(ALL) NOPASSWD:ALL"],
        "ssh_authorized_keys": list(first_boot.authorized_keys),
    }
    # The command copies node.tar; it runs before SSH answers, and the seed may be gone after that.
    take_seed = {"bootcmd": [["cloud-init-per", "instance", "take-seed", "/usr/lib/azlocal/take-seed"]]}
    return {
        **(take_seed if first_boot.node else {}),
        "hostname": first_boot.hostname,
        "fqdn": first_boot.fqdn or first_boot.hostname,
        "prefer_fqdn_over_hostname": False,
        "manage_etc_hosts": True,
        "users": [user],
        "disable_root": True,
        "ssh_pwauth": False,
        "ssh_deletekeys": True,
        "ssh_keys": {  # cloud-init then makes no others: the one key that can be checked
            "ed25519_private": host_key.private_openssh,
            "ed25519_public": host_key.public_openssh,
        },
        "locale": False,  # the image has no `locales`; the module would fail, and the boot count as degraded
        "package_update": False,
        "package_upgrade": False,
        "growpart": {"mode": "auto", "devices": ["/"], "ignore_growroot_disabled": False},
        "resize_rootfs": True,
    }


def _network_config(first_boot: FirstBoot) -> dict[str, Any]:
    link: dict[str, Any] = {
        "match": {"name": "e*"},
        "dhcp4": False,
        "dhcp6": False,
        "accept-ra": False,
        "link-local": [],
        "addresses": [first_boot.address],
        "routes": [{"to": "0.0.0.0/0", "via": first_boot.gateway}],
    }
    if first_boot.mtu:
        link["mtu"] = first_boot.mtu
    if first_boot.dns_servers:
        link["nameservers"] = {"addresses": list(first_boot.dns_servers)}
    return {"version": 2, "ethernets": {"primary": link}}


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, so that people can read a seed."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _yaml(content: dict[str, Any]) -> bytes:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000).encode()
