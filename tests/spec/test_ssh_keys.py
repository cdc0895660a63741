from pathlib import Path

import pytest

from infra.guest import generate_host_key
from infra.spec import SpecError, read_public_keys
from infra.spec.ssh_keys import is_public_key

KEY = generate_host_key().public_openssh


def test_texts_and_files_of_keys(tmp_path: Path) -> None:
    (tmp_path / "two.pub").write_text(f"{KEY} one\n\n# comment\n{KEY} two\n", encoding="utf-8")
    assert read_public_keys([f"{KEY} me@here", "two.pub"], tmp_path) == (
        f"{KEY} me@here",
        f"{KEY} one",
        f"{KEY} two",
    )


def test_every_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        read_public_keys(["missing.pub", "secret", "~nobody-here/x.pub"], tmp_path)
    assert len(caught.value.findings) == 3
    assert "c2VjcmV0" not in str(caught.value)


WRONG = ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa " + KEY.split()[1], KEY + "\nx"]


@pytest.mark.parametrize("text", WRONG, ids=["empty", "no key", "cut short", "another type", "two lines"])
def test_what_is_no_key(text: str) -> None:
    assert not is_public_key(text)
