"""Whether the programs of the versions that a cluster goes to take what it tells them: they are run and say so.

Before anything is changed: a control plane whose API server doesn't know a flag would join and never answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

import yaml

from infra.image.bundle import Bundle
from infra.image.bundle.programs import Program, ProgramUnusable, program
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.settings_in_use import (
    Setting,
    look_at_corefile,
    look_at_kubeadm,
    look_at_settings,
    plugins_of,
)
from infra.kubernetes.upgrade import with_version

_CORE_DNS: Final = "coredns"
_COREFILE: Final = "ConfigMap kube-system/coredns, Corefile"

Open = Callable[[Bundle, str], AbstractContextManager[Program]]
"""Yields a bundle's program, by its name."""


class SettingsCheck:
    """What a cluster tells its components, against the programs that are to come."""

    def __init__(
        self, bundles: Iterable[Bundle], warn: Callable[[str], None], open_program: Open = program
    ) -> None:
        """Take the programs.

        Args:
            bundles: Of each version that control planes pass, the next one first.
            warn: Told what is worth knowing, and keeps nobody from going on.
            open_program: Opens one of them.
        """
        self._bundles = [*bundles]
        self._warn = warn
        self._open = open_program

    def objections(self, api: ClusterApi) -> list[str]:
        """Return why the cluster can't go on as it is, a sentence for each setting and version.

        Raises:
            ClusterError: The API server doesn't answer, or refuses.
        """
        settings, plugins = look_at_settings(api), plugins_of(look_at_corefile(api))
        kubeadm = look_at_kubeadm(api)
        by_component = {
            component: [*of]
            for component, of in itertools.groupby(
                sorted(settings, key=lambda each: each.component), key=lambda each: each.component
            )
        }
        against: list[str] = []
        for bundle in self._bundles:
            against += self._refused(bundle, by_component)
            against += self._invalid(bundle, kubeadm)
            against += self._unknown_plugins(bundle, plugins)
        return against

    def _refused(self, bundle: Bundle, by_component: Mapping[str, list[Setting]]) -> Iterator[str]:
        for component, settings in by_component.items():
            try:
                with self._open(bundle, component) as known:
                    refused = [*refused_by(known, settings)]
            except ProgramUnusable as error:
                self._warn(
                    f"nobody knows whether {component} of Kubernetes {bundle.kubernetes_version} takes what the "
                    f"cluster tells it: {error.message}"
                )
                continue
            for setting, reason in refused:
                if any(place.startswith("ConfigMap") for place in setting.places):
                    yield _refusal(setting, reason, bundle.kubernetes_version)
                else:
                    self._warn(
                        f"{', '.join(setting.places)} has {setting.name}, written there by hand, with which "
                        f"{component} of Kubernetes {bundle.kubernetes_version} doesn't start: {reason}. The "
                        "machine that replaces it goes without"
                    )

    def _invalid(self, bundle: Bundle, configuration: Mapping[str, Any]) -> Iterator[str]:
        """Yield why kubeadm wouldn't make a node by its configuration in the cluster."""
        if not configuration:
            return
        text = yaml.safe_dump(with_version(configuration, bundle.kubernetes_version, {}))
        try:
            with self._open(bundle, "kubeadm") as kubeadm:
                done = kubeadm.run(["config", "validate", "--config=/dev/stdin"], text)
        except ProgramUnusable as error:
            self._warn(f"nobody knows whether kubeadm to come takes its configuration: {error.message}")
            return
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")] or [done.stderr]
            yield (
                f"kubeadm of Kubernetes {bundle.kubernetes_version} doesn't take ConfigMap "
                f"kube-system/kubeadm-config: {errors[0].removeprefix('error: ').rstrip('.')}. Change it there "
                "first: `kubectl --namespace kube-system edit configmap kubeadm-config` (kubeadm-configuration)"
            )

    def _unknown_plugins(self, bundle: Bundle, plugins: set[str]) -> Iterator[str]:
        if not plugins:
            return
        try:
            with self._open(bundle, _CORE_DNS) as dns:
                known = {word.removeprefix("dns.") for word in dns.run(["-plugins"]).stdout.split()}
        except ProgramUnusable as error:
            self._warn(f"nobody knows whether CoreDNS to come has all plugins of the Corefile: {error.message}")
            return
        for plugin in sorted(plugins - known):
            yield (
                f"CoreDNS that comes with Kubernetes {bundle.kubernetes_version} has no plugin {plugin}, which "
                f"{_COREFILE} names. Take it out there first: `kubectl --namespace kube-system edit configmap "
                "coredns` (removed-plugin)"
            )


def refused_by(known: Program, settings: list[Setting]) -> Iterator[tuple[Setting, str]]:
    """Yield which settings a program doesn't take, and its reason; where it takes all, it runs once.

    Raises:
        ProgramUnusable: It doesn't run here.
    """
    if known.refusal([setting.argument for setting in settings]):
        for setting in settings:
            if reason := known.refusal([setting.argument]):
                yield setting, reason


def _refusal(setting: Setting, reason: str, version: str) -> str:
    rule = "removed-feature-gate" if setting.is_gate else "removed-flag"
    return (
        f"{setting.component} of Kubernetes {version} doesn't start with {setting.argument}: {reason}. It stands "
        f"in {'; '.join(setting.places)}. Take it out of the ConfigMap first: new nodes get it from there ({rule})"
    )
