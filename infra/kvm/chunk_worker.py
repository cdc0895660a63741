"""The program of `chunks` at work on a host: what it is told, and what it tells."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from infra.kvm import chunks
from infra.kvm.errors import HostError
from infra.ssh import CommandError, Shell

_PROGRAM: Final = Path(chunks.__file__).read_bytes()
# The program comes first on the input, so that its text isn't in the process list and in errors.
_LOAD: Final = "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))"
_PATIENCE_SECONDS: Final = 20.0
_NO_PYTHON: Final = 127  # the shell's exit code for a program that isn't there


@dataclass(frozen=True)
class Offer:
    """Where a host waits for whoever fetches chunks from it; once, and not for long."""

    address: str
    port: int
    token: str


@dataclass(frozen=True)
class ImageFile:
    """An image's file on a host.

    Attributes:
        shell: the host's.
        path: the file.
        size: what the image has in bytes; the file gets it.
        tick: called several times a second; it may raise, which ends the work on the host.
    """

    shell: Shell
    path: str
    size: int
    tick: Callable[[], None]

    def compare(self) -> Iterator[tuple[int, str]]:
        """Yield each chunk's number and hash, as the host reads them."""
        with self._lines_for({"do": "compare"}) as lines:
            for line in lines:
                number, _, digest = line.partition(" ")
                yield int(number), digest

    def take(self, source: Path, wanted: Mapping[int, str]) -> Iterator[tuple[int, bool]]:
        """Send chunks of a file here; yield the number of each, and whether it had the wanted hash."""
        with source.open("rb") as file:
            sent = chunks.frames(file.fileno(), self.size, wanted)
            with self._lines_for({"do": "take", "wanted": dict(wanted)}, sent) as lines:
                yield from map(_outcome, lines)

    def fetch(self, offer: Offer, wanted: Mapping[int, str]) -> Iterator[tuple[int, bool]]:
        """Have the host fetch chunks from another one; yield as `take` does."""
        order = {"address": offer.address, "port": offer.port, "token": offer.token}
        with self._lines_for({"do": "fetch", "wanted": dict(wanted), **order}) as lines:
            yield from map(_outcome, lines)

    @contextmanager
    def serving(self, numbers: Iterable[int], address: str | None) -> Iterator[Offer]:
        """Have the host send chunks to whom it is asked by first; it stops at the latest with this block.

        Args:
            numbers: the chunks' numbers.
            address: one of the host's own; None for the one at which it was logged in to.
        """
        token = secrets.token_hex(16)
        order = {"do": "serve", "numbers": list(numbers), "address": address, "token": token}
        with self._lines_for(order) as lines:
            port, _, own_address = next(lines).partition(" ")
            yield Offer(own_address, int(port), token)

    @contextmanager
    def _lines_for(self, order: Mapping[str, Any], following: Iterable[bytes] = ()) -> Iterator[Iterator[str]]:
        """Give the host an order; yield the lines that it tells."""
        request = json.dumps({"path": self.path, "size": self.size, **order}).encode() + b"\n"
        try:
            with self.shell.start(["python3", "-I", "-c", _LOAD, str(len(_PROGRAM))]) as process:
                yield self._heard(process.lines(chain([_PROGRAM, request], following), patience=_PATIENCE_SECONDS))
        except CommandError as error:
            if error.exit_code == _NO_PYTHON:
                raise HostError(
                    f"{self.shell.host}: images can't be copied there: python3 isn't installed there "
                    "(`apt-get install python3`)"
                ) from error
            reason = error.stderr.rpartition("\n")[2] or "ended without a word"
            raise HostError(f"{self.shell.host}: {self.path}: {reason}") from error

    def _heard(self, lines: Iterable[str | None]) -> Iterator[str]:
        for line in lines:
            self.tick()
            if line not in (None, ".", "done"):
                yield line


def _outcome(line: str) -> tuple[int, bool]:
    number, _, outcome = line.partition(" ")
    return int(number), outcome == "good"
