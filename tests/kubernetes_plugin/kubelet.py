"""What a kubelet would say of pods, for a cluster that has no node."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.kubernetes_plugin.apiserver import ApiServer

Json = dict[str, Any]

RUNNING: Json = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@contextlib.contextmanager
def kubelet(cluster: ApiServer, namespace: str, say: Callable[[Json], Json | None]) -> Iterator[None]:
    """Let the pods of a namespace have the status that is said of each, while the block lasts; None: as it is."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.3):
            with contextlib.suppress(OSError):  # a pod that went meanwhile, too
                for pod in cluster.get(f"/api/v1/namespaces/{namespace}/pods")["items"]:
                    if status := say(pod):
                        path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/status"
                        cluster.patch(path, {"status": status})

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def pods_get_ready(cluster: ApiServer, namespace: str) -> contextlib.AbstractContextManager[None]:
    """Let every pod of a namespace be ready while the block lasts."""
    return kubelet(cluster, namespace, lambda pod: RUNNING if pod["status"]["phase"] == "Pending" else None)
