from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from infra.image import tools
from infra.image.bundle.components import components
from infra.image.bundle.debian import unpacked
from infra.image.bundle.golang import LIBRARIES_FILE
from infra.image.bundle.images import CHARTS, images, trees_of
from infra.image.bundle.model import Source
from infra.image.bundle.modules import Modules, take_inventory
from infra.image.bundle.sources import Around, Draft, copy_charts
from infra.image.errors import ImageError
from infra.model.versions import DEFAULT
from tests.image.bundle.conftest import BundleRunner
from tests.waiting import eventually, waits_less_than


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
    assert {path.stem for path in draft.images.iterdir()} == {image.name for image in images()}
    assert {path.name for path in draft.binaries.iterdir()} == {
        *("kubeadm", "kubelet", "kubectl", "helm"),
        *("containerd", "containerd-shim-runc-v2", "ctr", "runc"),
    }
    assert (draft.binaries / "kubelet").read_text() == "kubernetes/kubelet"
    assert (draft.binaries / "kubelet").stat().st_mode & 0o777 == 0o755


def minutes(line: str) -> int:
    found = re.search(r"about (\d+) minute", line)
    assert found
    return int(found[1])


def test_progress_says_how_far_it_is_and_how_long_the_rest_takes(draft: Draft, lines: list[str]) -> None:
    Modules().fill(draft)
    (first,) = [line for line in lines if line.startswith("kubernetes v1.34.4: compiling (1 of 10; about ")]
    (last,) = [line for line in lines if line.startswith("flux v1.9.5: compiling (10 of 10; about ")]
    assert first.endswith(" minutes remain)")
    assert minutes(first) > minutes(last) > 0
    assert [line for line in lines if line.startswith("kubernetes v1.34.4: ") and line.endswith(" s")]


def test_after_a_failure_only_the_rest_is_compiled(draft: Draft, runner: BundleRunner, lines: list[str]) -> None:
    runner.fail = "metallb"
    with pytest.raises(ImageError, match="metallb"):
        Modules().fill(draft)
    names = [entry.name for entry in components()]
    until = names.index("metallb")
    assert runner.compiled() == names[: until + 1]
    runner.fail = None
    runner.calls.clear()
    Modules().fill(again(draft))
    assert runner.compiled() == names[until:]
    assert "kubernetes v1.34.4: compiled earlier" in lines


def test_what_the_host_took_the_last_time_is_what_is_expected(draft: Draft, lines: list[str]) -> None:
    for name in ("coredns", "helm", "flux"):
        draft.times.recorder(name)(600)
    runner = draft.run
    assert isinstance(runner, BundleRunner)
    runner.fail = "flux"
    with pytest.raises(ImageError, match="flux"):
        Modules().fill(draft)
    (line,) = [line for line in lines if line.startswith("coredns ") and "compiling" in line]
    assert minutes(line) >= 30
    lines.clear()
    runner.fail = None
    Modules().fill(again(draft))
    (line,) = [line for line in lines if "compiling" in line]
    assert 10 <= minutes(line) < 12  # only flux is left, and what follows
    # The fakes take no time, and that is what is remembered now.
    assert draft.times.seconds()["flux"] < 1


def test_what_happens_around_the_bundle_is_counted(draft: Draft, lines: list[str]) -> None:
    draft.times.recorder("packages")(6000)
    draft.times.recorder("VM disk")(600)
    around = Around(meanwhile_steps=("packages",), after=("VM disk",))
    Modules().fill(dataclasses.replace(draft, around=around))
    (line,) = [line for line in lines if "compiling (1 of" in line]
    assert minutes(line) >= 110


def test_what_debian_can_t_give_stops_the_compiler(draft: Draft, runner: BundleRunner, tmp_path: Path) -> None:
    programs, started = tools.Programs(), tmp_path / "started"

    class OneHangs(BundleRunner):
        def __call__(
            self,
            argv: Sequence[str],
            *,
            stdin: str = "",
            env: Mapping[str, str] | None = None,
            isolated: bool = False,
        ) -> str:
            if argv[0] == "mmdebstrap":
                eventually(started.exists, "the compiler at work", 30, every=0.01)
            if "build" in argv:
                return programs(["sh", "-c", f"touch {started}; exec sleep 600"])
            return super().__call__(argv, stdin=stdin, env=env, isolated=isolated)

        def stop(self) -> None:
            programs.stop()

    hangs = OneHangs(tmp_path / "modules")
    hangs.fail = "mmdebstrap"
    with waits_less_than(600), pytest.raises(ImageError, match="mmdebstrap failed"):
        Modules().fill(dataclasses.replace(draft, run=hangs))


