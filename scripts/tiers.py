"""Run the test tiers that this machine can run, and say what was skipped and why.

`make test` runs this without arguments; `make test-e2e` and its like name one tier. A tier that fails never keeps
the others from running. Each tier is a pytest run of its own, with a time limit, so that one that hangs or
crashes costs only itself.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lxml import etree
from rich.console import Console
from rich.table import Table

from infra.image import find_node_image

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "azlocal"
PYTEST_FOUND_NO_TESTS = 5
GRACE_SECONDS = 120  # for fixtures to take their machines down after an interrupt
MACHINES_GIB = 8  # their disks, and their host's store
IMAGE_GIB = 35  # besides, while the image is built: Go's caches (25), the bundle, the image

Outcome = Literal["passed", "FAILED", "skipped"]
Need = Callable[[], str | None]


@dataclass(frozen=True)
class Tier:
    """One step: what it needs of the machine, what has to run before its tests, and what it runs."""

    name: str
    limit_minutes: int
    needs: tuple[Need, ...] = ()
    preparations: tuple[tuple[str, ...], ...] = ()
    command: tuple[str, ...] = ()  # runs instead of pytest
    at_once: int = 1  # tests that run side by side: for those that mostly wait, and have names of their own
    distribution: str = "load"  # of them, as pytest-xdist calls it: `loadfile` where a file's tests share machines


@dataclass
class Result:
    """What became of a tier."""

    tier: str
    outcome: Outcome
    reason: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0


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
    existing = next(folder for folder in (CACHE, *CACHE.parents) if folder.exists())
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
MACHINES = (needs_root, needs_x86, needs_command("libvirtd"), needs_command("mmdebstrap"), needs_disk_space)

# What CI runs takes its 90 minutes together; each limit is for what hangs.
TIERS = (
    Tier("lint", 5, command=("scripts/lint.sh",)),
    Tier("unit", 8, at_once=2),
    # A step of its own, so that its time is seen: Kubernetes is compiled in it where it can't be downloaded.
    Tier("image", 40, MACHINES, (PLAIN_IMAGE,), command=IMAGE),
    Tier("engine", 20, (needs_command("pulumi"),), at_once=2),
    Tier("lab", 30, (needs_root, needs_namespaces, needs_command("libvirtd"), needs_command("sshd")), at_once=2),
    Tier(
        "e2e",
        50,
        (*MACHINES, needs_loop_devices),
        (PLAIN_IMAGE, IMAGE, HYPERVISOR),
        at_once=2,
        distribution="loadfile",
    ),
    Tier("vm", 40, (*MACHINES, needs_command("qemu-system-x86_64")), (PLAIN_IMAGE, IMAGE, HYPERVISOR), at_once=2),
)


def run_quietly(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a short probe and keep what it says."""
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def run_limited(command: list[str], limit_minutes: float) -> int | None:
    """Run a command in a process group of its own; answer its exit code, or None if it ran out of time.

    It is interrupted first, so that fixtures can take down what they made, and killed after a grace period.
    """
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, process_group=0)
    try:
        return process.wait(limit_minutes * 60)
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


def run_command(tier: Tier) -> Result:
    """Run a tier that is a command."""
    code = run_limited(list(tier.command), tier.limit_minutes)
    if code == 0:
        return Result(tier.name, "passed")
    return Result(tier.name, "FAILED", reason="see above" if code else out_of_time(tier))


def run_pytest(tier: Tier, extra: list[str]) -> Result:
    """Run one tier's tests and count them."""
    marker = [] if tier.name == "unit" else ["-m", tier.name]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", *marker, f"--junit-xml={report}", "--durations=5"]
        if tier.at_once > 1:
            command += ["--numprocesses", str(tier.at_once), "--dist", tier.distribution]
        # Each tier collects every file: one that can't be imported must not take the other tiers' tests along.
        command += ["--continue-on-collection-errors", *extra]
        code = run_limited(command, tier.limit_minutes)
        result = count(tier, report)
    if code is None:
        result.outcome, result.reason = "FAILED", out_of_time(tier)
    elif code == PYTEST_FOUND_NO_TESTS:
        result.outcome, result.reason = "skipped", "no test was found for it"
    elif code != 0:
        result.outcome, result.reason = "FAILED", "" if result.failed else f"pytest exited {code}, see above"
    return result


def out_of_time(tier: Tier) -> str:
    """Word the reason of a tier that was stopped."""
    return f"stopped after its limit of {tier.limit_minutes} minutes"


def count(tier: Tier, report: Path) -> Result:
    """Read the numbers from pytest's report, which is missing when pytest died."""
    result = Result(tier.name, "passed")
    if not report.exists():
        return result
    for suite in etree.parse(report).getroot().iter("testsuite"):
        number = {key: int(suite.get(key, "0")) for key in ("tests", "errors", "failures", "skipped")}
        broken = number["errors"] + number["failures"]
        result.failed += broken
        result.skipped += number["skipped"]
        result.passed += max(0, number["tests"] - broken - number["skipped"])
    return result


def run_tier(tier: Tier, extra: list[str]) -> Result:
    """Prepare a tier and run it. Preparations repeat from tier to tier: done already, they cost nothing."""
    for command in tier.preparations:
        if run_limited(list(command), tier.limit_minutes) != 0:
            return Result(tier.name, "FAILED", reason=f"its preparation failed: {shlex.join(command)}")
    return run_command(tier) if tier.command else run_pytest(tier, extra)


def run_all(tiers: Iterable[Tier], console: Console, *, asked_for: bool) -> Iterator[Result]:
    """Run tier after tier. One that this machine can't run is a failure only if it was asked for by name."""
    extra = shlex.split(os.environ.get("PYTEST_FLAGS", ""))
    for tier in tiers:
        reason = next(filter(None, (need() for need in tier.needs)), None)
        if reason:
            yield Result(tier.name, "FAILED" if asked_for else "skipped", reason=reason)
            continue
        console.rule(tier.name)
        started = time.monotonic()
        result = run_tier(tier, extra)
        result.seconds = time.monotonic() - started
        yield result
        if HYPERVISOR in tier.preparations:
            run_limited(["azlocal", "hypervisor", "stop"], limit_minutes=2)


def show(results: list[Result], console: Console) -> None:
    """Print the table, and last the one line with the sums."""
    table = Table("tier", "", "passed", "failed", "skipped", "seconds", "why", title="make test")
    for result in results:
        style = {"passed": "green", "FAILED": "bold red", "skipped": "yellow"}[result.outcome]
        numbers = (str(result.passed), str(result.failed), str(result.skipped), f"{result.seconds:.0f}")
        table.add_row(result.tier, f"[{style}]{result.outcome}[/]", *numbers, result.reason)
    console.print(table)
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
    tiers = tuple(tier for tier in TIERS if not names or tier.name in names)
    results = list(run_all(tiers, console, asked_for=bool(names)))
    show(results, console)
    return 1 if any(result.outcome == "FAILED" for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
