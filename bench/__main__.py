"""`make bench`: every benchmark, each with its ratio and the bar it is held to."""

from __future__ import annotations

import sys

from bench.parallel_machines import parallel_machines

if __name__ == "__main__":
    results = [parallel_machines()]
    for result in results:
        print(result)
    sys.exit(0 if all(result.holds for result in results) else 1)
