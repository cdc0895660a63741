"""All rules of a plan are in one register, and what they find is joined in one place."""

from collections.abc import Iterator
from typing import get_args

import pytest

from infra.plan.addresses.lock import Given, Lock, VrrpId
from infra.plan.instance import plan_instance
from infra.plan.locks import LockKind, Locks, Recording
from infra.plan.placement import Place, PlacementLock
from infra.plan.rules import RULES, Facts
from infra.plan.rules.base import MOST_OF_A_RULE, Check, Fault, Part, Register
from infra.spec import Finding
from tests.instances import cluster, host, make_spec

SPEC = make_spec(
    cluster(workers=3),
    hosts=[host(1, memoryGiB=16), host(2, memoryGiB=16)],
    stack={"azureLocalRelease": "2402"},
)
HELD = Lock({10: Given("lab/a-cp-0", "controlPlaneNode")}, {}, {"lab/a": VrrpId(110, 7)})
PLACED = PlacementLock({"lab/a-cp-0": Place("node1", 2048, 20)})


def fault(message: str) -> Fault:
    return Fault("stack", ("clusters",), message, "correct it")


def test_every_rule_has_a_source_and_a_sentence() -> None:
    rules = list(RULES)
    assert len({rule.id for rule in rules}) == len(rules) > 100
    assert {rule.part for rule in rules} == set(get_args(Part))
    assert all(rule.source and (rule.check.__doc__ or "").partition("\n")[0].endswith(".") for rule in rules)


def test_no_two_rules_have_one_id() -> None:
    register = Register()

    @register.rule("vlan-out-of-range", source="API-LNET")
    def _first(facts: Facts) -> Iterator[Fault]:
        yield fault("first")

    with pytest.raises(ValueError, match="two rules are called vlan-out-of-range"):
        register.rule("vlan-out-of-range", source="azlocal", part="placement")(_first)


def test_findings_come_once_errors_first_then_by_part_and_each_part_can_be_asked_for() -> None:
    register = Register()
    texts: dict[Part, list[str]] = {"placement": ["p", "p"], "locks": ["l"], "addresses": ["b", "a"]}

    def saying(messages: list[str]) -> Check:
        return lambda _: map(fault, messages)

    for part, messages in texts.items():
        register.rule(f"{part}-note", source="azlocal", severity="info", part=part)(saying(messages))
        register.rule(part, source="azlocal", part=part)(saying(messages))
    found = register.check(Facts(SPEC), "addresses", "locks", "placement")
    errors = ["addresses", "addresses", "locks", "placement"]
    assert [one.rule for one in found] == [*errors, *(f"{part}-note" for part in errors)]
    assert [one.message for one in found[:4]] == ["b", "a", "l", "p"]
    assert {one.rule for one in register.check(Facts(SPEC), "placement")} == {"placement", "placement-note"}
    assert [one.rule for one in register.about(found, "locks")] == ["locks", "locks-note"]
    assert register.in_order([*found, *found]) == found


def test_of_a_rule_that_is_broken_everywhere_a_part_is_listed() -> None:
    register = Register()
    register.rule("many", source="azlocal")(lambda _: (fault(str(number)) for number in range(1000)))
    found = register.check(Facts(SPEC), "addresses")
    assert len(found) == MOST_OF_A_RULE + 1
    assert found[-1].message == f"there is more of this: {MOST_OF_A_RULE} faults are listed"


def test_a_plan_has_the_findings_of_addresses_and_placement() -> None:
    plan = plan_instance(SPEC)
    assert {"no-room", "unknown-release"} <= {one.rule for one in plan.findings}
    severities = [one.severity for one in plan.findings]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    assert not plan.ok
    assert plan.is_sound("addresses")
    assert not plan.is_sound("placement")
    parts = plan.findings_about("addresses"), plan.findings_about("placement")
    assert sorted(map(str, (*parts[0], *parts[1]))) == sorted(map(str, plan.findings))


def test_what_is_too_much_to_plan_is_all_that_is_said() -> None:
    plan = plan_instance(make_spec(*(cluster(f"c{number}") for number in range(200)), hosts=[]))
    assert {one.rule for one in plan.findings} == {"too-much-to-plan"}
    assert (plan.addresses.networks, plan.placement.rooms, plan.ok) == ((), (), False)


@pytest.mark.parametrize(
    ("before", "after", "absent", "found"),
    [
        (Locks(), Locks(), (), []),
        (
            Locks(),
            Locks(HELD),
            (),
            [
                (
                    "lock-frozen",
                    "netplans/s.lock.yaml",
                    "the plan changes the lock: 1 address given out, 0 freed, 1 VRRP id changed; "
                    "--frozen forbids it",
                )
            ],
        ),
        (
            Locks(Lock(), PLACED),
            Locks(HELD),
            ("addressLock",),
            [
                (
                    "lock-frozen",
                    "hosts/s.lock.yaml",
                    "the plan changes the lock: 0 machines placed, 0 moved, 1 gone; --frozen forbids it",
                ),
                (
                    "lock-missing",
                    "netplans/s.lock.yaml",
                    "there is no lock file, so nothing holds these addresses",
                ),
            ],
        ),
        (
            Locks(),
            Locks(Lock(), PLACED),
            ("placementLock",),
            [
                (
                    "lock-missing",
                    "hosts/s.lock.yaml",
                    "there is no lock file, so nothing holds machines on their hosts",
                )
            ],
        ),
    ],
)
def test_a_lock_file_that_has_to_stay_as_it_is(
    before: Locks, after: Locks, absent: tuple[LockKind, ...], found: list[tuple[str, str, str]]
) -> None:
    listed: list[Finding] = RULES.check(Facts(SPEC, before, Recording(after, frozenset(absent))), "locks")
    assert [(one.rule, one.path, one.message) for one in listed] == found
    assert RULES.check(Facts(SPEC, before), "locks") == []
