"""Networks over hosts that have no VLANs: machines reach each other across hosts, networks stay apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from infra.host_networks import bridge_name
from tests.lab.conftest import MakeLab
from tests.lab.instance import INSTANCE, MakeInstance, cluster, instances, on
from tests.lab.lab import Lab
from tests.project import Project

pytestmark = pytest.mark.lab

MESH = {"transport": "vxlan"}
GATEWAY = "node1"
MAC = "00:1a:a0:12:34:56"  # Dell's


def reached_from(project: Project, lab: Lab, machine: str, addresses: list[str]) -> list[str]:
    """Return the addresses whose SSH server a machine reaches, of some, all asked at once."""
    script = 'for one; do { timeout 5 bash -c "</dev/tcp/$one/22" 2>/dev/null && echo "$one"; } & done; wait; true'
    said = on(project, lab, machine, "bash", "-c", f"'{script}'", "reached", *addresses)
    return sorted(said.split())


def test_ten_machines_on_two_networks_over_four_hosts(make_lab: MakeLab, tmp_path: Path) -> None:
    lab = make_lab(4)
    with instances(lab, tmp_path) as make:
        project = make(netplan_changes=MESH, clusters=[cluster(4), cluster(3, "b", logicalNetwork="edge")])
        project.up().expect()
        machines = project.outputs()["machines"]
        assert len(machines) == 10
        assert {one["host"] for one in machines.values()} == {"node1", "node2", "node3", "node4"}
        networks = {
            name: sorted(
                one["address"] for machine, one in machines.items() if machine.startswith(f"{INSTANCE}-{name}-")
            )
            for name in ("a", "b")
        }
        everybody = [*networks["a"], *networks["b"]]
        for machine in machines:
            network = machine.removeprefix(f"{INSTANCE}-").partition("-")[0]
            if network in networks:
                assert reached_from(project, lab, machine, everybody) == networks[network]
        outside = str(lab.host("node3").address)
        assert reached_from(project, lab, f"{INSTANCE}-a-cp-0", [outside]) == [outside], (
            "the gateway lets them out"
        )
        assert on(project, lab, f"{INSTANCE}-a-cp-0", "cat", "/sys/class/net/eth0/mtu") == "1450"
        project.refresh("--expect-no-changes").expect()
        project.up("--expect-no-changes").expect()


def test_what_a_host_s_boot_takes_from_a_mesh_is_seen_and_repaired(lab: Lab, make_instance: MakeInstance) -> None:
    project = make_instance(netplan_changes=MESH, clusters=[cluster(1)])
    project.up().expect()
    for host in lab.hosts:
        host.run("bash", "-c", "ip -o link show type vxlan | cut -d: -f2 | xargs -n1 ip link del")
    lab.host(GATEWAY).run("nft", "flush", "ruleset")
    said = project.refresh().expect().output
    assert "tunnel" in said
    assert "active" in said
    project.up().expect()
    other = next(one["address"] for one in project.outputs()["machines"].values() if one["host"] != GATEWAY)
    for machine in project.outputs()["machines"]:
        if machine.startswith(f"{INSTANCE}-a-"):
            reached_from(project, lab, machine, [other])


def test_an_address_that_somebody_has_is_found_before_a_machine_gets_it(
    lab: Lab, make_instance: MakeInstance
) -> None:
    project = make_instance(netplan_changes=MESH)
    project.up().expect()
    bridge, stranger = bridge_name(INSTANCE, "aks"), lab.hosts[1]
    taken = netplan_address(project, 20)
    stranger.run("ip", "link", "add", "stranger", "type", "veth", "peer", "name", "cable")
    stranger.run("ip", "link", "set", "cable", "master", bridge, "up")
    stranger.run("ip", "link", "set", "stranger", "address", MAC, "up")
    stranger.run("ip", "address", "add", f"{taken}/24", "dev", "stranger")
    project.edit(clusters=[cluster(1)])
    try:
        said = project.up().expect(255).output.partition("Diagnostics:")[2]
        assert f"{taken}, planned for a-cp-0: answered for by {MAC} (Dell Inc.)" in said.partition("Outputs:")[0]
        assert not [name for name in running(lab) if "-a-" in name], "no machine was made"
    finally:
        stranger.run("ip", "link", "del", "stranger")
    project.up().expect()


def netplan_address(project: Project, number: int) -> str:
    plan = yaml.safe_load((project.directory / "netplans" / "lab.yaml").read_text())
    prefix: str = plan["logicalNetworks"][0]["addressPrefix"]
    return f"{prefix.rpartition('.')[0]}.{number}"


def running(lab: Lab) -> list[str]:
    return [
        name
        for host in lab.hosts
        for name in host.run("virsh", "-q", "-c", "lxc:///system", "list", "--name").stdout.split()
    ]
