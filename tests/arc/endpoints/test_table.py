"""Which endpoints a cloud and its settings need (facts §7)."""

from __future__ import annotations

import pytest

from infra.arc.endpoints.table import Endpoint, Settings, endpoints_of
from infra.arc.environment import environment_of
from tests.arc.test_helm_values import OWN


def names(cloud: str = "AzureCloud", *, required: bool | None = None, **settings: object) -> set[str]:
    found = endpoints_of(environment_of(cloud), Settings("eastus", **settings))  # type: ignore[arg-type]
    return {str(one) for one in found if required is None or one.is_required is required}


def test_the_public_cloud() -> None:
    assert names(required=True) == {
        "management.azure.com",
        "eastus.dp.kubernetesconfiguration.azure.com",
        "login.microsoftonline.com",
        "eastus.login.microsoft.com",
        "login.windows.net",
        "gbl.his.arc.azure.com",
        "*.his.arc.azure.com",
        "mcr.microsoft.com",
        "*.data.mcr.microsoft.com",
    }
    assert names(required=False) == {
        "guestnotificationservice.azure.com",
        "*.guestnotificationservice.azure.com",
        "sts.windows.net",
        "*.servicebus.windows.net",
        "dl.k8s.io",
    }


@pytest.mark.parametrize(
    ("cloud", "some"),
    [
        (
            "AzureUSGovernment",
            {
                "management.usgovcloudapi.net",
                "eastus.dp.kubernetesconfiguration.azure.us",
                "usgv.his.arc.azure.us",
            },
        ),
        (
            "AzureChinaCloud",
            {
                "management.chinacloudapi.cn",
                "mcr.azk8s.cn",
                "eastus.login.chinacloudapi.cn",
                "gbl.his.arc.azure.cn",
            },
        ),
    ],
)
def test_the_other_clouds_have_their_own(cloud: str, some: set[str]) -> None:
    found = names(cloud)
    assert some <= found
    assert not any(one.endswith((".azure.com", "microsoftonline.com")) for one in found)


def test_azure_rbac_adds_graph_and_the_port_of_its_own() -> None:
    assert names(azure_rbac=True) - names() == {"graph.microsoft.com", "eastus.obo.arc.azure.com:8084"}
    assert "usgovvirginia.obo.arc.azure.us:8084" in names("AzureUSGovernment", azure_rbac=True)


def test_what_is_off_needs_nothing() -> None:
    assert names() - names(cluster_connect=False) == {
        "guestnotificationservice.azure.com",
        "*.guestnotificationservice.azure.com",
        "sts.windows.net",
        "*.servicebus.windows.net",
    }
    assert names() - names(auto_upgrade=False) == {"dl.k8s.io"}


def test_a_private_link_needs_no_relay() -> None:
    assert names(private_link=True) == names(cluster_connect=False)


def test_a_gateway_shrinks_the_list() -> None:
    found = names(gateway="x.gw.arc.azure.com")
    assert found == {
        "x.gw.arc.azure.com",
        "management.azure.com",
        "eastus.obo.arc.azure.com:8084",
        "login.microsoftonline.com",
        "eastus.login.microsoft.com",
        "gbl.his.arc.azure.com",
        "*.his.arc.azure.com",
        "mcr.microsoft.com",
        "*.data.mcr.microsoft.com",
    }
    assert "*.gw.arc.azure.com" in names(gateway="")


def test_another_azure_names_its_own_and_each_place_once() -> None:
    found = endpoints_of(OWN, Settings("eastus"))
    assert [(str(one), one.purpose) for one in found] == [
        ("10.0.0.1:8443", "configuration, identity of agents"),
        ("arm.lab", "Azure Resource Manager"),
        ("login.lab", "Entra"),
    ]
    assert not any(one.is_azures for one in found)


def test_the_emulators_own_loopback_address_is_not_asked_from_nodes() -> None:
    emulator = OWN.model_copy(update={"name": "emulator", "resource_manager": "https://127.0.0.1:8443"})
    assert [str(one) for one in endpoints_of(emulator, Settings("eastus"))] == ["10.0.0.1:8443"]


def test_a_wildcard_is_a_rule_and_no_name() -> None:
    assert Endpoint("*.his.arc.azure.com", "x").is_pattern
    assert not Endpoint("gbl.his.arc.azure.com", "x").is_pattern
