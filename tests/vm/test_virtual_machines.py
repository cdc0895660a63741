"""The VM path through the Pulumi CLI, on one instance: UEFI, a power cut, drift, VLANs, kubeadm's control plane.

Emulated machines take minutes of a core to boot, so all tests here share one instance, and each goes on from the
one before it: the resource bridge boots, loses power and boots again; it is changed by hand and used as a host
with VLANs; at last a cluster is added. That comes last because a control plane under emulation never rests: a
whole cluster wouldn't settle there (its leases run out), so nothing is put into this one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import tenacity
import yaml

from infra.kubernetes.api import ClusterApi
from infra.kvm.preparation import Wanted
from infra.kvm.preparation.guard import Trial, change_network
from infra.kvm.preparation.netplan import design_network
from infra.model.host import Bridge
from infra.model.work import Work
from infra.ssh import RootShell, SshError
from tests.instance import INSTANCE, address, cluster, on, projects, steps
from tests.instance import virsh as virsh_of
from tests.prepared_host import UnpreparedHost, unprepared_host, wanted
from tests.project import Project
from tests.vm.tagged_frames import tags_of

pytestmark = [pytest.mark.vm, pytest.mark.chain]

RB, CP, WORKER = f"{INSTANCE}-rb-0", f"{INSTANCE}-a-cp-0", f"{INSTANCE}-a-pool1-0"
BOOT_SECONDS = 1500  # guests under TCG share two cores with whatever else CI does
CLUSTER_SECONDS = 2400

# Everything inside the cluster, and the wait for it.
INSIDE = ("--exclude", "**kubernetes:**", "--exclude", "**azlocal:index:Cluster::**")

TRIAL_SECONDS = 400
VLAN, FAR_VLAN = 110, 120
LAN, FAR_LAN = "azl-trial-lan", "azl-far-lan"
BY_HAND = wanted("far", Bridge(name=FAR_LAN, vlan=FAR_VLAN), uplink="up0")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a stack of a resource bridge, with the image that its cluster will need."""
    with projects(tmp_path_factory.mktemp("vm")) as make:
        project = make(machineType="emulated", nodeImage="kubernetes")
        hosts = project.directory / "hosts" / "here.yaml"
        hosts.write_text(
            hosts.read_text()
            + "  Small: {vcpus: 2, memoryGiB: 2, diskGiB: 17}\n"
            + "  Plane: {vcpus: 2, memoryGiB: 3, diskGiB: 16}\n"
        )
        silence_name_servers(project)
        yield project


def silence_name_servers(project: Project) -> None:
    """Name servers that nobody is: the gateway refuses at once, and is asked again at once.

    A third of an emulated machine's time went to systemd-resolved and systemd-timesyncd at that.
    """
    path = project.directory / "netplans" / "here.yaml"
    netplan = yaml.safe_load(path.read_text())
    for number, network in enumerate((netplan["infrastructure"], *netplan["logicalNetworks"])):
        network["dnsServers"] = [address(number, 2)]
    path.write_text(yaml.safe_dump(netplan, sort_keys=False))


def virsh(*command: str) -> str:
    return virsh_of(*command, uri="qemu:///system")


# -- the resource bridge: first boot, power cut, firmware -----------------------------------------


@dataclass(frozen=True)
class Identity:
    """What a machine keeps as long as it isn't replaced; its host key is drawn where its disk is made."""

    uuid: str
    ssh_host_key: str


def identity(project: Project) -> Identity:
    return Identity(virsh("domuuid", RB), project.outputs()["machines"][RB]["sshHostKey"])


@pytest.fixture(scope="module")
def born(project: Project) -> Identity:
    """Return the resource bridge's identity, as it was at the first test that asks for it."""
    return identity(project)


def test_a_resource_bridge_boots_as_a_virtual_machine(project: Project) -> None:
    project.up(timeout=BOOT_SECONDS).expect()
    assert set(project.outputs()["machines"]) == {RB}


def test_a_power_cut_within_seconds_of_the_first_boot_is_shown(project: Project, born: Identity) -> None:
    virsh("destroy", RB)
    assert "running" in project.refresh().expect().output


def test_preview_says_that_a_larger_size_and_the_start_are_one_update(project: Project) -> None:
    project.edit(resourceBridge={"vmSize": "Small"})
    (step,) = steps(project.preview(), RB)
    assert (step["op"], set(step["detailedDiff"])) == ("update", {"vcpus", "memoryMiB", "diskGiB", "running"})


