"""Labels and taints of nodes: azlocal changes its own, and nobody else's."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kubernetes.api import ClusterApi, Conflict, Object
from infra.kubernetes.node_marks import both, look_at_marks, mark_nodes, patch_of, seen_marks
from infra.model.node import NodeMarks, taint_object


def marks(*taints: str, **labels: str) -> NodeMarks:
    return NodeMarks(labels=labels, taints=taints)


def node(*taints: str, **labels: str) -> Object:
    return {
        "metadata": {"name": "w-0", "labels": labels, "resourceVersion": "7"},
        "spec": {"taints": [taint_object(text) for text in taints]},
    }


def patched(obj: Object, change: Mapping[str, Any] | None) -> Object:
    """Return an object as a merge patch leaves it (RFC 7386)."""
    result = copy.deepcopy(obj)
    for name, value in (change or {}).items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = patched(result.get(name) or {}, value)
        else:
            result[name] = value
    return result


@pytest.mark.parametrize(
    ("stands", "before", "wanted", "change"),
    [
        (node(a="1"), marks(a="1"), marks(a="1"), None),
        (node(a="1", users="x"), marks(a="1"), marks(a="2"), {"metadata": {"labels": {"a": "2"}}}),
        (node(a="1", users="x"), marks(a="1"), marks(), {"metadata": {"labels": {"a": None}}}),
        (node(users="x"), marks(a="1"), marks(), None),
        (node(a="1"), marks(), marks(), None),
        (
            node("a=b:NoSchedule", "users:NoExecute"),
            marks("a=b:NoSchedule"),
            marks("a:NoExecute"),
            {
                "metadata": {"resourceVersion": "7"},
                "spec": {"taints": [taint_object("users:NoExecute"), taint_object("a:NoExecute")]},
            },
        ),
        (
            node("a=b:NoSchedule"),
            marks("a=b:NoSchedule"),
            marks(),
            {"metadata": {"resourceVersion": "7"}, "spec": {"taints": None}},
        ),
        (node("a:NoSchedule"), marks(), marks("a=:NoSchedule"), None),
    ],
)
def test_what_is_changed(stands: Object, before: NodeMarks, wanted: NodeMarks, change: Object | None) -> None:
    assert patch_of(stands, before, wanted) == change


def test_a_taint_keeps_what_a_controller_wrote_beside_it() -> None:
    stands = node("a=b:NoExecute")
    stands["spec"]["taints"][0]["timeAdded"] = "2026-01-01T00:00:00Z"
    change = patch_of(stands, marks(), marks("a=b:NoExecute", "c:NoSchedule"))
    assert change is not None
    assert change["spec"]["taints"][0]["timeAdded"]


def test_a_label_of_kubelet_s_own_is_not_taken_away() -> None:
    name = "kubernetes.io/hostname"
    assert patch_of(node(**{name: "w"}), marks(**{name: "w"}), marks()) is None


KEYS = st.sampled_from("abc")
TEXTS = st.builds(
    lambda key, value, effect: f"{key}={value}:{effect}" if value else f"{key}:{effect}",
    *(KEYS, st.sampled_from(["", "1", "2"]), st.sampled_from(["NoSchedule", "NoExecute"])),
)


def identity(text: str) -> tuple[str, str]:
    taint = taint_object(text)
    return taint["key"], taint["effect"]


MARKS = st.builds(
    NodeMarks,
    labels=st.dictionaries(KEYS, st.sampled_from(["", "1", "2"])),
    taints=st.lists(TEXTS, unique_by=identity).map(tuple),
)


@given(MARKS, MARKS, MARKS)
def test_what_is_wanted_is_there_and_what_is_others_stays(
    standing: NodeMarks, before: NodeMarks, wanted: NodeMarks
) -> None:
    stands = node(*standing.taints, **standing.labels)
    after = patched(stands, patch_of(stands, before, wanted))
    assert patch_of(after, wanted, wanted) is None, "the second time there is nothing to do"
    assert seen_marks(after, wanted) == wanted
    labels = after["metadata"].get("labels") or {}
    assert labels == {k: v for k, v in standing.labels.items() if k not in before.labels} | wanted.labels
    ours = {identity(text) for text in (*before.taints, *wanted.taints)}
    others = [taint_object(text) for text in standing.taints if identity(text) not in ours]
    left = after["spec"].get("taints") or []
    assert [taint for taint in left if (taint["key"], taint["effect"]) not in ours] == others
    assert len(left) == len(others) + len(wanted.taints)


def test_drift_is_seen_of_known_marks_alone() -> None:
    stands = node("a=2:NoSchedule", "users:NoExecute", a="2", users="x")
    known = marks("a=1:NoSchedule", "b:NoExecute", a="1", b="1")
    assert seen_marks(stands, known) == marks("a=2:NoSchedule", a="2")


def test_both_are_all_that_either_has() -> None:
    assert both(marks("a:NoExecute", a="1"), marks("b:NoExecute", b="2")) == marks(
        "a:NoExecute", "b:NoExecute", a="1", b="2"
    )


class Nodes(ClusterApi):
    """An API server with nodes, of which somebody else changes one as often as said."""

    def __init__(self, *nodes: Object, conflicts: int = 0) -> None:
        self.nodes = {one["metadata"]["name"]: one for one in nodes}
        self.conflicts = conflicts
        self.requests: list[str] = []

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, **_: Any) -> str:
        self.requests.append(method)
        name = path.removeprefix("/api/v1/nodes").removeprefix("/")
        if not name:
            return json.dumps({"items": [*self.nodes.values()]})
        if method == "PATCH":
            if self.conflicts:
                self.conflicts -= 1
                self.nodes[name]["spec"]["taints"].append(taint_object("theirs:NoSchedule"))
                raise Conflict("it was changed meanwhile", 409)
            self.nodes[name] = patched(self.nodes[name], body)
        return json.dumps(self.nodes[name])


def test_nodes_are_patched_after_one_look_and_again_where_somebody_else_was_faster() -> None:
    api = Nodes(node("a:NoSchedule", a="1"), conflicts=1)
    assert mark_nodes(api, {"w-0": marks("a:NoSchedule", a="1")}, {"w-0": marks(), "not there": marks(a="1")}) == [
        "w-0"
    ]
    assert api.nodes["w-0"]["spec"]["taints"] == [taint_object("theirs:NoSchedule")]
    api.requests.clear()
    assert mark_nodes(api, {}, {"w-0": marks()}) == []
    assert api.requests == ["GET"]
    api.conflicts = 99
    with pytest.raises(Conflict):
        mark_nodes(api, {}, {"w-0": marks("b:NoSchedule")})


def test_marks_of_a_node_that_is_not_there_are_as_they_are_known() -> None:
    api = Nodes(node(a="2"))
    known = {"w-0": marks(a="1"), "gone": marks(a="1")}
    assert look_at_marks(api, known) == {"w-0": marks(a="2"), "gone": marks(a="1")}
