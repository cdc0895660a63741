"""What azlocal chooses for a user who has chosen nothing: the state's place, its passphrase, an SSH key.

It is kept in .azlocal beside Pulumi.yaml. What the user has set is never changed. The choices are environment
variables, which `make env` prints for those who use the bare `pulumi`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.errors import UserError
from infra.files import replace_file
from infra.login_keys import DEFAULT_KEYS, MADE_KEY
from infra.stack.messages import no_such_stack, say

BACKEND: Final = "PULUMI_BACKEND_URL"
_PASSPHRASE: Final = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 - a variable's name
_PASSPHRASE_FILE: Final = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105 - likewise
_NO_UPDATES: Final = "PULUMI_SKIP_UPDATE_CHECK"
_NO_PLUGINS: Final = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"
_VARIABLES: Final = (BACKEND, _PASSPHRASE_FILE, MADE_KEY, _NO_UPDATES, _NO_PLUGINS)
_TOOLS: Final = Path(__file__).resolve().parents[2] / ".azlocal"
"""Where `make setup` puts the Pulumi CLI, and notes where that is from."""
_SALT: Final = re.compile(r"^encryptionsalt:")
_SECRET: Final = re.compile(r"^encryptionsalt:|^ *secure:", re.MULTILINE)
_KEYS: Final = re.compile(r"^ *azlocal:sshPublicKeys:", re.MULTILINE)


@dataclass(frozen=True)
class Chosen:
    """The choices for one stack of a project.

    Attributes:
        stack: the stack's name.
        directory: the folder of Pulumi.yaml.
        variables: the environment in which they are made.
        makes: whether what isn't there yet is made, and told; else no stack can be there either.
        is_apart: whether the state is the folder's own, whatever backend the user has for others.
    """

    stack: str
    directory: Path
    variables: MutableMapping[str, str]
    makes: bool = True
    is_apart: bool = False

    def make(self) -> None:
        """Make the choices.

        Raises:
            UserError: the stack's file has secrets of a passphrase that isn't here; or there is no state at all,
                and none is to be made.
        """
        self.variables.pop("PYTHONDONTWRITEBYTECODE", None)  # our code is started many times
        self._choose_path()
        self.variables[_NO_UPDATES] = "true"
        # Where Pulumi's downloads can't be reached, looking for plugins there costs seconds and finds nothing.
        if _text(_TOOLS / "pulumi-source").strip() == "built":
            self.variables[_NO_PLUGINS] = "true"
        self._choose_backend()
        self._choose_ssh_key()

    def exports(self) -> Iterator[str]:
        """Yield lines for a shell that make the same choices there."""
        folders = ":".join(shlex.quote(str(folder)) for folder in _folders())
        yield f'export PATH={folders}:"$PATH"'
        for name in _VARIABLES:
            if self.variables.get(name):
                yield f"export {name}={shlex.quote(self.variables[name])}"

    @contextmanager
    def kept_stack_file(self) -> Iterator[None]:
        """Take the salt of our own passphrase, which the engine writes into the stack's file, out of it again.

        To anyone else it is worth nothing, and every checkout would have a changed file; the engine makes a new
        one at need. Where the file has secrets it stays.
        """
        before = _text(self._file)
        is_ours = self.variables.get(_PASSPHRASE_FILE) == str(self._own / "passphrase")
        if not is_ours or not self._file.is_file() or _SECRET.search(before):
            yield
            return
        try:
            yield
        finally:
            now = _text(self._file)
            if now != before and any(map(_SALT.match, now.splitlines())) and _settings(now) == _settings(before):
                self._file.write_text(before, encoding="utf-8")

    @property
    def _own(self) -> Path:
        return self.directory / ".azlocal"

    @property
    def _file(self) -> Path:
        return self.directory / f"Pulumi.{self.stack}.yaml"

    def _choose_path(self) -> None:
        there = self.variables.get("PATH", os.defpath).split(os.pathsep)
        missing = [str(folder) for folder in _folders() if folder.is_dir() and str(folder) not in there]
        self.variables["PATH"] = os.pathsep.join([*missing, *there])

    def _choose_backend(self) -> None:
        if not self.is_apart and self._has_backend():
            return
        state = self._own / "state"
        if not state.is_dir():
            if not self.makes:
                raise no_such_stack(self.stack)
            if not self.is_apart:
                say(f"state: in .azlocal/state, since no Pulumi backend is logged in to and {BACKEND} is not set")
            state.mkdir(parents=True)
        self.variables[BACKEND] = f"file://{state}"
        self._choose_passphrase()

    def _has_backend(self) -> bool:
        named = self.variables.get(BACKEND) or self.variables.get("PULUMI_ACCESS_TOKEN")
        return bool(named or self._logged_in_to())

    def _choose_passphrase(self) -> None:
        """Choose one for our own state only: a random one in a state that is shared would lock the others out."""
        if _PASSPHRASE in self.variables or self.variables.get(_PASSPHRASE_FILE):
            return
        file = self._own / "passphrase"
        if not _text(file):
            if not self.makes:
                return
            if any(map(_SALT.match, _text(self._file).splitlines())):
                raise UserError(
                    f"{self._file.name} has an encryptionsalt, so its secrets were encrypted with a passphrase "
                    f"that this checkout does not have.\nSet {_PASSPHRASE} or {_PASSPHRASE_FILE} to it; "
                    "or, if the file has no 'secure:' values, remove the line."
                )
            say(f"secrets: a new random passphrase in .azlocal/passphrase, since {_PASSPHRASE} is not set")
            replace_file(file, base64.b64encode(secrets.token_bytes(32)) + b"\n", mode=0o600)
        self.variables[_PASSPHRASE_FILE] = str(file)

    def _choose_ssh_key(self) -> None:
        """Choose the key that the program takes where the stack names none and the user has none."""
        if self.variables.get(MADE_KEY) or _KEYS.search(_text(self._file)):
            return
        if any((self._home / name.removeprefix("~/")).is_file() for name in DEFAULT_KEYS):
            return
        key = self._own / "ssh" / "id_ed25519"
        public = key.with_suffix(".pub")
        if not public.is_file():
            if not self.makes:
                return
            say(
                "SSH: a new key pair, .azlocal/ssh/id_ed25519, since there is none in ~/.ssh and "
                f"{self._file.name} names none"
            )
            key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            key.unlink(missing_ok=True)
            name = f"azlocal@{os.uname().nodename}"
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)]
            if subprocess.run(command, check=False).returncode != 0:
                raise UserError(f"no SSH key can be made at {key}: `ssh-keygen` says why")
        self.variables[MADE_KEY] = str(public)

    def _logged_in_to(self) -> str:
        home = Path(self.variables.get("PULUMI_HOME") or self._home / ".pulumi")
        try:
            return str(json.loads(_text(home / "credentials.json") or "{}").get("current") or "")
        except (ValueError, AttributeError):
            return ""  # the engine says what is wrong with it

    @property
    def _home(self) -> Path:
        return Path(self.variables.get("HOME") or Path.home())


def _folders() -> tuple[Path, Path]:
    """Return where the Pulumi CLI and our own commands are."""
    return _TOOLS / "bin", Path(sys.executable).parent


def _settings(text: str) -> object:
    """Return what a stack's file says beside the salt; the engine indents lists in a way of its own."""
    import yaml  # only where the engine has written into the file

    try:
        return {name: value for name, value in yaml.safe_load(text).items() if name != "encryptionsalt"}
    except (yaml.YAMLError, AttributeError):
        return text


def _text(path: Path) -> str:
    """Return a file's text; empty where there is none that can be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
