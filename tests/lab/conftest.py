"""Labs for tests: hosts of their own for each test, proven gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.lab import lab as labs
from tests.lab.lab import Lab

NAME = os.environ.get("AZLOCAL_TEST_LAB", "test")
"""Another name for another run on the same machine."""

MakeLab = Callable[[int], Lab]


@pytest.fixture
def make_lab() -> Iterator[MakeLab]:
    """Return a function that makes a lab of so many hosts; one for each test."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a lab is made of namespaces and mounts")
    yield lambda hosts: labs.start(NAME, hosts)
    labs.remove(NAME)  # raises where something still stands


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    """Return a lab of two hosts."""
    return make_lab(2)
