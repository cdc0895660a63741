"""Leases: two runs never have one host, and what a run may have left is cleaned before anybody else has it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pydantic import ValidationError

from infra.stack.ci import lease as leases
from infra.stack.ci.lease import QUIET_SECONDS, Claimant, Decision, Lease, Remains

RUNS = ("one", "two", "three")
HOUR = 3600


def claimant(holder: str, seconds: int = HOUR) -> Claimant:
    return Claimant(holder=holder, owner=f"{holder}@ci", seconds=seconds)


def remains(holder: str) -> Remains:
    number = RUNS.index(holder) if holder in RUNS else 9
    return Remains(
        holder=holder,
        run=holder,
        owner=f"{holder}@ci",
        instance=f"ci0000{number}",
        directory=f"/var/lib/azlocal/ci0000{number}",
    )


def acquire(standing: Lease | None, holder: str, now: int, seconds: int = HOUR) -> Decision:
    return leases.acquire(standing, claimant(holder, seconds), remains(holder), now)


def held(holder: str, now: int = 0, seconds: int = HOUR) -> Lease:
    lease = acquire(None, holder, now, seconds).lease
    assert lease is not None
    return lease


def test_a_free_host_is_granted_and_refused_to_the_next_run_until_the_lease_ends() -> None:
    lease = held("one")
    assert (lease.state, lease.ends) == ("busy", HOUR)
    refused = acquire(lease, "two", HOUR - 1)
    assert (refused.verdict, refused.lease) == ("refused", lease)
    assert "busy: run one (ci00000) of one@ci has it for 59 min" in refused.why
    assert "its lease ends in 1 s" in refused.why
    assert acquire(lease, "two", HOUR).verdict == "clean"


def test_a_run_that_is_repeated_keeps_its_host_also_after_its_lease_has_ended() -> None:
    for now in (10, 2 * HOUR):
        again = acquire(held("one"), "one", now)
        assert again.verdict == "granted"
        assert again.lease is not None
        assert (again.lease.since, again.lease.renewed) == (0, now)


def test_what_a_killed_run_left_is_cleaned_before_the_next_run_has_the_host() -> None:
    cleaning = acquire(held("one"), "two", HOUR).lease
    assert cleaning is not None
    assert (cleaning.state, cleaning.holder, cleaning.remains.run) == ("cleaning", "two", "one")
    assert acquire(cleaning, "one", HOUR + 1).verdict == "refused", "its remains are being taken away"
    assert acquire(cleaning, "three", HOUR + 1).why.startswith("two@ci cleans what run one left")

    done = leases.finish_cleaning(cleaning, claimant("two"), remains("two"), HOUR + 9, is_clean=True)
    assert (done.verdict, done.lease and done.lease.remains.run) == ("granted", "two")
    left = leases.finish_cleaning(cleaning, claimant("two"), remains("two"), HOUR + 9, is_clean=False)
    assert (left.verdict, left.lease and left.lease.state) == ("dirty", "dirty")
    assert left.lease is not None
    assert (left.lease.holder, left.lease.remains.run) == ("one", "one")
    assert "run one (ci00000) of one@ci may have left something" in leases.described(left.lease, HOUR)


def test_whoever_dies_while_cleaning_leaves_it_to_the_next() -> None:
    cleaning = acquire(held("one"), "two", HOUR).lease
    after = acquire(cleaning, "three", 2 * HOUR)
    assert (after.verdict, after.lease and after.lease.remains.run) == ("clean", "one")


def test_a_host_is_free_only_with_proof() -> None:
    assert leases.release(held("one"), claimant("one"), 5, is_clean=True) == Decision("free", None)
    dirty = leases.release(held("one"), claimant("one"), 5, is_clean=False)
    assert dirty.verdict == "dirty"
    assert acquire(dirty.lease, "two", 6).verdict == "clean"
    assert acquire(dirty.lease, "one", 6).verdict == "granted", "its own state knows what is there"
    assert leases.renew(dirty.lease, claimant("one"), 6).verdict == "granted"


@pytest.mark.parametrize("standing", [None, held("two")])
def test_what_a_run_has_lost_it_neither_renews_nor_gives_back(standing: Lease | None) -> None:
    for decision in (
        leases.renew(standing, claimant("one"), 1),
        leases.release(standing, claimant("one"), 1, is_clean=True),
        leases.finish_cleaning(standing, claimant("one"), None, 1, is_clean=True),
    ):
        assert (decision.verdict, decision.lease) == ("lost", standing)


@pytest.mark.parametrize(
    ("now", "older_than", "verdict"),
    [
        (HOUR - 1, None, "refused"),  # its lease counts
        (HOUR, None, "clean"),
        (QUIET_SECONDS, QUIET_SECONDS, "clean"),  # older than somebody wants, and nobody works on it
        (QUIET_SECONDS - 1, 60, "refused"),
        (HOUR - 1, HOUR, "refused"),
    ],
)
def test_the_reaper_takes_what_is_over_or_too_old(now: int, older_than: float | None, verdict: str) -> None:
    assert leases.reap(held("one"), claimant("reaper"), now, older_than).verdict == verdict


def test_the_reaper_leaves_what_is_being_worked_on_or_cleaned_and_what_is_free() -> None:
    renewed = leases.renew(held("one"), claimant("one"), HOUR).lease
    kept = leases.reap(renewed, claimant("reaper"), HOUR + 60, older_than=60)
    assert kept.verdict == "refused"
    assert kept.why.endswith("; it is being worked on")
    cleaning = acquire(held("one"), "two", HOUR).lease
    assert leases.reap(cleaning, claimant("reaper"), HOUR + QUIET_SECONDS, older_than=1).verdict == "refused"
    assert leases.reap(None, claimant("reaper"), 0).why == "free"


def test_a_lease_of_another_instance_than_a_runs_is_none() -> None:
    lease = held("one")
    text = lease.model_dump_json(by_alias=True)
    assert leases.read_lease(text.encode()) == lease
    assert leases.read_lease(text.replace("ci00000", "prod").encode()) is None
    for directory in ("/", "/etc", "/ci00000", "srv/ci00000", "/srv/../ci00000", "/srv/ci00001"):
        assert leases.read_lease(text.replace("/var/lib/azlocal/ci00000", directory).encode()) is None
    assert leases.read_lease(text.replace("lease-1", "lease-2").encode()) is None
    assert leases.read_lease(b"{") is None
    with pytest.raises(ValidationError):
        Remains(holder="x", run="x", owner="x", instance="local", directory="/var/lib/azlocal/local")


@given(st.integers(0, 400_000))
def test_a_time_is_written_to_the_minute(seconds: int) -> None:
    text = leases.time_text(seconds)
    assert (text == f"{seconds} s") == (seconds < 60)


@dataclass
class Pipeline:
    """A run as it sees itself.

    Attributes:
        until: For how long it believes to have the host; None: it doesn't.
        cleans: What it believes to be cleaning.
    """

    until: int | None = None
    cleans: str | None = None


@dataclass
class Host:
    """A host with its clock; `made`: whose objects are on it in truth."""

    now: int = 0
    lease: Lease | None = None
    made: set[str] = field(default_factory=set)


runs, lengths = st.sampled_from(RUNS), st.integers(1, 400)


class Pipelines(RuleBasedStateMachine):
    """Three runs that want one host, at any time, and are killed anywhere."""

    @initialize()
    def begin(self) -> None:
        self.host = Host()
        self.pipelines = {name: Pipeline() for name in RUNS}

    def take(self, name: str, decision: Decision, seconds: int) -> None:
        self.host.lease = decision.lease
        pipeline = self.pipelines[name] = Pipeline()
        if decision.verdict in ("granted", "clean"):
            pipeline.until = self.host.now + seconds
        if decision.verdict == "clean":
            assert decision.lease is not None
            pipeline.cleans = decision.lease.remains.holder
        if decision.verdict == "granted":
            assert self.host.made <= {name}, "the host was given to a run with what another one left"
            self.host.made.add(name)

    def believes(self, name: str) -> bool:
        until = self.pipelines[name].until
        return until is not None and self.host.now < until

    @rule(seconds=st.integers(1, 500))
    def time_passes(self, seconds: int) -> None:
        self.host.now += seconds

    @rule(name=runs, seconds=lengths)
    def wants(self, name: str, seconds: int) -> None:
        self.take(name, acquire(self.host.lease, name, self.host.now, seconds), seconds)

    @rule(name=runs, seconds=lengths)
    def is_heard_of(self, name: str, seconds: int) -> None:
        if self.pipelines[name].until is None:
            return
        cleans = self.pipelines[name].cleans
        decision = leases.renew(self.host.lease, claimant(name, seconds), self.host.now)
        self.host.lease = decision.lease
        until = self.host.now + seconds if decision.verdict == "granted" else None
        self.pipelines[name] = Pipeline(until, cleans if until else None)

    @rule(name=runs, is_clean=st.booleans(), goes_on=st.booleans())
    def ends_cleaning(self, name: str, is_clean: bool, goes_on: bool) -> None:
        cleans = self.pipelines[name].cleans
        if cleans is None:
            return
        wanted = remains(name) if goes_on else None
        before = self.host.lease
        decision = leases.finish_cleaning(before, claimant(name), wanted, self.host.now, is_clean=is_clean)
        if decision.verdict != "lost" and is_clean:
            self.host.made.discard(cleans)
        self.take(name, decision, HOUR)

    @rule(name=runs, is_clean=st.booleans())
    def ends(self, name: str, is_clean: bool) -> None:
        if self.pipelines[name].until is None or self.pipelines[name].cleans is not None:
            return
        decision = leases.release(self.host.lease, claimant(name), self.host.now, is_clean=is_clean)
        if decision.verdict == "free":
            self.host.made.discard(name)
        self.take(name, decision, 0)

    @rule(name=runs)
    def is_killed(self, name: str) -> None:
        self.pipelines[name] = Pipeline()

    @rule(older_than=st.none() | st.integers(1, 300))
    def is_reaped(self, older_than: int | None) -> None:
        decision = leases.reap(self.host.lease, claimant("reaper"), self.host.now, older_than)
        if decision.verdict != "clean":
            assert decision.lease == self.host.lease
            return
        assert decision.lease is not None
        self.host.made.discard(decision.lease.remains.holder)
        self.host.lease = leases.finish_cleaning(
            decision.lease, claimant("reaper"), None, self.host.now, is_clean=True
        ).lease
        for name in RUNS:  # whose lease was too old learns that when it is heard of next
            if self.pipelines[name].until is not None and older_than is not None:
                self.pipelines[name] = Pipeline()

    @invariant()
    def one_run_at_most_has_the_host(self) -> None:
        if hasattr(self, "pipelines"):
            assert sum(map(self.believes, RUNS)) <= 1

    @invariant()
    def nothing_is_left_on_a_host_that_is_free(self) -> None:
        if hasattr(self, "host") and self.host.lease is None:
            assert self.host.made == set()


TestPipelines = Pipelines.TestCase
TestPipelines.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
