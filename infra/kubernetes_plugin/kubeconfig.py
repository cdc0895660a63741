"""Kubeconfigs: where they come from, which cluster they mean. No connection is made here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.errors import UserError
from infra.kubernetes.kubeconfig import CONTENTS
from infra.kubernetes_plugin.config import Settings


def load(settings: Settings, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the kubeconfig that the settings mean, reduced to the context they choose.

    Raises:
        UserError: there is none, or it isn't one; the message never repeats its content.
    """
    config = parse(settings.kubeconfig) if settings.kubeconfig else _ambient(environment)
    name = settings.context or config.get("current-context") or ""
    context = _named(config, "contexts", "context", name)
    if settings.cluster:
        context = {**context, "cluster": settings.cluster}
    cluster, user = str(context.get("cluster")), str(context.get("user"))
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": context}],
        "clusters": [{"name": cluster, "cluster": _named(config, "clusters", "cluster", cluster)}],
        "users": [{"name": user, "user": _named(config, "users", "user", user)}] if context.get("user") else [],
    }


def parse(path_or_content: str) -> dict[str, Any]:
    """Read a kubeconfig, from a file where the text is the path of one.

    Raises:
        UserError: it can't be read or isn't a kubeconfig.
    """
    where = "the provider's kubeconfig"
    text, folder = path_or_content, None
    if "\n" not in text and not text.lstrip().startswith("{"):
        path = Path(text).expanduser()
        where = str(path)
        try:
            text, folder = path.read_text(), path.absolute().parent
        except OSError as error:
            raise UserError(f"the kubeconfig {path} can't be read: {error.strerror}") from error
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # The parser's own message quotes the line, which may be a key.
        raise UserError(f"{where} is not YAML") from error
    if not isinstance(config, dict) or not isinstance(config.get("clusters"), list):
        raise UserError(f"{where} is not a kubeconfig: it has no list of clusters")
    if folder is not None:
        _resolve_files(config, folder)
    return config


def _resolve_files(config: Mapping[str, Any], folder: Path) -> None:
    """Make the files that a kubeconfig names relative to itself absolute, in place."""
    for section, key in (("clusters", "cluster"), ("users", "user")):
        for entry in config.get(section) or []:
            for name in {*CONTENTS.values(), "tokenFile"} & (entry.get(key) or {}).keys():
                entry[key][name] = str(folder / entry[key][name])


def _ambient(environment: Mapping[str, str]) -> dict[str, Any]:
    names = [name for name in environment.get("KUBECONFIG", "").split(os.pathsep) if name]
    candidates = [Path(name) for name in names] or [Path(environment.get("HOME", "/")) / ".kube" / "config"]
    merged: dict[str, Any] = {"clusters": [], "contexts": [], "users": []}
    existing = [path for path in candidates if path.exists()]
    if not existing:
        raise UserError(
            f"the provider names no kubeconfig, and there is none at {', '.join(map(str, candidates))}"
        )
    for path in existing:
        config = parse(str(path))
        for name in ("clusters", "contexts", "users"):
            merged[name] += config.get(name) or []
        merged.setdefault("current-context", config.get("current-context"))
    return merged


def _named(config: Mapping[str, Any], section: str, key: str, name: str) -> dict[str, Any]:
    for entry in config.get(section) or []:
        if entry.get("name") == name:
            value = entry.get(key)
            return dict(value) if isinstance(value, Mapping) else {}
    known = ", ".join(str(entry.get("name")) for entry in config.get(section) or []) or "none"
    raise UserError(f"the kubeconfig has no {key} named {name!r}; it has {known}")


def namespace(config: Mapping[str, Any]) -> str:
    """Return the namespace of a loaded kubeconfig's context."""
    return str(config["contexts"][0]["context"].get("namespace") or "default")


def server(config: Mapping[str, Any]) -> str:
    """Return the API server's URL of a loaded kubeconfig."""
    return str(config["clusters"][0]["cluster"].get("server") or "")


def active_cluster(values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the cluster that a provider's configuration means, None where that can't be told."""
    try:
        settings = Settings(
            kubeconfig=str(values.get("kubeconfig") or ""),
            context=str(values.get("context") or ""),
            cluster=str(values.get("cluster") or ""),
        )
        if not settings.kubeconfig:
            return None
        cluster: Mapping[str, Any] = load(settings, {})["clusters"][0]["cluster"]
    except UserError:
        return None
    return cluster
