"""A cluster that is gone: every command answers in seconds, and a teardown doesn't ask it anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kubernetes_plugin.apiserver import ApiServer
from tests.kubernetes_plugin.charts import chart
from tests.kubernetes_plugin.conftest import MakeProgram, Program
from tests.ports import free_port
from tests.waiting import waits_less_than

pytestmark = pytest.mark.engine

TEXT = """
ns = k8s.core.v1.Namespace("ns", metadata={{"name": "{ns}"}}, opts=here)
settings = k8s.core.v1.ConfigMap("map", metadata={{"name": "map", "namespace": "{ns}"}}, data={{"a": "1"}},
    opts=after(ns))
release = k8s.helm.v3.Release("release", name="dead", namespace="{ns}", chart={chart!r}, opts=after(ns))
"""


SAME = 'cluster_identifier="one"'  # so that another address isn't taken for another cluster


def text(tmp_path: Path, chart: Path) -> str:
    return TEXT.format(ns=f"dead-{tmp_path.name[5:25].strip('_').replace('_', '-')}", chart=str(chart))


@pytest.fixture
def dead(make_program: MakeProgram, cluster: ApiServer, tmp_path: Path) -> Program:
    """Return a stack that was made on a live cluster and now looks for it where nothing is."""
    # A namespace that no other test uses: nothing is cleaned up in a cluster that can't be found again.
    program = make_program(text(tmp_path, chart(tmp_path)), settings=SAME)
    program.up().expect()
    gone = tmp_path / "kubeconfig-gone"
    gone.write_text(json.dumps(cluster.config(port=free_port())))
    program.environment["TEST_KUBECONFIG"] = str(gone)
    return program


def test_each_command_says_so_within_seconds(dead: Program, tmp_path: Path) -> None:
    with waits_less_than(120):
        dead.write_program(text(tmp_path, chart(tmp_path, version="2.0.0")), settings=SAME)
        run = dead.up()
        assert run.code != 0
        assert "doesn't answer: Connection refused" in run.output
        # A refresh and a destroy take the provider as the last run left it in state.
        for run in (dead.refresh(), dead.destroy()):
            assert run.code != 0
            assert "doesn't answer: Connection refused" in run.output
            assert "PULUMI_K8S_DELETE_UNREACHABLE=true" in run.output


def test_preview_needs_no_cluster(dead: Program) -> None:
    assert {step["urn"].rpartition("::")[2] for step in dead.changes().get("update", [])} == {"cluster"}


def test_delete_unreachable_drops_the_resources(dead: Program) -> None:
    dead.up().expect()  # the provider's new kubeconfig is all that changes
    dead.environment["PULUMI_K8S_DELETE_UNREACHABLE"] = "true"
    run = dead.destroy().expect()
    assert run.output.count("dropped from state") >= 3


def test_deleted_with_asks_nothing(make_program: MakeProgram, cluster: ApiServer, tmp_path: Path) -> None:
    text = """
        machine = k8s.core.v1.ConfigMap("machine", metadata={"name": "machine", "namespace": "default"},
            data={}, opts=here)
        config = Path(os.environ["TEST_GONE"]).read_text()
        gone = k8s.Provider("gone", kubeconfig=config, cluster_identifier="gone")
        for name in ("one", "two", "three"):
            k8s.core.v1.ConfigMap(name, metadata={"name": name, "namespace": "default"}, data={},
                opts=Options(provider=gone, deleted_with=machine))
        """
    program = make_program(text)
    program.environment["TEST_GONE"] = str(cluster.kubeconfig_file)
    program.up().expect()
    gone = tmp_path / "gone"
    # An address that nobody has: connecting would take until the timeout.
    config = cluster.config()
    config["clusters"][0]["cluster"]["server"] = "https://192.0.2.1:6443"
    gone.write_text(json.dumps(config))
    program.environment["TEST_GONE"] = str(gone)
    program.up().expect()
    with waits_less_than(120):
        program.destroy().expect()


def test_a_kubeconfig_that_is_none_is_an_answer(make_program: MakeProgram, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("clusters: [\n  secret-looking-thing")
    program = make_program('k8s.core.v1.Namespace("ns", metadata={"name": "never"}, opts=here)', kubeconfig=broken)
    run = program.up()
    assert run.code != 0
    assert "the provider's kubeconfig is not YAML" in run.output
    assert "secret-looking-thing" not in run.output
