"""A command that goes on for a while: what it is fed and what it tells pass as they come."""

from __future__ import annotations

import fcntl
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Final

from infra.ssh.errors import MOST_BYTES, CommandError, SshError, TooMuchOutput
from infra.ssh.options import STRICT, words

_TURN_SECONDS: Final = 0.25
_END_SECONDS: Final = 5.0
_PIPE_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 16
_KEPT_OF_ERRORS: Final = 2000
_SHOWN_CHARACTERS: Final = 200
_SSH_FAILED: Final = 255


class Process:
    """A command under way on a host. Leaving its `with` block ends it here, and closes its input there.

    One thread's. What has to end on another machine with its connection must watch its input for that.
    """

    def __init__(self, host: str, argv: Sequence[str], command: Sequence[str], *, over_ssh: bool) -> None:
        """Start it.

        Args:
            host: for messages.
            argv: the command on the host.
            command: what to run here for that.
            over_ssh: whether that is the ssh command, so that its own failures can be told from the command's.

        Raises:
            SshError: it can't be started.
        """
        self._host, self._argv, self._over_ssh = host, tuple(argv), over_ssh
        self._errors = b""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise SshError(f"{host}: `{command[0]}` can't be run here: {error.strerror}") from error
        fcntl.fcntl(_pipe(self._process.stdin), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            os.set_blocking(_pipe(pipe), False)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lines(self, input: Iterable[bytes] = (), *, patience: float) -> Iterator[str | None]:
        """Feed it and yield what it tells, line by line, until it ends; its input stays open afterwards.

        Args:
            input: what to write to it; taken as fast as it reads.
            patience: seconds without a word from it after which it is given up.

        Yields:
            A line; or None several times a second, for whoever has to look after something else.

        Raises:
            CommandError: it ended with an error.
            SshError: the connection broke, or nothing came any more.
            TooMuchOutput: a line has no end.
        """
        feed, pending = iter(input), memoryview(b"")
        last_heard, unfinished = time.monotonic(), bytearray()
        turn = last_heard
        stdin, stdout, stderr = (
            _pipe(stream) for stream in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            selector.register(stdin, selectors.EVENT_WRITE)
            while stdout in (watched := selector.get_map()):
                ready = {int(key.fd) for key, _ in selector.select(_TURN_SECONDS)}
                now = time.monotonic()
                if stdin in ready:
                    pending = pending or memoryview(next(feed, b""))
                    if not pending or (written := _write(stdin, pending)) is None:
                        selector.unregister(stdin)
                    else:
                        pending = pending[written:]
                if stderr in ready and not self._hear_errors(stderr):
                    selector.unregister(stderr)
                if stdout in ready:
                    data = os.read(stdout, _READ_BYTES)
                    if not data:
                        selector.unregister(stdout)
                    last_heard = now
                    ended, newline, begun = data.rpartition(b"\n")
                    unfinished += ended if newline else begun
                    if newline:
                        yield from (line.decode(errors="replace") for line in unfinished.split(b"\n"))
                        unfinished = bytearray(begun)
                    if len(unfinished) > MOST_BYTES:
                        command = shlex.join(self._argv)[:_SHOWN_CHARACTERS]
                        raise TooMuchOutput(self._host, f"a line of `{command}`")
                if now - last_heard > patience:
                    raise SshError(f"{self._host}: nothing was heard from there for {patience:.0f} s")
                if now - turn >= _TURN_SECONDS:
                    turn = now
                    yield None
            if stderr in watched:
                self._hear_errors(stderr)
        self._check()

    def close(self) -> None:
        """End it now; nothing to do when it has ended."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _hear_errors(self, stderr: int) -> bool:
        try:
            data = os.read(stderr, _READ_BYTES)
        except BlockingIOError:
            return True
        self._errors = (self._errors + data)[-_KEPT_OF_ERRORS:]
        return bool(data)

    def _check(self) -> None:
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            raise CommandError(self._host, self._argv, None, "", "") from None
        errors = self._errors.decode(errors="replace").strip()
        if self._over_ssh and (code < 0 or code == _SSH_FAILED):
            raise SshError(f"{self._host}: the SSH connection broke: {errors or f'signal {-code}'}")
        if code != 0:
            raise CommandError(self._host, self._argv, code, "", errors)


def ssh_command(arguments: Sequence[str], argv: Sequence[str], forwards: Sequence[str] = ()) -> list[str]:
    """Return the ssh command that runs a command on a host, by the user's configuration and without questions.

    Args:
        arguments: the way to the host.
        argv: the command there.
        forwards: arguments that forward ports; without any, those of the configuration aren't forwarded either.
    """
    # SSH carries one string to the login shell; quoting makes that shell hand on exactly these arguments.
    there = shlex.join(["env", "LC_ALL=C", *argv])
    options = {"BatchMode": "yes", **STRICT, **({} if forwards else {"ClearAllForwardings": "yes"})}
    return ["ssh", "-T", *words(options), *forwards, *arguments, there]


def _pipe(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise AssertionError("started with pipes")
    return pipe.fileno()


def _write(file: int, data: memoryview) -> int | None:
    """Write what fits; None when nobody reads it any more."""
    try:
        return os.write(file, data[:_PIPE_BYTES])
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return None
