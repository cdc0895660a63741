"""The real Flux controllers and our chart of them, against a real API server and a git repository on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.image.bundle import find_bundle
from infra.image.bundle.components import component
from infra.image.places import default_cache
from tests.git_server import Repository, served
from tests.image.bundle.test_release import serving
from tests.kubernetes_plugin.apiserver import ApiServer
from tests.kubernetes_plugin.shared import lent
from tests.ports import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.engine

NAMESPACE = "flux-system"


def controller(name: str) -> Path:
    return default_cache().components / component("flux").digest / name


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    bundle = find_bundle()
    lacking = [name for name in ("source-controller", "kustomize-controller") if not _built(name)]
    if lacking or bundle is None:
        pytest.skip(f"not built on this machine: {', '.join(lacking) or 'the bundle'}; run `azlocal image build`")
    with lent(request) as server:
        arguments = ("--namespace", NAMESPACE, "--create-namespace")
        answer = server.helm("install", "flux", str(bundle.charts["flux"]), *arguments)
        assert "STATUS: deployed" in answer, answer
        yield server


def _built(name: str) -> bool:
    return controller(name).is_file()


def objects(cluster: ApiServer, path: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in cluster.get(path)["items"]}


def test_the_chart_brings_every_kind_of_the_modules(cluster: ApiServer) -> None:
    found = objects(cluster, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    groups = {name.partition(".")[2] for name in found}
    assert groups == {"source.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io"}
    assert {"gitrepositories", "buckets", "kustomizations"} <= {name.partition(".")[0] for name in found}


def test_the_pods_run_the_bundle_s_images(cluster: ApiServer) -> None:
    bundle = find_bundle()
    assert bundle
    found = objects(cluster, f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments")
    for name in ("source-controller", "kustomize-controller"):
        (container,) = found[name]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == bundle.images[f"flux-{name}"]
        assert container["imagePullPolicy"] == "IfNotPresent"


def test_the_applier_may_do_everything_and_the_other_may_not(cluster: ApiServer) -> None:
    answers = {
        name: cluster.kubectl(
            *("auth", "can-i", "delete", "deployments", "--all-namespaces"),
            *("--as", f"system:serviceaccount:{NAMESPACE}:{name}"),
            check=False,
        )
        for name in ("source-controller", "kustomize-controller")
    }
    assert answers == {"source-controller": "no", "kustomize-controller": "yes"}


def test_tenants_are_kept_apart_where_that_is_asked_for(cluster: ApiServer) -> None:
    bundle = find_bundle()
    assert bundle

    def arguments(*settings: str) -> dict[str, set[str]]:
        rendered = cluster.helm("template", "flux", str(bundle.charts["flux"]), *settings)
        found = [document for document in yaml.safe_load_all(rendered) if document["kind"] == "Deployment"]
        return {
            deployment["metadata"]["name"]: set(deployment["spec"]["template"]["spec"]["containers"][0]["args"])
            for deployment in found
        }

    plain, enforced = arguments(), arguments("--set", "multiTenancy.enforce=true")
    assert enforced["source-controller"] == plain["source-controller"]
    assert enforced["kustomize-controller"] - plain["kustomize-controller"] == {
        "--no-cross-namespace-refs=true",
        "--no-remote-bases=true",
        "--default-service-account=flux-applier",
    }
    for name, words in enforced.items():
        usage = subprocess.run([controller(name), "--help"], capture_output=True, text=True, check=False).stderr
        unknown = {word for word in words if f"{word.partition('=')[0]} " not in usage}
        assert not unknown, f"{name} has no {unknown}"


def test_both_may_agree_on_who_leads(cluster: ApiServer) -> None:
    for name in ("source-controller", "kustomize-controller"):
        account = ("--as", f"system:serviceaccount:{NAMESPACE}:{name}")
        for verb in ("get", "create", "update"):
            assert (
                cluster.kubectl("-n", NAMESPACE, "auth", "can-i", verb, "leases.coordination.k8s.io", *account)
                == "yes"
            )


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with served(tmp_path, "127.0.0.1") as repository:
        yield repository


def kubeconfig_of(name: str, cluster: ApiServer, folder: Path) -> Path:
    """Write a kubeconfig for a service account of the chart's."""
    config = cluster.config()
    config["users"][0]["user"] = {"token": cluster.kubectl("-n", NAMESPACE, "create", "token", name)}
    file = folder / f"{name}.kubeconfig"
    file.write_text(json.dumps(config))
    return file


