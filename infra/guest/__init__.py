"""What a machine finds at its first boot, as pure text: cloud-init, netplan, its SSH host key."""

from infra.guest.first_boot import LOGIN_USER, FirstBoot, render_seed, seed_digest
from infra.guest.host_key import SshHostKey, generate_host_key

__all__ = ["LOGIN_USER", "FirstBoot", "SshHostKey", "generate_host_key", "render_seed", "seed_digest"]
