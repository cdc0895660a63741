"""Labels, taints, machines and pod networks that Kubernetes refuses are refused, with what it takes instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from infra.image.recipe import GIB, current_recipe
from infra.plan.rules.machines import MOST_CONTAINER_VCPUS, NODE_IMAGE_GIB
from infra.resources.machine import MACHINE
from infra.spec import Finding
from tests.instances import checked_addresses, cluster, make_spec
from tests.plan.rules.node_cases import (
    ANYTHING,
    BAD_LABELS,
    BAD_TAINTS,
    FORBIDDEN_LABELS,
    GPU,
    OWN_SIZES,
    all_tainted,
    label,
    own_size,
    tainted,
    tolerant,
)
from tests.plan.rules.rule_cases import pods, pool, sized


def findings(instance: Mapping[str, Any]) -> tuple[Finding, ...]:
    parts = dict(instance)
    return checked_addresses(make_spec(*parts.pop("clusters", ()), **parts)).findings


def errors(instance: Mapping[str, Any]) -> list[Finding]:
    return [one for one in findings(instance) if one.severity == "error"]


@pytest.mark.parametrize(("key", "value"), BAD_LABELS)
def test_a_label_that_kubernetes_cannot_read_is_refused(key: str, value: str) -> None:
    (finding,) = errors(label(key, value))
    assert finding.rule == "node-label-invalid"
    assert "^" not in finding.message + finding.remedy
    advised = finding.remedy.removeprefix("write it as ")
    assert not errors(label(advised) if "key" in finding.message else label(key, advised))


@pytest.mark.parametrize("key", FORBIDDEN_LABELS)
def test_a_label_that_kubelet_may_not_set_is_refused_with_one_that_it_may(key: str) -> None:
    (finding,) = errors(label(key))
    assert finding.rule == "node-label-forbidden"
    advised = re.findall(r"[a-z.]+\.(?:com|io)/[a-z-]+", finding.remedy)
    assert len(advised) == 2
    for one in advised:
        assert not findings(label(one))


@pytest.mark.parametrize("text", BAD_TAINTS)
def test_a_taint_that_kubernetes_cannot_read_is_refused_with_one_that_it_can(text: str) -> None:
    (finding,) = errors(tainted(text))
    assert finding.rule == "node-taint-invalid"
    assert "^" not in finding.message + finding.remedy
    assert not findings(tainted(finding.remedy.removeprefix("write it as ")))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("gpu=yes:NoSchedul", "gpu=yes:NoSchedule"),
        ("gpu=yes:noexecute", "gpu=yes:NoExecute"),
        ("gpu:prefernoschedule", "gpu:PreferNoSchedule"),
        ("gpu = yes : NoSchedule", "gpu=yes:NoSchedule"),
        ("gpu=yes", "gpu=yes:NoSchedule"),
        ("spot", "spot:NoSchedule"),
    ],
)
def test_the_taint_that_is_meant_is_named(text: str, meant: str) -> None:
    (finding,) = errors(tainted(text))
    assert finding.remedy == f"write it as {meant}"


def test_pods_that_find_no_node_are_named_with_what_lets_them_run() -> None:
    (finding,) = findings(all_tainted("gpu=yes:NoSchedule"))
    assert "MetalLB's controller and the local-path provisioner" in finding.message
    assert "addOns.metallb.values.controller.tolerations" in finding.remedy
    (finding,) = findings(all_tainted("gpu=yes:NoSchedule", addOns={"metallb": {"enabled": False}}))
    assert "MetalLB" not in finding.message + finding.remedy
    (finding,) = findings(all_tainted("gpu=yes:NoExecute", addOns=tolerant(GPU, ANYTHING)))
    assert "MetalLB" in finding.message, "it tolerates another effect"
    assert "provisioner" not in finding.message


@pytest.mark.parametrize("cloud", ["emulator", "AzureCloud"])
def test_arc_agents_need_a_node_where_azures_are(cloud: str) -> None:
    arc = {"cloud": cloud} | (
        {} if cloud == "emulator" else {"subscriptionId": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}
    )
    instance = all_tainted("gpu:NoSchedule", addOns=tolerant(ANYTHING, ANYTHING)) | {"stack": {"arc": arc}}
    named = [one.message for one in findings(instance) if one.rule == "pods-without-node"]
    assert [("Arc agents" in one) for one in named] == ([] if cloud == "emulator" else [True])


@pytest.mark.parametrize(
    ("cidr", "workers"), [("172.30.0.0/25", 1), ("172.30.0.0/32", 64), ("172.30.0.0/26", 3), ("172.30.0.0/23", 9)]
)
def test_the_pod_network_that_is_advised_is_large_enough(cidr: str, workers: int) -> None:
    instance = {"clusters": [pods(cidr, workers=workers)]}
    remedies = [one.remedy for one in findings(instance) if one.rule.startswith("pod-cidr")]
    (length,) = {found for one in remedies for found in re.findall(r"/(\d+) or larger", one)}
    larger = {"clusters": [pods(f"172.16.0.0/{length}", workers=workers)]}
    assert not [one for one in findings(larger) if one.rule.startswith("pod-cidr")]


@pytest.mark.parametrize("service", ["172.20.0.0/29", "172.20.0.0/31", "32.0.0.0/11", "32.0.0.0/3"])
def test_a_service_network_that_kubeadm_refuses_is_refused(service: str) -> None:
    (finding,) = errors({"clusters": [pods("172.30.0.0/16", service=service)]})
    assert finding.rule == "service-cidr-refused"
    for length in re.findall(r"/(12|28)\b", finding.remedy.partition(", or use")[2]):
        assert not errors({"clusters": [pods("172.30.0.0/16", service=f"32.0.0.0/{length}")]})


@pytest.mark.parametrize("size", ["Tiny", "Thin"])
def test_a_control_plane_that_kubeadm_refuses_is_refused_with_a_size_that_it_takes(size: str) -> None:
    (finding,) = errors(own_size({"clusters": [sized(size)]}, size))
    assert finding.rule == "control-plane-too-small"
    advised = re.findall(r"use (\S+), or", finding.remedy)
    assert advised == ["Standard_A4_v2"]
    assert "machineType: container" in finding.remedy
    assert not errors(own_size({"clusters": [sized(size)], "stack": {"machineType": "container"}}, size))
    assert errors(own_size({"clusters": [sized(size)], "stack": {"machineType": "vm"}}, size))
    assert not errors(own_size({"clusters": [sized(advised[0])]}, size))
    assert not errors(own_size({"clusters": [sized("Least")]}, "Least"))


def test_azures_own_size_made_small_is_no_advice() -> None:
    sizes = {"Standard_A4_v2": OWN_SIZES["Tiny"]}
    found = {one.rule: one for one in findings({"clusters": [cluster()], "sizes": sizes})}
    assert "use Standard_A4_v2" not in found["control-plane-too-small"].remedy
    redefined = found["vm-size-redefined"]
    assert "Standard_A4_v2 has 1 processor and 4 GiB at this site" in redefined.message
    assert "Azure Local's Standard_A4_v2 has 4 processors and 8 GiB" in redefined.message
    assert "vm-size-not-azure" not in found


def test_a_disk_holds_the_node_image() -> None:
    assert NODE_IMAGE_GIB * GIB >= current_recipe("").disk_size == current_recipe("x").disk_size
    instance = {"stack": {"resourceBridge": {"vmSize": "Own"}}}
    for gib, count in ((NODE_IMAGE_GIB, 0), (NODE_IMAGE_GIB - 1, 1), (4, 1)):
        size = {"vcpus": 4, "memoryGiB": 8, "diskGiB": gib}
        assert len(errors(instance | {"sizes": {"Own": size}})) == count


def test_a_size_written_in_another_case_is_named() -> None:
    (finding,) = errors({"clusters": [sized("standard_a4_v2")]})
    assert finding.remedy.startswith("use Standard_A4_v2;")


def test_machines_without_kubernetes_are_as_small_as_people_want() -> None:
    tiny = cluster(
        controlPlane={"count": 1, "vmSize": "Thin"}, agentPools=[pool(vmSize="Thin")], provisioning="machines"
    )
    assert {one.rule for one in findings(own_size({"clusters": [tiny]}, "Thin"))} == {"vm-size-not-azure"}


def test_a_container_has_as_many_processors_as_the_plugin_takes() -> None:
    vcpus = MACHINE.properties["vcpus"]
    assert vcpus.check(MOST_CONTAINER_VCPUS)[1] == []
    assert vcpus.check(MOST_CONTAINER_VCPUS + 1)[1]
