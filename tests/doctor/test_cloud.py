"""Which Azure hosts have to reach: the stack's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.doctor.cloud import outside_of
from infra.doctor.gather.outbound import reach_endpoint
from infra.doctor.wanted import Outside
from infra.emulator import daemon
from infra.spec import InstanceSpec
from tests.doctor.test_outside import local
from tests.instances import cluster, make_spec
from tests.plan.rules.arc_cases import SUBSCRIPTION


def spec_of(*clusters: dict[str, Any], **arc: Any) -> InstanceSpec:
    stack: dict[str, Any] = {"arc": {"subscriptionId": SUBSCRIPTION, **arc}} if arc else {}
    return make_spec(*(clusters or (cluster(),)), stack=stack)


def names(found: Outside) -> list[str]:
    return [str(one) for one in found.endpoints]


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[daemon.Emulator]:
    """The emulator of instance `lab`, as `up` has started it; agents reach it at an address of this machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = daemon.default_folder("lab")
    daemon.initialise(folder, agent_address="127.0.0.2")
    try:
        yield daemon.ensure_running(folder)
    finally:
        daemon.remove(folder)


def test_azures_public_cloud_by_the_regions_of_the_clusters() -> None:
    for spec in (spec_of(), spec_of(cloud="AzureCloud")):
        found = names(outside_of(spec))
        assert found[0] == "management.azure.com"
        assert "eastus.dp.kubernetesconfiguration.azure.com" in found
        assert found[-2:] == ["packages.microsoft.com", "dl.k8s.io"]
        assert {"login.windows.net", "graph.microsoft.com", "guestnotificationservice.azure.com"} <= set(found)
    apart = spec_of(cluster("a", arc={"location": "West Europe"}), cluster("b"), cloud="AzureCloud")
    found = names(outside_of(apart))
    assert {one for one in found if ".dp." in one} == {
        "westeurope.dp.kubernetesconfiguration.azure.com",
        "eastus.dp.kubernetesconfiguration.azure.com",
    }
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("cloud", "some"),
    [
        (
            "AzureUSGovernment",
            {"management.usgovcloudapi.net", "login.microsoftonline.us", "gbl.his.arc.azure.us"},
        ),
        ("AzureChinaCloud", {"management.chinacloudapi.cn", "login.chinacloudapi.cn", "mcr.azk8s.cn"}),
    ],
)
def test_the_other_clouds_are_reached_at_their_own_names(cloud: str, some: set[str]) -> None:
    found = names(outside_of(spec_of(cloud=cloud)))
    assert some <= set(found)
    assert not [one for one in found if one.endswith((".azure.com", "microsoftonline.com")) or "*" in one]


def test_an_emulator_that_does_not_run_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    spec = make_spec(cluster(), stack={"arc": {"cloud": "emulator", "emulatorAddress": "127.0.0.2"}})
    found = outside_of(spec)
    assert found.endpoints == ()
    assert "it doesn't run: `up` starts it" in found.reason
    assert not daemon.default_folder("lab").exists(), "and looking starts nothing"
    daemon.initialise(daemon.default_folder("lab"), agent_address="127.0.0.2")
    assert outside_of(spec).endpoints == ()


def test_the_emulator_is_reached_where_agents_reach_it_and_by_its_own_authority(emulator: daemon.Emulator) -> None:
    spec = make_spec(cluster(), stack={"arc": {"cloud": "emulator", "emulatorAddress": "127.0.0.2"}})
    found = outside_of(spec)
    assert names(found) == [f"127.0.0.2:{emulator.port}"]
    (endpoint,) = found.endpoints
    assert endpoint.is_address
    assert reach_endpoint(local(), endpoint, None, found.authorities).problem is None
    assert reach_endpoint(local(), endpoint, None).untrusted


def test_a_cloud_of_the_users_is_asked_what_it_is(emulator: daemon.Emulator) -> None:
    custom = {"cloud": "custom", "resourceManager": emulator.url, "caFile": str(emulator.ca_file)}
    found = outside_of(spec_of(**custom))
    assert set(names(found)) == {f"127.0.0.1:{emulator.port}", f"127.0.0.2:{emulator.port}"}
    assert found.authorities == emulator.ca_file.read_text()


def test_a_cloud_that_does_not_answer_from_here_is_told_by_its_resource_manager() -> None:
    found = outside_of(spec_of(cloud="custom", resourceManager="https://127.0.0.1:1/x"))
    assert names(found) == ["127.0.0.1:1"]
