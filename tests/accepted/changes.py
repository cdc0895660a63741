"""Values for every text and number of the three files: what its form takes, what is near it, and what isn't.

All of it comes from the JSON schemas, so a field that is new is here by itself.
"""

from __future__ import annotations

import copy
import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from hypothesis import strategies as st

from infra.plan.instance import Plan, plan_instance
from infra.spec import Finding, InstanceSpec, SpecError, load_instance
from infra.spec.forms import SITE_NAME
from tests.instances import in_files
from tests.project import ROOT
from tests.spec.places import KEYS, ROOTS, Placed, put, sample, walk

Content = dict[str, Any]

SITE: Final = ("site",)
"""The only text that isn't changed: it names files, and nothing is handed over of it."""
ARC: Final = "arc"
"""What leads to Azure's own readers, which tests/arc asks: changed in one of the examples only."""

_TEXTS: Final = (
    *(
        "",
        " ",
        "-",
        ".",
        "..",
        "_",
        "0",
        "1",
        "007",
        "1e3",
        "true",
        "null",
        "~",
        "a b",
        "a,b",
        "a=b",
        "a:b",
        "a/b",
    ),
    *(
        "UPPER",
        "x-",
        "-x",
        "x.",
        "x.y",
        "x_y",
        "1x",
        "é",
        "ß",
        "\u0131",
        "名",
        "a\u200bb",
        "a\nb",
        "a\tb",
        "x\n",
        "\x7f",
    ),
    *(
        "'",
        '"',
        "`",
        "$(x)",
        "${x}",
        "%s",
        "%i",
        "{}",
        "[]",
        "<a>",
        "&amp;",
        "#",
        "a #b",
        "!x",
        "*",
        "e*",
        "?",
        "@",
    ),
    *("\\", "a\\nb", "localhost", "default", "all", "lo", "eth0", "none", "xn--a", "a--b"),
    *("a" * length for length in (2, 12, 13, 15, 16, 39, 40, 41, 63, 64, 65, 100, 101, 253, 254)),
)
_NUMBERS: Final = (
    -1,
    0,
    1,
    2,
    3,
    5,
    9,
    255,
    256,
    512,
    513,
    4094,
    4095,
    1 << 16,
    1 << 31,
    1 << 32,
    1 << 63,
    1 << 64,
)
_ADDRESS: Final = re.compile(r"\d+(?:\.\d+){3}(?:/\d+)?")


@dataclass(frozen=True)
class Change:
    """A value in one place, or a key of a mapping there.

    Attributes:
        placed: The place; of a key, its mapping's.
        value: What stands there instead.
        is_key: Whether it is a key.
        everywhere: Whether it also stands wherever the same text stood, as who renames something writes it.
    """

    placed: Placed
    value: Any
    is_key: bool
    everywhere: bool

    @property
    def where(self) -> tuple[str, bool]:
        """Return what other changes of the same can't go with it."""
        return str(self.placed), self.is_key

    def make(self, content: Content) -> None:
        """Change the files' content."""
        old = _found(content, self.placed)
        if self.is_key:
            self._rename_key(content, old)
        else:
            put(content, self.placed, self.value)
            if self.everywhere and isinstance(old, str) and isinstance(self.value, str):
                for part in content:
                    content[part] = _renamed(content[part], old, self.value)

    def _rename_key(self, content: Content, old: Any) -> None:
        first = next(iter(old or {}), None)
        if first is None:
            schema = self.placed.schema["additionalProperties"]
            put(content, self.placed, {self.value: sample(schema, ROOTS[self.placed.part])})
        elif self.everywhere:
            for part in content:
                content[part] = _renamed(content[part], first, self.value)
        else:
            put(content, self.placed, {self.value: old[first], **{k: v for k, v in old.items() if k != first}})

    def is_named_by(self, findings: list[Finding]) -> bool:
        """Tell whether a finding is about the value."""
        return any(self.placed.is_named_by(one.path) for one in findings)

    def __repr__(self) -> str:
        return f"{self.placed}{' key' if self.is_key else ''} = {self.value!r}{' everywhere' * self.everywhere}"


