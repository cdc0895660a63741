"""Set up, start, stop and look at an emulator: a process of its own, which outlives the caller.

Everything about one is in its folder. The process is known again by its PID file and its command line, which names
the folder: a PID that another process has by now is never taken for it. One that runs older code than this is
restarted, so that a change of the emulator, or of the agents' chart in it, is never missed. One whose folder was
removed without `remove` (a test run that was killed, a person) ends by itself within seconds.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException, HTTPSConnection
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from infra.arc.emulator import certificates
from infra.arc.emulator.arm.call import GROUPS
from infra.arc.emulator.errors import EmulatorError
from infra.arc.emulator.settings import LOOPBACK, Client, Folder, Settings
from infra.arc.emulator.store import Resource, Store
from infra.files import locked, user_state

_PACKAGE: Final = Path(__file__).parent
_CODE: Final = "code"  # in the folder: what the running process was started from
_READY_SECONDS: Final = 30.0
_END_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 2.0
_LOG_TAIL: Final = 1500
# Emulators that this process started: they outlive it, and until then their exit codes are its to take.
_CHILDREN: Final[dict[int, subprocess.Popen[bytes]]] = {}
# What the process needs of the caller's environment: nothing secret, and the cache with the bundle.
_ENVIRONMENT: Final = ("HOME", "PATH", "XDG_CACHE_HOME", "LANG")


@dataclass(frozen=True)
class Emulator:
    """One emulator.

    Attributes:
        settings: its addresses and ids; nothing secret.
        ca_file: the certificate to trust.
        client_file: the service principal to use, as JSON; secret.
        pid: of the running process; None: it doesn't run.
    """

    folder: Path
    settings: Settings
    ca_file: Path
    client_file: Path
    pid: int | None

    @property
    def port(self) -> int:
        """The port, the same at every address."""
        return self.settings.port

    @property
    def url(self) -> str:
        """The emulator as this machine reaches it."""
        return self.settings.url

    @property
    def agent_url(self) -> str:
        """The emulator as the agents in a cluster reach it."""
        return self.settings.agent_url


def default_folder(instance: str) -> Path:
    """Return where an instance's emulator is: below XDG_STATE_HOME, or ~/.local/state."""
    return user_state() / "azlocal" / "emulator" / instance


def initialise(folder: Path, *, agent_address: str | None = None, port: int = 0) -> Emulator:
    """Set up an emulator, or bring one that is there up to date; what is right already stays as it is.

    Args:
        agent_address: where agents reach it; another one than before renews the certificate, and restarts a
            process that runs. None leaves it as it was.
        port: the port of a new one; 0: one that is free now. It never changes afterwards.

    Raises:
        EmulatorError: the folder can't be written, the address is none, or the port is taken.
    """
    if agent_address is not None:
        _require_address(agent_address)
    with _locked(folder) as files:
        return _initialise(files, agent_address, port)


def ensure_running(folder: Path) -> Emulator:
    """Start an emulator unless it runs, and wait until it answers; it is set up where it isn't.

    Raises:
        EmulatorError: it doesn't answer.
    """
    with _locked(folder) as files:
        if not files.is_initialised:
            _initialise(files, None, 0)
        settings = files.settings()
        is_current = _pid(files) is not None and _started_code(files) == code_digest()
        if is_current and _answers_in_time(files, settings):
            return _emulator(files)
        _stop(files)
        _renew_certificate(files, settings)
        _start(files, settings)
        return _emulator(files)


def stop(folder: Path) -> bool:
    """End an emulator's process; its state stays. Return whether one ran.

    Raises:
        EmulatorError: it doesn't end.
    """
    if not folder.is_dir():
        return False
    with _locked(folder) as files:
        return _stop(files)


def status(folder: Path) -> Emulator | None:
    """Return an emulator as it stands; None: none is set up in this folder."""
    files = Folder(folder)
    return _emulator(files) if files.is_initialised else None


def resources(folder: Path) -> list[Resource]:
    """Return the ARM resources that an emulator has, running or not.

    Raises:
        EmulatorError: its state can't be read.
    """
    files = Folder(folder)
    if not files.state_file.exists():
        return []
    with closing(Store(files.state_file)) as store:
        return store.under("/subscriptions")


def reset(folder: Path) -> None:
    """Forget every resource, operation, fault and the advanced time; ids, certificates and the port stay.

    Raises:
        EmulatorError: the process doesn't end, or doesn't start again.
    """
    with _locked(folder) as files:
        ran = _stop(files)
        for path in files.path.glob(f"{files.state_file.name}*"):
            path.unlink()
    if ran:
        ensure_running(folder)


def retire(folder: Path) -> list[str]:
    """End an emulator, and remove its folder unless ARM resources are left in it; return their ids.

    An empty resource group is none: whoever connects a cluster makes it, and nobody removes it, as in Azure.

    Raises:
        EmulatorError: the process doesn't end.
    """
    if not folder.is_dir():
        return []
    with _locked(folder) as files:
        _stop(files)
        left = [one.id for one in resources(folder) if one.type != GROUPS]
        if not left:
            shutil.rmtree(folder)
        return left


def remove(folder: Path) -> None:
    """End an emulator and remove its folder, whatever is left in it: its clusters' agents then talk to nobody.

    Raises:
        EmulatorError: the process doesn't end.
    """
    if not folder.is_dir():
        return
    with _locked(folder) as files:
        _stop(files)
        shutil.rmtree(folder)


