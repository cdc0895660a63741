"""A cluster's Secrets as etcd has them: under which keys, and written again under the one in use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from infra.kubernetes.api import ClusterApi, Conflict, NotFound

PREFIX: Final = b"/registry/secrets/"
"""Where kubeadm's API servers keep Secrets in etcd."""

_UNDER: Final = re.compile(rb"k8s:enc:secretbox:v1:([^:]{1,253}):")
_AT_ONCE: Final = 8
_TRIES: Final = 5
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def keys_in_use(values: Iterable[bytes]) -> frozenset[str]:
    """Return under which keys Secrets are, by the keys' names; the empty name stands for those in plain.

    Args:
        values: Secrets as etcd has them.
    """
    matches = (_UNDER.match(value) for value in values)
    return frozenset(match[1].decode() if match else "" for match in matches)


def rewrite_secrets(api: ClusterApi) -> int:
    """Have an API server write every Secret again, by the key that it writes with; return how many there are.

    By a patch that changes nothing: whose key isn't the first one, the API server writes all the same. So nothing
    that somebody else writes meanwhile is undone, and nothing secret is told to us.

    Raises:
        ClusterError: One can't be written; those before it are.
    """
    listed = json.loads(api.send("GET", "/api/v1/secrets", accept=_LIST)).get("items") or []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(lambda each: _rewrite(api, each["metadata"]), listed):
            pass  # or what went wrong is raised
    return len(listed)


def _rewrite(api: ClusterApi, metadata: Mapping[str, Any]) -> None:
    path = f"/api/v1/namespaces/{metadata['namespace']}/secrets/{metadata['name']}"
    for remaining in reversed(range(_TRIES)):
        try:
            api.send("PATCH", path, {}, content_type="application/merge-patch+json", accept=_METADATA)
        except NotFound:
            return
        except Conflict:  # the API server itself tries some times
            if not remaining:
                raise
        else:
            return
