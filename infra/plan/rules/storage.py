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
    for path, _, entry in _classes(facts):
        place = (*path, "name")
        if entry.name in OWN_CLASSES:
            message = f"every cluster has a StorageClass {entry.name} of azlocal's own"
            yield Fault("stack", place, message, f"write another name, such as {entry.name}-2")
        elif not OBJECT_NAME.fits(entry.name):
            bare = re.sub("[^a-z0-9]+", "-", entry.name.lower()).strip("-")
            message = f"{shown(entry.name)} is not {OBJECT_NAME.words}"
            yield Fault("stack", place, message, f"write {bare or OBJECT_NAME.example}")


@rule("storage-class-twice", source="Kubernetes: one object of a name")
def storage_class_twice(facts: Facts) -> Iterator[Fault]:
    """A cluster has one StorageClass of a name, and one that is the default."""
    for path, cluster in facts.clusters:
        names, default = set[str](), ""
        for number, entry in enumerate(cluster.storage_profile.storage_classes):
            place = (*path, "storageProfile", "storageClasses", number)
            if entry.name in names:
                message = f"cluster {cluster.name} has two StorageClasses {shown(entry.name)}"
                yield Fault("stack", (*place, "name"), message, "give one of them another name, or remove it")
            names.add(entry.name)
            if entry.is_default and default:
                message = f"cluster {cluster.name} has two default StorageClasses, {default} and {entry.name}"
                yield Fault("stack", (*place, "isDefault"), message, "keep isDefault: true at one of them")
            default = default or (entry.name if entry.is_default else "")


@rule("storage-class-unknown-pool", source="azlocal")
def storage_class_unknown_pool(facts: Facts) -> Iterator[Fault]:
    """A StorageClass names pools of its cluster."""
    for path, cluster, entry in _classes(facts):
        pools = [pool.name for pool in cluster.agent_pools]
        for number, name in enumerate(entry.agent_pools):
            if name not in pools:
                near = nearest(name.lower(), pools, 0.6)
                remedy = f"did you mean {near}?" if near else f"write one of: {', '.join(pools)}"
                message = f"StorageClass {entry.name}: cluster {cluster.name} has no pool {shown(name)}"
                yield Fault("stack", (*path, "agentPools", number), message, remedy)


@rule("storage-class-immediate", source="local-path-provisioner: Provision")
def storage_class_immediate(facts: Facts) -> Iterator[Fault]:
    """A volume on a node's disk is made once its pod has a node."""
    for path, _, entry in _classes(facts):
        if entry.volume_binding_mode == "Immediate":
            message = (
                f"StorageClass {entry.name}: a volume on a node's disk can't be made before its pod is placed"
            )
            yield Fault("stack", (*path, "volumeBindingMode"), message, "write WaitForFirstConsumer")


@rule("storage-class-expands", source="local-path-provisioner: README")
def storage_class_expands(facts: Facts) -> Iterator[Fault]:
    """A StorageClass of volumes on nodes' disks promises no expansion."""
    for path, _, entry in _classes(facts):
        if entry.allow_volume_expansion:
            message = (
                f"StorageClass {entry.name}: a volume on a node's disk is a folder without a size, and nothing "
                "would ever answer a claim that asks for more"
            )
            remedy = "remove allowVolumeExpansion: a volume may hold what the node's data volume has room for"
            yield Fault("stack", (*path, "allowVolumeExpansion"), message, remedy)
