"""`azlocal ci up`, `down` and `rebuild`: the verbs of a stack on a run's own, on hosts that the run has leased."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from infra.audit.model import WRONG, Audit, Scope
from infra.audit.report import as_json
from infra.errors import UserError
from infra.files import replace_file, user_state
from infra.hosts.facts.network import ROUTES
from infra.plan.instance import Plan, plan_instance, record_instance
from infra.plan.report.addresses.markdown import render_markdown
from infra.spec import InstanceSpec, SpecError, load_instance
from infra.ssh import ShellError, root_shell
from infra.stack import verbs
from infra.stack.at_work import at_work
from infra.stack.auditing import run as auditing
from infra.stack.auditing.scopes import planned_names
from infra.stack.ci.holding import Holding, RunHost
from infra.stack.ci.isolation import RANGE
from infra.stack.ci.lease import Claimant, Remains
from infra.stack.ci.report import EngineLog, Report, Step, junit, read_log, step_outputs, summary
from infra.stack.ci.runs import Record, RunFolder, prepare
from infra.stack.command import stack_output
from infra.stack.environment import Chosen
from infra.stack.messages import say
from infra.stack.state import EngineFailed, Stack

_LOG: Final = "events.jsonl"
_LOG_FLAG: Final = "PULUMI_DEBUG_COMMANDS"
"""The engine takes --event-log only with it."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        folder: The run's.
        stack: The stack that it is of; a run that is there knows its own.
        within: Where its networks may be.
        seconds: For how long its leases count without a command that works on it.
        wait: For how many seconds others' runs are waited for.
        options: The engine's.
    """

    folder: RunFolder
    stack: str = "local"
    within: IPv4Network = RANGE
    seconds: int = 7200
    wait: float = 0.0
    options: tuple[str, ...] = ()


class RuleBroken(UserError):
    """The plan of a run breaks a rule."""

    exit_code = 2


@dataclass
class _Outcome:
    """How a step ends: why it failed, where it did."""

    error: str = ""


@dataclass
class _Steps:
    """What a command does, step by step, with what is known of the run so far."""

    report: Report
    done: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[_Outcome]:
        started, outcome = time.monotonic(), _Outcome()
        try:
            yield outcome
        except BaseException as error:
            outcome.error = outcome.error or str(error) or f"it was ended by {type(error).__name__}"
            raise
        finally:
            self.done.append(Step(name, time.monotonic() - started, outcome.error))
            self.report = replace(self.report, steps=tuple(self.done))

    def know(self, record: Record, spec: InstanceSpec) -> None:
        """Note which instance it is about, and on which hosts."""
        hosts = tuple(host.name for host in spec.standing_hosts)
        self.report = replace(self.report, instance=record.instance, stack=record.stack, hosts=hosts)


def up(request: Request) -> Report:
    """Make a run's instance, on hosts that it has until it is taken down; again, after a failure or a change.

    Raises:
        UserError: It can't be made; the report says where, too.
    """
    with _reported("up", request) as steps:
        _up(request, steps)
    return steps.report


def down(request: Request) -> Report:
    """Take a run's instance away, prove that nothing is left, and give its hosts back.

    Raises:
        UserError: Something is left, or may be; its hosts are dirty then.
    """
    with _reported("down", request) as steps:
        record = request.folder.read()
        if record is None:
            say(f"there is no run {request.folder.run}, so there is nothing to take down")
            return steps.report
        _down(request, steps, record, is_last=True)
        request.folder.forget()
    return steps.report


def rebuild(request: Request) -> Report:
    """Take a run's instance away and make it again, on the same hosts, which no other run has in between.

    Raises:
        UserError: It can't be.
    """
    with _reported("rebuild", request) as steps:
        record = request.folder.require()
        _down(request, steps, record, is_last=False)
        _up(replace(request, stack=record.stack), steps)
    return steps.report


def _up(request: Request, steps: _Steps) -> None:
    folder, is_new = request.folder, request.folder.read() is None
    with _forgotten(folder, is_new):
        record, spec = _planned(request, steps)
    with closing(_holding(record, spec)) as holding:
        with _forgotten(folder, is_new), steps.step("lease"):
            holding.take(_remains(record, spec), request.wait)
        with holding.renewed(_stop), at_work(_chosen(record, folder)) as stack:
            _run(verbs.up, "up", request, steps, stack)
            steps.report = replace(
                steps.report, clusters=stack.outputs().get("clusters", {}), kubeconfig=_kubeconfig(folder, stack)
            )
        _refuse_lost(holding)


def _planned(request: Request, steps: _Steps) -> tuple[Record, InstanceSpec]:
    """Write the run's files, and plan its instance."""
    with steps.step("plan"):
        record, spec = prepare(request.folder, request.stack, request.within, request.seconds, _routes)
        steps.know(record, spec)
        plan = record_instance(spec)
        if not plan.ok:
            raise _refusal(request, plan)
        steps.report = replace(steps.report, plan=render_markdown(plan))
    return record, spec


