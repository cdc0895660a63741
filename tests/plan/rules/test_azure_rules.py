"""Rules that Azure's client, Flux, git and Azure's SDK own are held to them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from azure.mgmt.extendedlocation.operations import _custom_locations_operations as operations
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.image import find_node_image
from infra.spec.stack import StackConfig
from tests.instances import checked_addresses, cluster, files, host, make_spec, network, spec_of, write_files
from tests.plan.rules.arc_cases import connected
from tests.plan.rules.azure_cases import BAD_REFERENCES, BAD_URLS, FLUX_SOUND, at, fetching, placed

GOOD_REFERENCES = ("main", "feature/x", "v1.0", "a-b_c", "1", "é", "release.lock2", "a@b", "@a")
LIKE_AN_ADDRESS = r"(ssh|https?|git)(://)?[a-z@:./\[\]%0-9]{0,20}"
NAMES = ("a", "A-b_c", "9z", "-a", "a-", "_", "a.b", "a b", "é", "a" * 63, "a" * 64)


def rules_of(instance: dict[str, Any]) -> set[str]:
    parts = dict(instance)
    return {finding.rule for finding in checked_addresses(make_spec(*parts.pop("clusters", ()), **parts)).findings}


def flux_pattern(*place: str) -> re.Pattern[str]:
    """Return the pattern that Flux's own object has at a place below `spec`."""
    image = find_node_image("kubernetes")
    if image is None or image.bundle is None:
        pytest.skip("the bundle with Flux isn't built")
    crds = Path(image.bundle.charts["flux"]) / "crds"
    content = yaml.safe_load((crds / "source.toolkit.fluxcd.io_gitrepositories.yaml").read_text(encoding="utf-8"))
    (stored,) = (one for one in content["spec"]["versions"] if one["storage"])
    schema = stored["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for part in place:
        schema = schema["properties"][part]
    return re.compile(schema["pattern"])


@pytest.mark.engine  # the bundle is built
@pytest.mark.parametrize("url", BAD_URLS)
def test_what_flux_refuses_of_addresses_is_refused(url: str) -> None:
    is_refused = "arc-flux-bad-url" in rules_of(fetching(url))
    assert is_refused
    if url.startswith(("http://", "https://", "ssh://")):
        return  # Flux refuses these only when it fetches: a URL's parts are no matter of a pattern
    assert not flux_pattern("url").search(url)


@pytest.mark.engine
def test_what_is_accepted_of_addresses_is_what_flux_accepts() -> None:
    pattern = flux_pattern("url")
    urls = [
        configuration["gitRepository"]["url"]
        for instance in FLUX_SOUND
        for one in instance.get("clusters", ())
        for configuration in one.get("arc", {}).get("fluxConfigurations", ())
    ]
    assert len(urls) > 10
    assert all(pattern.search(url) for url in urls)


@pytest.mark.skipif(shutil.which("git") is None, reason="git isn't installed")
@pytest.mark.parametrize("name", [*BAD_REFERENCES, *GOOD_REFERENCES])
def test_a_branch_is_one_that_git_takes(name: str) -> None:
    done = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False)
    assert ("arc-flux-reference" in rules_of(at(branch=name))) == (done.returncode != 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_custom_location_has_a_name_that_the_sdk_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, dict[str, Any]] = {}
    serializer = operations._SERIALIZER
    monkeypatch.setattr(serializer, "url", lambda part, value, kind, **bounds: asked.setdefault(part, bounds))
    build: Any = operations.build_create_or_update_request
    build("rg", name, "00000000-0000-0000-0000-000000000001")
    bounds = asked["resource_name"]
    assert {"pattern", "max_length"} <= bounds.keys()
    checks: dict[str, Any] = dict(serializer.validation)
    is_refused = any(checks[bound](name, wanted) for bound, wanted in bounds.items())
    assert ("arc-custom-location-name" in rules_of(connected(placed({"name": name})))) == is_refused


@pytest.mark.parametrize(
    "name", ["multiRack", "multi-rack", "rackScale", "disconnected", "DisconnectedOperations", "bareMetal"]
)
def test_a_class_that_azure_has_and_we_dont_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        StackConfig.model_validate({"site": "s", "deploymentClass": name})
    (error,) = refusal.value.errors()
    assert error["type"] == "class-not-modelled"
    assert "Azure Local" in error["msg"] or "bare metal" in error["msg"]


def test_a_class_in_azures_spelling_is_named_in_ours() -> None:
    with pytest.raises(ValidationError) as refusal:
        StackConfig.model_validate({"site": "s", "deploymentClass": "RackAware"})
    assert refusal.value.errors()[0]["ctx"]["remedy"] == "write rackAware"


def test_a_network_whose_only_pool_is_a_vippool_gives_from_it() -> None:
    pool = {"start": "10.220.32.18", "end": "10.220.32.37", "ipPoolType": "vippool"}
    plan = checked_addresses(make_spec(cluster(), networks=[network(ipPools=[pool])]))
    assert not plan.findings
    assert plan.addresses.network("aks").pool.size == 20
    both = [pool, {"start": "10.220.32.100", "end": "10.220.32.120"}]
    plan = checked_addresses(make_spec(cluster(), networks=[network(ipPools=both)]))
    assert plan.addresses.network("aks").pool.size == 21, "nothing is taken from it beside another pool"


def test_sixty_four_hosts_are_a_disaggregated_instance(tmp_path: Path) -> None:
    infra = {"pool": {"start": "192.168.1.100", "end": "192.168.1.110"}}
    hosts = [host(number, managementAddress=f"192.168.1.{number + 10}") for number in range(1, 65)]
    content = files([cluster()], hosts=hosts, stack={"deploymentClass": "disaggregated"})
    content["netplan"]["infrastructure"].update(infra)
    write_files(tmp_path, content)
    assert checked_addresses(spec_of(content)).ok


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.text(max_size=30), st.from_regex(r"(ssh|https?|git)(://)?[a-z@:./\[\]%0-9]{0,20}", fullmatch=True)
    )
)
def test_any_text_for_an_address_is_judged_and_its_remedy_is_an_address(url: str) -> None:
    instance = dict(fetching(url))
    findings = checked_addresses(make_spec(*instance.pop("clusters"), **instance)).findings
    for one in (finding for finding in findings if finding.rule == "arc-flux-bad-url"):
        better = one.remedy.removeprefix("write ")
        assert " or " in better or "arc-flux-bad-url" not in rules_of(fetching(better))
