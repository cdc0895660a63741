"""An emulator's folder: its settings and the files beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from infra.emulator.errors import EmulatorError
from infra.files import replace_file

LOOPBACK: Final = "127.0.0.1"

T = TypeVar("T", bound="_Model")


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class Settings(_Model):
    """What an emulator is set up as; nothing secret.

    Attributes:
        agent_address: the address of this machine that a cluster's agents reach; it may come and go with the
            bridge that carries it. None: only this machine reaches the emulator.
        location: the region that resources are put into when nobody says otherwise.
    """

    port: int
    agent_address: str | None = None
    subscription_id: str
    subscription_name: str = "azlocal emulator"
    tenant_id: str
    client_id: str
    location: str = "eastus"

    @property
    def url(self) -> str:
        """The emulator as this machine's programs reach it."""
        return f"https://{LOOPBACK}:{self.port}"

    @property
    def agent_url(self) -> str:
        """The emulator as the agents reach it."""
        return f"https://{self.agent_address or LOOPBACK}:{self.port}"


class Client(_Model):
    """The service principal that may use the emulator; a secret."""

    client_id: str
    client_secret: str = Field(repr=False)
    tenant_id: str
    subscription_id: str


class Folder:
    """Names the files of an emulator's folder, and reads and writes the small ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings_file = path / "settings.json"
        self.client_file = path / "client.json"
        self.ca_file = path / "ca.pem"
        self.ca_key_file = path / "ca-key.pem"
        self.server_file = path / "server.pem"
        self.server_key_file = path / "server-key.pem"
        self.token_key_file = path / "token-key.pem"
        self.admin_token_file = path / "admin-token"
        self.state_file = path / "state.sqlite"
        self.log_file = path / "emulator.log"
        self.pid_file = path / "emulator.pid"
        self.lock_file = path / "lock"

    @property
    def is_initialised(self) -> bool:
        """Return whether an emulator was set up here."""
        return self.settings_file.is_file()

    def settings(self) -> Settings:
        """Read the settings.

        Raises:
            EmulatorError: they are missing or unreadable.
        """
        return self._read(self.settings_file, Settings)

    def client(self) -> Client:
        """Read the service principal.

        Raises:
            EmulatorError: it is missing or unreadable.
        """
        return self._read(self.client_file, Client)

    def admin_token(self) -> str:
        """Read what the admin API wants to see.

        Raises:
            EmulatorError: it is missing.
        """
        try:
            return self.admin_token_file.read_text().strip()
        except OSError as error:
            raise EmulatorError(self._unreadable(self.admin_token_file, error.strerror)) from error

    def write(self, path: Path, text: str, mode: int) -> None:
        """Write a file whole or not at all, never readable by more than its mode says."""
        replace_file(path, text, mode)

    def write_model(self, path: Path, model: BaseModel, mode: int) -> None:
        """Write settings, in camel case."""
        self.write(path, json.dumps(model.model_dump(by_alias=True), indent=2) + "\n", mode)

    def _read(self, path: Path, model: type[T]) -> T:
        try:
            return model.model_validate_json(path.read_bytes())
        except OSError as error:
            raise EmulatorError(self._unreadable(path, error.strerror)) from error
        except ValidationError as error:
            # Without the values: one of the files is secret.
            places = ", ".join(".".join(map(str, detail["loc"])) or detail["type"] for detail in error.errors())
            raise EmulatorError(self._unreadable(path, f"wrong at {places}")) from None

    def _unreadable(self, path: Path, reason: str | None) -> str:
        return (
            f"{path}: the emulator's file can't be read ({reason}). `azlocal emulator start` makes what is "
            f"missing; remove {self.path} to start over."
        )
