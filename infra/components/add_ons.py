"""What runs on every cluster: Calico, MetalLB unless it's off, a provisioner of node disks; a Helm release each.

Upstream's charts, unmodified, from the bundle. The releases aren't waited for one by one: the Cluster resource
waits for all of them at once, and says why where one doesn't come up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import (
    Namespace,
    TopologySelectorLabelRequirementArgs,
    TopologySelectorTermArgs,
)
from pulumi_kubernetes.helm.v3 import Release
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.storage.v1 import StorageClass

from infra.components.node_image import BundleFiles
from infra.components.storage import PROVISIONER, node_path_map, storage_classes
from infra.kubernetes.values import merged
from infra.model.add_ons import METALLB, RETAIN_CLASS, STORAGE, SYSTEM
from infra.node_labels import POOL_LABEL
from infra.plan.addresses.numbers import range_text
from infra.plan.topology import Cluster
from infra.resources.arguments import GeneratedSecretArgs

RELEASES = {"calico": SYSTEM, "metallb": METALLB, "local-path-provisioner": STORAGE}
"""Helm releases by name, each with its namespace."""

METALLB_SECRET: GeneratedSecretArgs = {"namespace": METALLB, "name": "metallb-memberlist", "key": "secretkey"}
"""What speakers can't start without. MetalLB's controller makes it later, and keeps one that is there."""

_NO_CLASS = {"storageClass": {"create": False}}
"""The chart's own class says that its volumes can be expanded, which nothing does: such a claim would hang."""

OptionsFor = Callable[..., pulumi.ResourceOptions]


class AddOns(pulumi.ComponentResource):
    """The add-ons of one cluster, up to where the cluster can be waited for.

    Attributes:
        releases: By add-on.
        generated_secrets: What workloads can't start without, and nobody brings.
    """

    releases: Mapping[str, Release]
    generated_secrets: tuple[GeneratedSecretArgs, ...]

    def __init__(
        self, name: str, cluster: Cluster, bundle: BundleFiles, child: OptionsFor, opts: pulumi.ResourceOptions
    ) -> None:
        """Declare the releases.

        Args:
            name: What the names of all resources start with.
            cluster: What was decided for the cluster.
            bundle: Where the charts are, and which images they name.
            child: Returns the options of a Kubernetes resource under a parent.
            opts: Of this component.
        """
        super().__init__("azlocal:infra:AddOns", f"{name}-add-ons", None, opts)
        options = child(self)
        overrides = cluster.add_on_values
        calico = Release(
            f"{name}-calico",
            options,
            name="calico",
            namespace=SYSTEM,
            chart=bundle.chart("calico"),
            values=merged(calico_values(), overrides.get("calico", {})),
            # Its resource definitions come with the templates, and so change with them; `crds/` is their source.
            skip_crds=True,
            skip_await=True,
        )
        CustomResource(
            f"{name}-pod-network",
            opts=pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[calico])),
            api_version="crd.projectcalico.org/v1",
            kind="IPPool",
            metadata=ObjectMetaArgs(name="default-ipv4-ippool"),
            spec={
                "cidr": str(cluster.pod_cidr),
                "vxlanMode": "Always",
                "ipipMode": "Never",
                "natOutgoing": True,
                "nodeSelector": "all()",
            },
        )
        metallb = (
            {"metallb": _metallb(name, overrides["metallb"], bundle, options)} if "metallb" in overrides else {}
        )
        own_values = overrides.get("local-path-provisioner", {})
        paths = {"nodePathMap": node_path_map(cluster.storage_classes, cluster.spare.name)}
        storage = Release(
            f"{name}-local-path-provisioner",
            options,
            name="local-path-provisioner",
            namespace=STORAGE,
            create_namespace=True,
            chart=bundle.chart("local-path-provisioner"),
            values=pulumi.Output.from_input(bundle.image("busybox")).apply(
                lambda image: merged(merged({**storage_values(image), **paths}, own_values), _NO_CLASS)
            ),
            skip_await=True,
        )
        # In a cluster of before, the release takes its own class `default` away first.
        after = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[storage]))
        for wanted in storage_classes(cluster.storage_classes, own_values):
            StorageClass(
                f"{name}-{wanted.name}",
                options if wanted.name == RETAIN_CLASS else after,
                metadata=ObjectMetaArgs(name=wanted.name, annotations=wanted.annotations or None),
                provisioner=PROVISIONER,
                reclaim_policy=wanted.reclaim_policy,
                volume_binding_mode=wanted.volume_binding_mode,
                parameters=wanted.parameters,
                allowed_topologies=[
                    TopologySelectorTermArgs(
                        match_label_expressions=[
                            TopologySelectorLabelRequirementArgs(key=POOL_LABEL, values=[*wanted.pools])
                        ]
                    )
                ]
                if wanted.pools
                else None,
            )
        self.releases = {"calico": calico, **metallb, "local-path-provisioner": storage}
        self.generated_secrets = (METALLB_SECRET,) if metallb else ()
        self.register_outputs({})


