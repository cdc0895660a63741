"""What `azlocal export` writes is imported as what it was: clusters, pools, networks, services, hosts."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.export.export import export
from infra.export.facts import ExportFacts, Format
from infra.plan.addresses.numbers import as_ranges
from infra.spec import InstanceSpec, load_instance
from infra.spec.stack import AgentPool, ClusterSpec
from tests.azure_import.importing import Imported, errors, imported
from tests.export.exporting import facts_of
from tests.golden.instances import instance
from tests.instances import spec_of
from tests.project import ROOT

OF_CLUSTERS = (Format.BICEP, Format.TERRAFORM)
"""Formats that have clusters, and that are read again; a script for az isn't."""

SIZES = {"Small": "Standard_A4_v2", "Lab_Small": "Standard_A4_v2", "Lab_Medium": "Standard_A4_v2"}


@cache
def generated(seed: int) -> InstanceSpec:
    made = instance(seed)
    return spec_of(made.content, made.name)


def exported(spec: InstanceSpec, to: Format) -> tuple[ExportFacts, dict[str, str]]:
    """Return what an instance is exported from and to; no files where the export refuses it."""
    sizes = {name: azure for name, azure in SIZES.items() if name in spec.vm_sizes()}
    facts = facts_of(spec, to, vmSizes=sizes)
    return facts, {name: text for name, text in export(facts)[0].files.items() if not name.endswith(".pub")}


def pool_of(pool: AgentPool, facts: ExportFacts) -> dict[str, Any]:
    """Return what has to come back of a pool; Terraform's module knows no scaling."""
    scales = pool.enable_auto_scaling and facts.format is not Format.TERRAFORM
    return {
        "name": pool.name,
        "count": pool.count,
        "vmSize": facts.size_of(pool.vm_size),
        "maxPods": pool.max_pods,
        "nodeLabels": dict(pool.node_labels),
        "nodeTaints": list(pool.node_taints),
        "bounds": (pool.min_count, pool.max_count) if scales else None,
    }


def back(pool: AgentPool) -> dict[str, Any]:
    return {
        "name": pool.name,
        "count": pool.count,
        "vmSize": pool.vm_size,
        "maxPods": pool.max_pods,
        "nodeLabels": dict(pool.node_labels),
        "nodeTaints": list(pool.node_taints),
        "bounds": (pool.min_count, pool.max_count) if pool.enable_auto_scaling else None,
    }


def services_of(facts: ExportFacts, cluster: ClusterSpec) -> list[Any]:
    brings = any(extension.is_load_balancer for extension in cluster.arc.all_extensions())
    return facts.services_of(cluster) if brings or cluster.add_ons.metallb.enabled else []


def check(facts: ExportFacts, made: Imported) -> None:
    """See that an import has what was exported."""
    assert errors(made.findings) == []
    assert made.plan.ok
    then, now = facts.spec.stack.clusters, made.spec.stack.clusters
    assert [facts.names[cluster.name] for cluster in then] == [
        cluster.arc.name or f"{made.stack}-{cluster.name}" for cluster in now
    ]
    for index, (was, cluster) in enumerate(zip(then, now, strict=True)):
        assert cluster.kubernetes_version == facts.version_of(index)[0]
        assert cluster.logical_network == was.logical_network
        assert cluster.control_plane.count == was.control_plane.count
        assert cluster.control_plane.vm_size == facts.size_of(was.control_plane.vm_size)
        assert cluster.control_plane.host_ip == was.control_plane.host_ip
        assert [back(pool) for pool in cluster.agent_pools] == [pool_of(pool, facts) for pool in was.agent_pools]
        assert cluster.network_profile.pod_cidr.network == was.network_profile.pod_cidr.network
        assert cluster.is_issuer == was.is_issuer
        assert cluster.has_workload_identity == was.has_workload_identity
        addresses = (
            number for span in cluster.load_balancer.ranges for number in range(span.first, span.last + 1)
        )
        assert as_ranges(addresses) == services_of(facts, was)
        if was.arc.enabled:
            assert cluster.arc.flux_configurations == was.arc.flux_configurations
            kept = {one.name: one for one in was.arc.all_extensions() if not one.is_load_balancer}
            assert {one.name: one for one in cluster.arc.extensions} == kept
    names = {network.name for _, network in facts.networks}
    networks = {network.name: network for network in facts.spec.netplan.logical_networks if network.name in names}
    assert {network.name for network in made.spec.netplan.logical_networks} == set(networks)
    for network in made.spec.netplan.logical_networks:
        was_network = networks[network.name]
        for key in ("address_prefix", "gateway", "dns_servers", "vlan", "ip_allocation_method"):
            assert getattr(network, key) == getattr(was_network, key)
        pools = [(pool.start, pool.end) for pool in was_network.ip_pools]
        assert [(pool.start, pool.end) for pool in network.ip_pools] == (
            pools[:1] if facts.format is Format.TERRAFORM else pools
        )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(OF_CLUSTERS))
def test_a_generated_instance_comes_back(seed: int, to: Format) -> None:
    facts, files = exported(generated(seed), to)
    if files and facts.clusters:
        check(facts, imported(files, stack=facts.spec.name))


@pytest.mark.parametrize("stack", ["lab", "local"])
@pytest.mark.parametrize("to", OF_CLUSTERS)
def test_an_example_comes_back(stack: str, to: Format) -> None:
    facts, files = exported(load_instance(stack, ROOT), to)
    assert files
    check(facts, imported(files, stack=stack))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([Format.ARM, Format.ODIN]))
def test_hosts_and_infrastructure_come_back(seed: int, to: Format) -> None:
    facts, files = exported(generated(seed), to)
    if not files:
        return
    made = imported(files)
    assert errors(made.findings) == []
    hosts = facts.spec.hosts.hosts
    assert [(host.name, host.management_address) for host in made.spec.hosts.hosts] == [
        (host.name, host.management_address) for host in hosts
    ]
    then, now = facts.spec.netplan.infrastructure, made.spec.netplan.infrastructure
    assert now.address_prefix == then.address_prefix
    assert (now.gateway, now.dns_servers, now.pool) == (then.gateway, then.dns_servers, then.pool)
    if to is Format.ODIN:
        assert now.vlan == then.vlan
        assert made.spec.stack.deployment_class == facts.spec.stack.deployment_class


def test_all_that_one_folder_has_is_imported_together() -> None:
    spec = load_instance("lab", ROOT)
    files: dict[str, str] = {}
    for to in (Format.TERRAFORM, Format.ARM, Format.ODIN):
        files |= exported(spec, to)[1]
    made = imported(files, stack="lab")
    assert errors(made.findings) == []
    assert [host.name for host in made.spec.hosts.hosts] == ["node1", "node2", "node3", "node4"]
    assert [cluster.name for cluster in made.spec.stack.clusters] == ["a", "b"]
    assert made.said("import-guessed")[0].path == "hosts/lab.yaml: hosts"
