"""hosts/<site>.lock.yaml, and what is recorded when."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.plan.instance import Plan, plan_instance, record_instance
from infra.plan.locks import SiteLocks
from infra.plan.placement import PLACEMENT_LOCK, Place, PlacementLock
from infra.spec import InstanceSpec, SpecError
from tests.instances import cluster, files, host, infrastructure, make_spec, write_files

texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
places = st.builds(Place, texts, st.integers(0, 10**6), st.integers(0, 10**6), st.none() | texts, texts)


def spec_at(folder: Path, *clusters: Any, name: str = "lab", **parts: Any) -> InstanceSpec:
    write_files(folder, files(clusters, **parts), name)
    return make_spec(*clusters, name=name, directory=folder, **parts)


def lock_text(folder: Path) -> str:
    return (folder / "hosts/s.lock.yaml").read_text(encoding="utf-8")


def rules(plan: Plan) -> set[str]:
    return {one.rule for one in plan.findings}


def test_the_file_is_one_sorted_line_a_machine(tmp_path: Path) -> None:
    record_instance(spec_at(tmp_path, cluster(workers=11)))
    lines = [line for line in lock_text(tmp_path).splitlines() if line.startswith("  ")]
    assert lines[0] == "  lab/a-cp-0: {host: node1, memoryMiB: 8192, diskGiB: 200}"
    assert [line.split(":")[0].strip() for line in lines[-3:]] == [
        "lab/a-nodepool1-9",
        "lab/a-nodepool1-10",
        "lab/rb-0",
    ]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.builds(lambda a, b: f"{a}/{b}", texts, texts), places, max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, machines: dict[str, Place]) -> None:
    path = tmp_path_factory.mktemp("hosts") / "s.lock.yaml"
    said = {
        name: Place(one.host, one.memory_mib, one.disk_gib, one.was, one.because if one.was else None)
        for name, one in machines.items()
    }
    PLACEMENT_LOCK.write(path, PlacementLock(said))
    assert PLACEMENT_LOCK.read(path) == PlacementLock(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2\nmachines: {}\n", "version 2 is unknown"),
        ("version: 1\n", "`machines` is nothing"),
        ("version: 1\nmachines: {a-cp-0: {host: n, memoryMiB: 1, diskGiB: 1}}\n", "no {host, memoryMiB, diskGiB}"),
        ("version: 1\nmachines: {lab/a-cp-0: node1}\n", "no {host, memoryMiB, diskGiB}"),
        ("<<<<<<< HEAD\nversion: 1\n", "mapping values are not allowed"),
    ],
)
def test_a_damaged_lock_is_named(tmp_path: Path, text: str, said: str) -> None:
    spec = spec_at(tmp_path, cluster())
    (tmp_path / "hosts/s.lock.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        record_instance(spec)
    (finding,) = caught.value.findings
    assert finding.path.startswith("hosts/s.lock.yaml")
    assert said in finding.message


@settings(max_examples=60, deadline=None)
@given(st.text() | st.text("{}[]:,- \n'mach1ines/hostvron"))
def test_a_lock_that_is_anything_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("hosts") / "s.lock.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        PLACEMENT_LOCK.read(path)
    except SpecError as error:
        assert error.findings
        assert all("s.lock.yaml" in finding.path for finding in error.findings)


def test_a_refused_plan_records_neither_addresses_nor_places(tmp_path: Path) -> None:
    plan = record_instance(spec_at(tmp_path, cluster(), hosts=[host(drain=True)]))
    assert rules(plan) == {"every-host-drains"}
    assert not list(tmp_path.glob("*/*.lock.yaml"))
    plan = record_instance(spec_at(tmp_path, cluster(planes=2)))
    assert "control-plane-count" in rules(plan)
    assert not list(tmp_path.glob("*/*.lock.yaml"))


def test_frozen_refuses_a_move_and_says_once_what_changed(tmp_path: Path) -> None:
    spec = spec_at(tmp_path, cluster(), hosts=[host(1), host(2)])
    assert rules(record_instance(spec, frozen=True)) == {"lock-missing"}
    record_instance(spec)
    before = lock_text(tmp_path)
    assert not record_instance(spec, frozen=True).findings
    drained = spec_at(tmp_path, cluster(), hosts=[host(1, drain=True), host(2)])
    plan = record_instance(drained, frozen=True)
    (frozen,) = [one for one in plan.findings if one.rule == "lock-frozen"]
    assert frozen.path == "hosts/s.lock.yaml"
    assert "moved" in frozen.message
    assert lock_text(tmp_path) == before
    grown = record_instance(spec_at(tmp_path, cluster(workers=2), hosts=[host(1), host(2)]), frozen=True)
    assert [one.path for one in grown.findings if one.rule == "lock-frozen"] == ["netplans/s.lock.yaml"]


def test_what_is_too_much_to_plan_changes_no_lock_and_that_alone_is_said(tmp_path: Path) -> None:
    record_instance(spec_at(tmp_path, cluster()))
    before = lock_text(tmp_path)
    many = spec_at(tmp_path, *(cluster(f"c{number}") for number in range(200)))
    for frozen in (False, True):
        assert rules(record_instance(many, frozen=frozen)) == {"too-much-to-plan"}
    assert lock_text(tmp_path) == before


def test_another_size_changes_the_file_but_is_no_matter_to_frozen(tmp_path: Path) -> None:
    record_instance(spec_at(tmp_path, cluster()))
    larger = spec_at(tmp_path, cluster(controlPlane={"count": 1, "vmSize": "Standard_D4s_v3"}))
    assert not record_instance(larger, frozen=True).findings
    record_instance(larger)
    assert "lab/a-cp-0: {host: node1, memoryMiB: 16384" in lock_text(tmp_path)


def test_a_move_waits_in_the_lock_for_its_up(tmp_path: Path) -> None:
    record_instance(spec_at(tmp_path, cluster(), hosts=[host(1)]))
    moved = spec_at(tmp_path, cluster(), hosts=[host(2)])
    assert "machine-moves" in rules(record_instance(moved))
    assert "was: node1, because: node1 isn't in hosts/s.yaml any more" in lock_text(tmp_path)
    assert "machine-moves" in rules(plan_instance(moved, SiteLocks.of(moved).read())), "a preview says it again"
    assert "machine-moves" in rules(record_instance(moved, is_carried_out=True)), "and the up that does it"
    assert "was: node1" not in lock_text(tmp_path)
    assert not record_instance(moved).findings


def test_two_instances_of_a_site_share_the_file(tmp_path: Path) -> None:
    parts: dict[str, Any] = {
        "hosts": [host(memoryGiB=96)],
        "infra": infrastructure(pool={"start": "192.168.1.20", "end": "192.168.1.40"}),
    }
    record_instance(spec_at(tmp_path, cluster(), **parts))
    other = record_instance(spec_at(tmp_path, cluster("b"), name="other", **parts))
    assert other.placement.rooms[0].others_mib == 24 * 1024
    lock = PLACEMENT_LOCK.read(tmp_path / "hosts/s.lock.yaml")
    assert set(lock.of_instance("other")) == {"b-cp-0", "b-nodepool1-0", "rb-0"}
    assert set(lock.of_instance("lab")) == {"a-cp-0", "a-nodepool1-0", "rb-0"}
    freed = lock.release("lab", ("a-cp-0", "a-nodepool1-0"))
    assert set(freed.of_instance("lab")) == {"rb-0"}
    assert freed.of_instance("other") == lock.of_instance("other")
