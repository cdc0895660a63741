"""Read one input file into its model, or report all that is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import ValidationError

from infra.spec.findings import Finding, SpecError
from infra.spec.netplan import Netplan
from infra.spec.tree import Document, read_document
from infra.spec.types import Model

if TYPE_CHECKING:
    from infra.spec.target import Target

_Model = TypeVar("_Model", bound=Model)

LOCK_ENDING: Final = ".lock.yaml"


def addresses_lock(directory: Path, site: str) -> Path:
    """Return where a site's addresses are recorded, in a project's folder."""
    return directory / "netplans" / f"{site}{LOCK_ENDING}"


def hosts_lock(directory: Path, site: str) -> Path:
    """Return where it is recorded which host each of a site's machines is on, in a project's folder."""
    return directory / "hosts" / f"{site}{LOCK_ENDING}"


def load_netplan(site: str, directory: Path) -> Netplan | None:
    """Read netplans/<site>.yaml alone; None where there is none, or none that can be read."""
    path = directory / "netplans" / f"{site}.yaml"
    if not path.exists():
        return None
    return validate(Netplan, read_document(path, f"netplans/{site}.yaml"))[0]


def load_target(site: str, directory: Path) -> tuple[Target, Document]:
    """Read targets/<site>.yaml, and where everything in it stands.

    Raises:
        SpecError: It isn't there, or can't be read; carries every fault.
    """
    from infra.spec.target import Target  # only an export needs it

    document = read_document(directory / "targets" / f"{site}.yaml", f"targets/{site}.yaml")
    if [fault.rule for fault in document.faults] == ["missing-file"]:
        remedy = "write it; `azlocal export --help` says what it has, and targets/lab.yaml is an example"
        raise SpecError([replace(document.faults[0], remedy=remedy)])
    target, findings = validate(Target, document)
    if target is None or findings:
        raise SpecError(findings)
    return target, document


def validate(model: type[_Model], document: Document) -> tuple[_Model | None, list[Finding]]:
    """Return the model, or what is wrong: the YAML's faults and the values' together."""
    faults = list(document.faults)
    if document.root is None:
        return None, faults
    try:
        return model.model_validate(document.root.value, by_alias=True, by_name=False), faults
    except ValidationError as error:
        from infra.spec.explain import explain  # only what is wrong needs it

        return None, [*faults, *explain(error.errors(include_url=False), model, document)]


def local_file(directory: Path, written: str) -> Path:
    """Return the path of a file that people named: relative ones start in the project, `~` is the user's home.

    Raises:
        RuntimeError: It begins with `~`, and there is no such home.
    """
    return directory / Path(written).expanduser()
