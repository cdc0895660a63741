"""An instance on a lab's hosts, by the real Pulumi CLI over real SSH, proven gone from every host afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.image import build_command, find_node_image
from infra.kvm import clone_store
from infra.kvm.storage import COMPLETE
from infra.lab.client import key_file
from infra.lab.host import LabHost
from infra.lab.lab import Lab
from infra.lab.site import hosts_file, netplan
from infra.model.image import NodeImageKind
from infra.ssh import shell_for
from tests import emptiness
from tests.instance import node_image
from tests.project import Project
from tests.waiting import eventually

INSTANCE = "site"
"""The same on every lab: hosts of two labs share nothing that it could collide in."""


def cluster(workers: int, name: str = "a", **changes: Any) -> dict[str, Any]:
    """Return a cluster's machines: one control plane and a pool of workers, without Kubernetes on them."""
    return {
        "name": name,
        "logicalNetwork": "aks",
        "controlPlane": {"count": 1, "vmSize": "Lab_Small"},
        "agentPools": [{"name": "pool1", "count": workers, "vmSize": "Lab_Small"}],
        "loadBalancer": {"count": 0},
        "provisioning": "machines",
        **changes,
    }


MakeInstance = Callable[..., Project]


def traces(host: LabHost) -> set[str]:
    """Return what there is on a host, asked over SSH as of any host."""
    with closing(shell_for(host.connection)) as shell:
        return emptiness.traces(shell, INSTANCE)


@contextmanager
def instances(lab: Lab, folder: Path) -> Iterator[MakeInstance]:
    """Yield a function that makes a project for the lab: `make(netplan={…}, hosts={…}, clusters=[…], …)`.

    What the project made is destroyed at the end; then no host has more than it had.
    """
    before = {host.name: traces(host) for host in lab.hosts}
    made: list[Project] = []

    def make(
        *, netplan_changes: Mapping[str, Any] | None = None, hosts: dict[str, Any] | None = None, **config: Any
    ) -> Project:
        project = Project(folder / "project", INSTANCE)
        defaults = {
            "site": "lab",
            "machineType": "container",
            "nodeImage": node_image(config.get("clusters", [])),
            "resourceBridge": {"vmSize": "Lab_Small"},
            "sshPublicKeys": [f"{key_file(lab.name)}.pub"],
            "clusters": [],
        }
        plan = netplan(lab, **(netplan_changes or {}))
        project.write(config=defaults | config, hosts=hosts or hosts_file(lab), netplan=plan)
        project.init()
        made.append(project)
        return project

    def left() -> list[str]:
        return [f"{host.name}: {line}" for host in lab.hosts for line in sorted(traces(host) - before[host.name])]

    try:
        yield make
    finally:
        for host in lab.hosts:
            host.power_on()  # a test that failed may have left it without
        for project in made:
            project.reap()
            if not project.is_empty() or left():  # else the test has destroyed it
                project.settle("--before-destroy").expect()
                project.destroy().expect()
    # A command of the last run's may be ending still, a second after who had asked for it.
    remains = left()
    eventually(lambda: not left(), f"nothing is left; there was {', '.join(remains)}", 5)


def bring_image(hosts: Iterable[LabHost], kind: NodeImageKind = "plain", *, vm: bool = False) -> None:
    """Give hosts the node image as an earlier `up` would have left it there.

    For tests of something else: through SSH each host takes seconds of a processor.
    """
    image = find_node_image(kind)
    assert image is not None
    artifact, store = image.vm if vm else image.container, f"/var/lib/azlocal/{INSTANCE}"
    if artifact is None:
        pytest.skip(f"the {kind} image has no disk for VMs; run `{build_command(kind)}`")
    name = f"image-{artifact.sha256[:12]}.{artifact.format}"
    for host in hosts:
        shell = shell_for(host.connection)
        clone_store.ensure(shell, store)
        shell.make_directory(f"{store}/volumes", mode=0o711)
        shell.close()
        volumes = Path(f"/proc/{host.process}/root{store}/volumes")
        subprocess.run(["cp", "--sparse=always", artifact.path, volumes / name], check=True)
        (volumes / f"{name}{COMPLETE}").touch(mode=0o600)


def on(project: Project, lab: Lab, machine: str, *command: str) -> str:
    """Run a command on a machine over SSH through the host that the stack names, checking both host keys."""
    known = project.outputs()["machines"][machine]
    hosts = project.directory / f"known_hosts.{machine}"  # several may be asked at the same time
    hosts.write_text(f"{known['address']} {known['sshHostKey']}\n")
    ssh = ["ssh", "-J", known["jump"], "-i", str(key_file(lab.name)), "-o", f"UserKnownHostsFile={hosts}"]
    ssh += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
    done = subprocess.run(
        [*ssh, f"azlocal@{known['address']}", *command], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def running(host: LabHost) -> set[str]:
    """Return the containers that run on a host, asked at its console."""
    return set(host.run("virsh", "-q", "-c", "lxc:///system", "list", "--name").stdout.split())
