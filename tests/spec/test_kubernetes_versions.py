"""What people write for a Kubernetes version, and what they are told to write instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.image.bundle.components import component
from infra.model.run import RunSettings
from infra.model.versions import BUILT, NodeVersions
from infra.spec import Finding, SpecError, load_instance
from infra.spec.kubernetes_versions import BUILT_VERSIONS, is_offered, offered
from tests.instances import checked_addresses, cluster, files, write_files

PLACE = "clusters[0].kubernetesVersion"
OF_1_33 = "write 1.33.5, which azlocal builds; Azure Local has 1.33.4 of 1.33"
A_VERSION = re.compile(r"\d+\.\d+\.\d+")


def read(folder: Path, written: str) -> tuple[Finding, ...]:
    """Return the findings about a version that stands in the file just as given."""
    write_files(folder, files([cluster(kubernetesVersion="VERSION")]))
    path = folder / "Pulumi.lab.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("VERSION", written), encoding="utf-8")
    try:
        found = checked_addresses(load_instance("lab", folder)).findings
    except SpecError as error:
        found = tuple(error.findings)
    return tuple(one for one in found if one.path.endswith(PLACE))


def test_each_version_that_is_said_to_be_built_has_modules_of_its_own() -> None:
    assert tuple(one.version for one in BUILT) == BUILT_VERSIONS
    for version in BUILT:
        modules = component("kubernetes", version).folder / "go.mod"
        assert f"k8s.io/kubernetes {version.tag}" in modules.read_text()


@pytest.mark.parametrize(
    ("written", "message", "remedy"),
    [
        ("1.34", "expected a patch version of Kubernetes", "1.34.4"),
        ("1.30", "found 1.30", "1.30.3, 1.30.4, 1.30.8"),
        ("1.3", "found 1.3", "write 1.34.4, which azlocal builds; Azure Local 2607 offers 1.31.12"),
        ("1", "found 1", "write 1.34.4"),
        (
            '"1.33"',
            "'1.33' is not a patch version",
            OF_1_33,
        ),
        ("v1.33.5", "'v1.33.5' is not a patch version of Kubernetes: three numbers without a v", "write 1.33.5"),
        ("V1.33.5", "is not a patch version", "write 1.33.5"),
        ("v1.33", "is not a patch version", OF_1_33),
        ("v1.99.0", "is not a patch version", "write 1.34.4"),
        (
            "1.33.05",
            "is not a patch version",
            OF_1_33,
        ),
        (
            "1.33.5-rc.1",
            "is not a patch version",
            OF_1_33,
        ),
        (
            "1.33.5+k3s1",
            "is not a patch version",
            OF_1_33,
        ),
        ("1.33.x", "is not a patch version", OF_1_33),
        ("~1.33", "is not a patch version", OF_1_33),
        ('">= 1.33.0"', "is not a patch version", OF_1_33),
        ('"1.33.5 "', "is not a patch version", "write 1.33.5"),
        ("latest", "'latest' is not", "write 1.34.4"),
        ("true", "found true", "write 1.34.4"),
        ("", "found nothing", "write 1.34.4"),
        ("[1.33.5]", "found a list of 1", "write 1.34.4"),
        ("1.2.3.4", "is not a patch version", "write 1.34.4"),
    ],
)
def test_what_is_no_version_is_told_those_there_are(
    tmp_path: Path, written: str, message: str, remedy: str
) -> None:
    (finding,) = read(tmp_path, written)
    assert finding.severity == "error"
    assert message in finding.message
    assert remedy in finding.remedy
    for version in A_VERSION.findall(finding.remedy):
        assert all(one.severity != "error" for one in read(tmp_path, version)), version


@pytest.mark.parametrize(
    "version", ["1.99.0", "1.34.3", "1.34.5", "1.33.99", "1.35.4", "2.0.0", "1.20.0", "1.32.7"]
)
def test_what_nobody_runs_is_refused_with_what_runs(tmp_path: Path, version: str) -> None:
    (finding,) = [one for one in read(tmp_path, version) if one.severity == "error"]
    assert version in finding.message
    assert BUILT_VERSIONS[0] in finding.remedy
    assert "runs here" not in " ".join(one.message + one.remedy for one in read(tmp_path, version))
    for known in A_VERSION.findall(finding.remedy):
        assert all(one.severity != "error" for one in read(tmp_path, known)), known


def test_what_azure_local_offers_is_sound_and_said_not_to_run_here(tmp_path: Path) -> None:
    every = {version for versions in offered().values() for version in versions}
    assert "1.33.4" in every
    for version in ("1.33.4", "1.32.8", "1.30.14", "1.27.7"):
        assert is_offered(version)
        found = {one.rule: one for one in read(tmp_path, version)}
        assert {one.severity for one in found.values()} == {"warning"}
        assert "`up` refuses it" in found["kubernetes-version-not-built"].message


def test_what_azlocal_builds_runs_here(tmp_path: Path) -> None:
    (finding,) = read(tmp_path, BUILT_VERSIONS[0])
    assert (finding.rule, finding.severity) == ("kubernetes-version-newer", "warning")
    assert finding.remedy.startswith("azlocal builds it, so it runs here; ")


@pytest.mark.parametrize(
    ("config", "images", "of_no_cluster", "of_a", "of_b"),
    [
        ({}, ("1.34.4",), "1.34.4", "1.34.4", "1.34.4"),
        ({"nodeImage": "plain"}, ("plain",), "plain", "plain", "plain"),
        ({"a": "1.33.5"}, ("1.34.4", "1.33.5"), "1.34.4", "1.33.5", "1.34.4"),
        ({"a": "1.32.9", "b": "1.33.5"}, ("1.34.4", "1.32.9", "1.33.5"), "1.34.4", "1.32.9", "1.33.5"),
        # Its machines become no nodes: 0.1.0 gave them the image that it had.
        ({"a": "1.33.5", "provisioning": "machines"}, ("1.34.4",), "1.34.4", "1.34.4", "1.34.4"),
    ],
)
def test_which_node_image_a_machine_boots(
    config: dict[str, str], images: tuple[str, ...], of_no_cluster: str, of_a: str, of_b: str, tmp_path: Path
) -> None:
    provisioning = config.get("provisioning", "machines" if "nodeImage" in config else "kubernetes")
    clusters = [
        cluster(name=name, kubernetesVersion=config.get(name, "1.34.4"), provisioning=provisioning)
        for name in ("a", "b")
    ]
    stack = {"nodeImage": config["nodeImage"]} if "nodeImage" in config else {}
    write_files(tmp_path, files(clusters, stack=stack))
    chosen = load_instance("lab", tmp_path)
    assert chosen.images == images
    for is_worker in (False, True):
        booted = [chosen.image_of(name, is_worker=is_worker) for name in (None, "a", "b")]
        assert booted == [of_no_cluster, of_a, of_b]


def test_workers_keep_their_version_while_control_planes_pass_a_minor(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster(name="a", kubernetesVersion="1.34.4")]))
    passing = load_instance("lab", tmp_path).at(RunSettings({"a": NodeVersions("1.33.5", "1.32.9")}))
    assert passing.final_versions == {"a": "1.34.4"}, "where later runs go on to"
    assert passing.stack.node_versions == {"a": "1.33.5"}
    assert [passing.image_of("a", is_worker=is_worker) for is_worker in (False, True)] == ["1.33.5", "1.32.9"]
    assert passing.images == ("1.34.4", "1.33.5", "1.32.9")
