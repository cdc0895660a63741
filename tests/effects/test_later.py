"""Stand-ins for what only `up` learns."""

from __future__ import annotations

import asyncio

import pytest

from infra.effects.later import Later, to_plain


def test_a_record_has_stand_ins_as_plain_data_however_deep() -> None:
    inputs = {
        "image": Later[str]("the node image", "1.33.5"),
        "first_boot": {
            "node": {"caHash": Later[str]("identity a")},
            "keys": [Later[str]("keys"), "ssh-ed25519 A"],
        },
        "tpm": None,
    }
    assert to_plain(inputs) == {
        "image": {"later": "the node image", "asked": "1.33.5"},
        "first_boot": {"node": {"caHash": {"later": "identity a"}}, "keys": [{"later": "keys"}, "ssh-ed25519 A"]},
        "tpm": None,
    }


def test_nothing_waits_for_a_stand_in() -> None:
    async def learn() -> str:
        return await Later[str]("host a")

    with pytest.raises(TypeError, match="only `up` learns"):
        asyncio.run(learn())
