"""What stands before a drill, in tests of several modules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from infra.model.backup import BY_WISH, Backup

BACKUP: Final = Backup(
    instance="lab",
    cluster="a",
    taken=datetime(2026, 11, 30, 8, 15, tzinfo=UTC),
    kubernetes_version="1.34.4",
    revision=7,
    sha256="0",
    size=1,
    ca_hash="1",
    reason=BY_WISH,
)
