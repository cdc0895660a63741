"""Networks over hosts that have no VLANs: machines reach each other across hosts, networks stay apart."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from infra.lab.lab import Lab
from infra.plan.host_networks import bridge_name
from tests.instance import require_image
from tests.lab.conftest import standing_lab
from tests.lab.instance import INSTANCE, bring_image, cluster, instances, on, running
from tests.project import Project
from tests.waiting import eventually

pytestmark = [pytest.mark.lab, pytest.mark.chain]

GATEWAY = "node1"
MAC = "00:1a:a0:12:34:56"  # Dell's
CLUSTERS = [cluster(2), cluster(1, "b", logicalNetwork="edge")]
PINS = {"a-cp-0": "node2", "a-pool1-0": "node3", "a-pool1-1": "node4", "b-cp-0": "node3", "b-pool1-0": "node1"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with standing_lab(4) as lab:
        yield lab


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return an instance on meshes, which has no clusters yet."""
    require_image("plain")
    with instances(lab, tmp_path_factory.mktemp("mesh")) as make:
        made = make(netplan_changes={"transport": "vxlan"})
        bring_image(lab.hosts)
        yield made


def test_an_address_that_somebody_has_is_found_before_a_machine_gets_it(lab: Lab, project: Project) -> None:
    project.up().expect()
    bridge, stranger = bridge_name(INSTANCE, "aks"), lab.hosts[1]
    taken = netplan_address(project, 20)
    stranger.run("ip", "link", "add", "stranger", "type", "veth", "peer", "name", "cable")
    stranger.run("ip", "link", "set", "cable", "master", bridge, "up")
    stranger.run("ip", "link", "set", "stranger", "address", MAC, "up")
    stranger.run("ip", "address", "add", f"{taken}/24", "dev", "stranger")
    project.edit(clusters=CLUSTERS, placement={"pins": PINS})
    try:
        said = project.up().expect(255).output.partition("Diagnostics:")[2]
        assert f"{taken}, planned for a-cp-0: answered for by {MAC} (Dell Inc.)" in said.partition("Outputs:")[0]
        made = set[str]().union(*map(running, lab.hosts))
        # Those of the other network may be on their way: each network's machines wait for its own addresses.
        assert not any(name.startswith(f"{INSTANCE}-a-") for name in made), "no machine of that network was made"
    finally:
        stranger.run("ip", "link", "del", "stranger")


def test_six_machines_on_two_networks_over_four_hosts(lab: Lab, project: Project) -> None:
    project.up().expect()
    machines = project.outputs()["machines"]
    assert len(machines) == 6
    assert {one["host"] for one in machines.values()} == {"node1", "node2", "node3", "node4"}
    networks = addresses(project)
    everybody = [address for network in networks.values() for address in network]
    assert reached(project, lab, everybody) == {
        machine: networks[name] for name in networks for machine in of_network(project, name)
    }
    outside = str(lab.host("node3").address)
    assert reached_from(project, lab, f"{INSTANCE}-a-cp-0", [outside]) == [outside], "the gateway lets them out"
    assert on(project, lab, f"{INSTANCE}-a-cp-0", "cat", "/sys/class/net/eth0/mtu") == "1450"
    project.refresh("--expect-no-changes").expect()
    project.up("--expect-no-changes").expect()


def test_a_host_that_boots_is_on_its_meshes_again_by_itself(lab: Lab, project: Project) -> None:
    host = lab.host(GATEWAY)
    host.power_off()
    host.power_on()

    def tunnels() -> list[str]:
        return host.run("ip", "-brief", "link", "show", "type", "vxlan", "up").stdout.splitlines()

    eventually(lambda: len(tunnels()) == 3, "every network's tunnel", 60)
    shown = project.refresh().expect().output
    assert "azlocal:index:Network" not in shown.partition("Outputs:")[0], "nothing of a network differs"
    assert "running" in shown, "its machine waits for its disk: no systemd mounts the store here"
    project.up().expect()
    outside = str(lab.host("node3").address)
    machine, others = f"{INSTANCE}-b-pool1-0", addresses(project)["b"]
    eventually(
        lambda: reached_from(project, lab, machine, [*others, outside]) == sorted([*others, outside]),
        "its machine reaches the others, and what is outside",
        120,
    )


def test_what_a_host_s_boot_takes_from_a_mesh_is_seen_and_repaired(lab: Lab, project: Project) -> None:
    for host in lab.hosts:
        host.run("bash", "-c", "ip -o link show type vxlan | cut -d: -f2 | xargs -n1 ip link del")
    lab.host(GATEWAY).run("nft", "flush", "ruleset")
    said = project.refresh().expect().output
    assert "tunnel" in said
    assert "active" in said
    project.up().expect()
    outside = str(lab.host("node3").address)
    for name, others in addresses(project).items():
        for machine in of_network(project, name):
            assert reached_from(project, lab, machine, [*others, outside]) == sorted([*others, outside])


def of_network(project: Project, name: str) -> list[str]:
    """Return the machines of the cluster that is on a network: `a` or `b`."""
    return [machine for machine in project.outputs()["machines"] if machine.startswith(f"{INSTANCE}-{name}-")]


def addresses(project: Project) -> dict[str, list[str]]:
    """Return the addresses of each network's machines, sorted."""
    machines = project.outputs()["machines"]
    return {name: sorted(machines[one]["address"] for one in of_network(project, name)) for name in ("a", "b")}


def reached(project: Project, lab: Lab, wanted: list[str]) -> dict[str, list[str]]:
    """Return what each machine of the clusters reaches of some addresses."""
    machines = [machine for name in ("a", "b") for machine in of_network(project, name)]
    with ThreadPoolExecutor(len(machines)) as pool:
        found = pool.map(lambda machine: reached_from(project, lab, machine, wanted), machines)
        return dict(zip(machines, found, strict=True))


def reached_from(project: Project, lab: Lab, machine: str, wanted: list[str]) -> list[str]:
    """Return the addresses whose SSH server a machine reaches, of some, all asked at once."""
    script = 'for one; do { timeout 5 bash -c "</dev/tcp/$one/22" 2>/dev/null && echo "$one"; } & done; wait; true'
    said = on(project, lab, machine, "bash", "-c", f"'{script}'", "reached", *wanted)
    return sorted(said.split())


def netplan_address(project: Project, number: int) -> str:
    plan = yaml.safe_load((project.directory / "netplans" / "lab.yaml").read_text())
    prefix: str = plan["logicalNetworks"][0]["addressPrefix"]
    return f"{prefix.rpartition('.')[0]}.{number}"
