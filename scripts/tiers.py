"""Run the test tiers that this machine can run, and say what was skipped and why.

`make test` runs this without arguments; `make test-e2e` and its like name one tier. A tier that fails never keeps
the others from running. The tiers with real engines and machines run together, in one queue: while one test waits
for a machine to boot, another computes. The table still counts each tier on its own.

In CI (AZLOCAL_TEST_REQUIRE=all) a tier that can't run is a failure, and so is one that skips a test. All tiers
have one deadline, AZLOCAL_TEST_UNTIL: what runs then is stopped, the rest isn't begun. The table is always
printed, also after Ctrl-C.

Tests that are marked `full` run only with FULL=1; tests/full_run.json says when each file last passed.
"""

import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from rich.console import Console
from rich.table import Table

from infra.image import find_node_image
from infra.image.places import default_cache
from tests import costs, full_run
from tests.marks import FULL, MARKED_TIERS
from tests.recording import RECORD_VARIABLE, Cost, read_record

ROOT = Path(__file__).resolve().parent.parent
PYTEST_SAYS_TESTS_FAILED = 1
FAILED_OUTSIDE_TESTS = -1  # pytest says that tests failed, and none has
RECORDS = ROOT / ".azlocal" / "tests"  # what each test of the last run cost
SHOWN_REASONS = 3  # for skipping tests, in the table; pytest lists all
GRACE_SECONDS = 120  # for fixtures to take their machines down after an interrupt
MACHINES_GIB = 8  # their disks, and their host's store
IMAGE_GIB = 35  # besides, while the image is built: Go's caches (25), the bundle, the image

Outcome = Literal["passed", "FAILED", "skipped"]
Need = Callable[[], str | None]


@dataclass(frozen=True)
class Tier:
    """One kind of check: what it needs of the machine, and what has to run before it.

    Attributes:
        name: What people call it; for tests, their marker.
        needs: Checks of the machine, each with a reason where it fails.
        preparations: Commands that bring the machine to where the tests can run; done already, they cost nothing.
        command: What runs instead of tests.
    """

    name: str
    needs: tuple[Need, ...] = ()
    preparations: tuple[tuple[str, ...], ...] = ()
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """Tiers that run together, within a time limit.

    Attributes:
        tiers: Run by one pytest, if they are tests.
        limit_minutes: For what hangs; CI's own limit is for all steps together.
        full_minutes: As much more where tests marked `full` run, too.
        workers: How many tests run side by side.
        full_workers: The same where tests marked `full` run, too: they have the larger clusters.
    """

    tiers: tuple[Tier, ...]
    limit_minutes: int
    workers: int = 1
    full_minutes: int = 0
    full_workers: int = 1

    def limit(self, *, full: bool) -> int:
        """Return the limit in minutes."""
        return self.limit_minutes + (self.full_minutes if full else 0)


@dataclass
class Result:
    """What became of a tier.

    Attributes:
        tier: Its name.
        outcome: Only "passed" is good news; "skipped" is bad news where the tier is required.
        reason: Why it failed or was skipped; of a tier that passed, why some of its tests were skipped.
        seconds: Of all tiers that ran together.
        cpu_seconds: Its own processor time.
    """

    tier: str
    outcome: Outcome
    reason: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def needs_root() -> str | None:
    """Machines, networks and file systems are made by root."""
    return None if os.geteuid() == 0 else "needs root: run it as root, or with sudo"


def needs_command(name: str) -> Need:
    """Build a check that a command is installed."""

    def check() -> str | None:
        return None if shutil.which(name) else f"needs the command {name}, which is not on PATH"

    return check


def needs_namespaces() -> str | None:
    """A lab host lives in a network namespace with mounts of its own."""
    probe = run_quietly("unshare", "--net", "--mount", "true")
    if probe.returncode == 0:
        return None
    return f"needs network and mount namespaces: {probe.stderr.strip() or 'unshare failed'}"


def needs_loop_devices() -> str | None:
    """Container roots and storage are file systems in files."""
    if Path("/dev/loop-control").exists():
        return None
    return "needs loop devices: there is no /dev/loop-control"


