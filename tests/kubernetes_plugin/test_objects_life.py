"""API objects through the real engine against a real API server: made, changed, looked at, removed."""

from __future__ import annotations

import base64
import json
import urllib.error
from typing import Any

import pytest

from tests.kubernetes_plugin.apiserver import ApiServer
from tests.kubernetes_plugin.conftest import MakeProgram

pytestmark = pytest.mark.engine

KINDS = """
ns = k8s.core.v1.Namespace("ns", metadata={{"name": "{ns}"}}, opts=here)
settings = k8s.core.v1.ConfigMap(
    "settings", metadata={{"name": "settings", "namespace": "{ns}"}}, data={{"colour": "{colour}"}},
    opts=after(ns))
password = k8s.core.v1.Secret(
    "password", metadata={{"name": "password", "namespace": "{ns}"}}, string_data={{"password": "hunter-two"}},
    opts=after(ns))
definition = k8s.apiextensions.v1.CustomResourceDefinition(
    "definition", metadata={{"name": "things.{ns}.example.com"}},
    spec={{"group": "{ns}.example.com", "scope": "Namespaced", "names": {{"plural": "things", "kind": "Thing"}},
      "versions": [{{"name": "v1", "served": True, "storage": True, "schema": {{"openAPIV3Schema": {{
        "type": "object", "properties": {{
          "spec": {{"type": "object", "x_kubernetes_preserve_unknown_fields": True}}}}}}}}}}]}}, opts=here)
thing = k8s.apiextensions.CustomResource(
    "thing", api_version="{ns}.example.com/v1", kind="Thing", metadata={{"name": "one", "namespace": "{ns}"}},
    spec={{"size": {size}, "parts": [{{"name": "a"}}]}}, opts=after(ns, definition))
pulumi.export("uid", thing.metadata["uid"])
"""


def exists(cluster: ApiServer, path: str) -> bool:
    try:
        cluster.get(path)
    except urllib.error.HTTPError as error:
        assert error.code == 404
        return False
    return True


