"""The loss report, its warnings: what isn't in an export, or is other than it was rehearsed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from infra.counting import counted
from infra.export.facts import OF_CLUSTERS, OF_INSTANCES, ExportFacts, Format, Place
from infra.export.nowhere import nowhere
from infra.export.register import Loss, rule
from infra.plan.addresses.numbers import range_text
from infra.spec.types import AddressRange
from infra.spec.vm_sizes import AZURE_SIZES

FIRST_POOL: Final = "nodepool1"
"""What `az aksarc create` calls a cluster's first pool."""

_MOST_LISTED: Final = 3


@rule("export-addresses", source="azure_parity §2.6", severity="warning", formats=OF_CLUSTERS)
def addresses(facts: ExportFacts) -> Iterator[Loss]:
    """Azure Local chooses nodes' addresses, and those of API servers without hostIP: no plan's are exported."""
    chosen = [cluster.name for _, cluster in facts.clusters if cluster.control_plane.host_ip is None]
    if facts.clusters:
        also = f", and the API server's of {_some(chosen)}" if chosen else ""
        message = f"Azure Local takes each node's address{also} from the pool; those of the plan aren't exported"
        yield Loss(
            "stack",
            ("clusters",),
            message,
            "pools, hostIP and services' ranges carry over; write hostIP to pin one",
        )


@rule("export-left-out", source="azure_parity §2", severity="warning")
def left_out(facts: ExportFacts) -> Iterator[Loss]:
    """What people wrote and Azure Local has no place for is named."""
    by_key: dict[tuple[str, str], list[Place]] = {}
    for file, path, why in nowhere(facts):
        key = next(str(part) for part in reversed(path) if isinstance(part, str))
        by_key.setdefault((key, why), []).append((file, path))
    for (key, why), places in by_key.items():
        file, path = places[0]
        more = f", and {len(places) - 1} more" if len(places) > 1 else ""
        yield Loss(
            file,
            path,
            f"`{key}` isn't exported{more}: {why}",
            "nothing to do, if it was meant for here",
        )


@rule("export-version-replaced", source="azlocal", severity="warning", formats=OF_CLUSTERS)
def version_replaced(facts: ExportFacts) -> Iterator[Loss]:
    """A cluster is deployed with the Kubernetes version that it was rehearsed with."""
    for index, cluster in enumerate(facts.spec.stack.clusters):
        version, (file, path) = facts.version_of(index)
        if version != cluster.kubernetes_version:
            was = f"cluster {cluster.name} is rehearsed with Kubernetes {cluster.kubernetes_version}"
            message = f"{was}, exported with {version}"
            yield Loss(
                file,
                path,
                message,
                "rehearse that version, too, where azlocal builds it: `azlocal image build --help`",
            )


@rule("export-vm-size-replaced", source="azlocal", severity="info", formats=OF_CLUSTERS)
def vm_size_replaced(facts: ExportFacts) -> Iterator[Loss]:
    """A machine has as much in Azure as it had in the rehearsal."""
    own = facts.spec.vm_sizes()
    for name, azure in facts.target.vm_sizes.items():
        if name in own and azure in AZURE_SIZES:
            was, becomes = own[name], AZURE_SIZES[azure]
            message = (
                f"{name} ({was.vcpus} vCPUs, {was.memory_mib / 1024:g} GiB) is exported as {azure} "
                f"({becomes.vcpus} vCPUs, {becomes.memory_mib / 1024:g} GiB)"
            )
            yield Loss("target", ("vmSizes", name), message, "see that the instance's hosts have room for it")


@rule("export-services-chosen", source="LB", severity="info", formats=OF_CLUSTERS)
def services_chosen(facts: ExportFacts) -> Iterator[Loss]:
    """Addresses of services that azlocal chose are exported as the lock file has them."""
    for path, cluster in facts.clusters:
        if not cluster.load_balancer.addresses and (ranges := facts.services_of(cluster)):
            message = f"cluster {cluster.name} says how many addresses services get; exported: {_ranges(ranges)}"
            yield Loss(
                "stack", (*path, "loadBalancer"), message, "write them as addresses: to have them in review"
            )


@rule("export-load-balancer-off", source="azlocal", severity="warning", formats=OF_CLUSTERS)
def load_balancer_off(facts: ExportFacts) -> Iterator[Loss]:
    """Where neither MetalLB nor Azure's extension is wanted, nobody gives the planned addresses to services."""
    for path, cluster in facts.clusters:
        brings = any(extension.is_load_balancer for extension in cluster.arc.all_extensions())
        if not cluster.add_ons.metallb.enabled and not brings and (ranges := facts.services_of(cluster)):
            message = (
                f"no load balancer of cluster {cluster.name} is exported, nor its addresses {_ranges(ranges)}"
            )
            yield Loss(
                "stack", (*path, "addOns"), message, "add knownExtensions.networking, or bring your own there"
            )


@rule("export-no-admins", source="API-GA aadProfile", severity="warning", formats=OF_CLUSTERS)
def no_admins(facts: ExportFacts) -> Iterator[Loss]:
    """Somebody may log in to the clusters by Entra ID."""
    if facts.clusters and not facts.target.admin_group_object_ids:
        message = "no group administers the clusters: nobody logs in by Entra ID"
        yield Loss(
            "target", ("adminGroupObjectIDs",), message, "add adminGroupObjectIDs; certificates work without"
        )


