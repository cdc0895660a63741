"""The loss report, its errors: what Azure would refuse, and what it has to be told and nobody has written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import Final
from urllib.parse import urlsplit

from infra.export.facts import OF_CLUSTERS, OF_INSTANCES, ExportFacts, Format, Place
from infra.export.register import Loss, rule
from infra.plan.addresses.numbers import range_text
from infra.spec.findings import shown
from infra.spec.kubernetes_versions import offered
from infra.spec.vm_sizes import AZURE_SIZES

_SERVICES: Final = IPv4Network("10.96.0.0/12")
_TWO_HOSTS: Final = 2


@rule("export-version-not-offered", source="VER", formats=OF_CLUSTERS)
def version_not_offered(facts: ExportFacts) -> Iterator[Loss]:
    """A cluster's Kubernetes version is one that the instance's release of Azure Local offers."""
    versions = offered()[facts.release]
    for index, cluster in enumerate(facts.spec.stack.clusters):
        version, (file, path) = facts.version_of(index)
        if version not in versions:
            message = f"Azure Local {facts.release} doesn't offer Kubernetes {version} (cluster {cluster.name})"
            remedy = f"write kubernetesVersion in targets/{facts.spec.site}.yaml, one of: {', '.join(versions)}"
            yield Loss(file, path, message, remedy)


@rule("export-own-vm-size", source="SCALE, GPU", formats=OF_CLUSTERS)
def own_vm_size(facts: ExportFacts) -> Iterator[Loss]:
    """A machine's VM size is Azure's, or the target says what Azure has in its place; control planes have few."""
    fit = ", ".join(name for name, size in AZURE_SIZES.items() if size.for_control_plane)
    for (file, path), size, of_plane in _sizes(facts):
        azure = facts.size_of(size)
        if azure not in AZURE_SIZES:
            message = f"{shown(size)} is a size of the site's own; Azure Local has none of that name"
            remedy = f"write vmSizes: {{{size}: …}} in targets/{facts.spec.site}.yaml, with one of Azure's sizes"
            yield Loss(file, path, message, remedy)
        elif of_plane and not AZURE_SIZES[azure].for_control_plane:
            message = f"Azure Local has no control planes of size {azure}"
            where: Place = (file, path) if size == azure else ("target", ("vmSizes", size))
            yield Loss(*where, message, f"use one of: {fit}")


def _sizes(facts: ExportFacts) -> Iterator[tuple[Place, str, bool]]:
    for path, cluster in facts.clusters:
        yield ("stack", (*path, "controlPlane", "vmSize")), cluster.control_plane.vm_size, True
        for number, pool in enumerate(cluster.agent_pools):
            yield ("stack", (*path, "agentPools", number, "vmSize")), pool.vm_size, False


@rule("export-service-cidr", source="IP", formats=OF_CLUSTERS)
def service_cidr(facts: ExportFacts) -> Iterator[Loss]:
    """A cluster's service network is 10.96.0.0/12: AKS on Azure Local has no other."""
    for path, cluster in facts.clusters:
        network = cluster.network_profile.service_cidr.network
        if network != _SERVICES:
            message = (
                f"service network {network} of cluster {cluster.name}; AKS on Azure Local has {_SERVICES} alone"
            )
            remedy = f"write serviceCidr: {_SERVICES}, with which a rehearsal is worth something"
            yield Loss("stack", (*path, "networkProfile", "serviceCidr"), message, remedy)


@rule("export-one-ssh-key", source="API-GA linuxProfile; AVM provisioned-cluster-instance", formats=OF_CLUSTERS)
def one_ssh_key(facts: ExportFacts) -> Iterator[Loss]:
    """A cluster's nodes have exactly one SSH key, or a key vault to keep one in."""
    write = f"write sshPublicKey in targets/{facts.spec.site}.yaml"
    for path, cluster in facts.clusters:
        count = len(facts.keys_of(cluster))
        if count > 1:
            message = f"{count} SSH keys; a cluster on Azure Local has one"
            yield Loss("stack", ("sshPublicKeys",), message, f"{write}: the one that logs in there")
        elif count == 0 and facts.target.ssh_key_vault is None:
            message = f"no SSH key for cluster {cluster.name}, which needs one on Azure Local"
            yield Loss("stack", path, message, f"{write}, or sshKeyVault")


