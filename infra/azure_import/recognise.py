"""What a file is, by its content: az's JSON, ARM parameters, ODIN's design, Terraform's JSON, Bicep's values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from infra.azure_import.bicep_reader import BicepError, BicepFile, is_bicep, read_bicep
from infra.azure_import.parameters import (
    AKSARC_TEMPLATES,
    CLUSTER_MODULE,
    NETWORK_MODULE,
    Places,
    names,
    resources_of,
)
from infra.azure_import.report import NOT_MISSED, Report
from infra.azure_import.resources import Kind, Resource, arm_resource, arm_type
from infra.azure_import.terraform import is_terraform, terraform_resources
from infra.azure_import.things import Thing, nested, read_json
from infra.export.bicep_text import Expression
from infra.export.module_names import BICEP_CLUSTER, BICEP_NETWORK
from infra.spec.findings import KeyPath, shown

_KNOWN: Final = (
    "import what az prints with -o json (stack-hci-vm network lnet list, aksarc show, aksarc nodepool list, "
    "connectedk8s show, k8s-extension list, k8s-configuration flux list, k8s-runtime load-balancer list), ARM "
    "parameters, ODIN's design, .bicepparam or .tf.json"
)


def looks_known(text: str) -> bool:
    """Tell whether a text begins as something that can be read; what else a folder has is left alone."""
    return text.lstrip().startswith(("{", "[")) or is_bicep(text)


class UnreadError(Exception):
    """A file isn't anything that is imported; the report says why."""


def recognise(text: str, file: str, report: Report) -> list[Resource]:
    """Return the resources that a file speaks of.

    Args:
        text: Its content.
        file: How messages call it.
        report: What is told of what isn't read.

    Raises:
        UnreadError: It can't be read.
    """
    if is_bicep(text):
        return _of_bicep(text, file, report)
    if not looks_known(text):
        what = "this is neither JSON nor Bicep's parameters" if text.strip() else "the file is empty"
        report.say("import-unknown-file", file, what, _KNOWN)
        raise UnreadError(file)
    try:
        thing = read_json(text, file)
    except json.JSONDecodeError as error:
        remedy = "have az print it again: `az … -o json > file`, without what it prints as warnings"
        report.say("import-broken-file", f"{file}:{error.lineno}", f"this isn't JSON: {error.msg}", remedy)
        raise UnreadError(file) from None
    except RecursionError:
        report.say("import-broken-file", file, "it is nested too deep", "see that it is the right file")
        raise UnreadError(file) from None
    resources = _of_json(thing, report)
    if resources is None:
        report.say("import-unknown-file", thing, _what(thing), _KNOWN)
        raise UnreadError(file)
    return resources


def _what(thing: Thing) -> str:
    if "deploymentTemplate.json" in (thing.text("$schema") or ""):
        return "this is an ARM template, whose values are in its parameters"
    kind = arm_type(thing)
    return f"nothing is imported of {kind}" if kind is not None else "nobody knows this JSON"


def _of_json(thing: Thing, report: Report) -> list[Resource] | None:
    """Return what JSON speaks of; None where nobody knows it."""
    if isinstance(thing.value, list):
        return _of_list(thing, thing.items(), report)
    if thing.get("parameters") is not None and "deploymentTemplate.json" not in (thing.text("$schema") or ""):
        return _of_arm_parameters(thing, report)
    state = thing.get("state")
    if state is not None and any(state.get(key) is not None for key in ("nodeSettings", "infra", "scenario")):
        return [Resource(Kind.DEPLOYMENT, "", state)]
    if is_terraform(thing):
        return terraform_resources(thing, report)
    listed = thing.get("value")
    if listed is not None and isinstance(listed.value, list):
        if thing.get("nextLink") is not None:
            message = "this is the first page of a longer list"
            report.say("import-incomplete", thing, message, "have az print all of it, which follows nextLink")
        return _of_list(listed, listed.items(), report)
    if (thing.text("kind") or "") in ("List", "NodeList") and thing.text("apiVersion") == "v1":
        return list(_nodes(thing))
    resource = arm_resource(thing)
    return [resource] if resource is not None else None


def _of_list(place: Thing, listed: list[Thing], report: Report) -> list[Resource] | None:
    """Return what a list has that is imported; None where it has things and none of them is."""
    resources = [resource for item in listed if (resource := arm_resource(item)) is not None]
    others = [item for item in listed if arm_resource(item) is None]
    if others and not resources:
        return None
    if others:
        kinds = sorted({arm_type(item) or "something without a type" for item in others})
        report.say("import-left-out", place, f"nothing is imported of {', '.join(kinds)}", NOT_MISSED)
    return resources


