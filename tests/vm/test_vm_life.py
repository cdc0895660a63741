"""The VM path through the Pulumi CLI: UEFI, Secure Boot, vTPM, cloud-init from an ISO, drift, restarts."""

from __future__ import annotations

import pytest

from tests.instance import INSTANCE, MakeProject, cluster, on, steps, virsh

pytestmark = pytest.mark.vm

QEMU = "qemu:///system"
RB, CP, WORKER = f"{INSTANCE}-rb-0", f"{INSTANCE}-a-cp-0", f"{INSTANCE}-a-pool1-0"
BOOT_SECONDS = 1500  # three guests under TCG share two cores with whatever else CI does


def test_the_same_stack_boots_as_virtual_machines(make_project: MakeProject) -> None:
    project = make_project(machineType="emulated", clusters=[cluster()])
    project.up(timeout=BOOT_SECONDS).expect()
    assert set(project.outputs()["machines"]) == {RB, CP, WORKER}
    assert on(project, CP, "hostname") == CP
    efi = on(project, CP, "sudo od -An -tu1 /sys/firmware/efi/efivars/SecureBoot-*")
    assert efi.split()[-1] == "1", "Secure Boot is enforced"
    on(project, CP, "test", "-c", "/dev/tpm0")
    assert on(project, WORKER, "systemctl", "is-system-running", "--wait") == "running"
    project.up("--expect-no-changes").expect()
    project.refresh("--expect-no-changes").expect()


def test_drift_of_a_virtual_machine_is_shown_and_repaired(make_project: MakeProject) -> None:
    project = make_project(machineType="emulated")
    project.up(timeout=BOOT_SECONDS).expect()
    born = virsh("domuuid", RB, uri=QEMU)

    virsh("setmem", RB, "700M", "--live", uri=QEMU)
    virsh("setmem", RB, "700M", "--config", uri=QEMU)
    assert "memoryMiB" in project.refresh().expect().output
    project.up(timeout=BOOT_SECONDS).expect()
    assert "1048576" in virsh("dumpxml", RB, "--inactive", "--xpath", "//currentMemory", uri=QEMU)

    virsh("net-destroy", f"{INSTANCE}-infrastructure", uri=QEMU)
    assert "active" in project.refresh().expect().output
    project.up(timeout=BOOT_SECONDS).expect()
    assert on(project, RB, "hostname") == RB

    # A power cut within seconds of the first boot: its host key must have reached the disk (it once had not).
    virsh("destroy", RB, uri=QEMU)
    assert "running" in project.refresh().expect().output
    hosts = project.directory / "hosts" / "here.yaml"
    hosts.write_text(hosts.read_text() + "  Small: {vcpus: 2, memoryGiB: 2, diskGiB: 17}\n")
    project.edit(resourceBridge={"vmSize": "Small"})
    (step,) = steps(project.preview(), RB)
    assert (step["op"], set(step["detailedDiff"])) == ("update", {"vcpus", "memoryMiB", "diskGiB", "running"})
    project.up(timeout=BOOT_SECONDS).expect()
    assert virsh("domuuid", RB, uri=QEMU) == born
    assert on(project, RB, "nproc") == "2"
    assert int(on(project, RB, "df --output=size -B1G /").split()[-1]) >= 16
    project.up("--expect-no-changes").expect()
