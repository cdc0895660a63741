from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from infra.image import known_holes
from infra.image.bundle import build as build_module
from infra.image.bundle import store
from infra.image.bundle.build import build, check_space, choose
from infra.image.bundle.model import Bundle
from infra.image.bundle.modules import Modules
from infra.image.bundle.release import Endpoints
from infra.image.bundle.store import choose_source, find_bundle_in, load, prunable, verify
from infra.image.errors import ImageError
from infra.image.places import Cache
from infra.model.versions import BUILT, DEFAULT, KubernetesVersion
from tests.image.bundle.conftest import GO, BundleRunner

GIB = 1 << 30


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("infra.image.bundle.compose.os.chown", lambda *arguments: None)
    monkeypatch.setattr(build_module, "check_space", lambda cache, source: None)
    yield


def make(cache: Cache, runner: BundleRunner, lines: list[str], version: KubernetesVersion = DEFAULT) -> Bundle:
    return build("modules", Modules(), cache, lines.append, runner, lambda run: GO, version=version)


def test_a_bundle_is_published_with_its_checksums(cache: Cache, runner: BundleRunner, lines: list[str]) -> None:
    bundle = make(cache, runner, lines)
    assert bundle.kubernetes_version == "1.34.4"
    assert bundle.images["coredns"] == "registry.k8s.io/coredns/coredns:v1.14.3-azlocal"
    assert bundle.charts["metallb"].is_dir()
    assert bundle.archive("pause").is_file()
    assert verify(bundle) == []
    listed = (bundle.folder / "SHA256SUMS").read_text()
    assert "  sbom.cdx.json\n" in listed
    assert "  charts/calico/crds/calico.yaml\n" in listed
    assert not cache.bundle_work.exists()
    choose_source(cache, "modules")
    assert find_bundle_in(cache) == bundle


