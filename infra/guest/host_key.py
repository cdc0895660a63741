"""The SSH host key of a machine, made here, so that the first connection can be checked."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SshHostKey:
    """An ed25519 host key in OpenSSH's formats.

    Attributes:
        private_openssh: The private key's PEM text; never printed with the object.
        public_openssh: `ssh-ed25519 AAAA…`, without a comment.
    """

    private_openssh: str = field(repr=False)
    public_openssh: str


def generate_host_key() -> SshHostKey:
    """Return a new host key."""
    # Whoever renders or compares what a machine is told imports this module, and makes no key.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return SshHostKey(private.decode("ascii"), public.decode("ascii"))
