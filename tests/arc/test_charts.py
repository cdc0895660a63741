"""Which chart the data plane means, and which agents are refused."""

from __future__ import annotations

import pytest

from infra.arc.charts import Chart, check_version, parse_chart, release_version
from infra.arc.errors import ArcError


@pytest.mark.parametrize(
    ("path", "url", "registry"),
    [
        (
            "mcr.microsoft.com/azurearck8s/batch1/stable/azure-arc-k8sagents:1.36.1",
            "oci://mcr.microsoft.com/azurearck8s/batch1/stable/v2/azure-arc-k8sagents",
            "mcr.microsoft.com",
        ),
        (
            "127.0.0.1:5000/azurearck8s/azure-arc-k8sagents:1.36.1",
            "oci://127.0.0.1:5000/azurearck8s/v2/azure-arc-k8sagents",
            "127.0.0.1:5000",
        ),
        (
            "mcr.microsoft.com//azurearck8s/azure-arc-k8sagents:1.36.1",
            "oci://mcr.microsoft.com/azurearck8s/v2/azure-arc-k8sagents",
            "mcr.microsoft.com",
        ),
        (
            "mcr.microsoft.com/azurearck8s/v2/azure-arc-k8sagents:1.36.1",
            "oci://mcr.microsoft.com/azurearck8s/v2/azure-arc-k8sagents",
            "mcr.microsoft.com",
        ),
    ],
    ids=["as Azure writes it", "a registry with a port", "two slashes", "v2 already"],
)
def test_a_chart_is_read(path: str, url: str, registry: str) -> None:
    assert parse_chart(path) == Chart(url, registry, "1.36.1")


def test_another_version_can_be_asked_for() -> None:
    assert parse_chart("mcr.microsoft.com/a/azure-arc-k8sagents:1.36.1", "1.35.3").version == "1.35.3"


@pytest.mark.parametrize("path", ["", "azure-arc-k8sagents:1", "host:5000/azure-arc-k8sagents"])
def test_what_is_no_chart_is_named(path: str) -> None:
    with pytest.raises(ArcError, match="isn't one"):
        parse_chart(path)


@pytest.mark.parametrize(
    ("version", "train"),
    [
        ("1.35.3", "stable"),
        ("1.36.1", "stable"),
        ("2.0.0", "stable"),
        ("1.35.3-preview", "preview"),
        ("0-dev", "x"),
    ],
)
def test_agents_that_leave_the_key_in_the_cluster_alone_are_taken(version: str, train: str) -> None:
    check_version(version, train)


@pytest.mark.parametrize(
    ("version", "train", "reason"),
    [
        ("1.35.2", "stable", "Helm value"),
        ("1.13.0", "stable", "Helm value"),
        ("1.35.3-preview", "stable", "Helm value"),
        ("1.36.1", "nightly", "release train"),
        ("latest", "stable", "no version"),
    ],
)
def test_agents_that_take_the_key_as_a_helm_value_are_refused(version: str, train: str, reason: str) -> None:
    with pytest.raises(ArcError, match=reason):
        check_version(version, train)


def test_a_releases_chart_tells_its_version() -> None:
    assert release_version("azure-arc-k8sagents-1.36.1") == "1.36.1"
