import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from infra.cli import app
from infra.plan.sizing import Sizing, size_instance
from infra.spec.stack import StackConfig
from infra.spec.tree import Document
from tests.instances import checked_addresses, cluster, files, host, spec_of, write_files

V1 = [
    cluster("a", planes=3, workers=5, loadBalancer={"addresses": ["10.220.32.47-10.220.32.49"]}),
    cluster("b", planes=1, workers=3),
]
SIZES = [0, 1, 2, 6, 40]


def sizing_of(*clusters: dict[str, Any], **stack: Any) -> Sizing:
    config = StackConfig.model_validate(files(clusters, stack=stack)["stack"])
    return size_instance("lab", config, Document("Pulumi.lab.yaml", None), None)


def azlocal(*arguments: object) -> Result:
    return CliRunner(env={"CI": "true"}).invoke(app, [str(argument) for argument in arguments])


def project(folder: Path, *clusters: dict[str, Any]) -> Path:
    write_files(folder, files(clusters))
    for name in ("hosts/s.yaml", "netplans/s.yaml"):
        (folder / name).unlink()
    return folder


def test_the_stack_file_alone_is_enough(tmp_path: Path) -> None:
    result = azlocal("-C", project(tmp_path, *V1), "plan", "lab", "--size", "--format", "json")
    assert result.exit_code == 0
    sizes = json.loads(result.stdout)
    assert (sizes["ok"], sizes["hosts"]) == (True, {"count": 16, "known": False})
    infrastructure, aks = sizes["networks"]
    assert (infrastructure["hosts"], infrastructure["pool"], infrastructure["addresses"]) == (
        16,
        {"required": 6},
        25,
    )
    assert infrastructure["smallestPrefix"] == "/27"
    assert (aks["nodes"], aks["upgradeSpares"], aks["controlPlaneVips"]) == (12, 2, {"chosen": 2, "given": 0})
    assert (aks["pool"], aks["loadBalancer"], aks["total"]) == ({"required": 16}, {"required": 3}, 19)
    assert (aks["addresses"], aks["smallestPrefix"]) == (19 + 1 + 2, "/27")
    assert sizes["netplan"]["logicalNetworks"][0] == aks["proposed"]
    assert aks["proposed"]["addressPrefix"] == "10.220.32.0/26", "around the services' given addresses"


def test_the_table_ends_in_a_netplan_to_paste(tmp_path: Path) -> None:
    folder = project(tmp_path, cluster(planes=3, loadBalancer={"count": 3}))
    result = azlocal("-C", folder, "plan", "lab", "--size")
    assert result.exit_code == 0
    assert "/28" in result.stdout
    netplan = "# netplans" + result.stdout.partition("# netplans")[2]
    write_files(folder, files([], hosts=[host(managementAddress="192.168.1.20")]))
    write_files(folder, files([cluster(planes=3, loadBalancer={"count": 3})], hosts=[{**LOCAL}]))
    (folder / "netplans/s.yaml").write_text(netplan, encoding="utf-8")
    planned = azlocal("-C", folder, "plan", "lab", "--no-lock", "--format", "json")
    assert planned.exit_code == 0, planned.stderr
    assert json.loads(planned.stdout)["networks"][1]["pool"] == {"size": 6, "required": 6, "free": 0}


LOCAL = {"name": "here", "connection": "qemu:///system"}


def test_the_limits_are_checked_without_networks_too(tmp_path: Path) -> None:
    result = azlocal("-C", project(tmp_path, cluster(planes=2)), "plan", "lab", "--size", "--format", "json")
    assert result.exit_code == 2
    rules = [finding["rule"] for finding in json.loads(result.stdout)["findings"]]
    assert rules == ["control-plane-count"]


def test_an_unreadable_stack_is_exit_code_1(tmp_path: Path) -> None:
    result = azlocal("-C", tmp_path, "plan", "lab", "--size", "--format", "json")
    assert result.exit_code == 1
    assert not json.loads(result.stdout)["ok"]
    assert azlocal("-C", tmp_path, "plan", "lab", "--size", "--format", "svg").exit_code == 2


