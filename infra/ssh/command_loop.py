"""One command after another over one SSH channel: each costs one round trip; a channel of its own costs four.

On the host, a `sh` reads lines and runs them. The end of each command is told on both its outputs, since neither
ends with it.

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
from collections.abc import Sequence
from typing import Final

import paramiko

from infra.ssh.errors import CommandError, SshError
from infra.ssh.network import NETWORK_ERRORS
from infra.ssh.session import Session
from infra.ssh.shell import ASK_SECONDS, CommandResult

_READ_BYTES: Final = 1 << 16
_NEWLINE: Final = "newline"
_MARK_BYTES: Final = 16
_SAID_CHARACTERS: Final = 500

# Reads a mark that no command can know, then commands. The subshell keeps the loop from whatever a command does.
_LOOP: Final = "; ".join(
    (
        f"{_NEWLINE}=$(printf '\\nx')",
        f"{_NEWLINE}=${{{_NEWLINE}%x}}",
        "IFS= read -r mark",
        'while IFS= read -r line; do (eval "$line"); printf \'\\n%s %d\\n\' "$mark" $?; '
        "printf '\\n%s\\n' \"$mark\" >&2; done",
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
        self._mark = secrets.token_hex(_MARK_BYTES)
        self._output_end = re.compile(rb"\n%b (\d+)\n\Z" % self._mark.encode())
        self._errors_end = f"\n{self._mark}\n".encode()
        self._unsent = f"{self._mark}\n".encode()
        self._arrival = _Arrival()
        channel.in_buffer.set_event(self._arrival)
        channel.in_stderr_buffer.set_event(self._arrival)
        try:
            channel.exec_command(shlex.join(["exec", "env", "LC_ALL=C", "sh", "-c", _LOOP]))
        except NETWORK_ERRORS as error:
            channel.close()
            raise SshError(f"{host}: the SSH connection broke: {error}") from error

    def run(self, argv: Sequence[str], input: bytes | None, timeout: float) -> CommandResult:
        """Run a command. After an error it doesn't stand any more.

        Raises:
            CommandError: the command didn't end in time.
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
        output, errors = bytearray(), bytearray()
        feeder: threading.Thread | None = None
        try:
            self.channel.settimeout(max(deadline - time.monotonic(), 0.001))
            _send(self.channel, self._unsent + _line(argv, input))
            self._unsent = b""
            if input:
                feeder = threading.Thread(target=_send, args=(self.channel, input), daemon=True)
                feeder.start()
            while True:
                self._arrival.forget()
                ended = not self.stands
                self._receive(output, errors)
                done = self._output_end.search(output, max(0, len(output) - len(self._errors_end) - 8))
                if done and errors.endswith(self._errors_end):
                    break
                if ended:
                    raise SshError(_broken(self.host, argv, _text(errors or output)))
                if not self._arrival.wait(deadline - time.monotonic()):
                    raise CommandError(self.host, argv, None, _text(output), _text(errors))
        except NETWORK_ERRORS as error:
            raise SshError(_broken(self.host, argv, "")) from error
        if feeder:
            feeder.join()
        stdout, stderr = output[: done.start()], errors[: -len(self._errors_end)]
        return CommandResult(tuple(argv), int(done[1]), _text(stdout), _text(stderr))

    def _receive(self, output: bytearray, errors: bytearray) -> None:
        while self.channel.recv_ready():
            output += self.channel.recv(_READ_BYTES)
        while self.channel.recv_stderr_ready():
            errors += self.channel.recv_stderr(_READ_BYTES)


def _line(argv: Sequence[str], input: bytes | None) -> bytes:
    """Return the one line that makes `sh` run exactly these arguments; `exec` knows programs only, no builtins."""
    command = f"exec {shlex.join(argv)}".replace("\n", f"'\"${_NEWLINE}\"'")
    line = _FED.format(count=len(input), command=command) if input else f"{command} </dev/null"
    return f"{line}\n".encode()


def _send(channel: paramiko.Channel, data: bytes) -> None:
    # Where the connection breaks, whoever waits for the end of the command says so.
    with contextlib.suppress(*NETWORK_ERRORS):
        channel.sendall(data)


def _broken(host: str, argv: Sequence[str], said: str) -> str:
    last = said.strip()[-_SAID_CHARACTERS:]
    return (
        f"{host}: the SSH connection broke during `{shlex.join(argv)[:200]}`; whether it did its work is unknown"
        + (f". The last from there: {last}" if last else "")
    )


def _text(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")
