"""azlocal: an Azure Local instance and its AKS clusters on plain KVM machines."""

import os as _os

__version__ = "0.1.0"
"""The version of pyproject.toml: reading it from the installed package's metadata takes each plugin 40 ms."""

# Read when grpc is first imported, by whichever part of ours that is. Its default, on, starts a thread in every
# child between fork and exec, which ends the child now and then: libvirt's ssh, for instance (grpc/grpc#43055).
# Nobody here forks without exec.
_os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
