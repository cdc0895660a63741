"""`make bench`: every benchmark with the bar it is held to; `python -m bench plan` runs those of that name."""

from __future__ import annotations

import sys

from bench.cluster import cluster_of_two_nodes
from bench.hosts import sixteen_hosts_prepared, sixteen_hosts_prepared_on_shared_processors
from bench.parallel_machines import parallel_machines
from bench.planning import plan_as_a_process, plan_grows_linearly, plan_of_200_nodes, plan_of_6400_nodes
from bench.restart import restart
from bench.up_down import up_down

BENCHMARKS = (
    plan_of_200_nodes,
    plan_of_6400_nodes,
    plan_grows_linearly,
    plan_as_a_process,
    parallel_machines,
    sixteen_hosts_prepared,
    sixteen_hosts_prepared_on_shared_processors,
    cluster_of_two_nodes,
    up_down,
    restart,
)

if __name__ == "__main__":
    wanted = [
        one for one in BENCHMARKS if any(name.replace("-", "_") in one.__name__ for name in sys.argv[1:] or [""])
    ]
    missed = False
    for benchmark in wanted:
        result = benchmark()
        print(result, flush=True)
        missed |= not result.holds
    sys.exit(1 if missed or not wanted else 0)
