"""Provider configuration and kubeconfigs, and the protocol around them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from infra.errors import UserError
from infra.kubernetes.kubeconfig import in_memory
from infra.kubernetes.memory_file import MemoryFile
from infra.kubernetes_plugin import config, kubeconfig
from infra.kubernetes_plugin.config import Settings
from infra.kubernetes_plugin.servicer import KubernetesServicer
from infra.plugin.values import UNKNOWN, decode, encode
from tests.provider.conftest import MemoryLog

URN = "urn:pulumi:dev::prog::pulumi:providers:kubernetes::cluster"


def kubeconfig_of(server: str, **user: str) -> dict[str, Any]:
    return {
        "current-context": "one",
        "clusters": [
            {"name": "c", "cluster": {"server": server}},
            {"name": "d", "cluster": {"server": "https://d"}},
        ],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "space"}},
            {"name": "two", "context": {"cluster": "d", "user": "u"}},
        ],
    }


def test_settings_come_as_strings_json_or_from_the_environment() -> None:
    values = {
        "deleteUnreachable": "true",
        "enableSecretMutable": False,
        "helmReleaseSettings": '{"driver": "configmap", "repositoryCache": "/cache"}',
        "kubeClientSettings": {"timeout": 7},
    }
    found = config.parse(
        values, {"PULUMI_K8S_ENABLE_SECRET_MUTABLE": "true", "PULUMI_K8S_ENABLE_PATCH_FORCE": "true"}
    )
    assert found.delete_unreachable
    assert not found.secret_mutable, "what the provider says wins"
    assert found.patch_force
    assert found.timeout == 7
    assert found.helm.driver == "configmap"
    assert found.helm.environment == {"HELM_REPOSITORY_CACHE": "/cache"}
    for broken in ("{", '["x"]', '{"drivr": "x"}'):
        with pytest.raises(UserError, match="helmReleaseSettings"):
            config.parse({"helmReleaseSettings": broken}, {})


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"kubeconfig": "x", "enableServerSideApply": "true", "anythingElse": 1}, []),
        ({"renderYamlToDirectory": "out", "alwaysRender": "true"}, ["renderYamlToDirectory", "alwaysRender"]),
        ({"enableServerSideApply": "false"}, ["enableServerSideApply"]),
        ({"strictMode": "true", "kubeconfig": "x"}, ["context"]),
    ],
)
def test_what_cannot_be_served_is_named(values: dict[str, Any], names: list[str]) -> None:
    assert [name for name, _ in config.faults(values, {})] == names


def test_a_kubeconfig_from_content_a_file_or_the_environment(tmp_path: Path) -> None:
    text = yaml.safe_dump(kubeconfig_of("https://c", **{"client-certificate": "certs/a.crt"}))
    path = tmp_path / "config"
    path.write_text(text)
    from_content = kubeconfig.load(Settings(kubeconfig=text), {})
    assert kubeconfig.server(from_content) == "https://c"
    assert kubeconfig.namespace(from_content) == "space"
    for settings, environment in ((Settings(kubeconfig=str(path)), {}), (Settings(), {"KUBECONFIG": str(path)})):
        loaded = kubeconfig.load(settings, environment)
        assert loaded["users"][0]["user"]["client-certificate"] == str(tmp_path / "certs" / "a.crt")
    assert kubeconfig.server(kubeconfig.load(Settings(kubeconfig=text, context="two"), {})) == "https://d"
    assert kubeconfig.server(kubeconfig.load(Settings(kubeconfig=text, cluster="d"), {})) == "https://d"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (Settings(kubeconfig="/nowhere/config"), "/nowhere/config can't be read"),
        (Settings(kubeconfig="users:\n- hunter-two"), "no list of clusters"),
        (Settings(kubeconfig="a: [\nhunter-two"), "not YAML"),
        (
            Settings(kubeconfig=json.dumps(kubeconfig_of("x")), context="three"),
            "no context named 'three'; it has one, two",
        ),
        (Settings(), "names no kubeconfig"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_explained_without_its_content(settings: Settings, says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        kubeconfig.load(settings, {"HOME": "/nowhere"})
    assert "hunter" not in str(raised.value)


def test_keys_are_in_memory_only() -> None:
    content = base64.b64encode(b"the key").decode()
    files: list[MemoryFile] = []
    loaded = kubeconfig.load(
        Settings(kubeconfig=json.dumps(kubeconfig_of("x", **{"client-key-data": content}))), {}
    )
    usable = in_memory(loaded, files)
    path = usable["users"][0]["user"]["client-key"]
    assert Path(path).read_bytes() == b"the key"
    assert str(Path(path).readlink()).startswith("/memfd:")
    assert "client-key-data" in loaded["users"][0]["user"], "helm gets it whole"
    files[0].close()
    assert not Path(path).exists()


@pytest.fixture
def served() -> Iterator[tuple[Any, MemoryLog]]:
    log = MemoryLog()
    server = grpc.server(ThreadPoolExecutor(4))
    servicer = KubernetesServicer("4.0.0", lambda _: log, log)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel), log
    server.stop(grace=None).wait()


def test_configuring_says_once_who_serves_and_asks_nothing(served: tuple[Any, MemoryLog]) -> None:
    stub, log = served
    dead = json.dumps(kubeconfig_of("https://192.0.2.1:6443"))
    answer = stub.Configure(provider_pb2.ConfigureRequest(args=encode({"kubeconfig": dead})), timeout=2)
    assert answer.acceptSecrets
    assert answer.supportsPreview
    ((level, text),) = log.lines
    assert level == "info"
    assert "stand-in" in text


def diff_config(stub: Any, old: dict[str, Any], new: dict[str, Any]) -> tuple[list[str], list[str]]:
    answer = stub.DiffConfig(provider_pb2.DiffRequest(urn=URN, olds=encode(old), news=encode(new)))
    return list(answer.diffs), list(answer.replaces)


def test_another_cluster_replaces_and_another_key_does_not(served: tuple[Any, MemoryLog]) -> None:
    stub, _ = served
    here, there = (
        {"kubeconfig": json.dumps(kubeconfig_of(server, token="a"))} for server in ("https://a", "https://b")
    )
    renewed = {"kubeconfig": json.dumps(kubeconfig_of("https://a", token="b"))}
    assert diff_config(stub, here, here) == ([], [])
    assert diff_config(stub, here, renewed) == (["kubeconfig"], [])
    assert diff_config(stub, here, there) == (["kubeconfig"], ["kubeconfig"])
    assert diff_config(stub, here, {"kubeconfig": UNKNOWN}) == (["kubeconfig"], ["kubeconfig"])
    named = {"clusterIdentifier": "x"}
    assert diff_config(stub, here | named, there | named) == (["kubeconfig"], [])
    assert diff_config(stub, here | named, here | {"clusterIdentifier": "y"})[1] == ["clusterIdentifier"]


def test_check_names_places_and_hides(served: tuple[Any, MemoryLog]) -> None:
    stub, _ = served
    urn = "urn:pulumi:dev::prog::kubernetes:core/v1:Secret::pass"
    stub.Configure(
        provider_pb2.ConfigureRequest(args=encode({"kubeconfig": json.dumps(kubeconfig_of("https://x"))}))
    )
    request = provider_pb2.CheckRequest(urn=urn, news=encode({"stringData": {"a": "b"}}), randomSeed=b"seed")
    checked = decode(stub.Check(request).inputs)
    assert checked.values["kind"] == "Secret"
    assert checked.values["metadata"]["namespace"] == "space"
    name = checked.values["metadata"]["name"]
    assert name.startswith("pass-")
    assert checked.secret_paths == {("stringData",)}
    again = stub.Check(
        provider_pb2.CheckRequest(urn=urn, news=encode({}), olds=encode(checked.values), randomSeed=b"2")
    )
    assert decode(again.inputs).values["metadata"]["name"] == name, "a name once given stays"


@pytest.mark.parametrize(
    ("token", "news", "says"),
    [
        ("core/v1:ConfigMap", {"metadata": {"generateName": "a-"}}, "generateName doesn't work"),
        ("core/v1:ConfigMapPatch", {"kind": "ConfigMap"}, "has to name the object"),
        ("core/v1:ConfigMapList", {"items": []}, "list of objects"),
        ("helm.sh/v3:Release", {"chart": "/nowhere"}, "there is no chart at /nowhere"),
    ],
)
def test_check_reports_what_cannot_be_made(
    served: tuple[Any, MemoryLog], token: str, news: dict[str, Any], says: str
) -> None:
    request = provider_pb2.CheckRequest(urn=f"urn:pulumi:dev::prog::kubernetes:{token}::x", news=encode(news))
    (failure,) = served[0].Check(request).failures
    assert says in failure.reason


@pytest.mark.parametrize("token", ["helm.sh/v4:Chart", "kustomize/v2:Directory"])
def test_resources_that_are_not_covered(served: tuple[Any, MemoryLog], token: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        served[0].Check(provider_pb2.CheckRequest(urn=f"urn:pulumi:dev::prog::kubernetes:{token}::x"))
    assert f"kubernetes:{token} is not covered by azlocal's stand-in" in raised.value.details()
