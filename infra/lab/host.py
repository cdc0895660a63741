"""One host of a lab, from outside: its power, its cable, its daemons."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from infra.lab import wire
from infra.lab.boot import DAEMONS, ENVIRONMENT
from infra.lab.disk import host_key, renew_host_key
from infra.lab.marks import LabError, boot_arguments, folder

_ROOT: Final = Path(__file__).resolve().parents[2]
_BOOT_SECONDS: Final = 180.0
_DEATH_SECONDS: Final = 30.0
_LOG_TAIL: Final = 2000


@dataclass(frozen=True)
class LabHost:
    """A KVM host: `address` is the one at which its SSH server answers this machine."""

    lab: str
    name: str
    address: IPv4Address
    prefix_length: int
    mtu: int

    @property
    def connection(self) -> str:
        """Return its libvirt address, as hosts/<site>.yaml has it."""
        return f"qemu+ssh://root@{self.address}/system"

    @property
    def disk(self) -> Path:
        """Return where what it has on disk lies here."""
        return folder(self.lab) / self.name

    @property
    def host_key(self) -> str:
        """Return its public SSH host key."""
        return host_key(self.disk)

    @property
    def log(self) -> Path:
        """Return where its boot tells what goes wrong."""
        return folder(self.lab) / f"{self.name}.log"

    @property
    def process(self) -> int | None:
        """Return its first process, by this machine's number; None while it is off."""
        return next((pid for pid in processes(self.lab, self.name) if _is_first(pid)), None)

    @property
    def is_on(self) -> bool:
        """Return whether it has power."""
        return self.process is not None

    def run(self, *argv: str, check: bool = True, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as root at the host's console: it works without network and sshd.

        Raises:
            LabError: the host is off, or the command fails (unless `check` is False).
        """
        process = self.process
        if process is None:
            raise LabError(f"{self.name} of lab {self.lab} is off")
        spaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup"]
        done = subprocess.run(
            ["nsenter", "--target", str(process), *spaces, "--", *argv],
            env=ENVIRONMENT,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise LabError(f"{self.name}: `{' '.join(argv)}` ended with {done.returncode}: {done.stderr.strip()}")
        return done

    # -- power ---------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Switch it on and wait until it lets us log in; nothing to do while it runs."""
        self.begin_power_on()
        self.wait_until_ready()

    def begin_power_on(self) -> None:
        """Switch it on."""
        if self.is_on:
            return
        here = [os.path.realpath(sys.executable), "-E", "-S"]
        boot = [*here, *boot_arguments(self.lab, self.name), str(self.disk)]
        boot += [f"{self.address}/{self.prefix_length}", str(self.mtu)]
        spaces = ["--cgroup", "--net", "--pid", "--uts", "--ipc", "--mount", "--propagation", "private", "--fork"]
        join = [*here, "-m", "infra.lab.groups", "join", self.lab, self.name]
        # Forked away at once: a host outlives whoever switched it on.
        argv = ["setsid", "--fork", "unshare", "--mount", *join, "unshare", *spaces, *boot]
        with self.log.open("wb") as log:
            nothing = subprocess.DEVNULL
            subprocess.run(argv, check=True, cwd=_ROOT, env=ENVIRONMENT, stdin=nothing, stdout=log, stderr=log)
        deadline = time.monotonic() + _BOOT_SECONDS
        while (process := self.process) is None:
            self._give_up_after(deadline, "doesn't start")
        wire.plug_in(self.lab, self.name, process, self.mtu)

    def wait_until_ready(self) -> None:
        """Wait until its SSH server answers; libvirtd does by then.

        Raises:
            LabError: it doesn't come up; the message has the end of its log.
        """
        deadline = time.monotonic() + _BOOT_SECONDS
        while not self.answers():
            if not self.is_on:
                raise LabError(f"{self.name} of lab {self.lab} went off again while booting: {self._log_tail()}")
            self._give_up_after(deadline, "doesn't boot")

    def power_off(self) -> None:
        """Cut the power: the host and all its machines are gone at once; what is on its disk stays."""
        wire.unplug(self.lab, self.name)  # first: nobody hears a word of what dies
        deadline = time.monotonic() + _DEATH_SECONDS
        while left := processes(self.lab, self.name):
            for process in left:
                _kill(process)
            self._give_up_after(deadline, f"doesn't die (processes {left})")
        remove = ["-m", "infra.lab.groups", "remove", self.lab, self.name]
        argv = ["unshare", "--mount", os.path.realpath(sys.executable), "-E", "-S", *remove]
        done = subprocess.run(argv, cwd=_ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"{self.name}: its control groups can't be removed: {done.stderr[-_LOG_TAIL:]}")

    # -- faults --------------------------------------------------------------------------------------

    def cut_link(self) -> None:
        """Pull the network cable; everything on the host goes on."""
        wire.set_port(self.lab, self.name, "down")

    def restore_link(self) -> None:
        """Plug it in again."""
        wire.set_port(self.lab, self.name, "up")

    def stop_daemon(self, name: str) -> None:
        """Kill sshd (with its sessions), libvirtd or virtlogd."""
        self.run("pkill", "--signal", "KILL", "--exact", name)

    def start_daemon(self, name: str) -> None:
        """Start a daemon that was stopped."""
        self.run(*DAEMONS[name])

    def stop_sshd(self) -> None:
        """Kill the SSH server and every session."""
        self.stop_daemon("sshd")

    def start_sshd(self) -> None:
        """Start the SSH server again."""
        self.start_daemon("sshd")

    def renew_host_key(self) -> str:
        """Have the SSH server show another host key, as after a new installation; return the public one."""
        key = renew_host_key(self.disk)
        self.stop_sshd()  # a reload leaves a moment in which nobody listens
        self.start_sshd()
        return key

    # -- looking -------------------------------------------------------------------------------------

    def answers(self) -> bool:
        """Return whether an SSH server answers at its address."""
        try:
            with socket.create_connection((str(self.address), 22), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _give_up_after(self, deadline: float, what: str) -> None:
        if time.monotonic() > deadline:
            raise LabError(f"{self.name} of lab {self.lab} {what}: {self._log_tail()}")
        time.sleep(0.02)

    def _log_tail(self) -> str:
        text = self.log.read_text(errors="replace").strip() if self.log.exists() else ""
        return f"its log ends: {text[-_LOG_TAIL:]}" if text else "its log is empty"


def processes(lab: str, host: str | None = None) -> list[int]:
    """Return the processes that are a host (its first one, and what started that), or all hosts of the lab."""
    wanted = b"\0".join(os.fsencode(word) for word in boot_arguments(lab, host)) + b"\0"
    process_ids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if wanted in path.read_bytes():
                process_ids.append(int(path.parent.name))
        except OSError:
            continue  # it ended meanwhile
    return process_ids


def _is_first(process: int) -> bool:
    """Return whether the process is number 1 of a namespace of its own."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
    return len(numbers) > 1 and numbers[-1] == "1"


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return
