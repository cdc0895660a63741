"""The keys of a cluster's Secrets in its identity: how old they are, and that a rotation alone changes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.model.encryption_keys import EncryptionKeys, key_name
from infra.provider.kinds import all_kinds
from infra.provider.kinds.cluster_identity import ClusterIdentityKind
from infra.resources.changes import Changes, diff
from infra.resources.cluster_identity import CLUSTER_IDENTITY, ClusterIdentityInputs, keys_of
from tests.provider.conftest import MemoryLog
from tests.provider.test_kinds import operation

INPUTS = {"instance": "lab", "cluster": "a", "endpoint": "10.0.0.9", "podSecurity": "baseline"}
ID = "lab/a"
TOKEN = "azlocal:index:ClusterIdentity"


def state(*keys: str, age: int | None = 0) -> dict[str, Any]:
    made = (datetime.now(UTC) - timedelta(days=age)).isoformat(timespec="seconds") if age is not None else None
    known = {"caCertificate": "CA", "caHash": "sha256:abc", "token": "t", "keys": {}, "kubeconfig": "k"}
    return (
        INPUTS
        | known
        | {
            "encryptionKeys": [*keys],
            "encryptionKeysMade": {key_name(key): made for key in keys} if made else None,
        }
    )


def said(old: dict[str, Any], kind: Any = None) -> tuple[list[str], Changes]:
    kind, log = kind or all_kinds()[TOKEN], MemoryLog()  # as the plugin serves it
    news, _ = kind.contract.check(INPUTS, frozenset())
    changes = diff(kind.contract, old, news)
    kind.refine(old, news, changes, operation("ClusterIdentity", log))
    return [text for _, text in log.lines], changes


@pytest.mark.parametrize(
    ("stands", "text"),
    [
        (
            state("KEY", age=31),
            "the key of cluster a's Secrets is 31 days old, and Azure Local changes it each 30",
        ),
        (state("KEY", age=None), "it isn't known how old the key of cluster a's Secrets is"),
        (state("OLD", "NEW"), "a rotation of the key of cluster a's Secrets was interrupted"),
    ],
)
def test_a_preview_says_that_a_key_is_to_be_rotated_and_changes_nothing(stands: dict[str, Any], text: str) -> None:
    (line,), changes = said(stands)
    assert line.startswith(text)
    assert "`azlocal rotate-keys STACK --cluster a`" in line
    assert changes.by_path == {}


def test_of_a_young_key_nothing_is_said_and_nothing_is_imported_for_it() -> None:
    assert said(state("KEY", age=29)) == ([], Changes({}))
    assert CLUSTER_IDENTITY.unsettled is not None
    assert not CLUSTER_IDENTITY.unsettled(state("KEY", age=29), INPUTS)
    assert CLUSTER_IDENTITY.unsettled(state("KEY", age=31), INPUTS)


def test_a_cluster_knows_when_its_key_was_made() -> None:
    made = ClusterIdentityKind().create(operation("ClusterIdentity", MemoryLog()), inputs()).state.to_wire()
    keys = keys_of(made)
    assert datetime.now(UTC) - datetime.fromisoformat(keys.made[keys.newest]) < timedelta(minutes=1)
    assert said(made) == ([], Changes({}))


def test_a_rotation_changes_the_keys_of_its_cluster_and_nothing_else() -> None:
    rotated = EncryptionKeys(("NEW",), ("OLD",), {key_name("NEW"): "2026-11-30T12:00:00+00:00"})
    kind = all_kinds(rotating={ID: rotated})[TOKEN]
    lines, changes = said(state("OLD"), kind)
    assert (lines, {*changes.by_path}) == ([], {"encryptionKeys"})
    assert changes.replaces() == []
    before = CLUSTER_IDENTITY.state.model_validate(state("OLD"))
    after = kind.update(operation("ClusterIdentity", MemoryLog()), ID, before, inputs()).to_wire()
    assert keys_of(after) == rotated
    names = {"encryptionKeys", "retiredEncryptionKeys", "encryptionKeysMade"}
    assert {name: after[name] for name in after.keys() - names} == {
        name: value for name, value in before.to_wire().items() if name not in names
    }
    assert said(after, kind)[1] == Changes({}), "and no more where state says it"
    assert {"encryptionKeys", "retiredEncryptionKeys"} <= CLUSTER_IDENTITY.secrets

    other = all_kinds(rotating={"lab/b": rotated})[TOKEN]
    assert said(state("OLD"), other)[1] == Changes({})
    assert other.update(operation("ClusterIdentity", MemoryLog()), ID, before, inputs()) == before


def inputs() -> ClusterIdentityInputs:
    return ClusterIdentityInputs.model_validate(INPUTS)
