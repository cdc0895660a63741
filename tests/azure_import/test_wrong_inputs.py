"""What can't be read, is there twice or is missing: each is an error with its file, its line and what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.azure_import.report import IMPORT_RULES
from infra.spec import Finding, SpecError
from tests.azure_import.importing import errors, imported, sample, samples
from tests.golden.instances import PUBLIC_KEY

CLUSTER = ("networks.json", "cluster.json")


def refused(texts: dict[str, str]) -> list[Finding]:
    with pytest.raises(SpecError) as caught:
        imported(texts)
    return caught.value.findings


def wrong(texts: dict[str, str], **names: str) -> Finding:
    """Return the one error of files that can be read."""
    (finding,) = errors(imported(texts, **names).findings)
    return finding


@pytest.mark.parametrize(
    ("text", "rule", "where", "what"),
    [
        ("", "import-unknown-file", "x", "the file is empty"),
        ("Name    Location\n----    --------\n", "import-unknown-file", "x", "neither JSON nor Bicep"),
        ("#!/usr/bin/env bash\naz aksarc create\n", "import-unknown-file", "x", "neither JSON nor Bicep"),
        ('{"a": 1}', "import-unknown-file", "x:1", "nobody knows this JSON"),
        ('[{"type": "Microsoft.Storage/accounts"}]', "import-unknown-file", "x:1", ""),
        ('{"type": "Microsoft.Storage/accounts"}', "import-unknown-file", "x:1", "microsoft.storage/accounts"),
        (
            '{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"}',
            "import-unknown-file",
            "x:1",
            "an ARM template",
        ),
        ('[\n{"name": "a",}\n]', "import-broken-file", "x:2", "isn't JSON"),
        ("{", "import-broken-file", "x:1", "isn't JSON"),
        ("[" * 5000, "import-broken-file", "x", ""),
        (
            "using 'main.bicep'\nparam a = 1\n",
            "import-unknown-file",
            "x",
            "nobody knows the parameters of main.bicep",
        ),
        ("using 'a'\nparam b = resourceGroup().location + 1\n", "import-broken-file", "x:2", ""),
        ("using 'a'\nparam b = [\n  env('X')\n]\n", "import-broken-file", "x:3", "'env('X')' is computed"),
        ("param location string\n", "import-unknown-file", "x", "no resource here"),
    ],
)
def test_a_file_that_cant_be_read(text: str, rule: str, where: str, what: str) -> None:
    findings = refused({"x": text})
    assert [(finding.rule, finding.path.partition(": ")[0]) for finding in findings] == [(rule, where)]
    assert what in findings[0].message
    assert findings[0].remedy


def test_every_file_that_cant_be_read_is_named() -> None:
    assert [finding.path for finding in refused({"a": "", "b": "?", **samples(*CLUSTER)})] == ["a", "b"]


def test_nothing_that_makes_a_site() -> None:
    findings = refused(samples("interfaces.json"))
    assert "no file has a logical network" in findings[0].message


def test_two_clusters_of_one_name() -> None:
    other = sample("cluster.json")
    other["id"] = other["id"].replace("resourceGroups/site-1", "resourceGroups/other")
    finding = wrong(samples(*CLUSTER, other=other))
    assert (finding.rule, finding.path.partition(":")[0]) == ("import-twice", "other.json")
    assert "cluster.json" in finding.message


def test_the_same_object_in_two_files_is_one() -> None:
    made = imported(samples(*CLUSTER, again=[sample("cluster.json")]))
    assert errors(made.findings) == []
    assert len(made.clusters) == 1


def test_what_az_says_otherwise_at_another_time_is_no_difference() -> None:
    later = sample("cluster.json")
    later["properties"] |= {"status": {"currentState": "Upgrading"}, "provisioningState": "Updating"}
    assert errors(imported(samples(*CLUSTER, later=later)).findings) == []


def test_two_networks_of_one_name() -> None:
    other = sample("networks.json")[0]
    other["properties"]["subnets"][0]["properties"]["vlan"] = 7
    finding = wrong(samples("networks.json", other=other))
    assert (finding.rule, finding.path.partition(":")[0]) == ("import-twice", "other.json")


def test_a_network_that_no_file_has() -> None:
    findings = errors(imported(samples("cluster.json")).findings)
    first = findings[0]
    assert (first.rule, first.path.rpartition(": ")[2]) == (
        "import-missing-network",
        "properties.cloudProviderProfile.infraNetworkProfile.vnetSubnetIds[0]",
    )
    assert "AKS-vlan110, which no file has" in first.message
    assert "lnet list" in first.remedy


@pytest.mark.parametrize("name", ["pools.json", "extensions.json", "flux.json", "balancers.json"])
def test_a_cluster_that_no_file_has(name: str) -> None:
    findings = errors(imported(samples("networks.json", name)).findings)
    assert {finding.rule for finding in findings} == {"import-missing-cluster"}
    assert "of cluster Shop_1, which no file has" in findings[0].message


def test_a_connected_cluster_that_azure_local_made_needs_its_instance() -> None:
    finding = wrong(samples("networks.json", "connected.json"))
    assert finding.rule == "import-missing-cluster"
    assert "az aksarc show --name Shop_1" in finding.remedy


def test_a_connected_cluster_of_another_kind_is_left_out() -> None:
    other = {**sample("connected.json"), "kind": None, "name": "edge", "id": None}
    made = imported(samples(*CLUSTER, other=other))
    assert errors(made.findings) == []
    assert any("cluster edge is connected to Azure" in one.message for one in made.said("import-left-out"))


def test_two_instances() -> None:
    text = json.dumps(sample("cluster.json")).replace("customLocations/site-1", "customLocations/site-2")
    assert wrong({**samples("networks.json"), "cluster.json": text}).rule == "import-several-instances"


def test_two_descriptions_of_different_instances() -> None:
    finding = wrong(samples("deployment.json", "azuredeploy.parameters.json"))
    assert (finding.rule, finding.path.partition(":")[0]) == ("import-twice", "azuredeploy.parameters.json")


def flux_of(**more: Any) -> list[dict[str, Any]]:
    flux: list[dict[str, Any]] = sample("flux.json")
    flux[0] |= more
    return flux


def test_a_source_that_isnt_git() -> None:
    finding = wrong(samples(*CLUSTER, flux=flux_of(sourceKind="Bucket", bucket={"url": "https://b.example"})))
    assert finding.rule == "import-not-modelled"
    assert "Bucket" in finding.message


def test_two_prefixes_and_two_networks_of_a_cluster() -> None:
    networks = sample("networks.json")
    networks[0]["properties"]["subnets"] *= 2
    assert wrong(samples("cluster.json", networks=networks)).rule == "import-not-modelled"
    cluster = sample("cluster.json")
    cluster["properties"]["cloudProviderProfile"]["infraNetworkProfile"]["vnetSubnetIds"] *= 2
    assert wrong(samples("networks.json", cluster=cluster)).rule == "import-not-modelled"


@pytest.mark.parametrize("name", ["__", "a" * 50])
def test_a_cluster_whose_name_no_machines_can_begin_with(name: str) -> None:
    text = json.dumps(sample("cluster.json")).replace("Shop_1", name)
    findings = errors(imported({**samples("networks.json"), "cluster.json": text}).findings)
    assert "import-name" in {finding.rule for finding in findings}


def test_two_clusters_that_would_have_one_name_here() -> None:
    text = json.dumps(sample("cluster.json")).replace("Shop_1", "shop-1").replace("10.220.32.70", "10.220.32.71")
    findings = errors(imported({**samples(*CLUSTER), "other.json": text}).findings)
    assert findings[0].rule == "import-name"
    assert "would both be called shop-1" in findings[0].message


def test_the_stacks_name_before_a_clusters_is_dropped() -> None:
    text = json.dumps(sample("cluster.json")).replace("Shop_1", "lab-shop")
    made = imported({**samples("networks.json"), "cluster.json": text}, stack="lab")
    assert (made.clusters[0]["name"], made.clusters[0].get("arc", {}).get("name")) == ("shop", None)
    assert made.said("import-renamed") == []


def test_a_list_of_which_the_first_page_is_there() -> None:
    page = {"value": sample("networks.json"), "nextLink": "https://management.azure.com/…"}
    made = imported(samples("cluster.json", networks=page))
    assert any("first page" in finding.message for finding in made.said("import-incomplete"))


def test_keys_of_several_clusters_are_said_to_log_in_everywhere() -> None:
    text = json.dumps(sample("cluster.json")).replace("Shop_1", "two").replace("10.220.32.70", "10.220.32.71")
    assert PUBLIC_KEY.split()[1] in text
    other = text.replace(
        PUBLIC_KEY.split()[1], "AAAAC3NzaC1lZDI1NTE5AAAAIFCvIh2sAqUTDR/ixeSuWYIwvln/b2TuIAGQhQDNuNuZ"
    )
    made = imported({**samples(*CLUSTER), "two.json": other})
    assert len(made.spec.stack.ssh_public_keys) == 2
    assert any("2 SSH keys" in finding.message for finding in made.said("import-left-out"))


def test_rules_are_told_with_errors_first() -> None:
    severities = [rule.severity for rule in IMPORT_RULES.values()]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    assert all(rule.text.endswith(".") for rule in IMPORT_RULES.values())


def test_a_protected_setting_is_never_in_the_files_or_the_report() -> None:
    extensions = sample("extensions.json")
    extensions[2]["configurationProtectedSettings"] = {"connectionString": "hunter2"}
    made = imported(samples(*CLUSTER, extensions=extensions))
    assert "hunter2" not in "".join(made.files.values())
    assert "hunter2" not in "".join(map(str, made.findings))
    assert len(made.said("import-secret")) == 1
