"""The XML of machines and networks: what libvirt's own schema accepts, and what is read back from it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from infra.kvm.domain_xml import MachineDefinition, drives_of, from_xml, relocated
from infra.kvm.machines import MACHINES
from infra.kvm.networks import NetworkDefinition
from infra.kvm.ownership import Mark
from infra.kvm.storage import Volume
from infra.model.machine import MachineType

MARK = Mark("local", "local", "urn:pulumi:local::azlocal::azlocal:index:Machine::local-a-cp-0")
SCHEMAS = Path("/usr/share/libvirt/schemas")


@cache
def schema(name: str) -> Any:
    if not (SCHEMAS / name).exists():
        pytest.skip(f"{SCHEMAS / name} isn't installed (Debian package libvirt0 has it)")
    return etree.RelaxNG(etree.parse(str(SCHEMAS / name)))


DISK = "/var/lib/azlocal/local/volumes/local-a-cp-0.qcow2"
SEED = "/var/lib/azlocal/local/volumes/local-a-cp-0-seed.iso"
DEFINITION = MachineDefinition(
    name="local-a-cp-0",
    mark=MARK,
    vcpus=3,
    memory_mib=2048,
    network="local-aks",
    mac_address="52:54:00:01:02:03",
    secure_boot=True,
    tpm=True,
    record={"image": "image-0123.qcow2", "odd": '<&"\u00e9>'},
)


def xml_of(machine_type: MachineType, **changes: Any) -> str:
    """Return the domain of a machine; a container has no firmware."""
    definition = replace(
        DEFINITION, **dict.fromkeys(("secure_boot", "tpm"), machine_type != "container") | changes
    )
    return MACHINES[machine_type].to_xml(definition, disk=DISK, seed=SEED, host_memory_mib=24000)


@pytest.mark.parametrize("machine_type", ["vm", "container", "emulated"])
def test_libvirt_accepts_the_domain(machine_type: MachineType) -> None:
    validator = schema("domain.rng")
    validator.assertValid(etree.fromstring(xml_of(machine_type)))


def test_a_container_has_a_description_that_makes_room_in_libvirt_s_heap() -> None:
    """tests/e2e/test_container_start.py has libvirt start some: from 1 to 12 KiB of it, all do."""
    text = etree.fromstring(xml_of("container")).findtext("description")
    assert text is not None
    assert 1024 <= len(text) <= 12 << 10
    assert etree.fromstring(xml_of("vm")).find("description") is None


def test_a_container_is_kept_from_what_is_the_host_s_alone() -> None:
    root = etree.fromstring(xml_of("container"))
    found = {one.tag: one.get("state") for one in root.iterfind("features/capabilities/*")}
    assert set(found.values()) == {"off"}
    assert {"sys_module", "sys_rawio", "sys_time", "mac_admin"} <= set(found)
    # containerd makes devices; /dev/kmsg, which nodes of 0.1.0 read, asks for syslog where the host restricts it.
    assert not {"mknod", "syslog", "sys_admin", "net_admin", "sys_boot", "audit_control"} & set(found)


@pytest.mark.parametrize("machine_type", ["vm", "container", "emulated"])
def test_what_is_written_is_read_back(machine_type: MachineType) -> None:
    view = from_xml(xml_of(machine_type))
    for name in ("name", "vcpus", "memory_mib", "network", "mac_address", "record"):
        assert getattr(view, name) == getattr(DEFINITION, name), name
    assert (view.machine_type, view.uuid) == (machine_type, MARK.uuid("domain", "local-a-cp-0"))
    assert view.secure_boot is view.tpm is (machine_type != "container")
    assert (view.instance, view.stack) == ("local", "local")


RUNNING = """<domain type='kvm'><name>m</name>
<metadata><azlocal:machine xmlns:azlocal='urn:azlocal:machine:1'><azlocal:owner instance='i' stack='s' urn='u'/>
<azlocal:record>{"pool": "old"}</azlocal:record></azlocal:machine></metadata>
<os><nvram>/nvram/m_VARS.fd</nvram></os>
<devices><disk type='file' device='cdrom'><target dev='sda' bus='scsi'/><readonly/></disk>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/a/m.qcow2' index='2'/>
<backingStore type='file' index='3'><format type='qcow2'/><source file='/a/image-1.qcow2'/><backingStore/>
</backingStore><target dev='vda' bus='virtio'/></disk></devices></domain>"""


def test_the_drives_of_a_running_vm_are_read() -> None:
    found = drives_of(RUNNING)
    assert (found.disk, found.image) == ("/a/m.qcow2", "/a/image-1.qcow2")
    assert (found.seed, found.firmware) == (None, "/nvram/m_VARS.fd")
    assert drives_of(xml_of("vm")).seed == SEED


def test_a_vm_is_described_for_another_host() -> None:
    there = relocated(RUNNING, "/b/m.qcow2", None, {"pool": "new", "migrations": 1})
    found = drives_of(there)
    assert (found.disk, found.image) == ("/b/m.qcow2", None)
    assert from_xml(there).record == {"pool": "new", "migrations": 1}
    assert "/a/" not in there


def test_a_data_volume_of_a_vm_is_a_drive_of_its_own_on_another_host_too() -> None:
    without, with_data = (
        MACHINES["vm"].to_xml(DEFINITION, disk=DISK, seed=None, data=data, host_memory_mib=24000)
        for data in (None, "/a/m.data.qcow2")
    )
    assert (drives_of(without).data, from_xml(without).has_data_volume) == (None, False)
    assert (drives_of(with_data).data, from_xml(with_data).has_data_volume) == ("/a/m.data.qcow2", True)
    schema("domain.rng").assertValid(etree.fromstring(with_data))
    there = drives_of(relocated(with_data, "/b/m.qcow2", "/b/m.data.qcow2", {}))
    assert (there.disk, there.data) == ("/b/m.qcow2", "/b/m.data.qcow2")


def test_a_data_volume_of_a_container_is_a_folder_of_its_host() -> None:
    definition = replace(DEFINITION, secure_boot=False, tpm=False)
    xml = MACHINES["container"].to_xml(definition, disk=DISK, seed=SEED, data="/a/data/m", host_memory_mib=24000)
    schema("domain.rng").assertValid(etree.fromstring(xml))
    assert (from_xml(xml).has_data_volume, from_xml(xml_of("container")).has_data_volume) == (True, False)
    mounted = etree.fromstring(xml).find("devices/filesystem[source='']/source[@dir='/a/data/m']/..")
    assert mounted is not None
    assert mounted.find("target[@dir='/opt/local-path-provisioner']") is not None
    assert mounted.find("readonly") is None


def test_a_domain_of_somebody_else_reads_as_unmarked() -> None:
    view = from_xml("<domain type='kvm'><name>theirs</name><memory unit='GiB'>2</memory><vcpu>4</vcpu></domain>")
    assert (view.instance, view.stack, view.record) == ("", "", {})
    assert (view.memory_mib, view.vcpus) == (2048, 4)


def test_a_containers_memory_can_grow_while_it_runs_but_a_vms_is_fixed() -> None:
    assert from_xml(xml_of("container")).memory_maximum_mib == 24000
    assert from_xml(xml_of("vm")).memory_maximum_mib == 2048


def test_an_emulated_processor_lacks_what_is_dear_to_emulate_and_a_real_one_is_the_hosts() -> None:
    emulated, real = (etree.fromstring(xml_of(kind)) for kind in ("emulated", "vm"))
    assert emulated.xpath("cpu/@mode") == ["maximum"]
    assert emulated.xpath("cpu/feature[@policy='disable']/@name") == [
        *("la57", "xsave"),
        *("avx", "avx2", "f16c", "fma", "vaes", "vpclmulqdq", "pku"),
    ]
    assert real.xpath("cpu/@mode") == ["host-model"]


def test_secure_boot_needs_smm_and_enrolled_keys() -> None:
    xml = xml_of("vm")
    assert '<smm state="on"/>' in xml
    assert 'enabled="yes" name="enrolled-keys"' in xml
    assert "smm" not in xml_of("vm", secure_boot=False)


@pytest.mark.parametrize(
    "definition",
    [
        NetworkDefinition("local-aks", "azl-1234", "nat", "10.1.0.0/24", "10.1.0.1"),
        NetworkDefinition("lab-aks", "br-eno1-110", "bridge"),
    ],
)
def test_networks_are_accepted_and_read_back(definition: NetworkDefinition) -> None:
    xml = definition.to_xml(MARK.uuid("network", definition.name))
    schema("network.rng").assertValid(etree.fromstring(xml))
    assert NetworkDefinition.from_xml(xml) == definition


def test_volumes_are_accepted_and_allocate_nothing() -> None:
    for volume in (Volume("a.raw", 1 << 30, "raw"), Volume("a.qcow2", 1 << 30, "qcow2", backing="/i.qcow2")):
        schema("storagevol.rng").assertValid(etree.fromstring(volume.to_xml()))
        assert etree.fromstring(volume.to_xml()).findtext("allocation") == "0"


def test_the_mark_is_a_proof() -> None:
    uuid = MARK.uuid("domain", "local-a-cp-0")
    assert MARK.owns("domain", "local-a-cp-0", uuid.upper())
    for other in (Mark("lab", "local", MARK.urn), Mark("local", "lab", MARK.urn)):
        assert not other.owns("domain", "local-a-cp-0", uuid)
    assert not MARK.owns("network", "local-a-cp-0", uuid)
    assert not MARK.owns("domain", "local-a-cp-1", uuid)
    assert uuid[14] == "8"
    assert uuid[19] in "89ab"
    assert Mark("local", "local", "another urn").owns("domain", "local-a-cp-0", uuid)
