"""An older plan: from a JSON file that `azlocal plan` wrote, or of the files as they were at a git revision."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from infra.plan.addresses.plan import AddressPlan, Allocation, LoadBalancerUse, NetworkPlan, PoolUse, Use
from infra.spec.findings import Finding, SpecError, shown

_MAX_BYTES = 64 * 1024 * 1024
_SECONDS = 30
_FOLDERS = ("hosts", "netplans")


@dataclass(frozen=True)
class OldPlan:
    """A plan that was written to a file.

    Attributes:
        addresses: Its addresses.
        resources: What resources would have been told, as the file has it; None in one of an older version.
    """

    addresses: AddressPlan
    resources: list[dict[str, Any]] | None


class _Record(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")


class _AllocationRecord(_Record):
    address: IPv4Address
    owner: str
    cluster: str | None
    use: Use
    why: str


class _PoolRecord(_Record):
    size: int
    required: int
    free: int


class _BalancerRecord(_Record):
    size: int
    required: int


class _NetworkRecord(_Record):
    name: str
    address_prefix: IPv4Network
    vlan: int
    pool: _PoolRecord
    load_balancer: _BalancerRecord
    total: int
    allocations: list[_AllocationRecord]

    def plan(self) -> NetworkPlan:
        allocations = tuple(
            Allocation(
                int(allocation.address), allocation.owner, allocation.cluster, allocation.use, allocation.why
            )
            for allocation in self.allocations
        )
        pool = PoolUse(self.pool.size, self.pool.required, self.pool.free)
        balancer = LoadBalancerUse(self.load_balancer.size, self.load_balancer.required)
        return NetworkPlan(self.name, self.address_prefix, self.vlan, pool, balancer, self.total, allocations)


class _PlanRecord(_Record):
    instance: str
    networks: list[_NetworkRecord]
    resources: list[dict[str, Any]] | None = None


def read_plan(path: Path) -> OldPlan:
    """Read a plan that `azlocal plan --format json` wrote.

    Raises:
        SpecError: It is none.
    """
    remedy = "name a file that `azlocal plan --format json` wrote"
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise unusable(str(path), f"{path.stat().st_size:,} bytes are no plan", remedy)
        record = _PlanRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise unusable(str(path), f"can't be read: {error.strerror}", "make it readable") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise unusable(str(path), f"not a plan: {place}: {first['msg']}", remedy) from None
    addresses = AddressPlan(record.instance, tuple(network.plan() for network in record.networks))
    return OldPlan(addresses, record.resources)


@contextmanager
def files_at(revision: str, stack: str, directory: Path) -> Iterator[Path | None]:
    """Yield a folder with an instance's files as they were; None where the revision doesn't have the stack yet.

    Args:
        revision: A git revision.
        stack: The stack.
        directory: The project's folder.

    Raises:
        SpecError: There is no such revision; or, from within, what is wrong with its files.
    """
    commit = _commit(revision, directory)
    stack_file = f"Pulumi.{stack}.yaml"
    with TemporaryDirectory(prefix="azlocal-") as folder:
        root = Path(folder)
        _extract(revision, commit, (stack_file, *(f"{name}/" for name in _FOLDERS)), directory, root)
        try:
            yield root if (root / stack_file).exists() else None
        except SpecError as error:
            raise SpecError(
                replace(finding, path=f"{revision}:{finding.path}") for finding in error.findings
            ) from None


def _commit(revision: str, directory: Path) -> str:
    if revision.startswith("-") or not revision.isprintable():
        raise unusable(revision, f"{shown(revision)} is neither a file nor a git revision", "name one of both")
    done = _git(["rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], directory)
    if done.returncode == 0:
        return done.stdout.decode().strip()
    if b"not a git repository" in done.stderr:
        raise unusable(
            revision, f"neither a file, nor is {directory} in a git repository", "name a plan's JSON file"
        )
    remedy = "see `git log`; where a clone is shallow, as in CI, fetch the revision first"
    raise unusable(revision, "neither a file nor a revision that this git repository knows", remedy)


def _extract(revision: str, commit: str, paths: Sequence[str], directory: Path, root: Path) -> None:
    """Write the YAML files of a commit below a folder; names come from git's tree, so none leads out of it."""
    listed = _git(["ls-tree", "-z", commit, "--", *(f"./{path}" for path in paths)], directory)
    for line in listed.stdout.decode("utf-8", "replace").split("\0"):
        fields, _, name = line.partition("\t")
        mode, _, name_of_object = fields.partition(" ")
        path = Path(name)
        if not mode.startswith("100") or path.suffix != ".yaml" or path.is_absolute() or ".." in path.parts:
            continue
        blob = _git(["cat-file", "blob", name_of_object.rpartition(" ")[2]], directory)
        if blob.returncode != 0:
            message = f"git can't read {name}: {blob.stderr.decode('utf-8', 'replace').strip()}"
            raise unusable(revision, message, "fetch it, or compare with a plan's JSON file")
        target = root / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(blob.stdout)


def _git(arguments: Sequence[str], directory: Path) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        return subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            check=False,
            env=environment,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise unusable("git", "git isn't installed", "install it, or compare with a plan's JSON file") from None
    except subprocess.TimeoutExpired:
        raise unusable("git", f"no answer within {_SECONDS} s", "compare with a plan's JSON file") from None


def unusable(named: str, message: str, remedy: str) -> SpecError:
    """Return the error that what a plan is compared with can't be used."""
    return SpecError([Finding("against-unusable", "error", f"--against {shown(named)}", message, remedy)])
