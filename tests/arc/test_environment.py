"""Which Azure is meant, and what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.arc.environment import cloud_suffix, environment_of
from infra.arc.errors import ArcError, AzureUnreachable
from infra.emulator.environment import emulated_environment
from tests.arc.living import Lab


@pytest.mark.parametrize(
    ("name", "scope", "config"),
    [
        (
            "AzureCloud",
            "https://management.azure.com/.default",
            "https://eastus.dp.kubernetesconfiguration.azure.com",
        ),
        (
            "AzureUSGovernment",
            "https://management.usgovcloudapi.net/.default",
            "https://eastus.dp.kubernetesconfiguration.azure.us",
        ),
        (
            "AzureChinaCloud",
            "https://management.chinacloudapi.cn/.default",
            "https://eastus.dp.kubernetesconfiguration.azure.cn",
        ),
    ],
)
def test_the_public_clouds_are_known_without_asking(name: str, scope: str, config: str) -> None:
    found = environment_of(name)
    assert found.token_scope == scope
    assert found.config_url("eastus") == config
    assert found.is_public


def test_a_proxys_authority_can_be_given_to_a_public_cloud(tmp_path: Path) -> None:
    assert environment_of("AzureCloud", ca_file=tmp_path).ca_file == tmp_path


@pytest.mark.parametrize(
    ("authority", "suffix"),
    [
        ("https://login.microsoftonline.com", "com"),
        ("https://login.microsoftonline.us/", "us"),
        ("https://login.chinacloudapi.cn", "cn"),
        ("https://login.microsoftonline.eaglex.ic.gov", "eaglex.ic.gov"),
        ("https://127.0.0.1:8443", "com"),
        ("https://login", "com"),
    ],
)
def test_a_clouds_suffix_comes_from_entras_name(authority: str, suffix: str) -> None:
    assert cloud_suffix(authority) == suffix


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"cloud": "AzureGermany"}, "AzureUSGovernment"),
        ({"cloud": "custom"}, "resourceManager"),
        ({"cloud": "custom", "resource_manager": "http://arm"}, "https"),
    ],
)
def test_what_is_missing_is_named(arguments: dict[str, str], reason: str) -> None:
    with pytest.raises(ArcError, match=reason):
        environment_of(**arguments)  # type: ignore[arg-type]


def test_an_emulator_needs_its_folder() -> None:
    with pytest.raises(ArcError, match="folder"):
        emulated_environment(None)


def test_any_other_cloud_is_asked_for_its_endpoints(emulated_lab: Lab) -> None:
    own = emulated_lab.environment
    found = environment_of("custom", resource_manager=f"{own.resource_manager}/", ca_file=own.ca_file)
    assert found.authority == own.resource_manager
    assert found.config_endpoint is not None
    assert found.his_endpoint is not None
    assert not found.is_emulator
    assert not found.is_public


def test_a_cloud_that_does_not_answer_is_told() -> None:
    with pytest.raises(AzureUnreachable, match=r"127\.0\.0\.1:1/metadata"):
        environment_of("custom", resource_manager="https://127.0.0.1:1")


def test_a_cloud_whose_certificate_nobody_vouches_for_is_not_asked(emulated_lab: Lab) -> None:
    with pytest.raises(AzureUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        environment_of("custom", resource_manager=emulated_lab.environment.resource_manager)