def _found(content: Content, placed: Placed) -> Any:
    node: Any = content[placed.part]
    for key in placed.place:
        if not node or (isinstance(node, dict) and key not in node):
            return None
        node = node[key]
    return node


def _renamed(node: Any, old: str, new: Any) -> Any:
    if isinstance(node, dict):
        return {(new if key == old else key): _renamed(one, old, new) for key, one in node.items()}
    if isinstance(node, list):
        return [_renamed(one, old, new) for one in node]
    return new if node == old else node


# -- the files that are changed --------------------------------------------------------------------


def examples() -> dict[str, Content]:
    """Return the repository's examples, and what they have no word of: a mesh, Arc, a pool with all settings."""
    lab, local = _example("lab"), _example("local")
    mesh = copy.deepcopy(lab)
    local["stack"].pop(ARC)
    mesh["netplan"] |= {"transport": "vxlan", "gatewayHost": "node2"}
    mesh["stack"] |= {"machineType": "vm"}
    full = copy.deepcopy(lab)
    for host in full["hosts"]["hosts"]:
        host |= {"storageDirectory": "/srv/azlocal", "dnsServers": ["192.168.1.1"]}
    full["stack"]["arc"] = {"cloud": "emulator", "emulatorAddress": "192.0.2.200"}
    full["stack"]["clusters"][0]["agentPools"][0] |= {
        "nodeLabels": {"example.com/tier": "web"},
        "nodeTaints": ["dedicated=gpu:PreferNoSchedule"],
        "enableAutoScaling": True,
        "minCount": 1,
        "maxCount": 6,
    }
    return {"lab": lab, "local": local, "mesh": mesh, "full": full}


def _example(name: str) -> Content:
    stack = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8"))["config"]
    read = {
        kind: yaml.safe_load((ROOT / kind / f"{name}.yaml").read_text(encoding="utf-8"))
        for kind in ("hosts", "netplans")
    }
    ours = {key.removeprefix("azlocal:"): value for key, value in stack.items() if key.startswith("azlocal:")}
    return {"stack": ours | {"site": "s"}, "hosts": read["hosts"], "netplan": read["netplans"]}


# -- values ----------------------------------------------------------------------------------------


def fields(content: Content) -> Iterator[tuple[Placed, bool]]:
    """Yield every place of a text or a number, and every mapping whose keys people choose, with `True`."""
    for placed in walk(content):
        schema = placed.schema
        if placed.place == SITE or (ARC in placed.place and ARC not in content["stack"]):
            continue
        if isinstance(schema.get("additionalProperties"), dict):
            yield placed, True
        elif schema.get("type") in ("string", "integer", "number") or schema.keys() & {"enum", "const"}:
            yield placed, False


def changes(content: Content) -> st.SearchStrategy[Change]:
    """Return a strategy for one change of the files."""
    found = []
    for placed, is_key in fields(content):
        schema = placed.schema.get(KEYS, {"type": "string"}) if is_key else placed.schema
        old = _found(content, placed)
        value = _values(schema, next(iter(old or {}), None) if is_key else old, content)
        found.append(st.builds(Change, st.just(placed), value, st.just(is_key), st.booleans()))
    return st.one_of(found)