@pytest.fixture
def controllers(cluster: ApiServer, tmp_path: Path) -> Iterator[Path]:
    """Run both controllers on this machine, with their pods' rights; give the folder of artifacts.

    Only without electing a leader, which needs a pod's files.
    """
    data = tmp_path / "data"
    data.mkdir()
    address = f"127.0.0.1:{free_port()}"
    common = ["--events-addr=", "--watch-all-namespaces=true", "--metrics-addr=0"]
    store = [f"--storage-path={data}", f"--storage-addr={address}", f"--storage-adv-addr={address}"]
    processes = []
    for name, more in (("source-controller", store), ("kustomize-controller", [])):
        environment = {
            "KUBECONFIG": str(kubeconfig_of(name, cluster, tmp_path)),
            "RUNTIME_NAMESPACE": NAMESPACE,
            "HOME": str(tmp_path),
            "PATH": os.environ["PATH"],
        }
        health = f"--health-addr=127.0.0.1:{free_port()}"
        with (tmp_path / f"{name}.log").open("wb") as log:
            processes.append(
                subprocess.Popen(
                    [str(controller(name)), *common, health, *more], env=environment, stdout=log, stderr=log
                )
            )
    yield data
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(30)


def names_in(archive: Path) -> list[str]:
    return subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True).stdout.split()


def settings(text: str) -> str:
    return yaml.safe_dump(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"text": text}}
    )


def declare(cluster: ApiServer, url: str) -> None:
    source = {"interval": "1s", "url": url, "ref": {"branch": "main"}, "ignore": "/docs\n"}
    applied = {
        "interval": "1s",
        "prune": True,
        "path": "./deploy",
        "targetNamespace": "app",
        "sourceRef": {"kind": "GitRepository", "name": "app"},
    }
    documents = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "app"}},
        _custom("source", "GitRepository", source),
        _custom("kustomize", "Kustomization", applied),
    ]
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))


def _custom(group: str, kind: str, spec: dict[str, Any], name: str = "app") -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": f"{group}.toolkit.fluxcd.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def test_a_repository_s_life_in_a_cluster(cluster: ApiServer, repository: Repository, controllers: Path) -> None:
    def text() -> str:
        return cluster.kubectl("-n", "app", "get", "configmap", "app", "-o", "jsonpath={.data.text}", check=False)

    def reads(wanted: str) -> bool:
        return text() == wanted

    def ready(kind: str) -> str:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].message}"
        return cluster.kubectl("-n", NAMESPACE, "get", kind, "app", "-o", path, check=False)

    first = repository.commit({"deploy/app.yaml": settings("one"), "docs/big.txt": "not for the cluster"})
    declare(cluster, repository.url)
    eventually(lambda: text() == "one", "the repository's content is applied")
    assert first in ready("gitrepositories")
    eventually(lambda: first in ready("kustomizations"), "the kustomization names the commit")

    packed = controllers / f"gitrepository/{NAMESPACE}/app/{first}.tar.gz"
    listed = names_in(packed)
    assert "deploy/app.yaml" in listed
    assert not any(name.startswith(("docs", ".git")) for name in listed)

    # Somebody damages the stored file: it is made again, since its digest isn't the one that was noted.
    packed.write_bytes(b"damaged")
    eventually(
        lambda: packed.is_file() and packed.read_bytes() != b"damaged", "the damaged artifact is made again"
    )

    second = repository.commit({"deploy/app.yaml": settings("two")})
    eventually(lambda: text() == "two", "a change is applied")
    assert packed.with_name(f"{second}.tar.gz").is_file()
    for number in range(3):
        last = repository.commit({"docs/big.txt": str(number), "deploy/app.yaml": settings(f"more {number}")})
        eventually(partial(reads, f"more {number}"), "each change is applied")
    eventually(lambda: len(list(packed.parent.glob("*.tar.gz"))) <= 2, "old artifacts are removed")
    assert packed.with_name(f"{last}.tar.gz").is_file()

    repository.commit(
        {"deploy/app.yaml": None, "deploy/other.yaml": settings("x").replace("name: app", "name: b")}
    )
    eventually(lambda: text() == "", "what the repository no longer has is removed")

    cluster.kubectl("-n", NAMESPACE, "delete", "kustomization,gitrepository", "app", "--timeout=60s")
    eventually(lambda: "b" not in objects(cluster, _CONFIG_MAPS), "everything that was applied is removed")
    eventually(lambda: not packed.parent.exists(), "the artifacts are removed")


