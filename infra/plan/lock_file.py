"""Files that azlocal keeps beside what people wrote: YAML, replaced in one step, one writer at a time.

Writers hold a file lock on the folder, so that no litter stands beside the file.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from infra.files import locked_folder, replace_file
from infra.spec.findings import Finding, KeyPath, SpecError, shown
from infra.spec.tree import Document, plain_value, read_document

_MAX_BYTES = 16 * 1024 * 1024
_MAX_NODES = 2_000_000
_REMEDY = "restore the file from git; azlocal writes it, people only read it"
T = TypeVar("T")


def read_lock_document(path: Path, name: str) -> Document | None:
    """Read a lock file; None if there is none.

    Args:
        path: The file.
        name: How messages call it: `netplans/lab.lock.yaml`.

    Raises:
        SpecError: The file isn't YAML, or not one of ours.
    """
    if not path.exists():
        return None
    document = read_document(path, name, _MAX_BYTES, max_nodes=_MAX_NODES)
    if document.root is None or document.faults:
        raise SpecError(document.faults)
    return document


def broken_lock(document: Document, message: str, path: KeyPath = ()) -> SpecError:
    """Return the error that says what is wrong with a lock file, and where."""
    return SpecError([Finding("bad-lock", "error", document.where(path), message, _REMEDY)])


def lock_entries(document: Document, key: str) -> Mapping[Any, Any]:
    """Return the entries of a lock file of version 1.

    Raises:
        SpecError: It has another version, or no such entries.
    """
    content = document.root.value if document.root else {}
    if content.get("version") != 1:
        raise broken_lock(document, f"version {shown(content.get('version'))} is unknown; this azlocal knows 1")
    entries = content.get(key)
    if not isinstance(entries, dict):
        raise broken_lock(document, f"`{key}` is {shown(entries)}")
    return entries


class _Dumper(yaml.CSafeDumper):
    """Writes YAML 1.1; quotes what is text there, and a number to who reads 1.2, as we do (`1e3`)."""


def _text(dumper: _Dumper, value: str) -> yaml.Node:
    is_text = plain_value(value) == value
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if is_text else "'")


_Dumper.add_representer(str, _text)


def write_yaml(path: Path, header: str, content: Mapping[str, Any]) -> None:
    """Replace a file in one step; see `yaml_text`."""
    replace_file(path, yaml_text(header, content))


def yaml_text(header: str, content: Mapping[str, Any]) -> str:
    """Return a file's text; one line an entry of the inner mappings, in the order given."""
    text: str = yaml.dump(
        content,
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=None,
        width=10_000,
        allow_unicode=True,
    )
    return header + text


@dataclass
class Update(Generic[T]):
    """What a lock says, to be replaced by what it is to say."""

    lock: T


@dataclass(frozen=True)
class LockFile(Generic[T]):
    """One kind of lock file.

    Attributes:
        folder: The folder that messages name it in: `netplans`.
        empty: What a file that isn't there says.
        parse: Reads a document.
        content: What is written, in the order of the file.
        header: The comment at its top.
    """

    folder: str
    empty: T
    parse: Callable[[Document], T]
    content: Callable[[T], Mapping[str, Any]]
    header: str

    def read(self, path: Path) -> T:
        """Read a lock.

        Raises:
            SpecError: The file is not a lock.
        """
        document = read_lock_document(path, f"{self.folder}/{path.name}")
        return self.empty if document is None else self.parse(document)

    def write(self, path: Path, lock: T) -> None:
        """Replace the file in one step; call it under `update` only."""
        write_yaml(path, self.header, self.content(lock))

    @contextmanager
    def update(self, path: Path) -> Iterator[Update[T]]:
        """Read a lock, and write it in the end if it differs then, while no other process does.

        Args:
            path: The file; its folder must exist.

        Raises:
            SpecError: The file is not a lock, or can't be written.
        """
        try:
            with locked_folder(path.parent):
                before = self.read(path)
                update = Update(before)
                yield update
                if update.lock != before:
                    self.write(path, update.lock)
        except OSError as error:
            message = f"the lock file can't be written: {error.strerror}"
            remedy = "make the folder writable, or plan with --no-lock"
            name = f"{self.folder}/{path.name}"
            raise SpecError([Finding("lock-unwritable", "error", name, message, remedy)]) from error
