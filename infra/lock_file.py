"""Files that azlocal keeps beside what people wrote: YAML, replaced in one step, one writer at a time.

Writers hold a file lock on the folder, so that no litter stands beside the file.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from infra.files import locked_folder, replace_file
from infra.spec.findings import Finding, KeyPath, SpecError, shown
from infra.spec.tree import Document, plain_value, read_document

_MAX_BYTES = 16 * 1024 * 1024
_MAX_NODES = 2_000_000
_REMEDY = "restore the file from git; azlocal writes it, people only read it"
_Lock = TypeVar("_Lock")


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
    """Replace a file in one step; one line an entry of the inner mappings, in the order given."""
    text = yaml.dump(
        content,
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=None,
        width=10_000,
        allow_unicode=True,
    )
    replace_file(path, header + text)


def update_file(
    path: Path,
    name: str,
    read: Callable[[Path], _Lock],
    change: Callable[[_Lock], _Lock],
    write: Callable[[Path, _Lock], None],
) -> _Lock:
    """Read, change and write a lock file while no other process does.

    Args:
        path: The lock file; its folder must exist.
        name: How messages call it.
        read: Reads it; a file that isn't there is an empty lock.
        change: Returns the new lock; the file is written only if it differs.
        write: Writes it.

    Raises:
        SpecError: The file is not a lock, or can't be written.
    """
    try:
        with locked_folder(path.parent):
            lock = read(path)
            changed = change(lock)
            if changed != lock:
                write(path, changed)
            return changed
    except OSError as error:
        message = f"the lock file can't be written: {error.strerror}"
        remedy = "make the folder writable, or plan with --no-lock"
        raise SpecError([Finding("lock-unwritable", "error", name, message, remedy)]) from error
