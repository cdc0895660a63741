"""What can go wrong with a host and with what is done there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

MOST_BYTES: Final = 64 << 20
"""What one answer of a host may take of this machine's memory; those that are asked for are far smaller."""

NOT_FOUND: Final = 127
"""The exit code by which shells say that there is no such program."""

_SHOWN_CHARACTERS: Final = 2000


class ShellError(Exception):
    """Something could not be done on a host; the message says what, where, why and the remedy."""


class SshError(ShellError):
    """The host can't be reached or logged in to, or the connection broke on the way."""


class HostKeyUnknown(SshError):
    """The host's key is in no known_hosts file."""


class HostKeyChanged(SshError):
    """The host shows another key than the one that is known."""


class HostKeyRevoked(SshError):
    """The host shows a key that a known_hosts file marks as one to refuse."""


class LoginRefused(SshError):
    """The host answers and lets nobody in with the keys at hand."""


class CommandError(ShellError):
    """A command failed, or didn't end in time. Its input is never shown: it may be a secret.

    Attributes:
        exit_code: None when the command was stopped because its time was over.
    """

    def __init__(self, host: str, argv: Sequence[str], exit_code: int | None, stdout: str, stderr: str) -> None:
        self.argv = tuple(argv)
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr
        ending = "didn't end in time and was stopped" if exit_code is None else f"ended with code {exit_code}"
        if exit_code == NOT_FOUND:
            ending += " (is the program installed there?)"
        output = _bounded(stderr.strip() or stdout.strip())
        super().__init__(f"{host}: `{_bounded(shlex.join(argv))}` {ending}" + (f": {output}" if output else ""))


class TooMuchOutput(ShellError):
    """A host tells more than this machine wants to hear: something is wrong there, or somebody means harm."""

    def __init__(self, host: str, what: str) -> None:
        super().__init__(
            f"{host}: {what} gave more than {MOST_BYTES >> 20} MiB, and was cut off there. Find out on the host "
            "what it is, and whether the host is still yours"
        )


class FileError(ShellError):
    """A file or folder can't be read or written."""


class FileMissing(FileError):
    """There is no such file."""


def _bounded(text: str) -> str:
    """Keep both ends: the command's own words come first, and the reason of a failure mostly last."""
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    half = _SHOWN_CHARACTERS // 2
    return f"{text[:half]} … {text[-half:]}"
