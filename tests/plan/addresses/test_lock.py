import multiprocessing
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from infra.plan.addresses import ADDRESS_LOCK, AddressPlan, Lock, next_lock
from infra.plan.addresses.lock import Freed, Given
from infra.plan.instance import record_instance
from infra.spec import SpecError
from tests.instances import checked_addresses, cluster, files, infrastructure, make_spec, network, write_files

A, B, C = cluster("a", workers=2), cluster("b"), cluster("c")


def owners(plan: AddressPlan) -> dict[str, str]:
    return {one.owner: one.address for net in plan.networks for one in net.allocations if one.is_recorded}


def planned(lock: Lock, *clusters: Any, **parts: Any) -> tuple[AddressPlan, Lock]:
    plan = checked_addresses(make_spec(*clusters, **parts), lock)
    assert plan.ok, [str(finding) for finding in plan.findings]
    return plan.addresses, next_lock(plan.addresses, lock)


def number(address: str) -> int:
    return int(IPv4Address(address))


def test_the_file_is_one_sorted_line_an_address(tmp_path: Path) -> None:
    _, lock = planned(Lock(freed={number("10.220.32.9"): Freed(3, "lab/x-cp-0")}), cluster())
    path = tmp_path / "s.lock.yaml"
    ADDRESS_LOCK.write(path, lock)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("  ")]
    assert lines[:5] == [
        "  10.220.32.9: {freed: 3, was: lab/x-cp-0}",
        "  10.220.32.18: {owner: lab/a-cp-0, use: controlPlaneNode}",
        "  10.220.32.19: {owner: lab/a-nodepool1-0, use: workerNode}",
        "  10.220.32.20: {owner: lab/a-spare, use: upgradeSpare}",
        "  10.220.32.21: {owner: lab/a-vip, use: controlPlaneVip}",
    ]
    assert ADDRESS_LOCK.read(path) == lock


def test_a_plan_that_changes_nothing_leaves_the_lock() -> None:
    _, lock = planned(Lock(), A, B)
    plan = checked_addresses(make_spec(B, A), lock)
    assert next_lock(plan.addresses, lock) is lock


def test_nobody_is_renumbered() -> None:
    before, lock = planned(Lock(), B)
    after, lock = planned(lock, A, C, B)
    assert owners(before).items() <= owners(after).items()
    again, _ = planned(lock, {**A, "agentPools": [{"name": "nodepool1", "count": 4}]}, B)
    kept = {name: address for name, address in owners(after).items() if not name.startswith("c-")}
    assert kept.items() <= owners(again).items()


def test_what_one_edit_frees_that_edit_does_not_give_out_while_others_are_free() -> None:
    before, lock = planned(Lock(), A, B)
    grown = {**A, "agentPools": [{"name": "nodepool1", "count": 3}]}
    after, _ = planned(lock, grown)
    leaving = {address for name, address in owners(before).items() if name.startswith("b-")}
    assert owners(after)["a-nodepool1-2"] not in leaving


def test_a_freed_address_is_used_last_and_the_longest_unused_first() -> None:
    parts = {"networks": [network(end="10.220.32.29")]}  # 12 addresses, four a cluster
    first, lock = planned(Lock(), B, C, **parts)
    _, lock = planned(lock, C, **parts)  # frees b's 18-21
    _, lock = planned(lock, **parts)  # frees c's 22-25
    last, lock = planned(lock, cluster("d"), cluster("e"), **parts)
    addresses = owners(last)
    assert addresses["d-cp-0"] == "10.220.32.26", "never used before"
    assert addresses["e-cp-0"] == owners(first)["b-cp-0"], "freed before c's"


def test_who_comes_back_gets_the_address_it_had() -> None:
    before, lock = planned(Lock(), A, B)
    _, lock = planned(lock, A)
    after, lock = planned(lock, A, C, B)
    assert owners(before).items() <= owners(after).items()
    assert not lock.freed


def test_instances_of_one_site_do_not_meet() -> None:
    wide = infrastructure(pool={"start": "192.168.1.20", "end": "192.168.1.40"})
    lab, lock = planned(Lock(), A, infra=wide)
    ci, lock = planned(lock, A, name="ci", infra=wide)
    assert not set(owners(lab).values()) & set(owners(ci).values())
    _, lock = planned(lock, name="ci", infra=wide)
    again, _ = planned(lock, A, infra=wide)
    assert owners(again) == owners(lab)
    foreign = [
        one
        for one in checked_addresses(make_spec(name="x"), lock).addresses.networks[1].allocations
        if "/" in one.owner
    ]
    assert {one.owner for one in foreign} >= {"lab/a-cp-0", "lab/a-vip"}


