"""A snapshot of a cluster's etcd that is kept: what is known of it, and what it is called."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from infra.model.base import Model

BY_WISH: Final = "azlocal backup"
"""The reason of a snapshot that somebody wanted, and no change."""

SCHEDULED: Final = "schedule"
"""The reason of a snapshot that a host's timer took; as many stay as the schedule says."""


class ScheduleStatus(Model):
    """How the last try of a schedule ended.

    Attributes:
        last: The name of the last snapshot that it took.
        taken: When.
        failure: Why the last try took none.
        failing_since: When the first of the tries was that failed since.
    """

    last: str | None = None
    taken: str | None = None
    failure: str | None = None
    failing_since: str | None = None


class Backup(Model):
    """What is known of a snapshot, and lies beside it.

    Attributes:
        instance: Whose cluster it is of.
        cluster: The cluster's name in its instance.
        taken: When.
        kubernetes_version: Of the control plane then, without the v.
        revision: etcd's, at least: that of a moment before.
        sha256: Of the file.
        size: Of the file, in bytes.
        ca_hash: The pin of the cluster's authority: another one's cluster has other keys, and can't read it.
        reason: What it was taken before, or `BY_WISH`, or `SCHEDULED`.
        encryption_keys: Under which keys its Secrets are, by name, the empty one for those in plain; None: it
            wasn't looked.
    """

    instance: str
    cluster: str
    taken: datetime
    kubernetes_version: str
    revision: int
    sha256: str
    size: int
    ca_hash: str
    reason: str
    encryption_keys: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Return what it is called: by instance, cluster and time."""
        return f"{self.instance}-{self.cluster}-{self.taken.astimezone(UTC):%Y%m%dT%H%M%SZ}"
