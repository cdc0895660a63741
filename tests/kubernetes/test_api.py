"""A cluster's API: what stays of a connection, and what its failures say."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import pytest

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


def _open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
