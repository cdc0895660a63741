from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from infra.cli import app
from infra.cli import image as cli
from infra.image import cache as image_cache
from infra.image import needs
from infra.image.build import build
from infra.image.bundle import Bundle
from infra.image.bundle.model import BUNDLE_FILE, SBOM_FILE, SUMS_FILE, render
from infra.image.known_holes import known_holes
from infra.image.model import ImageError, NodeImage
from infra.image.places import Cache
from infra.image.recipe import Recipe
from infra.model.versions import BUILT, DEFAULT, KubernetesVersion
from tests.image.conftest import FakeRunner
from tests.instances import cluster, files, write_files


@pytest.fixture
def filled(
    recipe: Recipe, bundle: Bundle, runner: FakeRunner, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> Cache:
    monkeypatch.setattr(cli, "default_cache", lambda: cache)
    build(recipe, bundle, cache, lambda line: None, runner)
    return cache


@pytest.fixture
def in_use(filled: Cache, recipe: Recipe, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "current_recipe", lambda digest: recipe)
    monkeypatch.setattr(cli, "find_bundle_in", lambda cache, version: bundle if version == DEFAULT else None)


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["image", *arguments])
    return result.exit_code, result.output


def test_list_says_what_is_not_built(filled: Cache, recipe: Recipe) -> None:
    code, output = call("list")
    assert code == 0
    assert f"{recipe.image_name} " in output
    assert "azlocal image build" in output


def test_list_shows_which_image_is_in_use(in_use: None) -> None:
    assert "yes" in call("list")[1]


@pytest.mark.parametrize(("built", "remedy"), [(DEFAULT, False), (BUILT[1], True)])
def test_list_says_it_where_only_another_version_is_built(
    filled: Cache,
    recipe: Recipe,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    built: KubernetesVersion,
    remedy: bool,
) -> None:
    monkeypatch.setattr(cli, "current_recipe", lambda digest: recipe)
    monkeypatch.setattr(cli, "find_bundle_in", lambda cache, version: bundle if version == built else None)
    monkeypatch.setattr("infra.image.bundle.store.entries", lambda cache: [bundle])
    assert ("azlocal image build" in call("list")[1]) == remedy


