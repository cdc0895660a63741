"""Terraform itself reads an export: its values have the types that the modules' variables have.

Where there is no terraform, tests/conftest.py says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from infra.export.export import export
from tests.export.exporting import facts_of, recorded
from tests.instances import cluster, make_spec

PROGRAM = shutil.which("terraform") or shutil.which("tofu")
TAGS = {"${a}": '%{b} \\ "c" $${d}'}
OUTPUTS = {"resource_id": '"/id"', "aks_cluster": '{ id = "/id" }'}


def hcl(expected: Any) -> str:
    """Return a recorded type in Terraform's own syntax."""
    if isinstance(expected, str):
        return expected
    ((kind, inner),) = expected.items()
    if kind != "object":
        return f"{kind}({hcl(inner)})"
    types = {name: (hcl(one["type"]), one["required"]) for name, one in inner.items()}
    keys = (f"{name} = {kind if needed else f'optional({kind})'}" for name, (kind, needed) in types.items())
    return f"object({{ {', '.join(keys)} }})"


def modules(folder: Path) -> dict[str, str]:
    """Write modules that have upstream's variables and make nothing; return their folders by upstream's names."""
    made = {}
    for number, module in enumerate(recorded("terraform")):
        lines = []
        for name, one in module["variables"].items():
            default = "" if one["required"] else "  default = null\n"
            lines.append(f'variable "{name}" {{\n  type = {hcl(one["type"])}\n{default}}}')
        told = {"tags": "var.tags"} if "tags" in module["variables"] else {}
        lines += [f'output "{name}" {{\n  value = {value}\n}}' for name, value in {**OUTPUTS, **told}.items()]
        place = folder / f"module{number}"
        place.mkdir()
        (place / "main.tf").write_text("\n".join(lines), encoding="utf-8")
        made[module["module"]] = f"./{place.name}"
    return made


def applied(folder: Path, content: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Return what `terraform apply` says of a configuration's modules; azapi's resources need its provider."""
    folders = modules(folder)
    for block in content["module"].values():
        block["source"] = folders[block["source"]]
        del block["version"]
    for key in ("provider", "resource", "variable"):
        content.pop(key, None)
    del content["terraform"]["required_providers"]
    content["output"] = {"tags": {"value": "${module.cluster_a.tags}"}}
    (folder / "azlocal.tf.json").write_text(json.dumps(content), encoding="utf-8")
    run: subprocess.CompletedProcess[str] | None = None
    for command in (["init"], ["apply", "-auto-approve", "-no-color"], ["output", "-json", "tags"]):
        run = subprocess.run(
            [str(PROGRAM), *command],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"},
        )
        if run.returncode:
            break
    assert run is not None
    return run


def content() -> dict[str, Any]:
    own = cluster(
        agentPools=[
            {"name": "nodepool1", "nodeLabels": {"a": "b"}, "nodeTaints": ["k=v:NoSchedule"]},
            {"name": "second", "count": 2, "maxPods": 50},
        ],
        controlPlane={"count": 3, "hostIP": "10.220.32.60"},
        loadBalancer={"addresses": ["10.220.32.47-10.220.32.49"]},
    )
    made, _ = export(facts_of(make_spec(own), "terraform", tags=TAGS))
    read: dict[str, Any] = json.loads(made.files["azlocal.tf.json"])
    return read


def test_terraform_takes_an_export_and_every_text_in_it_as_it_is(tmp_path: Path) -> None:
    run = applied(tmp_path, content())
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == TAGS


def test_terraform_refuses_a_value_of_another_type_and_an_unknown_name(tmp_path: Path) -> None:
    """So the test above could fail."""
    wrong = content()
    wrong["module"]["cluster_a"]["agent_pool_profiles"][0]["nodeTaints"] = {"k": "v"}
    wrong["module"]["network_aks"]["bogus"] = 1
    run = applied(tmp_path, wrong)
    assert run.returncode
    assert "bogus" in run.stderr
