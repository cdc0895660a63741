"""The kernel's mount table, as it writes it."""

from __future__ import annotations

from infra.kvm.mounts import Mount, parse_mounts

TABLE = """\
30 23 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
45 30 7:0 / /a\\040b rw shared:9 master:2 - xfs /dev/loop0 rw
46 30 0:7 / /c rw master:2 - tmpfs none rw
"""


def test_fields() -> None:
    assert parse_mounts(TABLE) == [
        Mount("/", "/dev/vda", "ext4", shared=False),
        Mount("/a b", "/dev/loop0", "xfs", shared=True),
        Mount("/c", "none", "tmpfs", shared=False),
    ]