def test_debian_s_packages_are_fetched_once(draft: Draft, runner: BundleRunner) -> None:
    Modules().fill(draft)
    Modules().fill(again(draft))
    assert runner.programs.count("mmdebstrap") == 3


def test_layers_have_no_traces_of_apt(draft: Draft) -> None:
    base, python, extras = (unpacked(tree, draft) for tree in trees_of(images()))
    for tree in (base, python):
        assert not (tree / "etc/apt").exists()
        assert (tree / "var/lib/dpkg/status").exists()
    assert (extras / "etc/apt").exists()


def test_the_inventory_names_what_images_hold(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in [*(entry.name for entry in components()), "pause"]}
    extras = {"busybox-static": "2", "ca-certificates": "3", "containernetworking-plugins": "4"}
    folders["runc"].mkdir()
    (folders["runc"] / LIBRARIES_FILE).write_text('{"libseccomp": "2.5.4"}')
    packages = {"base": {"iptables": "1", "libc6": "5"}, "python": {"libc6": "6"}, "extras": extras}
    inventory = take_inventory(folders, packages, DEFAULT)
    assert inventory.images["kube-proxy"].packages == {"iptables": "1", "libc6": "5"}
    assert inventory.images["calico-cni"].packages == {"ca-certificates": "3", "containernetworking-plugins": "4"}
    # Both trees' packages have the versions of the day on which each was made.
    assert inventory.images["agent-runtime"].packages == {"libc6": "6", "ca-certificates": "3"}
    assert inventory.images["agent-runtime"].programs == ("helm/helm",)
    assert inventory.images["calico-cni"].programs == ("calico/install", "calico/calico")
    assert inventory.programs["helm/helm"].version == "v3.19.0"
    assert not inventory.programs["pause/pause"].go
    assert inventory.programs["runc/runc"].libraries == {"libseccomp": "2.5.4"}
    assert not inventory.programs["containerd/ctr"].libraries


def test_charts_are_copied_whole_and_can_be_written(draft: Draft) -> None:
    copy_charts(draft, "modules")
    for path in ("calico/calico.yaml", "calico/crds/calico.yaml", "metallb/metallb.yaml", "values/calico.yaml"):
        assert (draft.charts / path).is_file()
    assert (draft.charts / "calico/calico.yaml").stat().st_mode & 0o777 == 0o644


def test_what_we_have_otherwise_than_upstream_is_changed_and_nothing_else(draft: Draft) -> None:
    copy_charts(draft, "modules")
    (calico,) = (chart for chart in CHARTS if chart.changes)
    text = (draft.charts / "calico/templates/calico-node.yaml").read_text()
    assert text == "".join(change.new for change in calico.changes)


@pytest.mark.parametrize("text", ["other text", "twice"])
def test_a_chart_that_has_changed_upstream_is_refused(draft: Draft, text: str) -> None:
    copy_charts(draft, "modules")
    (calico,) = (chart for chart in CHARTS if chart.changes)
    module = draft.module("calico") / calico.path / calico.changes[0].file
    module.write_text(module.read_text() * 2 if text == "twice" else text)
    with pytest.raises(ImageError, match="isn't as it was when azlocal's change to it was written"):
        copy_charts(draft, "modules")


@pytest.mark.parametrize("source", ["modules", "release"])
def test_our_chart_has_the_modules_kinds_and_the_bundle_s_images(draft: Draft, source: Source) -> None:
    copy_charts(draft, source)
    flux = draft.charts / "flux"
    assert {path.stem for path in (flux / "crds").iterdir()} == {"source-controller", "kustomize-controller"}
    values = yaml.safe_load((flux / "values.yaml").read_text())
    assert values["images"] == {
        image.name: image.reference(source) for image in images() if image.name.startswith("flux-")
    }
    assert values["sourceController"]["resources"]
