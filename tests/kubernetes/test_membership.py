"""Who may join a cluster, against an API server that is only Secrets."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.kubernetes.api import ClusterApi, Conflict, NotFound
from infra.kubernetes.membership import admit_nodes, dismiss_token

TOKEN = "abcdef.0123456789abcdef"


class Secrets(ClusterApi):
    """kube-system's Secrets."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, **_: Any) -> str:
        """Keep, change or drop one."""
        name = body["metadata"]["name"] if body else path.rpartition("/")[2]
        if method == "POST" and name in self.kept:
            raise Conflict("there is one", 409)
        if method in ("PUT", "DELETE") and name not in self.kept:
            raise NotFound("there is none", 404)
        if method == "DELETE":
            del self.kept[name]
        else:
            self.kept[name] = body
        return "{}"


def test_a_token_lets_nodes_join_for_two_hours_each_time_and_then_nobody() -> None:
    cluster = Secrets()
    for _ in range(2):
        admit_nodes(cluster, TOKEN)
        (secret,) = cluster.kept.values()
        assert secret["metadata"]["name"] == "bootstrap-token-abcdef"
        ends = datetime.fromisoformat(b64decode(secret["data"]["expiration"]).decode())
        assert timedelta(minutes=119) < ends - datetime.now(UTC) <= timedelta(hours=2)
    for _ in range(2):
        dismiss_token(cluster, TOKEN)
        assert cluster.kept == {}
