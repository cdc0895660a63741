"""Files without a place on disk: for programs and libraries that take secrets only from a file."""

from __future__ import annotations

import os


class MemoryFile:
    """A file in memory, readable by this process and by a child that is handed `descriptor`.

    Nothing of it is left when the process ends, however it ends.
    """

    def __init__(self, name: str, content: bytes) -> None:
        self.descriptor = os.memfd_create(name)
        with os.fdopen(os.dup(self.descriptor), "wb") as file:
            file.write(content)

    @property
    def path(self) -> str:
        """Return the path under which this process, or a child with the descriptor, opens it."""
        return f"/proc/self/fd/{self.descriptor}"

    def close(self) -> None:
        """Let go of the content."""
        os.close(self.descriptor)
