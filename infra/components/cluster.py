"""An AKS cluster: its identity, its machines, its control plane, its add-ons; ready when all of it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra.components.arc import ArcOnboarding, KubernetesCluster
from infra.components.node import Site, declare_machines
from infra.components.snapshot_schedule import declare_schedules
from infra.declarations import address_of, etcd_keys, identity_inputs, kubernetes_nodes, node_marks, spare_inputs
from infra.model.add_ons import add_on_namespaces
from infra.plan.topology import Cluster as ClusterTopology
from infra.plan.topology import Machine as MachineTopology
from infra.resources.arguments import MemberArgs
from infra.resources.declared import (
    Cluster as ClusterResource,
)
from infra.resources.declared import (
    ClusterIdentity,
    ControlPlane,
    Machine,
    NodePlacement,
)


class Cluster(pulumi.ComponentResource):
    """One cluster on its logical network."""

    machines: Mapping[str, Machine]
    kubeconfig: pulumi.Output[str] | None = None
    arc: ArcOnboarding | None = None

    def __init__(
        self,
        cluster: ClusterTopology,
        machines: Iterable[MachineTopology],
        site: Site,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Declare the machines, and, unless only those are wanted, the cluster on them."""
        self._name = f"{site.instance}-{cluster.name}"
        super().__init__("azlocal:infra:Cluster", self._name, None, opts)
        planned = list(machines)
        if cluster.provisioning == "machines":
            self.machines = declare_machines(planned, site, self)
        else:
            self._declare_cluster(cluster, planned, site)
        self.register_outputs({})

    def _declare_cluster(self, cluster: ClusterTopology, planned: list[MachineTopology], site: Site) -> None:
        bundle = site.images[cluster.kubernetes_version].bundle
        identity = ClusterIdentity(
            f"{self._name}-identity", identity_inputs(cluster, site.instance), pulumi.ResourceOptions(parent=self)
        )
        nodes = kubernetes_nodes(cluster, planned, site.instance, identity, bundle.tag)
        namespaces = list(add_on_namespaces(cluster.add_on_values))
        placement = NodePlacement(
            f"{self._name}-nodes",
            {
                "instance": site.instance,
                "cluster": cluster.name,
                "kubeconfig": identity.kubeconfig,
                "hosts": {
                    machine.name: site.hosts[machine.host].connection
                    for machine in planned
                    if machine.role == "worker"
                },
                "lost": [host.connection for host in site.lost_hosts],
                "live": list(site.live_hosts),
                "control_planes": {
                    machine.name: address_of(machine) for machine in planned if machine.role == "controlPlane"
                },
                "etcd_keys": identity.keys.apply(etcd_keys),
                "token": identity.token,
                "identity_files": list(site.identity_files),
                "namespaces": namespaces,
                "version": cluster.kubernetes_version,
                "final_version": cluster.final_version,
                "rolls_images": cluster.rolls_images,
                "surging": {m.name: m.pool for m in planned if m.pool in cluster.surging_pools},
                "deletes_volumes": cluster.deletes_volumes,
                "archives": bundle.archives,
                "spare": spare_inputs(cluster),
            },
            # All hosts have the image before the first node is drained.
            pulumi.ResourceOptions(
                parent=self, depends_on=[site.hosts[m.host].images[m.image] for m in planned if m.image]
            ),
        )
        self.machines = declare_machines(planned, site, self, nodes, placement)
        members: list[MemberArgs] = [
            {
                "name": machine.name,
                "role": machine.node_role,
                "address": address_of(machine),
                "sshHostKey": self.machines[machine.name].ssh_host_key,
                "started": self.machines[machine.name].started,
            }
            for machine in planned
        ]
        limit = f"{cluster.timeout_minutes}m"
        timeouts = pulumi.CustomTimeouts(create=limit, update=limit)
        control_plane = ControlPlane(
            f"{self._name}-control-plane",
            {
                "instance": site.instance,
                "cluster": cluster.name,
                "kubeconfig": identity.kubeconfig,
                "token": identity.token,
                "identity_files": list(site.identity_files),
                "members": members,
                "images": bundle.references,
                "archives": bundle.archives,
            },
            pulumi.ResourceOptions(parent=self, custom_timeouts=timeouts),
        )
        self.kubeconfig = control_plane.kubeconfig
        if cluster.snapshots is not None:
            declare_schedules(
                cluster,
                cluster.snapshots,
                planned,
                site,
                identity,
                self._name,
                pulumi.ResourceOptions(parent=self, depends_on=[control_plane]),
            )
        provider = kubernetes.Provider(
            f"{self._name}-kubernetes",
            kubeconfig=control_plane.kubeconfig,
            # A cluster re-created behind the same address has none of what state says of the old one.
            cluster_identifier=control_plane.cluster_uid,
            enable_server_side_apply=True,
            opts=pulumi.ResourceOptions(parent=self),
        )

        def child(parent: pulumi.Resource) -> pulumi.ResourceOptions:
            # What is in a cluster goes with it: nothing is asked of an API server that is being taken down.
            return pulumi.ResourceOptions(parent=parent, provider=provider, deleted_with=control_plane)

        inside = pulumi.ResourceOptions(parent=self)
        # 0.7 s of every run, for the generated classes of Kubernetes' API: only who has a cluster pays them.
        from infra.components.add_ons import AddOns, LoadBalancerPool

        add_ons = AddOns(self._name, cluster, bundle, child, inside)
        cluster_resource = ClusterResource(
            f"{self._name}-cluster",
            {
                "instance": site.instance,
                "cluster": cluster.name,
                "kubeconfig": control_plane.kubeconfig,
                "token": identity.token,
                "identity_files": list(site.identity_files),
                "members": members,
                "nodes": node_marks(planned),
                "namespaces": namespaces,
                "generated_secrets": list(add_ons.generated_secrets),
                "add_ons": {name: release.status.apply(_revision) for name, release in add_ons.releases.items()},
            },
            pulumi.ResourceOptions(parent=self, depends_on=[add_ons], custom_timeouts=timeouts),
        )
        if cluster.load_balancer_ranges and "metallb" in add_ons.releases:
            LoadBalancerPool(
                self._name, cluster, child, pulumi.ResourceOptions(parent=self, depends_on=[cluster_resource])
            )
        if cluster.arc is not None and site.azure is not None:
            self.arc = ArcOnboarding(
                self._name,
                cluster.arc,
                site.azure,
                KubernetesCluster(
                    control_plane,
                    identity.ca_hash,
                    bundle.image("agent-runtime"),
                    {
                        "instance": site.instance,
                        "cluster": cluster.name,
                        "kubeconfig": control_plane.kubeconfig,
                        "identity_files": list(site.identity_files),
                        "members": [member for member in members if member["role"] == "controlPlane"],
                        "signing_key": identity.keys.apply(lambda keys: keys.get("sa.pub", "")),
                    },
                ),
                pulumi.ResourceOptions(parent=self, depends_on=[cluster_resource]),
            )


def _revision(status: kubernetes.helm.v3.outputs.ReleaseStatus) -> Any:
    """Return a release's revision; a run that leaves the release out (`--exclude`) has no status of it."""
    return status.revision if status else None