def test_a_reservation_can_name_the_instance_it_is_for() -> None:
    pins = [
        {"address": "10.220.32.30", "owner": "lab/a-cp-0"},
        {"address": "10.220.32.31", "owner": "ci/a-cp-0"},
    ]
    wide = infrastructure(pool={"start": "192.168.1.20", "end": "192.168.1.40"})
    lab, lock = planned(Lock(), A, infra=wide, reservations=pins)
    ci, _ = planned(lock, A, name="ci", infra=wide, reservations=pins)
    assert (owners(lab)["a-cp-0"], owners(ci)["a-cp-0"]) == ("10.220.32.30", "10.220.32.31")


def test_a_given_vip_may_not_take_an_address_in_use() -> None:
    _, lock = planned(Lock(), A)
    pinned = cluster("b", controlPlane={"hostIP": "10.220.32.18"})
    plan = checked_addresses(make_spec(A, pinned), lock)
    assert {finding.rule for finding in plan.findings} == {"vip-in-pool", "pin-clash"}
    assert "it is a-cp-0's" in str([finding.message for finding in plan.findings])


def test_a_pool_that_leaves_a_machine_behind_is_refused() -> None:
    _, lock = planned(Lock(), A)
    plan = checked_addresses(make_spec(A, networks=[network("10.220.32.20")]), lock)
    assert [finding.rule for finding in plan.findings] == ["address-stranded"] * 2
    assert "a-cp-0 has 10.220.32.18, but it lies outside the pools" in plan.findings[0].message


def test_a_reservation_of_an_address_in_use_is_refused() -> None:
    _, lock = planned(Lock(), A)
    plan = checked_addresses(make_spec(A, reservations=[{"address": "10.220.32.18", "owner": "printer"}]), lock)
    assert [finding.rule for finding in plan.findings] == ["address-stranded"]
    assert "it is printer's now" in plan.findings[0].message


def test_record_writes_once_and_frozen_refuses(tmp_path: Path) -> None:
    write_files(tmp_path, files([A]))
    spec = make_spec(A, directory=tmp_path)
    missing = record_instance(spec, frozen=True)
    assert missing.ok
    assert [finding.rule for finding in missing.findings] == ["lock-missing"]
    assert not spec.lock_path.exists()
    assert not record_instance(spec).findings
    written = spec.lock_path.stat()
    assert not record_instance(spec, frozen=True).findings
    record_instance(spec)
    assert spec.lock_path.stat().st_mtime_ns == written.st_mtime_ns
    (finding,) = record_instance(make_spec(A, B, directory=tmp_path), frozen=True).findings
    assert (finding.rule, finding.severity) == ("lock-frozen", "error")
    assert spec.lock_path.stat().st_mtime_ns == written.st_mtime_ns
    assert sorted(path.name for path in spec.lock_path.parent.iterdir()) == ["s.lock.yaml", "s.yaml"]


def test_a_broken_plan_records_nothing(tmp_path: Path) -> None:
    write_files(tmp_path, files())
    spec = make_spec(cluster(planes=2), directory=tmp_path)
    assert not record_instance(spec).ok
    assert not spec.lock_path.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2\naddresses: {}\n", "version 2 is unknown"),
        ("version: 1\n", "`addresses` is nothing"),
        ("version: 1\naddresses: {x: {owner: a/b, use: c}}\n", "'x' is not an IPv4 address"),
        ("version: 1\naddresses: {10.0.0.1: {owner: b, use: c}}\n", "neither"),
        ("version: 1\naddresses: {10.0.0.1: 5}\n", "neither"),
        (
            "version: 1\naddresses: {10.0.0.1: {owner: a/b, use: c}, 10.0.0.1: {owner: a/b, use: c}}\n",
            "second time",
        ),
        ("<<<<<<< HEAD\nversion: 1\n", "mapping values are not allowed"),
        ("", "the file is empty"),
    ],
)
def test_a_damaged_lock_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.lock.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        ADDRESS_LOCK.read(path)
    assert said in caught.value.findings[0].message
    assert caught.value.findings[0].path.startswith("netplans/s.lock.yaml")
    assert path.read_text(encoding="utf-8") == text


def test_a_lock_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught, ADDRESS_LOCK.update(tmp_path / "missing" / "s.lock.yaml"):
        pass
    assert caught.value.findings[0].rule == "lock-unwritable"


def _add(path: Path, start: int) -> None:
    for address in range(start, start + 10):
        with ADDRESS_LOCK.update(path) as update:
            update.lock = Lock({**update.lock.given, address: Given(f"x/{address}", "host")})


def test_concurrent_runs_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.lock.yaml"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add, args=(path, start)) for start in range(0, 40, 10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(ADDRESS_LOCK.read(path).given) == list(range(40))


def test_a_removed_given_vip_stays_where_it_is() -> None:
    before, lock = planned(Lock(), cluster(controlPlane={"hostIP": "10.220.32.99"}))
    after, _ = planned(lock, cluster())
    assert owners(after)["a-vip"] == owners(before)["a-vip"] == "10.220.32.99"
