"""The plugin process: Pulumi's protocol on one side, one file per resource kind on the other."""

import os as _os

# Read when grpc is first imported. Its default, on, starts a thread in every child between fork and exec, which
# ends the child now and then: libvirt's ssh, for instance (grpc/grpc#43055). Nobody here forks without exec.
_os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
