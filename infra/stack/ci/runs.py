"""The folder of a run, below .azlocal/ci of the project: a project of its own with one stack, and its state."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import ValidationError

from infra.errors import UserError
from infra.files import locked_if_free, replace_file
from infra.kvm.claim import who_is_here
from infra.model.base import Model
from infra.spec import InstanceSpec, load_instance
from infra.spec.hosts import HostsFile
from infra.spec.netplan import Netplan
from infra.spec.reading import LOCK_ENDING, load_netplan, validate
from infra.spec.tree import read_document
from infra.stack.ci.isolation import (
    Moves,
    Written,
    choose_moves,
    files_of,
    has_secrets,
    instance_name,
    prefixes_of,
    refuse_shared_networks,
    taken_prefixes,
)

_RECORD: Final = "run.json"
_REPORT: Final = "report"


class Record(Model):
    """What is known of a run.

    Attributes:
        format: Of the record.
        run: The run's name.
        stack: The stack that it is of.
        instance: The name of its instance, which is its own stack's, too.
        holder: Its secret, by which it has its hosts.
        owner: For people: who runs it, and where.
        seconds: For how long its leases count.
        moves: By each prefix of the stack's, its own.
    """

    format: Literal["azlocal/ci-run-1"] = "azlocal/ci-run-1"
    run: str
    stack: str
    instance: str
    holder: str
    owner: str
    seconds: int
    moves: dict[str, str]


@dataclass(frozen=True)
class RunFolder:
    """A run's folder, there or not.

    Attributes:
        project: The folder of the project that the run is of, from the root.
        run: The run's name.
    """

    project: Path
    run: str

    @property
    def path(self) -> Path:
        """Return the folder."""
        return self.project / ".azlocal" / "ci" / self.run

    @property
    def report(self) -> Path:
        """Return where summary, JUnit and artefacts are; that stays when the run is taken down."""
        return self.path / _REPORT

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold the folder for one command.

        Raises:
            UserError: Another command has it.
        """
        with locked_if_free(self.path.with_name(f"{self.run}.lock")) as is_held:
            if not is_held:
                raise UserError(
                    f"another command is working on run {self.run}; wait for its end, or name another --run"
                )
            yield

    def read(self) -> Record | None:
        """Return what is known of the run; None where there is none.

        Raises:
            UserError: It can't be read by this version.
        """
        path = self.path / _RECORD
        try:
            return Record.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise UserError(
                f"{path} can't be read by this version of azlocal; use the one that wrote it"
            ) from None

    def require(self) -> Record:
        """Return what is known of the run.

        Raises:
            UserError: There is no such run.
        """
        record = self.read()
        if record is None:
            others = ", ".join(sorted(path.parent.name for path in self.path.parent.glob(f"*/{_RECORD}")))
            known = f"the runs here: {others}" if others else "there is none here"
            raise UserError(
                f"there is no run {self.run} in {self.path.parent}; {known}. `azlocal ci up` makes one"
            )
        return record

    def write(self, record: Record) -> None:
        """Note what is known of the run."""
        replace_file(self.path / _RECORD, f"{record.model_dump_json(by_alias=True, indent=1)}\n", mode=0o600)

    def forget(self) -> None:
        """Remove all but the report of a run that is gone, or was killed before it had any host."""
        for path in self.path.iterdir() if self.path.is_dir() else ():
            if path.name == _REPORT:
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def prepare(
    folder: RunFolder,
    stack: str,
    within: IPv4Network,
    seconds: int,
    routes: Callable[[InstanceSpec, IPv4Network], Iterable[IPv4Network]],
) -> tuple[Record, InstanceSpec]:
    """Write the files of a run, again where it is there already; return what is known of it, and its instance.

    Args:
        folder: Of the run.
        stack: The stack that it is of.
        within: Where its networks may be.
        seconds: For how long its leases count.
        routes: Returns which networks the hosts of a stack know in a range.

    Raises:
        SpecError: The stack's files can't be read.
        UserError: The stack can't have runs; the range has no room; the run is another stack's, or its networks
            are others by now.
    """
    spec = load_instance(stack, folder.project)
    refuse_shared_networks(spec)
    prefixes = prefixes_of(spec.netplan)
    record = folder.read()
    if record is None:
        folder.forget()
        holder, number = secrets.token_hex(16), secrets.randbits(64)
        taken = [*taken_prefixes(spec, _sites(folder.project)), *routes(spec, within)]
        moves = choose_moves(within, prefixes, taken, number)
        record = Record(
            run=folder.run,
            stack=stack,
            instance=instance_name(number),
            holder=holder,
            owner=who_is_here(),
            seconds=seconds,
            moves={str(old): str(new) for old, new in moves.items()},
        )
    moves = _moves(record)
    if record.stack != stack or set(prefixes) != set(moves):
        changed = f"of stack {record.stack}" if record.stack != stack else f"of {stack} with other networks"
        raise UserError(
            f"run {folder.run} is {changed}: `azlocal ci down --run {folder.run}` first, or name another"
        )
    record = record.model_copy(update={"seconds": seconds})
    folder.report.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.path.chmod(0o700)
    written = _written(spec)
    for name, text in files_of(written, spec, record.instance, moves).items():
        (folder.path / name).parent.mkdir(exist_ok=True)
        replace_file(folder.path / name, text)
    if has_secrets(written.stack):
        _lend_passphrase(folder)
    folder.write(record)
    return record, load_instance(record.instance, folder.path)


def _moves(record: Record) -> Moves:
    return {IPv4Network(old): IPv4Network(new) for old, new in record.moves.items()}


def _written(spec: InstanceSpec) -> Written:
    def tree(name: str) -> dict[str, Any]:
        document = read_document(spec.directory / name, name)
        content: dict[str, Any] = document.root.value if document.root else {}
        return content

    hosts = f"hosts/{spec.site}.yaml"
    return Written(
        yaml.safe_load((spec.directory / "Pulumi.yaml").read_text(encoding="utf-8")),
        tree(f"Pulumi.{spec.name}.yaml"),
        tree(f"netplans/{spec.site}.yaml"),
        re.sub(r"\A# yaml-language-server:.*\n", "", (spec.directory / hosts).read_text(encoding="utf-8")),
    )


def _sites(project: Path) -> Iterator[tuple[HostsFile, Netplan]]:
    """Yield all sites of a project; none whose files can't be read."""
    for path in sorted((project / "hosts").glob("*.yaml")):
        if not path.name.endswith(LOCK_ENDING):
            hosts, _ = validate(HostsFile, read_document(path, f"hosts/{path.name}"))
            netplan = load_netplan(path.stem, project)
            if hosts is not None and netplan is not None:
                yield hosts, netplan


def _lend_passphrase(folder: RunFolder) -> None:
    """Give a run the passphrase that azlocal made for the project, by which the stack's secrets are encrypted."""
    made = folder.project / ".azlocal" / "passphrase"
    if made.is_file():
        own = folder.path / ".azlocal" / "passphrase"
        own.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(own, made.read_bytes(), mode=0o600)
