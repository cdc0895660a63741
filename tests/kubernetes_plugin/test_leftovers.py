"""What a name alone doesn't tell: an interrupted run's leftovers, replacements, re-created clusters."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.kubernetes_plugin.apiserver import ApiServer
from tests.kubernetes_plugin.charts import chart
from tests.kubernetes_plugin.conftest import MakeProgram
from tests.waiting import eventually

pytestmark = pytest.mark.engine

SERVICE = """
ns = k8s.core.v1.Namespace("ns", metadata={{"name": "{ns}"}}, opts=here)
k8s.core.v1.Service("service", metadata={{"name": "service", "namespace": "{ns}", "annotations": {notes}}},
    spec={{"type": "LoadBalancer", "ports": [{{"port": 80}}]}}, opts=after(ns))
"""
SKIP = '{"pulumi.com/skipAwait": "true"}'


def test_an_object_that_a_killed_run_left_is_taken_over(make_program: MakeProgram, cluster: ApiServer) -> None:
    program = make_program(SERVICE.format(ns="killed", notes="{}"))
    process = program.start("up", "--yes", "--skip-preview")
    eventually(
        lambda: cluster.kubectl("-n", "killed", "get", "service", "-o", "name", check=False), "the service is made"
    )
    for pid in program.processes():
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    program.pulumi("cancel", "--yes")
    program.write_program(SERVICE.format(ns="killed", notes=SKIP))
    program.up().expect()
    program.up("--expect-no-changes").expect()


def test_a_replacement_of_the_same_name_never_destroys_what_stands(
    make_program: MakeProgram, cluster: ApiServer, tmp_path: Path
) -> None:
    text = f"""
        ns = k8s.core.v1.Namespace("ns", metadata={{"name": "twice"}}, opts=here)
        k8s.helm.v3.Release("release", name="twice", namespace="twice", chart={str(chart(tmp_path))!r}, opts=here)
        """
    program = make_program(text, settings='cluster_identifier="one"')
    program.up().expect()
    uid = cluster.get("/api/v1/namespaces/twice")["metadata"]["uid"]
    # To the engine, another cluster: everything is made there first, and then deleted here.
    program.write_program(text, settings='cluster_identifier="two"')
    run = program.up()
    assert run.code != 0
    assert "Namespace twice already exists" in run.output
    assert "the release twice/twice already exists" in run.output
    assert cluster.get("/api/v1/namespaces/twice")["metadata"]["uid"] == uid
    assert "twice" in cluster.helm("list", "-n", "twice", "-q")


def test_what_stands_in_a_cluster_made_anew_is_left_alone(
    make_program: MakeProgram, cluster: ApiServer, tmp_path: Path
) -> None:
    text = f"""
        ns = k8s.core.v1.Namespace("ns", metadata={{"name": "reborn"}}, opts=here)
        k8s.helm.v3.Release("release", name="reborn", namespace="reborn", chart={str(chart(tmp_path))!r},
            opts=after(ns))
        """
    program = make_program(text)
    program.up().expect()
    exported = json.loads(program.pulumi("stack", "export").expect().output)
    for resource in exported["deployment"]["resources"]:
        outputs = resource.get("outputs", {})
        if "__clusterUid" in outputs:
            outputs["__clusterUid"] = "another"
        elif resource["type"].endswith(":Namespace"):
            outputs["metadata"]["uid"] = "another"
    state = tmp_path / "state.json"
    state.write_text(json.dumps(exported))
    program.pulumi("stack", "import", "--file", str(state)).expect()
    run = program.destroy().expect()
    assert "went with its cluster" in run.output
    assert "created again since" in run.output
    assert "reborn" in cluster.helm("list", "-n", "reborn", "-q")