def test_bundles_of_two_versions_stand_side_by_side_and_share_all_but_kubernetes(
    cache: Cache, runner: BundleRunner, lines: list[str]
) -> None:
    default = make(cache, runner, lines)
    compiled = len(runner.compiled())
    other = make(cache, runner, lines, BUILT[1])
    assert runner.compiled()[compiled:] == ["kubernetes"]
    assert (default.kubernetes_version, other.kubernetes_version) == (DEFAULT.version, BUILT[1].version)
    assert default.folder != other.folder
    assert verify(default) == verify(other) == []
    differ = {name for name in default.images if default.images[name] != other.images[name]}
    assert differ == {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"}
    choose_source(cache, "modules")
    assert [find_bundle_in(cache, version) for version in BUILT[:2]] == [default, other]
    keep = {default.digest, other.digest}
    assert prunable(cache, keep, components=False) == []
    assert prunable(cache, {default.digest}, components=False) == [other.folder]


def test_what_any_version_has_is_found_where_the_default_is_not_built(
    cache: Cache, runner: BundleRunner, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "default_cache", lambda: cache)
    assert store.find_bundle() is None
    other = make(cache, runner, lines, BUILT[1])
    choose_source(cache, "modules")
    assert store.find_bundle() == other
    default = make(cache, runner, lines)
    assert store.find_bundle() == default


def test_the_bill_of_materials_has_modules_and_packages(
    cache: Cache, runner: BundleRunner, lines: list[str]
) -> None:
    content = json.loads((make(cache, runner, lines).folder / "sbom.cdx.json").read_text())
    purls = {entry.get("purl") for entry in content["components"]}
    assert "pkg:golang/example.com/lib@v2.0.0" in purls
    assert "pkg:golang/example.com/new@v3" in purls
    assert "pkg:golang/std@1.26.8" in purls
    assert any(purl and purl.startswith("pkg:deb/debian/runit@1-runit") for purl in purls)
    held = {entry["ref"]: entry.get("dependsOn", []) for entry in content["dependencies"]}
    assert "program:etcd/server" in held["image:etcd"]
    assert "pkg:generic/libseccomp@1-libseccomp" in held["program:runc/runc"]
    assert any("iptables" in part for part in held["image:calico-node"])


LIST = """
as_of: 2026-01-02
holes:
  - component: lib
    names: [example.com/lib]
    id: CVE-1
    severity: high
    affected: ["<2.0.1"]
    what: gets out
    source: https://github.com/example/1
    stays: the project comes with it
  - component: lib
    names: [example.com/lib]
    id: CVE-2
    severity: unrated
    affected: ["<2.1"]
    what: reads more
    source: https://github.com/example/2
    stays: no program has that
    unused: true
  - component: runit
    id: CVE-3
    severity: low
    affected: ["<2"]
    what: Debian's, and Debian says which of its versions has it
    source: https://github.com/example/3
"""


def test_the_bill_of_materials_names_the_known_holes_of_what_is_in_it(
    cache: Cache, runner: BundleRunner, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_holes, "known_holes", lambda: known_holes.parse(LIST))
    text = (make(cache, runner, lines).folder / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    found = {entry["id"]: entry for entry in json.loads(text)["vulnerabilities"]}
    assert set(found) == {"CVE-1", "CVE-2"}
    assert found["CVE-1"]["affects"] == [{"ref": "pkg:golang/example.com/lib@v2.0.0"}]
    assert found["CVE-1"]["ratings"] == [{"severity": "high"}]
    assert found["CVE-1"]["description"] == "lib: gets out"
    assert found["CVE-1"]["recommendation"] == "fixed in 2.0.1"
    assert found["CVE-1"]["advisories"] == [{"url": "https://github.com/example/1"}]
    assert found["CVE-1"]["analysis"] == {"state": "in_triage", "detail": "the project comes with it"}
    assert found["CVE-2"]["ratings"] == [{"severity": "unknown"}]
    assert found["CVE-2"]["analysis"]["justification"] == "code_not_present"


def test_a_built_bundle_is_not_built_again(cache: Cache, runner: BundleRunner, lines: list[str]) -> None:
    make(cache, runner, lines)
    runner.calls.clear()
    make(cache, runner, lines)
    assert runner.calls == []


@pytest.mark.parametrize("program", ["calico", "gcc", "umoci", "skopeo", "mmdebstrap", "setcap"])
def test_a_failure_leaves_no_bundle(cache: Cache, runner: BundleRunner, lines: list[str], program: str) -> None:
    runner.fail = program
    with pytest.raises(ImageError, match=program):
        make(cache, runner, lines)
    assert find_bundle_in(cache) is None
    assert not cache.bundle_work.exists()
    runner.fail = None
    assert load(cache, make(cache, runner, lines).digest)


def test_auto_takes_downloads_that_answer(runner: BundleRunner, lines: list[str]) -> None:
    endpoints = Endpoints("http://mirror")
    for address in (f"{endpoints.program('kubeadm')}.sha256", f"{endpoints.helm_archive}.sha256sum"):
        runner.served[address] = b"x"
    runner.served[endpoints.runc_sums] = b"x"
    assert choose("auto", endpoints, lines.append, runner) == "release"
    assert "http://mirror answers" in lines[0]


def test_auto_compiles_where_they_do_not_and_says_why(runner: BundleRunner, lines: list[str]) -> None:
    assert choose("auto", Endpoints("http://mirror"), lines.append, runner) == "modules"
    assert "http://mirror" in lines[0]
    assert "404" in lines[0]


@pytest.mark.parametrize("source", ["release", "modules"])
def test_a_source_that_is_asked_for_is_taken(runner: BundleRunner, lines: list[str], source: str) -> None:
    assert choose(source, Endpoints(), lines.append, runner) == source  # type: ignore[arg-type]
    assert runner.calls == []


@pytest.mark.parametrize(("cold", "needed"), [(True, 29), (False, 4)])
def test_go_s_caches_need_room_of_their_own(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, cold: bool, needed: int
) -> None:
    cache.bundles.mkdir(parents=True)
    if not cold:
        (cache.go / "build").mkdir(parents=True)
    usage = shutil.disk_usage(Path("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=GIB))
    with pytest.raises(ImageError, match=rf"{needed} GiB .* 1\.0 GiB are free"):
        check_space(cache, "modules")


def test_a_cache_that_cannot_be_written_is_an_image_error(
    tmp_path: Path, runner: BundleRunner, lines: list[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="can't be built in"):
        make(Cache(tmp_path / "file"), runner, lines)
