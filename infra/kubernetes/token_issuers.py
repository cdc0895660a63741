"""Which issuer API servers name in tokens of service accounts, and whose tokens they take. Pure but for kubeadm's.

The first `service-account-issuer` is named in new tokens, and tokens of all of them are taken, so that those that
are out stay valid. kubeadm keeps the flags for control planes that join later, but 1.32 and 1.33 write flags of
one name in the order of their values: what a joined one has is put in order afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import yaml

from infra.kubernetes.api import ClusterApi

OWN: Final = "https://kubernetes.default.svc.cluster.local"
"""What kubeadm has API servers name."""

MOST_HOURS: Final = 24
"""As long as Microsoft has tokens live at most (Arc-enabled Kubernetes, workload identity)."""

_ISSUER: Final = "service-account-issuer"
_LONGEST: Final = "service-account-max-token-expiration"
_FLAGS: Final = (_ISSUER, _LONGEST)
_KUBEADM: Final = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
_CONTAINER: Final = "kube-apiserver"


def accepted(first: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return whose tokens are taken, in the order of their flags, once new ones name an issuer."""
    return tuple(dict.fromkeys((first, *(issuer for issuer in known if issuer), OWN)))


def issuers_of(manifest: str) -> tuple[str, ...]:
    """Return the issuers that an API server's manifest names, in its order.

    Raises:
        ValueError: It is no manifest of an API server.
    """
    prefix = f"--{_ISSUER}="
    return tuple(
        argument.removeprefix(prefix) for argument in _command(manifest)[1] if argument.startswith(prefix)
    )


def with_issuers(manifest: str, issuers: Sequence[str]) -> str:
    """Return an API server's manifest with these issuers; the same text where it has them.

    Args:
        manifest: As it stands on a control plane.
        issuers: In the order of their flags; where kubeadm's own is the first, without a bound on tokens' life.

    Raises:
        ValueError: It is no manifest of an API server.
    """
    pod, command = _command(manifest)
    wanted = [f"--{name}={value}" for name, value in _flags(issuers)]
    others = [argument for argument in command if not argument.startswith(tuple(f"--{flag}=" for flag in _FLAGS))]
    present = [argument for argument in command if argument not in others]
    if present == wanted:
        return manifest
    command[:] = [*others, *wanted]
    return yaml.safe_dump(pod, sort_keys=False, width=2**16)


def known_to_kubeadm(api: ClusterApi) -> tuple[str, ...]:
    """Return the issuers that control planes get which join.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    flags = _settings(api.get(_KUBEADM))["apiServer"].get("extraArgs") or []
    return tuple(str(flag["value"]) for flag in flags if flag["name"] == _ISSUER)


def tell_kubeadm(api: ClusterApi, issuers: Sequence[str]) -> None:
    """Have control planes that join take these issuers.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """

    def patch(stands: dict[str, Any]) -> dict[str, Any] | None:
        settings = _settings(stands)
        changed = with_flags(settings, issuers)
        if changed == settings:
            return None
        text = yaml.safe_dump(changed, sort_keys=True)
        version = {"resourceVersion": stands["metadata"]["resourceVersion"]}
        return {"metadata": version, "data": {"ClusterConfiguration": text}}

    api.change(_KUBEADM, patch)


def with_flags(settings: Mapping[str, Any], issuers: Sequence[str]) -> dict[str, Any]:
    """Return kubeadm's ClusterConfiguration with these issuers. Pure."""
    server = settings.get("apiServer") or {}
    others = [flag for flag in server.get("extraArgs") or [] if flag["name"] not in _FLAGS]
    flags = [{"name": name, "value": value} for name, value in _flags(issuers)]
    return {**settings, "apiServer": {**server, "extraArgs": [*others, *flags]}}


def _flags(issuers: Sequence[str]) -> list[tuple[str, str]]:
    named = [(_ISSUER, issuer) for issuer in issuers]
    return named if issuers[0] == OWN else [*named, (_LONGEST, f"{MOST_HOURS}h0m0s")]


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((config.get("data") or {}).get("ClusterConfiguration", "{}"))
    return settings


def _command(manifest: str) -> tuple[dict[str, Any], list[str]]:
    """Return a manifest's pod, and of it the list that starts the API server."""
    try:
        pod = yaml.safe_load(manifest)
        containers = pod["spec"]["containers"]
        command = next(container for container in containers if container["name"] == _CONTAINER)["command"]
    except (yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise ValueError("it is no manifest of an API server") from error
    return pod, command
