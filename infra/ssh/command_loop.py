"""One command after another over one SSH channel: each costs one round trip; a channel of its own costs four.

On the host, a `sh` reads lines and runs them. The end of each command is told on both its outputs, since neither
ends with it. What a command leaves in the background may hold them and speak later: then the shell isn't used
again.

The end of a command's input is the host's to find. Were it a message, it could come after the channel's own end:
paramiko can't send it in one step with looking for that, and OpenSSH then ends the whole connection ("ieof packet
referred to nonexistent channel").
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import paramiko

from infra.ssh.errors import MOST_BYTES, CommandError, SshError, TooMuchOutput
from infra.ssh.network import NETWORK_ERRORS
from infra.ssh.session import Session
from infra.ssh.shell import ASK_SECONDS, CommandResult

_READ_BYTES: Final = 1 << 16
_NEWLINE: Final = "newline"
_MARK_BYTES: Final = 16
_END_BYTES: Final = 2 * _MARK_BYTES + 16
"""More than the telling of an end takes."""

_SHOWN_CHARACTERS: Final = 200
_SAID_CHARACTERS: Final = 500

_ALONE_SECONDS: Final = 0.5
"""How long a command's outputs may take to close after its end; by then, a process that it left holds them."""

_PIECE_BYTES: Final = 1 << 20

# Reads a mark that no command can know, then commands. The subshell keeps the loop from whatever a command does.
# A command's outputs are pipes of its own, so that what it leaves in the background shares none with the next one:
# its end is told through them, behind all that it said; and then, once nobody holds them, that the next may come.
_LOOP: Final = "; ".join(
    (
        f"{_NEWLINE}=$(printf '\\nx')",
        f"{_NEWLINE}=${{{_NEWLINE}%x}}",
        "IFS= read -r mark",
        "exec 3>&1 4>&2",
        'while IFS= read -r line; do { { (eval "$line"); printf \'\\n%s %d\\n\' "$mark" $?; '
        "printf '\\n%s\\n' \"$mark\" >&2; } 2>&5 3>&- 4>&- 5>&- | cat >&3 3>&- 4>&- 5>&-; } 5>&1 "
        "| cat >&4 3>&- 4>&-; printf '%s\\n' \"$mark\"; done",
    )
)

# Takes so many bytes, hands them on with an end, and reads on when the command ends before.
_FED: Final = 'head -c {count} | {{ ({command}); code=$?; cat >/dev/null; exit "$code"; }}'


class _Arrival(threading.Event):
    """Whether something came since it was last looked. paramiko clears it after each of two buffers: too early."""

    def clear(self) -> None:
        """Do nothing."""

    def forget(self) -> None:
        """Look from now on."""
        super().clear()


class CommandLoop(Session):
    """A shell that stands on a host."""

    def __init__(self, host: str, channel: paramiko.Channel) -> None:
        """Start the shell."""
        super().__init__(host, channel)
        self._mark = secrets.token_hex(_MARK_BYTES).encode()
        self._unsent = self._mark + b"\n"
        self._arrival = _Arrival()
        channel.in_buffer.set_event(self._arrival)
        channel.in_stderr_buffer.set_event(self._arrival)
        try:
            channel.exec_command(shlex.join(["exec", "env", "LC_ALL=C", "sh", "-c", _LOOP]))
        except NETWORK_ERRORS as error:
            channel.close()
            raise SshError(f"{host}: the SSH connection broke: {error}") from error

    def run(self, argv: Sequence[str], input: bytes | None, timeout: float) -> CommandResult:
        """Run a command. After an error, or where it left a process that may still speak, the loop stands no more.

        Raises:
            CommandError: the command didn't end in time.
            TooMuchOutput: it told more than this machine should keep.
            SshError: the connection broke.
        """
        try:
            return self._conversation(argv, input, time.monotonic() + timeout)
        except BaseException:
            self.close()
            raise

    def ask(self) -> None:
        """Have it answer.

        Raises:
            SshError: it doesn't.
        """
        try:
            self.run(["true"], None, ASK_SECONDS)
        except CommandError as error:
            raise SshError(f"{self.host}: the SSH connection is silent") from error

    def _conversation(self, argv: Sequence[str], input: bytes | None, deadline: float) -> CommandResult:
        heard = _Heard(self._mark)
        feeder: threading.Thread | None = None
        try:
            self.channel.settimeout(max(deadline - time.monotonic(), 0.001))
            _send(self.channel, self._unsent + _line(argv, input))
            self._unsent = b""
            if input:
                feeder = threading.Thread(target=_send, args=(self.channel, input), daemon=True)
                feeder.start()
            if not self._hear(heard, lambda: heard.is_over, argv, deadline):
                if self.stands:
                    raise CommandError(self.host, argv, None, _text(heard.output.said), _text(heard.errors.said))
                raise SshError(_broken(self.host, argv, _text(heard.errors.said or heard.output.said)))
            if not self._hear(heard, lambda: heard.is_alone, argv, time.monotonic() + _ALONE_SECONDS):
                self.close()
        except NETWORK_ERRORS as error:
            raise SshError(_broken(self.host, argv, "")) from error
        if feeder:
            feeder.join()
        return CommandResult(tuple(argv), heard.exit_code, _text(heard.output.said), _text(heard.errors.said))

    def _hear(self, heard: _Heard, is_enough: Callable[[], bool], argv: Sequence[str], deadline: float) -> bool:
        """Listen until it is enough; return whether it ever was."""
        while True:
            self._arrival.forget()
            ended = not self.stands
            output, errors = self.channel.recv_ready(), self.channel.recv_stderr_ready()
            if output:
                heard.output.take(self.channel.recv(_READ_BYTES))
            if errors:
                heard.errors.take(self.channel.recv_stderr(_READ_BYTES))
            if is_enough():
                return True
            if heard.size > MOST_BYTES:
                raise TooMuchOutput(self.host, _shown(argv))
            left = deadline - time.monotonic()
            if output or errors:
                if left < 0:
                    return False
            elif ended or not self._arrival.wait(left):
                return False


