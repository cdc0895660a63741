"""`azlocal plan --against` says of each machine what `pulumi preview` then shows of it, against real state."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from infra.cli import app
from infra.effects.records import HOST, MACHINE
from tests.engine.node_image import newest_image_alone
from tests.engine.test_preview import change, off
from tests.project import ROOT, Project, Run, example

pytestmark = [pytest.mark.engine]

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG9iX1n8Yv9kC2r9sD7m2wqT0m5vN1uY3p4xZ6bB7cD8 me"
Content = dict[str, Any]
Said = dict[str, str]
# What is in a cluster needs its API server, and nothing of it is a machine's. The engine shows nothing that goes
# where something is excluded, so no machine goes in these cases.
EXCLUDED = ("**kubernetes:**", "**azlocal:index:Cluster::**")
MACHINES_ONLY = (*(word for one in EXCLUDED for word in ("--exclude", one)), "--exclude-dependents")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a stack that stands, as its state says: a cluster, one of bare machines, and the resource bridge."""
    try:
        cache = newest_image_alone(tmp_path_factory.mktemp("cache"))
    except LookupError as error:
        pytest.skip(str(error))
    project = example(tmp_path_factory.mktemp("lab"), "lab")
    project.environment |= cache
    off(project)
    stack = yaml.safe_load((project.directory / "Pulumi.lab.yaml").read_text())["config"]
    first, second = stack["azlocal:clusters"]
    first["controlPlane"]["count"], first["agentPools"][0]["count"] = 1, 2
    second["agentPools"][0] |= {"count": 1, "vmSize": "Standard_A4_v2"}
    project.edit(machineType="vm", clusters=[first, second | {"provisioning": "machines"}])
    script = [sys.executable, "-P", str(ROOT / "tests/engine/standing_run.py"), "lab"]
    made = subprocess.run(
        [*script, "up", "--yes", "--skip-preview", "--non-interactive", *MACHINES_ONLY],
        cwd=project.directory,
        env=project.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert project.kinds()["Machine"] == 6
    return project


def clusters(content: Content) -> list[Content]:
    found: list[Content] = content["config"]["azlocal:clusters"]
    return found


def pool(content: Content, index: int = 0) -> Content:
    found: Content = clusters(content)[index]["agentPools"][0]
    return found


STACK, NETPLAN, HOSTS = "Pulumi.lab.yaml", "netplans/lab.yaml", "hosts/lab.yaml"
Edits = Mapping[str, Callable[[Content], object]]
# What is changed; what becomes of the machines, those aside to which nothing happens. Changes that don't meet go
# together: a preview takes seconds.
CASES: dict[str, tuple[Edits, Said]] = {
    "nothing": ({}, {}),
    "vmSize of a pool, the infrastructure's DNS server, a pool's count": (
        {
            STACK: lambda c: (pool(c).update(vmSize="Standard_D4s_v3"), pool(c, 1).update(count=2)),
            NETPLAN: lambda c: c["infrastructure"].update(dnsServers=["192.168.1.2"]),
        },
        {
            "rb-0": "replaced",
            "a-nodepool1-0": "restarted",
            "a-nodepool1-1": "restarted",
            "b-nodepool1-1": "added",
        },
    ),
    "labels, taints, pods on a node, SSH keys, proxies": (
        {
            STACK: lambda c: (
                c["config"].update({"azlocal:sshPublicKeys": [OTHER_KEY]}),
                pool(c).update(
                    nodeLabels={"example.com/tier": "web"}, nodeTaints=["a=b:PreferNoSchedule"], maxPods=150
                ),
            ),
            NETPLAN: lambda c: c.update(proxy={"httpProxy": "http://192.168.1.9:3128", "noProxy": ["*"]}),
        },
        dict.fromkeys(("rb-0", "a-cp-0", "a-nodepool1-0", "a-nodepool1-1", "b-cp-0", "b-nodepool1-0"), "patched"),
    ),
    "a network's VLAN, where services are": (
        {
            STACK: lambda c: clusters(c)[1].update(loadBalancer={"count": 2}),
            NETPLAN: lambda c: c["logicalNetworks"][0].update(vlan=120),
        },
        dict.fromkeys((f"host node{n}" for n in range(1, 5)), "patched"),
    ),
    "a DNS server": (
        {NETPLAN: lambda c: c["logicalNetworks"][0].update(dnsServers=["10.220.32.6"])},
        {
            "a-cp-0": "replaced",
            "a-nodepool1-0": "replaced",
            "a-nodepool1-1": "replaced",
            "b-cp-0": "replaced",
            "b-nodepool1-0": "replaced",
        },
    ),
    "podCidr": (
        {STACK: lambda c: clusters(c)[0]["networkProfile"].update(podCidr="10.60.0.0/16")},
        {"a-cp-0": "refused"},
    ),
    "the uplink of a host, an add-on": (
        {
            HOSTS: lambda c: c["hosts"][1].update(uplink="eno2"),
            STACK: lambda c: clusters(c)[0].update(addOns={"metallb": {"values": {"speaker": {"x": 1}}}}),
        },
        {"host node2": "patched"},
    ),
    "the folder of a host": (
        {HOSTS: lambda c: c["hosts"][0].update(storageDirectory="/srv/azl")},
        {"host node1": "replaced", "a-nodepool1-0": "replaced", "b-cp-0": "replaced"},
    ),
    "Kubernetes' version, SSH keys, the type of machines": (
        {
            STACK: lambda c: (
                c["config"].update({"azlocal:sshPublicKeys": [OTHER_KEY], "azlocal:machineType": "emulated"}),
                clusters(c)[0].update(kubernetesVersion="1.33.5"),
            )
        },
        {
            **dict.fromkeys((f"host node{n}" for n in range(1, 5)), "patched"),
            **dict.fromkeys(("rb-0", "b-cp-0", "b-nodepool1-0"), "replaced"),
            **dict.fromkeys(("a-cp-0", "a-nodepool1-0", "a-nodepool1-1"), "refused"),  # there is no way back
        },
    ),
    "where a machine is": (
        {STACK: lambda c: c["config"].update({"azlocal:placement": {"pins": {"rb-0": "node4"}}})},
        {"rb-0": "moved"},
    ),
}

ASKED = {"a DNS server"}
"""Where preview asks a cluster whether its only control plane may leave; here none answers."""


def planned(project: Project, folder: Path, *options: str) -> dict[str, Any]:
    """Plan a copy of a project's files, whose locks may change."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("hosts", "netplans"):
        shutil.copytree(project.directory / name, folder / name)
    shutil.copy(project.directory / STACK, folder / STACK)
    done = CliRunner(env={"CI": ""}).invoke(app, ["-C", str(folder), "plan", "lab", "--format", "json", *options])
    assert done.exit_code == 0, done.output
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def previewed(project: Project) -> tuple[Run, dict[str, Any]]:
    """Return a preview and its JSON; of one that was refused that ends with the refusal."""
    run = project.pulumi("preview", "--json", "--suppress-progress", *MACHINES_ONLY)
    content: dict[str, Any] = json.JSONDecoder().raw_decode(run.output[run.output.index("{") :])[0]
    return run, content


def becomes(preview: Mapping[str, Any]) -> Said:
    """Return what a preview's steps do to each machine and host, in the words of `--against`."""
    found: Said = {}
    told = " ".join(one["message"] for one in preview.get("diagnostics") or ())
    for step in preview["steps"]:
        old, new = step.get("oldState") or {}, step.get("newState") or {}
        type_ = (new or old).get("type")
        if type_ not in (MACHINE, HOST) or step["op"] == "same":
            continue
        name = ("host " if type_ == HOST else "") + (new or old)["inputs"]["name"]
        kind = {"create": "added", "delete": "removed", "update": "patched"}.get(step["op"], "replaced")
        if (
            type_ == MACHINE
            and kind == "replaced"
            and old
            and new
            and old["inputs"]["connection"] != new["inputs"]["connection"]
        ):
            kind = "moved"
        if kind == "patched" and f"{name} restarts for" in told:
            kind = "restarted"
        found[name.removeprefix("lab-")] = kind
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_plan_says_what_the_preview_does(lab: Project, name: str, tmp_path: Path) -> None:
    edits, wanted = CASES[name]
    saved = tmp_path / "old.json"
    saved.write_text(json.dumps(planned(lab, tmp_path / "plan")))
    kept = {file: (lab.directory / file).read_text() for file in edits}
    try:
        for file, edit in edits.items():
            change(lab.directory / file, lambda content, edit=edit: edit(content) and None)  # type: ignore[misc]
        changes = planned(lab, tmp_path / "plan", "--against", str(saved))["changes"]
        effects = [*changes["machines"], *({**one, "name": f"host {one['name']}"} for one in changes["hosts"])]
        run, preview = previewed(lab)
    finally:
        for file, text in kept.items():
            (lab.directory / file).write_text(text)
    said = {one["name"]: one["kind"] for one in effects}
    assert said == wanted
    shown = becomes(preview)
    if name in ASKED:
        assert "lab-a-cp-0 can't be replaced: etcd has no quorum" in run.output
        assert shown.items() <= said.items()
        return
    refused = [one for one in effects if one["kind"] == "refused"]
    if not refused:
        assert run.code == 0, run.output
        assert shown == said
        return
    assert run.code != 0
    assert any(one["then"] in run.output for one in refused), (refused, run.output)
    assert shown.items() <= said.items(), "what the engine came to before it was refused"
