"""The life of an instance through the Pulumi CLI, with real machines: system containers on libvirt."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
import yaml

from infra.model.work import Work
from infra.ssh import wait_for_host_key
from tests.instance import (
    INSTANCE,
    MakeProject,
    address,
    cluster,
    domain_uuid,
    on,
    projects,
    steps,
    use_key,
    virsh,
)
from tests.project import Project

pytestmark = pytest.mark.e2e

RB, CP, WORKER = f"{INSTANCE}-rb-0", f"{INSTANCE}-a-cp-0", f"{INSTANCE}-a-pool1-0"


@pytest.fixture(scope="class")
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Yield the instance of a class's tests, as `up` has made it."""
    with projects(tmp_path_factory.mktemp("life")) as make:
        project = make(clusters=request.cls.clusters)
        project.apart = True  # the bare command, as who is at home in Pulumi uses it
        project.up().expect()
        yield project


@pytest.mark.chain
class TestCluster:
    """The machines of a cluster, each test leaving them in order."""

    clusters = (cluster(),)

    def test_machines_run_at_their_planned_addresses_and_a_second_up_changes_nothing(
        self, project: Project
    ) -> None:
        outputs = project.outputs()
        assert outputs == project.printed_outputs()
        planned = {
            one["owner"]: one["address"]
            for network in outputs["plan"]["networks"]
            for one in network["allocations"]
        }
        assert set(outputs["machines"]) == {RB, CP, WORKER}
        for name, machine in outputs["machines"].items():
            assert machine["address"] == planned[name.removeprefix(f"{INSTANCE}-")]
            wait_for_host_key(machine["address"], machine["sshHostKey"], Work().within(10), grace=0)
            assert virsh("domstate", name) == "running"
        assert on(project, CP, "hostname") == CP
        assert on(project, CP, "sudo", "-n", "id", "-u") == "0"
        on(project, CP, "ping", "-c1", "-W2", outputs["machines"][WORKER]["address"])
        assert on(project, CP, "systemctl", "is-system-running", "--wait") == "running"
        project.up("--expect-no-changes").expect()
        project.refresh("--expect-no-changes").expect()

    def test_every_drift_is_shown_by_refresh_and_repaired_by_up(self, project: Project) -> None:
        born = domain_uuid(CP)
        address = project.outputs()["machines"][CP]["address"]

        virsh("destroy", CP)
        assert "running" in project.refresh().expect().output
        assert "running" in str(steps(project.preview(), CP)[0]["detailedDiff"])
        project.up().expect()
        assert (virsh("domstate", CP), domain_uuid(CP)) == ("running", born)

        virsh("setmem", CP, "512M", "--live")
        assert "memoryMiB" in project.refresh().expect().output
        assert steps(project.preview(), CP)[0]["op"] == "update"
        project.up().expect()
        assert "1048576" in virsh("dumpxml", CP, "--xpath", "//currentMemory")

        virsh("net-destroy", f"{INSTANCE}-aks", uri="qemu:///system")
        assert "active" in project.refresh().expect().output
        project.up().expect()
        wait_for_host_key(address, project.outputs()["machines"][CP]["sshHostKey"], Work().within(20), grace=0)

    def test_changes_do_what_preview_says(self, project: Project) -> None:
        born, boot = domain_uuid(CP), on(project, CP, "stat", "-c", "%Y", "/proc/1")
        hosts = project.directory / "hosts" / "here.yaml"
        hosts.write_text(
            hosts.read_text()
            + "  Small: {vcpus: 2, memoryGiB: 2, diskGiB: 16}\n  Big: {vcpus: 2, memoryGiB: 2, diskGiB: 18}\n"
        )

        project.edit(clusters=[cluster(controlPlane={"count": 1, "vmSize": "Small"})])
        (step,) = steps(project.preview(), CP)
        assert (step["op"], set(step["detailedDiff"])) == ("update", {"vcpus", "memoryMiB"})
        project.up().expect()
        assert on(project, CP, "stat", "-c", "%Y", "/proc/1") == boot, (
            "a container's resources change while it runs"
        )
        assert "2097152" in virsh("dumpxml", CP, "--xpath", "//currentMemory")
        assert "200000" in virsh("dumpxml", CP, "--xpath", "//cputune/quota")

        on(project, CP, "sudo", "touch", "/kept")
        project.edit(clusters=[cluster(controlPlane={"count": 1, "vmSize": "Big"})])
        run = project.up().expect()
        assert "restarts for diskGiB 16 → 18" in run.output
        assert int(on(project, CP, "df", "--output=size", "-B1G", "/").split()[-1]) >= 17
        on(project, CP, "test", "-e", "/kept")
        assert domain_uuid(CP) == born

        file = project.directory / "netplans" / "here.yaml"
        netplan = yaml.safe_load(file.read_text())
        netplan["logicalNetworks"][0]["dnsServers"].append(address(1, 2))
        file.write_text(yaml.safe_dump(netplan))
        replaced = {step["op"] for step in steps(project.preview(), CP)}
        assert "replace" in replaced, "a changed seed reaches a machine only by replacing it, and preview says so"
        before = project.outputs()["machines"]
        project.up().expect()
        after = project.outputs()["machines"]
        assert {name: one["address"] for name, one in after.items()} == {
            n: one["address"] for n, one in before.items()
        }
        assert after[CP]["sshHostKey"] != before[CP]["sshHostKey"]

    def test_login_keys_change_on_machines_that_run_on(self, project: Project) -> None:
        born = {name: (domain_uuid(name), virsh("domid", name)) for name in (RB, CP, WORKER)}
        folder = project.directory.parent
        old, other, theirs = (folder / name for name in ("id_ed25519", "other", "theirs"))
        for key in (other, theirs):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        by_hand = theirs.with_suffix(".pub").read_text()
        on(project, RB, "tee", "--append", ".ssh/authorized_keys", stdin=by_hand)

        # A key whose private half isn't here is not tried, and so the old one stays.
        project.edit(sshPublicKeys=[f"{theirs}.pub"])
        theirs.rename(folder / "elsewhere")
        refused = project.up()
        assert refused.code != 0
        assert "none of the new ones logs in from here" in " ".join(refused.output.split())
        assert on(project, CP, "cat", ".ssh/authorized_keys").split()[1] in old.with_suffix(".pub").read_text()

        project.edit(sshPublicKeys=[f"{other}.pub"])
        preview = project.preview()
        assert {step["op"] for name in born for step in steps(preview, name)} == {"update"}
        assert "is patched as it runs: login keys" in project.up().expect().output
        assert {name: (domain_uuid(name), virsh("domid", name)) for name in born} == born
        with pytest.raises(subprocess.CalledProcessError):
            on(project, CP, "true")
        use_key(folder, other)
        wanted = other.with_suffix(".pub").read_text()
        assert on(project, CP, "cat", ".ssh/authorized_keys") == wanted.strip()
        assert on(project, RB, "cat", ".ssh/authorized_keys").splitlines() == [by_hand.strip(), wanted.strip()]
        project.up("--expect-no-changes").expect()
        project.refresh("--expect-no-changes").expect()


