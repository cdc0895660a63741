"""What a cluster tells the components of Kubernetes beside its own version's defaults, and where that stands.

New nodes take it from there: control planes from kubeadm's ClusterConfiguration, kubelets from kubelet-config,
kube-proxy's pods from their own. What was written into a static pod by hand doesn't come along to the machine that
replaces it; it counts all the same, since somebody wanted it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from infra.kubernetes.api import ClusterApi

_SYSTEM: Final = "/api/v1/namespaces/kube-system"
_STATIC: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
_GATES: Final = "--feature-gates="

# Sections of kubeadm's ClusterConfiguration, with the component that each is of.
_SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "kube-apiserver": ("apiServer",),
    "kube-controller-manager": ("controllerManager",),
    "kube-scheduler": ("scheduler",),
    "etcd": ("etcd", "local"),
}
_GATES_OF: Final[Mapping[str, tuple[str, str]]] = {
    "kubelet": ("kubelet-config", "kubelet"),
    "kube-proxy": ("kube-proxy", "config.conf"),
}


@dataclass(frozen=True)
class Setting:
    """An argument that a component has, or is to have on the next node.

    Attributes:
        component: The program's name.
        argument: `--name=value`; of feature gates a single one.
        places: Where it stands.
    """

    component: str
    argument: str
    places: tuple[str, ...]

    @property
    def is_gate(self) -> bool:
        """Return whether it switches a feature on or off."""
        return self.argument.startswith(_GATES)

    @property
    def name(self) -> str:
        """Return the flag's name, or the feature gate's, as people write it."""
        return self.argument.removeprefix(_GATES) if self.is_gate else self.argument


def look_at_settings(api: ClusterApi) -> list[Setting]:
    """Return what a cluster tells its components.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    kubeadm = look_at_kubeadm(api)
    gates = {component: _document(api, *place) for component, place in _GATES_OF.items()}
    pods = api.items(f"{_SYSTEM}/pods", labelSelector="tier=control-plane")
    return settings_of(kubeadm, gates, pods)


def look_at_kubeadm(api: ClusterApi) -> dict[str, Any]:
    """Return the ClusterConfiguration, of which kubeadm makes new nodes; empty where there is none.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    return _document(api, "kubeadm-config", "ClusterConfiguration")


def look_at_corefile(api: ClusterApi) -> str:
    """Return CoreDNS's configuration; empty where there is none.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    stands = api.find(f"{_SYSTEM}/configmaps/coredns") or {}
    text: str = (stands.get("data") or {}).get("Corefile", "")
    return text


def settings_of(
    kubeadm: Mapping[str, Any], gates: Mapping[str, Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]
) -> list[Setting]:
    """Return what a cluster tells its components. Pure.

    Args:
        kubeadm: Its ClusterConfiguration.
        gates: The configurations of kubelet and kube-proxy, by component.
        pods: Those of control planes in kube-system.
    """
    places: dict[tuple[str, str], dict[str, None]] = {}
    for component, argument, place in _all(kubeadm, gates, pods):
        for each in _apart(argument):
            places.setdefault((component, each), {})[place] = None
    return [Setting(component, argument, tuple(where)) for (component, argument), where in places.items()]


def _all(
    kubeadm: Mapping[str, Any], gates: Mapping[str, Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, str, str]]:
    for component, path in _SECTIONS.items():
        section: Any = kubeadm
        for key in path:
            section = (section or {}).get(key)
        where = f"ConfigMap kube-system/kubeadm-config, {'.'.join(path)}.extraArgs"
        for name, value in _arguments((section or {}).get("extraArgs")):
            yield component, f"--{name}={value}", where
    for component, configuration in gates.items():
        where = f"ConfigMap kube-system/{_GATES_OF[component][0]}, featureGates"
        for name, value in (configuration.get("featureGates") or {}).items():
            yield component, f"{_GATES}{name}={str(value).lower()}", where
    for pod in pods:
        for container in pod["spec"]["containers"]:
            if container["name"] in _STATIC:
                for argument in [*(container.get("command") or ())[1:], *(container.get("args") or ())]:
                    if argument.startswith("--"):
                        yield container["name"], argument, f"static pod {pod['metadata']['name']}"


def _arguments(extra: Any) -> Iterator[tuple[str, str]]:
    """Yield names and values: a list since kubeadm's v1beta4, a mapping before."""
    if isinstance(extra, Mapping):
        yield from extra.items()
        return
    for each in extra or ():
        yield each["name"], each.get("value", "")


def _apart(argument: str) -> Iterator[str]:
    """Yield an argument; of several feature gates each by itself."""
    if argument.startswith(_GATES):
        for gate in filter(None, argument.removeprefix(_GATES).split(",")):
            yield f"{_GATES}{gate}"
    else:
        yield argument


def _document(api: ClusterApi, name: str, key: str) -> dict[str, Any]:
    stands = api.find(f"{_SYSTEM}/configmaps/{name}") or {}
    document = yaml.safe_load((stands.get("data") or {}).get(key, "")) or {}
    return document if isinstance(document, dict) else {}


_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s"]\S*')


def plugins_of(corefile: str) -> set[str]:
    """Return the plugins that a Corefile names: what lines begin with, directly in a server's braces. Pure."""
    plugins, depth = set(), 0
    for line in corefile.splitlines():
        for position, token in enumerate(_TOKEN.findall(line)):
            if token.startswith("#"):
                break
            if token == "}":  # noqa: S105 - a brace
                depth -= 1
            elif token == "{":  # noqa: S105 - a brace
                depth += 1
            elif position == 0 and depth == 1:
                plugins.add(token)
    return plugins - {"import"}
