"""What README and docs/ show: commands exist with their options, YAML can be read, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from infra.cli import app
from infra.export.facts import Format
from infra.lifecycle.scaling.view import Profile
from infra.plan.arc_topology import arc_of, connected_cluster_of
from infra.plan.instance import plan_instance
from infra.spec import InstanceSpec
from infra.stack.scaling_view import profile_of, scaling_clusters
from tests.azure_import.importing import DATA
from tests.instances import cluster, make_spec
from tests.project import ROOT

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
README_LINES = 90


def blocks(language: str) -> list[str]:
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [block for text in TEXTS.values() for block in pattern.findall(text)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", TEXTS[page], re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> Iterator[str]:
    """Yield every azlocal command of the pages, as the shell would see it."""
    for block in blocks("console"):
        for line in block.splitlines():
            found = re.match(r'\$ (?:eval "\$\()?(azlocal [^#)]*)', line)
            if found:
                yield found.group(1).strip()


@pytest.mark.parametrize("line", list(dict.fromkeys(commands())))
def test_a_command_of_the_pages_can_be_typed(line: str) -> None:
    """Resolve every word up to the options, and see that each option is known."""
    words = shlex.split(line)[1:]
    command: Any = typer.main.get_command(app)
    context = command.context_class(command)
    while hasattr(command, "resolve_command") and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert found is not None, f"there is no {name}"
        command, context = found, found.context_class(found, parent=context)
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    typed = [word.partition("=")[0] for word in words if word.startswith("-")]
    assert [option for option in typed if option not in known] == []


def test_the_readme_is_read_in_a_minute() -> None:
    assert len(TEXTS[README].splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_each_page_is_one_or_two_links_away_from_the_readme() -> None:
    def linked(page: Path) -> set[Path]:
        targets = re.findall(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)", TEXTS[page])
        return {(page.parent / target).resolve() for target in targets if "://" not in target} & set(PAGES)

    near = linked(README)
    assert {page.name for page in set(PAGES) - {README} - near.union(*map(linked, near))} == set()


def test_the_arc_example_is_sound() -> None:
    (text,) = (block for block in blocks("yaml") if "azlocal:arc" in block)
    example = yaml.safe_load(text)
    (written,) = example["azlocal:clusters"]
    spec: InstanceSpec = make_spec(cluster(**written), stack={"arc": example["azlocal:arc"]})
    connected = connected_cluster_of(spec, spec.stack.clusters[0])
    arc = arc_of(spec)
    assert arc is not None
    assert connected is not None
    assert {one.name for one in connected.extensions} == {"azurepolicy", "akvsecretsprovider", "flux"}


def test_the_example_of_a_pool_that_scales_is_sound() -> None:
    (text,) = (block for block in blocks("yaml") if "enableAutoScaling" in block)
    spec = make_spec(
        cluster("a", **yaml.safe_load(text)), sizes={"Lab_Small": {"vcpus": 2, "memoryGiB": 2, "diskGiB": 20}}
    )
    assert plan_instance(spec).ok
    (scaling,) = scaling_clusters(spec, None)
    assert profile_of(scaling.auto_scaler_profile) == Profile()


EXPORTS, IMPORTS = (
    [line for line in dict.fromkeys(commands()) if line.startswith(f"azlocal {verb} ")]
    for verb in ("export", "import")
)


@pytest.mark.parametrize("line", EXPORTS)
def test_an_export_of_the_pages_is_made(line: str, tmp_path: Path) -> None:
    words = shlex.split(line.partition(" > ")[0])[1:]
    words = [str(tmp_path / "out") if word == "out" else word for word in words]
    run = CliRunner().invoke(app, ["-C", str(ROOT), *words])
    assert run.exit_code == 0, run.stderr
    assert ("-o" in words) == (tmp_path / "out").exists()
    assert " error" not in run.stderr


@pytest.mark.parametrize("line", IMPORTS)
def test_an_import_of_the_pages_is_made(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    (here / "azure").mkdir(parents=True)
    for name in ("networks.json", "cluster.json"):
        shutil.copy(DATA / name, here / "azure")
    shutil.copy(DATA / "networks.json", here)
    shutil.copy(DATA / "cluster.json", here / "shop.json")
    monkeypatch.chdir(here)
    export = ["-C", str(ROOT), "export", "lab", "--to", "bicep", "-o", str(here / "out")]
    assert CliRunner().invoke(app, export).exit_code == 0
    run = CliRunner().invoke(app, shlex.split(line)[1:])
    assert run.exit_code == 0, run.stderr
    made = tmp_path / "lab2" if "-o" in line else here
    assert len(list(made.glob("Pulumi.*.yaml"))) == 1


def test_the_pages_export_to_every_format() -> None:
    assert [line.partition("--to ")[2].split()[0] for line in EXPORTS] == [*Format]