@rule("export-switch-unknown", source="API-LNET vmSwitchName", formats=OF_CLUSTERS)
def switch_unknown(facts: ExportFacts) -> Iterator[Loss]:
    """A logical network's virtual switch is known."""
    for path, network in facts.networks:
        if facts.switch_of(network) is None and network.name not in facts.target.logical_networks:
            message = f"nobody says which virtual switch logical network {network.name} is on"
            remedy = (
                f"write vmSwitchName in targets/{facts.spec.site}.yaml: ConvergedSwitch(<intent>), as "
                "`Get-VMSwitch` on a host says"
            )
            yield Loss("netplan", path, message, remedy)


@rule("export-target-incomplete", source="azure_parity §3.0")
def target_incomplete(facts: ExportFacts) -> Iterator[Loss]:
    """The target names what Azure has to be told: subscription, group, custom location, the instance."""
    file = f"targets/{facts.spec.site}.yaml"
    needed: dict[str, object] = {}
    if facts.format is not Format.ODIN:
        needed |= {"subscriptionId": facts.subscription_id, "resourceGroup": facts.resource_group}
    if facts.format in OF_CLUSTERS:
        needed["customLocationResourceId"] = facts.target.custom_location_resource_id
    if facts.format in OF_CLUSTERS - {Format.AZ} and _has_entra(facts):
        needed["tenantId"] = facts.tenant_id
    if facts.format is Format.ARM:
        needed["instance"] = facts.target.instance
    for key, value in needed.items():
        if value is None:
            yield Loss("target", (key,), f"{key} isn't known", f"write it in {file}")


def _has_entra(facts: ExportFacts) -> bool:
    return bool(facts.target.admin_group_object_ids) or any(
        cluster.arc.azure_rbac.enabled for _, cluster in facts.clusters
    )


@rule("export-unknown-in-target", source="azlocal")
def unknown_in_target(facts: ExportFacts) -> Iterator[Loss]:
    """What the target names by the names of other files is there: clusters, logical networks, VM sizes."""
    stacks = {facts.spec.name: facts.spec.stack}
    stacks |= {sibling.name: sibling.config for sibling in facts.spec.siblings}
    clusters = {cluster.name for stack in stacks.values() for cluster in stack.clusters}
    clusters |= {f"{name}/{cluster.name}" for name, stack in stacks.items() for cluster in stack.clusters}
    known = {
        "clusters": clusters,
        "logicalNetworks": {network.name for network in facts.spec.netplan.logical_networks},
        "vmSizes": set(facts.spec.vm_sizes()),
    }
    written: dict[str, Mapping[str, object]] = {
        "clusters": facts.target.clusters,
        "logicalNetworks": facts.target.logical_networks,
        "vmSizes": facts.target.vm_sizes,
    }
    for key, names in written.items():
        for name in names:
            if name not in known[key]:
                message = f"no file has {shown(name)}"
                yield Loss(
                    "target", (key, name), message, f"use one of: {', '.join(sorted(known[key])) or 'none'}"
                )


@rule("export-same-name", source="arc_facts §1.10", formats=OF_CLUSTERS)
def same_name(facts: ExportFacts) -> Iterator[Loss]:
    """No two clusters have one name in Azure."""
    counts = Counter(name.lower() for name in facts.names.values())
    for path, cluster in facts.clusters:
        name = facts.names[cluster.name]
        if counts[name.lower()] > 1:
            remedy = f"write another name under clusters in targets/{facts.spec.site}.yaml"
            yield Loss("stack", path, f"{counts[name.lower()]} clusters are called {name} in Azure", remedy)