@rule("export-proxy", source="azure_parity §4: the proxy is the instance's, immutable", severity="warning")
def proxy(facts: ExportFacts) -> Iterator[Loss]:
    """A proxy is the instance's in Azure Local, set on its hosts before it is deployed, and no cluster's."""
    if facts.spec.netplan.proxy is not None:
        message = "the proxy isn't exported; it may have a password, and no cluster has one of its own there"
        yield Loss("netplan", ("proxy",), message, "set it on each host before the instance is deployed")


@rule("export-secrets", source="azlocal", severity="info", formats=OF_CLUSTERS)
def secrets(facts: ExportFacts) -> Iterator[Loss]:
    """No export has a secret: whoever deploys gives it."""
    for path, cluster in facts.clusters:
        for file, names in (
            ("extensions", [e.configuration_protected_settings for e in cluster.arc.all_extensions()]),
            ("fluxConfigurations", [f.configuration_protected_settings for f in cluster.arc.flux_configurations]),
        ):
            if listed := sorted({name for settings in names for name in settings.values()}):
                message = f"the values of {_some(listed)} of cluster {cluster.name} aren't exported"
                yield Loss("stack", (*path, "arc", file), message, "give them when deploying, which asks for them")


@rule(
    "export-data-collection",
    source="az k8s-extension create",
    severity="warning",
    formats={Format.BICEP, Format.TERRAFORM},
)
def data_collection(facts: ExportFacts) -> Iterator[Loss]:
    """Azure Monitor's extensions collect nothing without a data collection rule, which az makes and no module."""
    for path, cluster in facts.clusters:
        for extension in cluster.arc.all_extensions():
            if extension.data_collection is not None:
                message = f"no data collection rule of {extension.name} of cluster {cluster.name} is exported"
                yield Loss(
                    "stack", (*path, "arc"), message, "make it by `az k8s-extension create`, as `--to az` does"
                )


@rule(
    "export-autoscaling", source="AVM provisionedclusterinstance", severity="warning", formats={Format.TERRAFORM}
)
def autoscaling(facts: ExportFacts) -> Iterator[Loss]:
    """A pool that scales by itself keeps its first size: the Terraform module refuses enableAutoScaling."""
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            if pool.enable_auto_scaling:
                size = counted(pool.count, "node")
                message = f"pool {pool.name} of cluster {cluster.name} is exported with {size}, and doesn't scale"
                remedy = "export to bicep or az, or switch it on afterwards: `az aksarc nodepool update`"
                yield Loss("stack", (*path, "agentPools", number, "enableAutoScaling"), message, remedy)


@rule("export-pools", source="AVM logicalnetwork", severity="warning", formats={Format.TERRAFORM})
def pools(facts: ExportFacts) -> Iterator[Loss]:
    """A logical network has one pool of addresses: the Terraform module takes no more."""
    for path, network in facts.networks:
        if len(network.ip_pools) > 1 and network.name not in facts.target.logical_networks:
            rest = ", ".join(f"{pool.start}-{pool.end}" for pool in network.ip_pools[1:])
            message = f"of network {network.name} only the first pool is exported, without {rest}"
            yield Loss("netplan", (*path, "ipPools"), message, "export to bicep or az, or make the pools one")


@rule("export-first-pool", source="az aksarc create", severity="warning", formats={Format.AZ})
def first_pool(facts: ExportFacts) -> Iterator[Loss]:
    """A cluster has a pool nodepool1, as az calls the one that a cluster is made with."""
    for path, cluster in facts.clusters:
        names = [pool.name for pool in cluster.agent_pools]
        if FIRST_POOL not in names:
            message = f"az makes pool {names[0]} of cluster {cluster.name} as {FIRST_POOL}"
            yield Loss(
                "stack", (*path, "agentPools", 0, "name"), message, f"call one {FIRST_POOL}, or export to bicep"
            )


@rule("export-key-vault", source="az aksarc create", severity="warning", formats={Format.AZ})
def key_vault(facts: ExportFacts) -> Iterator[Loss]:
    """A key pair in a vault is the modules' business: az makes one on the machine that it runs on."""
    if any(not facts.keys_of(cluster) for _, cluster in facts.clusters) and facts.target.ssh_key_vault is not None:
        message = "az knows no sshKeyVault; the script has it make a key pair in ~/.ssh"
        yield Loss("target", ("sshKeyVault",), message, "write sshPublicKey, or export to bicep")


@rule("export-instance-only", source="azure_parity §3.4", severity="warning", formats=OF_INSTANCES)
def instance_only(facts: ExportFacts) -> Iterator[Loss]:
    """What describes an instance alone has neither its logical networks nor its clusters."""
    if facts.clusters:
        clusters, networks = (
            counted(len(facts.clusters), "cluster"),
            counted(len(facts.networks), "logical network"),
        )
        message = f"{clusters} and {networks} aren't in it: {facts.format} describes the instance alone"
        yield Loss("stack", ("clusters",), message, "export them to bicep, terraform or az as well")


@rule("export-passwords", source="azuredeploy.json", severity="info", formats={Format.ARM})
def passwords(facts: ExportFacts) -> Iterator[Loss]:
    """The passwords of the local administrator and the deployment user are given when deploying."""
    if facts.target.instance is not None:
        message = "localAdminPassword and AzureStackLCMAdminPasssword (Azure's spelling) aren't in it"
        yield Loss("target", ("instance",), message, "az asks for them; a reference to a key vault works, too")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MOST_LISTED]) + (
        f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    )


def _ranges(ranges: list[AddressRange]) -> str:
    return ", ".join(map(range_text, ranges))
