"""What `azlocal plan --against` takes for a machine's inputs is what `pulumi preview` shows the engine of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from infra.cli import app
from infra.effects.later import ASKED, LATER
from infra.effects.records import MACHINE
from infra.errors import UserError
from infra.plugin.values import UNKNOWN
from infra.resources import machine
from infra.resources.changes import diff
from infra.resources.changes.machine import decide
from tests.engine.test_preview import change, off
from tests.project import Project, example

pytestmark = pytest.mark.engine

NOT_IN_RECORDS = frozenset({"nodeSecrets", "nodeSettings", "seedDigest", "running", "identityFiles"})


def planned(project: Project, *options: str) -> dict[str, Any]:
    arguments = ["-C", str(project.directory), "plan", project.stack, "--no-lock", "--format", "json", *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def machines(preview: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what the engine was told of each machine."""
    steps = [step["newState"] for step in preview["steps"] if step["newState"]["type"] == MACHINE]
    return {one["inputs"]["name"]: one["inputs"] for one in steps}


def unlike(record: Any, told: Any, path: str) -> Iterator[str]:
    """Yield where a record says another thing than the engine was told."""
    if isinstance(record, Mapping) and LATER in record:
        if told not in (UNKNOWN, record.get(ASKED), None) and record[LATER] not in (
            "the instance",
            "the node image",
        ):
            yield f"{path}: {told!r} is known"
    elif isinstance(record, Mapping) and isinstance(told, Mapping):
        for key in {**record, **told}:
            yield from unlike(record.get(key), told.get(key), f"{path}.{key}")
    elif record != told:
        yield f"{path}: {record!r} is not {told!r}"


def test_a_plan_knows_what_the_engine_is_told_and_what_comes_of_it(tmp_path: Path) -> None:
    lab = example(tmp_path, "lab")
    off(lab)
    before = machines(lab.preview())
    old = planned(lab)
    names, properties = machine.MACHINE.wire_names, machine.MACHINE.properties
    for one in old["resources"]:
        if one["type"] == MACHINE:
            record = {names[name]: value for name, value in one["inputs"].items()}
            record = {name: properties[name].with_defaults(value) for name, value in record.items()}
            told = before[one["about"]["machine"]]
            left = told.keys() - record.keys() - NOT_IN_RECORDS
            assert not left
            found = [
                text
                for name, value in record.items()
                if name not in NOT_IN_RECORDS
                for text in unlike(value, told.get(name), name)
            ]
            assert found == []
    saved = tmp_path / "old.json"
    saved.write_text(json.dumps(old))
    change(lab.directory / "netplans/lab.yaml", lambda c: c["infrastructure"].update(dnsServers=["192.168.1.2"]))
    clusters = yaml.safe_load((lab.directory / "Pulumi.lab.yaml").read_text())["config"]["azlocal:clusters"]
    clusters[0]["agentPools"][0]["vmSize"] = "Standard_D4s_v3"
    clusters[1]["networkProfile"]["podCidr"] = "10.250.0.0/16"
    clusters[1]["agentPools"][0]["nodeLabels"] = {"tier": "web"}
    lab.edit(clusters=clusters)
    after = machines(lab.preview())
    said = {one["name"]: one["kind"] for one in planned(lab, "--against", str(saved))["changes"]["machines"]}
    assert {one.removeprefix("lab-"): _comes_of(before[one], after[one]) for one in after} == {
        **{one.removeprefix("lab-"): None for one in after},
        **said,
    }
    assert set(said.values()) == {"replaced", "restarted", "refused", "patched"}


def _comes_of(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Return what the contract makes of two previews' inputs; what neither knows is as it was."""
    state, news = ({**_known(one, old), "running": True} for one in (old, new))
    changes = diff(machine.MACHINE, state, news)
    changes.by_path.pop("seedDigest", None)  # of what differs besides, and no record has it
    if not changes.by_path:
        return None
    try:
        said = " ".join(decide(state, news, changes))
    except UserError:
        return "refused"
    return "replaced" if changes.replaces() else "restarted" if " restarts for " in said else "patched"


def _known(value: Any, old: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _known(inner, old.get(key) if isinstance(old, Mapping) else None) for key, inner in value.items()
        }
    return "unknown" if value == UNKNOWN else value