@pytest.mark.parametrize(
    ("text", "arguments", "kind", "vm_disk"),
    [
        ("machineType: auto", ["lab"], "kubernetes", True),
        ("nodeImage: 'plain'", ["lab"], "plain", True),
        ("nodeImage: plain", [], "kubernetes", True),
        ("nodeImage: kubernetes", ["--plain"], "plain", True),
        ("machineType: container", ["lab"], "kubernetes", False),
        ("machineType: container", ["lab", "--vm-disk"], "kubernetes", True),
        ("machineType: container", [], "kubernetes", True),
        ("machineType: emulated", ["lab"], "kubernetes", True),
        ("machineType: vm", ["lab", "--no-vm-disk"], "kubernetes", False),
    ],
)
def test_a_stack_says_which_image_it_needs(
    text: str,
    arguments: list[str],
    kind: str,
    vm_disk: bool,
    in_use: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = []

    def note(_say: object, _source: object, kind: str, _version: object, *, vm_disk: bool) -> NoReturn:
        built.append((kind, vm_disk))
        raise ImageError("enough", "")

    monkeypatch.setattr(cli, "build_node_image", note)
    monkeypatch.chdir(tmp_path)
    Path("Pulumi.lab.yaml").write_text(f"config:\n  azlocal:site: here\n  azlocal:{text}\n")
    assert call("build", *arguments)[0] == 1
    assert built == [(kind, vm_disk)]


@pytest.mark.parametrize(
    ("versions", "arguments", "built"),
    [
        ([], ["lab"], ["1.34.4"]),
        (["1.33.5"], ["lab"], ["1.34.4", "1.33.5"]),
        (["1.32.9", "1.34.4", "1.32.9"], ["lab"], ["1.34.4", "1.32.9"]),
        (["1.33.5", "1.33.4"], ["lab"], ["1.34.4", "1.33.5"]),  # the plan says that the latter is not built
        ([], ["--kubernetes-version", "1.32.9", "--kubernetes-version", "1.33.5"], ["1.32.9", "1.33.5"]),
    ],
)
def test_an_image_is_built_for_each_version_that_a_stack_s_clusters_have(
    versions: list[str],
    arguments: list[str],
    built: list[str],
    filled: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    images = image_cache.entries(filled)

    def note(_say: object, _source: object, _kind: str, version: KubernetesVersion, *, vm_disk: bool) -> NodeImage:
        asked.append(version.version)
        return images[0].image

    monkeypatch.setattr(cli, "build_node_image", note)
    clusters = [cluster(name=f"c{number}", kubernetesVersion=version) for number, version in enumerate(versions)]
    write_files(tmp_path, files(clusters))
    monkeypatch.chdir(tmp_path)
    code, output = call("build", *arguments)
    assert code == 0, output
    assert asked == built


def test_a_version_that_is_not_built_is_told_those_that_are() -> None:
    code, output = call("build", "--kubernetes-version", "1.33.4")
    assert code == 2
    assert all(version in output for version in ("1.33.4", "1.34.4", "1.33.5", "1.32.9"))


def test_it_is_said_where_upstream_no_longer_patches_a_version() -> None:
    version = BUILT[-1]
    assert version.support_note(version.support_ends) is None
    note = version.support_note(version.support_ends + timedelta(days=1))
    assert note
    assert str(version.support_ends) in note


@pytest.mark.parametrize(
    ("connection", "has_kvm", "vm_disk"),
    [
        ("qemu:///system", True, True),
        ("qemu:///system", False, False),
        ("qemu+ssh://root@192.0.2.1/system", False, True),
    ],
)
def test_where_machines_choose_their_type_the_disk_is_made_if_one_may_be_a_vm(
    connection: str, has_kvm: bool, vm_disk: bool, in_use: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def note(_say: object, _source: object, _kind: str, _version: object, *, vm_disk: bool) -> NoReturn:
        asked.append(vm_disk)
        raise ImageError("enough", "")

    monkeypatch.setattr(cli, "build_node_image", note)
    monkeypatch.setattr(needs, "_KVM", tmp_path if has_kvm else tmp_path / "kvm")
    monkeypatch.chdir(tmp_path)
    Path("Pulumi.lab.yaml").write_text("config:\n  azlocal:site: here\n  azlocal:machineType: auto\n")
    Path("hosts").mkdir()
    Path("hosts/here.yaml").write_text(f"hosts:\n  - name: one\n    connection: {connection}\n")
    assert call("build", "lab")[0] == 1
    assert asked == [vm_disk]


def test_a_stack_that_cannot_be_read_builds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Pulumi.lab.yaml").write_text("config:\n  azlocal:nodeImage: plane\n")
    code, output = call("build", "lab")
    assert code == 1
    assert "Pulumi.lab.yaml:2" in output
    assert call("build", "lab", "--plain")[0] == 2


def test_verify_fails_for_a_damaged_image(filled: Cache, recipe: Recipe) -> None:
    assert call("verify")[0] == 0
    with (filled.image(recipe.digest) / "disk.qcow2").open("r+b") as file:
        file.write(b"damage")
    code, output = call("verify")
    assert code == 1
    assert "sha256" in output


def bill(cache: Cache, bundle: Bundle, **versions: str) -> None:
    """Put the bundle of a few bytes into the cache, with a bill of materials that is made up."""
    parts = [
        {"type": "application", "name": f"{name}/{name}", "version": version} for name, version in versions.items()
    ]
    (bundle.folder / SBOM_FILE).write_text(json.dumps({"components": parts}))
    sha256 = hashlib.sha256((bundle.folder / SBOM_FILE).read_bytes()).hexdigest()
    (bundle.folder / SUMS_FILE).write_text(f"{sha256}  {SBOM_FILE}\n")
    (bundle.folder / BUNDLE_FILE).write_text(render(bundle))


def test_verify_names_what_has_known_holes_and_what_has_none(
    filled: Cache, recipe: Recipe, bundle: Bundle
) -> None:
    bill(filled, bundle, runc="v1.3.2", containerd="v2.3.7")
    code, output = call("verify")
    assert code == 1
    lines = output.splitlines()
    ours = [line for line in lines if line.startswith(f"{bundle.name}: runc v1.3.2: CVE-2025-31133, high: ")]
    assert len(ours) == 1
    assert "fixed in 1.3.3; https://github.com/opencontainers/runc/security/advisories/" in ours[0]
    assert not any("containerd v2.3.7" in line for line in lines)
    assert f"{recipe.image_name}: no hole that was known on {known_holes().as_of}" in lines
    assert "Nodes that stand keep the containerd and runc" in output


def test_verify_is_content_where_nothing_has_a_known_hole(filled: Cache, bundle: Bundle) -> None:
    bill(filled, bundle, runc="v1.4.4", containerd="v2.3.7")
    code, output = call("verify")
    assert code == 0
    assert f"{bundle.name}: no hole that was known on {known_holes().as_of}" in output


def test_debian_s_packages_in_an_image_count(filled: Cache, recipe: Recipe) -> None:
    manifest = filled.image(recipe.digest) / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "packages": {"runc": "1.1.5+ds1-1+deb12u1"}}))
    code, output = call("verify")
    assert code == 1
    assert f"{recipe.image_name}: runc 1.1.5+ds1-1+deb12u1 (Debian's package: " in output


def test_prune_keeps_the_plain_image_where_no_bundle_was_ever_built(
    recipe: Recipe, runner: FakeRunner, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "default_cache", lambda: cache)
    monkeypatch.setattr(cli, "current_recipe", lambda digest: recipe)
    monkeypatch.setattr(cli, "find_bundle_in", lambda cache, version: None)
    build(recipe, None, cache, lambda line: None, runner)
    assert call("prune") == (0, "freed 0 MiB\n")
    assert cache.image(recipe.digest).exists()
    assert cache.tree(recipe.tree_digest).exists()


def test_prune_keeps_the_image_in_use(filled: Cache, in_use: None, recipe: Recipe) -> None:
    assert call("prune") == (0, "freed 0 MiB\n")
    assert filled.image(recipe.digest).exists()
    code, output = call("prune", "--all")
    assert code == 0
    assert str(filled.image(recipe.digest)) in output
    assert not filled.image(recipe.digest).exists()
    assert not filled.tree(recipe.tree_digest).exists()


def test_build_reports_an_error_and_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(progress: object, source: str, kind: str, version: object, *, vm_disk: bool) -> None:
        assert (source, kind) == ("auto", "plain")
        raise ImageError("It failed.", "Do this.")

    monkeypatch.setattr(cli, "build_node_image", fail)
    assert call("build", "--plain") == (1, "error: It failed.\nDo this.\n")
