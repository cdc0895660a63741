"""Settings that the programs of a later version don't take are refused, each with where it stands."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.image.bundle import Bundle
from infra.image.bundle.programs import Program, ProgramUnusable
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.settings_in_use import Setting
from infra.provider import settings_check
from infra.provider.settings_check import SettingsCheck

MAP, STATIC = "ConfigMap kube-system/kubeadm-config, apiServer.extraArgs", "static pod kube-apiserver-cp-0"
SETTINGS = [
    Setting("kube-apiserver", "--v=4", (MAP, STATIC)),
    Setting("kube-apiserver", "--feature-gates=Gone=true", (MAP,)),
    Setting("kube-apiserver", "--by-hand=1", (STATIC,)),
    Setting("etcd", "--gone=1", (MAP,)),
]


def bundle(version: str) -> Bundle:
    return Bundle("modules", "d", version, Path(), {}, {})


@dataclass
class Programs:
    """Programs that refuse some arguments each; `runs` counts how often they ran."""

    refused: Mapping[str, Sequence[str]]
    unusable: bool = False
    runs: list[Sequence[str]] = field(default_factory=list)

    @contextmanager
    def open(self, of: Bundle, name: str) -> Iterator[Program]:
        if self.unusable:
            raise ProgramUnusable(name, "Exec format error")
        programs = self

        class Fake(Program):
            def refusal(self, arguments: Sequence[str]) -> str:
                programs.runs.append(arguments)
                wrong = [each for each in arguments if each in programs.refused.get(of.kubernetes_version, ())]
                return f"no {wrong[0]}" if wrong else ""

            def run(self, arguments: Sequence[str], content: str = "") -> subprocess.CompletedProcess[str]:
                if self.name == "kubeadm":
                    assert f"kubernetesVersion: v{self.version}" in content
                    error = "W1 a warning\nerror: featureGates: Nope is not valid.\nTo see more\n"
                    return subprocess.CompletedProcess(arguments, "Nope" in content, "", error)
                return subprocess.CompletedProcess(arguments, 0, "dns.errors\nforward\n", "")

        yield Fake(name, of.kubernetes_version, "")


def checked(
    monkeypatch: pytest.MonkeyPatch,
    programs: Programs,
    corefile: str = "",
    settings: Any = SETTINGS,
    kubeadm: Any = None,
) -> tuple[list[str], list[str]]:
    monkeypatch.setattr(settings_check, "look_at_settings", lambda _: settings)
    monkeypatch.setattr(settings_check, "look_at_corefile", lambda _: corefile)
    monkeypatch.setattr(settings_check, "look_at_kubeadm", lambda _: kubeadm)
    warnings: list[str] = []
    check = SettingsCheck([bundle("1.33.5"), bundle("1.34.4")], warnings.append, programs.open)
    return check.objections(ClusterApi.__new__(ClusterApi)), warnings


def test_programs_that_take_everything_run_once_for_each_version(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = Programs({})
    assert checked(monkeypatch, programs, ".:53 {\n errors\n forward . 1.1.1.1\n}") == ([], [])
    assert len(programs.runs) == 4, "two components of two versions"


def test_what_only_the_last_version_refuses_is_refused_before_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Programs({"1.34.4": ["--feature-gates=Gone=true", "--gone=1"]})
    against, warnings = checked(monkeypatch, refused)
    assert warnings == []
    etcd, gate = against
    assert etcd.startswith(
        "etcd of Kubernetes 1.34.4 doesn't start with --gone=1: no --gone=1. It stands in " + MAP
    )
    assert etcd.endswith("(removed-flag)")
    assert "kube-apiserver of Kubernetes 1.34.4 doesn't start with --feature-gates=Gone=true" in gate
    assert gate.endswith("(removed-feature-gate)")


def test_what_was_only_written_into_a_static_pod_does_not_come_along_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    against, (warning,) = checked(monkeypatch, Programs({"1.33.5": ["--by-hand=1"]}))
    assert against == []
    assert warning.startswith(f"{STATIC} has --by-hand=1, written there by hand")


def test_a_plugin_that_the_new_core_dns_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    against, _ = checked(monkeypatch, Programs({}), ".:53 {\n errors\n route53 x\n}", [])
    assert [each.partition(",")[0] for each in against] == [
        f"CoreDNS that comes with Kubernetes {version} has no plugin route53" for version in ("1.33.5", "1.34.4")
    ]
    assert "(removed-plugin)" in against[0]


def test_what_kubeadm_to_come_does_not_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kubeadm = {"kubernetesVersion": "v1.32.9", "featureGates": {"Nope": True}}
    against, warnings = checked(monkeypatch, Programs({}), settings=[], kubeadm=kubeadm)
    assert warnings == []
    assert [each.partition(":")[0] for each in against] == [
        f"kubeadm of Kubernetes {version} doesn't take ConfigMap kube-system/kubeadm-config"
        for version in ("1.33.5", "1.34.4")
    ]
    assert ": featureGates: Nope is not valid. Change it there first" in against[0]


def test_programs_that_do_not_run_here_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    against, warnings = checked(monkeypatch, Programs({}, unusable=True), ".:53 {\n errors\n}")
    assert against == []
    assert len(warnings) == 2 * 3
    assert "nobody knows whether etcd of Kubernetes 1.33.5 takes" in warnings[0]
    assert "Exec format error" in warnings[0]
