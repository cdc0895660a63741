"""What is said when helm can't fetch or install the agents (facts §9: 10, 19, 29, 30). A script plays helm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.arc import agents
from infra.arc.agents import Agents
from infra.arc.charts import parse_chart
from infra.arc.errors import ArcError
from infra.model.work import Work

Play = Callable[[str], Agents]

CHART = parse_chart("mcr.microsoft.com/azurearck8s/batch1/stable/azure-arc-k8sagents:1.36.1")
CONFIG = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "canary-config"}}],
    }
)
CANARY = "canary-5e1d"
PULLED = 'while [ "$1" != --destination ]; do shift; done; touch "$2/azure-arc-k8sagents-1.36.1.tgz"; exit 0'
GROUP_READABLE = (
    "WARNING: Kubernetes configuration file is group-readable. This is insecure. Location: /home/u/.kube/config"
)


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return agents whose helm is a script, which notes each call."""
    monkeypatch.setattr(agents, "_BETWEEN_PULLS", 0.0)

    def written(script: str) -> Agents:
        program = tmp_path / "helm"
        program.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path / "calls"}\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("AZLOCAL_HELM", str(program))
        return Agents(CONFIG)

    return written


def install(found: Agents) -> None:
    found.install(CHART, {"a": 1}, ca_file=None, hidden=[CANARY], work=Work())


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().split()


def test_a_pull_that_fails_for_a_moment_is_tried_again(play: Play, tmp_path: Path) -> None:
    install(
        play(
            f'[ "$1" = pull ] || exit 0\n[ $(grep -c pull {tmp_path / "calls"}) -lt 3 ] || {{ {PULLED}; }}\n'
            "echo 'Error: unexpected EOF' >&2; exit 1"
        )
    )
    assert calls(tmp_path) == ["pull", "pull", "pull", "upgrade"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "failed to do request: Head https://mcr.microsoft.com/v2/: dial tcp 1.2.3.4:443: i/o timeout",
            ("reach https://mcr.microsoft.com", "HTTPS_PROXY", "HELMREGISTRY="),
        ),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            ("inspects TLS", "caFile", "SSL_CERT_FILE"),
        ),
        (
            'failed to perform "FetchReference" on source: mcr.microsoft.com/a/v2/azure-arc-k8sagents:1.36.1: not '
            "found",
            ("no such version", "agentVersion"),
        ),
    ],
    ids=["blocked", "inspected", "no such version"],
)
def test_a_chart_that_cannot_be_pulled_is_told_after_five_tries(
    play: Play, tmp_path: Path, said: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(ArcError) as caught:
        install(play(f"echo '{GROUP_READABLE}' >&2; echo 'Error: {said}' >&2; exit 1"))
    assert caught.value.rule == "agents-chart-pull"
    assert calls(tmp_path) == ["pull"] * 5
    assert f"{CHART.url} 1.36.1 can't be pulled: {said}" in caught.value.message
    assert all(word in caught.value.remedy for word in words)


def test_a_chinese_registry_that_is_not_there_is_told_with_the_way_to_name_the_documented_one(play: Play) -> None:
    wrong = parse_chart("mcr.microsoft.cn/azurearck8s/batch1/stable/azure-arc-k8sagents:1.36.1")
    found = play("echo 'Error: dial tcp: lookup mcr.microsoft.cn: no such host' >&2; exit 1")
    with pytest.raises(ArcError, match=r"https://mcr\.microsoft\.cn .*HELMREGISTRY=") as caught:
        found.install(wrong, {}, ca_file=None, hidden=[], work=Work())
    assert "no such host" in caught.value.message


def test_helms_warnings_do_not_hide_why_an_installation_failed(play: Play) -> None:
    found = play(
        f'[ "$1" != pull ] || {{ {PULLED}; }}\n'
        f"echo '{GROUP_READABLE}' >&2; echo 'Error: namespaces \"azure-arc\" is forbidden: {CANARY}' >&2; exit 1"
    )
    with pytest.raises(ArcError) as caught:
        install(found)
    assert caught.value.rule == "agents-helm"
    assert 'namespaces "azure-arc" is forbidden' in caught.value.message
    assert "run again" in caught.value.remedy
    assert "WARNING" not in str(caught.value)
    assert CANARY not in str(caught.value)


def test_warnings_alone_are_no_failure(play: Play, tmp_path: Path) -> None:
    install(play(f"echo '{GROUP_READABLE}' >&2\n[ \"$1\" != pull ] || {{ {PULLED}; }}"))
    assert calls(tmp_path) == ["pull", "upgrade"]
