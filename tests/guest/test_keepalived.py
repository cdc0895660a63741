"""The node image's own keepalived, with the configuration that three control planes get, each in its network."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from infra.guest.keepalived import ApiServerAddress, keepalived_files
from infra.image import recipe
from infra.image.places import default_cache
from infra.image.recipe import current_recipe
from tests.waiting import eventually, takes_less_than

pytestmark = pytest.mark.lab

LIBRARIES = "usr/lib/x86_64-linux-gnu"
PEERS_PROGRAM = Path(recipe.__file__).parent / "files/root/usr/lib/azlocal/vrrp-peers"
VIP = "10.9.0.9"
SWITCH = f"azl-vrrp-{os.getpid()}"


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


class ControlPlane:
    """A network namespace with a control plane's address, and keepalived in it."""

    def __init__(self, number: int, folder: Path, program: list[str]) -> None:
        self.own, self.folder, self.name = f"10.9.0.{18 + number}", folder, f"{SWITCH}-{number}"
        self._program, self._number = program, number
        self._running: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        ip("netns", "add", self.name)
        ip("-n", SWITCH, "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("-n", SWITCH, "link", "set", f"p{number}", "master", "switch", "up")
        ip("-n", self.name, "link", "set", "eth0", "up")
        ip("-n", self.name, "address", "add", f"{self.own}/24", "dev", "eth0")

    def tell_peers(self, planes: int) -> None:
        """Tell it the other ones, as a node is told: by its own program."""
        others = [f"10.9.0.{18 + number}" for number in range(planes) if number != self._number]
        script = PEERS_PROGRAM.read_text().replace("/etc/keepalived", str(self.folder))
        subprocess.run(["sh", "-s", *others], input=script, text=True, check=True)

    def start(self) -> None:
        address = ApiServerAddress(
            address=VIP, vrrp_id=7, interface="eth0", own_address=self.own, number=self._number
        )
        conf = keepalived_files(address)["keepalived.conf"]
        for path in ("/etc/keepalived", "/run/azlocal"):
            conf = conf.replace(path, str(self.folder))
        (self.folder / "keepalived.conf").write_text(conf)
        self.tell(fault=False)
        files = [f"--use-file={self.folder}/keepalived.conf"]
        files += [f"--{kind}={self.folder}/{kind}" for kind in ("pid", "vrrp_pid")]
        command = ["ip", "netns", "exec", self.name, *self._program, "--dont-fork", "--log-console", "--vrrp"]
        self._running = subprocess.Popen([*command, *files], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def tell(self, *, fault: bool) -> None:
        (self.folder / "api-server-fault").write_text(str(int(fault)))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End keepalived: as systemd does, or as a machine that is destroyed."""
        if self._running is None:
            return
        if how is signal.SIGKILL:
            ip("-n", self.name, "link", "set", "eth0", "down")
        for kind in ("pid", "vrrp_pid"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int((self.folder / kind).read_text()), how)
        self._running.wait(10)
        self._running = None

    def reload(self) -> None:
        os.kill(int((self.folder / "pid").read_text()), signal.SIGHUP)

    def holds(self) -> bool:
        """Return whether the address answers here: a machine that was destroyed may have it, without a cable."""
        return f" {VIP}/32 " in ip("-n", self.name, "-oneline", "address", "show", "up")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the command of keepalived, out of the tree of the image's packages."""
    tree = default_cache().tree(current_recipe("").tree_digest)
    if not tree.exists():
        pytest.skip("the node image isn't built on this machine; run `azlocal image build`")
    root = tmp_path_factory.mktemp("tree")
    wanted = (f"./{LIBRARIES}", "./usr/sbin/keepalived")
    subprocess.run(["tar", "--extract", f"--file={tree}", f"--directory={root}", *wanted], check=True)
    loader = root / LIBRARIES / "ld-linux-x86-64.so.2"
    return [str(loader), "--library-path", str(root / LIBRARIES), str(root / "usr/sbin/keepalived")]


@pytest.fixture
def planes(tmp_path: Path, program: list[str]) -> Iterator[list[ControlPlane]]:
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces")
    with ExitStack() as stack:
        ip("netns", "add", SWITCH)
        stack.callback(ip, "netns", "delete", SWITCH)
        ip("-n", SWITCH, "link", "add", "switch", "type", "bridge")
        ip("-n", SWITCH, "link", "set", "switch", "up")
        made = []
        for number in range(3):
            plane = ControlPlane(number, tmp_path / str(number), program)
            stack.callback(ip, "netns", "delete", plane.name)
            stack.callback(plane.stop)
            plane.tell_peers(3)
            made.append(plane)
        for plane in made:
            plane.start()
        eventually(lambda: holder(made), "one of them holds the address", 10)
        yield made


def holder(planes: list[ControlPlane]) -> ControlPlane | None:
    """Return the only one that holds the address; None where it is none, or more than one."""
    holding = [plane for plane in planes if plane.holds()]
    return holding[0] if len(holding) == 1 else None


def settled(planes: list[ControlPlane]) -> ControlPlane:
    """Return the one that holds the address, once one alone does: a busy machine has two for a moment."""
    one = eventually(lambda: holder(planes), "one holds the address", 10, every=0.005)
    assert one is not None
    return one


def moved_from(planes: list[ControlPlane], before: ControlPlane) -> None:
    others = [plane for plane in planes if plane is not before]
    eventually(lambda: holder(others), "another one holds the address", 10, every=0.005)


def test_a_fault_moves_the_address_at_once_and_its_end_moves_nothing(planes: list[ControlPlane]) -> None:
    def fault() -> None:
        before = settled(planes)
        before.tell(fault=True)
        moved_from(planes, before)
        eventually(lambda: not before.holds(), "the faulty one has let go", 5, every=0.005)
        before.tell(fault=False)

    assert takes_less_than(0.25, fault), "three advertisements take 0.75 s: the holder says that it goes"
    after = holder(planes)
    for _ in range(20):
        assert holder(planes) is after is not None, "nobody takes it back"


def test_a_holder_that_is_gone_or_stops_is_followed_by_one(planes: list[ControlPlane]) -> None:
    for how in (signal.SIGKILL, signal.SIGTERM):
        before = settled(planes)
        before.stop(how)
        moved_from(planes, before)


def test_learning_of_another_peer_moves_nothing(planes: list[ControlPlane]) -> None:
    before = settled(planes)
    for plane in planes:
        plane.tell_peers(5)
        plane.reload()
        for _ in range(10):
            assert holder(planes) is before is not None


def test_nobody_holds_it_where_all_are_faulty_and_the_first_that_is_not_takes_it(
    planes: list[ControlPlane],
) -> None:
    for plane in planes:
        plane.tell(fault=True)
    eventually(lambda: not any(plane.holds() for plane in planes), "nobody holds it", 10)
    planes[2].tell(fault=False)
    eventually(planes[2].holds, "the only one without a fault holds it", 10)
