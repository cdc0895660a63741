"""Labs for tests: hosts of their own for each test, or for those that share them, proven gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.lab import lab as labs
from infra.lab.lab import Lab
from tests.instance import require_image
from tests.lab.instance import MakeInstance, instances
from tests.recording import OWN_LABS

MakeLab = Callable[[int], Lab]


@contextmanager
def name_for_a_lab() -> Iterator[str]:
    """Yield a name that nobody else on this machine uses now."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a lab is made of namespaces and mounts")
    with labs.reserved_name("test") as name:
        OWN_LABS.add(name)
        yield name


@contextmanager
def standing_lab(hosts: int) -> Iterator[Lab]:
    """Yield a lab of so many hosts, for tests that share it."""
    with name_for_a_lab() as name:
        try:
            yield labs.start(name, hosts)
        finally:
            labs.remove(name)  # raises where something still stands


@pytest.fixture(scope="session")
def lab_name() -> Iterator[str]:
    """Return the name of the labs that tests have for themselves, one after the other."""
    with name_for_a_lab() as name:
        yield name


@pytest.fixture
def make_lab(lab_name: str) -> Iterator[MakeLab]:
    """Return a function that makes a lab of so many hosts; one for each test."""
    yield lambda hosts: labs.start(lab_name, hosts)
    labs.remove(lab_name)  # raises where something still stands


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    """Return a lab of two hosts."""
    return make_lab(2)


@pytest.fixture
def make_instance(lab: Lab, tmp_path: Path) -> Iterator[MakeInstance]:
    """Return a function that makes a project on the lab's hosts (see `instances`)."""
    require_image("plain")
    with instances(lab, tmp_path) as make:
        yield make
