"""A VM leaves a host that drains live: the same run of the same system, memory and disk, on another host."""

from __future__ import annotations

import signal

import pytest
import yaml

from infra.lab.host import LabHost
from infra.lab.lab import Lab
from infra.lab.site import draining
from tests.lab.instance import INSTANCE, MakeInstance, bring_image, on, traces
from tests.project import Project
from tests.waiting import eventually

pytestmark = [pytest.mark.lab, pytest.mark.full]

RB = f"{INSTANCE}-rb-0"
BOOT_SECONDS = 900  # of an emulated guest, on a machine that has others to run as well
QEMU = ("virsh", "-q", "-c", "qemu:///system")


def test_a_vm_migrates_as_it_runs_also_after_a_run_that_was_stopped(lab: Lab, make_instance: MakeInstance) -> None:
    empty = {host.name: traces(host) for host in lab.hosts}
    project = make_instance(
        hosts=draining(lab), netplan_changes={"transport": "vxlan"}, machineType="emulated", clusters=[]
    )
    bring_image(lab.hosts, vm=True)
    project.up(timeout=BOOT_SECONDS).expect()
    source = lab.host(project.outputs()["machines"][RB]["host"])
    (target,) = (host for host in lab.hosts if host != source)
    without = traces(target)
    on(project, lab, RB, "echo kept | sudo tee /root/kept /run/kept; sync")
    born = boot(project, lab)

    drain(project, lab, source)
    said = project.pulumi("preview").expect().output
    assert f"{RB} migrates live from {source.connection} to {target.connection}: 1024 MiB of memory" in said
    assert f"rb-0 moves from {source.name} to {target.name}, because {source.name} drains live" in said

    stop_while_migrating(project, source)
    assert domains(source) == {RB: "running"}
    assert domains(target) == {}
    left = traces(target) - without
    assert [line for line in left if "/dnsmasq/" not in line] == []  # libvirt's own, of the network
    assert boot(project, lab) == born

    said = project.up().expect().output
    assert f"{RB} migrated from {source.connection} to {target.connection} as it ran" in said
    assert project.outputs()["machines"][RB]["host"] == target.name
    assert (domains(source), domains(target)) == ({}, {RB: "running"})
    assert boot(project, lab) == born
    assert on(project, lab, RB, "sudo cat /root/kept /run/kept").split() == ["kept", "kept"]
    project.up("--expect-no-changes").expect()
    project.refresh("--expect-no-changes").expect()
    assert not [line for line in traces(source) - empty[source.name] if RB in line]


def drain(project: Project, lab: Lab, host: LabHost) -> None:
    """Have a host drain live from the next `up` on."""
    path = project.directory / "hosts/lab.yaml"
    path.write_text(yaml.safe_dump(draining(lab, **{host.name: "live"})))


def stop_while_migrating(project: Project, source: LabHost) -> None:
    """Stop an `up`, as Ctrl-C does, once its machine is being copied."""
    process = project.start("up", "--yes", "--skip-preview")
    try:

        def migrates() -> bool:
            assert process.poll() is None, process.communicate()[0]
            return "Outgoing migration" in source.run(*QEMU, "domjobinfo", RB, check=False).stdout

        eventually(migrates, "the migration", seconds=300)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    except BaseException:
        process.kill()
        raise
    assert process.returncode != 0
    assert "runs on where it was; the next `pulumi up` migrates it" in output


def domains(host: LabHost) -> dict[str, str]:
    """Return the state of every VM that a host knows."""
    names = host.run(*QEMU, "list", "--all", "--name").stdout.split()
    return {name: host.run(*QEMU, "domstate", name).stdout.strip() for name in names}


def boot(project: Project, lab: Lab) -> str:
    """Return what the kernel draws again each time it starts."""
    return on(project, lab, RB, "cat /proc/sys/kernel/random/boot_id")
