"""`storageProfile` of a cluster: its StorageClasses, and Azure's keys (API-GA provisionedClusterInstances)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.spec.forms import OBJECT_NAME, Form, Refused
from infra.spec.types import Boolean, Model, Name, published

FOLDER = Form(
    "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
    "the name of a folder: 1-63 lower-case letters, digits and inner hyphens",
    "databases",
)


class CsiDriver(Model):
    """A CSI driver that Azure's clusters come with."""

    enabled: Boolean = Field(True, description="Without effect here: the driver isn't installed.")


class StorageClassSpec(Model):
    """A StorageClass of volumes on nodes' disks."""

    name: Annotated[Name, OBJECT_NAME] = Field(description="The class's name in the cluster.")
    is_default: Boolean = Field(
        False, description="Whether claims that name no class get it; without any, `default` is that class."
    )
    reclaim_policy: Literal["Delete", "Retain"] = Field(
        "Delete", description="What becomes of a volume when its claim is deleted."
    )
    volume_binding_mode: Annotated[Literal["WaitForFirstConsumer", "Immediate"], Refused(("Immediate",))] = Field(
        "WaitForFirstConsumer",
        description="A volume is made on the node that its first pod runs on; Immediate knows none.",
    )
    allow_volume_expansion: Annotated[Boolean, published(enum=[False])] = Field(
        False, description="Volumes on nodes' disks have no size that could grow."
    )
    folder: Annotated[str, FOLDER] | None = Field(
        None, description="The folder of nodes' data volumes that the class's volumes are in; absent: the top one."
    )
    agent_pools: tuple[Name, ...] = Field(
        (), description="Pools on whose nodes the class's volumes are, and so the pods that use them; absent: any."
    )


class StorageProfile(Model):
    """The storage of a cluster (API-GA storageProfile)."""

    storage_classes: tuple[StorageClassSpec, ...] = Field(
        (), description="Beside `default` and `default-retain`, which every cluster has."
    )
    delete_local_volumes: Boolean = Field(
        False,
        description="true: a node that moves to another host or goes for good takes the volumes on its disk with "
        "it. false: `up` refuses that while there are any.",
    )
    nfs_csi_driver: CsiDriver = Field(CsiDriver.model_construct(), description="Azure's; without effect here.")
    smb_csi_driver: CsiDriver = Field(CsiDriver.model_construct(), description="Azure's; without effect here.")