def needs_disk_space() -> str | None:
    """The node image and the machines' disks have to fit."""
    cache = default_cache().root
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free_gib = shutil.disk_usage(existing).free / 2**30
    needed = MACHINES_GIB if find_node_image() and find_node_image("plain") else IMAGE_GIB
    if free_gib >= needed:
        return None
    return f"needs {needed} GiB free at {existing}, which has {free_gib:.1f}"


def needs_x86() -> str | None:
    """The node image is built for amd64."""
    machine = os.uname().machine
    return None if machine == "x86_64" else f"needs an x86_64 machine; this one is {machine}"


IMAGE = ("azlocal", "image", "build")
PLAIN_IMAGE = (*IMAGE, "--plain")
HYPERVISOR = ("azlocal", "hypervisor", "start")
AZURE_CLI = (sys.executable, "-m", "tests.emulator.azure_cli")
MACHINES = (needs_root, needs_x86, needs_command("libvirtd"), needs_command("mmdebstrap"), needs_disk_space)

CORES = os.cpu_count() or 1
# Tests of real machines wait for half of their time, so one more of them than processors keeps these busy.
STEPS = (
    Step((Tier("lint", command=("scripts/lint.sh",)),), 5),
    Step((Tier("unit"),), 12, CORES, full_workers=CORES),
    # A step of its own, so that its time is seen: Kubernetes is compiled in it where it can't be downloaded.
    Step((Tier("image", MACHINES, (PLAIN_IMAGE,), command=IMAGE),), 45),
    Step(
        (
            Tier("engine", (needs_command("pulumi"),), (AZURE_CLI,)),
            Tier("lab", (needs_root, needs_namespaces, needs_command("libvirtd"), needs_command("sshd"))),
            Tier("e2e", (*MACHINES, needs_loop_devices), (PLAIN_IMAGE, IMAGE, HYPERVISOR)),
            Tier("vm", (*MACHINES, needs_command("qemu-system-x86_64")), (PLAIN_IMAGE, IMAGE, HYPERVISOR)),
        ),
        75,
        CORES + 1,
        full_minutes=135,
        full_workers=CORES,
    ),
)
TIERS = tuple(tier for step in STEPS for tier in step.tiers)


class Deadline:
    """The end of the time that all steps have together."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + minutes * 60

    def minutes(self, limit: float) -> float:
        """Return how long a step with that limit may take."""
        return max(0.0, min(limit, (self._end - time.monotonic()) / 60))


def run_quietly(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a short probe and keep what it says."""
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def run_limited(
    command: list[str], limit_minutes: float, environment: Mapping[str, str] = MappingProxyType({})
) -> int | None:
    """Run a command in a process group of its own; answer its exit code, or None if it ran out of time.

    It is interrupted first, so that fixtures can take down what they made, and killed after a grace period. Where
    there is no time left, it isn't started.
    """
    if limit_minutes <= 0:
        return None
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, process_group=0, env=os.environ | environment
    )
    try:
        return process.wait(None if limit_minutes == inf else limit_minutes * 60)
    except subprocess.TimeoutExpired:
        stop(process)
        return None
    except KeyboardInterrupt:
        stop(process)
        raise


def stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process, and kill its whole group if that is not enough."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass(frozen=True)
class Run:
    """How tiers are run.

    Attributes:
        deadline: The end of all steps' time.
        required: A tier that this machine can't run is a failure.
        complete: A test that is skipped is a failure.
        full: Tests marked `full` run, too.
        pytest_flags: What else pytest is told.
    """

    deadline: Deadline
    required: bool = False
    complete: bool = False
    full: bool = False
    pytest_flags: tuple[str, ...] = ()


