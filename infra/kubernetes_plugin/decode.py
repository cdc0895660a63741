"""The function `kubernetes:yaml:decode`, which `yaml.ConfigFile` and `yaml.ConfigGroup` are made of. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import yaml

from infra.errors import UserError
from infra.kubernetes.kinds import KindId
from infra.kubernetes_plugin.objects import metadata, with_metadata


class _Loader(yaml.SafeLoader):
    """Reads YAML as Kubernetes does: a date is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def decode_yaml(
    text: str, default_namespace: str, is_namespaced: Callable[[KindId], bool]
) -> list[dict[str, Any]]:
    """Return the objects of a manifest; what is empty or no object is left out.

    Raises:
        UserError: the text is not YAML.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise UserError(f"the manifest is not YAML: {error}") from error
    objects = []
    for obj in documents:
        if not isinstance(obj, dict) or not obj.get("kind") or not obj.get("apiVersion"):
            continue
        plain: dict[str, Any] = _plain(obj)
        if default_namespace and not metadata(plain).get("namespace"):
            id = KindId(str(plain["apiVersion"]), str(plain["kind"]))
            if is_namespaced(id):
                plain = with_metadata(plain, namespace=default_namespace)
        objects.append(plain)
    return objects


def _plain(value: Any) -> Any:
    """Return the value as JSON has it: every key a string."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key).lower(): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value