def test_objects_live_and_die(make_program: MakeProgram, cluster: ApiServer) -> None:
    text = {"ns": "life", "colour": "red", "size": 1}
    program = make_program(KINDS.format(**text), settings="enable_config_map_mutable=True", apart=True)
    preview = program.changes()
    assert {len(steps) for steps in preview.values()} == {7}
    program.up().expect()
    things = "/apis/life.example.com/v1/namespaces/life/things/one"
    made = cluster.get(things)
    assert made["spec"] == {"size": 1, "parts": [{"name": "a"}]}
    (manager,) = {entry["manager"] for entry in made["metadata"]["managedFields"]}
    assert manager.startswith("pulumi-kubernetes-")
    assert program.outputs()["uid"] == made["metadata"]["uid"]
    data = cluster.get("/api/v1/namespaces/life/secrets/password")["data"]
    assert base64.b64decode(data["password"]) == b"hunter-two"

    run = program.up("--expect-no-changes").expect()
    assert run.output.count("stand-in") <= 2, "said once, and shown again in the summary"

    program.write_program(
        KINDS.format(ns="life", colour="blue", size=2), settings="enable_config_map_mutable=True"
    )
    changed = program.changes()
    assert sorted(step["urn"].rpartition("::")[2] for step in changed["update"]) == ["settings", "thing"]
    assert {k: v for step in changed["update"] for k, v in step["detailedDiff"].items()} == {
        "data.colour": {"kind": "update", "inputDiff": False},
        "spec.size": {"kind": "update", "inputDiff": False},
    }
    program.up().expect()
    assert cluster.get(things)["spec"]["size"] == 2
    assert cluster.get(things)["metadata"]["uid"] == made["metadata"]["uid"], "changed in place"

    program.destroy().expect()
    assert not exists(cluster, "/api/v1/namespaces/life")
    assert not exists(cluster, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.life.example.com")


def test_secrets_stay_secret(make_program: MakeProgram) -> None:
    program = make_program("""
        ns = k8s.core.v1.Namespace("ns", metadata={"name": "hidden"}, opts=here)
        k8s.core.v1.Secret("plain", metadata={"name": "plain", "namespace": "hidden"}, opts=after(ns),
            string_data={"password": "hunter-two"})
        k8s.core.v1.ConfigMap("map", metadata={"name": "map", "namespace": "hidden",
            "annotations": {"note": pulumi.Output.secret("whispered-word"), "open": "loud-word"}}, opts=after(ns))
        """)
    run = program.up().expect()
    state = json.dumps(program.state())
    for secret in ("hunter-two", base64.b64encode(b"hunter-two").decode(), "whispered-word"):
        assert secret not in state
        assert secret not in run.output
    assert "loud-word" in state, "only what is secret is hidden"
    assert "hunter-two" not in program.pulumi("preview", "--diff").output


def test_refresh_shows_what_was_changed_by_hand_and_up_repairs_it(
    make_program: MakeProgram, cluster: ApiServer
) -> None:
    program = make_program(
        """
        ns = k8s.core.v1.Namespace("ns", metadata={"name": "drift"}, opts=here)
        k8s.core.v1.ConfigMap("map", metadata={"name": "map", "namespace": "drift"}, data={"a": "1", "b": "2"},
            opts=after(ns))
        k8s.core.v1.ResourceQuota("quota", metadata={"name": "quota", "namespace": "drift"}, opts=after(ns),
            spec={"hard": {"limits.memory": "2048Mi", "limits.cpu": "2000m"}})
        k8s.core.v1.ConfigMap("gone", metadata={"name": "gone", "namespace": "drift"}, data={"a": "1"},
            opts=after(ns))
        """,
        settings="enable_config_map_mutable=True",
    )
    program.up().expect()
    assert program.refresh("--expect-no-changes").expect()
    assert program.changes() == {}, "the API server's own way to write a quantity is no change"

    cluster.kubectl(
        "-n", "drift", "patch", "configmap", "map", "--type=merge", "-p", '{"data":{"a":"9","c":"new"}}'
    )
    cluster.kubectl("-n", "drift", "delete", "configmap", "gone")
    shown = program.refresh().expect().output
    assert '"9"' in shown
    changes = program.changes()
    assert [list(step["detailedDiff"]) for step in changes["update"]] == [["data.a"]]
    assert [step["urn"].rpartition("::")[2] for step in changes["create"]] == ["gone"]
    program.up().expect()
    data = cluster.get("/api/v1/namespaces/drift/configmaps/map")["data"]
    assert data == {"a": "1", "b": "2", "c": "new"}, "what somebody else added stays theirs"


def test_what_cannot_change_in_place_is_made_anew(make_program: MakeProgram, cluster: ApiServer) -> None:
    text = """
        ns = k8s.core.v1.Namespace("ns", metadata={{"name": "again"}}, opts=here)
        k8s.core.v1.ConfigMap("named", metadata={{"name": "named", "namespace": "again"}}, data={{"a": "{value}"}},
            opts=after(ns))
        auto = k8s.core.v1.ConfigMap("auto", metadata={{"namespace": "again"}}, data={{"a": "{value}"}},
            opts=after(ns))
        pulumi.export("auto", auto.metadata.name)
        """
    program = make_program(text.format(value=1))
    program.up().expect()
    before = program.outputs()["auto"]
    assert before.startswith("auto-")
    program.write_program(text.format(value=2))
    program.up().expect()
    after = program.outputs()["auto"]
    assert after != before, "a name of ours makes way before the old one goes"
    names = json.loads(cluster.kubectl("-n", "again", "get", "configmaps", "-o", "json"))["items"]
    assert {item["metadata"]["name"] for item in names} - {"kube-root-ca.crt"} == {"named", after}
    assert {item["data"]["a"] for item in names if "a" in item["data"]} == {"2"}


def test_import_takes_over_what_stands(make_program: MakeProgram, cluster: ApiServer) -> None:
    cluster.kubectl("create", "namespace", "found")
    cluster.kubectl("-n", "found", "create", "configmap", "map", "--from-literal=a=1")
    text = """
        k8s.core.v1.ConfigMap("map", metadata={{"name": "map", "namespace": "found"}}, data={{"a": "{value}"}},
            opts=Options(provider=provider, import_={id}))
        """
    program = make_program(text.format(value=1, id="'found/map'"), settings="enable_config_map_mutable=True")
    program.up().expect()
    assert program.changes() == {}
    program.write_program(text.format(value=2, id="None"), settings="enable_config_map_mutable=True")
    program.up().expect()
    assert cluster.get("/api/v1/namespaces/found/configmaps/map")["data"] == {"a": "2"}
    program.destroy().expect()
    assert not exists(cluster, "/api/v1/namespaces/found/configmaps/map")


def test_what_stands_already_is_not_taken(make_program: MakeProgram, cluster: ApiServer) -> None:
    cluster.kubectl("create", "namespace", "theirs")
    program = make_program('k8s.core.v1.Namespace("ns", metadata={"name": "theirs"}, opts=here)')
    run = program.up()
    assert run.code != 0
    assert "Namespace theirs already exists" in run.output
    assert "pulumi import" in run.output
    program.destroy().expect()
    assert exists(cluster, "/api/v1/namespaces/theirs")


def test_a_conflict_names_the_other_and_the_way_out(make_program: MakeProgram, cluster: ApiServer) -> None:
    text = """
        ns = k8s.core.v1.Namespace("ns", metadata={{"name": "conflict"}}, opts=here)
        k8s.core.v1.ConfigMap("map", metadata={{"name": "map", "namespace": "conflict", "annotations": {notes}}},
            data={{"a": "{value}"}}, opts=after(ns))
        """
    mutable = "enable_config_map_mutable=True"
    program = make_program(text.format(value=1, notes="{}"), settings=mutable)
    program.up().expect()
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"a": "9"}}
    cluster.kubectl(
        *("-n", "conflict", "apply", "--server-side", "--force-conflicts", "--field-manager=robot", "-f", "-"),
        stdin=json.dumps(theirs),
    )
    program.write_program(text.format(value=2, notes="{}"), settings=mutable)
    run = program.up()
    assert run.code != 0
    assert 'conflict with "robot"' in run.output
    assert "pulumi.com/patchForce" in run.output
    program.write_program(text.format(value=2, notes='{"pulumi.com/patchForce": "true"}'), settings=mutable)
    program.up().expect()
    assert cluster.get("/api/v1/namespaces/conflict/configmaps/map")["data"] == {"a": "2"}