def run_step(step: Step, run: Run) -> list[Result]:
    """Prepare a step's tiers and run them; a tier whose preparation fails doesn't keep the others from running."""
    most = step.limit(full=run.full)
    if run.deadline.minutes(most) <= 0:
        return [Result(tier.name, "FAILED", reason=out_of_time(0)) for tier in step.tiers]
    results = []
    ready = []
    started = time.monotonic()
    succeeded: dict[tuple[str, ...], bool] = {}
    for tier in step.tiers:
        for command in tier.preparations:
            if command not in succeeded:
                succeeded[command] = run_limited(list(command), run.deadline.minutes(most)) == 0
        broken = next((command for command in tier.preparations if not succeeded[command]), None)
        if broken:
            results.append(Result(tier.name, "FAILED", reason=f"its preparation failed: {shlex.join(broken)}"))
        else:
            ready.append(tier)
    limit = run.deadline.minutes(most)
    results += [run_command(tier, limit) for tier in ready if tier.command]
    if tested := [tier for tier in ready if not tier.command]:
        results += run_pytest(tested, step.full_workers if run.full else step.workers, limit, run)
    for result in results:
        result.seconds = time.monotonic() - started
    if HYPERVISOR in succeeded:
        run_limited(["azlocal", "hypervisor", "stop"], limit_minutes=2)
    return results


def run_command(tier: Tier, limit_minutes: float) -> Result:
    """Run a tier that is a command."""
    before = children_seconds()
    code = run_limited(list(tier.command), limit_minutes)
    result = Result(tier.name, "passed" if code == 0 else "FAILED", cpu_seconds=children_seconds() - before)
    if code != 0:
        result.reason = "see above" if code else out_of_time(limit_minutes)
    return result


