"""Shapes, names and drift of API objects: pure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kubernetes.kinds import KindId, known_scope
from infra.kubernetes_plugin import objects
from infra.kubernetes_plugin.diff import Change, differences, is_ignored, parse_path, path_text
from infra.kubernetes_plugin.immutable import forces_replacement
from infra.kubernetes_plugin.types import is_patch, kind_of, name_of, object_id, parse_object_id, token_of
from infra.plugin.values import UNKNOWN, Path

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
URN = "urn:pulumi:dev::prog::my:comp:Cluster$kubernetes:apps/v1:Deployment::web::1"


def test_urns_and_tokens() -> None:
    assert token_of(URN) == "kubernetes:apps/v1:Deployment"
    assert name_of(URN) == "web::1"
    assert kind_of("kubernetes:core/v1:ConfigMap") == KindId("v1", "ConfigMap")
    assert kind_of("kubernetes:metallb.io/v1beta1:IPAddressPool") == KindId("metallb.io/v1beta1", "IPAddressPool")
    assert is_patch("kubernetes:core/v1:ConfigMapPatch", "ConfigMap")
    assert not is_patch("kubernetes:example.com/v1:EyePatch", "EyePatch")
    for id in ("name", "space/name"):
        assert object_id(*parse_object_id(id)) == id


def test_scopes_that_need_no_question() -> None:
    assert known_scope(KindId("v1", "ConfigMap")) is True
    assert known_scope(KindId("v1", "Namespace")) is False
    assert known_scope(KindId("rbac.authorization.k8s.io/v1", "ClusterRole")) is False
    assert known_scope(KindId("example.com/v1", "Thing")) is None


def test_schema_property_names_go_there_and_back() -> None:
    wire = {"properties": [{"x_kubernetes_preserve_unknown_fields": True, "x_other": 1}]}
    server = {"properties": [{"x-kubernetes-preserve-unknown-fields": True, "x_other": 1}]}
    assert objects.from_wire(wire) == server
    assert objects.to_wire(server) == wire
    assert objects.wire_paths({("a", 0, "x_kubernetes_map_type")}) == {("a", 0, "x-kubernetes-map-type")}


def test_inputs_lose_nulls_and_what_the_server_sets() -> None:
    said = {"metadata": {"name": "a", "uid": "u", "labels": None}, "spec": {"list": [{"x": None, "y": 1}]}}
    assert objects.cleaned(said) == {"metadata": {"name": "a"}, "spec": {"list": [{"y": 1}]}}
    live = said | {"status": {"phase": "Active"}}
    assert "status" not in objects.imported_inputs(live)


@given(JSON, JSON)
def test_no_change_on_the_server_is_no_drift(inputs: Any, live: Any) -> None:
    assert objects.carry_drift(inputs, live, live) == inputs


def test_drift_is_what_changed_and_nothing_else() -> None:
    inputs = {"memory": "2048Mi", "cpu": "1", "gone": 1, "list": [{"a": 1}, {"a": 2}]}
    seen = {"memory": "2Gi", "cpu": "1", "gone": 1, "list": [{"a": 1, "d": 0}, {"a": 2, "d": 0}], "default": True}
    live = {"memory": "2Gi", "cpu": "4", "list": [{"a": 1, "d": 0}, {"a": 3, "d": 0}], "default": False}
    drifted = objects.carry_drift(inputs, seen, live)
    assert drifted == {"memory": "2048Mi", "cpu": "4", "list": [{"a": 1}, {"a": 3}]}


def test_drift_of_a_list_that_grew_or_shrank() -> None:
    assert objects.carry_drift([1, 2], [1, 2], [1, 2, 3]) == [1, 2, 3]
    assert objects.carry_drift([1, 2], [1, 2], [1]) == [1]


def test_a_secrets_texts_are_compared_with_its_data() -> None:
    live = {"kind": "Secret", "data": {"a": "aGk=", "b": "aGk="}}
    assert objects.comparable(live, {"stringData": {"a": "x", "c": "y"}})["stringData"] == {"a": "hi"}


def test_state_round_trips_and_leaves_out_who_manages_what() -> None:
    live = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "managedFields": [{}]}}
    inputs = {"metadata": {"name": "a"}}
    state = objects.checkpoint(live, inputs, "v1", "me")
    assert objects.parse_checkpoint(state) == (inputs, live | {"metadata": {"name": "a"}})
    assert live["metadata"] == {"name": "a", "managedFields": [{}]}, "the object itself is left alone"


def test_secrets_are_hidden_where_they_stand_or_above() -> None:
    state = {
        "spec": {"env": [{"value": "s"}]},
        objects.INPUTS: {"spec": {"env": [{"value": "s"}, {"value": "t"}]}},
    }
    paths = objects.secret_paths(state, {("spec", "env", 0, "value"), ("spec", "env", 1, "value")})
    assert paths == {
        ("spec", "env", 0, "value"),
        ("spec", "env"),
        (objects.INPUTS, "spec", "env", 0, "value"),
        (objects.INPUTS, "spec", "env", 1, "value"),
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "b"}, objects.INPUTS: {"stringData": {"a": "b"}}}
    assert objects.secret_paths(secret, ()) == {("data",), (objects.INPUTS, "stringData")}


def test_names_follow_seed_and_urn() -> None:
    one = objects.unique_name("web-", b"1", URN)
    assert one == objects.unique_name("web-", b"1", URN)
    assert one != objects.unique_name("web-", b"2", URN)
    assert one.startswith("web-")
    assert len(one) == len("web-") + 8


@given(JSON)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert list(differences(value, value)) == []


def test_differences_are_named_one_by_one() -> None:
    old = {"a": 1, "same": {"x": 1}, "list": [1, 2], "gone": "g", "null": None}
    new = {"a": UNKNOWN, "same": {"x": 1}, "list": [1], "new": "n"}
    assert dict(differences(old, new)) == {
        ("a",): Change.UPDATE,
        ("gone",): Change.DELETE,
        ("list", 1): Change.DELETE,
        ("new",): Change.ADD,
        ("null",): Change.DELETE,
    }


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("spec", "ports", 0, "name"), "spec.ports[0].name"),
        (("metadata", "annotations", "a.b/c"), 'metadata.annotations["a.b/c"]'),
        (("data", 'quo"te'), 'data["quo\\"te"]'),
    ],
)
def test_paths_in_the_engines_notation(path: Path, text: str) -> None:
    assert path_text(path) == text
    assert parse_path(text) == path


def test_ignored_paths_cover_what_is_below() -> None:
    assert is_ignored(("spec", "containers", 3, "image"), parse_path("spec.containers[*].image"))
    assert is_ignored(("spec", "replicas"), parse_path("spec"))
    assert not is_ignored(("spec",), parse_path("spec.replicas"))


@pytest.mark.parametrize(
    ("id", "path", "replaced"),
    [
        (KindId("v1", "Service"), ("metadata", "name"), True),
        (KindId("apps/v1", "Deployment"), ("spec", "selector", "matchLabels", "a"), True),
        (KindId("apps/v1", "Deployment"), ("spec", "replicas"), False),
        (KindId("v1", "Pod"), ("spec", "containers", 0, "image"), False),
        (KindId("v1", "Pod"), ("spec", "containers", 0, "env"), True),
        (KindId("v1", "PersistentVolume"), ("spec", "hostPath", "path"), True),
        (KindId("v1", "PersistentVolume"), ("spec", "capacity", "storage"), False),
        (KindId("v1", "ConfigMap"), ("data", "a"), True),
        (KindId("v1", "Secret"), ("stringData", "a"), True),
        (KindId("v1", "Secret"), ("metadata", "labels", "a"), False),
        (KindId("example.com/v1", "Thing"), ("spec", "x"), False),
    ],
)
def test_what_the_api_server_would_refuse_to_change(id: KindId, path: Path, replaced: bool) -> None:
    assert forces_replacement(id, {}, path, secret_mutable=False, config_map_mutable=False) is replaced


def test_data_changes_in_place_where_the_provider_says_so_and_the_object_allows_it() -> None:
    id, path = KindId("v1", "ConfigMap"), ("data", "a")
    for obj, replaced in (({}, False), ({"immutable": True}, True)):
        assert forces_replacement(id, obj, path, secret_mutable=False, config_map_mutable=True) is replaced