def test_up_boots_it_larger_from_its_disk_with_its_host_key(project: Project, born: Identity) -> None:
    """The host key must have reached the disk before the power cut (it once had not)."""
    project.up(timeout=BOOT_SECONDS).expect()
    assert identity(project) == born
    name, processors, gib = on(project, RB, "hostname; nproc; df --output=size -B1G / | tail -n 1").splitlines()
    assert (name, int(processors)) == (RB, 2)
    assert int(gib) >= 16


def test_the_resource_bridge_has_secure_boot_a_tpm_and_no_failed_unit(project: Project) -> None:
    assert_firmware_and_units(project, RB)


def assert_firmware_and_units(project: Project, machine: str) -> None:
    """Assert what a machine has as a VM; one login takes an emulated machine ten seconds."""
    secure_boot = "sudo od -An -tu1 /sys/firmware/efi/efivars/SecureBoot-*"
    units = "systemctl is-system-running --wait || systemctl list-units --failed --plain"
    name, efi, tpm, *state = on(
        project, machine, f"hostname; {secure_boot}; ls -l /dev/tpm0; {units}"
    ).splitlines()
    assert name == machine
    assert efi.split()[-1] == "1", "Secure Boot is enforced"
    assert tpm.startswith("c"), "the TPM is a character device"
    assert state == ["running"]


# -- the resource bridge: drift -------------------------------------------------------------------


def test_memory_that_was_changed_by_hand_is_shown_and_given_back(project: Project) -> None:
    virsh("setmem", RB, "700M", "--live")
    virsh("setmem", RB, "700M", "--config")
    assert "memoryMiB" in project.refresh().expect().output
    project.up(timeout=BOOT_SECONDS).expect()
    assert "2097152" in virsh("dumpxml", RB, "--inactive", "--xpath", "//currentMemory")


def test_a_network_that_was_stopped_is_shown_and_started_with_its_machine_on_it(project: Project) -> None:
    virsh("net-destroy", f"{INSTANCE}-infrastructure")
    assert "active" in project.refresh().expect().output
    project.up(timeout=BOOT_SECONDS).expect()
    assert on(project, RB, "hostname") == RB


def test_after_the_repairs_up_changes_nothing(project: Project) -> None:
    project.up("--expect-no-changes").expect()


# -- the resource bridge as a host: VLANs, which a container's kernel may lack --------------------


@dataclass(frozen=True)
class VlanHost(UnpreparedHost):
    """A host with systemd, netplan and Debian's kernel, reached by SSH over the uplink that its VLANs share."""

    nic: str

    @property
    def trial(self) -> Wanted:
        """Return what the first instance wants of it: a VLAN on that uplink."""
        return wanted("trial", Bridge(name=LAN, vlan=VLAN), uplink=self.nic)

    def reach(self) -> RootShell:
        """Open a connection, in three tries if need be: an emulated host may take more than SSH's ten seconds."""
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(SshError), stop=tenacity.stop_after_attempt(3), reraise=True
        ):
            with attempt:
                shell = super().reach()
                try:
                    shell.login()
                except SshError:
                    shell.close()
                    raise
        return shell

    def change(self, what: Wanted) -> Trial:
        """Bring its network to what is wanted; return the trial, with the host as it was before."""
        facts, missing = self.look(what)
        assert missing.faults == ()
        trial = Trial(facts, what, design_network(facts, what), TRIAL_SECONDS)
        change_network(self.reach, trial, Work(status=print))
        return trial

    def run_all(self, *lines: str) -> str:
        """Run commands over one connection."""
        return self.run("sh", "-ec", "\n".join(lines))


@pytest.fixture(scope="module")
def vlan_host(project: Project) -> Iterator[VlanHost]:
    with unprepared_host(project, RB) as host:
        (nic,) = VlanHost(host.domain, host.address, "").addresses()
        yield VlanHost(host.domain, host.address, nic)


@pytest.mark.full
def test_a_vlan_stands_beside_the_uplink_which_keeps_its_address(vlan_host: VlanHost) -> None:
    before = vlan_host.change(vlan_host.trial)
    facts, missing = vlan_host.look(vlan_host.trial)
    assert [step.id for step in missing.steps if step.id == "network"] == []
    assert facts.links[vlan_host.nic].addresses == before.facts.links[vlan_host.nic].addresses
    (vlan,) = (link for link in facts.links.values() if link.kind == "vlan")
    assert (vlan.parent, vlan.vlan, vlan.master) == (vlan_host.nic, VLAN, LAN)


@pytest.mark.full
def test_what_its_bridge_sends_leaves_the_host_with_the_vlans_tag(vlan_host: VlanHost) -> None:
    tap = virsh("domiflist", RB).split()[0]  # this machine's end of the VM's NIC
    # Away with the address again: networkd drops what nobody told it, and a lost address is a change refused.
    with tags_of(tap) as tags:
        vlan_host.run_all(
            f"ip address add 10.9.7.2/24 dev {LAN}",
            "ping -c 3 -W 1 10.9.7.1 || true",
            f"ip address delete 10.9.7.2/24 dev {LAN}",
        )
    assert VLAN in tags


