"""Kubeconfigs: several clusters' in one file, a cluster's into a user's own, and one without a place on disk."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from infra.errors import UserError
from infra.files import replace_file
from infra.go_yaml import go_yaml
from infra.kubernetes.memory_file import MemoryFile

CONTENTS: Final = {
    "certificate-authority-data": "certificate-authority",
    "client-certificate-data": "client-certificate",
    "client-key-data": "client-key",
}
"""Contents that a kubeconfig may carry, and the field that names a file with the same."""

_LISTS: Final = ("clusters", "users", "contexts")


def merge_kubeconfigs(texts: Iterable[str]) -> str:
    """Return one kubeconfig with every cluster of several; the first one's context is the current one."""
    merged: dict[str, Any] = {}
    for text in texts:
        merged = _merge(merged, yaml.safe_load(text))
    return go_yaml(merged)


def select_cluster(text: str, context: str) -> str:
    """Return a kubeconfig with one context of another, which becomes the current one.

    Raises:
        UserError: There is no such context.
    """
    content = yaml.safe_load(text)
    contexts = {entry["name"]: entry["context"] for entry in content["contexts"]}
    if context not in contexts:
        raise UserError(f"there is no cluster {context!r}; there are {', '.join(sorted(contexts)) or 'none'}")
    names = {"clusters": contexts[context]["cluster"], "users": contexts[context]["user"], "contexts": context}
    chosen = {
        key: [entry for entry in content[key] if entry["name"] == names[key]] if key in names else value
        for key, value in content.items()
    }
    return go_yaml(chosen | {"current-context": context})


def default_file() -> Path:
    """Return the file that kubectl writes to: the first that KUBECONFIG names, else the user's own."""
    named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return Path(named[0]) if named else Path.home() / ".kube" / "config"


def merge_into_file(path: Path, text: str, *, switch: bool = True) -> None:
    """Put a kubeconfig's clusters into a file that only its owner may read; all else in it stays.

    The file is replaced as a whole: who reads it meanwhile sees the old one or the new one.

    Args:
        path: The file.
        text: The kubeconfig.
        switch: Whether its current context becomes the file's.

    Raises:
        UserError: What is there is no kubeconfig.
    """
    new = yaml.safe_load(text)
    _rewrite(path, _merge(_read(path), new) | ({"current-context": new["current-context"]} if switch else {}))


def merged_contexts(path: Path, names: Iterable[str]) -> list[str]:
    """Return which of these contexts a file has as `merge_into_file` writes them.

    Raises:
        UserError: What is there is no kubeconfig.
    """
    listed = {entry.get("name"): entry.get("context") or {} for entry in _read(path).get("contexts") or []}
    return [
        name
        for name in names
        if name in listed and (listed[name].get("cluster"), listed[name].get("user")) == (name, user_of(name))
    ]


def remove_from_file(path: Path, names: Iterable[str]) -> None:
    """Take contexts away that `merge_into_file` has put there, with their clusters and users.

    Raises:
        UserError: What is there is no kubeconfig.
    """
    content, gone = _read(path), set(names)
    users = {user_of(name) for name in gone}
    for key in _LISTS:
        named = users if key == "users" else gone
        content[key] = [entry for entry in content.get(key) or [] if entry["name"] not in named]
    if content.get("current-context") in gone:
        content["current-context"] = ""
    _rewrite(path, content)


def user_of(context: str) -> str:
    """Return what the user of a cluster's context is called."""
    return f"{context}-administrator"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML, so nothing was changed in it: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no kubeconfig, so nothing was changed in it")
    return content


def _rewrite(path: Path, content: dict[str, Any]) -> None:
    target = path.resolve()  # a link, to a synchronised folder say, stays one
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(target, go_yaml(content), 0o600)


def in_memory(config: Mapping[str, Any], files: list[MemoryFile]) -> dict[str, Any]:
    """Return the kubeconfig with its contents in files that only this process can open.

    The client wants certificates and keys as files, and would write them to a folder that outlives it.

    Args:
        config: a kubeconfig.
        files: what is opened is added here; to be closed when nobody connects any more.

    Raises:
        UserError: a content isn't base64; the message never repeats it.
    """

    def moved(section: Mapping[str, Any]) -> dict[str, Any]:
        result = dict(section)
        for content, name in CONTENTS.items():
            if result.get(content):
                try:
                    decoded = base64.b64decode(result.pop(content), validate=False)
                except binascii.Error as error:
                    raise UserError(f"the kubeconfig's {content} is not base64") from error
                files.append(MemoryFile(name, decoded))
                result[name] = files[-1].path
        return result

    return {
        **config,
        "clusters": [{**entry, "cluster": moved(entry["cluster"])} for entry in config["clusters"]],
        "users": [{**entry, "user": moved(entry["user"])} for entry in config["users"]],
    }


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = {"apiVersion": "v1", "kind": "Config"} | old
    for key in _LISTS:
        names = {entry["name"] for entry in new.get(key) or []}
        others = [entry for entry in old.get(key) or [] if entry["name"] not in names]
        merged[key] = [*others, *(new.get(key) or [])]
    merged.setdefault("current-context", new.get("current-context", ""))
    return merged