def test_a_patch_gives_back_what_it_changed(make_program: MakeProgram, cluster: ApiServer) -> None:
    cluster.kubectl("create", "namespace", "patched")
    program = make_program(
        'k8s.core.v1.NamespacePatch("patch", metadata={"name": "patched", "labels": {"team": "blue"}}, opts=here)'
    )
    program.up().expect()
    assert cluster.get("/api/v1/namespaces/patched")["metadata"]["labels"]["team"] == "blue"
    program.destroy().expect()
    assert "team" not in cluster.get("/api/v1/namespaces/patched")["metadata"]["labels"]


def test_manifests_in_yaml(make_program: MakeProgram, cluster: ApiServer, tmp_path: Any) -> None:
    (tmp_path / "manifest.yaml").write_text("""
        apiVersion: v1
        kind: Namespace
        metadata: {name: written, annotations: {date: 2026-01-02}}
        """)
    program = make_program(f"""
        k8s.yaml.ConfigFile("file", file={str(tmp_path / "manifest.yaml")!r},
            opts=pulumi.ResourceOptions(providers={{"kubernetes": provider}}))
        """)
    program.up().expect()
    assert cluster.get("/api/v1/namespaces/written")["metadata"]["annotations"]["date"] == "2026-01-02"


def test_what_is_not_covered_is_said(make_program: MakeProgram) -> None:
    program = make_program("""
        k8s.yaml.v2.ConfigGroup("group", yaml="a: 1", opts=Options(providers=[provider]))
        """)
    run = program.up()
    assert run.code != 0
    assert "kubernetes:yaml/v2:ConfigGroup is not covered by azlocal's stand-in" in run.output
    program.write_program("", settings='render_yaml_to_directory="x"')
    run = program.up()
    assert run.code != 0
    assert "renderYamlToDirectory is not covered" in run.output