@pytest.mark.full
def test_a_vlan_reaches_its_network_through_a_nic_that_has_its_address_by_hand(vlan_host: VlanHost) -> None:
    """That NIC is wired to another network namespace of the host."""
    vlan_host.run_all(
        "ip netns add far",
        "ip link add up0 type veth peer name sw0 netns far",
        "ip address add 10.9.8.2/24 dev up0",
        "ip link set up0 up",
        "ip -n far link set sw0 up",
        f"ip -n far link add link sw0 name sw0.{FAR_VLAN} type vlan id {FAR_VLAN}",
        f"ip -n far address add 10.9.9.1/24 dev sw0.{FAR_VLAN}",
        f"ip -n far link set sw0.{FAR_VLAN} up",
    )
    vlan_host.change(BY_HAND)
    links = vlan_host.look(BY_HAND)[0].links
    assert [one.text for one in links["up0"].global_addresses] == ["10.9.8.2/24"]
    said = vlan_host.run_all(
        f"ip address add 10.9.9.2/24 dev {FAR_LAN}",
        "ping -c 5 -W 2 10.9.9.1",
        f"ip address delete 10.9.9.2/24 dev {FAR_LAN}",
    )
    assert " 0% packet loss" in said


@pytest.mark.full
def test_an_instance_that_goes_takes_its_vlan_and_leaves_the_other_and_the_address(vlan_host: VlanHost) -> None:
    vlan_host.change(replace(BY_HAND, uplink=None, bridges=()))
    links = vlan_host.look(vlan_host.trial)[0].links
    assert {FAR_LAN, f"up0.{FAR_VLAN}"}.isdisjoint(links)
    assert [(link.vlan, link.master) for link in links.values() if link.kind == "vlan"] == [(VLAN, LAN)]
    assert LAN in links
    assert [one.text for one in links["up0"].global_addresses] == ["10.9.8.2/24"]


# -- a cluster ------------------------------------------------------------------------------------


@contextmanager
def suspended_once_made(machine: str) -> Iterator[None]:
    """Take the processors from a VM as soon as it counts as made: its seed is out of the drive.

    A worker that waits to join its cluster would take half a core from the control plane that it waits for.
    """
    ended = threading.Event()

    def suspend() -> None:
        while not ended.wait(1):
            if machine in virsh("list", "--name").split() and not seed_in_drive(machine):
                virsh("suspend", machine)
                return

    thread = threading.Thread(target=suspend)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def seed_in_drive(machine: str) -> bool:
    return ".iso" in virsh("dumpxml", machine, "--xpath", "//disk[@device='cdrom']")


@pytest.mark.full
def test_a_cluster_is_added_whose_machines_are_virtual_too(project: Project) -> None:
    sizes: dict[str, Any] = {"controlPlane": {"count": 1, "vmSize": "Plane", "hostIP": address(1, 70)}}
    project.edit(clusters=[cluster(provisioning="kubernetes", timeoutMinutes=30, **sizes)])
    with suspended_once_made(WORKER):
        project.up(*INSIDE, timeout=CLUSTER_SECONDS).expect()
    assert set(project.outputs()["machines"]) == {RB, CP, WORKER}


@pytest.mark.full
def test_the_control_plane_answers_at_the_clusters_address(project: Project) -> None:
    output = project.pulumi("stack", "output", "kubeconfig", "--show-secrets").expect().output
    api = ClusterApi(output)
    assert api.server == f"https://{address(1, 70)}:6443"
    assert yaml.safe_load(output)["current-context"] == f"{INSTANCE}-a"
    assert api.get("/version")["gitVersion"].startswith("v1.34")
    assert [node["metadata"]["name"] for node in api.items("/api/v1/nodes")][:1] == [CP]


@pytest.mark.full
def test_the_seed_with_the_clusters_keys_is_out_of_the_drive_and_gone(project: Project) -> None:
    assert not seed_in_drive(CP)
    assert "seed" not in virsh("vol-list", f"azlocal-{INSTANCE}")


@pytest.mark.full
def test_the_control_plane_has_secure_boot_a_tpm_and_no_failed_unit(project: Project) -> None:
    assert_firmware_and_units(project, CP)


@pytest.mark.full
def test_a_second_up_and_a_refresh_change_nothing(project: Project) -> None:
    project.up(*INSIDE, "--expect-no-changes").expect()
    project.refresh("--expect-no-changes").expect()