@rule("export-not-locked", source="azlocal", formats=OF_CLUSTERS)
def not_locked(facts: ExportFacts) -> Iterator[Loss]:
    """Addresses of services that azlocal chose are in the lock file: what goes to Azure must not change."""
    for path, cluster in facts.clusters:
        if loose := facts.unlocked_services_of(cluster):
            ranges = ", ".join(map(range_text, loose))
            message = (
                f"{ranges} for services of cluster {cluster.name} isn't in netplans/{facts.spec.lock_path.name}"
            )
            remedy = f"run `azlocal plan {facts.spec.name}`, and commit the lock file"
            yield Loss("stack", (*path, "loadBalancer"), message, remedy)


@rule("export-metallb-id", source="Azure/aksArc aksarc-metallb", formats={Format.BICEP, Format.TERRAFORM})
def metallb_id(facts: ExportFacts) -> Iterator[Loss]:
    """MetalLB's extension is told the object id of Azure's own principal, which differs in each tenant."""
    if facts.target.k8s_runtime_fpa_object_id is not None:
        return
    for path, cluster in facts.clusters:
        brings = any(extension.is_load_balancer for extension in cluster.arc.all_extensions())
        if cluster.add_ons.metallb.enabled and not brings and facts.services_of(cluster):
            message = f"services of cluster {cluster.name} have addresses, and k8sRuntimeFpaObjectId isn't known"
            remedy = (
                f"write it in targets/{facts.spec.site}.yaml: `az ad sp show --id "
                "087fca6e-4606-4d41-b3f6-5ebdf75b8b4c --query id -o tsv`"
            )
            yield Loss("stack", (*path, "loadBalancer"), message, remedy)


@rule("export-password-in-url", source="azlocal", formats=OF_CLUSTERS)
def password_in_url(facts: ExportFacts) -> Iterator[Loss]:
    """No repository's address has a password in it, which an export would show."""
    for path, cluster in facts.clusters:
        for index, flux in enumerate(cluster.arc.flux_configurations):
            if has_password(flux.git_repository.url):
                place = (*path, "arc", "fluxConfigurations", index, "gitRepository", "url")
                message = f"the address of {flux.name} has a password in it, which isn't exported"
                remedy = "write httpsUser, and the password as the protected setting httpsKey"
                yield Loss("stack", place, message, remedy)


@rule("export-host-address", source="API deploymentSettings physicalNodes", formats=OF_INSTANCES)
def host_address(facts: ExportFacts) -> Iterator[Loss]:
    """Every host has an address in the infrastructure network."""
    for index, host in enumerate(facts.spec.hosts.hosts):
        if host.management_address is None:
            message = f"host {host.name} has no managementAddress, which the instance's deployment needs"
            yield Loss("hosts", ("hosts", index), message, "add managementAddress")


@rule("export-witness", source="azuredeploy.json witnessType", formats={Format.ARM})
def witness(facts: ExportFacts) -> Iterator[Loss]:
    """An instance of two hosts has a cloud witness."""
    instance = facts.target.instance
    if instance is None or len(facts.spec.hosts.hosts) != _TWO_HOSTS:
        return
    if instance.witness_storage_account_name is None:
        message = "an instance of two hosts needs a cloud witness"
        yield Loss("target", ("instance",), message, "add witnessStorageAccountName")


@rule("export-class", source="azure-quickstart-templates create-cluster", formats={Format.ARM})
def class_of_template(facts: ExportFacts) -> Iterator[Loss]:
    """The instance is of a class that the template create-cluster makes."""
    kind = facts.spec.stack.deployment_class
    if kind in {"rackAware", "disaggregated"}:
        name = {"rackAware": "create-cluster-rac-enabled", "disaggregated": "create-cluster-san"}[kind]
        message = f"class {kind} is deployed by another template, {name}, which isn't written here"
        yield Loss("stack", ("deploymentClass",), message, "write its parameters by hand, or export to odin")


def has_password(url: str) -> bool:
    """Tell whether a URL has a login with a password, or can't be read."""
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return True
