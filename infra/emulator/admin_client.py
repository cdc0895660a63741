"""The emulator's own API, for the command line and for tests."""

from __future__ import annotations

import json
import ssl
from contextlib import closing
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final

from infra.emulator.errors import EmulatorError
from infra.emulator.settings import LOOPBACK, Folder

_SECONDS: Final = 10


class AdminClient:
    """Asks a running emulator, with the token that its folder has."""

    def __init__(self, folder: Path) -> None:
        """Read what is needed to ask.

        Raises:
            EmulatorError: no emulator is set up in this folder.
        """
        files = Folder(folder)
        self._port = files.settings().port
        self._token = files.admin_token()
        self._trusted = ssl.create_default_context(cafile=str(files.ca_file))

    def clock(self) -> dict[str, Any]:
        """Return the emulator's time and its offset."""
        return self._ask("GET", "clock")

    def advance(self, seconds: float) -> dict[str, Any]:
        """Set the emulator's time ahead."""
        return self._ask("POST", "clock", {"advanceSeconds": seconds})

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that are planted."""
        planted: list[dict[str, Any]] = self._ask("GET", "faults")["value"]
        return planted

    def plant(self, **fault: Any) -> dict[str, Any]:
        """Plant a fault, by the names that `infra.emulator.faults.Fault` has on the wire."""
        return self._ask("POST", "faults", fault)

    def clear(self, fault_id: str | None = None) -> int:
        """Take a fault away, or all; return how many there were."""
        return int(self._ask("DELETE", f"faults/{fault_id}" if fault_id else "faults")["cleared"])

    def state(self) -> dict[str, Any]:
        """Return the resources, each with its state, and the operations that run."""
        return self._ask("GET", "state")

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        connection = HTTPSConnection(LOOPBACK, self._port, timeout=_SECONDS, context=self._trusted)
        try:
            with closing(connection):
                connection.request(
                    method,
                    f"/_emulator/{path}",
                    None if body is None else json.dumps(body),
                    {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
                )
                answer = connection.getresponse()
                content: dict[str, Any] = json.loads(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            raise EmulatorError(
                f"the emulator at {LOOPBACK}:{self._port} doesn't answer ({error}): `azlocal emulator start`"
            ) from error
        if answer.status != 200:
            raise EmulatorError(f"the emulator refuses: {content.get('error', {}).get('message', content)}")
        return content
