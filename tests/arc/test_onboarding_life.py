"""Connecting, changing and disconnecting a real API server, against the emulator over real TLS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.arc.onboarding import connect, disconnect
from tests.arc.emulator.local_agents import LocalAgents
from tests.arc.living import Lab, agents_live

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def agents(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAgents]:
    with agents_live(lab, tmp_path_factory.mktemp("agents")) as found:
        yield found


def test_a_cluster_is_connected_and_disconnected(lab: Lab, agents: LocalAgents) -> None:
    with lab.azure() as azure:
        found = connect(azure, lab.wanted(tags={"team": "lab"}), **lab.bounds())
        assert found.connectivity_status == "Connected"
        left = disconnect(azure, lab.scope, "a", lab.cluster.kubeconfig, **lab.bounds())
        assert left == ()
        assert azure.get_cluster("a") is None
