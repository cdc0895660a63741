"""The inputs of a Helm release: which are served, and the command line they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from infra.errors import UserError
from infra.kubernetes.values import merged
from infra.kubernetes_plugin.errors import NotCovered
from infra.plugin.values import UNKNOWN, is_asset

DEFAULT_TIMEOUT: Final = 300
_FLAGS: Final = {
    "atomic": "--atomic",
    "cleanupOnFail": "--cleanup-on-fail",
    "createNamespace": "--create-namespace",
    "dependencyUpdate": "--dependency-update",
    "disableOpenapiValidation": "--disable-openapi-validation",
    "disableWebhooks": "--no-hooks",
    "forceUpdate": "--force",
    "renderSubchartNotes": "--render-subchart-notes",
    "resetValues": "--reset-values",
    "reuseValues": "--reuse-values",
    "skipCrds": "--skip-crds",
    "takeOwnership": "--take-ownership",
}
_TEXTS: Final = {"description": "--description", "postrender": "--post-renderer"}
_REPOSITORY: Final = {"repo": "--repo", "caFile": "--ca-file", "certFile": "--cert-file", "keyFile": "--key-file"}
_OTHERS: Final = frozenset(
    {
        "chart", "name", "namespace", "values", "valueYamlFiles", "version", "devel", "verify", "keyring",
        "timeout", "skipAwait", "waitForJobs", "maxHistory", "repositoryOpts", "allowNullValues",
    }
)  # fmt: skip
# Outputs that the SDK lets a program pass back in, and a constant it sends itself.
_DROPPED: Final = frozenset({"manifest", "resourceNames", "status", "checksum", "compat"})
_NOT_COVERED: Final = {
    "disableCRDHooks": "helm 3 has no such option",
    "lint": "",
    "recreatePods": "",
    "replace": "",
}


def faults(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the inputs that can't be served, each with the reason."""
    known = _FLAGS.keys() | _TEXTS.keys() | _OTHERS | _DROPPED
    unserved = [(name, str(NotCovered(f"{name} of a Release"))) for name in _NOT_COVERED if inputs.get(name)]
    unserved += [
        (name, f"{name}: a Release has no such input")
        for name in inputs
        if name not in known and name not in _NOT_COVERED
    ]
    if not inputs.get("chart"):
        unserved.append(("chart", "chart: a Release has to name its chart"))
    repository = inputs.get("repositoryOpts")
    if isinstance(repository, Mapping):
        unserved += [
            (f"repositoryOpts.{name}", str(NotCovered(f"repositoryOpts.{name} of a Release")))
            for name in repository
            if name not in _REPOSITORY and repository[name]
        ]
    return unserved


def normalised(inputs: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Return the inputs as they go into state: defaults filled in, files of values merged under `values`.

    Raises:
        UserError: a file of values can't be read.
    """
    normal = {k: v for k, v in inputs.items() if v is not None and k not in _DROPPED and k != "valueYamlFiles"}
    normal["namespace"] = normal.get("namespace") or namespace
    values = normal.get("values", {})
    files = inputs.get("valueYamlFiles") or []
    if files and values != UNKNOWN and files != UNKNOWN:
        base: dict[str, Any] = {}
        for file in files:
            base = merged(base, _read_values(file))
        values = merged(base, values)
    if values:
        normal["values"] = values
    if not normal.get("skipAwait"):
        normal.setdefault("timeout", DEFAULT_TIMEOUT)
    return normal


def _read_values(asset: Any) -> Mapping[str, Any]:
    if not is_asset(asset):
        raise NotCovered("a valueYamlFiles entry that is no asset")
    where, text = "an asset", asset.get("text")
    if asset.get("path"):
        where = str(asset["path"])
        try:
            text = Path(where).read_text()
        except OSError as error:
            raise UserError(f"valueYamlFiles: {where} can't be read: {error.strerror}") from error
    if text is None:
        raise NotCovered("a valueYamlFiles entry that is fetched from a URL")
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UserError(f"valueYamlFiles: {where} is not YAML") from error
    if not isinstance(values, Mapping):
        raise UserError(f"valueYamlFiles: {where} is no mapping")
    return values


def waits(inputs: Mapping[str, Any]) -> bool:
    """Return whether the release counts only once its objects are ready; `atomic` can't do without."""
    return bool(inputs.get("atomic")) or not inputs.get("skipAwait")


def seconds(inputs: Mapping[str, Any], custom: float) -> int:
    """Return the time that helm may take: customTimeouts, else the release's own."""
    return int(custom or inputs.get("timeout") or DEFAULT_TIMEOUT)


def chart_arguments(inputs: Mapping[str, Any], *, local: bool) -> list[str]:
    """Return the chart and where to look for it.

    Args:
        local: it is a folder or an archive, whose version is what it is.
    """
    arguments = [str(inputs["chart"])]
    if local:
        return arguments
    if inputs.get("version"):
        arguments += ["--version", str(inputs["version"])]
    elif inputs.get("devel"):
        arguments.append("--devel")
    repository = inputs.get("repositoryOpts") or {}
    for name, option in _REPOSITORY.items():
        if repository.get(name):
            arguments += [option, str(repository[name])]
    return arguments + _verification(inputs)


def _verification(inputs: Mapping[str, Any]) -> list[str]:
    if not inputs.get("verify"):
        return []
    return ["--verify", *(["--keyring", str(inputs["keyring"])] if inputs.get("keyring") else [])]


def upgrade_arguments(
    inputs: Mapping[str, Any], chart: Sequence[str], labels: Mapping[str, str], timeout: float
) -> list[str]:
    """Return the command that installs or upgrades a release; its values come on standard input."""
    command = ["upgrade", str(inputs["name"]), *chart, "--install", "--namespace", str(inputs["namespace"])]
    command += ["--values", "-", "--output", "json", "--timeout", f"{seconds(inputs, timeout)}s"]
    command += ["--history-max", str(inputs.get("maxHistory", 0))]
    command += [f"--labels={name}={value}" for name, value in labels.items()]
    command += [option for name, option in _FLAGS.items() if inputs.get(name)]
    for name, option in _TEXTS.items():
        if inputs.get(name):
            command += [option, str(inputs[name])]
    if waits(inputs):
        command.append("--wait")
        if inputs.get("waitForJobs"):
            command.append("--wait-for-jobs")
    return command
