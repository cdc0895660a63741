"""The markers of tests, as pyproject.toml declares them: which tier a test belongs to, chains, and `full`."""

from __future__ import annotations

from typing import Final

import pytest

MARKED_TIERS: Final = ("engine", "lab", "e2e", "vm")
"""Every test without one of these markers is a unit test."""

FULL: Final = "full"
"""Tests that cost minutes of emulated machines or of a whole move: only `make test FULL=1` runs them."""


def tier_of(item: pytest.Item) -> str:
    """Return the tier that a test belongs to."""
    return next((tier for tier in MARKED_TIERS if item.get_closest_marker(tier)), "unit")
