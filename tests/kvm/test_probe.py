"""Which way machines can run: decided purely, and tried on a guest that really boots."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import libvirt
import pytest
from lxml import etree

from infra.kvm import probe
from infra.kvm.errors import HostError
from infra.kvm.probe import Verdict, boot_sector, lists_type, probe_domain, resolve_machine_type
from infra.model.machine import MachineType, RequestedMachineType
from infra.ssh import CommandResult, LocalShell
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
WORKS = Verdict(True, "works")
BROKEN = Verdict(False, "broken")


def _looks(**verdicts: Verdict) -> tuple[list[MachineType], Callable[[MachineType], Verdict]]:
    asked: list[MachineType] = []

    def look(machine_type: MachineType) -> Verdict:
        asked.append(machine_type)
        return verdicts[machine_type]

    return asked, look


def test_auto_takes_a_vm_where_one_boots_and_asks_no_further() -> None:
    asked, look = _looks(vm=WORKS)
    assert resolve_machine_type("auto", look, "h") == ("vm", "works")
    assert asked == ["vm"]


def test_auto_takes_a_container_else_and_says_why_and_what_that_means() -> None:
    _, look = _looks(vm=BROKEN, container=WORKS)
    chosen, reason = resolve_machine_type("auto", look, "h")
    assert chosen == "container"
    assert reason == (
        "no vm: broken; works; containers share their host's kernel and root: who is root in one, or may make "
        "privileged pods in a cluster, is root on the host"
    )


def test_auto_never_takes_emulation() -> None:
    _, look = _looks(vm=BROKEN, container=BROKEN)
    with pytest.raises(HostError, match=r"^h: .* wants: no vm: broken; no container: broken\. .* emulated"):
        resolve_machine_type("auto", look, "h")


@pytest.mark.parametrize("wanted", ["vm", "container", "emulated"])
def test_a_type_that_is_asked_for_is_the_only_one_tried(wanted: MachineType) -> None:
    asked, look = _looks(**{wanted: WORKS})
    chosen, reason = resolve_machine_type(wanted, look, "h")
    assert (chosen, reason.startswith("works"), "root on the host" in reason) == (
        wanted,
        True,
        wanted == "container",
    )
    assert asked == [wanted]
    _, look = _looks(**{wanted: BROKEN})
    with pytest.raises(HostError, match=f"no {wanted}: broken"):
        resolve_machine_type(wanted, look, "h")


class RememberingShell(LocalShell):
    """This machine, with a /dev/kvm of its own and a folder in place of /run."""

    def __init__(self, device: Path) -> None:
        self.device = device

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout: float = 60, check: bool = True
    ) -> CommandResult:
        told = [str(self.device) if word == "/dev/kvm" else word for word in argv]
        return super().run(told, input=input, timeout=timeout, check=check)


class TestMemory:
    """A guest that hangs costs five seconds each time it is tried."""

    @pytest.fixture
    def tried(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
        """Return a function that chooses, and tells how many guests were booted for it."""
        monkeypatch.setattr(probe, "_HUNG_FILE", str(tmp_path / "run" / "hung"))
        (tmp_path / "kvm").touch()

        def choose(verdict: Verdict, requested: RequestedMachineType = "auto") -> int:
            boots: list[Verdict] = []

            def boot(*_: object) -> Verdict:
                boots.append(verdict)
                return verdict

            monkeypatch.setattr(probe, "probe_kvm", boot)
            connection = libvirt.open("test:///default")
            with contextlib.suppress(HostError):
                probe.choose_machine_type(
                    requested, connection, lambda: connection, "p", RememberingShell(tmp_path / "kvm")
                )
            return len(boots)

        return choose

    HUNG = Verdict(False, "libvirt lists kvm, but a probe guest that started there never booted")

    def test_a_guest_that_hung_is_not_tried_again(self, tried: Callable[..., int]) -> None:
        assert [tried(self.HUNG), tried(self.HUNG)] == [1, 0]

    def test_whoever_asks_for_vms_has_it_tried_again(self, tried: Callable[..., int]) -> None:
        tried(self.HUNG)
        assert tried(self.HUNG, "vm") == 1

    @pytest.mark.parametrize("verdict", [WORKS, BROKEN])
    def test_only_what_takes_long_is_remembered(self, tried: Callable[..., int], verdict: Verdict) -> None:
        assert [tried(verdict), tried(verdict)] == [1, 1]

    def test_another_life_of_kvm_is_tried(self, tried: Callable[..., int], tmp_path: Path) -> None:
        tried(self.HUNG)
        (tmp_path / "kvm").rename(tmp_path / "old")
        (tmp_path / "kvm").touch()
        assert tried(self.HUNG) == 1

    def test_it_is_tried_again_after_an_hour(self, tried: Callable[..., int], tmp_path: Path) -> None:
        tried(self.HUNG)
        long_ago = time.time() - 61 * 60
        os.utime(tmp_path / "run" / "hung", (long_ago, long_ago))
        assert tried(self.HUNG) == 1


def test_capabilities() -> None:
    xml = """
      <capabilities>
        <guest><os_type>hvm</os_type><arch name='i686'><domain type='kvm'/></arch></guest>
        <guest><os_type>hvm</os_type><arch name='x86_64'><domain type='qemu'/></arch></guest>
      </capabilities>"""
    assert lists_type(xml, "qemu")
    assert not lists_type(xml, "kvm")


def test_domain() -> None:
    root = etree.fromstring(probe_domain("n", "kvm", "/disk & more").encode())
    assert (root.get("type"), root.findtext("name")) == ("kvm", "n")
    source = root.find("devices/disk/source")
    assert source is not None
    assert source.get("file") == "/disk & more"


def test_boot_sector_is_its_source_assembled(tmp_path: Path) -> None:
    if not (shutil.which("as") and shutil.which("ld")):
        pytest.skip("binutils aren't installed")
    source = ROOT / "infra" / "kvm" / "files" / "boot_sector.S"
    made, linked = tmp_path / "boot_sector.o", tmp_path / "boot_sector.bin"
    subprocess.run(["as", "--64", source, "-o", made], check=True)
    subprocess.run(["ld", "-Ttext", "0x7c00", "--oformat", "binary", made, "-o", linked], check=True)
    assert linked.read_bytes() == boot_sector()
    assert len(boot_sector()) == 512
    assert b"booted" not in boot_sector()


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[str]:
    """A storage pool where the user that QEMU runs as may reach it."""
    folder = Path(f"/var/lib/libvirt/azlocal-test-{os.getpid()}")
    folder.mkdir(mode=0o711)
    name = f"azlocal-test-{os.getpid()}"
    connection = libvirt.open("qemu:///system")
    made = connection.storagePoolCreateXML(
        f"<pool type='dir'><name>{name}</name><target><path>{folder}</path></target></pool>"
    )
    yield name
    assert not [domain.name() for domain in connection.listAllDomains() if domain.name().startswith(name)]
    made.destroy()
    connection.close()
    shutil.rmtree(folder)
    Path(f"/var/log/libvirt/qemu/{name}-probe.log").unlink(missing_ok=True)


@pytest.mark.vm
class TestReal:
    def test_kvm_is_decided_in_seconds(self, pool: str) -> None:
        connection = libvirt.open("qemu:///system")
        started = time.monotonic()
        verdict = probe.probe_kvm(connection, pool)
        assert time.monotonic() - started < probe.BOOT_SECONDS + 10
        assert verdict.reason
        assert connection.storagePoolLookupByName(pool).listVolumes() == []
        connection.close()

    def test_guest_that_hangs_is_ended(self, pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
        hangs = b"\xfa\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa"
        monkeypatch.setattr(probe, "boot_sector", lambda: hangs)
        connection = libvirt.open("qemu:///system")
        verdict = probe.boot_probe(connection, pool, "qemu", 2)
        assert verdict == Verdict(False, "libvirt lists qemu, but a probe guest that started there never booted")
        connection.close()

    def test_killed_probe_leaves_no_guest_and_the_next_boots_under_emulation(self, pool: str) -> None:
        """The boot is the probe's own proof: the guest is sound, so its failure under KVM is KVM's."""
        code = (
            "import libvirt, sys; from infra.kvm import probe;"
            "probe.boot_sector = lambda: bytes(512);"
            "probe.boot_probe(libvirt.open('qemu:///system'), sys.argv[1], 'qemu', 60)"
        )
        probing = subprocess.Popen([sys.executable, "-c", code, pool], cwd=ROOT)
        connection = libvirt.open("qemu:///system")

        def guests() -> list[str]:
            return [domain.name() for domain in connection.listAllDomains() if domain.name().startswith(pool)]

        eventually(guests, "the probe's guest", 30, every=0.05)
        probing.send_signal(signal.SIGKILL)
        probing.wait()
        verdict = probe.boot_probe(connection, pool, "qemu", 60)  # at once: takes over name and disk
        assert verdict == Verdict(True, "a probe guest booted under qemu")
        assert guests() == []
        assert connection.storagePoolLookupByName(pool).listVolumes() == []
        connection.close()
