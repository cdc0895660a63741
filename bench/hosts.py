"""Sixteen lab hosts against one: how long `pulumi up` takes to prepare them, networks included.

The hosts are the lab's (tests/lab): namespaces with a libvirtd and an sshd each, on this one machine. Real hosts
bring processors of their own; so here each gets a fixed share, alone or among sixteen: half of this machine for
sixteen hosts, and half for what azlocal itself does. Beside that, without a promise: all sharing what there is,
where one host has for itself what sixteen must divide.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.result import Ratio
from infra.lab import groups
from infra.lab import lab as labs
from infra.lab.lab import Lab
from infra.lab.site import hosts_file
from tests.lab.instance import instances
from tests.project import HOST_ONLY

HOSTS = 16
PAIRS = 3


def sixteen_hosts_prepared() -> Ratio:
    """Prepare sixteen hosts and one in turn, each with processors of its own."""
    share = (os.cpu_count() or 1) / 2 / HOSTS
    many, one = _in_turn(share)
    return Ratio(f"{HOSTS} hosts prepared / one, {share:.3f} processors each", many, one, limit=2)


def sixteen_hosts_prepared_on_shared_processors() -> Ratio:
    """Prepare sixteen hosts and one in turn, on whatever this machine has."""
    many, one = _in_turn(None)
    return Ratio(f"{HOSTS} hosts prepared / one, sharing {os.cpu_count()} processors", many, one)


def _in_turn(share: float | None) -> tuple[list[float], list[float]]:
    with labs.reserved_name("bench") as name:
        lab = labs.start(name, HOSTS)
        try:
            if share is not None:
                for host in lab.hosts:
                    groups.limit_processors(name, host.name, share)
            # libvirtd sets itself up at its first network: beforehand, or only the first pair would pay for it.
            _seconds(lab, HOSTS)
            pairs = [(_seconds(lab, HOSTS), _seconds(lab, 1)) for _ in range(PAIRS)]
        finally:
            labs.remove(name)
    return [many for many, _ in pairs], [one for _, one in pairs]


def _seconds(lab: Lab, count: int) -> float:
    hosts = hosts_file(lab)
    with tempfile.TemporaryDirectory() as folder, instances(lab, Path(folder)) as make:
        # A mesh is what sixteen hosts of a lab would have; its tunnels are part of the preparation.
        project = make(netplan_changes={"transport": "vxlan"}, hosts=hosts | {"hosts": hosts["hosts"][:count]})
        started = time.monotonic()
        project.up("--parallel", "64", *HOST_ONLY).expect()
        return time.monotonic() - started
