"""The node image on several hosts over SSH: once to each, from each other, on from where it was interrupted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.errors import Interrupted
from infra.kvm.chunks import CHUNK
from infra.kvm.errors import HostUnreachable
from infra.lab.host import LabHost
from infra.lab.lab import Lab
from tests.lab.conftest import standing_lab
from tests.lab.images import VOLUMES, Deliveries, followed, make_image, sha256_of, start_process, workers
from tests.waiting import eventually, waits_less_than

pytestmark = pytest.mark.lab

HERE = "this machine"


@pytest.fixture(scope="module")
def standing() -> Iterator[Lab]:
    with standing_lab(4) as lab:
        yield lab


@pytest.fixture
def lab(standing: Lab) -> Iterator[Lab]:
    """Return the lab of four hosts that these tests share; each test finds hosts that have no image."""
    yield standing
    for host in standing.hosts:
        host.restore_link()
        host.run("iptables", "-F", "INPUT")
        # Both do nothing where the test has brought no image.
        host.run("find", VOLUMES, "-type", "f", "-delete", check=False)
        host.run("virsh", "-q", "pool-refresh", "azlocal-images", check=False)


@pytest.fixture
def pair(lab: Lab) -> Lab:
    """Return two of the lab's hosts as a lab."""
    return replace(lab, hosts=lab.hosts[:2])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return an image of 128 MiB in a file of 768."""
    return make_image(tmp_path / "image.raw", data=8, holes=40)


def test_four_hosts_get_it_also_from_each_other(lab: Lab, image: Path) -> None:
    done = Deliveries(lab, image).run()
    for one in done.values():
        assert sha256_of(one.volume) == sha256_of(image)
        assert one.is_complete
        assert one.volume.stat().st_blocks * 512 < 10 * CHUNK, "holes stay holes"
        assert one.made is not None
        assert one.made.state.capacity == image.stat().st_size
        assert one.log.infos == []
        assert workers(one.host) == []
    sources = [source for one in done.values() for source in one.log.sources]
    assert any(source != HERE for source in sources)
    assert sources.count(HERE) >= 2

    again = Deliveries(lab, image).run()
    assert all(one.log.progress == [] for one in again.values()), "what is complete isn't even looked at"


def test_a_killed_run_is_gone_on_with(lab: Lab, tmp_path: Path) -> None:
    image = make_image(tmp_path / "image.raw", data=24, holes=40)
    process = start_process(lab, image)
    assert process.stdout is not None
    with process:
        reached = next(found for found in followed(process.stdout) if found[1] >= 40)
        os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not any(map(workers, lab.hosts)), "the end of what copies images", seconds=10)
    begun = lab.host(reached[0])

    done = Deliveries(lab, image).run()
    assert done[begun.name].log.progress[0][0] >= 40, "what had arrived isn't sent again"
    for one in done.values():
        assert sha256_of(one.volume) == sha256_of(image)
        assert one.is_complete


def test_only_what_is_damaged_is_sent_again(pair: Lab, image: Path) -> None:
    first, second = pair.hosts
    done = Deliveries(pair, image).run()
    assert done[first.name].made is not None
    for place in (0, 21 * CHUNK + 5000):  # where the image has a hole, and where it has data
        with done[first.name].volume.open("r+b") as file:
            os.pwrite(file.fileno(), b"damage", place)
    (done[first.name].volume.with_name(f"{done[first.name].volume.name}.complete")).unlink()
    first.run("virsh", "-q", "pool-refresh", "azlocal-images")

    repaired = Deliveries(pair, image).run(first)[first.name]
    assert sha256_of(repaired.volume) == sha256_of(image)
    assert repaired.is_complete
    assert {source for _, source in repaired.log.progress} <= {second.name}
    assert all(percent >= 87 for percent, _ in repaired.log.progress)


def test_a_neighbour_that_cannot_be_reached_is_no_obstacle(pair: Lab, image: Path) -> None:
    first, second = pair.hosts
    deliveries = Deliveries(pair, image)
    deliveries.run(first)
    block(first)
    done = deliveries.run(second)[second.name]
    assert sha256_of(done.volume) == sha256_of(image)
    (said,) = done.log.infos
    assert "the node image comes from this machine and not from node1" in said
    assert "timed out" in said
    assert done.log.sources == {HERE}
    assert workers(first) == workers(second) == []


def test_a_damaged_neighbour_gives_its_damage_to_nobody(pair: Lab, image: Path) -> None:
    first, second = pair.hosts
    deliveries = Deliveries(pair, image)
    with deliveries.run(first)[first.name].volume.open("r+b") as file:
        os.pwrite(file.fileno(), b"damage", 21 * CHUNK + 5000)
    done = deliveries.run(second)[second.name]
    assert sha256_of(done.volume) == sha256_of(image)
    assert done.log.sources == {"node1", HERE}


def test_a_cut_cable_fails_one_host_by_name_and_the_others_stand(pair: Lab, tmp_path: Path) -> None:
    image = make_image(tmp_path / "image.raw", data=24, holes=0)
    first = pair.hosts[0]
    cut, whole = Deliveries(pair, image).start()
    eventually(lambda: cut.log.progress, "the image on its way", seconds=60)
    first.cut_link()
    with waits_less_than(110):
        cut.wait(120)
        assert isinstance(cut.error, HostUnreachable)
        assert str(first.address) in str(cut.error)
    whole.wait()
    assert whole.error is None
    assert sha256_of(whole.volume) == sha256_of(image)
    first.restore_link()
    done = Deliveries(pair, image).run()
    assert sha256_of(done[first.name].volume) == sha256_of(image)


def test_a_cancelled_run_ends_within_a_second_and_leaves_no_process(pair: Lab, tmp_path: Path) -> None:
    # On a busy machine once may take longer; each time another image, so that there is much to send.
    images = (make_image(tmp_path / "image.raw", data=24, holes=0) for _ in range(3))
    assert any(seconds_until_cancelled(pair, image) < 1 for image in images)
    eventually(lambda: not any(map(workers, pair.hosts)), "the end of what copies images", seconds=10)


def seconds_until_cancelled(lab: Lab, image: Path) -> float:
    """Cancel the way of an image to two hosts while it is sent, and return how long it goes on."""
    sending, other = Deliveries(lab, image).start()
    eventually(lambda: sending.log.progress, "the image on its way", seconds=60)
    for one in (sending, other):
        one.cancelled.set()
    started = time.monotonic()
    for one in (sending, other):
        one.wait(10)
        assert isinstance(one.error, Interrupted)
    return time.monotonic() - started


def block(host: LabHost) -> None:
    """Have a host's firewall drop what others send it, but for SSH."""
    for rule in (["--dport", "22", "-j", "ACCEPT"], ["--syn", "-j", "DROP"]):
        host.run("iptables", "-A", "INPUT", "-i", "eno1", "-p", "tcp", *rule)
