"""One cluster and one emulator for all tests of a module that need them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.arc.living import Lab, add_node, emulated
from tests.kubernetes_plugin.apiserver import ApiServer, helm_environment
from tests.kubernetes_plugin.shared import lent


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    with lent(request) as server:
        add_node(server)
        yield server


@pytest.fixture(scope="module")
def emulated_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An emulator, and no cluster."""
    folder = tmp_path_factory.mktemp("emulator")
    with emulated(folder) as environment:
        yield Lab(None, environment, folder)


@pytest.fixture(scope="module")
def lab(cluster: ApiServer, emulated_lab: Lab) -> Iterator[Lab]:
    """An emulator, and a cluster that has a node in name only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZLOCAL_HELM", helm_environment()["AZLOCAL_HELM"])
        yield Lab(cluster, emulated_lab.environment, emulated_lab.folder)
