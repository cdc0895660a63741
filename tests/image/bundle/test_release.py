"""The downloads, with the real curl against an HTTP server on loopback."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.image import tools
from infra.image.bundle.components import HELM_VERSION, KUBERNETES_VERSION
from infra.image.bundle.images import IMAGES
from infra.image.bundle.release import Endpoints, Release, check_sum, why_unreachable
from infra.image.bundle.sources import Draft
from infra.image.errors import ImageError
from tests.image.bundle.conftest import BundleRunner

CONTENT = b"a program"


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    """Return a folder laid out as the projects' servers are."""
    folder = tmp_path / "served"
    programs = folder / f"v{KUBERNETES_VERSION}/bin/linux/amd64"
    programs.mkdir(parents=True)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    for name in ("kubeadm", "kubelet", "kubectl"):
        (programs / name).write_bytes(CONTENT)
        (programs / f"{name}.sha256").write_text(sha256)
    archive = f"helm-{HELM_VERSION}-linux-amd64.tar.gz"
    (folder / archive).write_bytes(CONTENT)
    (folder / f"{archive}.sha256sum").write_text(f"{sha256}  {archive}\n")
    return folder


@pytest.fixture
def endpoints(downloads: Path) -> Iterator[Endpoints]:
    with serving(downloads) as address:
        yield Endpoints(address, address, "http://127.0.0.1:5000/mirror")


class WithCurl(BundleRunner):
    """Runs the real curl and nothing else."""

    def _curl(self, argv: list[str]) -> None:
        tools.run(argv)


@pytest.fixture
def runner(tmp_path: Path) -> WithCurl:
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    return WithCurl(tmp_path / "modules")


def test_a_release_is_downloaded_checked_and_kept(
    draft: Draft, endpoints: Endpoints, runner: WithCurl, lines: list[str]
) -> None:
    inventory = Release(endpoints).fill(draft)
    assert (draft.binaries / "kubelet").read_bytes() == CONTENT
    assert (draft.binaries / "helm").read_text() == "helm"
    assert set(inventory.programs) == {"kubeadm", "kubelet", "kubectl", "helm"}
    assert {path.stem for path in draft.images.iterdir()} == {image.name for image in IMAGES}
    assert inventory.images["agent-runtime"].programs == ("helm",)
    assert "ca-certificates" in inventory.images["agent-runtime"].packages
    assert not inventory.images["pause"].programs
    downloaded = [call for call in runner.calls if call[0] == "skopeo" and "docker://" in call[-2]]
    assert len(downloaded) == len(IMAGES) - 1

    runner.calls.clear()
    work = draft.work.parent / "again"
    (work / "bundle").mkdir(parents=True)
    Release(endpoints).fill(Draft(work / "bundle", work, draft.cache, draft.go, draft.progress, runner))
    assert "curl" not in runner.programs
    assert not any("docker://" in word for call in runner.calls for word in call)
    assert "mmdebstrap" not in runner.programs
    assert "kubelet: downloaded earlier" in lines


def test_another_content_is_refused(draft: Draft, endpoints: Endpoints, downloads: Path) -> None:
    address = endpoints.program("kubelet")
    (downloads / f"v{KUBERNETES_VERSION}/bin/linux/amd64/kubelet").write_bytes(b"tampered with")
    with pytest.raises(ImageError) as error:
        Release(endpoints).fill(draft)
    published, found = (hashlib.sha256(content).hexdigest() for content in (CONTENT, b"tampered with"))
    assert f"{address} isn't what its project published" in error.value.message
    assert published in error.value.message
    assert found in error.value.message
    assert f"{address}.sha256" in error.value.message
    assert "AZLOCAL_KUBERNETES_MIRROR" in error.value.remedy
    assert not list(draft.cache.components.rglob("kubelet"))
    assert list(draft.cache.components.rglob("kubeadm"))


@pytest.mark.parametrize("checksum", ["", "\n", "<html>not found</html>"])
def test_what_is_no_checksum_vouches_for_nothing(tmp_path: Path, checksum: str) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    with pytest.raises(ImageError, match="isn't what its project published"):
        check_sum(tmp_path / "file", checksum, "https://a/file", "https://a/file.sha256")


def test_a_checksum_file_may_name_its_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    check_sum(tmp_path / "file", f"{hashlib.sha256(CONTENT).hexdigest().upper()}  file\n", "a", "b")


def test_a_missing_download_is_named(draft: Draft, endpoints: Endpoints, downloads: Path) -> None:
    (downloads / f"v{KUBERNETES_VERSION}/bin/linux/amd64/kubectl.sha256").unlink()
    with pytest.raises(ImageError, match="404"):
        Release(endpoints).fill(draft)


def test_a_server_that_answers_is_reachable(endpoints: Endpoints, runner: WithCurl) -> None:
    assert why_unreachable(endpoints, runner) is None


def test_one_that_does_not_answer_is_named_with_the_reason(runner: WithCurl, tmp_path: Path) -> None:
    with serving(tmp_path) as address:
        pass
    reason = why_unreachable(Endpoints(kubernetes=address), runner)
    assert reason
    assert f"{address}/v{KUBERNETES_VERSION}" in reason
    assert "connect" in reason.lower()


def test_images_come_from_a_mirror_under_their_own_names(
    draft: Draft, endpoints: Endpoints, runner: WithCurl
) -> None:
    Release(endpoints).fill(draft)
    argv = next(call for call in runner.calls if call[0] == "skopeo" and "pause" in call[-1])
    assert "docker://127.0.0.1:5000/mirror/registry.k8s.io/pause:3.10.1" in argv
    assert "--src-tls-verify=false" in argv
    assert argv[-1].endswith(":registry.k8s.io/pause:3.10.1")
    assert argv[argv.index("--override-arch") + 1] == "amd64"


def test_without_a_mirror_each_image_has_its_own_registry(
    draft: Draft, endpoints: Endpoints, runner: WithCurl
) -> None:
    Release(Endpoints(endpoints.kubernetes, endpoints.helm)).fill(draft)
    argv = next(call for call in runner.calls if call[0] == "skopeo" and "etcd" in call[-1])
    assert "docker://registry.k8s.io/etcd:3.6.5-0" in argv
    assert "--src-tls-verify=false" not in argv


def test_endpoints_come_from_the_environment() -> None:
    assert Endpoints.of({}) == Endpoints("https://dl.k8s.io", "https://get.helm.sh", "")
    named = Endpoints.of({"AZLOCAL_KUBERNETES_MIRROR": "http://a/", "AZLOCAL_IMAGE_MIRROR": "b:5000/"})
    assert named == Endpoints("http://a", "https://get.helm.sh", "b:5000")
