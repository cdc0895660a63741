"""The config-agent's own judgement, without a cluster."""

from __future__ import annotations

from typing import Any, cast

import pytest

from infra.emulator.agent import kube
from infra.emulator.agent.clock import Clock
from infra.emulator.agent.config_agent import ConfigAgent
from infra.emulator.agent.data_plane import DataPlane
from infra.emulator.agent.settings import Settings


class Cluster(kube.Api):
    """Objects in memory: a cluster with Flux, whose controllers do nothing."""

    def __init__(self) -> None:
        self.objects: dict[str, kube.Object] = {}

    def find(self, path: str) -> kube.Object | None:
        return {} if path.count("/") == 3 else self.objects.get(path)

    def items(self, path: str, **query: str) -> list[kube.Object]:
        plural = path.rpartition("/")[2]
        return [found for name, found in self.objects.items() if name.split("/")[-2] == plural]

    def apply(self, path: str, content: kube.Object) -> kube.Object:
        self.objects[path] = content
        return content

    def delete(self, path: str) -> bool:
        return self.objects.pop(path, None) is not None

    def create_namespace(self, name: str) -> None:
        pass


class Service:
    """The configuration service, with one configuration that is to be reconciled."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.said: list[str] = []

    def call(self, operation: str, body: Any = None) -> dict[str, Any]:
        if body is not None:
            self.said.append(body["state"])
            return {"accepted": True}
        properties = {
            "namespace": "apps", "scope": "cluster", "sourceKind": "GitRepository",
            "gitRepository": {"url": "https://git.example/r"}, "kustomizations": {"one": {}},
        }  # fmt: skip
        entry = {
            "id": "/x", "name": "x", "generation": 1, "deleting": False, "isReported": False, "protected": None,
            "properties": properties, "reconciliationWaitSeconds": self.seconds,
        }  # fmt: skip
        return {"configurations": [entry]}


@pytest.mark.parametrize(
    ("seconds", "state"), [(None, "Succeeded"), (0.0, "Failed"), (60.0, "InProgress"), (1e30, "InProgress")]
)
def test_a_wait_is_as_long_as_it_was_asked_for(seconds: float | None, state: str) -> None:
    service = Service(seconds)
    agent = ConfigAgent(cast(Settings, None), Cluster(), cast(DataPlane, service), Clock())
    agent.step()
    assert service.said == [state]
