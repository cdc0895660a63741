"""azlocal: an Azure Local instance and its AKS clusters on plain KVM machines."""

import atexit as _atexit
import gc as _gc
import os as _os

__version__ = "0.1.0"
"""The version of pyproject.toml: reading it from the installed package's metadata takes each plugin 40 ms."""

# Read when grpc is first imported, by whichever part of ours that is. Its default, on, starts a thread in every
# child between fork and exec, which ends the child now and then: libvirt's ssh, for instance (grpc/grpc#43055).
# Nobody here forks without exec.
_os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

# The same for pydantic, when it makes the first model: to look for plugins, of which we have none, it reads the
# metadata of all that is installed, 60 ms in each process.
_os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# What a start makes, modules and models, stays to the end of the process. By default the collector looks through
# it a hundred times, and once more at the end: a sixth of a short command's time. So often that garbage in cycles
# takes some 20 MB at most is enough, and at the end it all goes with the process.
_gc.set_threshold(100_000)
_atexit.register(_gc.freeze)
