"""A Pulumi project in a folder of its own: the real CLI, a file backend, the code of this checkout."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent

_log = logging.getLogger(__name__)  # --log-cli-level=INFO: what each command says, and how long it takes

_HOST_KINDS = (
    *("infra:AzureLocalInstance", "index:StackIdentity"),
    *("infra:PhysicalHost", "index:Host", "index:Network"),
)
HOST_ONLY = tuple(word for kind in _HOST_KINDS for word in ("--target", f"**azlocal:{kind}::**"))
"""Flags for hosts and their networks alone, without images and machines."""

RUNS = ("up", "preview", "refresh", "destroy")
"""The engine's commands that run program or plugin."""

_SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
"""What Pulumi's SDKs and its state mark an encrypted value with."""


@dataclass(frozen=True)
class Run:
    """What a command of the CLI did."""

    code: int
    output: str

    def expect(self, code: int = 0) -> Run:
        assert self.code == code, f"exit {self.code}, not {code}:\n{self.output}"
        return self


@dataclass(frozen=True)
class Drilled(Run):
    """What a drill did; what it was told while it went on is its output.

    Attributes:
        result: What it measured, as --format json has it; empty where it was refused.
    """

    result: dict[str, Any]

    def healed(self) -> Drilled:
        """See that everything came back, and that no acknowledged write was lost."""
        assert self.code == 0, f"exit {self.code}: {self.result}\n{self.output}"
        assert self.result["ok"], self.result
        assert self.result["writes"]["acknowledged"] > 0
        assert self.result["writes"]["lost"] == 0
        return self


