"""The Pulumi program: configuration → spec → plan → topology → components. The only place with stack outputs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pulumi

from infra.components.instance import AzureLocalInstance, LoginKeys
from infra.components.node_image import NodeImageFiles
from infra.counting import counted
from infra.declarations import address_of
from infra.guest import API_PORT
from infra.image import build_command, find_node_image
from infra.kubernetes.kubeconfig import merge_kubeconfigs
from infra.login_keys import DEFAULT_KEYS, identity_files, login_keys
from infra.model.image import NodeImageKind
from infra.model.run import PoolSizes, RunSettings
from infra.model.versions import DEFAULT, built_version
from infra.plan.address_probes import address_probes
from infra.plan.addresses.numbers import range_text
from infra.plan.instance import Plan, plan_instance, record_instance
from infra.plan.locks import SiteLocks
from infra.plan.rules.versions import NOT_BUILT
from infra.plan.topology import Cluster, Topology, build_topology
from infra.spec import Finding, InstanceSpec, SpecError, load_instance, read_public_keys


def main(settings: RunSettings | None = None) -> None:
    """Declare the whole instance, or stop with every finding before the first resource.

    Args:
        settings: What this run has that the files don't say; None: nothing.
    """
    root = project_directory()
    try:
        spec = load_instance(pulumi.get_stack(), root).at(settings or RunSettings())
        keys = _login_keys(spec)
        plan = _plan(spec)
    except SpecError as error:
        raise pulumi.RunError(_report(error.findings)) from None
    if not plan.ok:
        raise pulumi.RunError(_report(plan.findings))
    topology = build_topology(spec, plan)
    azure_findings = _azure_findings(spec, topology)
    if any(finding.severity == "error" for finding in azure_findings):
        raise pulumi.RunError(_report([*plan.findings, *azure_findings]))
    for finding in [*plan.findings, *azure_findings]:
        say = pulumi.warn if finding.severity == "warning" else pulumi.info
        say(str(finding).removeprefix(f"{finding.severity}: "))
    _check_versions(plan)
    probes = address_probes(plan.addresses, topology) if spec.stack.probe_addresses else ()
    images = {name: _node_image(name) for name in spec.images}
    instance = AzureLocalInstance(topology, probes, images, keys, root)
    _export(topology, plan, instance)
    if sizes := _pool_sizes(spec):
        pulumi.export("agentPools", sizes)  # infra.stack.pool_sizes reads it


def project_directory() -> Path:
    """Return the folder of Pulumi.yaml; language hosts before 3.100 don't say it."""
    named: str | None = pulumi.runtime.get_root_directory()
    if named:
        return Path(named)
    here = Path.cwd()
    return next(folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").is_file())


def _plan(spec: InstanceSpec) -> Plan:
    """Plan addresses and hosts; only a real update records them, a preview leaves the lock files as they are."""
    frozen = os.environ.get("CI", "").lower() in {"1", "true"}
    if pulumi.runtime.is_dry_run():
        return plan_instance(spec, SiteLocks.of(spec).read())
    return record_instance(spec, frozen=frozen, is_carried_out=True)


def _azure_findings(spec: InstanceSpec, topology: Topology) -> list[Finding]:
    """Return what a real Azure lacks; where there is none to ask, its SDK isn't imported either."""
    if topology.arc is None or topology.arc.is_emulated:
        return []
    from infra.doctor.azure import azure_findings

    return azure_findings(spec, topology, may_register=not pulumi.runtime.is_dry_run())


def _login_keys(spec: InstanceSpec) -> LoginKeys:
    """Return the keys that may log in to every machine.

    Raises:
        SpecError: none is named and the user has none.
    """
    named = login_keys(spec)
    if not named:
        raise SpecError(
            [
                Finding(
                    "no-ssh-key",
                    "error",
                    f"Pulumi.{spec.name}.yaml: config.azlocal:sshPublicKeys",
                    f"no SSH public key: the stack names none, and there is none of {', '.join(DEFAULT_KEYS)}",
                    "make one with `ssh-keygen -t ed25519`, or name a key; `make up` does that by itself",
                )
            ]
        )
    return LoginKeys(read_public_keys(named, spec.directory), identity_files(spec))


def _node_image(name: str) -> NodeImageFiles:
    """Return a node image, named as in the stack; a preview goes on without, since it needs neither."""
    kind: NodeImageKind = "plain" if name == "plain" else "kubernetes"
    version = DEFAULT if kind == "plain" else built_version(name)
    image = find_node_image(kind, version)
    if image is not None:
        return NodeImageFiles.of(image)
    missing = "the node image isn't built yet on this machine"
    build = build_command(kind, version)
    if not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(f"{missing}; run `{build}` (a few minutes, once; `make up` does it by itself)")
    pulumi.info(f"{missing}; `make up` or `{build}` does that before anything is made")
    return NodeImageFiles.unknown()


def _check_versions(plan: Plan) -> None:
    """Stop where a cluster asks for a Kubernetes that azlocal doesn't build: the plan only warns of it."""
    findings = [replace(finding, severity="error") for finding in plan.findings if finding.rule == NOT_BUILT]
    if findings:
        raise pulumi.RunError(_report(findings))


def _report(findings: Iterable[Finding]) -> str:
    listed = list(findings)
    errors = sum(finding.severity == "error" for finding in listed)
    return "\n".join(
        [
            f"the plan has {counted(errors, 'error')}; no host was touched",
            *(str(finding) for finding in listed),
        ]
    )


def _export(topology: Topology, plan: Plan, instance: AzureLocalInstance) -> None:
    pulumi.export("instance", topology.instance)
    pulumi.export(
        "hosts",
        {
            name: {"machineType": host.host.machine_type, "reason": host.host.machine_type_reason}
            for name, host in instance.hosts.items()
        },
    )
    pulumi.export(
        "machines",
        {
            machine.name: {
                "address": address_of(machine),
                "host": machine.host,
                "jump": machine.jump,
                "sshHostKey": instance.machines[machine.name].ssh_host_key,
            }
            for machine in topology.machines
        },
    )
    built = [cluster for cluster in topology.clusters if cluster.provisioning == "kubernetes"]
    pulumi.export("clusters", {cluster.name: _cluster(cluster) for cluster in built})
    connected = {
        name: cluster.arc.connected_cluster
        for name, cluster in instance.clusters.items()
        if cluster.arc is not None
    }
    issuers = {cluster.name for cluster in topology.clusters if cluster.arc is not None and cluster.arc.is_issuer}
    if connected and topology.arc is not None:
        pulumi.export("azure", {"cloud": topology.arc.spec.cloud, "isEmulated": topology.arc.is_emulated})
        pulumi.export(
            "connectedClusters",
            {
                name: {
                    "id": connection.id,
                    "connectivityStatus": connection.connectivity_status,
                    "agentVersion": connection.agent_version,
                    **({"issuerUrl": connection.issuer_url} if name in issuers else {}),
                }
                for name, connection in connected.items()
            },
        )
    kubeconfigs = [cluster.kubeconfig for cluster in instance.clusters.values() if cluster.kubeconfig is not None]
    if kubeconfigs:
        pulumi.export("kubeconfig", pulumi.Output.secret(pulumi.Output.all(*kubeconfigs).apply(merge_kubeconfigs)))
    pulumi.export("plan", plan.to_json())


def _pool_sizes(spec: InstanceSpec) -> PoolSizes:
    """Return the sizes of pools with autoscaling in this run, which the next one keeps."""
    sizes = {
        cluster.name: {pool.name: pool.count for pool in cluster.agent_pools if pool.enable_auto_scaling}
        for cluster in spec.stack.clusters
    }
    return {cluster: pools for cluster, pools in sizes.items() if pools}


def _cluster(cluster: Cluster) -> dict[str, object]:
    return {
        "context": f"{pulumi.get_stack()}-{cluster.name}",
        "endpoint": f"https://{cluster.endpoint}:{API_PORT}",
        "kubernetesVersion": cluster.kubernetes_version,
        "loadBalancer": [range_text(span) for span in cluster.load_balancer_ranges],
    }
