"""The plugin in the process of the program, as the real engine finds it."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pytest

from infra import provider
from infra.provider.servicer import Servicer
from infra.resources.declared import ClusterIdentity
from infra.stack.engine import run
from infra.stack.plugins import attached

pytestmark = pytest.mark.engine

OURS = Path(provider.__file__).parent


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what this process is asked to create and to delete from now on."""
    asked: list[str] = []

    def note(name: str) -> None:
        method = getattr(Servicer, name)

        def noted(self: Servicer, request: object, context: object) -> object:
            asked.append(name.lower())
            return method(self, request, context)

        monkeypatch.setattr(Servicer, name, noted)

    note("Create")
    note("Delete")
    return asked


def up(project: Path, plugin: Path, *options: str) -> int:
    """Make a cluster's identity with the plugin in a folder."""
    (project / "Pulumi.yaml").write_text(_text(plugin))

    def program() -> None:
        made = ClusterIdentity(
            "a",
            {
                "instance": "dev",
                "cluster": "a",
                "endpoint": "192.0.2.1",
            },
            None,
        )
        pulumi.export("hash", made.ca_hash)

    return run("dev", "up", "--yes", "--skip-preview", "--non-interactive", *options, load=lambda: program)


def test_the_checkouts_own_plugin_is_served_from_here(project: Path, here: list[str]) -> None:
    assert up(project, OURS) == 0
    assert here == ["create"]


def test_what_is_replaced_by_hand_is_removed_before_another_of_its_name_is_made(
    project: Path, here: list[str]
) -> None:
    """Else the engine would remove the new one as the old one."""
    assert up(project, OURS) == 0
    here.clear()
    assert up(project, OURS, "--replace", "urn:pulumi:dev::toy::azlocal:index:ClusterIdentity::a") == 0
    assert here == ["delete", "create"]


def test_another_plugin_is_the_engines_to_start(project: Path, here: list[str]) -> None:
    folder = project / "wrapped"
    folder.mkdir()
    wrapper = folder / "pulumi-resource-azlocal"
    wrapper.write_text(f'#!/bin/sh\ntouch "{project}/started"\nexec "{OURS}/pulumi-resource-azlocal" "$@"\n')
    wrapper.chmod(0o755)
    assert up(project, folder) == 0
    assert (project / "started").exists()
    assert here == []


def test_a_plugin_that_somebody_attached_stays(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "Pulumi.yaml").write_text(_text(OURS))
    monkeypatch.setenv("PULUMI_DEBUG_PROVIDERS", "azlocal:1,other:2")
    with attached(project) as environment:
        found = _attached(environment)
        assert (found["azlocal"], found["other"]) == ("1", "2")
    monkeypatch.setenv("PULUMI_DEBUG_PROVIDERS", "other:2")
    with attached(project) as environment:
        found = _attached(environment)
        assert found["other"] == "2"
        assert found["azlocal"] not in ("1", "2")


def _attached(environment: dict[str, str]) -> dict[str, str]:
    """Return the ports of attached plugins by name; the stand-in is among them where it leads on PATH."""
    return dict(one.split(":") for one in environment["PULUMI_DEBUG_PROVIDERS"].split(","))


def _text(plugin: Path) -> str:
    return f"name: toy\nruntime: nowhere\nplugins: {{providers: [{{name: azlocal, path: {plugin}}}]}}\n"
