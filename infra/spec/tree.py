"""Read a YAML file into plain values that remember their lines; every fault is a finding.

The parser's events are folded here instead of composed by PyYAML: its C composer recurses without a limit
(200,000 brackets end the process), keeps no duplicate keys and expands aliases without counting.
Plain scalars follow YAML 1.2's core schema, as Pulumi's own reader does: `no` and `0110` are text.
"""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from infra.spec.findings import Finding, KeyPath, key_path, shown, shown_key

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40
MAX_NODES = 200_000

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}
_MERGE_KEY = "<<"


@dataclass(slots=True)
class Node:
    """A value, the line where it starts, and for containers the nodes inside.

    Attributes:
        value: The plain Python value: dict, list, str, int, float, bool or None.
        line: The line on which the value starts, or its key where it has one.
        children: The nodes below, by key or index.
        size: How many nodes it holds with its aliases expanded.
        text: What is written, where the value is a scalar: 1.30, of which the value is 1.3.
    """

    value: Any
    line: int
    children: dict[str | int, "Node"] = field(default_factory=dict)
    key_lines: dict[str | int, int] = field(default_factory=dict)
    size: int = 1
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One input file, as it was read.

    Attributes:
        name: The file as people know it, relative to the project: `hosts/lab.yaml`.
        root: The top-level mapping, or None when the file could not be read at all.
        faults: What is wrong with it as YAML.
    """

    name: str
    root: Node | None = field(repr=False)
    faults: tuple[Finding, ...] = ()

    def line(self, path: KeyPath) -> int | None:
        """Return the line of the nearest thing on the way to the path that is really in the file."""
        node, line = self.root, None
        for part in path:
            if node is None or part not in node.children:
                break
            line = node.key_lines[part]
            node = node.children[part]
        return line

    def text(self, path: KeyPath) -> str | None:
        """Return what is written at a place, where that is a scalar."""
        node = self.root
        for part in path:
            node = node.children.get(part) if node else None
        return node.text if node else None

    def where(self, path: KeyPath) -> str:
        """Name a place in the file: `netplans/lab.yaml:12: logicalNetworks[0].ipPools`."""
        line = self.line(path)
        place = self.name if line is None else f"{self.name}:{line}"
        return f"{place}: {key_path(path)}" if path else place


class _StopError(Exception):
    """The rest of the file can't be read; carries why."""

    def __init__(self, rule: str, line: int | None, message: str, remedy: str) -> None:
        super().__init__(message)
        self.rule, self.line, self.message, self.remedy = rule, line, message, remedy


def read_document(path: Path, name: str, max_bytes: int = MAX_BYTES, max_nodes: int = MAX_NODES) -> Document:
    """Read one YAML file whose top level is a mapping.

    Args:
        path: The file.
        name: How messages call it.
        max_bytes: Larger files are refused unread.
        max_nodes: Files with more values than this, aliases expanded, are refused.
    """
    try:
        text = _read_text(path, max_bytes)
    except _StopError as stop:
        return Document(name, None, (_finding(name, stop),))
    return parse_document(text, name, max_nodes)


def parse_document(text: str, name: str, max_nodes: int = MAX_NODES) -> Document:
    """Parse the text of one YAML file whose top level is a mapping; never raises on bad text."""
    folder = _Folder(name, max_nodes)
    try:
        root = folder.fold(text)
    except _StopError as stop:
        return Document(name, None, (*folder.faults, _finding(name, stop)))
    except yaml.YAMLError as error:
        return Document(name, None, (*folder.faults, _finding(name, _syntax_fault(error))))
    return Document(name, root, tuple(folder.faults))


def _finding(name: str, stop: _StopError) -> Finding:
    place = name if stop.line is None else f"{name}:{stop.line}"
    return Finding(stop.rule, "error", place, stop.message, stop.remedy)


