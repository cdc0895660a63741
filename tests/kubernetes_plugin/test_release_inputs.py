"""A release's inputs and charts: pure, but for files of values."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import UserError
from infra.kubernetes.values import merged
from infra.kubernetes_plugin import release_inputs
from infra.kubernetes_plugin.charts import local_chart, read_chart, resource_names
from infra.kubernetes_plugin.decode import decode_yaml
from infra.kubernetes_plugin.diff import Change
from infra.kubernetes_plugin.objects import INPUTS
from infra.kubernetes_plugin.release import diff
from infra.plugin.values import Properties
from tests.kubernetes_plugin.charts import chart, packed

_ASSET = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17"}


def test_what_is_not_served_is_refused_by_name() -> None:
    inputs = {"chart": "c", "lint": True, "recreatePods": False, "repositoryOpts": {"password": "p"}, "odd": 1}
    reasons = dict(release_inputs.faults(inputs))
    assert reasons.keys() == {"lint", "repositoryOpts.password", "odd"}
    assert "is not covered by azlocal's stand-in" in reasons["lint"]
    assert reasons["odd"] == "odd: a Release has no such input"
    assert dict(release_inputs.faults({})).keys() == {"chart"}


def test_defaults_and_files_of_values(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("a: {b: 1, c: 2}\nlist: [1]\n")
    inputs = {
        "chart": "c",
        "manifest": {},
        "values": {"a": {"c": 3}},
        "valueYamlFiles": [{**_ASSET, "path": str(file)}, {**_ASSET, "text": "list: [2]"}],
    }
    assert release_inputs.normalised(inputs, "space") == {
        "chart": "c",
        "namespace": "space",
        "values": {"a": {"b": 1, "c": 3}, "list": [2]},
        "timeout": 300,
    }
    assert "timeout" not in release_inputs.normalised({"chart": "c", "skipAwait": True}, "x")
    with pytest.raises(UserError, match="can't be read"):
        release_inputs.normalised({"valueYamlFiles": [{**_ASSET, "path": "/nowhere"}]}, "x")


def test_the_command_line() -> None:
    inputs = {
        "name": "rel",
        "namespace": "space",
        "chart": "c",
        "atomic": True,
        "skipAwait": True,
        "maxHistory": 3,
    }
    command = release_inputs.upgrade_arguments(inputs, ["c"], {"mark": "m"}, 0)
    assert command[:3] == ["upgrade", "rel", "c"]
    assert {"--install", "--atomic", "--wait", "--labels=mark=m"} <= set(command), "atomic waits whatever is said"
    assert command[command.index("--timeout") + 1] == "300s"
    assert command[command.index("--history-max") + 1] == "3"
    assert "--wait" not in release_inputs.upgrade_arguments(inputs | {"atomic": False}, ["c"], {}, 0)
    assert "7s" in release_inputs.upgrade_arguments(inputs, ["c"], {}, 7.0), "customTimeouts win"


def test_where_a_chart_comes_from(tmp_path: Path) -> None:
    remote = {"chart": "nginx", "version": "1", "repositoryOpts": {"repo": "https://example.com"}, "verify": True}
    assert release_inputs.chart_arguments(remote, local=False) == [
        *("nginx", "--version", "1", "--repo", "https://example.com", "--verify")
    ]
    assert release_inputs.chart_arguments({"chart": "/c", "version": "1"}, local=True) == ["/c"]
    root = chart(tmp_path)
    assert local_chart(str(root)) == root
    assert local_chart("bitnami/nginx") is None
    with pytest.raises(UserError, match="no chart at"):
        local_chart("./nowhere")


def test_a_charts_version_is_read_without_helm(tmp_path: Path) -> None:
    root = chart(tmp_path, version="4.5.6")
    assert read_chart(root)["version"] == read_chart(packed(root))["version"] == "4.5.6"
    (root / "Chart.yaml").write_text("name: x\nversion: 1.0.0\ntype: library\n")
    with pytest.raises(UserError, match="library chart"):
        read_chart(root)


def test_names_of_a_manifests_objects() -> None:
    manifest = """
kind: Service
apiVersion: v1
metadata: {name: b}
---
# nothing
---
kind: Deployment
apiVersion: apps/v1
metadata: {name: a, namespace: n}
---
kind: Service
apiVersion: v1
metadata: {name: a}
"""
    assert resource_names(manifest) == {"Deployment.apps/apps/v1": ["n/a"], "Service/v1": ["a", "b"]}


def test_values_merge_as_helm_merges_them() -> None:
    assert merged({"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": [3]}, "d": None}) == {
        "a": {"b": 1, "c": [3]},
        "d": None,
    }


def test_diff_of_a_release() -> None:
    state = Properties({"status": {}, INPUTS: {"name": "a", "values": {"x": 1}, "resourceNames": {}}})
    changes = diff(state, Properties({"name": "b", "values": {"x": 2}}), ["values.x"])
    assert changes.by_path == {("name",): Change.UPDATE}
    assert changes.replaces == {("name",)}
    assert diff(state, Properties({"name": "a", "values": {"x": 1}}), []).by_path == {}


def test_decode_keeps_dates_as_text_and_knows_scopes() -> None:
    text = """
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {day: 2026-01-02}
---
apiVersion: v1
kind: Namespace
metadata: {name: b}
---
justText: true
"""
    objects = decode_yaml(text, "space", lambda id: id.kind != "Namespace")
    assert [obj["metadata"] for obj in objects] == [{"name": "a", "namespace": "space"}, {"name": "b"}]
    assert objects[0]["data"] == {"day": "2026-01-02"}
    with pytest.raises(UserError, match="not YAML"):
        decode_yaml("a: [", "", lambda _: True)
