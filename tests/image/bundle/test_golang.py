from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.image.bundle.components import component
from infra.image.bundle.golang import (
    LIBRARIES_FILE,
    build_information,
    compile_component,
    go_environment,
    link_flags,
)
from infra.image.errors import ImageError
from infra.image.places import Cache
from tests.image.bundle.conftest import GO, BundleRunner


def test_link_flags_are_in_order_and_strip() -> None:
    assert link_flags({"b.C": "2", "a.B": ""}) == "-s -w -X a.B= -X b.C=2"


def test_only_what_go_sum_vouches_for_is_compiled(cache: Cache) -> None:
    settings = go_environment(cache)
    assert "-mod=readonly" in settings["GOFLAGS"]
    assert settings["GOTOOLCHAIN"] == "local"
    assert settings["GOCACHE"].startswith(str(cache.root))


def test_a_component_is_compiled_from_its_own_go_mod(tmp_path: Path, cache: Cache, runner: BundleRunner) -> None:
    compile_component(component("metallb"), tmp_path / "out", GO, cache, runner)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"controller", "speaker"}
    (argv,) = runner.calls
    assert argv[:4] == ["nice", GO, "-C", str(component("metallb").folder)]
    assert argv[-1] == "tool"
    assert argv[-2].endswith("/out/")


def test_what_has_a_c_library_runs_wherever_it_is_carried(
    tmp_path: Path, cache: Cache, runner: BundleRunner
) -> None:
    compile_component(component("runc"), tmp_path / "out", GO, cache, runner)
    argv = runner.calls[0]
    assert argv[argv.index("-tags") + 1].split(",") == ["netgo", "osusergo", "seccomp", "urfave_cli_no_docs"]
    assert argv[argv.index("-buildmode") + 1] == "pie"
    assert argv[argv.index("-ldflags") + 1].endswith("-linkmode external -extldflags -static-pie")
    # The rest needs no C compiler, and is compiled as before.
    assert go_environment(cache)["CGO_ENABLED"] == "0"
    assert runner.environments["runc"]["CGO_ENABLED"] == "1"
    assert json.loads((tmp_path / "out" / LIBRARIES_FILE).read_text()) == {"libseccomp": "1-libseccomp"}


def test_a_program_that_is_not_made_is_named(tmp_path: Path, cache: Cache, runner: BundleRunner) -> None:
    runner.forgotten = {"speaker"}
    with pytest.raises(ImageError, match=r"no speaker of metallb .* it made controller") as error:
        compile_component(component("metallb"), tmp_path / "out", GO, cache, runner)
    assert "components.py" in error.value.remedy


def test_what_go_tells_of_several_programs(tmp_path: Path, runner: BundleRunner) -> None:
    found = build_information([tmp_path / "a", tmp_path / "b"], GO, runner)
    assert [entry["Path"] for entry in found] == ["example.com/a", "example.com/b"]
    assert build_information([], GO, runner) == []
