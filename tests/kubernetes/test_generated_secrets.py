"""Secrets of random content: made where there is none, and only there."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import pytest

from infra.kubernetes.api import ApiError, ClusterApi, Conflict
from infra.kubernetes.generated_secrets import ensure_secret


class Secrets(ClusterApi):
    """A cluster that keeps what is sent, or refuses it."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.sent: list[tuple[str, str, Mapping[str, Any]]] = []

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json, */*",
    ) -> str:
        """Keep it, or refuse it."""
        self.sent.append((method, path, body or {}))
        if self.status:
            raise (Conflict if self.status == 409 else ApiError)("no", self.status)
        return "{}"


def test_the_text_is_another_each_time_and_as_metallb_makes_it() -> None:
    api = Secrets()
    for _ in range(2):
        ensure_secret(api, "metallb-system", "metallb-memberlist", "secretkey")
    assert [(method, path) for method, path, _ in api.sent] == [
        ("POST", "/api/v1/namespaces/metallb-system/secrets"),
    ] * 2
    first, second = (b64decode(body["data"]["secretkey"]) for _, _, body in api.sent)
    assert first != second
    assert len(b64decode(first + b"==")) == 16


def test_one_that_stands_stays() -> None:
    api = Secrets(409)
    ensure_secret(api, "s", "one", "key")
    assert [method for method, _, _ in api.sent] == ["POST"]


def test_a_refusal_is_no_secret() -> None:
    with pytest.raises(ApiError):
        ensure_secret(Secrets(403), "s", "one", "key")
