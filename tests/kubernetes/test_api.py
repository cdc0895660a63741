"""A cluster's API: what stays of a connection, and what its failures say."""

from __future__ import annotations

import gc
import socket
import tempfile
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.kubernetes.api import ClusterApi, ClusterUnreachable
from infra.kubernetes.pki import administrator_kubeconfig, generate_pki


def test_no_key_is_ever_written_to_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = _open()
    api = ClusterApi(administrator_kubeconfig("a", "https://127.0.0.1:9", generate_pki().ca))
    with pytest.raises(ClusterUnreachable):
        api.get("/version")
    assert list(tmp_path.iterdir()) == []
    del api
    gc.collect()
    assert _open() <= before


def test_a_silent_server_is_told_with_the_innermost_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        api = ClusterApi(administrator_kubeconfig("a", url, generate_pki().ca), seconds=0.2)
        with pytest.raises(ClusterUnreachable, match=f"^the API server at {url} doesn't answer: timed out$"):
            api.get("/version")


def test_a_kubeconfig_that_cannot_be_used_is_told_as_such() -> None:
    with pytest.raises(UserError, match=r"the kubeconfig can't be used: .*current-context"):
        ClusterApi({"clusters": [], "users": [], "contexts": []}).get("/version")


def _open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
