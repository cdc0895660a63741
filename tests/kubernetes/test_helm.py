"""The helm program: what it is given, what of its words is told, and how it is stopped. Here a script plays it."""

from __future__ import annotations

import gzip
import json
import os
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.errors import Interrupted, UserError
from infra.kubernetes.helm import Deployed, Helm, HelmFailed, find_helm, stored_release, stored_releases
from infra.model.work import Work
from tests.waiting import waits_less_than

Play = Callable[[str], Helm]

CONFIG = {"users": [{"user": {"token": "canary-config"}}]}


@pytest.fixture
def play(tmp_path: Path) -> Callable[[str], Helm]:
    """Return helm whose program is a script."""

    def written(script: str) -> Helm:
        program = tmp_path / "helm"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        environment = {
            "AZLOCAL_HELM": str(program),
            "PATH": os.environ["PATH"],
            "PULUMI_CONFIG_PASSPHRASE": "canary",
        }
        return Helm(CONFIG, environment, {"HELM_DRIVER": "secret"})

    return written


def test_values_come_on_standard_input_and_the_kubeconfig_from_memory(play: Play) -> None:
    helm = play('cat; cat "$KUBECONFIG"; echo "$HELM_DRIVER ${PULUMI_CONFIG_PASSPHRASE-unset}"')
    said = helm.run(["upgrade"], Work(), stdin='{"a": 1}')
    assert said == '{"a": 1}' + json.dumps(CONFIG) + "secret unset\n"


def test_warnings_are_no_error(play: Play) -> None:
    helm = play("echo 'WARNING: Kubernetes configuration file is group-readable' >&2; echo fine")
    assert helm.run(["list"], Work()) == "fine\n"


def test_an_error_is_told_without_the_warnings_before_it_and_without_secrets(play: Play) -> None:
    helm = play("echo 'WARNING: group-readable' >&2; echo 'Error: no canary-1 here' >&2; exit 1")
    with pytest.raises(HelmFailed) as caught:
        helm.run(["upgrade"], Work(), hidden=["canary-1"])
    assert str(caught.value) == "no [secret] here"


def test_a_helm_that_says_nothing_is_told_by_its_exit_code(play: Play) -> None:
    with pytest.raises(HelmFailed, match="helm upgrade exited 3"):
        play("exit 3").run(["upgrade"], Work())


def test_it_is_stopped_on_request(play: Play) -> None:
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    with waits_less_than(60), pytest.raises(Interrupted, match="helm pull"):
        play("exec sleep 60").run(["pull"], Work(cancelled=cancelled))


def test_it_is_stopped_when_its_time_is_over(play: Play) -> None:
    with pytest.raises(HelmFailed, match="didn't end in time"):
        play("exec sleep 60").run(["pull"], Work().within(0.3))


def test_the_releases_of_a_name_are_found_in_every_namespace(play: Play) -> None:
    found = [{"name": "azure-arc", "namespace": "x", "status": "failed", "chart": "c-1"}]
    (release,) = play(f"test \"$3\" = --all-namespaces && echo '{json.dumps(found)}'").releases(
        "azure-arc", Work()
    )
    assert (release.namespace, release.status, release.chart) == ("x", "failed", "c-1")


def record(revision: int, status: str, *, packed: bool = True) -> dict[str, object]:
    """Return a Secret as helm keeps a revision in it."""
    release = {
        "name": "metallb",
        "namespace": "metallb-system",
        "version": revision,
        "info": {"status": status, "description": "Install complete"},
        "chart": {"metadata": {"name": "metallb", "version": "0.15.2", "appVersion": "v0.15.2"}, "templates": []},
        "config": {"replicas": 2.0},
        "manifest": "kind: Secret",
    }
    text = json.dumps(release).encode()
    data = b64encode(b64encode(gzip.compress(text) if packed else text)).decode()
    labels = {"name": "metallb", "version": str(revision)}
    return {"metadata": {"namespace": "metallb-system", "labels": labels}, "data": {"release": data}}


@pytest.mark.parametrize("packed", [True, False])
def test_a_release_is_read_from_its_newest_record(packed: bool) -> None:
    records = [record(9, "superseded", packed=packed), record(10, "deployed", packed=packed)]
    assert stored_release(records) == Deployed(
        name="metallb",
        namespace="metallb-system",
        revision=10,
        status="deployed",
        description="Install complete",
        chart="metallb",
        chart_version="0.15.2",
        app_version="v0.15.2",
        values={"replicas": 2},
        manifest="kind: Secret",
    )


def test_releases_are_listed_in_their_last_revision() -> None:
    (release,) = stored_releases([record(10, "failed"), record(9, "deployed")])
    assert (release.namespace, release.status, release.chart) == ("metallb-system", "failed", "metallb-0.15.2")


def test_without_a_record_there_is_no_release() -> None:
    assert stored_release([]) is None
    assert stored_releases([]) == []


def test_a_machine_without_helm_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.image.bundle.find_bundle", lambda: None)
    with pytest.raises(UserError, match="azlocal image build"):
        find_helm({"PATH": "/nonexistent"})
