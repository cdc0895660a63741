"""The unmodified az CLI against the emulator: it registers a cloud, logs in, lists, shows and deletes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.emulator.azure_cli import Az, AzFailed, installed
from tests.emulator.azure_sdk import Azure

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def az(running_azure: Azure, tmp_path_factory: pytest.TempPathFactory) -> Az:
    """The az CLI, for which the emulator is a cloud of its own."""
    python = installed()
    if python is None:
        pytest.skip("azure-cli isn't installed; `python -m tests.emulator.azure_cli` installs it")
    folder: Path = tmp_path_factory.mktemp("az")
    az = Az(python, running_azure.emulator, folder)
    az("cloud", "register", "--name", "emulator", "--endpoint-resource-manager", running_azure.emulator.url)
    az("cloud", "set", "--name", "emulator")
    return az


@pytest.fixture(scope="module")
def account(az: Az) -> Any:
    """Log in, once for all tests."""
    (account,) = az.login()
    return account


def test_a_wrong_secret_is_refused(az: Az) -> None:
    with pytest.raises(AzFailed, match="AADSTS7000215") as error:
        az.login("c4nary")
    assert "c4nary" not in str(error.value)


def test_login(az: Az, account: Any, azure: Azure) -> None:
    assert account["id"] == azure.subscription
    assert account["cloudName"] == "emulator"
    assert az("account", "show")["tenantId"] == azure.emulator.settings.tenant_id


def test_resource_groups(az: Az, account: Any) -> None:
    made = az("group", "create", "--name", "az", "--location", "westeurope", "--tags", "a=b")
    assert (made["location"], made["tags"], made["properties"]["provisioningState"]) == (
        "westeurope",
        {"a": "b"},
        "Succeeded",
    )
    assert az("group", "exists", "--name", "az") is True
    assert az("group", "show", "--name", "AZ")["id"] == made["id"]
    assert [one["name"] for one in az("group", "list", "--tag", "a=b")] == ["az"]
    az("group", "delete", "--name", "az", "--yes")
    assert az("group", "exists", "--name", "az") is False


def test_shows_what_the_sdk_shows(az: Az, account: Any, azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a", tags={"site": "lab"})
    azure.agents.beat(cluster.id)
    listed = az("resource", "list", "--resource-group", group)
    assert [(one["name"], one["type"], one["tags"]) for one in listed] == [
        ("a", "Microsoft.Kubernetes/connectedClusters", {"site": "lab"})
    ]
    shown = az("resource", "show", "--ids", cluster.id)
    by_sdk = azure.clusters.get(group, "a").as_dict()
    assert shown["properties"] == by_sdk["properties"]
    assert shown["identity"]["principalId"] == by_sdk["identity"]["principalId"]
    assert shown["properties"]["connectivityStatus"] == "Connected"
    asked = az("rest", "--method", "get", "--url", f"{cluster.id}?api-version=2024-01-01")
    assert asked["properties"] == shown["properties"]
    assert az("resource", "tag", "--ids", cluster.id, "--tags", "n=m")["tags"] == {"n": "m"}


def test_extension_and_deletion(az: Az, account: Any, azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    extension = f"{cluster.id}/providers/Microsoft.KubernetesConfiguration/extensions/x"
    body = '{"properties": {"extensionType": "microsoft.flux", "configurationProtectedSettings": {"k": "c4nary"}}}'
    made = az("rest", "--method", "put", "--url", f"{extension}?api-version=2023-05-01", "--body", body)
    assert made["properties"]["provisioningState"] == "Creating"
    assert "c4nary" not in str(az("resource", "show", "--ids", extension))
    az("resource", "delete", "--ids", extension)
    az("resource", "delete", "--ids", cluster.id)
    assert az("resource", "list", "--resource-group", group) == []
    with pytest.raises(AzFailed, match="ResourceNotFound"):
        az("resource", "show", "--ids", cluster.id)


def test_providers(az: Az, account: Any) -> None:
    assert az("provider", "show", "--namespace", "Microsoft.Kubernetes")["registrationState"] == "Registered"
    az("provider", "unregister", "--namespace", "Microsoft.KubernetesRuntime", "--wait")
    shown = az("provider", "show", "--namespace", "Microsoft.KubernetesRuntime")
    assert shown["registrationState"] == "Unregistered"
    az("provider", "register", "--namespace", "Microsoft.KubernetesRuntime")
    assert "eastus" in [one["name"] for one in az("account", "list-locations")]