def _refusal(request: Request, plan: Plan) -> RuleBroken:
    """Say which rules a run's plan breaks: in the files that people wrote, where these break any."""
    source = plan_instance(load_instance(request.stack, request.folder.project))
    findings = (plan if source.ok else source).findings
    errors = "\n".join(str(finding) for finding in findings if finding.severity == "error")
    return RuleBroken(f"no instance can be made of stack {request.stack}; no host was touched:\n{errors}")


def _down(request: Request, steps: _Steps, record: Record, *, is_last: bool) -> None:
    spec = load_instance(record.instance, request.folder.path)
    steps.know(record, spec)
    with closing(_holding(record, spec)) as holding:
        clean: list[str] = []
        try:
            holding.reclaim()
            with holding.renewed(), at_work(_chosen(record, request.folder)) as stack:
                try:
                    _run(verbs.down, "down", request, steps, stack)
                    clean = [host.name for host in holding.hosts]
                except BaseException:
                    clean = _clean_hosts(stack)
                    raise
        finally:
            if is_last or len(clean) < len(holding.hosts):
                holding.give_back(clean)
        if not is_last:
            _refuse_lost(holding)


def _run(verb: Callable[..., int], name: str, request: Request, steps: _Steps, stack: Stack) -> None:
    """Do what a verb of the engine's does, with what it says of that in the report.

    Raises:
        EngineFailed: It failed; the engine has said why.
    """
    with steps.step(name) as outcome:
        log, code = _logged(verb, stack, request.options)
        steps.report = replace(steps.report, moments=(*steps.report.moments, *log.moments))
        if code:
            outcome.error = "\n".join(log.errors) or f"it ended with {code}; its output says why"
            steps.report = replace(steps.report, artefacts=str(_collect(request.folder, stack, log)))
            raise EngineFailed("", code)


def _logged(verb: Callable[..., int], stack: Stack, options: Sequence[str]) -> tuple[EngineLog, int]:
    """Run a verb of the engine's; return what the engine says of that, and the exit code."""
    path, started = stack.directory / _LOG, time.time()
    path.unlink(missing_ok=True)
    os.environ[_LOG_FLAG] = "true"
    try:
        code = verb(stack, *options, "--event-log", str(path))
        with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as lines:
            return read_log(lines, started), code
        return EngineLog(), code
    finally:
        path.unlink(missing_ok=True)  # it has all inputs
        del os.environ[_LOG_FLAG]


@contextmanager
def _forgotten(folder: RunFolder, is_new: bool) -> Iterator[None]:
    """Forget a run that is new where a block fails, since it has no hosts."""
    try:
        yield
    except BaseException:
        if is_new:
            folder.forget()
        raise


@contextmanager
def _reported(command: str, request: Request) -> Iterator[_Steps]:
    """Hold the run's folder, and write the report however the command ends."""
    folder = request.folder
    with folder.at_work():
        steps = _Steps(Report(command, folder.run, "", request.stack, (), ()))
        try:
            yield steps
        finally:
            if steps.done:
                write_report(folder, steps.report)


def write_report(folder: RunFolder, report: Report) -> None:
    """Write what a command did: into the run's folder, and where a pipeline of GitHub's reads it."""
    folder.report.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = summary(report)
    command = report.command
    replace_file(folder.report / f"summary-{command}.md", text)
    replace_file(folder.report / f"junit-{command}.xml", junit(report))
    replace_file(folder.report / f"result-{command}.json", json.dumps(report.to_json(), indent=2) + "\n")
    for variable, content in (
        ("GITHUB_STEP_SUMMARY", text),
        ("GITHUB_OUTPUT", step_outputs(report, str(folder.report))),
    ):
        path = os.environ.get(variable)
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(content)
    say(f"summary-{command}.md and junit-{command}.xml of run {folder.run} are in {folder.report}")


