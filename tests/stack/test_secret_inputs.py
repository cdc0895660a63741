"""A proxy's password in the real engine: out of what it prints, and out of a state that had it in plain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra import provider
from infra.provider.kind import Made
from infra.provider.kinds.connected_cluster import ConnectedClusterKind
from infra.resources.connected_cluster import CONNECTED_CLUSTER, ConnectedClusterInputs, ConnectedClusterState
from infra.resources.declared import ConnectedCluster
from infra.stack.engine import run

pytestmark = pytest.mark.engine

OLD, NEW = "S3cret-old", "S3cret-new"


def proxy(password: str) -> dict[str, Any]:
    return {"httpsProxy": f"http://ann:{password}@proxy.example:3128", "httpProxy": None, "noProxy": [".svc"]}


def program(of_proxy: Any) -> Callable[[], None]:
    def declare() -> None:
        ConnectedCluster(
            "lab-a",
            {
                "access": {"cloud": "AzureCloud"},
                "subscription_id": "00000000-0000-0000-0000-000000000001",
                "resource_group": "lab",
                "name": "lab-a",
                "location": "eastus",
                "cluster_uid": "uid",
                "kubeconfig": pulumi.Output.secret("k"),
                "proxy": of_proxy() if callable(of_proxy) else of_proxy,
            },
            None,
        )

    return declare


def secret(password: str) -> Callable[[], pulumi.Output[Any]]:
    return lambda: pulumi.Output.secret(proxy(password))


@pytest.fixture
def done(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is done in an Azure that takes everything."""
    plugin = Path(provider.__file__).parent
    (project / "Pulumi.yaml").write_text(
        f"name: toy\nruntime: nowhere\nplugins: {{providers: [{{name: azlocal, path: {plugin}}}]}}\n"
    )
    did: list[str] = []

    def state_of(inputs: ConnectedClusterInputs) -> ConnectedClusterState:
        return ConnectedClusterState(**inputs.to_wire(), connectivity_status="Connected", public_key="PK")

    def create(_: object, __: object, inputs: ConnectedClusterInputs) -> Made[ConnectedClusterState]:
        did.append("create")
        return Made("/x", state_of(inputs))

    def update(*given: Any) -> ConnectedClusterState:
        did.append("update")
        return state_of(given[-1])

    monkeypatch.setattr(ConnectedClusterKind, "create", create)
    monkeypatch.setattr(ConnectedClusterKind, "update", update)
    return did


def engine(verb: str, *options: str, of: Callable[[], None]) -> None:
    assert run("dev", verb, *options, "--diff", "--non-interactive", load=lambda: of) == 0


def up(of: Callable[[], None]) -> None:
    engine("up", "--yes", "--skip-preview", of=of)


def kept(project: Path) -> str:
    (file,) = (project / ".pulumi" / "stacks").rglob("dev.json")
    return file.read_text()


def test_a_state_that_has_a_password_in_plain_is_encrypted_without_a_change(
    project: Path, done: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as before:  # azlocal 0.1.0, which took the proxy for anything but a secret
        before.setitem(vars(CONNECTED_CLUSTER), "secrets", frozenset({"kubeconfig"}))
        up(program(proxy(OLD)))
    assert kept(project).count(OLD) == 2, "as input and as output"
    capfd.readouterr()
    up(program(secret(OLD)))
    assert done == ["create"]
    assert OLD not in kept(project)
    assert OLD not in "".join(capfd.readouterr())


def test_a_password_is_not_shown(project: Path, done: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    up(program(secret(OLD)))
    engine("preview", of=program(secret(NEW)))
    said = "".join(capfd.readouterr())
    assert "proxy" in said
    up(program(secret(NEW)))
    said += "".join(capfd.readouterr())
    assert done == ["create", "update"]
    for password in (OLD, NEW):
        assert password not in said
        assert password not in kept(project)
