"""Files that are replaced whole, and locks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.files import locked, locked_folder, locked_if_free, replace_file


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_file_is_replaced_with_the_mode_that_is_asked_for(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o666)
    replace_file(path, "ä\n", mode)
    assert path.read_bytes() == "ä\n".encode()
    assert path.stat().st_mode & 0o777 == mode
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_without_a_mode_the_umask_decides(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_file(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_lock_is_one_process_s_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    asks = f"from infra.files import *\nwith locked_if_free(__import__('pathlib').Path({str(path)!r})) as is_free:"
    ask = [sys.executable, "-c", f"{asks}\n    print(is_free)"]
    with locked(path):
        assert subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip() == "False"
        with locked_if_free(path) as is_free:
            assert not is_free, "nor another holder of this process"
    assert subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip() == "True"


def test_a_folder_is_locked_without_a_file_in_it(tmp_path: Path) -> None:
    with locked_folder(tmp_path):
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError), locked_folder(tmp_path / "missing"):
        pass
    assert list(tmp_path.iterdir()) == []
