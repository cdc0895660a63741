from __future__ import annotations

import os
import shutil

import pytest

from infra.image import tools
from infra.image.model import ImageError


def test_a_program_s_output_and_input() -> None:
    assert tools.run(["cat"], stdin="hello") == "hello"


def test_a_failure_shows_the_end_of_its_output_and_a_remedy() -> None:
    script = "for i in $(seq 100); do echo line $i >&2; done; echo No space left on device >&2; exit 3"
    with pytest.raises(ImageError, match="sh failed with exit code 3") as error:
        tools.run(["sh", "-c", script])
    assert "line 100" in error.value.message
    assert "line 50" not in error.value.message
    assert "XDG_CACHE_HOME" in error.value.remedy


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(ImageError) as error:
        tools.run(["sh", "-c", "echo Err: http://user:secret@mirror/debian >&2; exit 1"])
    assert "http://***@mirror/debian" in str(error.value)


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("Could not resolve 'deb.debian.org'", "AZLOCAL_DEBIAN_MIRROR"),
        ("GPG error: NO_PUBKEY 1234", "debian-archive-keyring"),
        ("mount: Operation not permitted", "root"),
        ("anything else", "again"),
    ],
)
def test_remedies(output: str, remedy: str) -> None:
    assert remedy in tools.remedy_for(output)


def test_all_missing_programs_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path: None if name in {"mcopy", "sgdisk"} else name)
    with pytest.raises(ImageError, match="mcopy") as error:
        tools.check_tools()
    assert "sgdisk" in error.value.message
    assert "gdisk" in error.value.remedy
    assert "mtools" in error.value.remedy


def test_other_users_are_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ImageError, match="user 1000") as error:
        tools.check_root()
    assert "sudo" in error.value.remedy
