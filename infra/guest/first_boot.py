"""The cloud-init NoCloud seed of a machine: meta-data, user-data, network-config.

One seed serves a VM and a container: the interface is matched by name (`enp1s0`, `eth0`), and what a container
can't do (growing a partition) is no error there.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from infra.guest.host_key import SshHostKey
from infra.guest.kubernetes_node import NO_SECRETS, KubernetesNode, node_archive
from infra.model.first_boot import FirstBoot
from infra.model.local_volumes import DATA_SERIAL, LOCAL_VOLUMES
from infra.model.machine_traits import MachineTraits
from infra.model.node import NodeSecrets, NodeSettings

LOGIN_USER = "azlocal"
_USER_DATA_HEADER = "#cloud-config\n"

# A volume that isn't all zeros where its file system begins has data of the machine that was here before.
# Without the mount kubelet doesn't start: pods would write into the folder below it, and lose that.
MOUNT_DATA: Final = f"""
disk=/dev/disk/by-id/virtio-{DATA_SERIAL}
for _ in $(seq 100); do [ ! -b "$disk" ] || break; sleep 0.1; done
if cmp --quiet --bytes=1048576 "$disk" /dev/zero; then
    mkfs.ext4 -q -L {DATA_SERIAL} "$disk"
fi
mkdir -p {LOCAL_VOLUMES} /etc/systemd/system/kubelet.service.d
grep -q {LOCAL_VOLUMES} /etc/fstab ||
    echo "$disk {LOCAL_VOLUMES} ext4 nofail,x-systemd.growfs 0 2" >>/etc/fstab
printf '[Unit]\\nRequiresMountsFor={LOCAL_VOLUMES}\\n' >/etc/systemd/system/kubelet.service.d/20-azlocal-data.conf
mountpoint -q {LOCAL_VOLUMES} || mount {LOCAL_VOLUMES}
systemctl daemon-reload
"""

_NO_KEY = SshHostKey(private_openssh="", public_openssh="")
# Nothing in a seed needs the network: cloud-init's first stage does all of it, the second one nothing.
_BEFORE_THE_NETWORK = {"dsmode": "local"}


@dataclass(frozen=True, slots=True)
class Seed:
    """What a machine finds at its first boot, apart from keys and tokens.

    Attributes:
        instance_id: cloud-init runs again where this changes.
        first_boot: What the machine is told.
        traits: How it runs.
        settings: What its node is told besides, which is no part of the digest: no difference there replaces it.
        mounts_data: Whether it mounts the data volume that is among its drives; no part of the digest either.
    """

    instance_id: str
    first_boot: FirstBoot
    traits: MachineTraits
    settings: NodeSettings | None = None
    mounts_data: bool = False

    def render(self, host_key: SshHostKey, secrets: NodeSecrets = NO_SECRETS) -> dict[str, bytes]:
        """Return the seed's files by name; they hold private keys, so treat them as a secret."""
        return self._files(_BEFORE_THE_NETWORK, host_key, secrets)

    def digest(self) -> str:
        """Return a digest of what the seed says, apart from its keys and tokens, and from when it is read."""
        digest = hashlib.sha256()
        bare = replace(self, settings=None, mounts_data=False)
        for name, content in sorted(bare._files({}, _NO_KEY, NO_SECRETS).items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def _files(self, source: Mapping[str, str], host_key: SshHostKey, secrets: NodeSecrets) -> dict[str, bytes]:
        first_boot = self.first_boot
        meta_data = {"instance-id": self.instance_id, "local-hostname": first_boot.hostname}
        files = {
            "meta-data": _yaml(meta_data | dict(source)),
            "user-data": _USER_DATA_HEADER.encode() + _yaml(_user_data(first_boot, host_key, self.mounts_data)),
            "network-config": _yaml(_network_config(first_boot)),
        }
        if first_boot.node:
            node = KubernetesNode(
                first_boot.node,
                first_boot.hostname,
                first_boot.host_address,
                self.traits,
                self.settings or NodeSettings(),
            )
            files["node.tar"] = node_archive(node, secrets)
        return files


def _user_data(first_boot: FirstBoot, host_key: SshHostKey, mounts_data: bool) -> dict[str, Any]:
    user = {
        "name": LOGIN_USER,
        "gecos": "azlocal",
        "shell": "/bin/bash",
        "lock_passwd": True,
        "sudo": ["ALL=(ALL) NOPASSWD:ALL"],
        "ssh_authorized_keys": list(first_boot.authorized_keys),
    }
    # The command copies node.tar; it runs before SSH answers, and the seed may be gone after that.
    commands = [["cloud-init-per", "instance", "take-seed", "/usr/lib/azlocal/take-seed"]]
    if mounts_data:
        commands.insert(0, ["cloud-init-per", "instance", "mount-data", "sh", "-euc", MOUNT_DATA])
    return {
        **({"bootcmd": commands} if first_boot.node else {}),
        "hostname": first_boot.hostname,
        "fqdn": first_boot.hostname,
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
