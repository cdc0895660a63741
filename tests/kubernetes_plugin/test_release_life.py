"""Helm releases through the real engine, the real helm and a real API server."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.kubernetes_plugin.apiserver import ApiServer
from tests.kubernetes_plugin.charts import chart, packed
from tests.kubernetes_plugin.conftest import MakeProgram
from tests.waiting import eventually, waits_less_than

pytestmark = pytest.mark.engine

RELEASE = """
release = k8s.helm.v3.Release("release", name="{name}", namespace="{name}", create_namespace=True, chart={chart!r},
    values={values}, opts={options}{more})
pulumi.export("status", release.status)
pulumi.export("names", release.resource_names)
pulumi.export("version", release.version)
"""


def release(name: str, chart: Path, values: str = "{}", import_: str = "", **more: str) -> str:
    """Return a program with one release; `more` are further arguments, as source."""
    extra = "".join(f", {key}={value}" for key, value in more.items())
    options = f"Options(provider=provider, import_={import_!r})" if import_ else "here"
    return RELEASE.format(name=name, chart=str(chart), values=values, more=extra, options=options)


def settings(cluster: ApiServer, name: str) -> dict[str, str]:
    data: dict[str, str] = cluster.get(f"/api/v1/namespaces/{name}/configmaps/{name}-settings")["data"]
    return data


def test_a_release_lives_and_dies(make_program: MakeProgram, cluster: ApiServer, tmp_path: Path) -> None:
    root = chart(tmp_path)
    secret = 'pulumi.Output.secret("whispered-word")'
    program = make_program(release("rel", root, f'{{"colour": "blue", "password": {secret}}}'), apart=True)
    assert len(program.changes()["create"]) == 3
    run = program.up().expect()
    assert settings(cluster, "rel") == {"colour": "blue", "password": "whispered-word"}
    outputs = program.outputs()
    assert outputs["names"] == {"ConfigMap/v1": ["rel-settings"]}
    assert outputs["version"] == "1.2.3"
    assert outputs["status"] == {
        "name": "rel",
        "namespace": "rel",
        "revision": 1,
        "status": "deployed",
        "chart": "tiny",
        "version": "1.2.3",
        "appVersion": "9",
    }
    assert "whispered-word" not in json.dumps(program.state()) + run.output
    program.up("--expect-no-changes").expect()
    program.refresh("--expect-no-changes").expect()

    program.write_program(release("rel", root, f'{{"colour": "green", "password": {secret}}}'))
    changed = program.changes()["update"]
    assert [list(step["detailedDiff"]) for step in changed] == [["values.colour"]]
    program.up().expect()
    assert settings(cluster, "rel")["colour"] == "green"
    assert program.outputs()["status"]["revision"] == 2

    chart(tmp_path, version="1.3.0")
    assert [list(step["detailedDiff"]) for step in program.changes()["update"]] == [["version"]]
    program.up().expect()
    assert program.outputs()["status"]["version"] == "1.3.0"

    program.destroy().expect()
    assert cluster.helm("list", "-n", "rel", "--all", "-q") == ""


def test_an_archive_and_files_of_values(make_program: MakeProgram, cluster: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("colour: orange\npassword: from-file\n")
    files = f'[pulumi.FileAsset({str(tmp_path / "values.yaml")!r}), pulumi.StringAsset("colour: violet")]'
    text = release("packed", packed(chart(tmp_path)), '{"password": None}', value_yaml_files=files)
    program = make_program(text)
    program.up().expect()
    assert settings(cluster, "packed") == {"colour": "violet"}, "a null takes a value away"
    program.refresh("--expect-no-changes").expect()
    program.up("--expect-no-changes").expect()


def test_what_somebody_did_to_a_release_shows_and_is_undone(
    make_program: MakeProgram, cluster: ApiServer, tmp_path: Path
) -> None:
    root = chart(tmp_path)
    program = make_program(release("touched", root, '{"colour": "blue"}'))
    program.up().expect()
    cluster.helm("upgrade", "touched", str(root), "-n", "touched", "--set", "colour=black")
    program.refresh().expect()
    assert list(program.changes()["update"][0]["detailedDiff"]) == ["values.colour"]
    program.up().expect()
    assert settings(cluster, "touched")["colour"] == "blue"
    cluster.helm("uninstall", "touched", "-n", "touched")
    program.refresh().expect()
    assert len(program.changes()["create"]) == 1
    program.up().expect()
    assert settings(cluster, "touched")["colour"] == "blue"


def test_import_of_a_release(make_program: MakeProgram, cluster: ApiServer, tmp_path: Path) -> None:
    root = chart(tmp_path)
    cluster.helm("install", "old", str(root), "-n", "old", "--create-namespace", "--set", "colour=blue")
    program = make_program(release("old", root, '{"colour": "blue"}'))
    run = program.up()
    assert run.code != 0
    assert "the release old/old already exists" in run.output
    program.write_program(release("old", root, '{"colour": "blue"}', timeout="300", import_="old/old"))
    program.up().expect()
    assert settings(cluster, "old")["colour"] == "blue"


def test_a_release_that_fails_says_why_and_the_next_up_repairs_it(
    make_program: MakeProgram, cluster: ApiServer, tmp_path: Path
) -> None:
    root = chart(tmp_path, pod=True)
    program = make_program(release("failing", root, '{"image": "nowhere/none:1"}', timeout="3"))
    run = program.up()
    assert run.code != 0
    assert "the Helm release failing/failing didn't get ready" in run.output
    assert "Deployment failing/failing-app: waiting for its replicas: 0 of 1 available" in run.output
    assert program.resource("release")["initErrors"]
    program.write_program(release("failing", root, '{"image": "nowhere/none:1"}', skip_await="True"))
    program.up().expect()
    assert program.outputs()["status"]["status"] == "deployed"


def test_an_error_of_the_api_server_shows_no_secret(
    make_program: MakeProgram, cluster: ApiServer, tmp_path: Path
) -> None:
    values = '{"password": pulumi.Output.secret("whispered-word\\n: [")}'
    program = make_program(release("refused", chart(tmp_path, failing=True), values))
    run = program.up()
    assert run.code != 0
    assert "Not A Name" in run.output
    assert "whispered" not in run.output


def test_an_interrupted_install_is_finished_by_the_next_up(
    make_program: MakeProgram, cluster: ApiServer, tmp_path: Path
) -> None:
    root = chart(tmp_path, pod=True)
    program = make_program(release("cut", root, '{"image": "nowhere/none:1"}'))
    process = program.start("up", "--yes", "--skip-preview")
    wait_for_release(cluster, "cut", "pending-install")
    # Everything dies at once, as when the machine does: nobody marks the release as failed.
    (helm,) = processes("upgrade", "cut")
    os.kill(helm, signal.SIGSTOP)
    for pid in program.processes():
        os.kill(pid, signal.SIGKILL)
    os.kill(helm, signal.SIGKILL)
    process.communicate()
    assert "pending-install" in cluster.helm("list", "-n", "cut", "--pending")
    program.pulumi("cancel", "--yes")
    program.write_program(release("cut", root, '{"image": "nowhere/none:1"}', skip_await="True"))
    run = program.up().expect()
    assert "left pending-install by an interrupted run" in run.output
    assert program.outputs()["status"]["status"] == "deployed"


def test_ctrl_c_ends_helm_and_keeps_the_release_in_state(
    make_program: MakeProgram, cluster: ApiServer, tmp_path: Path
) -> None:
    program = make_program(release("stopped", chart(tmp_path, pod=True), '{"image": "nowhere/none:1"}'))
    process = program.start("up", "--yes", "--skip-preview")
    wait_for_release(cluster, "stopped", "pending-install")
    with waits_less_than(55):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert "failed" in cluster.helm("list", "-n", "stopped", "--all"), "helm was told, and said so"
    assert program.resource("release")["initErrors"]


def processes(*words: str) -> list[int]:
    """Return the running helms whose command begins with these words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_text().split("\0")
        except OSError:
            continue  # it ended meanwhile
        if Path(command[0]).name == "helm" and command[1 : 1 + len(words)] == list(words):
            found.append(int(path.parent.name))
    return found


def wait_for_release(cluster: ApiServer, name: str, status: str) -> None:
    def is_there() -> bool:
        found = json.loads(cluster.helm("list", "-n", name, "--all", "-o", "json"))
        return any(entry["status"] == status for entry in found)

    eventually(is_there, f"{name} is {status}")


def test_neither_kubeconfig_nor_values_stand_in_the_process_list(
    make_program: MakeProgram, cluster: ApiServer, tmp_path: Path
) -> None:
    values = '{"image": "nowhere/none:1", "password": pulumi.Output.secret("whispered-word")}'
    program = make_program(release("listed", chart(tmp_path, pod=True), values, timeout="4"))
    process = program.start("up", "--yes", "--skip-preview")
    wait_for_release(cluster, "listed", "pending-install")
    (helm,) = processes("upgrade", "listed")
    folder = Path("/proc") / str(helm)
    shown = (folder / "cmdline").read_text() + (folder / "environ").read_text()
    process.communicate(timeout=60)
    assert "--values" in shown
    key = str(cluster.config()["users"][0]["user"]["client-key-data"])
    for secret in ("whispered-word", key[:40], "PULUMI_CONFIG_PASSPHRASE"):
        assert secret not in shown
