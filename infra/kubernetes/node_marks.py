"""Labels and taints that azlocal writes on Node objects: what is to change of them, and that change.

A node registers with them from its seed. Later ones are patched key by key, not applied on the server side: what
a kubelet registered is the kubelet's, and no field manager beside it can take that away. The administrator may
set what kubelets may not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from infra.kubernetes.api import ClusterApi, Object
from infra.model.node import NodeMarks, taint_object
from infra.node_labels import SET_BY_KUBELET

_NODES: Final = "/api/v1/nodes"

Marks = Mapping[str, NodeMarks]
"""Those of each node, by its name."""


def patch_of(node: Mapping[str, Any], before: NodeMarks, wanted: NodeMarks) -> Object | None:
    """Return the merge patch that brings a node to the wanted marks; None where nothing differs. Pure.

    What azlocal didn't write before is left alone, unless it has the key of a wanted label, or key and effect of
    a wanted taint. A label that kubelet gives by itself isn't taken away: it gives it again only when it starts.

    Args:
        node: The Node object.
        before: What azlocal wrote there.
        wanted: What is to be there.
    """
    stands = node["metadata"].get("labels") or {}
    gone = before.labels.keys() & stands.keys() - wanted.labels.keys() - SET_BY_KUBELET
    labels = dict.fromkeys(sorted(gone)) | {
        key: value for key, value in sorted(wanted.labels.items()) if stands.get(key) != value
    }
    old = (node.get("spec") or {}).get("taints") or []
    taints = _taints(old, before, wanted)
    metadata: Object = {"labels": labels} if labels else {}
    if taints == old:
        return {"metadata": metadata} if labels else None
    # A list is replaced as a whole, and controllers write into it as nodes come and go.
    metadata["resourceVersion"] = node["metadata"]["resourceVersion"]
    return {"metadata": metadata, "spec": {"taints": taints or None}}


def _taints(old: Iterable[Object], before: NodeMarks, wanted: NodeMarks) -> list[Object]:
    missing = {_identity(taint): taint for taint in map(taint_object, wanted.taints)}
    gone = {_identity(taint_object(text)) for text in before.taints} - missing.keys()
    staying = []
    for taint in old:
        identity = _identity(taint)
        if identity in missing:
            new = missing.pop(identity)
            staying.append(taint if taint.get("value", "") == new.get("value", "") else new)
        elif identity not in gone:
            staying.append(taint)
    return [*staying, *missing.values()]


def seen_marks(node: Mapping[str, Any], known: NodeMarks) -> NodeMarks:
    """Return what stands of known marks, with the values that they have there. Pure."""
    labels = node["metadata"].get("labels") or {}
    standing = {_identity(taint): taint for taint in (node.get("spec") or {}).get("taints") or []}
    taints = []
    for text in known.taints:
        taint = standing.get(_identity(taint_object(text)))
        if taint is not None:
            is_same = taint.get("value", "") == taint_object(text).get("value", "")
            taints.append(text if is_same else _text(taint))
    return NodeMarks(labels={key: labels[key] for key in known.labels if key in labels}, taints=tuple(taints))


def both(first: NodeMarks, second: NodeMarks) -> NodeMarks:
    """Return all that either has."""
    return NodeMarks(
        labels={**first.labels, **second.labels}, taints=tuple(dict.fromkeys((*first.taints, *second.taints)))
    )


def mark_nodes(api: ClusterApi, before: Marks, wanted: Marks) -> list[str]:
    """Bring the nodes that there are to the wanted marks; return the names of those that were changed.

    Args:
        api: The cluster.
        before: What azlocal wrote on them.
        wanted: What is to be there; nodes that aren't named are left alone.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    changed = []
    for node in api.items(_NODES):
        name = node["metadata"]["name"]
        if name not in wanted:
            continue
        patch = partial(patch_of, before=before.get(name) or NodeMarks(), wanted=wanted[name])
        if api.change(f"{_NODES}/{name}", patch, node):
            changed.append(name)
    return changed


def look_at_marks(api: ClusterApi, known: Marks) -> dict[str, NodeMarks]:
    """Return what stands of known marks; those of a node that isn't there are as they are known.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    nodes = {node["metadata"]["name"]: node for node in api.items(_NODES)}
    return {name: seen_marks(nodes[name], marks) if name in nodes else marks for name, marks in known.items()}


def _identity(taint: Mapping[str, Any]) -> tuple[str, str]:
    return taint["key"], taint["effect"]


def _text(taint: Mapping[str, Any]) -> str:
    value = taint.get("value", "")
    return f"{taint['key']}={value}:{taint['effect']}" if value else f"{taint['key']}:{taint['effect']}"
