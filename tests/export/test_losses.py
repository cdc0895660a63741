"""Each rule of an export: what breaks it, and that the example breaks none."""

from __future__ import annotations

from typing import Any

import pytest

from infra.export import nowhere
from infra.export.export import export
from infra.export.facts import Format
from infra.export.rules import EXPORT_RULES, losses
from infra.plan.addresses import Lock
from infra.spec.stack import ClusterSpec
from infra.spec.types import Model
from tests.export.exporting import KEY, TARGET, facts_of
from tests.instances import cluster, host, infrastructure, make_spec, network

A4 = {"count": 1, "vmSize": "Standard_A4_v2"}
SERVICES = {"addresses": ["10.220.32.47-10.220.32.49"]}
VAULT = {"name": "kv-1"}


def flux(**more: Any) -> dict[str, Any]:
    return {
        "fluxConfigurations": [{"name": "apps", "gitRepository": {"url": "https://git.example/r.git", **more}}]
    }


WORKSPACE = "/subscriptions/x/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
# rule, format, cluster, parts of the files, target, and where the finding stands
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    (
        "export-version-not-offered",
        "bicep",
        {"kubernetesVersion": "1.34.4"},
        {},
        {"kubernetesVersion": None},
        "clusters[0].kubernetesVersion",
    ),
    ("export-version-not-offered", "az", {}, {}, {"kubernetesVersion": "1.34.4"}, "kubernetesVersion"),
    (
        "export-version-not-offered",
        "az",
        {},
        {},
        {"clusters": {"a": {"kubernetesVersion": "1.34.4"}}},
        "clusters.a.kubernetesVersion",
    ),
    ("export-version-not-offered", "az", {}, {"stack": {"azureLocalRelease": "2510"}}, {}, "kubernetesVersion"),
    (
        "export-own-vm-size",
        "terraform",
        {"controlPlane": {"vmSize": "Small"}},
        {},
        {},
        "clusters[0].controlPlane.vmSize",
    ),
    (
        "export-own-vm-size",
        "bicep",
        {"agentPools": [{"name": "nodepool1", "vmSize": "Small"}]},
        {},
        {},
        "clusters[0].agentPools[0].vmSize",
    ),
    (
        "export-own-vm-size",
        "bicep",
        {"controlPlane": {"vmSize": "Small"}},
        {},
        {"vmSizes": {"Small": "Standard_A2_v2"}},
        "vmSizes.Small",
    ),
    (
        "export-service-cidr",
        "az",
        {"networkProfile": {"serviceCidr": "10.112.0.0/16"}},
        {},
        {},
        "networkProfile.serviceCidr",
    ),
    ("export-one-ssh-key", "az", {}, {}, {"sshPublicKey": None}, "clusters[0]"),
    ("export-switch-unknown", "bicep", {}, {}, {"vmSwitchName": None}, "logicalNetworks[0]"),
    ("export-target-incomplete", "bicep", {}, {}, {"subscriptionId": None}, "subscriptionId"),
    ("export-target-incomplete", "arm", {}, {}, {"resourceGroup": None}, "resourceGroup"),
    ("export-target-incomplete", "az", {}, {}, {"customLocationResourceId": None}, "customLocationResourceId"),
    ("export-target-incomplete", "terraform", {}, {}, {"tenantId": None}, "tenantId"),
    ("export-target-incomplete", "arm", {}, {}, {"instance": None}, "instance"),
    ("export-unknown-in-target", "odin", {}, {}, {"clusters": {"z": {}}}, "clusters.z"),
    ("export-unknown-in-target", "odin", {}, {}, {"vmSizes": {"Nano": "Standard_A4_v2"}}, "vmSizes.Nano"),
    (
        "export-metallb-id",
        "bicep",
        {"loadBalancer": SERVICES},
        {},
        {"k8sRuntimeFpaObjectId": None},
        "loadBalancer",
    ),
    (
        "export-password-in-url",
        "az",
        {"arc": flux(url="https://me:secret@git.example/r.git")},
        {},
        {},
        "gitRepository.url",
    ),
    (
        "export-host-address",
        "odin",
        {},
        {"hosts": [{key: value for key, value in host().items() if key != "managementAddress"}]},
        {},
        "hosts[0]",
    ),
    (
        "export-witness",
        "arm",
        {},
        {"hosts": [host(1), host(2)]},
        {"instance": {**TARGET["instance"], "witnessStorageAccountName": None}},
        "instance",
    ),
    (
        "export-class",
        "arm",
        {},
        {"stack": {"deploymentClass": "rackAware"}, "hosts": [host(1), host(2)]},
        {},
        "deploymentClass",
    ),
    ("export-addresses", "bicep", {}, {}, {}, "clusters"),
    ("export-left-out", "az", {"timeoutMinutes": 5}, {}, {}, "clusters[0].timeoutMinutes"),
    (
        "export-left-out",
        "odin",
        {},
        {"reservations": [{"address": "10.220.32.9", "owner": "printer"}]},
        {},
        "reservations",
    ),
    (
        "export-left-out",
        "bicep",
        {},
        {},
        {"clusters": {"a": {"authorizedIPRanges": ["192.0.2.0/24"]}}},
        "clusters.a.authorizedIPRanges",
    ),
    (
        "export-left-out",
        "bicep",
        {"autoScalerProfile": {"scan-interval": "20s"}},
        {},
        {},
        "clusters[0].autoScalerProfile",
    ),
    ("export-left-out", "az", {"arc": {"location": "westeurope"}}, {}, {}, "clusters[0].arc.location"),
    ("export-version-replaced", "az", {"kubernetesVersion": "1.34.4"}, {}, {}, "kubernetesVersion"),
    ("export-vm-size-replaced", "az", {}, {}, {"vmSizes": {"Small": "Standard_A4_v2"}}, "vmSizes.Small"),
    ("export-services-chosen", "az", {"loadBalancer": {"count": 2}}, {}, {}, "loadBalancer"),
    (
        "export-load-balancer-off",
        "az",
        {"loadBalancer": SERVICES, "addOns": {"metallb": {"enabled": False}}},
        {},
        {},
        "addOns",
    ),
    ("export-no-admins", "az", {}, {}, {"adminGroupObjectIDs": []}, "adminGroupObjectIDs"),
    ("export-proxy", "arm", {}, {"netplan": {"proxy": {"httpProxy": "http://u:p@192.168.1.3:8080"}}}, {}, "proxy"),
    (
        "export-secrets",
        "az",
        {
            "arc": {
                "extensions": [
                    {
                        "name": "x",
                        "extensionType": "microsoft.dapr",
                        "configurationProtectedSettings": {"k": "arc:k"},
                    }
                ]
            }
        },
        {},
        {},
        "arc.extensions",
    ),
    (
        "export-data-collection",
        "bicep",
        {"arc": {"knownExtensions": {"containerInsights": {"logAnalyticsWorkspaceResourceID": WORKSPACE}}}},
        {},
        {},
        "arc",
    ),
    (
        "export-autoscaling",
        "terraform",
        {"agentPools": [{"name": "nodepool1", "enableAutoScaling": True, "minCount": 1, "maxCount": 2}]},
        {},
        {},
        "enableAutoScaling",
    ),
    (
        "export-pools",
        "terraform",
        {},
        {
            "networks": [
                network(ipPools=[{"start": f"10.220.32.{n}", "end": f"10.220.32.{n + 9}"} for n in (20, 40)])
            ]
        },
        {},
        "ipPools",
    ),
    ("export-first-pool", "az", {"agentPools": [{"name": "web"}]}, {}, {}, "agentPools[0].name"),
    ("export-key-vault", "az", {}, {}, {"sshPublicKey": None, "sshKeyVault": VAULT}, "sshKeyVault"),
    ("export-instance-only", "odin", {}, {}, {}, "clusters"),
    ("export-passwords", "arm", {}, {}, {}, "instance"),
]
_WITH_OTHERS = {"export-same-name", "export-not-locked"}  # tests of their own, below


