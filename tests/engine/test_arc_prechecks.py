"""What keeps clusters from being connected is said before the first resource: by preview, and by up itself.

The emulator plays an Azure that a stack names by its Resource Manager (cloud: custom), so nothing here knows that
it is one: azure-identity and the SDKs ask it as they ask Azure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.emulator import daemon
from tests.emulator.azure_sdk import Azure
from tests.engine.refusal import refusal
from tests.project import Project, Run, example

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon.Emulator]:
    folder = tmp_path_factory.mktemp("emulator")
    try:
        yield daemon.ensure_running(folder)
    finally:
        daemon.remove(folder)


@pytest.fixture
def project(tmp_path: Path, azure: daemon.Emulator) -> Project:
    """Return the local stack, connected to that Azure, as a service principal that may do everything."""
    made = example(tmp_path / "project", "local")
    hosts = made.directory / "hosts" / "local.yaml"  # where nobody listens: should up go on, it makes nothing
    content = yaml.safe_load(hosts.read_text())
    content["hosts"][0] |= {
        "connection": "qemu+ssh://root@127.0.0.11:9/system",
        "managementAddress": "10.197.40.2",
    }
    hosts.write_text(yaml.safe_dump(content))
    named = {
        "cloud": "custom",
        "resourceManager": azure.url,
        "caFile": str(azure.ca_file),
        "subscriptionId": azure.settings.subscription_id,
    }
    arc(made, **named)
    client = json.loads(azure.client_file.read_text())
    made.environment |= {
        "AZURE_TENANT_ID": client["tenantId"],
        "AZURE_CLIENT_ID": client["clientId"],
        "AZURE_CLIENT_SECRET": client["clientSecret"],
    }
    return made


def arc(project: Project, **settings: Any) -> None:
    path = project.directory / f"Pulumi.{project.stack}.yaml"
    content = yaml.safe_load(path.read_text())
    content["config"]["azlocal:arc"] = {**content["config"].get("azlocal:arc", {}), **settings}
    if "cloud" in settings:
        content["config"]["azlocal:arc"] = settings
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def stopped(run: Run) -> str:
    """Return what a run said that failed before it declared a resource."""
    assert run.code != 0, run.output
    assert "azlocal:index:" not in run.output, "nothing is declared"
    return run.output


def says(output: str, *words: str) -> None:
    """Prove that a refusal gives its reason."""
    assert [text for text in (*words, "no host was touched") if text not in output] == [], output


def test_with_everything_there_it_previews(project: Project) -> None:
    steps = project.preview()["steps"]
    assert any(step["urn"].endswith("::local-a-connected-cluster") for step in steps)


def test_a_wrong_secret(project: Project) -> None:
    project.environment["AZURE_CLIENT_SECRET"] = "canary-wrong-secret"
    for run in (project.pulumi("preview"), project.up()):
        says(stopped(run), "[arc-credential]", "AADSTS7000215", "the client secret is wrong")
        assert "canary-wrong-secret" not in run.output


def test_half_a_credential(project: Project) -> None:
    del project.environment["AZURE_CLIENT_ID"]
    says(refusal(project), "[arc-azure]", "AZURE_CLIENT_SECRET is set, but AZURE_CLIENT_ID isn't")


def test_no_credential(project: Project) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        del project.environment[name]
    says(refusal(project), "[arc-credential]", "az login")


def test_a_subscription_without_the_resource_provider(project: Project, azure: daemon.Emulator) -> None:
    providers = Azure(azure).resources.providers
    providers.unregister("Microsoft.Kubernetes")
    try:
        for run in (project.pulumi("preview"), project.up()):
            words = ("[arc-provider-not-registered]", "az provider register --namespace Microsoft.Kubernetes")
            says(stopped(run), *words)
        arc(project, registerProviders=True)
        project.preview()  # goes on: up registers it
    finally:
        providers.register("Microsoft.Kubernetes")


def test_another_subscription(project: Project) -> None:
    arc(project, subscriptionId="00000000-0000-0000-0000-00000000beef")
    says(refusal(project), "[arc-subscription]", "beef")


def test_a_region_that_isnt_offered(project: Project) -> None:
    path = project.directory / "Pulumi.local.yaml"
    path.write_text(path.read_text().replace("eastus", "atlantis"))
    says(refusal(project), "[arc-location]", "atlantis", "eastus")


def test_an_azure_that_doesnt_answer_is_only_a_warning(project: Project) -> None:
    arc(project, resourceManager="https://127.0.0.1:1")
    run = project.pulumi("preview").expect()
    assert "[arc-azure-unreachable]" in run.output
