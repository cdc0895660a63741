from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.image.bundle.components import COMPONENTS
from infra.image.bundle.debian import base_tree
from infra.image.bundle.images import IMAGES
from infra.image.bundle.modules import Modules, take_inventory
from infra.image.bundle.sources import Draft, copy_charts
from infra.image.errors import ImageError
from tests.image.bundle.conftest import BundleRunner


@pytest.fixture(autouse=True)
def not_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("infra.image.bundle.compose.os.chown", lambda *arguments: None)
    yield


def again(draft: Draft) -> Draft:
    """Return the draft that the next build would start with."""
    work = draft.work.parent / "again"
    (work / "bundle").mkdir(parents=True)
    return Draft(work / "bundle", work, draft.cache, draft.go, draft.progress, draft.run)


def test_every_image_and_program_is_made(draft: Draft) -> None:
    Modules().fill(draft)
    assert {path.stem for path in draft.images.iterdir()} == {image.name for image in IMAGES}
    assert {path.name for path in draft.binaries.iterdir()} == {"kubeadm", "kubelet", "kubectl", "helm"}
    assert (draft.binaries / "kubelet").read_text() == "kubernetes/kubelet"
    assert (draft.binaries / "kubelet").stat().st_mode & 0o777 == 0o755


def test_progress_says_what_comes_next(draft: Draft, lines: list[str]) -> None:
    Modules().fill(draft)
    assert "kubernetes v1.34.4: compiling (1 of 7; then calico)" in lines
    assert "etcd v3.6.16: compiling (7 of 7)" in lines
    assert [line for line in lines if line.startswith("kubernetes v1.34.4: ") and line.endswith(" s")]


def test_after_a_failure_only_the_rest_is_compiled(draft: Draft, runner: BundleRunner, lines: list[str]) -> None:
    runner.fail = "metallb"
    with pytest.raises(ImageError, match="metallb"):
        Modules().fill(draft)
    assert runner.compiled() == ["kubernetes", "calico", "metallb"]
    runner.fail = None
    runner.calls.clear()
    Modules().fill(again(draft))
    assert runner.compiled() == [entry.name for entry in COMPONENTS[2:]]
    assert "kubernetes v1.34.4: compiled earlier" in lines


def test_debian_s_packages_are_fetched_once(draft: Draft, runner: BundleRunner) -> None:
    Modules().fill(draft)
    Modules().fill(again(draft))
    assert runner.programs.count("mmdebstrap") == 2


def test_the_common_layer_has_no_traces_of_apt(draft: Draft, runner: BundleRunner) -> None:
    tree = base_tree(draft.cache, draft.work, draft.progress, runner)
    assert not (tree / "etc/apt").exists()
    assert (tree / "var/lib/dpkg/status").exists()


def test_the_inventory_names_what_images_hold(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in [*(entry.name for entry in COMPONENTS), "pause"]}
    extras = {"busybox-static": "2", "ca-certificates": "3", "containernetworking-plugins": "4"}
    inventory = take_inventory(folders, {"iptables": "1"}, extras)
    assert inventory.images["kube-proxy"].packages == ("iptables",)
    assert inventory.images["calico-cni"].packages == ("ca-certificates", "containernetworking-plugins")
    assert inventory.images["calico-cni"].programs == ("calico/install", "calico/calico")
    assert inventory.programs["helm/helm"].version == "v3.19.0"
    assert not inventory.programs["pause/pause"].go
    assert inventory.packages["iptables"] == "1"


def test_charts_are_copied_whole_and_can_be_written(draft: Draft) -> None:
    copy_charts(draft)
    for path in ("calico/file.yaml", "calico/crds/file.yaml", "metallb/file.yaml", "values/calico.yaml"):
        assert (draft.charts / path).is_file()
    assert (draft.charts / "calico/file.yaml").stat().st_mode & 0o777 == 0o644
