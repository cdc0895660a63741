"""Which SSH keys may log in to an instance's machines, and where their private halves are on this machine."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.spec import InstanceSpec

DEFAULT_KEYS = ("~/.ssh/id_ed25519.pub", "~/.ssh/id_ecdsa.pub", "~/.ssh/id_rsa.pub")
MADE_KEY = "AZLOCAL_SSH_PUBLIC_KEY_FILE"
"""The variable that names the key which `make up` made for somebody who has none."""


def login_keys(spec: InstanceSpec, variables: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the keys that the stack names (text or path), else the user's own, else the one `make up` made."""
    return spec.stack.ssh_public_keys or _found_key(variables)


def identity_files(spec: InstanceSpec, variables: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the private halves of the login keys that are files here."""
    paths = (
        spec.directory / Path(key).expanduser() for key in login_keys(spec, variables) if key.endswith(".pub")
    )
    return tuple(str(path.with_suffix("")) for path in paths if path.with_suffix("").is_file())


def _found_key(variables: Mapping[str, str]) -> tuple[str, ...]:
    candidates = [*DEFAULT_KEYS, variables.get(MADE_KEY, "")]
    return tuple(
        itertools.islice(
            (candidate for candidate in candidates if candidate and Path(candidate).expanduser().is_file()), 1
        )
    )