def test_another_state_of_the_same_name_touches_nothing_unless_it_is_told_to(
    make_project: MakeProject, tmp_path: Path
) -> None:
    """A second clone, another user, or a state that was lost: all that the stack makes has the same names."""
    ours = make_project()
    ours.up().expect()
    stands = virsh("domid", RB)

    theirs = Project(tmp_path / "clone", INSTANCE)
    shutil.copytree(ours.directory, theirs.directory, ignore=shutil.ignore_patterns("state", "*.lock*"))
    (theirs.directory / "state").mkdir()
    config = theirs.directory / f"Pulumi.{INSTANCE}.yaml"
    config.write_text(re.sub(r"(?m)^encryptionsalt:.*\n", "", config.read_text()))  # the other state's
    theirs.init()
    refusal = f"another state made it: that of {getpass.getuser()} on"
    for run in (theirs.pulumi("preview"), theirs.up()):
        assert run.code != 0
        assert refusal in " ".join(run.output.split()), run.output
    said = theirs.settle("--before-destroy").expect().output
    assert "is left alone" in said
    theirs.destroy().expect()
    assert virsh("domid", RB) == stands, "it runs on"
    ours.up("--expect-no-changes").expect()

    named = re.search(r"AZLOCAL_TAKE_OVER=(\S+)", run.output)
    assert named
    theirs.environment["AZLOCAL_TAKE_OVER"] = named[1]
    theirs.up().expect()
    assert virsh("domid", RB) != stands, "replaced"
    refused = ours.refresh()
    assert refused.code != 0
    assert "another state made it" in " ".join(refused.output.split())
    theirs.destroy().expect()
    ours.destroy().expect()