@cache
def code_digest() -> str:
    """Return what names the emulator's code and charts, as they are on disk."""
    found = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _initialise(files: Folder, agent_address: str | None, port: int) -> Emulator:
    before = files.settings() if files.is_initialised else None
    settings = before or _new_settings(port)
    if agent_address is not None:
        settings = settings.model_copy(update={"agent_address": agent_address})
    if not files.ca_file.exists() or not files.ca_key_file.exists():
        certificate, key = certificates.make_ca()
        files.write(files.ca_key_file, key, 0o600)
        files.write(files.ca_file, certificate, 0o644)
    if not files.token_key_file.exists():
        files.write(files.token_key_file, certificates.make_token_key(), 0o600)
    if not files.admin_token_file.exists():
        files.write(files.admin_token_file, secrets.token_urlsafe(32), 0o600)
    if not files.client_file.exists():
        client = Client(
            client_id=settings.client_id,
            client_secret=secrets.token_urlsafe(30),
            tenant_id=settings.tenant_id,
            subscription_id=settings.subscription_id,
        )
        files.write_model(files.client_file, client, 0o600)
    renewed = _renew_certificate(files, settings)
    if settings != before:
        files.write_model(files.settings_file, settings, 0o600)
    if before is not None and (renewed or settings != before) and _stop(files):
        _start(files, settings)
    return _emulator(files)


def _new_settings(port: int) -> Settings:
    return Settings(
        port=port or _free_port(),
        subscription_id=str(uuid.uuid4()),
        tenant_id=str(uuid.uuid4()),
        client_id=str(uuid.uuid4()),
    )


def _renew_certificate(files: Folder, settings: Settings) -> bool:
    addresses = [LOOPBACK, "localhost"] + ([settings.agent_address] if settings.agent_address else [])
    if files.server_file.exists() and certificates.serves(files.server_file.read_text(), addresses):
        return False
    certificate, key = certificates.make_server_certificate(
        files.ca_file.read_text(), files.ca_key_file.read_text(), addresses
    )
    files.write(files.server_key_file, key, 0o600)
    files.write(files.server_file, certificate, 0o644)
    return True


def _start(files: Folder, settings: Settings) -> None:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # The package is found wherever the caller stands.
    environment |= {"PYTHONPATH": str(_PACKAGE.parents[2]), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
    with files.log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.arc.emulator", "serve", "--folder", str(files.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    _CHILDREN[process.pid] = process
    files.write(files.pid_file, f"{process.pid}\n", 0o644)
    files.write(files.path / _CODE, code_digest(), 0o644)
    deadline = time.monotonic() + _READY_SECONDS
    while not _answers(files, settings):
        has_ended = process.poll() is not None
        if has_ended or time.monotonic() > deadline:
            process.kill()
            process.wait()
            what = "ended again" if has_ended else f"doesn't answer after {_READY_SECONDS:.0f} s"
            raise EmulatorError(
                f"{files.path}: the emulator {what}: {_log_tail(files)} Is port {settings.port} taken by another "
                "program?"
            )
        time.sleep(0.05)


def _stop(files: Folder) -> bool:
    _reap()
    pid = _pid(files)
    if pid is None:
        files.pid_file.unlink(missing_ok=True)
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while _pid(files) is not None or pid in _CHILDREN:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + _END_SECONDS
        time.sleep(0.02)
        _reap()
    files.pid_file.unlink(missing_ok=True)
    return True


def _pid(files: Folder) -> int | None:
    """Return the running process's id."""
    try:
        pid = int(files.pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    is_ours = os.fsencode(files.path) in command and b"infra.arc.emulator" in command
    return pid if is_ours and state != "Z" else None


def _reap() -> None:
    """Take the exit codes of processes that this one started and that have ended: they would stay as zombies."""
    for pid, child in list(_CHILDREN.items()):
        if child.poll() is not None:
            del _CHILDREN[pid]


def _answers_in_time(files: Folder, settings: Settings) -> bool:
    """Return whether a process that runs answers within a time that a busy machine needs."""
    deadline = time.monotonic() + _READY_SECONDS
    while not _answers(files, settings):
        if _pid(files) is None or time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _answers(files: Folder, settings: Settings) -> bool:
    """Return whether the emulator, and nobody else, answers at its port."""
    trusted = ssl.create_default_context(cafile=str(files.ca_file))
    connection = HTTPSConnection(LOOPBACK, settings.port, timeout=_PROBE_SECONDS, context=trusted)
    try:
        with closing(connection):
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            return answer.status == 200 and answer.headers.get("x-ms-azlocal-emulator") == "1"
    except (OSError, HTTPException):
        return False


def _emulator(files: Folder) -> Emulator:
    return Emulator(
        folder=files.path,
        settings=files.settings(),
        ca_file=files.ca_file,
        client_file=files.client_file,
        pid=_pid(files),
    )


def _started_code(files: Folder) -> str:
    path = files.path / _CODE
    return path.read_text() if path.exists() else ""


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _require_address(address: str) -> None:
    try:
        given = IPv4Address(address)
    except ValueError:
        raise EmulatorError(f"{address!r} is no IPv4 address: agents reach the emulator at one.") from None
    if given.is_unspecified or given.is_multicast:
        raise EmulatorError(f"{address}: the emulator listens at one address of this machine, not at all of them.")


def _log_tail(files: Folder) -> str:
    text = files.log_file.read_text(errors="replace").strip() if files.log_file.exists() else ""
    return f"its log ends: {text[-_LOG_TAIL:]}" if text else "its log is empty."


@contextmanager
def _locked(folder: Path) -> Iterator[Folder]:
    """Let one process at a time change an emulator; the server doesn't inherit the lock."""
    files = Folder(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(files.lock_file):
            yield files
    except OSError as error:
        raise EmulatorError(f"{folder}: the emulator's folder can't be used ({error}).") from error
