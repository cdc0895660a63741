"""The agents' key pair: the one form that works (facts §1.7, §9 rows 4 and 5)."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization

from infra.arc.errors import ArcError
from infra.arc.keys import KeyPair, make_key_pair, read_key_pair


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return make_key_pair()


def test_the_public_half_is_pkcs1_and_neither_a_certificate_nor_spki(pair: KeyPair) -> None:
    assert len(pair.public) == 704
    assert pair.public.startswith("MIICCgKCAgEA")
    assert pair.public.endswith("AwEAAQ==")
    assert base64.b64decode(pair.public, validate=True)


def test_the_private_half_is_pkcs1_pem(pair: KeyPair) -> None:
    assert pair.private.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    key = serialization.load_pem_private_key(pair.private.encode(), None)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    assert base64.b64encode(public).decode() == pair.public


def test_a_pair_is_known_again_by_its_private_half(pair: KeyPair) -> None:
    assert read_key_pair(pair.private) == pair


@pytest.mark.parametrize("mangle", ["\\n", ""])
def test_mangled_line_ends_are_noticed_before_agents_crash_on_them(pair: KeyPair, mangle: str) -> None:
    broken = pair.private.replace("\n", mangle)
    with pytest.raises(ArcError) as caught:
        read_key_pair(broken)
    assert caught.value.rule == "agents-key"
    assert pair.private.splitlines()[1] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_pair_does_not_show_its_private_half(pair: KeyPair) -> None:
    assert "PRIVATE" not in repr(pair)
