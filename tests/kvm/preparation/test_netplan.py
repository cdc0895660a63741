"""What our netplan file says, what it leaves alone, and why it sometimes can't be written."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import yaml

from infra.hosts.facts.network import Address, Link, parse_routes
from infra.kvm.ownership import Mark
from infra.kvm.preparation import PreparationFacts, Wanted, difference, plan
from infra.kvm.preparation.netplan import design_network
from infra.kvm.preparation.standing import bridge_mac
from infra.model.host import Bridge
from tests.kvm.preparation.samples import (
    ADDRESS,
    ENO1,
    ENO2,
    INSTALLER,
    MARK,
    STATIC,
    TAGGED,
    UNTAGGED,
    carried_out,
    facts,
    route,
    wants,
    with_links,
)


def network(text: str | None) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(str(text))["network"]
    return content


def faults(host: PreparationFacts, wanted: Wanted) -> str:
    design = design_network(host, wanted)
    assert design.netplan is None
    return " | ".join(design.faults)


def test_a_vlan_stands_beside_the_uplink_which_keeps_its_addresses() -> None:
    design = design_network(facts(), wants(TAGGED))
    content = network(design.netplan)
    assert (
        content["vlans"]["eno1.110"] | {"id": 110, "link": "eno1", "link-local": []}
        == content["vlans"]["eno1.110"]
    )
    bridge = content["bridges"]["azl-lab-aks"]
    assert (bridge["interfaces"], bridge["dhcp4"], bridge["parameters"]["stp"]) == (["eno1.110"], False, False)
    assert "ethernets" not in content, "what the installer says of the uplink stays its own"
    assert (design.port, design.moved, design.new) == (None, (), ("eno1.110", "azl-lab-aks"))


def test_an_untagged_bridge_takes_addresses_routes_and_servers_over() -> None:
    design = design_network(facts(), wants(UNTAGGED, TAGGED))
    bridge = network(design.netplan)["bridges"]["azl-lab-lan"]
    assert bridge["addresses"] == ["192.0.2.11/24"]
    assert bridge["routes"] == [{"to": "default", "via": "192.0.2.1"}]
    assert bridge["nameservers"] == {"addresses": ["192.0.2.53"]}
    assert (bridge["mtu"], bridge["macaddress"]) == (9000, ENO1.mac)
    assert "interfaces" not in bridge, "the port is networkd's: netplan would leave it its addresses"
    assert str(design.port).splitlines()[2:] == [
        "[Match]",
        "Name=eno1",
        "",
        "[Link]",
        "MTUBytes=9000",
        "",
        "[Network]",
        "Bridge=azl-lab-lan",
        "LinkLocalAddressing=no",
        "IPv6AcceptRA=no",
        "VLAN=eno1.110",
    ]
    assert design.moved == ("192.0.2.11/24",)


def test_an_uplink_of_its_own_is_simply_a_port() -> None:
    design = design_network(facts(), wants(UNTAGGED, uplink="eno2"))
    content = network(design.netplan)
    assert content["bridges"]["azl-lab-lan"]["interfaces"] == ["eno2"]
    assert content["ethernets"]["eno2"]["link-local"] == []
    assert (design.port, design.moved) == (None, ())


def test_an_uplink_that_netplan_does_not_know_loses_nothing_to_networkd() -> None:
    design = design_network(facts(netplan_files={}), wants(TAGGED))
    assert network(design.netplan)["ethernets"]["eno1"]["critical"] is True


def test_a_dhcp_lease_is_carried_over_by_the_same_mac_address() -> None:
    by_dhcp = {INSTALLER: "network: {ethernets: {nic: {match: {macaddress: 'AA:BB:CC:00:00:01'}, dhcp4: true}}}"}
    lease = replace(ENO1, addresses=(replace(ADDRESS, is_lasting=False),))
    lent = route("0.0.0.0/0", "192.0.2.1", "dhcp")
    design = design_network(with_links(lease, netplan_files=by_dhcp, routes=(lent,)), wants(UNTAGGED))
    bridge = network(design.netplan)["bridges"]["azl-lab-lan"]
    assert (bridge["dhcp4"], bridge["macaddress"]) == (True, ENO1.mac)


def test_other_vlans_of_an_uplink_that_is_taken_over_stay() -> None:
    text = STATIC + "  vlans: {storage: {id: 7, link: eno1, addresses: [198.51.100.1/24]}}\n"
    design = design_network(facts(netplan_files={INSTALLER: text}), wants(UNTAGGED))
    assert "VLAN=storage" in str(design.port).splitlines()


@pytest.mark.parametrize(
    ("uplink", "settings", "name"),
    [
        ("eno1", "{}", "eno1.110"),
        ("eno1", "{match: {name: 'en*'}}", "azl-vlan110"),
        ("enp175s0f0np0", "{}", "azl-vlan110"),
    ],
)
def test_a_vlans_interface_has_the_usual_name_where_it_can(uplink: str, settings: str, name: str) -> None:
    id = uplink if settings == "{}" else "all"
    host = with_links(
        replace(ENO1, name=uplink), netplan_files={INSTALLER: f"network: {{ethernets: {{{id}: {settings}}}}}"}
    )
    assert list(network(design_network(host, wants(TAGGED, uplink=uplink)).netplan)["vlans"]) == [name]


def test_of_two_definitions_the_one_counts_that_networkd_reads_first() -> None:
    text = "network: {ethernets: {eno1: {addresses: [192.0.2.11/24]}, all: {match: {name: 'eno1'}, dhcp4: true}}}"
    design = design_network(facts(netplan_files={INSTALLER: text}, routes=()), wants(UNTAGGED))
    bridge = network(design.netplan)["bridges"]["azl-lab-lan"]
    assert bridge["dhcp4"] is True
    assert "addresses" not in bridge


@pytest.mark.parametrize(
    ("bridges", "uplink", "files"),
    [
        *product([(TAGGED,), (UNTAGGED,), (UNTAGGED, TAGGED)], ["eno1", "eno2"], [{INSTALLER: STATIC}]),
        *product([(TAGGED,), (UNTAGGED,), (UNTAGGED, TAGGED)], ["eno2"], [{}]),
        ((TAGGED,), "eno1", {}),
    ],
)
def test_a_second_run_has_nothing_to_do(bridges: tuple[Bridge, ...], uplink: str, files: dict[str, str]) -> None:
    wanted = wants(*bridges, uplink=uplink)
    after, _ = carried_out(facts(netplan_files=files), wanted)
    assert plan(after, wanted).steps == ()


@pytest.mark.parametrize("bridges", [(UNTAGGED,), (UNTAGGED, TAGGED)])
def test_addresses_of_unknown_origin_are_never_taken_over(bridges: tuple[Bridge, ...]) -> None:
    said = faults(facts(netplan_files={}), wants(*bridges, uplink="eno1"))
    assert "eno1 has 192.0.2.11/24, and no file of netplan says so" in said


@pytest.mark.parametrize(
    "damage",
    [
        {"own_netplan": None},
        {"own_port": None},
        {"links": {"azl-lab-lan": replace(ENO2, name="azl-lab-lan", kind="bridge", is_up=False)}},
        {"links": {"eno1": replace(ENO1, addresses=())}},
    ],
)
def test_drift_brings_the_step_back(damage: dict[str, Any]) -> None:
    wanted = wants(UNTAGGED)
    after, _ = carried_out(facts(), wanted)
    changed = damage | ({"links": dict(after.links) | damage["links"]} if "links" in damage else {})
    (step,) = plan(replace(after, **changed), wanted).steps
    assert step.id == "network"
    assert step.network is not None
    assert "addresses:\n      - 192.0.2.11/24" in str(step.network.netplan), "it is taken from netplan's own files"


def test_a_hand_edited_file_shows_as_difference() -> None:
    wanted = wants(TAGGED)
    after, design = carried_out(facts(), wanted)
    edited = replace(after, own_netplan=str(design.netplan).replace("id: 110", "id: 111"))
    shown = difference(edited, wanted, design_network(edited, wanted))
    assert "-      id: 111" in shown
    assert "+      id: 110" in shown
    broken = replace(after, own_netplan=f"{wanted.mark_line}\nnetwork: [")
    assert [step.id for step in plan(broken, wanted).steps] == ["network"]


def test_a_bridge_that_is_not_wanted_any_more_goes_when_nobody_is_on_it() -> None:
    after, _ = carried_out(facts(), wants(TAGGED, Bridge(name="azl-lab-old", vlan=120)))
    design = design_network(after, wants(TAGGED))
    assert design.stale == ("azl-lab-old", "eno1.120")
    busy = replace(after, links=dict(after.links) | {"vnet0": Link("vnet0", "tun", master="azl-lab-old")})
    found = plan(busy, wants(TAGGED))
    assert found.steps == ()
    assert "azl-lab-old" in found.notes[0]
    assert design_network(busy, wants()).netplan == busy.own_netplan, "all of it waits"
    gone = design_network(after, wants())
    assert (gone.netplan, set(gone.stale)) == (None, {"azl-lab-aks", "eno1.110", "azl-lab-old", "eno1.120"})


def test_a_bridge_that_stands_already_is_used_and_never_changed() -> None:
    foreign = Link(TAGGED.name, "bridge", mac="aa:aa:aa:aa:aa:aa")
    found = plan(with_links(foreign), wants(TAGGED))
    assert found.steps == ()
    assert "made by somebody else" in found.notes[0]
    ours = replace(foreign, mac=bridge_mac(wants(TAGGED), TAGGED.name))
    assert plan(with_links(ours), wants(TAGGED)).steps, "ours is known by its MAC address, even without the file"


def test_bridges_of_two_stacks_have_different_macs() -> None:
    other = replace(wants(TAGGED), mark=Mark("lab", "other", ""))
    assert bridge_mac(wants(TAGGED), "b") != bridge_mac(other, "b")
    assert bridge_mac(wants(TAGGED), "b").startswith("02:"), "locally administered, not a group's"


FOREIGN_FILE = replace(wants(TAGGED), mark=Mark("lab", "another-stack", "")).mark_line


@pytest.mark.parametrize(
    ("host", "wanted", "said"),
    [
        (facts(own_netplan=f"{FOREIGN_FILE}\nnetwork: {{}}"), wants(TAGGED), "never changes what it did not make"),
        (facts(), wants(TAGGED, uplink="eth9"), "no interface eth9; it has eno1, eno2"),
        (facts(has_vlans=False), wants(TAGGED), "transport: vxlan"),
        (facts(has_systemd=False), wants(TAGGED), "netplan needs systemd"),
        (facts(netplan_files={INSTALLER: "network: ["}), wants(TAGGED), "isn't YAML"),
        (
            facts(netplan_files={INSTALLER: "network: {renderer: NetworkManager}"}),
            wants(TAGGED),
            "eno1 is NetworkManager's",
        ),
        (facts(netplan_files={}, network_manager=True), wants(TAGGED), "eno1 is NetworkManager's"),
        (facts(netplan_files={}), wants(UNTAGGED), "no file of netplan says so (ifupdown? by hand?)"),
        (with_links(replace(ENO1, master="br0")), wants(UNTAGGED), "eno1 is a port of br0 already"),
        (with_links(replace(ENO1, kind="bridge")), wants(UNTAGGED), "eno1 is a bridge itself"),
        (
            facts(netplan_files={INSTALLER: "network: {ethernets: {all: {match: {name: 'e*'}, dhcp4: true}}}"}),
            wants(UNTAGGED),
            "is about eno1, eno2 at once",
        ),
        (
            with_links(replace(ENO1, addresses=(ADDRESS, Address("192.0.2.99/24")))),
            wants(UNTAGGED),
            "192.0.2.99/24 beside what netplan's files say",
        ),
        (
            facts(routes=(route("10.0.0.0/8", "192.0.2.254", "boot"),)),
            wants(UNTAGGED),
            "the route to 10.0.0.0/8 beside",
        ),
        (
            facts(routes=parse_routes('[{"dst": "10.0.0.0/8", "gateway": "192.0.2.254", "dev": "eno1"}]')),
            wants(UNTAGGED),
            "the route to 10.0.0.0/8 beside",
        ),
        (
            with_links(Link("storage", "vlan", parent="eno1", vlan=110)),
            wants(TAGGED),
            "VLAN 110 of eno1 is taken by storage,",
        ),
        (
            with_links(Link("eno1.110", "vlan", master="azl-b-aks", parent="eno1", vlan=110)),
            wants(TAGGED),
            "taken by eno1.110 (a port of azl-b-aks)",
        ),
        (
            facts(netplan_files={INSTALLER: "network: {ethernets: {eno1: {}}, bridges: {azl-lab-aks: {}}}"}),
            wants(TAGGED),
            "netplan defines azl-lab-aks for somebody else",
        ),
        (with_links(Link(TAGGED.name, "dummy")), wants(TAGGED), "stands and is no bridge"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_stands_in_the_way_is_said_with_a_remedy(host: PreparationFacts, wanted: Wanted, said: str) -> None:
    assert said in faults(host, wanted)


def test_all_that_stands_in_the_way_is_said_at_once() -> None:
    text = faults(facts(netplan_files={}, has_vlans=False), wants(TAGGED, UNTAGGED))
    assert "802.1Q" in text
    assert "ifupdown" in text


def test_every_file_of_ours_says_whose_it_is() -> None:
    design = design_network(facts(), wants(UNTAGGED))
    for text in (design.netplan, design.port):
        assert wants().mark_line in str(text).splitlines()
        assert MARK.uuid("netplan", "lab") in str(text)


def beside_another_stack(*others: Bridge) -> PreparationFacts:
    """Return a host where another stack has made its bridges."""
    another = Wanted("dev", Mark("dev", "dev", "urn"), "eno1", others)
    after, design = carried_out(facts(), another)
    files = dict(after.netplan_files) | {another.netplan_path: str(design.netplan)}
    return replace(after, netplan_files=files, own_netplan=None, own_port=None)


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (
            Bridge(name="azl-dev-aks", vlan=110),
            TAGGED,
            "VLAN 110 of eno1 is taken by eno1.110 (a port of azl-dev-aks)",
        ),
        (Bridge(name="azl-dev-lan", vlan=0), UNTAGGED, "eno1 is a port of azl-dev-lan already"),
        (Bridge(name="azl-dev-lan", vlan=0), TAGGED, None),
        (Bridge(name="azl-dev-aks", vlan=120), TAGGED, None),
    ],
)
def test_two_stacks_share_an_uplink_where_each_has_vlans_of_its_own(
    theirs: Bridge, ours: Bridge, said: str | None
) -> None:
    """What the plan's uplink-of-another-stack says."""
    design = design_network(beside_another_stack(theirs), wants(ours))
    if said is None:
        assert (design.faults, design.new[-1]) == ((), ours.name)
    else:
        assert any(said in fault for fault in design.faults), design.faults