def found(rule: str, facts: Any) -> list[Any]:
    return [finding for finding in losses(facts) if finding.rule == rule]


@pytest.mark.parametrize(("rule", "to", "own", "parts", "target", "place"), CASES)
def test_what_breaks_a_rule_is_named_with_its_place(
    rule: str, to: str, own: dict[str, Any], parts: dict[str, Any], target: dict[str, Any], place: str
) -> None:
    left = tuple(key for key, value in target.items() if value is None)
    more = {key: value for key, value in target.items() if value is not None}
    facts = facts_of(make_spec(cluster(**own), **parts), to, without=left, **more)
    (finding,) = found(rule, facts)
    assert finding.path.endswith(place)
    assert finding.severity == EXPORT_RULES[rule].severity
    made, report = export(facts)
    assert finding in report
    assert bool(made.files) == all(one.severity != "error" for one in report)


def test_every_rule_is_broken_by_a_test() -> None:
    assert {rule for rule, *_ in CASES} | _WITH_OTHERS == set(EXPORT_RULES)


@pytest.mark.parametrize("to", Format)
def test_a_sound_export_has_no_error_and_says_only_what_always_holds(to: Format) -> None:
    spec = make_spec(cluster(controlPlane={"hostIP": "10.220.32.60"}, loadBalancer=SERVICES))
    made, report = export(facts_of(spec, to))
    assert made.files
    assert {finding.rule for finding in report} <= {"export-addresses", "export-instance-only", "export-passwords"}


