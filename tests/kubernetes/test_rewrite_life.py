"""Secrets under another key, by a real API server and its etcd: what is published is true of our patch, too."""

from __future__ import annotations

import json
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.guest.encryption import encryption_file
from infra.kubernetes.api import ClusterApi, ClusterError
from infra.kubernetes.stored_secrets import PREFIX, keys_in_use, rewrite_secrets
from infra.model.encryption_keys import key_name, new_encryption_key
from tests.kubernetes_plugin.apiserver import ApiServer, missing
from tests.waiting import eventually

pytestmark = pytest.mark.engine

OLD, NEW = new_encryption_key(), new_encryption_key()


class Encrypting(ApiServer):
    """A cluster whose API server encrypts Secrets."""

    def _run(self, name: str, *arguments: str) -> None:
        config = ("--encryption-provider-config", str(self.folder / "encryption.yaml"))
        super()._run(name, *arguments, *(config if name == "kube-apiserver" else ()))

    def tell(self, *keys: str) -> None:
        """Write the file, and start again where it runs."""
        (self.folder / "encryption.yaml").write_text(encryption_file(keys))
        if "kube-apiserver" in self.processes:
            self._stop("kube-apiserver")
            self._start_api()
            eventually(lambda: self._is_there("/api/v1/namespaces/default"), "it answers again")

    def stored(self) -> list[bytes]:
        """Return the Secrets as etcd has them."""
        end = PREFIX[:-1] + b"0"
        body = {"key": b64encode(PREFIX).decode(), "range_end": b64encode(end).decode()}
        url = f"http://127.0.0.1:{self._etcd_port}/v3/kv/range"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=5) as answer:
            return [b64decode(entry["value"]) for entry in json.load(answer).get("kvs", ())]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Encrypting]:
    if lacking := missing():
        pytest.skip(f"without {', '.join(lacking)}")
    server = Encrypting(tmp_path)
    server.tell(OLD)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_every_secret_is_written_under_the_first_key_and_keeps_what_it_is(server: Encrypting) -> None:
    api = ClusterApi(server.kubeconfig)

    def secret(name: str) -> dict[str, Any]:
        return api.get(f"/api/v1/namespaces/default/secrets/{name}")

    for name, more in (("plain", {}), ("fixed", {"immutable": True})):
        body = {"metadata": {"name": name}, "stringData": {"password": name}, **more}
        api.send("POST", "/api/v1/namespaces/default/secrets", body)
    before = {name: secret(name) for name in ("plain", "fixed")}
    assert keys_in_use(server.stored()) == {key_name(OLD)}

    server.tell(OLD, NEW)
    rewrite_secrets(api)
    assert secret("plain") == before["plain"], "under the first key already: nothing is written"

    server.tell(NEW, OLD)
    assert rewrite_secrets(api) == len(server.stored())
    assert keys_in_use(server.stored()) == {key_name(NEW)}
    server.tell(NEW)
    for name, old in before.items():
        new = secret(name)
        assert new["metadata"].pop("resourceVersion") != old["metadata"].pop("resourceVersion")
        assert new == old

    server.tell(OLD)
    with pytest.raises(ClusterError):
        rewrite_secrets(api)
