"""Where volumes on nodes' disks are: a node's data volume, which outlasts the machine that it is mounted in."""

from __future__ import annotations

from typing import Final

LOCAL_VOLUMES: Final = "/opt/local-path-provisioner"
"""The folder of nodes that their data volumes are mounted at; it is local-path-provisioner's own default."""

DATA_SERIAL: Final = "azlocal-data"
"""The serial number of a VM's data volume, by which the guest finds it; and the label of its file system."""
