import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.cli import app
from infra.plan.addresses import ADDRESS_LOCK
from infra.plan.placement import PLACEMENT_LOCK
from tests.instances import cluster, files, infrastructure, network, write_files

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
    lock = ADDRESS_LOCK.read(lock_of(site))
    assert lock.instances == list(STACKS)
    assert all(len(lock.of_instance(stack)) == 10 for stack in STACKS)
    assert len(lock.given) == 10 * len(STACKS)
    assert len(set(lock.vrrp.values())) == len(lock.vrrp) == 2 * len(STACKS)
    assert sorted(path.name for path in lock_of(site).parent.iterdir()) == ["s.lock.yaml", "s.yaml"]


def test_a_stack_that_is_gone_is_freed_and_its_addresses_come_last(site: Path) -> None:
    for stack in ("ci1", "lab"):
        assert azlocal("-C", site, "plan", stack).exit_code == 0
    before = ADDRESS_LOCK.read(lock_of(site))
    (site / "Pulumi.ci1.yaml").unlink()
    result = azlocal("-C", site, "release", "ci1", "--yes")
    assert result.exit_code == 0, result.output
    assert "10 addresses, 2 VRRP ids" in result.stdout
    assert "s.lock.yaml:\n  the places of 3 machines" in result.stdout
    assert PLACEMENT_LOCK.read(site / "hosts/s.lock.yaml").of_instance("lab")
    assert not PLACEMENT_LOCK.read(site / "hosts/s.lock.yaml").of_instance("ci1")
    after = ADDRESS_LOCK.read(lock_of(site))
    assert after.instances == ["lab"]
    assert after.freed.keys() == set(before.of_instance("ci1").values())
    assert azlocal("-C", site, "plan", "qa").exit_code == 0
    assert not set(ADDRESS_LOCK.read(lock_of(site)).of_instance("qa").values()) & after.freed.keys()


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
    write_files(site, files([cluster("b")], infra=WIDE), "lab")
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
    freed = azlocal("-C", site, "release", "lab", "a-vip", "--yes")
    assert freed.exit_code == 0
    assert "  1 address, 0 VRRP ids\n" in freed.stdout
    assert azlocal("-C", site, "plan", "lab").exit_code == 0
    assert "10.220.32.99: {owner: lab/a-vip" in lock_of(site).read_text(encoding="utf-8")


def held(site: Path, stack: str = "lab") -> set[str]:
    """Return every name that a lock file has for a stack."""
    lock = ADDRESS_LOCK.read(lock_of(site))
    ids = {f"vrrp:{one.partition('/')[2]}" for one in lock.vrrp if one.startswith(f"{stack}/")}
    places = {f"place:{one}" for one in PLACEMENT_LOCK.read(site / "hosts/s.lock.yaml").of_instance(stack)}
    return {*lock.of_instance(stack), *ids, *places}


OF_A = {"a-cp-0", "a-nodepool1-0", "a-spare", "a-vip", "vrrp:a", "place:a-cp-0", "place:a-nodepool1-0"}


def test_a_cluster_is_all_that_it_has(site: Path) -> None:
    write_files(site, files([cluster(), cluster("a-b"), cluster("c")], infra=WIDE), "lab")
    azlocal("-C", site, "plan", "lab")
    before = held(site)
    write_files(site, files([cluster("a-b"), cluster("c")], infra=WIDE), "lab")
    result = azlocal("-C", site, "release", "lab", "a", "--yes")
    assert result.exit_code == 0, result.output
    assert before - held(site) == OF_A
    freed = set(ADDRESS_LOCK.read(lock_of(site)).freed)
    assert azlocal("-C", site, "plan", "lab").exit_code == 0
    assert not freed & set(ADDRESS_LOCK.read(lock_of(site)).given), "the next plan takes nothing again"


def test_half_of_a_release_that_0_1_0_made_is_finished(site: Path) -> None:
    azlocal("-C", site, "plan", "lab")
    with ADDRESS_LOCK.update(lock_of(site)) as update:
        update.lock = update.lock.release("lab", (), vrrp=("a",))
    write_files(site, files([cluster("b")], infra=WIDE), "lab")
    assert azlocal("-C", site, "release", "lab", "a", "--yes").exit_code == 0
    assert not held(site) & OF_A


