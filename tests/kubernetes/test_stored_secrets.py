"""Under which keys Secrets are in etcd, and how an API server writes all of them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from infra.kubernetes.api import ClusterApi, Conflict, NotFound
from infra.kubernetes.stored_secrets import keys_in_use, rewrite_secrets


def test_the_name_of_a_secrets_key_stands_before_it() -> None:
    under = b"k8s:enc:secretbox:v1:key-0a1b2c3d:\x00\xff:more"
    assert keys_in_use([under, under]) == {"key-0a1b2c3d"}
    assert keys_in_use([under, b"k8s\x00\n\x0c\n\x02v1"]) == {"key-0a1b2c3d", ""}, "one is in plain"
    assert keys_in_use([]) == frozenset()


class Secrets(ClusterApi):
    """An API server that is only Secrets, of which some are gone, or written by others."""

    def __init__(self, *, gone: str = "", conflicts: int = 0) -> None:
        self.written: list[str] = []
        self.gone, self.conflicts = gone, conflicts

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, **how: Any) -> str:
        """List them, or take a patch; never tell what they hold."""
        assert "PartialObjectMetadata" in how["accept"]
        if method == "GET":
            names = ({"name": name, "namespace": "default"} for name in ("a", "b", "c"))
            return json.dumps({"items": [{"metadata": each} for each in names]})
        assert (method, body, how["content_type"]) == ("PATCH", {}, "application/merge-patch+json")
        name = path.rpartition("/")[2]
        if name == self.gone:
            raise NotFound("there is none", 404)
        if name == "b" and self.conflicts:
            self.conflicts -= 1
            raise Conflict("somebody else was faster", 409)
        self.written.append(name)
        return "{}"


def test_every_secret_is_written_again_by_a_patch_that_changes_nothing() -> None:
    api = Secrets(gone="c", conflicts=4)
    assert rewrite_secrets(api) == 3
    assert sorted(api.written) == ["a", "b"]
    with pytest.raises(Conflict):
        rewrite_secrets(Secrets(conflicts=5))