def hosts_of(spec: InstanceSpec) -> list[RunHost]:
    """Return the hosts that a run of a stack needs: all of its site but those that are lost."""
    return [RunHost(host.name, host.connection, host.protected) for host in spec.standing_hosts]


def _holding(record: Record, spec: InstanceSpec) -> Holding:
    claimant = Claimant(holder=record.holder, owner=record.owner, seconds=record.seconds)
    return Holding(hosts_of(spec), claimant)


def _remains(record: Record, spec: InstanceSpec) -> dict[str, Remains]:
    machines, networks = planned_names(spec)
    return {
        host.name: Remains(
            holder=record.holder,
            run=record.run,
            owner=record.owner,
            instance=record.instance,
            directory=host.storage_of(record.instance),
            machines=tuple(sorted(machines)),
            networks=networks,
        )
        for host in spec.standing_hosts
    }


def _chosen(record: Record, folder: RunFolder) -> Chosen:
    chosen = Chosen(record.instance, folder.path, os.environ, is_apart=True)
    chosen.make()
    return chosen


def _routes(spec: InstanceSpec, within: IPv4Network) -> Iterator[IPv4Network]:
    """Yield the networks that hosts know; none of what a gateway has for more than the whole range, as VPNs do."""
    for host in spec.standing_hosts:
        with closing(root_shell(host.connection)) as shell:
            for route in ROUTES.parse(shell.run(ROUTES.argv).stdout):
                to = route.destination
                if not isinstance(to, IPv4Network) or not to.prefixlen:
                    continue
                if route.gateway is None or not (within != to and within.subnet_of(to)):
                    yield to


def _stop() -> None:
    """End this command's engine in order: a host isn't the run's any more."""
    os.kill(os.getpid(), signal.SIGTERM)


def _refuse_lost(holding: Holding) -> None:
    if holding.lost:
        hosts = ", ".join(holding.lost)
        raise UserError(
            f"the run has lost {hosts} meanwhile, so another run may be there: nothing that it made counts. Take "
            "it down with `azlocal ci down`, and name a longer --lease where hosts were out of reach for so long"
        )


def _kubeconfig(folder: RunFolder, stack: Stack) -> str:
    """Write the clusters' kubeconfig into the run's folder; return its path, empty where no cluster has one."""
    if "kubeconfig" not in stack.outputs():
        return ""
    path = folder.path / "kubeconfig"
    replace_file(path, stack_output(stack.name, stack.directory, "kubeconfig"), mode=0o600)
    return str(path)


def _collect(folder: RunFolder, stack: Stack, log: EngineLog) -> Path:
    """Put what explains a failure into the report: the engine's words, the logs it named, what stands now."""
    artefacts = folder.report / "artefacts"
    shutil.rmtree(artefacts, ignore_errors=True)
    artefacts.mkdir(mode=0o700)
    replace_file(artefacts / "engine.txt", "".join(f"{text}\n\n" for text in (*log.errors, *log.warnings)))
    for path in sorted((user_state() / "azlocal" / "logs").glob(f"{stack.name}*")):
        shutil.copytree(path, artefacts / path.name)
    audited = _audited(stack)
    if audited is not None:
        replace_file(artefacts / "audit.json", json.dumps(as_json(audited[0]), indent=2) + "\n")
    return artefacts


def _audited(stack: Stack) -> tuple[Audit, list[Scope]] | None:
    try:
        return auditing.audit(stack)
    except (UserError, ShellError, SpecError, OSError) as error:
        say(f"what stands on hosts can't be told: {error}")
        return None


def _clean_hosts(stack: Stack) -> list[str]:
    """Return the hosts on which nothing stands, and nothing is left, after a `down` that failed."""
    audited = _audited(stack)
    if audited is None:
        return []
    result, scopes = audited
    return [
        scope.host
        for scope, place in zip(scopes, result.hosts, strict=True)
        if not (scope.stands or scope.machines or scope.networks or place.of(*WRONG) or place.unseen)
    ]
