"""Which changes replace a connection."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infra.arc.environment import environment_of
from infra.arc.model import AzureRbac, AzureScope, Features, OidcIssuer, Proxy
from infra.arc.onboarding import replaced
from tests.arc.test_helm_values import wanted

OLD = wanted(features=Features(oidc_issuer=OidcIssuer(True)))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"environment": environment_of("AzureUSGovernment")}, ["environment"]),
        ({"scope": AzureScope("other", "rg")}, ["scope"]),
        ({"scope": AzureScope("sub", "other")}, ["scope"]),
        ({"name": "b"}, ["name"]),
        ({"location": "westus"}, ["location"]),
        ({"infrastructure": "azure_stack_hci"}, ["infrastructure"]),
        ({"features": Features(oidc_issuer=OidcIssuer(False))}, ["features"]),
    ],
)
def test_what_azure_cannot_change_replaces(change: dict[str, Any], names: list[str]) -> None:
    assert replaced(OLD, dataclasses.replace(OLD, **change)) == names


@pytest.mark.parametrize(
    "change",
    [
        {"scope": AzureScope("SUB", "RG", "tenant")},
        {"location": "East US"},
        {"name": "A"},
        {"tags": {"a": "b"}},
        {"azure_hybrid_benefit": "True"},
        {"distribution": "k3s"},
        {"auto_upgrade": False},
        {"agent_version": "1.36.1"},
        {"release_train": "preview"},
        {"kubeconfig": "another"},
        {"features": dataclasses.replace(OLD.features, proxy=Proxy("http://p"), azure_rbac=AzureRbac(True))},
        {"features": dataclasses.replace(OLD.features, cluster_connect=False, gateway_id="/g")},
    ],
)
def test_everything_else_is_changed_in_place(change: dict[str, Any]) -> None:
    assert replaced(OLD, dataclasses.replace(OLD, **change)) == []
