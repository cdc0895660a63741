from __future__ import annotations

import tomllib

import pytest

from infra.image.bundle.components import component
from infra.image.bundle.images import (
    CHARTS,
    EXTRA_PACKAGES,
    IMAGES,
    Binary,
    FromDebian,
    Image,
    Link,
    Sources,
)
from infra.image.recipe import current_recipe


def by_name(name: str) -> Image:
    return next(image for image in IMAGES if image.name == name)


def test_names_and_references_are_unique() -> None:
    assert len({image.name for image in IMAGES}) == len(IMAGES)
    assert len({image.reference("modules") for image in IMAGES}) == len(IMAGES)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_everything_in_an_image_is_made_by_someone(image: Image) -> None:
    for entry in image.entries:
        if isinstance(entry, Binary) and entry.component != "pause":
            assert entry.name in component(entry.component).binaries
        if isinstance(entry, Sources):
            assert component(entry.component)
        if isinstance(entry, FromDebian):
            assert entry.package in EXTRA_PACKAGES
        targets = entry.targets if isinstance(entry, Link) else (entry.target,)
        assert not any(target.startswith("/") for target in targets)


@pytest.mark.parametrize("image", [image for image in IMAGES if image.debian], ids=lambda image: image.name)
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
    sandbox = settings["plugins"]["io.containerd.grpc.v1.cri"]["sandbox_image"]
    assert sandbox == by_name("pause").reference("modules")


def test_charts_come_from_components() -> None:
    assert all(component(chart.component) for chart in CHARTS)
