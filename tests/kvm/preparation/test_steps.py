"""Facts → steps: what is missing, in order, and nothing that isn't."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.hosts.facts.system import Distribution
from infra.kvm.preparation import plan
from infra.kvm.preparation.packages import required
from tests.kvm.preparation.samples import TAGGED, carried_out, facts, wants

NOTHING = wants()


def test_a_host_that_has_all_needs_nothing() -> None:
    assert plan(facts(), NOTHING) == plan(carried_out(facts(), wants(TAGGED))[0], wants(TAGGED))
    assert plan(facts(), NOTHING).steps == ()


def test_steps_come_in_the_order_in_which_they_need_each_other() -> None:
    bare = facts(packages=frozenset(), units={}, libvirt_listens=False, user="ann", groups=frozenset({"ann"}))
    found = plan(bare, wants(TAGGED))
    assert [step.id for step in found.steps] == ["packages", "libvirtd", "access", "network"]
    assert found.faults == ()


def test_only_what_is_missing_is_installed_and_nothing_upgraded_or_removed() -> None:
    have = frozenset(required(NOTHING)) - {"swtpm", "ovmf"}
    (step,) = plan(facts(packages=have), NOTHING).steps
    update, install = step.commands
    assert update[-1] == "update"
    assert install[-3:] == ("--", "ovmf", "swtpm")
    assert {"DEBIAN_FRONTEND=noninteractive", "--no-upgrade", "--no-remove", "--yes"} <= set(install)
    assert any(word.startswith("--option=DPkg::Lock::Timeout=") for word in install)
    assert "install these by hand: ovmf swtpm" in step.remedy


def test_packages_follow_how_machines_run() -> None:
    assert "libvirt-daemon-driver-lxc" not in required(wants(runs_containers=False))
    assert "ovmf" not in required(wants(runs_vms=False))
    assert "netplan.io" in required(wants(TAGGED))
    assert "netplan.io" not in required(NOTHING)


@pytest.mark.parametrize(
    ("units", "names"),
    [
        ({}, ["libvirtd.service"]),
        ({"libvirtd.service": "disabled"}, ["libvirtd.service"]),
        ({"virtqemud.socket": "disabled", "virtlxcd.socket": "enabled"}, ["virtqemud.socket", "virtlxcd.socket"]),
    ],
)
def test_libvirt_is_started_as_its_distribution_has_it(units: dict[str, str], names: list[str]) -> None:
    (step,) = plan(facts(units=units, libvirt_listens=False), NOTHING).steps
    assert step.commands == (("systemctl", "enable", "--now", *names),)


def test_libvirt_that_runs_and_would_not_after_a_boot_is_enabled() -> None:
    assert [step.id for step in plan(facts(units={"libvirtd.service": "disabled"}), NOTHING).steps] == ["libvirtd"]


def test_without_systemd_nobody_can_start_libvirt() -> None:
    still = facts(has_systemd=False, units={})
    assert plan(still, NOTHING) == plan(facts(), NOTHING), "it runs: fine"
    (fault,) = plan(replace(still, libvirt_listens=False), NOTHING).faults
    assert "no systemd" in fault


def test_root_needs_no_group() -> None:
    assert plan(facts(user="ann", groups=frozenset({"libvirt"})), NOTHING).steps == ()
    (step,) = plan(facts(user="ann", groups=frozenset()), NOTHING).steps
    assert step.commands == (("usermod", "--append", "--groups", "libvirt", "ann"),)


def test_another_distribution_is_told_what_to_do() -> None:
    fedora = facts(distribution=Distribution("fedora", "Fedora Linux 43"), packages=frozenset())
    found = plan(fedora, wants(TAGGED))
    (fault,) = found.faults
    assert found.steps == ()
    for word in ("Fedora Linux 43", "Debian and Ubuntu", "libvirt-daemon-system", TAGGED.name, "prepare: false"):
        assert word in fault
