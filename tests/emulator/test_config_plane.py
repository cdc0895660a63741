"""The data plane as onboarders ask it, and the registry as Helm asks it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import ssl
import tarfile
import urllib.request
from typing import Any

import pytest
import yaml

from infra.emulator.charts import AGENTS_REPOSITORY, AGENTS_VERSION
from infra.emulator.registry import Chart, Registry
from tests.emulator.azure_sdk import Azure

DP = "/dp/azure-arc-k8sagents"
CHART = Chart(
    {
        "Chart.yaml": b"apiVersion: v2\nname: agents\nversion: 1.2.3+build\n",
        "templates/a.yaml": b"a: 1\n",
        "values.yaml": b"",
    }
)


def settings_of(azure: Azure, cluster: dict[str, Any]) -> dict[str, str]:
    status, answer, _ = azure.ask(
        "POST",
        f"{DP}/GetHelmSettings?api-version=2024-07-01-preview&releaseTrain=stable",
        cluster,
        Authorization=f"Bearer {azure.token()}",
    )
    assert status == 200
    assert answer["repositoryPath"].endswith(f"/azurearck8s/batch1/stable/azure-arc-k8sagents:{AGENTS_VERSION}")
    values: dict[str, str] = answer["helmValuesContent"]
    assert all(isinstance(value, str) for value in values.values())
    return values


def test_latest_chart_is_said_without_a_token(azure: Azure) -> None:
    status, answer, _ = azure.ask("POST", f"{DP}/GetLatestHelmPackagePath?api-version=2019-11-01-preview")
    path = f"127.0.0.1:{azure.emulator.port}/azurearck8s/batch1/stable/azure-arc-k8sagents:{AGENTS_VERSION}"
    assert (status, answer) == (200, {"repositoryPath": path})
    # What it names is in the registry, once the client has put `v2` before the last part.
    assert azure.ask("GET", f"/v2/{AGENTS_REPOSITORY}/manifests/{AGENTS_VERSION}")[0] == 200
    query = "?api-version=2019-11-01-preview&releaseTrain=nightly"
    assert azure.ask("POST", f"{DP}/GetLatestHelmPackagePath{query}")[0] == 400
    assert azure.ask("POST", f"{DP}/GetLatestHelmPackagePath")[0] == 400


def test_health_needs_a_token(azure: Azure) -> None:
    path = f"{DP}/healthCheck?api-version=2024-07-01-preview"
    assert azure.ask("POST", path)[0] == 401
    assert azure.ask("POST", path, Authorization=f"Bearer {azure.token()}")[0] == 200


def test_values_name_the_cluster(azure: Azure, group: str) -> None:
    azure.connect(group, "a", properties={"arcAgentProfile": {"agentAutoUpgrade": "Disabled"}})
    cluster = azure.arm("GET", f"{azure.cluster_id(group, 'a')}?api-version=2024-01-01")[1]
    assert settings_of(azure, cluster) == {
        "global.subscriptionId": azure.subscription,
        "global.resourceGroupName": group,
        "global.resourceName": "a",
        "global.location": "eastus",
        "global.tenantId": azure.emulator.settings.tenant_id,
        "systemDefaultValues.azureArcAgents.autoUpdate": "false",
    }


def test_proxy_values_come_back_with_their_placeholders(azure: Azure, group: str) -> None:
    azure.connect(group, "a")
    cluster = azure.arm("GET", f"{azure.cluster_id(group, 'a')}?api-version=2024-01-01")[1]
    cluster["properties"]["arcAgentryConfigurations"] = [
        {
            "feature": "proxy",
            "settings": {"no_proxy": "10.0.0.0/8"},
            "protectedSettings": {
                "https_proxy": "redacted:proxy:https_proxy",
                "proxy_cert": "redacted:proxy:proxy_cert",
            },
        }
    ]
    values = settings_of(azure, cluster)
    assert values["global.httpsProxy"] == "redacted:proxy:https_proxy"
    assert values["global.proxyCert"] == "redacted:proxy:proxy_cert"
    assert (values["global.noProxy"], values["global.isProxyEnabled"]) == ("10.0.0.0/8", "True")
    assert values["global.isCustomCert"] == "True"


def test_values_need_a_cluster(azure: Azure) -> None:
    path = f"{DP}/GetHelmSettings?api-version=2024-07-01-preview"
    status, answer, _ = azure.ask("POST", path, {"id": "/x"}, Authorization=f"Bearer {azure.token()}")
    assert (status, answer["error"]["code"]) == (400, "BadRequest")


def test_chart_is_packed_alike_each_time() -> None:
    assert CHART.package == Chart(dict(reversed(list(CHART.files.items())))).package
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(CHART.package))) as archive:
        assert archive.getnames() == ["agents/Chart.yaml", "agents/templates/a.yaml", "agents/values.yaml"]
        packed = archive.extractfile("agents/templates/a.yaml")
        assert packed is not None
        assert packed.read() == b"a: 1\n"


def test_manifest_leads_to_its_blobs() -> None:
    registry = Registry({"some/agents": lambda: [CHART]})
    assert registry.tags("some/agents") == ["1.2.3_build"]  # a tag has no plus
    found = registry.manifest("some/agents", "1.2.3_build")
    assert found is not None
    content, digest = found
    assert digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert registry.manifest("some/agents", digest) == (content, digest)
    manifest = json.loads(content)
    for part in (manifest["config"], *manifest["layers"]):
        # Another registry process than the one that gave the manifest knows them too.
        blob = Registry({"some/agents": lambda: [CHART]}).blob("some/agents", part["digest"])
        assert blob is not None
        assert (len(blob), f"sha256:{hashlib.sha256(blob).hexdigest()}") == (part["size"], part["digest"])
    config = registry.blob("some/agents", manifest["config"]["digest"])
    assert config is not None
    assert json.loads(config)["name"] == "agents"
    assert registry.manifest("some/agents", "9.9.9") is None
    assert registry.manifest("other", "1.2.3_build") is None
    assert registry.blob("other", digest) is None
    assert registry.tags("other") is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_registry_over_the_wire(azure: Azure, method: str) -> None:
    path = f"/v2/{AGENTS_REPOSITORY}/manifests/{AGENTS_VERSION}"
    trusted = ssl.create_default_context(cafile=str(azure.emulator.ca_file))
    request = urllib.request.Request(azure.emulator.url + path, method=method)
    with urllib.request.urlopen(request, context=trusted) as answer:
        content = answer.read()
        length = int(answer.headers["content-length"])
        assert answer.headers["docker-content-digest"].startswith("sha256:")
        assert answer.headers["content-type"] == "application/vnd.oci.image.manifest.v1+json"
    assert length > 0
    assert len(content) == (length if method == "GET" else 0)


def test_registry_says_what_it_lacks(azure: Azure) -> None:
    status, found, _ = azure.ask("GET", f"/v2/{AGENTS_REPOSITORY}/tags/list")
    assert (status, found["tags"][-1]) == (200, AGENTS_VERSION)
    for path, code in (
        (f"/v2/{AGENTS_REPOSITORY}/manifests/0.0.1", "MANIFEST_UNKNOWN"),
        (f"/v2/{AGENTS_REPOSITORY}/blobs/sha256:{'0' * 64}", "BLOB_UNKNOWN"),
        ("/v2/nothing/tags/list", "NAME_UNKNOWN"),
    ):
        status, answer, _ = azure.ask("GET", path)
        assert (status, answer["errors"][0]["code"]) == (404, code)
    assert azure.ask("GET", "/v2/")[0] == 200


def test_chart_of_a_folder(tmp_path: Any) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_bytes(b"x")
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump({"name": "a", "version": "1.0.0"}))
    (tmp_path / "templates" / "x.yaml").write_text("x")
    chart = Chart.of_folder(tmp_path, {"templates/x.yaml": b"y", "files/z": b"z"})
    assert chart.version == "1.0.0"
    assert {name: chart.files[name] for name in chart.files if name != "Chart.yaml"} == {
        "templates/x.yaml": b"y",
        "files/z": b"z",
    }


def test_an_issuer_is_a_change_of_values_so_that_agents_of_before_are_brought_up_to_date(
    azure: Azure, group: str
) -> None:
    cluster = {"id": azure.cluster_id(group, "a"), "location": "eastus", "properties": {}}
    name = "systemDefaultValues.oidcIssuer.enabled"
    assert name not in settings_of(azure, cluster)
    assert settings_of(azure, cluster | {"properties": {"oidcIssuerProfile": {"enabled": True}}})[name] == "true"
