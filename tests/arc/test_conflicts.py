"""Every row of the conflict table (facts §1.13), and what interruptions add to it."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from infra.arc.agents import ClusterIdentity
from infra.arc.conflicts import Existing, Standing, decide, require_direct
from infra.arc.errors import Conflict
from infra.kubernetes.helm import Release

TARGET = ClusterIdentity("sub-1", "lab-rg", "a")
RELEASE = Release("azure-arc", "azure-arc-release", "deployed", "azure-arc-k8sagents-1.36.1")
CONNECTED = Existing("Connected", "KEY")


def _refusal(standing: Standing) -> Conflict:
    with pytest.raises(Conflict) as caught:
        decide(standing, TARGET)
    assert caught.value.remedy
    return caught.value


def test_a_cluster_without_agents_and_a_free_name_is_onboarded() -> None:
    decision = decide(Standing(), TARGET)
    assert (decision.action, decision.clean) == ("onboard", False)


def test_definitions_that_were_left_behind_are_removed_first() -> None:
    decision = decide(Standing(leftovers=("extensionconfigs.clusterconfig.azure.com",)), TARGET)
    assert (decision.action, decision.clean) == ("onboard", True)


def test_a_release_without_the_map_that_says_whose_it_is_is_refused_with_the_command() -> None:
    error = _refusal(Standing(release=RELEASE, wanted=CONNECTED))
    assert error.rule == "agents-half-removed"
    assert "helm uninstall azure-arc --namespace azure-arc-release --no-hooks" in str(error)


def test_a_connection_as_wanted_is_adopted_whatever_case_its_names_have() -> None:
    identity = ClusterIdentity("SUB-1", "LAB-RG", "A")
    standing = Standing(release=RELEASE, identity=identity, wanted=CONNECTED, named=CONNECTED)
    assert decide(standing, TARGET).action == "adopt"


@pytest.mark.parametrize(
    "identity",
    [
        ClusterIdentity("sub-1", "lab-rg", "b"),
        ClusterIdentity("sub-1", "other-rg", "a"),
        ClusterIdentity("sub-2", "lab-rg", "a"),
    ],
    ids=["name", "resource group", "subscription"],
)
def test_a_cluster_connected_elsewhere_is_named(identity: ClusterIdentity) -> None:
    error = _refusal(Standing(release=RELEASE, identity=identity, named=CONNECTED))
    assert error.rule == "connected-elsewhere"
    assert str(identity) in str(error)


def test_a_connection_that_cannot_be_seen_is_not_taken_for_stale_agents() -> None:
    identity = ClusterIdentity("sub-2", "rg", "b")
    error = _refusal(Standing(release=RELEASE, identity=identity, hidden="AuthorizationFailed: no"))
    assert error.rule == "connected-elsewhere"
    assert "AuthorizationFailed" in str(error)


@pytest.mark.parametrize("identity", [TARGET, ClusterIdentity("sub-1", "rg", "gone")])
def test_agents_whose_resource_is_gone_are_removed_first(identity: ClusterIdentity) -> None:
    decision = decide(Standing(release=RELEASE, identity=identity), TARGET)
    assert (decision.action, decision.clean) == ("onboard", True)


def test_a_resource_of_that_name_without_agents_here_belongs_to_another_cluster() -> None:
    error = _refusal(Standing(wanted=Existing("Connected", "OTHER")))
    assert error.rule == "resource-exists"
    assert "lab-rg/a in subscription sub-1" in str(error)
    assert "choose another name" in str(error)


def test_a_resource_that_waits_for_agents_gets_them() -> None:
    assert decide(Standing(wanted=Existing("AgentNotInstalled", "")), TARGET).action == "onboard"


def test_a_run_that_was_interrupted_before_azure_heard_of_it_goes_on_with_its_key() -> None:
    assert decide(Standing(key="KEY"), TARGET).action == "resume"


def test_a_run_that_was_interrupted_before_helm_goes_on_with_its_key() -> None:
    assert decide(Standing(key="KEY", wanted=Existing("Connecting", "KEY")), TARGET).action == "resume"


def test_a_run_that_was_interrupted_within_helm_goes_on() -> None:
    release = dataclasses.replace(RELEASE, status="pending-install")
    standing = Standing(release=release, key="KEY", wanted=Existing("Connecting", "KEY"))
    assert decide(standing, TARGET).action == "resume"


def test_a_key_that_azure_does_not_know_is_no_interrupted_run() -> None:
    assert _refusal(Standing(key="KEY", wanted=Existing("Connecting", "OTHER"))).rule == "resource-exists"


@pytest.mark.parametrize("has_release", [True, False])
def test_an_expired_identity_is_not_adopted(has_release: bool) -> None:
    expired = Existing("Expired", "KEY")
    standing = Standing(
        release=RELEASE if has_release else None,
        identity=TARGET if has_release else None,
        key="KEY",
        wanted=expired,
        named=expired,
    )
    error = _refusal(standing)
    assert error.rule == "identity-expired"
    assert "90 days" in str(error)
    assert "disconnect the cluster and connect it again" in error.remedy


def test_another_key_than_azures_is_refused_as_long_as_agents_have_no_identity() -> None:
    standing = Standing(release=RELEASE, identity=TARGET, key="MINE", wanted=CONNECTED, named=CONNECTED)
    error = _refusal(standing)
    assert error.rule == "key-mismatch"
    assert "never give them an identity; disconnect the cluster and connect it again" in str(error)
    assert decide(dataclasses.replace(standing, has_certificate=True), TARGET).action == "adopt"


def test_a_cluster_that_azure_provisioned_is_left_alone() -> None:
    error = _refusal(Standing(wanted=Existing("Connected", "", "ProvisionedCluster")))
    assert error.rule == "provisioned-cluster"


def test_a_kubeconfig_that_leads_through_azure_itself_is_refused() -> None:
    id = "/subscriptions/S/resourceGroups/rg/providers/Microsoft.Kubernetes/connectedClusters/a"
    path = hashlib.sha256(id.lower().encode()).hexdigest()
    with pytest.raises(Conflict, match="directly"):
        require_direct(f"https://127.0.0.1:47011/{path}", id)
    require_direct("https://10.0.0.1:6443", id)
    require_direct(f"https://127.0.0.1:47011/{path}", f"{id}-2")