def _values(schema: dict[str, Any], old: Any, content: Content) -> st.SearchStrategy[Any]:
    told = [*schema.get("examples", ()), *schema.get("enum", ())]
    told += [schema[key] for key in ("const", "default") if schema.get(key) is not None]
    parts: list[st.SearchStrategy[Any]] = [st.sampled_from(told)] if told else []
    if schema.get("type") in ("integer", "number"):
        least, most = schema.get("minimum", 0), schema.get("maximum", 1 << 20)
        bounds = [
            one + step for one in (least, most, old if isinstance(old, int) else least) for step in (-1, 0, 1)
        ]
        return st.one_of(
            *parts, st.sampled_from(bounds), st.integers(int(least), int(most)), st.sampled_from(_NUMBERS)
        )
    pattern = schema.get("pattern", "")
    if "25[0-5]" in pattern:
        near = sorted(_near(content, is_prefix="/(" in pattern))
        return st.one_of(
            *parts, st.sampled_from(near), st.sampled_from(near), st.from_regex(pattern, fullmatch=True)
        )
    if pattern:
        parts.append(st.from_regex(pattern, fullmatch=True))
        parts.append(st.from_regex(pattern, fullmatch=True, alphabet=st.characters(codec="ascii")))
    if isinstance(old, str):
        parts.append(st.sampled_from(list(_like(old))))
    return st.one_of(*parts, st.sampled_from(_TEXTS), st.text(max_size=8))


def _near(content: Content, *, is_prefix: bool) -> set[str]:
    """Return addresses or prefixes near those that the files have."""
    found: set[str] = set()
    for text in set(_ADDRESS.findall(json.dumps(content))):
        address, _, length = text.partition("/")
        if is_prefix and length:
            for other in {*range(int(length) - 2, int(length) + 3), 8, 12, 16, 22, 24, 28, 30} & {*range(33)}:
                found |= {f"{address}/{other}", f"10.240.0.0/{other}", f"172.20.0.0/{other}"}
        elif not is_prefix and not length:
            number = int(ipaddress.IPv4Address(address))
            found |= {str(ipaddress.IPv4Address(number + step)) for step in (-2, -1, 0, 1, 2, 7, 60)}
    return found


def _like(old: str) -> Iterator[str]:
    """Yield texts that are one slip of the hand from one that is right, and longer ones."""
    middle = len(old) // 2
    yield from (old, old.upper(), old.title(), old + " ", " " + old, old + "\n", old * 2, old[:middle], old[1:])
    for mark in ("-", ".", "_", "0", "é", "/", ":", "@", "%", "'", '"', "\\", "\n", "?x=1", "#"):
        yield from (old + mark, mark + old, old[:middle] + mark + old[middle:])
    yield from (old + "x" * (length - len(old)) for length in (15, 16, 40, 63, 64, 100, 253) if length > len(old))


# -- the plan --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Accepted:
    """Changes that the plan accepts together, and the plan."""

    changes: list[Change]
    spec: InstanceSpec
    plan: Plan


def accepted(base: Content, made: list[Change], folder: Path, stack: str = "lab") -> Accepted | None:
    """Return as many of the changes as the plan accepts together; None where it refuses the files as they are."""
    found = _planned(base, folder, stack)
    return None if isinstance(found, list) else _grown(Accepted([], *found), made, base, folder)


def _grown(standing: Accepted, more: list[Change], base: Content, folder: Path) -> Accepted:
    """Add what can be added: not what a finding names; where none is named, one half after the other is tried."""
    while more:
        content = copy.deepcopy(base)
        for one in (*standing.changes, *more):
            one.make(content)
        found = _planned(content, folder, standing.spec.name)
        if not isinstance(found, list):
            return Accepted([*standing.changes, *more], *found)
        if named := [one for one in more if one.is_named_by(found)]:
            more = [one for one in more if one not in named]
            continue
        if len(more) == 1:
            break
        half = len(more) // 2
        standing, more = _grown(standing, more[:half], base, folder), more[half:]
    return standing


def _planned(content: Content, folder: Path, stack: str) -> tuple[InstanceSpec, Plan] | list[Finding]:
    """Return the plan of the files, or the errors that it has; JSON is YAML, and quickly written."""
    for name, one in in_files(content, stack).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(one), encoding="utf-8")
    try:
        spec = load_instance(stack, folder)
    except SpecError as error:
        return error.findings
    plan = plan_instance(spec)
    errors = [one for one in plan.findings if one.severity == "error"]
    return errors or (spec, plan)


assert SITE_NAME.fits("s")
