"""What a kubelet would say of pods, for a cluster that has no node: that they run and are ready."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator

from tests.offline.apiserver import ApiServer

_READY = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}


@contextlib.contextmanager
def pods_get_ready(cluster: ApiServer, namespace: str) -> Iterator[None]:
    """Let every pod of a namespace be ready while the test goes on."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.3):
            with contextlib.suppress(OSError):
                for pod in cluster.get(f"/api/v1/namespaces/{namespace}/pods")["items"]:
                    if pod["status"]["phase"] == "Pending":
                        cluster.kubectl(
                            *("-n", namespace, "patch", "pod", pod["metadata"]["name"], "--subresource=status"),
                            *("--type=merge", "-p", json.dumps(_READY)),
                            check=False,
                        )

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