def test_what_isnt_sound_here_isnt_carried_anywhere() -> None:
    made, report = export(facts_of(make_spec(cluster(planes=2)), "bicep"))
    assert not made.files
    assert [finding.rule for finding in report if finding.severity == "error"] == ["control-plane-count"]


def test_two_clusters_dont_have_one_name_in_azure() -> None:
    spec = make_spec(cluster("a"), cluster("b"))
    assert not found("export-same-name", facts_of(spec, "az"))
    twice = found("export-same-name", facts_of(spec, "az", clusters={"a": {"name": "lab-B"}}))
    assert [finding.path for finding in twice] == [
        "Pulumi.lab.yaml: clusters[0]",
        "Pulumi.lab.yaml: clusters[1]",
    ]


def test_addresses_of_services_that_azlocal_chose_come_from_the_lock() -> None:
    spec = make_spec(cluster(loadBalancer={"count": 2}))
    assert found("export-not-locked", facts_of(spec, "bicep", lock=Lock()))
    assert not found("export-not-locked", facts_of(spec, "bicep"))
    written = make_spec(cluster(loadBalancer=SERVICES))
    assert not found("export-not-locked", facts_of(written, "bicep", lock=Lock()))


def test_what_is_written_for_one_stack_of_a_site_isnt_unknown_to_the_other() -> None:
    spec = make_spec(cluster("a"), siblings={"other": {"clusters": [cluster("b")]}})
    facts = facts_of(spec, "odin", clusters={"b": {}, "other/b": {}, "lab/a": {"name": "x"}})
    assert not found("export-unknown-in-target", facts)
    assert facts.names == {"a": "x"}
    assert found("export-unknown-in-target", facts_of(spec, "odin", clusters={"other/a": {}}))


def test_of_several_keys_the_target_names_one() -> None:
    spec = make_spec(cluster())
    assert len(found("export-one-ssh-key", facts_of(spec, "az", keys=(KEY, KEY), without=("sshPublicKey",)))) == 1
    assert not found("export-one-ssh-key", facts_of(spec, "az", keys=(KEY,), without=("sshPublicKey",)))
    assert not found("export-one-ssh-key", facts_of(spec, "az", keys=(KEY, KEY)))


def test_the_subscription_of_the_stack_counts_where_the_target_names_none() -> None:
    own = {"arc": {"subscriptionId": "00000000-0000-0000-0000-0000000000ff", "resourceGroup": "own"}}
    facts = facts_of(make_spec(cluster(), stack=own), "arm", without=("subscriptionId", "resourceGroup"))
    assert (facts.subscription_id, facts.resource_group) == (own["arc"]["subscriptionId"], "own")
    emulated = make_spec(cluster(), stack={"arc": {"cloud": "emulator"}}, infra=infrastructure())
    assert facts_of(emulated, "arm", without=("subscriptionId",)).subscription_id is None


def test_every_key_of_the_files_carries_or_is_said_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that comes to a file later is named, too, until somebody gives it a place."""
    spec = make_spec(cluster(timeoutMinutes=5))
    fewer = dict(nowhere.CARRIED)
    fewer[ClusterSpec] -= {"agentPools"}
    monkeypatch.setattr(nowhere, "CARRIED", fewer)
    messages = [finding.message for finding in found("export-left-out", facts_of(spec, "az"))]
    assert messages == [
        "`agentPools` isn't exported: no format has a place for it",
        "`timeoutMinutes` isn't exported: it is about how azlocal makes machines here",
    ]


@pytest.mark.parametrize("model", nowhere.CARRIED)
def test_what_carries_are_keys_of_the_files(model: type[Model]) -> None:
    keys = {field.alias or name for name, field in model.model_fields.items()}
    assert nowhere.CARRIED[model] <= keys
