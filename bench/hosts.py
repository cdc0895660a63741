"""Sixteen lab hosts against one: how long `pulumi up` takes to prepare them, networks included.

The hosts are the lab's (tests/lab): namespaces with a libvirtd and an sshd each, on this machine's processors. So
sixteen of them share what one has for itself, and the ratio is worse than it is with sixteen real machines.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.result import Ratio
from tests.lab import lab as labs
from tests.lab.instance import instances
from tests.lab.lab import Lab
from tests.lab.site import hosts_file
from tests.project import HOST_ONLY

HOSTS = 16
PAIRS = 3


def sixteen_hosts_prepared() -> Ratio:
    """Prepare all hosts of a lab and one of them in turn; return the ratios."""
    many: list[float] = []
    one: list[float] = []
    with labs.reserved_name("bench") as name:
        lab = labs.start(name, HOSTS)
        try:
            for _ in range(PAIRS):
                many.append(_seconds(lab, HOSTS))
                one.append(_seconds(lab, 1))
        finally:
            labs.remove(name)
    return Ratio(f"{HOSTS} hosts prepared / one host prepared", many, one, limit=2)


def _seconds(lab: Lab, count: int) -> float:
    hosts = hosts_file(lab)
    with tempfile.TemporaryDirectory() as folder, instances(lab, Path(folder)) as make:
        # A mesh is what sixteen hosts of a lab would have; its tunnels are part of the preparation.
        project = make(netplan_changes={"transport": "vxlan"}, hosts=hosts | {"hosts": hosts["hosts"][:count]})
        started = time.monotonic()
        project.up("--parallel", "64", *HOST_ONLY).expect()
        return time.monotonic() - started
