import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.addresses import read_lock
from infra.cli import app
from infra.placement import read_placement_lock
from tests.instances import cluster, files, infrastructure, write_files

WIDE = infrastructure(pool={"start": "192.168.1.20", "end": "192.168.1.99"})
STACKS = ("ci1", "ci2", "lab", "qa")


def azlocal(*arguments: object) -> Result:
    return CliRunner(env={"CI": ""}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for stack in STACKS:
        write_files(tmp_path, files([cluster()], infra=WIDE), stack)
    return tmp_path


def lock_of(site: Path) -> Path:
    return site / "netplans/s.lock.yaml"


def test_processes_that_plan_at_once_lose_no_address(site: Path) -> None:
    command = [sys.executable, "-m", "infra.cli", "-C", str(site), "plan"]
    runs = [
        subprocess.Popen(
            [*command, stack, "--no-frozen"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for stack in STACKS
    ]
    for run in runs:
        output, _ = run.communicate(timeout=60)
        assert run.returncode == 0, output
    lock = read_lock(lock_of(site))
    assert lock.instances == list(STACKS)
    assert all(len(lock.of_instance(stack)) == 10 for stack in STACKS)
    assert len(lock.given) == 10 * len(STACKS)
    assert len(set(lock.vrrp.values())) == len(lock.vrrp) == 2 * len(STACKS)
    assert sorted(path.name for path in lock_of(site).parent.iterdir()) == ["s.lock.yaml", "s.yaml"]


def test_a_stack_that_is_gone_is_freed_and_its_addresses_come_last(site: Path) -> None:
    for stack in ("ci1", "lab"):
        assert azlocal("-C", site, "plan", stack).exit_code == 0
    before = read_lock(lock_of(site))
    (site / "Pulumi.ci1.yaml").unlink()
    result = azlocal("-C", site, "release", "ci1", "--yes")
    assert result.exit_code == 0, result.output
    assert "10 addresses, 2 VRRP ids" in result.stdout
    assert "s.lock.yaml:\n  the places of 3 machines" in result.stdout
    assert read_placement_lock(site / "hosts/s.lock.yaml").of_instance("lab")
    assert not read_placement_lock(site / "hosts/s.lock.yaml").of_instance("ci1")
    after = read_lock(lock_of(site))
    assert after.instances == ["lab"]
    assert after.freed.keys() == set(before.of_instance("ci1").values())
    assert azlocal("-C", site, "plan", "qa").exit_code == 0
    assert not set(read_lock(lock_of(site)).of_instance("qa").values()) & after.freed.keys()


def test_a_stack_that_is_still_there_keeps_its_addresses(site: Path) -> None:
    azlocal("-C", site, "plan", "lab")
    text = lock_of(site).read_text(encoding="utf-8")
    result = azlocal("-C", site, "release", "lab", "--yes")
    assert result.exit_code == 1
    assert "Pulumi.lab.yaml is still there" in result.stderr
    assert lock_of(site).read_text(encoding="utf-8") == text


def test_it_asks_first(site: Path) -> None:
    azlocal("-C", site, "plan", "lab")
    text = lock_of(site).read_text(encoding="utf-8")
    result = CliRunner().invoke(app, ["-C", str(site), "release", "lab", "a-*"], input="n\n")
    assert result.exit_code == 1
    assert "lab/a-cp-0" in result.stdout
    assert lock_of(site).read_text(encoding="utf-8") == text


def test_nobody_of_that_name_is_said_with_those_who_are_known(site: Path) -> None:
    azlocal("-C", site, "plan", "lab")
    result = azlocal("-C", site, "release", "gone", "--yes")
    assert result.exit_code == 1
    assert "no lock file knows 'gone'" in result.stderr
    assert "they know: lab" in result.stderr


def test_a_control_planes_address_changes_only_once_it_is_freed(site: Path) -> None:
    azlocal("-C", site, "plan", "lab")
    moved = files([cluster(controlPlane={"hostIP": "10.220.32.99"})], infra=WIDE)
    write_files(site, moved, "lab")
    refused = azlocal("-C", site, "plan", "lab")
    assert refused.exit_code == 2
    assert "a-vip is asked for at 10.220.32.99, but it has 10.220.32.21" in refused.stderr
    assert "azlocal release lab a-vip" in refused.stderr
    assert azlocal("-C", site, "release", "lab", "a-vip", "--yes").exit_code == 0
    assert azlocal("-C", site, "plan", "lab").exit_code == 0
    assert "10.220.32.99: {owner: lab/a-vip" in lock_of(site).read_text(encoding="utf-8")
