"""Secrets of random content that add-ons need to start, made before their own controllers get to it."""

from __future__ import annotations

import secrets
from base64 import b64encode
from contextlib import suppress
from typing import Final

from infra.kubernetes.api import ClusterApi, Conflict

_BYTES: Final = 16


def ensure_secret(api: ClusterApi, namespace: str, name: str, key: str) -> None:
    """Make a Secret whose one key has a random text, unless there is one of that name.

    Nobody else ever has the text: it is made here, sent, and forgotten.
    """
    text = b64encode(secrets.token_bytes(_BYTES)).rstrip(b"=")
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: b64encode(text).decode("ascii")},
    }
    with suppress(Conflict):
        api.send("POST", f"/api/v1/namespaces/{namespace}/secrets", body)
