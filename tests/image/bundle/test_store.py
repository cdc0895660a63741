from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from infra.image.bundle.components import components
from infra.image.bundle.model import Bundle, parse, render
from infra.image.bundle.recipe import bundle_digest
from infra.image.bundle.store import (
    choose_source,
    chosen_source,
    entries,
    find_bundle,
    find_bundle_in,
    load,
    prunable,
    sha256_of,
    verify,
)
from infra.image.errors import ImageError
from infra.image.places import Cache


@pytest.fixture
def stored(bundle: Bundle, cache: Cache) -> Bundle:
    """Return a whole bundle that stands for the current one from modules."""
    folder = cache.bundle(bundle_digest("modules"))
    bundle.folder.rename(folder)
    sums = {f"binaries/{path.name}": sha256_of(path) for path in (folder / "binaries").iterdir()}
    (folder / "SHA256SUMS").write_text("".join(f"{sha256}  {path}\n" for path, sha256 in sums.items()))
    files = {path: (folder / path).stat().st_size for path in [*sums, "SHA256SUMS"]}
    made = dataclasses.replace(
        bundle,
        folder=folder,
        digest=folder.name,
        files=files,
        charts={"calico": folder / "charts/calico"},
        values={"calico": folder / "charts/values/calico.yaml"},
    )
    (folder / "bundle.json").write_text(render(made))
    return made


def test_a_description_reads_back_as_written(stored: Bundle) -> None:
    assert parse(render(stored), stored.folder) == stored
    assert stored.helm.is_file()


@pytest.mark.parametrize(
    "change", [{"format": "other"}, {"source": "elsewhere"}, {"images": None, "charts": 3}, {"digest": ...}]
)
def test_another_description_is_refused(stored: Bundle, change: dict[str, object]) -> None:
    content = {**json.loads(render(stored)), **{key: value for key, value in change.items() if value is not ...}}
    if ... in change.values():
        del content["digest"]
    with pytest.raises(ImageError, match=r"bundle\.json can't be read") as error:
        parse(json.dumps(content), stored.folder)
    assert "azlocal image build" in error.value.remedy


def test_nothing_is_found_before_a_build_chose_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_bundle() is None
    assert list(tmp_path.iterdir()) == []


def test_the_chosen_source_s_bundle_is_found(cache: Cache, stored: Bundle) -> None:
    assert find_bundle_in(cache) is None
    choose_source(cache, "release")
    assert find_bundle_in(cache) is None
    choose_source(cache, "modules")
    assert chosen_source(cache) == "modules"
    assert find_bundle_in(cache) == stored


def test_an_unknown_choice_is_none(cache: Cache, stored: Bundle) -> None:
    (cache.bundles / "source").write_text("elsewhere\n")
    assert chosen_source(cache) is None


def test_a_bundle_that_is_not_whole_is_not_found(cache: Cache, stored: Bundle) -> None:
    assert load(cache, stored.digest) == stored
    (stored.folder / "binaries/helm").write_text("damaged")
    assert load(cache, stored.digest) is None
    (stored.folder / "binaries/helm").unlink()
    assert load(cache, stored.digest) is None


def test_verify_names_every_fault(stored: Bundle) -> None:
    assert verify(stored) == []
    (stored.folder / "binaries/helm").write_text("HELM")
    (stored.folder / "binaries/kubectl").unlink()
    faults = verify(dataclasses.replace(stored, files={**stored.files, "binaries/extra": 1}))
    assert len(faults) == 3
    assert any("helm: sha256" in fault for fault in faults)
    assert "binaries/kubectl: missing" in faults
    assert "binaries/extra: not in SHA256SUMS" in faults
    (stored.folder / "SHA256SUMS").unlink()
    assert verify(stored) == ["SHA256SUMS: missing"]


def test_prune_keeps_what_is_current_and_what_is_unknown(cache: Cache, stored: Bundle) -> None:
    (cache.bundles / ("1" * 64)).mkdir()  # no bundle of ours
    (cache.bundles / "notes").mkdir()
    compiled, old = cache.components / components()[0].digest, cache.components / ("2" * 64)
    compiled.mkdir(parents=True)
    old.mkdir()
    assert prunable(cache, {stored.digest}, components=False) == [old]
    assert prunable(cache, (), components=True) == sorted([stored.folder]) + sorted([compiled, old])


def test_prune_removes_an_older_azlocal_s_bundle(cache: Cache, stored: Bundle) -> None:
    description = stored.folder / "bundle.json"
    description.write_text(json.dumps({"format": "azlocal-bundle/0", "digest": stored.digest}))
    assert load(cache, stored.digest) is None
    assert prunable(cache, (), components=False) == [stored.folder]


def test_unreadable_bundles_are_not_listed(cache: Cache, stored: Bundle) -> None:
    other = cache.bundles / ("3" * 64)
    other.mkdir()
    (other / "bundle.json").write_text("{")
    assert entries(cache) == [stored]


def test_both_sources_have_digests_of_their_own() -> None:
    assert bundle_digest("release") != bundle_digest("modules")