def _read_text(path: Path, max_bytes: int) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a FIFO would block the open
            raise _StopError("unreadable-file", None, "this is not a regular file", "put a YAML file there")
        if status.st_size > max_bytes:
            raise _StopError(
                "file-too-large",
                None,
                f"the file has {status.st_size:,} bytes; at most {max_bytes:,} are read",
                "check that it is the right file; split what doesn't belong in it",
            )
        content = path.read_bytes()
    except FileNotFoundError:
        raise _StopError(
            "missing-file", None, "there is no such file", "create it, or name another stack, site or folder"
        ) from None
    except OSError as error:
        raise _StopError(
            "unreadable-file",
            None,
            f"the file can't be read: {error.strerror}",
            "check the path and the file's permissions",
        ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _StopError(
            "not-utf-8",
            content.count(b"\n", 0, error.start) + 1,
            f"byte 0x{content[error.start]:02x} is not UTF-8",
            "save the file as UTF-8",
        ) from error


def _syntax_fault(error: yaml.YAMLError) -> _StopError:
    marks = (getattr(error, name, None) for name in ("problem_mark", "context_mark"))
    mark = next((mark for mark in marks if mark is not None), None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is not valid YAML"
    context = getattr(error, "context", None)
    return _StopError(
        "yaml-syntax",
        mark.line + 1 if mark else None,
        f"{problem} ({context})" if context else str(problem),
        "correct the YAML; look at the indentation and the quotes just above as well",
    )


@dataclass(slots=True)
class _Open:
    """A container whose end has not been seen."""

    node: Node
    anchor: str | None
    path: KeyPath
    key: str | None = None
    key_line: int = 0
    awaiting_value: bool = False
    merged: list[Node] = field(default_factory=list)


class _Folder:
    """Fold parser events into nodes without recursion."""

    def __init__(self, name: str, max_nodes: int) -> None:
        self.name = name
        self.max_nodes = max_nodes
        self.faults: list[Finding] = []
        self._anchors: dict[str, Node | None] = {}  # None while the anchored container is open
        self._stack: list[_Open] = []
        self._roots: list[Node] = []

    def fold(self, text: str) -> Node:
        """Return the root mapping."""
        for event in _events(text):
            self._take(event)
        if not self._roots:
            raise _StopError("empty-file", None, "the file is empty", "write the mapping that belongs there")
        root = self._roots[0]
        if len(self._roots) > 1:
            raise _StopError(
                "yaml-syntax",
                self._roots[1].line,
                "a second YAML document starts here",
                "keep one document in the file; remove the `---`",
            )
        if not isinstance(root.value, dict):
            what = "the file is empty" if root.value is None else f"the top level is {shown(root.value)}"
            raise _StopError("not-a-mapping", root.line, what, "write `key: value` lines at the top level")
        return root

    def _take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                node = Node(self._scalar(event), _line(event), text=event.value)
                if event.anchor:
                    self._anchors[event.anchor] = node
                self._add(node, is_plain=event.style is None)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._add(self._aliased(event))

    def _open(self, event: Any) -> None:
        line = _line(event)
        if len(self._stack) >= MAX_DEPTH:
            raise _StopError(
                "yaml-too-deep", line, f"more than {MAX_DEPTH} levels of nesting", "flatten the structure"
            )
        self._check_tag(event.tag, line)
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.node.value, dict) and not top.awaiting_value:
            raise _StopError("bad-key", line, "a key is a list or a mapping", "use plain text as the key")
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(Node({} if is_mapping else [], line), event.anchor, self._next_path()))

    def _close(self) -> None:
        top = self._stack.pop()
        for node in top.merged:
            _merge(top.node, node)
        if top.anchor:
            self._anchors[top.anchor] = top.node
        self._add(top.node)

    def _add(self, node: Node, *, is_plain: bool = False) -> None:
        if not self._stack:
            self._roots.append(node)
            return
        top = self._stack[-1]
        parent = top.node
        parent.size += node.size
        if parent.size > self.max_nodes:
            raise _StopError(
                "yaml-too-many-values",
                node.line,
                f"more than {self.max_nodes:,} values once aliases are expanded",
                "check that it is the right file; write less with anchors and aliases",
            )
        if isinstance(parent.value, list):
            index = len(parent.value)
            parent.value.append(node.value)
            parent.children[index], parent.key_lines[index] = node, node.line
        elif not top.awaiting_value:
            self._take_key(top, node, is_plain)
        else:
            self._take_value(top, node)

    def _take_key(self, top: _Open, node: Node, is_plain: bool) -> None:
        top.awaiting_value, top.key, top.key_line = True, None, node.line
        if is_plain and node.value == _MERGE_KEY:
            top.key = _MERGE_KEY
        elif not isinstance(node.value, str):
            self._fault(
                "bad-key", node.line, top.path, f"the key {shown(node.value)} is not text", "quote the key"
            )
        elif node.value in top.node.value:
            first = top.node.key_lines[node.value]
            self._fault(
                "duplicate-key",
                node.line,
                (*top.path, node.value),
                f"the key '{shown_key(node.value)}' stands here a second time; first on line {first}",
                "keep one of the two",
            )
        else:
            top.key = node.value

    def _take_value(self, top: _Open, node: Node) -> None:
        top.awaiting_value = False
        if top.key == _MERGE_KEY:
            top.merged += self._mergeable(top, node)
        elif top.key is not None:
            top.node.value[top.key] = node.value
            top.node.children[top.key], top.node.key_lines[top.key] = node, top.key_line

    def _mergeable(self, top: _Open, node: Node) -> list[Node]:
        nodes = [node] if isinstance(node.value, dict) else list(node.children.values())
        if nodes and all(isinstance(entry.value, dict) for entry in nodes):
            return nodes
        self._fault(
            "bad-merge",
            node.line,
            top.path,
            f"`<<` merges mappings, not {shown(node.value)}",
            "name an anchor",
        )
        return []

    def _aliased(self, event: Any) -> Node:
        line = _line(event)
        if event.anchor not in self._anchors:
            raise _StopError(
                "yaml-alias",
                line,
                f"no anchor &{shown_key(event.anchor)} before this alias",
                "define it first",
            )
        node = self._anchors[event.anchor]
        if node is None:
            raise _StopError(
                "yaml-alias",
                line,
                f"the anchor &{shown_key(event.anchor)} holds itself",
                "write the value out instead of the alias",
            )
        return node

    def _scalar(self, event: Any) -> Any:
        line = _line(event)
        self._check_tag(event.tag, line)
        if event.tag in {"!", "tag:yaml.org,2002:str"} or (event.tag is None and not event.implicit[0]):
            return event.value
        return plain_value(event.value)

    def _check_tag(self, tag: str | None, line: int) -> None:
        if tag is not None and tag != "!" and tag not in _TAGS:
            self._fault("yaml-tag", line, self._next_path(), f"the tag {shown(tag)} is unknown", "remove the tag")

    def _next_path(self) -> KeyPath:
        if not self._stack:
            return ()
        top = self._stack[-1]
        if isinstance(top.node.value, list):
            return (*top.path, len(top.node.value))
        return (*top.path, top.key) if top.awaiting_value and top.key is not None else top.path

    def _fault(self, rule: str, line: int, path: KeyPath, message: str, remedy: str) -> None:
        place = f"{self.name}:{line}: {key_path(path)}" if path else f"{self.name}:{line}"
        self.faults.append(Finding(rule, "error", place, message, remedy))


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, Loader=yaml.CSafeLoader)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def plain_value(text: str) -> Any:
    """Return what a plain scalar means: a number, a constant, or its text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit():
        return float(text)
    return text


def _merge(target: Node, source: Node) -> None:
    """Put the source's keys under the target's own, as YAML's merge key does."""
    for key, node in source.children.items():
        if key not in target.children:
            target.value[key] = node.value
            target.children[key], target.key_lines[key] = node, source.key_lines[key]
