"""`make reference`: writes docs/reference from the commands, the schemas of the input files, and the rules.

tests/docs/test_reference.py fails where it no longer agrees with them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import typer
from typer.testing import CliRunner

from infra.cli import app
from infra.cli.plan import rule_texts
from infra.spec.schema import json_schemas

REFERENCE: Final = Path(__file__).resolve().parent.parent / "docs/reference"
_WIDTH: Final = 100
_MADE: Final = "<!-- make reference -->"
_FILES: Final = {
    "stack.schema.json": "Pulumi.STACK.yaml",
    "hosts.schema.json": "hosts/SITE.yaml",
    "netplan.schema.json": "netplans/SITE.yaml",
    "target.schema.json": "targets/SITE.yaml",
}


def pages() -> dict[str, str]:
    """Return the reference's pages, by name."""
    return {
        "commands.md": _page("Commands", "What `--help` of each command says.", _commands()),
        "files.md": _page("Files", "The keys of the input files, as `schemas/` has them.", _files()),
        "rules.md": _page("Rules", "What plans and exports are checked against, with sources.", _rules()),
    }


def _page(title: str, about: str, lines: Iterator[str]) -> str:
    return "\n".join([_MADE, f"# {title}", "", about, *lines]) + "\n"


def _commands() -> Iterator[str]:
    for words in _leaves((), typer.main.get_command(app)):
        said = CliRunner().invoke(app, [*words, "--help"], terminal_width=_WIDTH, prog_name="azlocal", color=False)
        yield from ("", f"## {' '.join(('azlocal', *words))}", "", "```text", said.stdout.strip(), "```")


def _leaves(words: tuple[str, ...], command: Any) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command, groups before what is in them."""
    yield words
    if isinstance(command, click.Group) or hasattr(command, "list_commands"):
        context = command.context_class(command)
        for name in sorted(command.list_commands(context)):
            yield from _leaves((*words, name), command.get_command(context, name))


def _files() -> Iterator[str]:
    schemas = json_schemas()
    for name, where in _FILES.items():
        schema = schemas[name]
        yield from ("", f"## {where}", "", "| key | is | default | |", "|---|---|---|---|")
        yield from _keys(schema, schema.get("$defs", {}), "", ())


def _keys(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str, above: tuple[str, ...]
) -> Iterator[str]:
    """Yield a row for each key, those inside after it; what contains itself is told once."""
    for key, value in schema.get("properties", {}).items():
        resolved, names = _resolved(value, definitions)
        if set(names) & set(above):
            continue
        kind, inner = _kind(resolved, definitions)
        default = value.get("default")
        default = "" if default in (None, [], "") or isinstance(default, dict) else f"`{json.dumps(default)}`"
        needed = "needed" if key in schema.get("required", ()) else default
        about = value.get("description") or resolved.get("description", "")
        yield f"| `{prefix}{key}` | {kind} | {needed} | {_cell(about)} |"
        if inner is not None:
            inside, more = _resolved(inner, definitions)
            yield from _keys(inside, definitions, f"{prefix}{key}{_suffix(resolved)}.", (*above, *names, *more))


def _resolved(
    value: Mapping[str, Any], definitions: Mapping[str, Any]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return what a schema refers to, and by which names; of several kinds the first that isn't null."""
    if reference := value.get("$ref"):
        name = reference.rpartition("/")[2]
        resolved, names = _resolved(definitions[name], definitions)
        return resolved, (name, *names)
    if choices := [each for each in value.get("anyOf", ()) if each.get("type") != "null"]:
        return _resolved(choices[0], definitions)
    return value, ()


def _kind(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
    """Return what a value is, in words, and the schema of what is in it."""
    if choices := value.get("enum"):
        return " or ".join(f"`{choice}`" for choice in choices[:8]) + (" …" if len(choices) > 8 else ""), None
    if "const" in value:
        return f"`{value['const']}`", None
    if value.get("type") == "array":
        items, _ = _resolved(value.get("items", {}), definitions)
        kind, _ = _kind(items, definitions)
        return f"list of {kind}", value.get("items")
    if value.get("type") == "object":
        inner = value.get("additionalProperties")
        return "mapping", inner if isinstance(inner, dict) else value
    bounds = [f"{word} {value[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in value]
    return " ".join([value.get("type", "any"), *bounds]), None


def _suffix(value: Mapping[str, Any]) -> str:
    if value.get("type") == "array":
        return "[]"
    return ".NAME" if isinstance(value.get("additionalProperties"), dict) else ""


def _rules() -> Iterator[str]:
    yield from ("", "| rule | severity | source | |", "|---|---|---|---|")
    for name, severity, source, text in rule_texts():
        yield f"| `{name}` | {severity} | {source} | {_cell(text)} |"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"docs/reference: {', '.join(pages())}\n")