def _nodes(thing: Thing) -> Iterator[Resource]:
    """Yield the nodes that `kubectl get nodes -o json` prints."""
    for item in thing.items("items"):
        name = item.text("metadata", "name")
        if item.text("kind") == "Node" and name is not None:
            yield Resource(Kind.NODE, name, item)


def _of_arm_parameters(thing: Thing, report: Report) -> list[Resource] | None:
    values: dict[KeyPath, Thing] = {
        (name,): value
        for name, parameter in thing.entries("parameters")
        if (value := parameter.get("value")) is not None
    }
    if not values:
        return None
    parameters = nested(values, thing)
    if parameters.get("physicalNodesSettings") is not None or parameters.get("startingIPAddress") is not None:
        return [Resource(Kind.DEPLOYMENT, parameters.text("clusterName") or "", parameters)]
    if _is_of_aksarc(parameters):
        return _of_parameters(parameters, AKSARC_TEMPLATES, report)
    return None


def _is_of_aksarc(parameters: Thing) -> bool:
    own = parameters.get("connectedClusterName") is not None
    pool = any(parameters.get(name) is not None for name in ("agentName", "nodePoolName", "kubernetesVersion"))
    return (own and pool) or (
        parameters.get("parentResourceId") is not None and parameters.get("addresses") is not None
    )


def _of_parameters(parameters: Thing, places: Places, report: Report) -> list[Resource]:
    resources, others = resources_of(parameters, places)
    if others:
        what = f"{names(others)} of the parameters has no place in the project's files"
        report.say("import-left-out", others[0][1], what, NOT_MISSED)
    by_kind = {resource.kind: resource for resource in resources}
    cluster = by_kind.get(Kind.CLUSTER)
    if cluster is None or {key for key, _ in cluster.thing.entries("properties")} != {"agentPoolProfiles"}:
        return resources
    return _pools_of(cluster)  # a pool's template says nothing of its cluster but the name


def _pools_of(resource: Resource) -> list[Resource]:
    pools = resource.thing.items("properties", "agentPoolProfiles")
    return [Resource(Kind.POOL, pool.text("name") or "", pool, resource.cluster) for pool in pools]


def _of_bicep(text: str, file: str, report: Report) -> list[Resource]:
    try:
        bicep = read_bicep(text, file)
    except BicepError as error:
        report.say("import-broken-file", f"{file}:{error.line}", error.message, error.remedy)
        raise UnreadError(file) from None
    if bicep.using is not None:
        parameters = nested({(name,): value for name, value in bicep.parameters.items()}, Thing(None, file))
        if (computed := next(_computed(parameters), None)) is not None:
            message = f"{shown(str(computed.value))} is computed"
            report.say("import-broken-file", computed, message, "write its value there")
            raise UnreadError(file)
        for module, places in ((BICEP_NETWORK, NETWORK_MODULE), (BICEP_CLUSTER, CLUSTER_MODULE)):
            if f"{module}:" in bicep.using:
                return _of_parameters(parameters, places, report)
        if _is_of_aksarc(parameters):
            return _of_parameters(parameters, AKSARC_TEMPLATES, report)
    elif resources := _of_template(bicep):
        return resources
    what = f"nobody knows the parameters of {bicep.using}" if bicep.using else "no resource here is imported"
    report.say("import-unknown-file", file, what, _KNOWN)
    raise UnreadError(file)


def _computed(thing: Thing) -> Iterator[Thing]:
    """Yield what a parameter file leaves to Bicep."""
    if isinstance(thing.value, Expression):
        yield thing
    elif isinstance(thing.value, dict | list):
        for inner in thing.value.values() if isinstance(thing.value, dict) else thing.value:
            yield from _computed(inner)


def _of_template(bicep: BicepFile) -> list[Resource]:
    """Return what stands on a cluster by a template; the cluster is the one that its resources name as scope."""
    resources: list[Resource] = []
    for kind, body in bicep.resources.values():
        scope = body.get("scope")
        parent = bicep.resources.get(str(scope.value)) if scope is not None else None
        name = parent[1].text("name") if parent is not None else None
        typed = nested({("type",): Thing(kind, body.file, body.line), **_parts(body)}, body)
        resource = arm_resource(typed)
        if resource is not None and name is not None:
            resources.append(Resource(resource.kind, resource.name, body, name))
    return resources


def _parts(body: Thing) -> dict[KeyPath, Thing]:
    return {(key,): inner for key, inner in body.entries()}
