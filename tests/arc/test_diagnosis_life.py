"""Endpoints are tried from a pod before anything is made; its program runs beside the cluster here."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.arc import diagnosis
from infra.arc.errors import Unready
from infra.arc.model import Features, Proxy
from infra.arc.onboarding import connect
from infra.kubernetes.api import ClusterApi
from tests.arc.living import Lab
from tests.kubernetes_plugin.kubelet import kubelet

pytestmark = pytest.mark.engine

CANARY = "canary-d1a6"
IMAGE = "localhost/azlocal/agent-runtime:1"


@contextlib.contextmanager
def pods_run(lab: Lab, folder: Path, *, waiting: str | None = None) -> Iterator[list[dict[str, Any]]]:
    """Run the job's command as a kubelet would, or say why it can't; yield the pods that were seen."""
    seen: list[dict[str, Any]] = []

    def say(pod: dict[str, Any]) -> dict[str, Any] | None:
        if pod["status"].get("containerStatuses") or pod["metadata"].get("deletionTimestamp"):
            return None
        seen.append(pod)
        state = {"waiting": {"reason": waiting}} if waiting else {"terminated": _run(lab, folder, pod)}
        container = {"name": "diagnosis", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}
        return {"containerStatuses": [{**container, "state": state}]}

    with kubelet(lab.cluster, "kube-system", say):
        yield seen


def _run(lab: Lab, folder: Path, pod: dict[str, Any]) -> dict[str, Any]:
    secret = lab.cluster.get(f"/api/v1/namespaces/kube-system/secrets/{diagnosis.NAME}")
    for name, data in secret["data"].items():
        (folder / name).write_bytes(base64.b64decode(data))
    command = [
        part.replace("/diagnosis", str(folder)).replace("/dev/termination-log", str(folder / "message"))
        for part in pod["spec"]["containers"][0]["command"]
    ]
    done = subprocess.run([sys.executable, *command[1:]], check=False, timeout=60)
    return {"exitCode": done.returncode, "message": (folder / "message").read_text()}


def nothing_stays(lab: Lab) -> None:
    for kind in ("jobs", "secrets"):
        assert diagnosis.NAME not in lab.cluster.kubectl("-n", "kube-system", "get", kind, "--output", "name")


def test_what_pods_reach_is_no_problem(lab: Lab, tmp_path: Path) -> None:
    with pods_run(lab, tmp_path) as pods:
        found = diagnosis.diagnose(ClusterApi(lab.cluster.kubeconfig), lab.wanted(probe_image=IMAGE), lab.work())
    assert found == []
    assert pods[0]["spec"]["containers"][0]["image"] == IMAGE
    nothing_stays(lab)


def test_what_pods_do_not_reach_keeps_the_cluster_from_being_connected(lab: Lab, tmp_path: Path) -> None:
    proxy = Proxy(f"http://user:{CANARY}@127.0.0.1:1")
    wanted = lab.wanted(probe_image=IMAGE, features=Features(proxy=proxy))
    with pods_run(lab, tmp_path) as pods, lab.azure() as azure, pytest.raises(Unready) as caught:
        connect(azure, wanted, work=lab.work())
    assert "endpoint-blocked: from a pod of the cluster, 127.0.0.1:" in str(caught.value)
    assert "identity of agents" in str(caught.value)
    assert "proxy: Connection refused" in str(caught.value)
    assert CANARY not in str(caught.value) + json.dumps(pods)
    nothing_stays(lab)
    with lab.azure() as azure:
        assert azure.get_cluster("a") is None


def test_a_pod_that_cannot_run_keeps_nobody(lab: Lab, tmp_path: Path) -> None:
    with pods_run(lab, tmp_path, waiting="ErrImagePull"):
        found = diagnosis.diagnose(ClusterApi(lab.cluster.kubeconfig), lab.wanted(probe_image=IMAGE), lab.work())
    assert found == []
    assert "endpoints weren't tried from a pod" in lab.said[-1]
    nothing_stays(lab)


def test_without_an_image_nothing_is_tried(lab: Lab) -> None:
    assert diagnosis.diagnose(ClusterApi(lab.cluster.kubeconfig), lab.wanted(), lab.work()) == []
    nothing_stays(lab)
