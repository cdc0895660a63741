"""One cluster and one emulator for all tests of a module that need them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arc.living import Lab, add_node, emulated
from tests.offline.apiserver import ApiServer, helm_environment, missing, running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    if lacking := missing():
        pytest.skip(f"not built on this machine: {', '.join(lacking)}; `azlocal image build` builds them")
    for server in running(tmp_path_factory.mktemp("cluster")):
        add_node(server)
        yield server


@pytest.fixture(scope="module")
def emulator_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("emulator")


@pytest.fixture(scope="module")
def lab(cluster: ApiServer, emulator_folder: Path) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch, emulated(emulator_folder) as environment:
        patch.setenv("AZLOCAL_HELM", helm_environment()["AZLOCAL_HELM"])
        yield Lab(cluster, environment, emulator_folder)