_CONFIG_MAPS = "/api/v1/namespaces/app/configmaps"


def test_a_repository_that_is_not_there_is_told_of(cluster: ApiServer, controllers: Path) -> None:
    spec = {"interval": "1s", "url": f"http://127.0.0.1:{free_port()}/x.git"}
    nowhere = _custom("source", "GitRepository", spec, "nowhere")
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(nowhere))
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].message}"
    why = ("-n", NAMESPACE, "get", "gitrepository", "nowhere", "-o", path)
    eventually(lambda: "connection refused" in cluster.kubectl(*why), "the condition says why")
    cluster.kubectl("-n", NAMESPACE, "delete", "gitrepository", "nowhere", "--timeout=60s")


def artifact_of(cluster: ApiServer, kind: str, name: str) -> str:
    return cluster.kubectl(
        "-n", NAMESPACE, "get", kind, name, "-o", "jsonpath={.status.artifact.path}", check=False
    )


def test_one_repository_s_folder_in_another_s(
    cluster: ApiServer, repository: Repository, controllers: Path
) -> None:
    repository.commit({"deploy/app.yaml": settings("one"), "more/nested/x.yaml": settings("two")})
    source = {"interval": "1s", "url": repository.url, "ref": {"branch": "main"}}
    parts = [
        {"repository": {"name": "inner"}, "fromPath": "more", "toPath": "copied"},
        {"repository": {"name": "inner"}, "fromPath": "deploy/app.yaml", "toPath": "single/file.yaml"},
    ]
    # One after the other: a repository whose parts aren't there yet is looked at again after 30 s.
    for name, spec in (("inner", source), ("outer", {**source, "include": parts})):
        cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(_custom("source", "GitRepository", spec, name)))
        eventually(partial(artifact_of, cluster, "gitrepository", name), "the repository is stored")
    listed = names_in(controllers / artifact_of(cluster, "gitrepository", "outer"))
    assert {"copied/nested/x.yaml", "single/file.yaml", "deploy/app.yaml"} <= set(listed)
    cluster.kubectl("-n", NAMESPACE, "delete", "gitrepository", "inner", "outer", "--timeout=60s")


def test_a_helm_repository_s_chart_is_stored(cluster: ApiServer, controllers: Path, tmp_path: Path) -> None:
    charts, bundle = tmp_path / "charts", find_bundle()
    assert bundle
    shutil.copytree(bundle.charts["local-path-provisioner"], tmp_path / "chart")
    cluster.helm("package", str(tmp_path / "chart"), "--destination", str(charts))
    with serving(charts) as address:
        cluster.helm("repo", "index", str(charts), "--url", address)
        chart = {
            "interval": "1m",
            "chart": "local-path-provisioner",
            "sourceRef": {"kind": "HelmRepository", "name": "charts"},
        }
        documents = [
            _custom("source", "HelmRepository", {"interval": "1m", "url": address}, "charts"),
            _custom("source", "HelmChart", chart, "chart"),
        ]
        cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
        eventually(lambda: artifact_of(cluster, "helmchart", "chart"), "the chart is stored")
    stored = controllers / artifact_of(cluster, "helmchart", "chart")
    assert "local-path-provisioner/Chart.yaml" in names_in(stored)
    # What is newest has a name that stays.
    assert (stored.parent / "latest.tar.gz").resolve() == stored.resolve()
    url = cluster.kubectl("-n", NAMESPACE, "get", "helmchart", "chart", "-o", "jsonpath={.status.url}")
    assert url.endswith("/latest.tar.gz")
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert answer.read() == stored.read_bytes()
    cluster.kubectl("-n", NAMESPACE, "delete", "helmchart/chart", "helmrepository/charts", "--timeout=60s")
