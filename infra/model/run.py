"""What a run of the program goes by that isn't in the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.model.versions import Stage

PoolSizes = Mapping[str, Mapping[str, int]]
"""How many nodes agent pools have, or are to have, by cluster and pool: of pools with autoscaling alone."""


@dataclass(frozen=True)
class RunSettings:
    """What a run of the program has that the files don't say.

    Attributes:
        versions: The versions that clusters are to have in this run, on the way to what the files say.
        pool_sizes: How many nodes pools with autoscaling are to have. One that isn't named begins, with the
            `count` of the file.
    """

    versions: Stage = field(default_factory=dict)
    pool_sizes: PoolSizes = field(default_factory=dict)
