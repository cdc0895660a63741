"""The charts that the emulator serves: packed, and rendered by the real helm."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.emulator import agent, charts
from infra.emulator.agent.__main__ import IDLE
from infra.emulator.agent.roles import ROLES
from infra.emulator.registry import Registry
from infra.emulator.settings import Settings
from tests.emulator.agents_side import BUNDLE
from tests.kubernetes_plugin.apiserver import program

SETTINGS = Settings(port=1, subscription_id="s", tenant_id="t", client_id="c")
NEEDED = {
    "global.subscriptionId": "s",
    "global.resourceGroupName": "g",
    "global.resourceName": "c",
    "systemDefaultValues.azureArcAgents.config_dp_endpoint_override": "https://10.0.0.1:1/dp",
    "systemDefaultValues.clusteridentityoperator.his_endpoint_override": "https://10.0.0.1:1/his/discovery",
}

Objects = dict[tuple[str, str], dict[str, Any]]
Render = Callable[..., Objects]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """Return a function that renders a served chart; what helm says against it is an AssertionError."""
    helm = program("helm")
    if helm is None:
        pytest.skip("helm isn't built on this machine; `azlocal image build` builds it")

    def run(repository: str, values: dict[str, str], *, bundle: Any = BUNDLE) -> Objects:
        chart = charts.repositories(SETTINGS, lambda: bundle)[repository]()[-1]
        (tmp_path / "chart.tgz").write_bytes(chart.package)
        given = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
        done = subprocess.run(
            [str(helm), "template", "azure-arc", str(tmp_path / "chart.tgz"), *given],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = [one for one in yaml.safe_load_all(done.stdout) if one]
        return {(one["kind"], one["metadata"]["name"]): one for one in found}

    return run


def agents(render: Render, **more: str) -> Objects:
    return render(charts.AGENTS_REPOSITORY, {**NEEDED, **more})


def test_the_registry_serves_the_agents_in_two_versions_and_every_known_type() -> None:
    registry = Registry(charts.repositories(SETTINGS, lambda: BUNDLE))
    assert registry.tags(charts.AGENTS_REPOSITORY) == ["1.35.3", charts.AGENTS_VERSION]
    for extension_type in charts.known_types():
        tags = registry.tags(f"azurearck8s/extensions/stable/{extension_type}")
        assert tags == ([] if extension_type == charts.FLUX else ["1.0.0", "1.1.0"])


def test_the_same_files_give_the_same_chart() -> None:
    one, two = (charts.repositories(SETTINGS, lambda: BUNDLE)[charts.AGENTS_REPOSITORY]()[-1] for _ in range(2))
    assert one.package == two.package
    assert "files/agent/__main__.py" in one.files


def test_fluxs_chart_is_the_bundles(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: flux, version: 2.6.0}")
    with_flux = type(BUNDLE)(**{**vars(BUNDLE), "charts": {"flux": tmp_path}})
    registry = Registry(charts.repositories(SETTINGS, lambda: with_flux))
    assert registry.tags("azurearck8s/extensions/stable/microsoft.flux") == ["2.6.0"]


@pytest.mark.engine
def test_every_deployment_says_what_it_is_runs_the_bundles_image_and_can_be_ready(render: Render) -> None:
    found = [one for (kind, _), one in agents(render).items() if kind == "Deployment"]
    assert len(found) == 12
    for one in found:
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert one["metadata"]["labels"]["azlocal.io/emulated"] == "true"
        assert container["image"] == BUNDLE.images["agent-runtime"]
        for probe in ("startupProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["path"] == "/readyz"
        assert container["command"][-1] in {*ROLES, *IDLE}
        assert container["command"][-1] == one["metadata"]["name"]


@pytest.mark.engine
def test_every_role_has_a_deployment(render: Render) -> None:
    found = agents(render, **{"systemDefaultValues.guard.enabled": "true"})
    assert {name for kind, name in found if kind == "Deployment"} == {*ROLES, *IDLE}


@pytest.mark.engine
def test_cluster_connect_is_off_where_it_is_switched_off(render: Render) -> None:
    found = agents(render, **{"systemDefaultValues.clusterconnect-agent.enabled": "false"})
    assert ("Deployment", "clusterconnect-agent") not in found


@pytest.mark.engine
def test_the_config_map_says_whose_the_agents_are(render: Render) -> None:
    data = agents(render, **{"systemDefaultValues.azureArcAgents.autoUpdate": "false"})[
        "ConfigMap", "azure-clusterconfig"
    ]["data"]
    assert (data["AZURE_SUBSCRIPTION_ID"], data["AZURE_RESOURCE_GROUP"], data["AZURE_RESOURCE_NAME"]) == (
        "s",
        "g",
        "c",
    )
    assert (data["AZURE_ARC_AUTOUPDATE"], data["AZURE_ARC_AGENT_VERSION"]) == ("false", charts.AGENTS_VERSION)


@pytest.mark.engine
@pytest.mark.parametrize(("cloud", "suffix"), [("AZUREPUBLICCLOUD", "com"), ("AZUREUSGOVERNMENTCLOUD", "us")])
def test_the_definitions_are_the_clouds(render: Render, cloud: str, suffix: str) -> None:
    found = agents(render, **{"global.azureEnvironment": cloud})
    names = {name for kind, name in found if kind == "CustomResourceDefinition"}
    assert f"extensionconfigs.clusterconfig.azure.{suffix}" in names
    assert f"connectedclusters.arc.azure.{suffix}" in names
    assert len(names) == 7


@pytest.mark.engine
def test_the_private_key_is_no_part_of_the_chart_unless_an_older_client_gives_it(render: Render) -> None:
    assert not [name for kind, name in agents(render) if kind == "Secret"]
    found = agents(render, **{"global.onboardingPrivateKey": "-----BEGIN"})
    assert ("Secret", "azure-arc-connect-privatekey") in found


@pytest.mark.engine
def test_proxy_and_certificates_become_the_documented_secrets(render: Render) -> None:
    found = agents(
        render,
        **{
            "global.isProxyEnabled": "True",
            "global.httpsProxy": "http://p:3128",
            "global.noProxy": r"10.0.0.0\/8\,.svc",
            "global.proxyCert": "PEM",
        },
    )
    assert found["Secret", "proxy-config"]["stringData"]["NO_PROXY"] == "10.0.0.0/8,.svc"
    assert found["Secret", "proxy-cert"]["stringData"] == {"proxy-cert.crt": "PEM"}


@pytest.mark.engine
def test_agents_that_would_call_azure_are_refused(render: Render) -> None:
    with pytest.raises(AssertionError, match=r"config_dp_endpoint_override is empty: this chart is azlocal's"):
        render(charts.AGENTS_REPOSITORY, dict(list(NEEDED.items())[:3]))


@pytest.mark.engine
def test_without_the_bundle_the_charts_say_what_is_missing(render: Render) -> None:
    with pytest.raises(AssertionError, match="`azlocal image build` makes it"):
        render(charts.AGENTS_REPOSITORY, NEEDED, bundle=None)


@pytest.mark.engine
def test_only_the_extension_manager_may_do_anything(render: Render) -> None:
    found = agents(render)
    admins = [
        one["subjects"][0]["name"]
        for (kind, _), one in found.items()
        if kind == "ClusterRoleBinding" and one["roleRef"]["name"] == "cluster-admin"
    ]
    assert admins == ["azure-arc-extension-manager-sa"]


@pytest.mark.engine
def test_a_stand_in_says_that_it_is_one_and_takes_any_setting(render: Render) -> None:
    found = render(
        "azurearck8s/extensions/stable/microsoft.dataprotection.kubernetes",
        {r"configurationSettings.a\.b/c": "1", "protectedSettingsSecret": "protected-parameters-x"},
    )
    made = found["Deployment", "microsoft-dataprotection-kubernetes-stand-in"]
    assert "Stands in for extension microsoft.dataprotection.kubernetes" in str(made["metadata"]["annotations"])
    settings = found["ConfigMap", "microsoft-dataprotection-kubernetes-stand-in"]["data"]["settings.json"]
    assert yaml.safe_load(settings) == {"a.b/c": 1}
    volumes = made["spec"]["template"]["spec"]["volumes"]
    assert {"name": "protected", "secret": {"secretName": "protected-parameters-x"}} in volumes


def test_the_program_stands_alone() -> None:
    allowed = {*sys.stdlib_module_names, "cryptography"}
    for path in Path(agent.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {one.name.partition(".")[0] for one in node.names} <= allowed, path
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).partition(".")[0] in allowed, path
