from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from infra.image.bundle.components import MODULES, Component, component, components
from infra.image.bundle.golang import OLDEST_GO
from infra.image.bundle.images import BINARIES
from infra.model.versions import BUILT, KubernetesVersion
from tests.project import ROOT

ENTRIES = (*components(), *(component("kubernetes", version) for version in BUILT[1:]))


def test_every_module_file_belongs_to_a_component() -> None:
    assert {path.name for path in MODULES.iterdir()} == {entry.name for entry in components()}
    versions = {path.name for path in (MODULES / "kubernetes").iterdir()}
    assert versions == {version.version for version in BUILT}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.name}-{entry.version}")
def test_go_mod_names_the_module_and_what_is_built(entry: Component) -> None:
    text = (entry.folder / "go.mod").read_text()
    tools = re.search(r"^tool \((.*?)^\)|^tool (\S+)$", text, re.MULTILINE | re.DOTALL)
    assert tools
    packages = (tools[1] or tools[2]).split()
    names = [package.split("/") for package in packages]
    # A package whose last part is a major version is built under the part before it.
    assert {parts[-2] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1] for parts in names} == set(entry.binaries)
    # A main package of our own is in a folder beside go.mod.
    ours = f"azlocal/bundle/{entry.name}/"
    assert all(package.startswith((entry.module, *entry.others, ours)) for package in packages)
    assert all(
        (entry.folder / package.removeprefix(ours)).is_dir() for package in packages if package.startswith(ours)
    )
    for module in (entry.module, *entry.others):
        # Calico's releases of this line are in the module proxy under a name of Go's own making.
        pinned = re.search(rf"^\s*(?:require )?{re.escape(module)} (\S+)", text, re.MULTILINE)
        assert pinned
        assert pinned[1] == entry.version or entry.name == "calico"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.name}-{entry.version}")
def test_go_sum_vouches_for_the_modules(entry: Component) -> None:
    sums = (entry.folder / "go.sum").read_text()
    assert all(f"{module} v" in sums for module in (entry.module, *entry.others))


def versions(name: str) -> dict[str, str]:
    """Return the version that a component's go.mod chooses of each module; a replacement is what counts."""
    text = (component(name).folder / "go.mod").read_text()
    required = re.findall(r"^(?:require )?\s*(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE)
    replaced = re.findall(r"^(?:replace )?\s*(\S+) => \S+ (v\S+)$", text, re.MULTILINE)
    return dict(required) | dict(replaced)


@pytest.mark.parametrize(
    ("name", "leader"),
    [
        ("metallb", "kubernetes"),
        ("local-path-provisioner", "flux"),
        ("coredns", "flux"),
        ("helm", "flux"),
    ],
)
def test_what_two_components_share_is_compiled_once(name: str, leader: str) -> None:
    follows, leads = versions(name), versions(leader)
    # Flux replaces this one by a later commit, for hardly anything that Helm uses.
    shared = set(follows) & set(leads) - {"github.com/opencontainers/go-digest"}
    assert {"k8s.io/client-go", "k8s.io/api", "golang.org/x/net", "google.golang.org/protobuf"} <= shared
    assert {module: follows[module] for module in shared} == {module: leads[module] for module in shared}


def test_a_module_of_our_own_is_part_of_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = component("flux")
    shutil.copytree(entry.folder, tmp_path / entry.name)
    monkeypatch.setattr("infra.image.bundle.components.MODULES", tmp_path)
    digest = entry.digest
    (tmp_path / entry.name / "artifact/storage/storage.go").write_text("package storage\n")
    assert entry.digest != digest


def test_what_is_set_at_link_time_is_part_of_the_digest() -> None:
    entry = component("helm")
    assert dataclasses.replace(entry, variables={}).digest != entry.digest
    assert dataclasses.replace(entry, version="v0").digest == entry.digest


def test_what_is_compiled_in_or_left_out_is_part_of_the_digest() -> None:
    entry = component("runc")
    assert dataclasses.replace(entry, tags=()).digest != entry.digest
    assert dataclasses.replace(entry, libraries=()).digest != entry.digest


def test_runc_has_seccomp_without_which_pods_of_the_default_profile_do_not_start() -> None:
    assert "seccomp" in component("runc").tags
    assert component("runc").libraries == ("libseccomp",)


def test_the_newest_go_that_a_component_asks_for_is_looked_for() -> None:
    asked = [re.search(r"^go (\S+)$", (entry.folder / "go.mod").read_text(), re.MULTILINE) for entry in ENTRIES]
    versions = [tuple(map(int, found[1].split("."))) for found in asked if found]
    assert len(versions) == len(ENTRIES)
    assert max(versions) == tuple(map(int, OLDEST_GO.split(".")))


@pytest.mark.parametrize("version", BUILT, ids=lambda version: version.version)
def test_kubernetes_says_which_version_it_is(version: KubernetesVersion) -> None:
    variables = component("kubernetes", version).variables
    assert variables["k8s.io/component-base/version.gitVersion"] == component("kubernetes", version).version
    assert variables["k8s.io/component-base/version.gitMinor"] == version.minor
    assert not any(" " in value for value in variables.values())


def test_the_documentation_names_the_versions_that_matter_for_security() -> None:
    text = (ROOT / "docs/understand.md").read_text()
    names = ("containerd", "runc", "Kubernetes", "Calico", "MetalLB")
    assert [name for name in names if f"{name} {component(name.lower()).version}" not in text] == []


def test_the_bundle_s_programs_are_compiled() -> None:
    assert all(name in component(of).binaries for of, name in BINARIES)
