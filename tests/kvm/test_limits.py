"""What containers share with their host is raised where it is too low, and only there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from infra.kvm.limits import raise_shared_limits
from infra.ssh import CommandResult, LocalShell


class Kernel(LocalShell):
    """Keeps what is written into /proc/sys."""

    def __init__(self, value: int) -> None:
        self.files = {"/proc/sys/fs/inotify/max_user_instances": f"{value}\n"}

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout: float = 60, check: bool = True
    ) -> CommandResult:
        program, path = argv
        if program == "tee":
            assert input is not None
            self.files[path] = input.decode()
        return CommandResult(tuple(argv), 0, self.files[path], "")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (128, 8192, ["fs.inotify.max_user_instances from 128 to 8192"]),
        (8192, 8192, []),
        (65536, 65536, []),
    ],
)
def test_a_limit_is_only_ever_raised(before: int, after: int, said: list[str]) -> None:
    kernel = Kernel(before)
    assert raise_shared_limits(kernel) == said
    assert kernel.files == {"/proc/sys/fs/inotify/max_user_instances": f"{after}\n"}
