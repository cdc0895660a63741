"""How the extension manager runs helm; and how an agent loops, ends and tells kubelet how it is."""

from __future__ import annotations

import json
import os
import stat
import sys
import textwrap
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.emulator.agent import health, loop
from infra.emulator.agent.errors import AgentError, FatalError, HelmFailed, Stopping
from infra.emulator.agent.helm import Helm, Release
from infra.emulator.agent.settings import read_settings
from tests.waiting import waits_less_than

TOKEN = "canary-token-5a1c"
RELEASE = Release("policy", "kube-system", "oci://10.0.0.1:1/x/policy", "1.1.0", 30)
ENVIRONMENT = {
    "AZURE_SUBSCRIPTION_ID": "s",
    "AZURE_RESOURCE_GROUP": "g",
    "AZURE_RESOURCE_NAME": "c",
    "AZURE_ARC_AGENT_VERSION": "1",
    "CONFIG_DP_ENDPOINT": "https://10.0.0.1:1/dp",
    "HIS_ENDPOINT": "https://10.0.0.1:1/his/discovery",
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
}

Program = Callable[[str], Helm]


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def program(tmp_path: Path, calls: Path, stopping: threading.Event, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return a function that puts a program in helm's place, which first notes how it was called."""
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(TOKEN)
    (account / "ca.crt").write_text("CA")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def write(body: str) -> Helm:
        head = f"""
            import json, os, signal, sys, time
            given = sys.stdin.read()
            with open({str(calls)!r}, "a") as file:
                config = open(os.environ["KUBECONFIG"]).read()
                print(json.dumps([sys.argv[1:], given, dict(os.environ), config]), file=file)
        """
        path = tmp_path / "helm"
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(head)}\n{textwrap.dedent(body)}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return Helm(read_settings(ENVIRONMENT, account), stopping)

    return write


def seen(calls: Path) -> list[tuple[list[str], str, dict[str, str], str]]:
    return [tuple(json.loads(line)) for line in calls.read_text().splitlines()]


NOT_FOUND = """
if sys.argv[1] == "status":
    sys.exit("Error: release: not found")
"""


def test_values_come_on_stdin_and_the_token_stays_in_its_file(program: Program, calls: Path) -> None:
    program(NOT_FOUND).install(RELEASE, {"configurationSettings": {"a": "1"}})
    (arguments, given, environment, config) = seen(calls)[-1]
    assert arguments[:3] == ["upgrade", "--install", "policy"]
    assert json.loads(given) == {"configurationSettings": {"a": "1"}}
    assert TOKEN not in json.dumps([arguments, given, environment, config])
    assert json.loads(config)["users"][0]["user"]["tokenFile"].endswith("/account/token")
    assert json.loads(config)["clusters"][0]["cluster"]["server"] == "https://10.96.0.1:443"
    assert environment["NO_PROXY"].split(",")[-1] == "10.96.0.1"
    assert not Path(environment["KUBECONFIG"]).exists()


def test_an_error_is_helms_without_its_warnings(program: Program) -> None:
    failing = NOT_FOUND + 'sys.exit("WARNING: something is readable\\nError: chart 9.9.9: not found")'
    with pytest.raises(HelmFailed, match=r"\Achart 9.9.9: not found\Z"):
        program(failing).install(RELEASE, {})


@pytest.mark.parametrize(
    ("status", "remedy"), [("pending-install", "uninstall"), ("pending-upgrade", "rollback"), ("deployed", None)]
)
def test_what_a_killed_agent_left_is_undone_first(
    program: Program, calls: Path, status: str, remedy: str | None
) -> None:
    said = json.dumps({"info": {"status": status}})
    program(f"if sys.argv[1] == 'status': print({said!r})").install(RELEASE, {})
    assert [arguments[0] for arguments, *_ in seen(calls)] == ["status", *([remedy] if remedy else []), "upgrade"]


def test_an_agent_that_ends_ends_helm_first_and_lets_it_tidy_up(
    program: Program, stopping: threading.Event, tmp_path: Path
) -> None:
    tidy = tmp_path / "tidy"
    helm = program(
        NOT_FOUND
        + f"""
if sys.argv[1] == "upgrade":
    signal.signal(signal.SIGINT, lambda *_: (open({str(tidy)!r}, "w").close(), sys.exit(1)))
    time.sleep(60)
"""
    )
    threading.Timer(1.5, stopping.set).start()
    with waits_less_than(60), pytest.raises(Stopping):
        helm.install(RELEASE, {})
    assert tidy.exists()


def test_a_step_that_fails_is_tried_again_until_the_agent_ends() -> None:
    stopping, state, tries = threading.Event(), health.Health(), 0

    def step() -> float:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise AgentError("not yet")
        stopping.set()
        return 60

    loop.repeat(step, state, stopping)
    assert tries == 2
    assert state.state() == (True, "")


def test_a_step_that_can_never_work_ends_the_agent() -> None:
    def step() -> float:
        raise FatalError("failing to parse PEM block")

    with pytest.raises(FatalError):
        loop.repeat(step, health.Health(), threading.Event())


def test_an_agent_is_ready_after_its_work_and_stays_so_for_15_minutes_of_trouble() -> None:
    now = 0.0
    state = health.Health(lambda: now)
    assert state.state() == (False, "has done nothing yet")
    state.failed("no answer")
    assert state.state() == (False, "no answer")
    state.succeeded()
    assert state.state() == (True, "")
    state.failed("no answer")
    now = 14 * 60
    assert state.state() == (True, "no answer")
    now = 16 * 60
    assert state.state() == (False, "no answer")


def test_kubelet_hears_how_an_agent_is() -> None:
    state = health.Health()
    server = health.serve(state, 0)
    url = f"http://127.0.0.1:{server.server_address[1]}/readyz"
    try:
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            urllib.request.urlopen(url, timeout=5)
        caught.value.close()
        state.succeeded()
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.status == 200
    finally:
        server.shutdown()
        server.server_close()


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(FatalError, match="AZURE_RESOURCE_NAME isn't set"):
        read_settings({**ENVIRONMENT, "AZURE_RESOURCE_NAME": ""})