def children_seconds() -> float:
    """Return the processor time of the commands that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_pytest(tiers: list[Tier], workers: int, limit_minutes: float, run: Run) -> list[Result]:
    """Run the tests of these tiers in one queue, and count each tier's."""
    marked = [tier.name for tier in tiers if tier.name in MARKED_TIERS]
    folder = RECORDS / FULL if run.full else RECORDS
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / f"{'-'.join(tier.name for tier in tiers)}.jsonl"
    record.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "--durations=10"]
    if marked:
        command += ["-m", " or ".join(marked) if run.full else f"({' or '.join(marked)}) and not {FULL}"]
    if workers > 1:
        # A file's tests share what they made, so a file stays in one worker; conftest.py puts the longest first.
        command += ["--numprocesses", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    # A file that can't be imported must not take the other tiers' tests along.
    command += ["--continue-on-collection-errors", *run.pytest_flags]
    code = run_limited(command, limit_minutes, {RECORD_VARIABLE: str(record)})
    done = read_record(record)
    if run.full:
        full_run.write(done, run.pytest_flags)
    results = [count(tier.name, done) for tier in tiers]
    if code == PYTEST_SAYS_TESTS_FAILED and not any(result.failed for result in results):
        code = FAILED_OUTSIDE_TESTS  # a worker that crashed, a file that can't be imported: no tier's own failure
    for result in results:
        judge(result, code, limit_minutes, {} if run.full else costs.budgets(), complete=run.complete)
    return results


def count(tier: str, record: list[Cost]) -> Result:
    """Count a tier's tests."""
    own = [cost for cost in record if cost.tier == tier]
    outcomes = Counter(cost.outcome for cost in own)
    reasons = Counter(cost.reason.removeprefix("Skipped: ") for cost in own if cost.outcome == "skipped")
    return Result(
        tier,
        "passed",
        reason="; ".join(f"{number} skipped: {reason}" for reason, number in reasons.most_common(SHOWN_REASONS)),
        passed=outcomes["passed"],
        failed=outcomes["failed"],
        skipped=outcomes["skipped"],
        cpu_seconds=sum(cost.cpu_seconds for cost in own),
    )


def judge(
    result: Result, code: int | None, limit_minutes: float, budgets: Mapping[str, float], *, complete: bool = False
) -> None:
    """Say whether a tier passed: by its tests, by how pytest (of other tiers, too) ended, and by its cost."""
    if result.failed:
        result.outcome = "FAILED"
    elif code is None:
        result.outcome, result.reason = "FAILED", out_of_time(limit_minutes)
    elif code not in (0, PYTEST_SAYS_TESTS_FAILED):
        said = f"pytest exited {code}" if code != FAILED_OUTSIDE_TESTS else "pytest failed outside of tests"
        result.outcome, result.reason = "FAILED", f"{said}, see above"
    elif not result.passed:
        result.outcome, result.reason = "FAILED", f"none of its {result.skipped} tests ran: {result.reason}"
    elif complete and result.skipped:
        result.outcome = "FAILED"
    elif over := costs.over_budget(result.tier, result.cpu_seconds, budgets):
        result.outcome, result.reason = "FAILED", over


def out_of_time(limit_minutes: float) -> str:
    """Word the reason of a tier that was stopped, or never begun."""
    if limit_minutes <= 0:
        return "not run: the time for all tiers was over"
    return f"stopped after its limit of {limit_minutes:.0f} minutes"


def run_all(steps: Iterable[Step], console: Console, run: Run) -> Iterator[Result]:
    """Run step after step. A tier that this machine can't run is a failure only where it is required."""
    for step in steps:
        able = []
        for tier in step.tiers:
            reason = next(filter(None, (need() for need in tier.needs)), None)
            if reason:
                yield Result(tier.name, "FAILED" if run.required else "skipped", reason=reason)
            else:
                able.append(tier)
        if able:
            console.rule(" + ".join(tier.name for tier in able))
            yield from run_step(replace(step, tiers=tuple(able)), run)


def show(results: list[Result], console: Console) -> None:
    """Print the table, what it doesn't explain by itself, and last the one line with the sums."""
    table = Table("tier", "", "passed", "failed", "skipped", "seconds", "processor", title="make test")
    for result in results:
        style = {"passed": "green", "FAILED": "bold red", "skipped": "yellow"}[result.outcome]
        numbers = (str(result.passed), str(result.failed), str(result.skipped), f"{result.seconds:.0f}")
        table.add_row(result.tier, f"[{style}]{result.outcome}[/]", *numbers, f"{result.cpu_seconds:.0f}")
    console.print(table)
    for result in results:
        if result.reason:
            console.print(f"{result.tier}: {result.reason}", highlight=False, markup=False)
    passed, failed, skipped = (
        sum(numbers) for numbers in zip(*((r.passed, r.failed, r.skipped) for r in results), strict=True)
    )
    console.print(f"total: {passed} passed, {failed} failed, {skipped} skipped", highlight=False)


def main(names: list[str]) -> int:
    """Run the named tiers, or all of them; answer the exit code."""
    unknown = set(names) - {tier.name for tier in TIERS}
    console = Console(soft_wrap=True)
    if unknown:
        console.print(f"no such tier: {', '.join(sorted(unknown))}; they are {', '.join(t.name for t in TIERS)}")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as CI ends a job: in order, with the table
    steps = [replace(step, tiers=tuple(t for t in step.tiers if not names or t.name in names)) for step in STEPS]
    steps = [step for step in steps if step.tiers]
    complete = os.environ.get("AZLOCAL_TEST_REQUIRE") == "all"
    run = Run(
        Deadline(minutes_until(os.environ.get("AZLOCAL_TEST_UNTIL"))),
        required=bool(names) or complete,
        complete=complete,
        full=os.environ.get("FULL", "") not in ("", "0"),
        pytest_flags=tuple(shlex.split(os.environ.get("PYTEST_FLAGS", ""))),
    )
    results: list[Result] = []
    try:
        for result in run_all(steps, console, run):
            results.append(result)
    finally:
        ended = {result.tier for result in results}
        rest = (tier.name for step in steps for tier in step.tiers if tier.name not in ended)
        results += [Result(name, "FAILED", reason="interrupted") for name in rest]
        show(results, console)
    console.print(full_run.told(), highlight=False)
    return 1 if any(result.outcome == "FAILED" for result in results) else 0


def minutes_until(clock: str | None) -> float:
    """Return how long it is until a time, in seconds since the epoch; None: no end."""
    return (float(clock) - time.time()) / 60 if clock else inf


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
