"""The keys of a cluster's Secrets: which are told, which were retired, which is the newest."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta

from infra.model.encryption_keys import EncryptionKeys, key_name, new_encryption_key

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OLD, NEW, NEWEST = "old", "new", "newest"


def test_a_new_key_decrypts_first_and_is_the_newest_until_it_is_alone() -> None:
    keys = EncryptionKeys((OLD,))
    assert keys.newest == key_name(OLD), "also where nobody knows when it was made"
    keys = keys.with_new(NEW, NOW)
    assert keys.current == (OLD, NEW)
    assert keys.newest == key_name(NEW)
    assert keys.made == {key_name(NEW): "2026-11-30T12:00:00+00:00"}
    keys = keys.telling([key_name(NEW), key_name(OLD)])
    assert (keys.current, keys.retired) == ((NEW, OLD), ())
    keys = keys.telling([key_name(NEW)])
    assert (keys.current, keys.retired) == ((NEW,), (OLD,))
    keys = keys.with_new(NEWEST, NOW).telling([key_name(NEWEST)])
    assert (keys.current, keys.retired) == ((NEWEST,), (NEW, OLD)), "the newest first"
    assert keys.telling([key_name(NEWEST), key_name(OLD)]).newest == key_name(NEWEST), (
        "one that is told again is old"
    )


def test_a_clock_that_goes_back_makes_no_new_key_old() -> None:
    keys = EncryptionKeys((OLD,)).with_new(NEW, NOW).with_new(NEWEST, NOW - timedelta(days=1))
    assert keys.newest == key_name(NEWEST)


def test_two_years_of_retired_keys_are_kept() -> None:
    keys = EncryptionKeys(("key 0",))
    for number in range(1, 41):
        keys = keys.with_new(f"key {number}", NOW).telling([key_name(f"key {number}")])
    assert (len(keys.retired), keys.retired[0]) == (24, "key 39")
    assert keys.made.keys() == keys.by_name.keys(), "and no more is known of the others"


def test_keys_are_drawn_and_are_not_in_an_objects_text() -> None:
    key = new_encryption_key()
    assert len(b64decode(key)) == 32
    assert key != new_encryption_key()
    keys = EncryptionKeys((key,), (key,))
    assert key not in repr(keys)
    assert key_name(key) not in key
