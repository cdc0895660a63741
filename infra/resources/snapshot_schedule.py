"""The snapshots of a cluster's etcd that a host takes by a timer of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.resources.contract import REPLACE, UPDATE, Contract, Secret


class SnapshotScheduleInputs(Model):
    """What the program says of a schedule."""

    instance: Annotated[str, REPLACE]
    connection: Annotated[str, REPLACE] = Field(description="libvirt URI of the host that takes and keeps them")
    cluster: Annotated[str, REPLACE] = Field(description="The cluster's name in its instance")
    members: Annotated[list[str], UPDATE] = Field(description="Addresses of the control planes")
    every_hours: Annotated[int, UPDATE] = Field(ge=1, le=24)
    keep: Annotated[int, UPDATE] = Field(ge=1, description="How many stay")
    ca_hash: Annotated[str, UPDATE] = Field(description="The pin of the cluster's authority")
    etcd_keys: Annotated[dict[str, str], UPDATE, Secret()] = Field(
        description="The authority of the cluster's etcd, which lets the host in"
    )


class SnapshotScheduleState(SnapshotScheduleInputs):
    """The schedule as it stands."""

    failure: str | None = Field(default=None, description="Why the last try took none")


SNAPSHOT_SCHEDULE = Contract(
    "azlocal:index:SnapshotSchedule",
    SnapshotScheduleInputs,
    SnapshotScheduleState,
    "A timer of a host that takes snapshots of a cluster's etcd.",
    "{connection}#{instance}-{cluster}",
    unsettled=lambda state, news: True,
)
