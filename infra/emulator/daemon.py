"""Set up, start, stop and look at an emulator: a process of its own, which outlives the caller.

Everything about one is in its folder, which its command line names. One that runs older code than this is
restarted, so that a change of the emulator, or of the agents' chart in it, is never missed. One whose folder was
removed without `remove` (a test run that was killed, a person) ends by itself within seconds.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
import ssl
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException, HTTPSConnection
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from infra.background import Background, wait_for
from infra.emulator import certificates
from infra.emulator.arm.call import GROUPS
from infra.emulator.errors import EmulatorError
from infra.emulator.settings import LOOPBACK, Client, Folder, Settings
from infra.emulator.store import Resource, Store
from infra.files import locked, user_state

_PACKAGE: Final = Path(__file__).parent
_MODULES: Final = frozenset({"infra.emulator", "infra.arc.emulator"})  # the latter in azlocal 0.1.0
_CODE: Final = "code"  # in the folder: what the running process was started from
_READY_SECONDS: Final = 30.0
_END_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 2.0
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
        is_current = _process(files).pid is not None and _started_code(files) == code_digest()
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
        left = [resource.id for resource in resources(folder) if resource.type != GROUPS]
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
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


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
    environment |= {"PYTHONPATH": str(_PACKAGE.parents[1]), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
    argv = [sys.executable, "-m", "infra.emulator", "serve", "--folder", str(files.path)]
    process = _process(files).start(argv, environment)
    files.write(files.pid_file, f"{process.pid}\n", 0o644)
    files.write(files.path / _CODE, code_digest(), 0o644)
    wrong = wait_for(lambda: _answers(files, settings), lambda: process.poll() is not None, _READY_SECONDS)
    if wrong is not None:
        process.kill()
        process.wait()
        raise EmulatorError(
            f"{files.path}: the emulator {wrong}: {_process(files).log_tail()} Is port {settings.port} taken by "
            "another program?"
        )


def _stop(files: Folder) -> bool:
    ran = _process(files).stop(_END_SECONDS, kill=True)
    files.pid_file.unlink(missing_ok=True)
    return ran


def _process(files: Folder) -> Background:
    return Background(files.pid_file, files.log_file, (frozenset({str(files.path)}), _MODULES))


def _answers_in_time(files: Folder, settings: Settings) -> bool:
    """Return whether a process that runs answers within a time that a busy machine needs."""
    process = _process(files)
    return wait_for(lambda: _answers(files, settings), lambda: process.pid is None, _READY_SECONDS) is None


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
        pid=_process(files).pid,
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
        parsed = IPv4Address(address)
    except ValueError:
        raise EmulatorError(f"{address!r} is no IPv4 address: agents reach the emulator at one.") from None
    if parsed.is_unspecified or parsed.is_multicast:
        raise EmulatorError(f"{address}: the emulator listens at one address of this machine, not at all of them.")


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
