"""The downloads, with the real curl against an HTTP server on loopback."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.image import tools
from infra.image.bundle.components import CONTAINERD_VERSION, HELM_VERSION, RUNC_VERSION
from infra.image.bundle.images import images
from infra.image.bundle.release import Endpoints, Release, check_sum, line_of, pinned_sums, why_unreachable
from infra.image.bundle.sources import Draft
from infra.image.errors import ImageError
from infra.model.versions import DEFAULT
from tests.image.bundle.conftest import BundleRunner

CONTENT = b"a program"
PROGRAMS = tuple(f"{DEFAULT.tag}/bin/linux/amd64/{name}" for name in ("kubeadm", "kubelet", "kubectl"))
ARCHIVE = f"helm-{HELM_VERSION}-linux-amd64.tar.gz"
CONTAINERD = (
    f"containerd/containerd/releases/download/{CONTAINERD_VERSION}/"
    f"containerd-static-{CONTAINERD_VERSION.removeprefix('v')}-linux-amd64.tar.gz"
)
RUNC = f"opencontainers/runc/releases/download/{RUNC_VERSION}/runc.amd64"
SUMS = dict.fromkeys((*PROGRAMS, ARCHIVE), hashlib.sha256(CONTENT).hexdigest())


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
    (folder / PROGRAMS[0]).parent.mkdir(parents=True)
    for path in PROGRAMS:
        publish(folder, path, CONTENT)
    publish(folder, ARCHIVE, CONTENT)
    for path in (CONTAINERD, RUNC):
        (folder / path).parent.mkdir(parents=True)
        publish(folder, path, CONTENT)
    return folder


def publish(folder: Path, path: str, content: bytes) -> None:
    """Serve a file, and its checksum beside it, as its project does."""
    (folder / path).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    if path == RUNC:
        signed = f"-----BEGIN PGP SIGNED MESSAGE-----\n\n{'0' * 64} *runc.386\n{sha256} *runc.amd64\n"
        (folder / path).with_name("runc.sha256sum").write_text(signed)
        return
    beside, text = ("sha256", sha256) if path in PROGRAMS else ("sha256sum", f"{sha256}  {Path(path).name}\n")
    (folder / f"{path}.{beside}").write_text(text)


@pytest.fixture
def endpoints(downloads: Path) -> Iterator[Endpoints]:
    with serving(downloads) as address:
        yield Endpoints(address, address, "http://127.0.0.1:5000/mirror", address)


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
    inventory = Release(endpoints, SUMS).fill(draft)
    assert (draft.binaries / "kubelet").read_bytes() == CONTENT
    assert (draft.binaries / "helm").read_text() == "helm"
    nodes = {"kubeadm", "kubelet", "kubectl", "containerd", "containerd-shim-runc-v2", "ctr", "runc"}
    assert set(inventory.programs) == {*nodes, "helm"}
    assert (draft.binaries / "runc").read_bytes() == CONTENT
    assert (draft.binaries / "ctr").read_text() == "ctr"
    assert inventory.programs["runc"].version == RUNC_VERSION
    assert {path.stem for path in draft.images.iterdir()} == {image.name for image in images()}
    assert inventory.images["agent-runtime"].programs == ("helm",)
    assert "ca-certificates" in inventory.images["agent-runtime"].packages
    assert not inventory.images["pause"].programs
    downloaded = [call for call in runner.calls if call[0] == "skopeo" and "docker://" in call[-2]]
    assert len(downloaded) == len(images()) - 1

    runner.calls.clear()
    work = draft.work.parent / "again"
    (work / "bundle").mkdir(parents=True)
    Release(endpoints, SUMS).fill(Draft(work / "bundle", work, draft.cache, draft.go, draft.progress, runner))
    assert "curl" not in runner.programs
    assert not any("docker://" in word for call in runner.calls for word in call)
    assert "mmdebstrap" not in runner.programs
    assert "kubelet: downloaded earlier" in lines


def test_a_server_that_changes_a_program_and_its_checksum_is_not_believed(
    draft: Draft, endpoints: Endpoints, downloads: Path
) -> None:
    address = endpoints.program("kubelet")
    publish(downloads, PROGRAMS[1], b"tampered with")
    with pytest.raises(ImageError) as error:
        Release(endpoints, SUMS).fill(draft)
    published, found = (hashlib.sha256(content).hexdigest() for content in (CONTENT, b"tampered with"))
    assert f"{address} isn't what its project published" in error.value.message
    assert published in error.value.message
    assert found in error.value.message
    assert "(infra/image/bundle/files/release.sums)" in error.value.message
    assert "AZLOCAL_KUBERNETES_MIRROR" in error.value.remedy
    assert not list(draft.cache.components.rglob("kubelet"))
    assert list(draft.cache.components.rglob("kubeadm"))


def test_without_a_checksum_of_ours_the_server_s_counts_and_that_is_said(
    draft: Draft, endpoints: Endpoints, downloads: Path, lines: list[str]
) -> None:
    (downloads / PROGRAMS[1]).write_bytes(b"tampered with")
    with pytest.raises(ImageError) as error:
        Release(endpoints, {}).fill(draft)
    address = endpoints.program("kubelet")
    assert f"({address}.sha256)" in error.value.message
    assert f"kubelet: no checksum is known beforehand, so {address}.sha256 is believed" in lines


def test_what_was_kept_on_its_server_s_word_is_downloaded_anew_once_its_checksum_is_known(
    draft: Draft, endpoints: Endpoints, downloads: Path, runner: WithCurl, tmp_path: Path
) -> None:
    publish(downloads, PROGRAMS[1], b"tampered with")
    Release(endpoints, {}).fill(draft)
    work = tmp_path / "again"
    (work / "bundle").mkdir(parents=True)
    with pytest.raises(ImageError, match="kubelet isn't what its project published"):
        Release(endpoints, SUMS).fill(Draft(work / "bundle", work, draft.cache, draft.go, draft.progress, runner))


def test_the_checksums_of_what_is_downloaded_are_known() -> None:
    # Not those of containerd and runc, which the README says.
    assert set(pinned_sums()) == {*PROGRAMS, ARCHIVE}
    assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in pinned_sums().values())


def test_from_https_nothing_leads_to_another_protocol(draft: Draft, tmp_path: Path) -> None:
    runner = BundleRunner(tmp_path / "modules")
    https = Endpoints()
    programs = (https.helm_archive, https.containerd_archive, https.runc)
    for address in (*map(https.program, ("kubeadm", "kubelet", "kubectl")), *programs):
        runner.served[address] = CONTENT
    sum_of = hashlib.sha256(CONTENT).hexdigest().encode()
    sums = (f"{https.containerd_archive}.sha256sum", https.runc_sums, f"{https.helm_archive}.sha256sum")
    for address in (f"{https.program('kubeadm')}.sha256", *sums):
        runner.served[address] = sum_of
    assert why_unreachable(https, runner) is None
    Release(https, SUMS).fill(replace(draft, run=runner))
    asked = [call for call in runner.calls if call[0] == "curl"]
    # Each server is asked whether it answers; containerd and runc come with their checksums.
    assert len(asked) == 3 + 4 + 2 * 2
    assert all(call[call.index("--proto") + 1] == "=https" for call in asked)


@pytest.mark.parametrize("checksum", ["", "\n", "<html>not found</html>"])
def test_what_is_no_checksum_vouches_for_nothing(tmp_path: Path, checksum: str) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    with pytest.raises(ImageError, match="isn't what its project published"):
        check_sum(tmp_path / "file", checksum, "https://a/file", "https://a/file.sha256")


def test_a_checksum_file_may_name_its_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    check_sum(tmp_path / "file", f"{hashlib.sha256(CONTENT).hexdigest().upper()}  file\n", "a", "b")


def test_a_signed_list_of_checksums_is_asked_for_its_file() -> None:
    listed = f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{'a' * 64} *runc.386\n{'b' * 64} *runc.amd64\n"
    assert line_of(listed, "runc.amd64").split()[0] == "b" * 64
    assert line_of(f"{'c' * 64}\n", "kubelet").strip() == "c" * 64


def test_another_runc_than_its_project_lists_is_refused(
    draft: Draft, endpoints: Endpoints, downloads: Path
) -> None:
    (downloads / RUNC).write_bytes(b"tampered with")
    with pytest.raises(ImageError, match=r"runc\.amd64 isn't what its project published") as error:
        Release(endpoints, SUMS).fill(draft)
    assert f"({endpoints.runc_sums})" in error.value.message


@pytest.mark.parametrize("path", [ARCHIVE, RUNC])
def test_every_server_of_programs_has_to_answer(
    endpoints: Endpoints, runner: WithCurl, downloads: Path, path: str
) -> None:
    for beside in (downloads / path).parent.glob("*.sha256sum"):
        beside.unlink()
    assert "404" in (why_unreachable(endpoints, runner) or "")


def test_a_missing_download_is_named(draft: Draft, endpoints: Endpoints, downloads: Path) -> None:
    (downloads / PROGRAMS[2]).unlink()
    with pytest.raises(ImageError, match="404"):
        Release(endpoints, SUMS).fill(draft)


def test_a_server_that_answers_is_reachable(endpoints: Endpoints, runner: WithCurl) -> None:
    assert why_unreachable(endpoints, runner) is None


def test_one_that_does_not_answer_is_named_with_the_reason(runner: WithCurl, tmp_path: Path) -> None:
    with serving(tmp_path) as address:
        pass
    reason = why_unreachable(Endpoints(kubernetes=address), runner)
    assert reason
    assert f"{address}/{DEFAULT.tag}" in reason
    assert "connect" in reason.lower()


def test_images_come_from_a_mirror_under_their_own_names(
    draft: Draft, endpoints: Endpoints, runner: WithCurl
) -> None:
    Release(endpoints, SUMS).fill(draft)
    argv = next(call for call in runner.calls if call[0] == "skopeo" and "pause" in call[-1])
    assert "docker://127.0.0.1:5000/mirror/registry.k8s.io/pause:3.10.1" in argv
    assert "--src-tls-verify=false" in argv
    assert argv[-1].endswith(":registry.k8s.io/pause:3.10.1")
    assert argv[argv.index("--override-arch") + 1] == "amd64"


def test_without_a_mirror_each_image_has_its_own_registry(
    draft: Draft, endpoints: Endpoints, runner: WithCurl
) -> None:
    Release(replace(endpoints, images=""), SUMS).fill(draft)
    argv = next(call for call in runner.calls if call[0] == "skopeo" and "etcd" in call[-1])
    assert "docker://registry.k8s.io/etcd:3.6.5-0" in argv
    assert "--src-tls-verify=false" not in argv


def test_endpoints_come_from_the_environment() -> None:
    assert Endpoints.of({}) == Endpoints("https://dl.k8s.io", "https://get.helm.sh", "", "https://github.com")
    named = Endpoints.of(
        {
            "AZLOCAL_KUBERNETES_MIRROR": "http://a/",
            "AZLOCAL_IMAGE_MIRROR": "b:5000/",
            "AZLOCAL_GITHUB_MIRROR": "http://c/",
        }
    )
    assert named == Endpoints("http://a", "https://get.helm.sh", "b:5000", "http://c")