@dataclass
class Project:
    """One stack in `directory`. The plugin may be replaced by a test's own wrapper around the real one.

    Attributes:
        apart: the program and the plugin are processes of their own, as for who uses the bare command; else they
            are in one, as `make up` has them. What `start` starts is the bare command in any case.
    """

    directory: Path
    stack: str
    plugin: Path = ROOT / "infra" / "provider"
    environment: dict[str, str] = field(default_factory=dict)
    apart: bool = False

    def write(self, *, config: dict[str, Any], hosts: dict[str, Any], netplan: dict[str, Any]) -> None:
        """Write the three input files and Pulumi.yaml."""
        self.lay_out()
        self._dump(f"Pulumi.{self.stack}.yaml", {"config": {f"azlocal:{k}": v for k, v in config.items()}})
        self._dump(f"hosts/{config['site']}.yaml", hosts)
        self._dump(f"netplans/{config['site']}.yaml", netplan)

    def lay_out(self) -> None:
        """Make the folders, and a Pulumi.yaml that runs this checkout's program."""
        for folder in ("hosts", "netplans", "state", "infra"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        (self.directory / "infra" / "__main__.py").write_text((ROOT / "infra" / "__main__.py").read_text())
        project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
        project["plugins"]["providers"][0]["path"] = str(self.plugin)
        project["runtime"]["options"]["virtualenv"] = str(ROOT / ".venv")
        self._dump("Pulumi.yaml", project)

    def use_plugin(self, folder: Path) -> None:
        """Have the engine start another plugin from now on."""
        self.plugin = folder
        project = yaml.safe_load((self.directory / "Pulumi.yaml").read_text())
        project["plugins"]["providers"][0]["path"] = str(folder)
        self._dump("Pulumi.yaml", project)

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment in which commands of this project run."""
        return os.environ | self._environment()

    def settle(self, *flags: str) -> Run:
        """Put the stack in order after a killed run, as `make up` and `make down` do first."""
        return self.azlocal("settle", *flags)

    def drill(self, name: str, *options: str, timeout: float = 1500) -> Drilled:
        """Break the stack's instance and have it heal, as `azlocal drill` does."""
        command = [str(ROOT / ".venv/bin/python"), "-P", "-m", "infra.cli", "drill", name, self.stack]
        process = subprocess.Popen(
            [*command, "--yes", "--format", "json", *options],
            cwd=self.directory,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, stderr = process.communicate()
            raise AssertionError(f"the drill {name} took over {timeout} s:\n{stderr}") from None
        return Drilled(process.returncode, stderr, json.loads(stdout) if stdout else {})

    def azlocal(self, command: str, *flags: str, timeout: float = 600) -> Run:
        """Run a command of azlocal's on the stack."""
        began = time.monotonic()
        process = self.start_azlocal(command, *flags)
        output, _ = process.communicate(timeout=timeout)
        _log.info("azlocal %s %s: %.0f s\n%s", command, " ".join(flags), time.monotonic() - began, output)
        return Run(process.returncode, output)

    def start_azlocal(self, command: str, *flags: str) -> subprocess.Popen[str]:
        """Start a command of azlocal's on the stack, in a process group of its own."""
        return self._start([str(ROOT / ".venv/bin/azlocal"), command, self.stack, *flags])

    def change_state(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change what state says of resources, each in place."""
        content = json.loads(self._state_file.read_text())
        for resource in content["checkpoint"]["latest"]["resources"]:
            change(resource)
        self._state_file.write_text(json.dumps(content))

    def processes(self) -> dict[int, str]:
        """Return the processes that this project's commands started and that still run."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                ours = f"PULUMI_BACKEND_URL=file://{self.directory}/".encode() in (path / "environ").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if ours:
                found[int(path.name)] = words
        return found

    def reap(self) -> None:
        """End what a killed engine left running: Pulumi's own language host doesn't notice."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        eventually(lambda: not self.processes(), "the end of killed processes", 10)

    def edit(self, **config: Any) -> None:
        """Change keys of the stack's configuration."""
        path = self.directory / f"Pulumi.{self.stack}.yaml"
        content = yaml.safe_load(path.read_text())
        content["config"] |= {f"azlocal:{key}": value for key, value in config.items()}
        self._dump(path.name, content)

    def pulumi(self, *arguments: str, timeout: float = 600, stack: bool = True) -> Run:
        """Run the CLI, on the stack where the command is about one, and wait for it."""
        process = self.begin(*arguments, stack=stack)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise AssertionError(f"pulumi {' '.join(arguments)} took over {timeout} s:\n{output}") from None
        return Run(process.returncode, output)

    def start(self, *arguments: str, stack: bool = True) -> subprocess.Popen[str]:
        """Start the bare CLI in a process group of its own."""
        on_stack = ["--stack", self.stack] if stack else []
        return self._start(["pulumi", *arguments, *on_stack, "--non-interactive"])

    def begin(self, *arguments: str, stack: bool) -> subprocess.Popen[str]:
        """Start a command as it costs least."""
        if arguments[0] not in RUNS or self.apart:
            return self.start(*arguments, stack=stack)
        verb, *options = arguments
        script = [str(ROOT / ".venv/bin/python"), "-P", str(ROOT / "tests" / "engine_run.py")]
        return self._start([*script, self.stack, verb, *options, "--non-interactive"])

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def init(self) -> None:
        """Make the stack: a copy of the empty one that `pulumi stack init` made for the first of its name."""
        assert not self.exists()
        made = _empty_stack(self._name, self.stack)
        for path, content in made.files.items():
            (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / path).write_bytes(content)
        with (self.directory / f"Pulumi.{self.stack}.yaml").open("a") as config:
            config.write(made.salt)

    def up(self, *flags: str, timeout: float = 600) -> Run:
        return self.pulumi("up", "--yes", "--skip-preview", *flags, timeout=timeout)

    def destroy(self, *flags: str) -> Run:
        return self.pulumi("destroy", "--yes", "--skip-preview", *flags)

    def refresh(self, *flags: str) -> Run:
        return self.pulumi("refresh", "--yes", "--skip-preview", "--diff", *flags)

    def preview(self) -> dict[str, Any]:
        """Return what `pulumi preview --json` says."""
        run = self.pulumi("preview", "--json", "--suppress-progress")
        assert run.code == 0, run.output
        decoded: dict[str, Any] = json.JSONDecoder().raw_decode(run.output[run.output.index("{") :])[0]
        return decoded

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs from its state file, secret ones as `[secret]`."""
        stacks = [one for one in self.state().get("resources", []) if one["type"] == "pulumi:pulumi:Stack"]
        found: dict[str, Any] = _without_secrets(stacks[0].get("outputs", {})) if stacks else {}
        return found

    def printed_outputs(self) -> dict[str, Any]:
        """Return what the CLI prints as the stack's outputs: half a second of a process more than `outputs`."""
        run = self.pulumi("stack", "output", "--json").expect()
        decoded: dict[str, Any] = json.loads(run.output)
        return decoded

    def state(self) -> dict[str, Any]:
        """Return what the state file lists (`resources`, `pending_operations`), secrets still encrypted."""
        checkpoint = json.loads(self._state_file.read_text())["checkpoint"]
        # `stack init` and `state …` write the key as Go has the field.
        latest: dict[str, Any] = checkpoint.get("latest") or checkpoint.get("Latest") or {}
        return latest

    def kinds(self) -> Counter[str]:
        """Return how many resources state has of each kind, as `Host`."""
        return Counter(one["type"].rpartition(":")[2] for one in self.state().get("resources", []))

    def exists(self) -> bool:
        """Return whether the stack was made already: in a new folder, there isn't even the project's file."""
        return (self.directory / "Pulumi.yaml").exists() and self._state_file.exists()

    def is_empty(self) -> bool:
        """Return whether state lists nothing, no run was killed meanwhile, and none is at it."""
        listed = self.state()
        locks = (self.directory / "state" / ".pulumi" / "locks").rglob("*.json")
        return not (listed.get("resources") or listed.get("pending_operations") or list(locks))

    @property
    def _name(self) -> str:
        name: str = yaml.safe_load((self.directory / "Pulumi.yaml").read_text())["name"]
        return name

    @property
    def _state_file(self) -> Path:
        return self.directory / "state" / ".pulumi" / "stacks" / self._name / f"{self.stack}.json"

    def _environment(self) -> dict[str, str]:
        path = f"{ROOT / '.azlocal' / 'bin'}{os.pathsep}{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {
            "PATH": path,
            "CI": "",  # these projects have no lock file that was reviewed
            "PULUMI_BACKEND_URL": f"file://{self.directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        } | self.environment

    def _dump(self, name: str, content: dict[str, Any]) -> None:
        (self.directory / name).write_text(yaml.safe_dump(content, sort_keys=False))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        if value.items() >= _SECRET.items():
            return "[secret]"
        return {key: _without_secrets(one) for key, one in value.items()}
    return [_without_secrets(one) for one in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class _EmptyStack:
    """What `pulumi stack init` writes.

    Attributes:
        files: The state's files, by their path in the project's folder.
        salt: The line of the stack's configuration by which the passphrase is checked.
    """

    files: dict[Path, bytes]
    salt: str


@functools.cache
def _empty_stack(name: str, stack: str) -> _EmptyStack:
    """Have the CLI make a stack. State names its project and itself, and nothing of the folder that it lies in."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), stack)
        project._dump("Pulumi.yaml", {"name": name, "runtime": "python"})
        (project.directory / "state").mkdir()
        project.pulumi("stack", "init").expect()
        files = [path for path in (project.directory / "state").rglob("*") if path.is_file()]
        return _EmptyStack(
            {path.relative_to(project.directory): path.read_bytes() for path in files},
            (project.directory / f"Pulumi.{stack}.yaml").read_text(),
        )


def example(directory: Path, stack: str) -> Project:
    """Return one of the repository's own stacks, copied to a folder of its own."""
    project = Project(directory, stack)
    project.lay_out()
    for name in (f"Pulumi.{stack}.yaml", *(f"{kind}/{stack}.yaml" for kind in ("hosts", "netplans"))):
        shutil.copy(ROOT / name, directory / name)
    for kind in ("hosts", "netplans"):
        lock = Path(kind) / f"{stack}.lock.yaml"
        if (ROOT / lock).exists():
            shutil.copy(ROOT / lock, directory / lock)
    key = directory / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    project.edit(sshPublicKeys=[f"{key}.pub"])
    project.init()
    return project
