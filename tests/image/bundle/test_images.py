from __future__ import annotations

import tomllib

import pytest
import yaml

from infra.image.bundle.components import FLUX_VERSION, HELM_VERSION, component, components
from infra.image.bundle.images import CHARTS, EXTRAS, images, made_here, trees_of
from infra.image.bundle.parts import OWN_CHARTS, Binary, FromDebian, Image, Link, Sources
from infra.image.recipe import current_recipe


def by_name(name: str) -> Image:
    return next(image for image in images() if image.name == name)


def test_names_and_references_are_unique() -> None:
    assert len({image.name for image in images()}) == len(images())
    assert len({image.reference("modules") for image in images()}) == len(images())


@pytest.mark.parametrize("image", images(), ids=lambda image: image.name)
def test_everything_in_an_image_is_made_by_someone(image: Image) -> None:
    for entry in image.entries:
        if isinstance(entry, Binary) and entry.component != "pause":
            assert entry.name in component(entry.component).binaries
        if isinstance(entry, Sources):
            assert component(entry.component)
        if isinstance(entry, FromDebian):
            assert entry.package in EXTRAS.packages
        targets = entry.targets if isinstance(entry, Link) else (entry.target,)
        assert not any(target.startswith("/") for target in targets)


@pytest.mark.parametrize("image", [image for image in images() if image.debian], ids=lambda image: image.name)
def test_nothing_replaces_debian_s_links_into_usr(image: Image) -> None:
    targets = [entry.target for entry in image.entries if not isinstance(entry, Link)]
    assert not any(target.startswith(("bin/", "sbin/", "lib/")) for target in targets)


def test_a_release_has_the_tags_that_kubeadm_of_that_version_names() -> None:
    assert by_name("etcd").reference("release") == "registry.k8s.io/etcd:3.6.5-0"
    assert by_name("etcd").reference("modules") == "registry.k8s.io/etcd:3.6.16-0"
    assert by_name("pause").reference("release") == by_name("pause").reference("modules")


def test_containerd_s_sandbox_is_in_the_bundle() -> None:
    files = current_recipe("0" * 64).root_files
    settings = tomllib.loads(files["etc/containerd/config.toml"].decode())
    sandbox = settings["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"]
    assert sandbox == by_name("pause").reference("modules")


def test_charts_come_from_components_or_are_ours() -> None:
    for chart in CHARTS:
        assert (
            component(chart.component) if chart.component else (OWN_CHARTS / chart.name / "Chart.yaml").is_file()
        )
        assert all(component(linked.component) for linked in chart.linked)
        assert all(by_name(image) for image in chart.images)


def test_every_chart_of_ours_is_in_the_bundle() -> None:
    assert {path.name for path in OWN_CHARTS.iterdir()} == {chart.name for chart in CHARTS if not chart.component}


def test_flux_s_chart_says_which_flux_it_brings() -> None:
    chart = yaml.safe_load((OWN_CHARTS / "flux/Chart.yaml").read_text())
    assert chart["appVersion"] == FLUX_VERSION
    assert (
        by_name("flux-source-controller").reference("release")
        == f"ghcr.io/fluxcd/source-controller:{FLUX_VERSION}"
    )
    # What is compiled here isn't quite the project's, and doesn't pass for it.
    assert by_name("flux-source-controller").reference("modules").endswith(f":{FLUX_VERSION}-azlocal")


def test_only_what_nobody_publishes_is_made_for_a_release() -> None:
    assert [image.name for image in made_here("release")] == ["agent-runtime"]
    assert made_here("modules") == images()
    assert [tree.name for tree in trees_of(made_here("release"))] == ["python", "extras"]
    assert [tree.name for tree in trees_of(images())] == ["base", "python", "extras"]


def test_trees_and_images_have_names_of_their_own() -> None:
    # They are tags of one layout while images are put together.
    names = [tree.name for tree in trees_of(images())] + [image.name for image in images()]
    assert len(set(names)) == len(names)
    assert not {entry.name for entry in components()} & {tree.name for tree in trees_of(images())}


def test_the_agents_runtime_says_what_is_in_it() -> None:
    image = by_name("agent-runtime")
    assert HELM_VERSION.removeprefix("v") in image.tag
    assert image.reference("release") == image.reference("modules")
