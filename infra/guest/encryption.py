"""How a cluster's API servers encrypt Secrets in etcd: with XSalsa20 and Poly1305, by a key that the stack keeps.

AKS enabled by Azure Arc encrypts them by a KMS v2 plugin; `secretbox` is Kubernetes' own provider with a key in a
file (kubernetes.io: Encrypting Confidential Data at Rest).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Final

import yaml

from infra.go_yaml import go_yaml
from infra.model.encryption_keys import KEY_BYTES, key_name

FILE: Final = "encryption.yaml"
"""Its name beside the API server's other files (infra.guest.api_server)."""


def encryption_file(keys: Sequence[str]) -> str:
    """Return the API server's EncryptionConfiguration.

    Args:
        keys: Of 32 bytes each, in base64: the first one encrypts, all decrypt. One at least.
    """
    named = [{"name": key_name(key), "secret": key} for key in keys]
    return go_yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [
                {
                    "resources": ["secrets"],
                    # Last, to read what was written before there was a key.
                    "providers": [{"secretbox": {"keys": named}}, {"identity": {}}],
                }
            ],
        }
    )


def encryption_keys_of(text: str) -> tuple[str, ...]:
    """Return the keys that `encryption_file` was told.

    Raises:
        ValueError: It isn't a file of ours: with other keys than those, a new control plane couldn't read Secrets.
    """
    try:
        keys = tuple(key["secret"] for key in _secretbox(yaml.safe_load(text)))
        is_ours = bool(keys) and yaml.safe_load(encryption_file(keys)) == yaml.safe_load(text)
        is_ours = is_ours and all(len(b64decode(key, validate=True)) == KEY_BYTES for key in keys)
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, binascii.Error):
        is_ours = False
    if not is_ours:
        # Without what it says, and without the cause: both would show keys.
        raise ValueError(f"its {FILE} isn't as azlocal writes it") from None
    return keys


def _secretbox(content: Any) -> list[dict[str, str]]:
    keys: list[dict[str, str]] = content["resources"][0]["providers"][0]["secretbox"]["keys"]
    return keys