@pytest.mark.parametrize("name", ["a", "a-*", "a-cp-0", "lab-a-cp-0", "lab/a-vip", "a-vip", "rb"])
def test_what_the_file_still_asks_for_stays_and_the_reason_is_said(site: Path, name: str) -> None:
    azlocal("-C", site, "plan", "lab")
    before = held(site)
    result = azlocal("-C", site, "release", "lab", name, "--yes")
    assert result.exit_code == 1
    assert "Pulumi.lab.yaml still asks for" in result.stderr
    assert "its next plan would take them again" in result.stderr
    assert held(site) == before


def test_a_vrrp_id_that_others_have_is_freed_and_the_addresses_stay(site: Path) -> None:
    azlocal("-C", site, "plan", "lab")
    number = ADDRESS_LOCK.read(lock_of(site)).vrrp["lab/a"].number
    taken = files([cluster()], infra=WIDE, networks=[network(takenVrrpIds=[number])])
    write_files(site, taken, "lab")
    refused = azlocal("-C", site, "plan", "lab")
    assert refused.exit_code == 2
    assert "`azlocal release lab a`" in refused.stderr
    before = held(site)
    result = azlocal("-C", site, "release", "lab", "a", "--yes")
    assert result.exit_code == 0, result.output
    assert before - held(site) == {"vrrp:a"}
    assert "still asks for a-cp-0, a-nodepool1-0, a-spare, a-vip" in result.stderr
    assert azlocal("-C", site, "plan", "lab").exit_code == 0


def test_a_stack_that_moved_to_another_site_frees_what_it_had_at_the_old_one(site: Path) -> None:
    azlocal("-C", site, "plan", "lab")
    for folder in ("hosts", "netplans"):
        text = (site / folder / "s.yaml").read_text(encoding="utf-8")
        (site / folder / "t.yaml").write_text(text, encoding="utf-8")
    write_files(site, files([cluster()], infra=WIDE, stack={"site": "t"}), "lab")
    assert azlocal("-C", site, "plan", "lab").exit_code == 0
    result = azlocal("-C", site, "release", "lab", "*", "--yes")
    assert result.exit_code == 0, result.output
    assert not held(site)
    assert "lab/a-cp-0" in (site / "netplans/t.lock.yaml").read_text(encoding="utf-8")


def test_a_pool_that_is_gone_from_the_file(site: Path) -> None:
    pools = [{"name": name, "count": 2} for name in ("nodepool1", "gpu")]
    write_files(site, files([cluster(agentPools=pools)], infra=WIDE), "lab")
    azlocal("-C", site, "plan", "lab")
    before = held(site)
    write_files(site, files([cluster(agentPools=pools[:1])], infra=WIDE), "lab")
    result = azlocal("-C", site, "release", "lab", "a-gpu", "--yes")
    assert result.exit_code == 0, result.output
    assert before - held(site) == {"a-gpu-0", "a-gpu-1", "place:a-gpu-0", "place:a-gpu-1"}


def test_what_is_free_already_and_what_nobody_knows_are_told_apart(site: Path) -> None:
    write_files(site, files([cluster(), cluster("b")], infra=WIDE), "lab")
    assert azlocal("-C", site, "plan", "lab").exit_code == 0
    write_files(site, files([cluster()], infra=WIDE), "lab")
    assert azlocal("-C", site, "plan", "lab").exit_code == 0
    again = azlocal("-C", site, "release", "lab", "b", "--yes")
    assert "what 'b' of 'lab' had is free already" in again.stderr
    unknown = azlocal("-C", site, "release", "lab", "c", "--yes")
    assert "no lock file knows 'c' of 'lab'" in unknown.stderr
    assert "they know of lab: a-cp-0, a-nodepool1-0, a-spare" in unknown.stderr


def test_a_stack_that_went_to_another_site_frees_what_it_left(site: Path) -> None:
    assert azlocal("-C", site, "plan", "lab").exit_code == 0
    for folder in ("hosts", "netplans"):
        (site / folder / "new.yaml").write_text((site / folder / "s.yaml").read_text("utf-8"), "utf-8")
    path = site / "Pulumi.lab.yaml"
    path.write_text(path.read_text("utf-8").replace("site: s", "site: new"), "utf-8")
    result = azlocal("-C", site, "release", "lab", "--yes")
    assert result.exit_code == 0, result.output
    assert ADDRESS_LOCK.read(lock_of(site)).instances == []
    assert "is still there" in azlocal("-C", site, "release", "lab", "--yes").stderr