def _metallb(
    name: str, values: Mapping[str, Any], bundle: BundleFiles, options: pulumi.ResourceOptions
) -> Release:
    # Its speakers use the host's network, which only a namespace that says so may.
    privileged = {"pod-security.kubernetes.io/enforce": "privileged"}
    namespace = Namespace(
        f"{name}-metallb-namespace", options, metadata=ObjectMetaArgs(name=METALLB, labels=privileged)
    )
    return Release(
        f"{name}-metallb",
        options,
        name="metallb",
        namespace=namespace.metadata["name"],
        chart=bundle.chart("metallb"),
        values=merged(metallb_values(), values),
        skip_await=True,
    )


class LoadBalancerPool(pulumi.ComponentResource):
    """The addresses that MetalLB answers for by ARP: the planned range, and no other."""

    def __init__(self, name: str, cluster: Cluster, child: OptionsFor, opts: pulumi.ResourceOptions) -> None:
        """Declare the pool and its advertisement; MetalLB's webhook has to answer before."""
        super().__init__("azlocal:infra:LoadBalancerPool", f"{name}-load-balancer", None, opts)
        metadata = ObjectMetaArgs(name="azlocal", namespace=METALLB)
        addresses = [range_text(span) + ("/32" if len(span) == 1 else "") for span in cluster.load_balancer_ranges]
        pool = CustomResource(
            f"{name}-address-pool",
            opts=child(self),
            api_version="metallb.io/v1beta1",
            kind="IPAddressPool",
            metadata=metadata,
            spec={"addresses": addresses},
        )
        CustomResource(
            f"{name}-l2-advertisement",
            opts=pulumi.ResourceOptions.merge(child(self), pulumi.ResourceOptions(depends_on=[pool])),
            api_version="metallb.io/v1beta1",
            kind="L2Advertisement",
            metadata=metadata,
            spec={"ipAddressPools": ["azlocal"]},
        )
        self.register_outputs({})


def calico_values() -> dict[str, Any]:
    """Return what upstream's own calico-vxlan.yaml says, and a pool of ours instead of its default one.

    Its default pool uses VXLAN only between subnets (CrossSubnet), which one logical network never has.
    """
    return {
        "datastore": "kubernetes",
        "network": "calico",
        "vxlan": True,
        "node": {
            "env": [
                {"name": "NO_DEFAULT_POOLS", "value": "true"},
                # A control plane has the cluster's address beside its own.
                {"name": "IP_AUTODETECTION_METHOD", "value": "kubernetes-internal-ip"},
            ]
        },
    }


def metallb_values() -> dict[str, Any]:
    """Return values for ARP alone, and for nodes that take addresses over from each other soon."""
    soon = {"initialDelaySeconds": 1, "periodSeconds": 3}
    return {
        "frrk8s": {"enabled": False},
        "controller": {"readinessProbe": soon},
        "speaker": {
            "frr": {"enabled": False},  # ARP only: no BGP
            "readinessProbe": soon,
            # A lab has few nodes: a control plane takes the addresses over when the only worker is down.
            "ignoreExcludeLB": True,
        },
    }


def storage_values(helper_image: str) -> dict[str, Any]:
    """Return values for helper pods that need no registry."""
    repository, _, tag = helper_image.rpartition(":")
    soon = {"initialDelaySeconds": 1, "periodSeconds": 3}
    return {
        "helperImage": {"repository": repository, "tag": tag},
        # The chart writes a `true`, which changes nothing, and with which no kubelet before 1.33 runs a pod that a
        # newer API server took (kubelet: the feature gate UserNamespacesSupport). Empty, it is left out.
        "hostUsers": "",
        "health": {"startupProbe": {**soon, "failureThreshold": 40}, "readinessProbe": soon},
        "storageClass": {"provisionerName": PROVISIONER},
    }
