"""ARM's bodies of what stands on a connected cluster."""

from __future__ import annotations

from typing import Any

import pytest

from infra.arc.cluster_resources import (
    ExtensionWanted,
    extension_body,
    kustomizations_of,
    parse_arm_id,
    problems_of,
    without_nothing,
)

CLUSTER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/c"


def wanted(**changes: Any) -> ExtensionWanted:
    fields: dict[str, Any] = {
        "extension_type": "microsoft.flux",
        "release_train": "Stable",
        "version": None,
        "release_namespace": "flux-system",
        "target_namespace": None,
        "settings": {},
        "protected_settings": {},
    }
    return ExtensionWanted(**fields | changes)


def test_an_arm_id_comes_apart() -> None:
    found = parse_arm_id(f"{CLUSTER}/providers/Microsoft.KubernetesConfiguration/extensions/e")
    assert found is not None
    assert (found.subscription_id, found.resource_group, found.parent, found.name) == ("s", "g", CLUSTER, "e")
    assert parse_arm_id(CLUSTER.lower()) is not None
    for other in ("", "/subscriptions/s", "qemu:///system#x", "/subscriptions/s/resourceGroups/g"):
        assert parse_arm_id(other) is None


def test_a_version_pins_and_none_lets_azure_upgrade() -> None:
    free, pinned = extension_body(wanted())["properties"], extension_body(wanted(version="1.2"))["properties"]
    assert (free["autoUpgradeMinorVersion"], free.get("version")) == (True, None)
    assert (pinned["autoUpgradeMinorVersion"], pinned["version"]) == (False, "1.2")


def test_the_scope_is_one_of_both_or_the_types_own() -> None:
    scopes = [
        extension_body(one)["properties"].get("scope")
        for one in (wanted(), wanted(target_namespace="x"), wanted(release_namespace=None))
    ]
    assert scopes == [
        {"cluster": {"releaseNamespace": "flux-system"}},
        {"namespace": {"targetNamespace": "x"}},
        None,
    ]


def test_only_types_that_use_one_get_an_identity() -> None:
    assert extension_body(wanted())["identity"] == {"type": "SystemAssigned"}
    assert "identity" not in extension_body(wanted(extension_type="Microsoft.Dapr"))


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({}, []),
        ({"statuses": [{"code": "InstallState", "level": "Information", "message": "fine"}]}, []),
        (
            {"statuses": [{"code": "InstallState", "level": "Error", "message": "no chart"}]},
            ["InstallState: no chart"],
        ),
        ({"errorInfo": {"code": "ExtensionCreationFailed", "message": "m"}}, ["ExtensionCreationFailed: m"]),
        ({"errorMessage": "git: not found"}, ["git: not found"]),
        (
            {
                "statuses": [
                    {
                        "name": "app-all",
                        "complianceState": "Non-Compliant",
                        "statusConditions": [{"type": "Ready", "status": "False", "message": "bad yaml"}],
                    },
                    {"name": "app", "complianceState": "Compliant"},
                ]
            },
            ["app-all: bad yaml"],
        ),
    ],
)
def test_what_is_wrong_is_said_once(properties: dict[str, Any], said: list[str]) -> None:
    assert problems_of({"properties": properties}) == said


def test_what_arm_adds_to_kustomizations_is_no_difference() -> None:
    body = {"properties": {"kustomizations": {"all": {"name": "all", "path": "./x", "postBuild": None}}}}
    assert kustomizations_of(body) == {"all": {"path": "./x"}}


def test_nothing_is_said_of_what_nobody_wrote() -> None:
    assert without_nothing({"a": None, "b": {"c": None}, "d": {"e": 0, "f": False}}) == {"d": {"e": 0, "f": False}}