class _Output:
    """One of a command's outputs, as it comes.

    Attributes:
        said: What the command said.
        end: How its end was told; None before.
        late: The last of what came later, which isn't the command's.
    """

    def __init__(self, end: bytes) -> None:
        self._end = re.compile(end)
        self.said = bytearray()
        self.end: bytes | None = None
        self.late = b""

    def take(self, data: bytes) -> None:
        if self.end is None:
            seen = max(0, len(self.said) - _END_BYTES)
            self.said += data
            match = self._end.search(self.said, seen)
            if match is None:
                return
            begin, self.end, data = match.start(), match[0], bytes(self.said[match.end() :])
            del match  # or the array can't be cut
            del self.said[begin:]
        self.late = (self.late + data)[-_END_BYTES:]


class _Heard:
    """What came of a command."""

    def __init__(self, mark: bytes) -> None:
        self.output, self.errors = _Output(rb"\n%b (\d+)\n" % mark), _Output(rb"\n%b\n" % mark)
        self._next = b"%b\n" % mark

    @property
    def is_over(self) -> bool:
        """Return whether the command has ended, and all that it said is here."""
        return self.output.end is not None and self.errors.end is not None

    @property
    def is_alone(self) -> bool:
        """Return whether nobody holds its outputs any more."""
        return self.output.late.endswith(self._next)

    @property
    def size(self) -> int:
        """Return how much of this machine's memory it takes."""
        return len(self.output.said) + len(self.errors.said)

    @property
    def exit_code(self) -> int:
        """Return the command's exit code, when it is over."""
        return int((self.output.end or b"").split()[1])


def _line(argv: Sequence[str], input: bytes | None) -> bytes:
    """Return the one line that makes `sh` run exactly these arguments; `exec` knows programs only, no builtins."""
    command = f"exec {shlex.join(argv)}".replace("\n", f"'\"${_NEWLINE}\"'")
    line = _FED.format(count=len(input), command=command) if input else f"{command} </dev/null"
    return f"{line}\n".encode()


def _send(channel: paramiko.Channel, data: bytes) -> None:
    # Where the connection breaks, whoever waits for the end of the command says so.
    with contextlib.suppress(*NETWORK_ERRORS):
        # In pieces: after each packet paramiko copies all that it still has to send.
        for start in range(0, len(data), _PIECE_BYTES):
            channel.sendall(data[start : start + _PIECE_BYTES])


def _broken(host: str, argv: Sequence[str], output: str) -> str:
    last = output.strip()[-_SAID_CHARACTERS:]
    return f"{host}: the SSH connection broke during {_shown(argv)}; whether it did its work is unknown" + (
        f". The last from there: {last}" if last else ""
    )


def _shown(argv: Sequence[str]) -> str:
    return f"`{shlex.join(argv)[:_SHOWN_CHARACTERS]}`"


def _text(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")
