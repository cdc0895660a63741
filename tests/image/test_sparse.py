from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from infra.image.recipe import MIB
from infra.image.sparse import copy_data, data_ranges, sha256_of

PIECES = {0: b"start", 3 * MIB - 2: b"across a block", 9 * MIB: bytes(range(256)) * 8192}


@pytest.fixture(params=[[], [0], [3 * MIB - 2], [0, 9 * MIB], list(PIECES)])
def sparse_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        for offset in request.param:
            file.seek(offset)
            file.write(PIECES[offset])
        file.truncate(16 * MIB + 17)
    return path


def test_the_checksum_is_that_of_the_whole_content(sparse_file: Path) -> None:
    assert sha256_of(sparse_file) == hashlib.sha256(sparse_file.read_bytes()).hexdigest()


def test_an_empty_file_has_a_checksum(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256_of(tmp_path / "empty") == hashlib.sha256(b"").hexdigest()


def test_a_copy_has_the_data_at_its_offset_and_the_holes(sparse_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with target.open("wb") as file:
        file.truncate(32 * MIB)
    copy_data(sparse_file, target, MIB)
    content = target.read_bytes()
    assert content[MIB : MIB + 16 * MIB + 17] == sparse_file.read_bytes()
    assert content.count(0, 0, MIB) == MIB
    assert target.stat().st_blocks <= sparse_file.stat().st_blocks + 64


def test_ranges_never_pass_the_end(sparse_file: Path) -> None:
    with sparse_file.open("rb") as file:
        ranges = list(data_ranges(file.fileno()))
    assert all(0 <= start < end <= 16 * MIB + 17 for start, end in ranges)
