"""StorageClasses: names that don't meet, one default, pools that are there, what volumes on nodes' disks can."""

import re
from collections.abc import Iterator

from infra.model.add_ons import OWN_CLASSES
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.forms import OBJECT_NAME
from infra.spec.near import nearest
from infra.spec.stack import ClusterSpec
from infra.spec.storage import StorageClassSpec


def _classes(facts: Facts) -> Iterator[tuple[KeyPath, ClusterSpec, StorageClassSpec]]:
    for path, cluster in facts.clusters:
        for number, storage_class in enumerate(cluster.storage_profile.storage_classes):
            yield (*path, "storageProfile", "storageClasses", number), cluster, storage_class


@rule("storage-class-name", source="Kubernetes: apimachinery util/validation IsDNS1123Subdomain")
def storage_class_name(facts: Facts) -> Iterator[Fault]:
    """A StorageClass has a name as Kubernetes takes it, and none that azlocal's own ones have."""
    for path, _, one in _classes(facts):
        place = (*path, "name")
        if one.name in OWN_CLASSES:
            message = f"every cluster has a StorageClass {one.name} of azlocal's own"
            yield Fault("stack", place, message, f"write another name, such as {one.name}-2")
        elif not OBJECT_NAME.fits(one.name):
            bare = re.sub("[^a-z0-9]+", "-", one.name.lower()).strip("-")
            message = f"{shown(one.name)} is not {OBJECT_NAME.words}"
            yield Fault("stack", place, message, f"write {bare or OBJECT_NAME.example}")


@rule("storage-class-twice", source="Kubernetes: one object of a name")
def storage_class_twice(facts: Facts) -> Iterator[Fault]:
    """A cluster has one StorageClass of a name, and one that is the default."""
    for path, cluster in facts.clusters:
        names, default = set[str](), ""
        for number, one in enumerate(cluster.storage_profile.storage_classes):
            place = (*path, "storageProfile", "storageClasses", number)
            if one.name in names:
                message = f"cluster {cluster.name} has two StorageClasses {shown(one.name)}"
                yield Fault("stack", (*place, "name"), message, "give one of them another name, or remove it")
            names.add(one.name)
            if one.is_default and default:
                message = f"StorageClasses {default} and {one.name} of cluster {cluster.name} are both its default"
                yield Fault("stack", (*place, "isDefault"), message, "keep isDefault: true at one of them")
            default = default or (one.name if one.is_default else "")


@rule("storage-class-unknown-pool", source="azlocal")
def storage_class_unknown_pool(facts: Facts) -> Iterator[Fault]:
    """A StorageClass names pools of its cluster."""
    for path, cluster, one in _classes(facts):
        pools = [pool.name for pool in cluster.agent_pools]
        for number, name in enumerate(one.agent_pools):
            if name not in pools:
                near = nearest(name.lower(), pools, 0.6)
                remedy = f"did you mean {near}?" if near else f"write one of: {', '.join(pools)}"
                message = f"StorageClass {one.name} names pool {shown(name)}, which cluster {cluster.name} hasn't"
                yield Fault("stack", (*path, "agentPools", number), message, remedy)


@rule("storage-class-immediate", source="local-path-provisioner: Provision")
def storage_class_immediate(facts: Facts) -> Iterator[Fault]:
    """A volume on a node's disk is made once its pod has a node."""
    for path, _, one in _classes(facts):
        if one.volume_binding_mode == "Immediate":
            message = f"StorageClass {one.name}: a volume on a node's disk can't be made before its pod has a node"
            yield Fault("stack", (*path, "volumeBindingMode"), message, "write WaitForFirstConsumer")


@rule("storage-class-expands", source="local-path-provisioner: README")
def storage_class_expands(facts: Facts) -> Iterator[Fault]:
    """A StorageClass of volumes on nodes' disks promises no expansion."""
    for path, _, one in _classes(facts):
        if one.allow_volume_expansion:
            message = (
                f"StorageClass {one.name}: a volume on a node's disk is a folder without a size, and nothing "
                "would ever answer a claim that asks for more"
            )
            remedy = "remove allowVolumeExpansion: a volume may hold what the node's data volume has room for"
            yield Fault("stack", (*path, "allowVolumeExpansion"), message, remedy)
