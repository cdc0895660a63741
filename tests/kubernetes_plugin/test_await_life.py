"""Waiting through the real engine: an API server without nodes, where pods are what the test says they are."""

from __future__ import annotations

import pytest

from tests.kubernetes_plugin.apiserver import ApiServer
from tests.kubernetes_plugin.conftest import MakeProgram
from tests.kubernetes_plugin.kubelet import RUNNING, kubelet, pods_get_ready
from tests.waiting import waits_less_than

pytestmark = pytest.mark.engine

APP = """
ns = k8s.core.v1.Namespace("ns", metadata={{"name": "{ns}"}}, opts=here)
labels = {{"app": "app"}}
k8s.apps.v1.Deployment("app", metadata={{"name": "app", "namespace": "{ns}", "annotations": {notes}}}, spec={{
    "replicas": 1, "selector": {{"match_labels": labels}}, "template": {{
        "metadata": {{"labels": labels}}, "spec": {{"containers": [{{"name": "app", "image": "none"}}]}}}}}},
    opts=after(ns))
"""


def test_a_deployment_that_becomes_ready(make_program: MakeProgram, cluster: ApiServer) -> None:
    program = make_program(APP.format(ns="ready", notes="{}"))
    with pods_get_ready(cluster, "ready"):
        program.up().expect()
    program.up("--expect-no-changes").expect()


def test_one_that_does_not_says_why_stays_in_state_and_goes_on(
    make_program: MakeProgram, cluster: ApiServer
) -> None:
    stuck = {
        "phase": "Pending",
        "containerStatuses": [
            {
                "name": "app",
                "image": "none",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image: none"}},
            }
        ],
    }
    program = make_program(APP.format(ns="stuck", notes='{"pulumi.com/timeoutSeconds": "5"}'))
    with kubelet(cluster, "stuck", lambda _: stuck):
        run = program.up()
    assert run.code != 0
    assert "Deployment stuck/app was not ready within 5 s" in run.output
    assert "container app: ImagePullBackOff: no such image: none" in run.output
    assert program.resource("app")["initErrors"]
    with kubelet(cluster, "stuck", lambda _: RUNNING):
        program.up().expect()
    assert "initErrors" not in program.resource("app")


def test_skip_await_and_custom_timeouts(make_program: MakeProgram, cluster: ApiServer) -> None:
    text = """
        ns = k8s.core.v1.Namespace("ns", metadata={"name": "skipping"}, opts=here)
        for name, notes in (("skipped", {"pulumi.com/skipAwait": "true"}), ("waited", {})):
            k8s.core.v1.Service(name, metadata={"name": name, "namespace": "skipping", "annotations": notes},
                spec={"type": "LoadBalancer", "ports": [{"port": 80}]},
                opts=after(ns, custom_timeouts=pulumi.CustomTimeouts(create="3s")))
        """
    program = make_program(text)
    with waits_less_than(120):
        run = program.up()
        assert run.code != 0
    assert "Service skipping/waited was not ready within 3 s: still waiting for a load balancer" in run.output
    assert "skipping/skipped was not" not in run.output


def test_a_job_that_fails_is_not_waited_for(make_program: MakeProgram, cluster: ApiServer) -> None:
    program = make_program("""
        ns = k8s.core.v1.Namespace("ns", metadata={"name": "job"}, opts=here)
        k8s.batch.v1.Job("job", metadata={"name": "job", "namespace": "job"}, opts=after(ns), spec={
            "backoff_limit": 0, "template": {"spec": {"restart_policy": "Never",
                "containers": [{"name": "work", "image": "none"}]}}})
        """)
    with kubelet(cluster, "job", lambda _: {"phase": "Failed"}):
        run = program.up()
    assert run.code != 0
    assert "it failed: BackoffLimitExceeded" in run.output


def test_a_claim_that_waits_for_a_pod_is_ready(make_program: MakeProgram) -> None:
    program = make_program("""
        sc = k8s.storage.v1.StorageClass("sc", metadata={"name": "later"}, provisioner="example.com/none",
            volume_binding_mode="WaitForFirstConsumer", opts=here)
        k8s.core.v1.PersistentVolumeClaim("claim", metadata={"name": "claim", "namespace": "default"}, spec={
            "storage_class_name": "later", "access_modes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}, opts=after(sc))
        """)
    program.up().expect()
