"""`azlocal plan --site`: all stacks of a site, against each other and recorded together."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.cli import app
from tests.instances import cluster, files, host, infrastructure, network, write_files

WIDE = infrastructure(pool={"start": "192.168.1.20", "end": "192.168.1.99"})
LOCAL = {"name": "node1", "connection": "qemu:///system"}


def azlocal(*arguments: object, **environment: str) -> Result:
    return CliRunner(env={"CI": "", **environment}).invoke(app, [str(argument) for argument in arguments])


def project(folder: Path, stacks: dict[str, list[dict[str, Any]]], **parts: Any) -> Path:
    for stack, clusters in stacks.items():
        write_files(folder, files(clusters, **{"infra": WIDE, "hosts": [host()], **parts}), stack)
    return folder


def planned(folder: Path, *options: object, **environment: str) -> tuple[int, dict[str, Any]]:
    result = azlocal("-C", folder, "plan", "--site", "s", "--format", "json", *options, **environment)
    return result.exit_code, json.loads(result.stdout)


def rules(plan: dict[str, Any], severity: str = "error") -> list[str]:
    return [one["rule"] for one in plan["findings"] if one["severity"] == severity]


def locks(folder: Path) -> list[str]:
    return [
        path.read_text(encoding="utf-8") if path.exists() else ""
        for path in (folder / "netplans/s.lock.yaml", folder / "hosts/s.lock.yaml")
    ]


def test_all_stacks_of_a_site_are_planned_and_recorded_as_one_by_one(tmp_path: Path) -> None:
    one_by_one = tmp_path / "one"
    one_by_one.mkdir()
    for folder in (tmp_path, one_by_one):
        project(folder, {"ci": [cluster()], "lab": [cluster()]})
    code, plan = planned(tmp_path)
    assert (code, plan["ok"], plan["site"]) == (0, True, "s")
    assert list(plan["stacks"]) == ["ci", "lab"]
    for stack in ("ci", "lab"):
        assert azlocal("-C", one_by_one, "plan", stack).exit_code == 0
    assert locks(tmp_path) == locks(one_by_one)
    assert planned(tmp_path, "--frozen")[0] == 0


def test_stacks_of_other_sites_are_left_alone(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster()]})
    (tmp_path / "Pulumi.other.yaml").write_text("config: {azlocal:site: t}\n", encoding="utf-8")
    (tmp_path / "Pulumi.broken.yaml").write_text("config: {azlocal:site: t\n", encoding="utf-8")
    code, plan = planned(tmp_path)
    assert (code, list(plan["stacks"])) == (0, ["lab"])


def test_two_stacks_that_make_the_same_machine(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster("a-b")], "lab-a": [cluster("b")]})
    code, plan = planned(tmp_path)
    assert code == 2
    assert not plan["ok"]
    assert set(rules(plan)) == {"machine-of-another-stack"}
    assert (
        "lab-a-b-cp-0 would be a machine of stack lab-a, and is one of stack lab" in plan["findings"][0]["message"]
    )
    assert locks(tmp_path) == ["", ""], "nothing is recorded unless all are sound"
    assert set(rules(planned(tmp_path, "--no-lock")[1])) == {"machine-of-another-stack"}


def test_one_after_the_other_the_lock_knows_them(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster("a-b")], "lab-a": [cluster("b")]})
    assert azlocal("-C", tmp_path, "plan", "lab").exit_code == 0
    refused = azlocal("-C", tmp_path, "plan", "lab-a")
    assert refused.exit_code == 2
    assert "machine-of-another-stack" in refused.stderr
    (tmp_path / "Pulumi.lab.yaml").unlink()
    assert azlocal("-C", tmp_path, "release", "lab", "--yes").exit_code == 0
    assert azlocal("-C", tmp_path, "plan", "lab-a").exit_code == 0, "the remedy helps"


def test_two_stacks_on_one_nat_site(tmp_path: Path) -> None:
    project(tmp_path, {"dev": [cluster("d")], "local": [cluster("a")]}, hosts=[LOCAL])
    code, plan = planned(tmp_path)
    assert (code, rules(plan)) == (2, ["gateway-of-another-stack"])
    assert azlocal("-C", tmp_path, "plan", "dev").exit_code == 0
    refused = azlocal("-C", tmp_path, "plan", "local")
    assert refused.exit_code == 2
    assert "for stack dev already" in refused.stderr


def warnings(folder: Path, stack: str, *options: str) -> list[str]:
    result = azlocal("-C", folder, "plan", stack, "--format", "json", *options)
    assert result.exit_code == 0, result.stderr
    return sorted({one["rule"] for one in json.loads(result.stdout)["findings"] if one["severity"] == "warning"})


def test_before_a_lock_knows_either_stack_each_is_told_of_the_other(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster("a-b")], "lab-a": [cluster("b")]})
    for stack in ("lab", "lab-a"):
        assert warnings(tmp_path, stack, "--no-lock") == ["machine-of-two-stacks"]
    assert warnings(tmp_path, "lab") == ["machine-of-two-stacks"], "it comes first, and is sound"
    assert warnings(tmp_path, "lab") == [], "it is on record: the other one is refused"
    (tmp_path / "Pulumi.lab-a.yaml").unlink()
    assert warnings(tmp_path, "lab", "--no-lock") == [], "the remedy helps"


def test_before_a_lock_knows_either_stack_each_is_told_of_the_gateways(tmp_path: Path) -> None:
    project(tmp_path, {"dev": [cluster("d")], "local": [cluster("a")]}, hosts=[LOCAL])
    for stack in ("dev", "local"):
        assert warnings(tmp_path, stack, "--no-lock") == ["gateway-of-two-stacks"]


@pytest.mark.parametrize(
    "text",
    [
        "config: {azlocal:site: other}",
        "config: {azlocal:site: s-2}",
        "config: {azlocal:site: [",
        "config: {azlocal:site: s, azlocal:clusters: 3}",
        "config: {app:site: s}",
    ],
)
def test_what_is_no_stack_of_the_site_is_not_looked_at(tmp_path: Path, text: str) -> None:
    project(tmp_path, {"lab": [cluster("a")]}, hosts=[LOCAL])
    (tmp_path / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")
    assert warnings(tmp_path, "lab", "--no-lock") == []


def test_a_host_ip_of_another_stack_is_remedied_where_it_stands(tmp_path: Path) -> None:
    plane: dict[str, Any] = {"controlPlane": {"count": 1, "hostIP": "10.220.32.40"}}
    project(
        tmp_path, {"dev": [cluster(**plane)], "lab": [cluster(**plane)]}, networks=[network(end="10.220.32.39")]
    )
    _, plan = planned(tmp_path)
    (clash,) = (one for one in plan["findings"] if one["severity"] == "error")
    assert (clash["rule"], clash["path"].rpartition(": ")[2]) == (
        "pin-clash",
        "config.azlocal:clusters[0].controlPlane.hostIP",
    )
    assert clash["remedy"] == "choose another address, or free this one first", "a hostIP has no owner to write"


def test_libvirt_networks_of_one_name(tmp_path: Path) -> None:
    other = {"addressPrefix": "10.9.0.0/24", "gateway": "10.9.0.1", "vlan": 9}
    networks = [network(name="a-bb"), network("10.9.0.9", "10.9.0.20", name="bb", **other)]
    project(
        tmp_path,
        {"lab": [cluster("x", logicalNetwork="bb")], "lab-a": [cluster("y", logicalNetwork="bb")]},
        networks=networks,
    )
    code, plan = planned(tmp_path)
    assert (code, set(rules(plan))) == (2, {"network-name-of-another-stack"})


def test_a_stack_that_cannot_be_read_is_told_beside_the_others(tmp_path: Path) -> None:
    project(tmp_path, {"ci": [cluster("b")], "lab": [cluster()]})
    (tmp_path / "Pulumi.ci.yaml").write_text("config:\n  azlocal:site: s\n  azlocal:x: [\n", encoding="utf-8")
    code, plan = planned(tmp_path)
    assert code == 1
    assert plan["stacks"]["ci"]["findings"][0]["rule"] == "yaml-syntax"
    assert plan["stacks"]["lab"]["ok"]
    assert locks(tmp_path) == ["", ""]


def test_frozen_locks_are_not_changed(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster()]})
    assert planned(tmp_path)[0] == 0
    before = locks(tmp_path)
    project(tmp_path, {"ci": [cluster("b")]})
    code, plan = planned(tmp_path, CI="true")
    assert (code, rules(plan)) == (2, ["lock-frozen", "lock-frozen"])
    assert locks(tmp_path) == before
    assert planned(tmp_path, "--no-frozen", CI="true")[0] == 0


def test_what_is_wrong_with_the_sites_files_is_said_once(tmp_path: Path) -> None:
    project(tmp_path, {"ci": [], "lab": []}, infra={**WIDE, "dnsServers": ["127.0.0.53"]})
    code, plan = planned(tmp_path)
    assert (code, rules(plan)) == (2, ["address-of-nobody"])
    assert all(one["findings"] for one in plan["stacks"].values())


def test_a_site_that_is_not_there(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster()]})
    result = azlocal("-C", tmp_path, "plan", "--site", "x", "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"][0]["rule"] == "unknown-site"
    assert "sites of this project: s" in result.stderr


@pytest.mark.parametrize(("name", "start"), [("table", "stack ci:"), ("markdown", "## Stack ci")])
def test_other_formats_have_one_stack_after_the_other(tmp_path: Path, name: str, start: str) -> None:
    project(tmp_path, {"ci": [cluster("b")], "lab": [cluster()]})
    result = azlocal("-C", tmp_path, "plan", "--site", "s", "--format", name)
    assert result.exit_code == 0
    assert result.stdout.startswith(start)
    assert start.replace("ci", "lab") in result.stdout
    assert azlocal("-C", tmp_path, "plan", "--site", "s", "-o", tmp_path / f"plan.{name}").stdout == ""


@pytest.mark.parametrize(
    "options",
    [
        ["lab", "--site", "s"],
        ["--site", "s", "--size"],
        ["--site", "s", "--placement"],
        ["--site", "s", "--explain", "a-cp-0"],
        ["--site", "s", "--against", "HEAD"],
        ["--site", "s", "--without", "node1"],
        ["--site", "s", "--format", "svg"],
        [],
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, options: list[str]) -> None:
    project(tmp_path, {"lab": [cluster()]})
    result = azlocal("-C", tmp_path, "plan", *options)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


OTHER_HOST = host(managementAddress="192.168.7.11", connection="qemu+ssh://root@NODE1.lab/system")


def beside(folder: Path, own: list[dict[str, Any]], others: list[dict[str, Any]], **other: Any) -> Path:
    """Write site `s` with stack `lab`, and site `t` with stack `lab-a` on VLANs and subnets of its own."""
    write_files(folder, files(own, infra=WIDE, hosts=[host(connection="qemu+ssh://root@node1.lab/system")]), "lab")
    infra = infrastructure(
        addressPrefix="192.168.7.0/24",
        gateway="192.168.7.1",
        vlan=7,
        pool={"start": "192.168.7.20", "end": "192.168.7.99"},
    )
    net = network("10.9.0.20", "10.9.0.90", addressPrefix="10.9.0.0/24", gateway="10.9.0.1", vlan=9)
    parts = {"hosts": [OTHER_HOST], "networks": [net], **other}
    content = files(others, infra=infra, stack={"site": "t"}, **parts)
    for kind in ("hosts", "netplan"):
        name = {"hosts": "hosts/t.yaml", "netplan": "netplans/t.yaml"}[kind]
        (folder / name).write_text(json.dumps(content[kind]), encoding="utf-8")
    config = {f"azlocal:{key}": value for key, value in content["stack"].items()}
    (folder / "Pulumi.lab-a.yaml").write_text(json.dumps({"config": config}), encoding="utf-8")
    return folder


def refused(folder: Path, stack: str) -> list[str]:
    result = azlocal("-C", folder, "plan", stack, "--format", "json")
    return sorted({one["rule"] for one in json.loads(result.stdout)["findings"] if one["severity"] == "error"})


def test_two_sites_on_one_host_make_no_machine_of_one_name(tmp_path: Path) -> None:
    beside(tmp_path, [cluster("a-b")], [cluster("b")])
    assert refused(tmp_path, "lab") == []
    assert refused(tmp_path, "lab-a") == ["machine-of-another-stack"], (
        "the connection is the same in other letters"
    )


def test_two_sites_on_hosts_of_their_own_have_names_of_their_own(tmp_path: Path) -> None:
    elsewhere = [host(managementAddress="192.168.7.11", connection="qemu+ssh://root@node9.lab/system")]
    beside(tmp_path, [cluster("a-b")], [cluster("b")], hosts=elsewhere)
    assert [refused(tmp_path, stack) for stack in ("lab", "lab-a")] == [[], []]


def test_two_sites_on_one_host_name_no_network_of_libvirt_twice(tmp_path: Path) -> None:
    net = network("10.9.0.20", "10.9.0.90", addressPrefix="10.9.0.0/24", gateway="10.9.0.1", vlan=9)
    beside(tmp_path, [cluster("x")], [cluster("y", logicalNetwork="aks")], networks=[net])
    own = json.loads(json.dumps(files([cluster("x", logicalNetwork="a-aks")], networks=[network(name="a-aks")])))
    write_files(
        tmp_path, {**own, "hosts": {"hosts": [host(connection="qemu+ssh://root@node1.lab/system")]}}, "lab"
    )
    assert refused(tmp_path, "lab") == []
    assert refused(tmp_path, "lab-a") == ["network-name-of-another-stack"]