def test_what_azlocal_did_not_make_is_refused_and_left_alone(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project()
    theirs = tmp_path / "theirs.xml"
    theirs.write_text(f"<network><name>{INSTANCE}-aks</name><bridge name='br-theirs'/></network>")
    virsh("net-define", str(theirs), uri="qemu:///system")
    uuid = virsh("net-uuid", f"{INSTANCE}-aks", uri="qemu:///system")
    try:
        run = project.up()
        assert run.code != 0
        assert "was not made by instance" in run.output
        project.destroy().expect()
        assert virsh("net-uuid", f"{INSTANCE}-aks", uri="qemu:///system") == uuid
    finally:
        virsh("net-undefine", f"{INSTANCE}-aks", uri="qemu:///system")


@pytest.mark.chain
class TestResourceBridge:
    """The one machine of an instance without clusters."""

    clusters = ()

    def test_lost_state_is_recovered_by_import(self, project: Project) -> None:
        born = domain_uuid(RB)
        (urn,) = [
            line.split()[-1]
            for line in project.pulumi("stack", "--show-urns").output.splitlines()
            if line.endswith(f"Machine::{RB}")
        ]
        project.pulumi("state", "delete", urn, "--yes").expect()
        run = project.pulumi(
            "import",
            "azlocal:index:Machine",
            RB,
            f"qemu:///system#{RB}",
            "--yes",
            "--protect=false",
            "--generate-code=false",
        )
        run.expect()
        assert domain_uuid(RB) == born
        assert libvirt.open("lxc:///system").lookupByName(RB).isActive()
        project.pulumi(
            "state", "delete", "--yes", f"urn:pulumi:{INSTANCE}::azlocal::azlocal:index:Machine::{RB}"
        ).expect()
        project.up().expect()
        assert domain_uuid(RB) == born, "a machine that carries the mark is taken over, not made twice"

    def test_after_a_host_reboot_everything_comes_back_with_its_data(self, project: Project) -> None:
        born = domain_uuid(RB)
        on(project, RB, "sudo", "sh", "-c", "'echo mine > /kept; sync'")

        # What a reboot leaves: nothing runs, and the store's mount is gone.
        virsh("destroy", RB)
        for network in ("aks", "infrastructure"):
            virsh("net-destroy", f"{INSTANCE}-{network}", uri="qemu:///system")
        virsh("pool-destroy", f"azlocal-{INSTANCE}", uri="qemu:///system")
        if Path(f"/var/lib/azlocal/{INSTANCE}.xfs").exists():
            subprocess.run(["umount", f"/var/lib/azlocal/{INSTANCE}"], check=True)

        shown = project.refresh().expect().output
        assert "available" in shown
        assert "running" in shown
        project.up().expect()
        assert domain_uuid(RB) == born
        assert on(project, RB, "cat", "/kept") == "mine"
        project.refresh("--expect-no-changes").expect()