def test_hosts_that_are_known_are_counted_where_they_are(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster()], hosts=[host(1), host(2)]))
    (tmp_path / "netplans/s.yaml").unlink()
    sizes = json.loads(azlocal("-C", tmp_path, "plan", "lab", "--size", "--format", "json").stdout)
    assert sizes["hosts"] == {"count": 2, "known": True}
    assert sizes["networks"][0]["addresses"] == 2 + 6 + 1 + 2
    assert sizes["networks"][0]["proposed"]["addressPrefix"] == "192.168.1.0/28", "around .11 and .12"
    assert sizes["switchlessStorageSubnets"] == {"singleLink": 1, "dualLink": 2}


def test_v7_switchless_storage_takes_a_subnet_for_every_pair_and_link(tmp_path: Path) -> None:
    for count, subnets in (
        (3, {"singleLink": 3, "dualLink": 6}),
        (4, {"singleLink": 6, "dualLink": 12}),
        (5, None),
    ):
        write_files(tmp_path, files([], hosts=[host(number + 1) for number in range(count)]))
        sizes = json.loads(azlocal("-C", tmp_path, "plan", "lab", "--size", "--format", "json").stdout)
        assert sizes["switchlessStorageSubnets"] == subnets


def test_given_addresses_far_apart_have_no_layout() -> None:
    far = [cluster("a", controlPlane={"hostIP": "10.1.1.1"}), cluster("b", controlPlane={"hostIP": "172.16.0.9"})]
    sizing = sizing_of(*far)
    assert not sizing.ok
    assert [finding.rule for finding in sizing.findings] == ["no-layout"]
    assert sizing.networks[1].need.outside == 2


def test_a_fault_of_the_proposal_stands_where_the_clusters_are() -> None:
    (finding,) = sizing_of(cluster(logicalNetwork="x")).findings
    assert (finding.rule, finding.path) == ("bad-name", "Pulumi.lab.yaml: clusters")


def test_a_prefix_keeps_out_of_the_clusters_own_ranges() -> None:
    sizing = sizing_of(cluster(networkProfile={"podCidr": "10.220.0.0/17"}))
    assert sizing.networks[1].proposed is not None
    assert sizing.networks[1].proposed["addressPrefix"].startswith("10.220.128.")


@st.composite
def clusters(draw: st.DrawFn) -> dict[str, Any]:
    balancer: dict[str, Any] = draw(
        st.sampled_from([{}, {"count": 1}, {"count": 9}, {"addresses": ["172.20.9.64/29"]}])
    )
    name = draw(st.sampled_from(["a", "b", "c", "d"]))
    vip = {"hostIP": "172.20.9.7"} if name == "a" and draw(st.booleans()) else {}
    return cluster(
        name,
        logicalNetwork="fixed" if vip or "addresses" in balancer else draw(st.sampled_from(["net-x", "net-y"])),
        controlPlane={"count": draw(st.sampled_from([1, 3, 5])), **vip},
        agentPools=[{"name": "nodepool1", "count": draw(st.integers(1, 64))}],
        loadBalancer=balancer,
    )


def _is_sane(wanted: list[dict[str, Any]]) -> bool:
    return sum("addresses" in one["loadBalancer"] for one in wanted) < 2


@settings(max_examples=40, deadline=None)
@given(st.lists(clusters(), max_size=4, unique_by=lambda one: one["name"]).filter(_is_sane))
def test_what_is_proposed_is_sound_and_as_small_as_it_says(wanted: list[dict[str, Any]]) -> None:
    sizing = sizing_of(*wanted)
    assert sizing.ok, [str(finding) for finding in sizing.findings]
    content = files(wanted, hosts=[LOCAL])
    netplan = yaml.safe_load(yaml.safe_dump(sizing.netplan))
    plan = checked_addresses(spec_of({**content, "netplan": netplan}))
    assert plan.ok, [str(finding) for finding in plan.findings]
    for size, net in zip(sizing.networks, plan.addresses.networks, strict=True):
        assert (size.name, size.need.pool) == (net.name, net.pool.required)
        assert 1 << (32 - size.smallest_prefix) >= size.addresses
        assert size.smallest_prefix == 29 or 1 << (31 - size.smallest_prefix) < size.addresses
