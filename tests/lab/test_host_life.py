"""Hosts come, drain, go, die and come back: machines keep their addresses, and nothing stays behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from infra.lab.host import LabHost
from infra.lab.lab import Lab
from infra.lab.site import hosts_file
from tests.instance import require_image
from tests.lab.conftest import standing_lab
from tests.lab.instance import INSTANCE, bring_image, cluster, instances, on, running, traces
from tests.project import HOST_ONLY, Project
from tests.waiting import eventually, waits_less_than

pytestmark = [pytest.mark.lab, pytest.mark.chain]

SECONDS_WITH_A_DEAD_HOST = 120
"""Of an `up` that has nothing to make: the engine's own time on a busy machine, and no wait for the host."""


@dataclass
class Site:
    """A lab of three hosts, of which the instance has those that `have` named last.

    Attributes:
        hardware: The lab's host behind each name in hosts/lab.yaml.
        untouched: What each of the lab's hosts had before, by its own name.
    """

    lab: Lab
    project: Project
    hardware: dict[str, LabHost]
    untouched: dict[str, set[str]]

    def have(self, **changes: dict[str, Any]) -> None:
        """Write hosts/lab.yaml with these hosts, and these keys of each beside those that the lab gives it."""
        content = hosts_file(self.lab)
        known = {one["name"]: one for one in content["hosts"]}
        hosts = [known[self.hardware[name].name] | {"name": name} | more for name, more in changes.items()]
        path = self.project.directory / "hosts/lab.yaml"
        path.write_text(yaml.safe_dump(content | {"hosts": hosts}, sort_keys=False))

    def machines(self) -> dict[str, Any]:
        """Return what the stack says of its machines."""
        found: dict[str, Any] = self.project.outputs()["machines"]
        return found

    def on_host(self, name: str) -> set[str]:
        """Return the machines that run on a host, as seen at its console."""
        return running(self.hardware[name])

    def places(self) -> dict[str, str]:
        """Return each machine's host, as seen at the hosts' consoles."""
        on = {name for name, host in self.hardware.items() if host.is_on}
        return {machine: name for name in sorted(on) for machine in self.on_host(name)}

    def check_reachable(self, addresses: dict[str, str]) -> None:
        """Log in to every machine at the address it always had."""
        machines = self.machines()
        assert {name: one["address"] for name, one in machines.items()} == addresses
        assert {name: one["host"] for name, one in machines.items()} == self.places()
        for name in machines:
            assert on(self.project, self.lab, name, "hostname") == name


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return an instance of five machines on node1 and node2 of a lab of three hosts."""
    require_image("plain")
    with standing_lab(3) as lab:
        untouched = {host.name: traces(host) for host in lab.hosts}
        with instances(lab, tmp_path_factory.mktemp("site")) as make:
            project = make(netplan_changes={"transport": "vxlan"}, clusters=[cluster(3)])
            site = Site(lab, project, {host.name: host for host in lab.hosts}, untouched)
            site.have(node1={}, node2={})
            bring_image(lab.hosts)
            project.up().expect()
            yield site


def test_a_host_is_added_drained_taken_away_and_replaced(site: Site) -> None:
    project, drained, added = site.project, site.hardware["node2"], site.hardware["node3"]
    before, addresses = site.places(), {name: one["address"] for name, one in site.machines().items()}
    assert set(before.values()) == {"node1", "node2"}

    site.have(node1={}, node2={}, node3={})
    assert changes(project, "Machine") == {}
    project.up().expect()
    assert site.places() == before, "a host more moves nobody"

    site.have(node1={}, node2={"drain": True}, node3={})
    moving = {name for name, host in before.items() if host == "node2"}
    assert changes(project, "Machine") == dict.fromkeys(moving, "replace")
    said = project.up().expect().output
    for name in moving:
        owner = name.removeprefix(f"{INSTANCE}-")
        assert re.search(rf"{owner} moves from node2 to node[13], because node2 drains", said)
    after = site.places()
    assert {name for name, host in after.items() if before[name] != host} == moving
    assert running(drained) == set()
    site.check_reachable(addresses)
    project.refresh("--expect-no-changes").expect()

    site.have(node1={}, node3={})
    project.up().expect()
    assert sorted(traces(drained) - site.untouched[drained.name]) == []
    assert site.places() == after

    # node3 is another machine from now on: what was on the old one goes, and comes to the new one.
    site.hardware |= {"node2": added, "node3": drained}
    site.have(node1={}, node3={})
    project.up().expect()
    assert running(added) == set()
    assert site.places() == after
    site.check_reachable(addresses)


def test_a_host_that_dies_for_good_is_given_up_in_seconds_and_swept_when_it_returns(site: Site) -> None:
    project, dead = site.project, site.hardware["node1"]
    site.have(node1={}, node2={}, node3={})
    project.up().expect()
    before, addresses = site.places(), {name: one["address"] for name, one in site.machines().items()}
    keys = {name: one["sshHostKey"] for name, one in site.machines().items()}
    dead.power_off()  # node1 holds the mesh's gateway, too

    site.have(node2={}, node3={})
    refused = project.up().expect(255).output
    assert "have it in hosts/*.yaml with `lost: true`" in refused

    site.have(node1={"lost": True}, node2={}, node3={})
    project.up().expect()
    moved = {name for name, host in before.items() if host == "node1"}
    assert moved
    after = site.places()
    assert {name for name, host in after.items() if before[name] != host} == moved
    assert {name for name, one in site.machines().items() if one["sshHostKey"] != keys[name]} == moved
    assert moved < set(before), "others stay as they are"
    site.check_reachable(addresses)
    with waits_less_than(SECONDS_WITH_A_DEAD_HOST):
        project.up("--expect-no-changes").expect()
    site.have(node2={}, node3={})
    with waits_less_than(SECONDS_WITH_A_DEAD_HOST):
        project.up().expect()

    # It comes back as it was, and with it machines whose addresses others have by now.
    dead.power_on()
    dead.run("mount", "-o", "loop", f"/var/lib/azlocal/{INSTANCE}.xfs", f"/var/lib/azlocal/{INSTANCE}")

    def all_run() -> bool:
        for name in moved - running(dead):  # libvirt starts them itself where the mount was quicker
            dead.run("virsh", "-c", "lxc:///system", "start", name, check=False)
        return running(dead) == moved

    eventually(all_run, "the machines on the host that came back")
    site.have(node1={}, node2={}, node3={})
    said = project.up().expect().output
    for name in moved:
        assert f"removing {name}, which belongs elsewhere" in said
    assert site.places() == after
    site.check_reachable(addresses)


def test_a_host_that_was_lost_by_mistake_is_taken_back(site: Site) -> None:
    project, mistaken = site.project, site.on_host("node3")
    assert mistaken
    site.have(node1={}, node2={}, node3={"lost": True})
    assert {name for name, change in changes(project, "Machine").items() if change == "replace"} == mistaken
    site.hardware["node3"].cut_link()
    project.up().expect()
    places = {name: one["host"] for name, one in site.machines().items()}
    for name in mistaken:
        assert name in site.on_host("node3") & site.on_host(places[name])
        assert places[name] != "node3"
    site.hardware["node3"].restore_link()
    site.have(node1={}, node2={}, node3={})
    project.up().expect()
    assert site.on_host("node3") == set()
    assert site.places() == places
    project.refresh("--expect-no-changes").expect()


def test_an_instance_is_taken_down_though_a_host_never_answers(site: Site) -> None:
    project, dead = site.project, site.hardware["node2"]
    assert site.on_host("node2")
    dead.power_off()
    said = project.destroy("--continue-on-error").expect(255).output
    assert "What it has of the instance stays there" in said
    for name in ("node1", "node3"):
        assert running(site.hardware[name]) == set(), "the others are emptied all the same"
    site.have(node2={"lost": True})
    with waits_less_than(SECONDS_WITH_A_DEAD_HOST):
        project.destroy().expect()
    assert project.kinds() == {}

    # The state that made what the host has is gone: only its owner's name lets it go when the host comes back.
    dead.power_on()
    site.have(node2={})
    project.edit(clusters=[])
    assert "another state made it" in " ".join(project.up(*HOST_ONLY).output.split())
    owner = json.loads(dead.run("cat", f"/var/lib/azlocal/{INSTANCE}.owner").stdout)
    project.environment["AZLOCAL_TAKE_OVER"] = owner["id"]
    project.up(*HOST_ONLY).expect()
    project.destroy().expect()


def changes(project: Project, kind: str) -> dict[str, str]:
    """Return what a preview would do to resources of a kind, by their names."""
    found = {}
    for step in project.preview()["steps"]:
        *_, types, name = step["urn"].split("::")
        if types.rsplit(":", 1)[-1] == kind and step["op"] not in {
            "same",
            "create-replacement",
            "delete-replaced",
        }:
            found[name] = step["op"]
    return found
