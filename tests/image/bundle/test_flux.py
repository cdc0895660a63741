"""The real Flux controllers and our chart of them, against a real API server and a git repository on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.image.bundle import find_bundle
from infra.image.bundle.components import component
from infra.image.places import default_cache
from tests.offline.apiserver import ApiServer, free_port, missing, running

pytestmark = pytest.mark.engine

NAMESPACE = "flux-system"
TIMEOUT = 90.0


def controller(name: str) -> Path:
    return default_cache().components / component(f"flux-{name}").digest / name


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    bundle = find_bundle()
    lacking = [*missing(), *(name for name in ("source-controller", "kustomize-controller") if not _built(name))]
    if lacking or bundle is None:
        pytest.skip(f"not built on this machine: {', '.join(lacking) or 'the bundle'}; run `azlocal image build`")
    for server in running(tmp_path_factory.mktemp("flux")):
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


def test_both_may_agree_on_who_leads(cluster: ApiServer) -> None:
    for name in ("source-controller", "kustomize-controller"):
        account = ("--as", f"system:serviceaccount:{NAMESPACE}:{name}")
        for verb in ("get", "create", "update"):
            assert (
                cluster.kubectl("-n", NAMESPACE, "auth", "can-i", verb, "leases.coordination.k8s.io", *account)
                == "yes"
            )


class Repository:
    """A git repository, served as a git server does: by git's own program behind HTTP."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self._served = folder / "served"
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(self._served / "app.git"), at=folder)
        self._git("clone", "--quiet", str(self._served / "app.git"), str(self.work), at=folder)
        self._git("checkout", "--quiet", "-B", "main")
        handler = type("Handler", (_GitHandler,), {"root": self._served})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/app.git"

    def commit(self, files: dict[str, str | None]) -> str:
        """Write files, or remove those that are None, and push them; return the commit."""
        for name, content in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content)
        self._git("add", "--all")
        author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        self._git(*author, "commit", "--quiet", "--message", "change")
        self._git("push", "--quiet", "origin", "main")
        return self._git("rev-parse", "HEAD")

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _git(self, *arguments: str, at: Path | None = None) -> str:
        argv = ["git", *arguments]
        done = subprocess.run(argv, cwd=at or self.work, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


class _GitHandler(BaseHTTPRequestHandler):
    root: Path

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200 OK").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path)
    yield repository
    repository.close()


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


def wait_for(what: str, holds: Callable[[], object]) -> None:
    ends = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < ends, f"not within {TIMEOUT:.0f} s: {what}"
        time.sleep(0.3)


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


def _custom(group: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "app", "namespace": NAMESPACE}
    return {"apiVersion": f"{group}.toolkit.fluxcd.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def test_a_repository_s_life_in_a_cluster(cluster: ApiServer, repository: Repository, controllers: Path) -> None:
    def text() -> str:
        return cluster.kubectl("-n", "app", "get", "configmap", "app", "-o", "jsonpath={.data.text}", check=False)

    def ready(kind: str) -> str:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].message}"
        return cluster.kubectl("-n", NAMESPACE, "get", kind, "app", "-o", path, check=False)

    first = repository.commit({"deploy/app.yaml": settings("one"), "docs/big.txt": "not for the cluster"})
    declare(cluster, repository.url)
    wait_for("the repository's content is applied", lambda: text() == "one")
    assert first in ready("gitrepositories")
    wait_for("the kustomization names the commit", lambda: first in ready("kustomizations"))

    packed = controllers / f"gitrepository/{NAMESPACE}/app/{first}.tar.gz"
    listed = subprocess.run(["tar", "-tzf", packed], capture_output=True, text=True, check=True).stdout.split()
    assert "deploy/app.yaml" in listed
    assert not any(name.startswith(("docs", ".git")) for name in listed)

    # Somebody damages the stored file: it is made again, since its digest isn't the one that was noted.
    packed.write_bytes(b"damaged")
    wait_for("the damaged artifact is made again", lambda: packed.is_file() and packed.read_bytes() != b"damaged")

    second = repository.commit({"deploy/app.yaml": settings("two")})
    wait_for("a change is applied", lambda: text() == "two")
    assert packed.with_name(f"{second}.tar.gz").is_file()
    for number in range(3):
        last = repository.commit({"docs/big.txt": str(number), "deploy/app.yaml": settings(f"more {number}")})
        wait_for("each change is applied", lambda number=number: text() == f"more {number}")
    wait_for("old artifacts are removed", lambda: len(list(packed.parent.glob("*.tar.gz"))) <= 2)
    assert packed.with_name(f"{last}.tar.gz").is_file()

    repository.commit(
        {"deploy/app.yaml": None, "deploy/other.yaml": settings("x").replace("name: app", "name: b")}
    )
    wait_for("what the repository no longer has is removed", lambda: text() == "")

    cluster.kubectl("-n", NAMESPACE, "delete", "kustomization,gitrepository", "app", "--timeout=60s")
    wait_for("everything that was applied is removed", lambda: "b" not in objects(cluster, _CONFIG_MAPS))
    wait_for("the artifacts are removed", lambda: not packed.parent.exists())


_CONFIG_MAPS = "/api/v1/namespaces/app/configmaps"


def test_a_repository_that_is_not_there_is_told_of(cluster: ApiServer, controllers: Path) -> None:
    nowhere = _custom(
        "source", "GitRepository", {"interval": "1s", "url": f"http://127.0.0.1:{free_port()}/x.git"}
    )
    nowhere["metadata"]["name"] = "nowhere"
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(nowhere))
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].message}"
    wait_for(
        "the condition says why",
        lambda: (
            "connection refused" in cluster.kubectl("-n", NAMESPACE, "get", "gitrepository", "nowhere", "-o", path)
        ),
    )
    cluster.kubectl("-n", NAMESPACE, "delete", "gitrepository", "nowhere", "--timeout=60s")
