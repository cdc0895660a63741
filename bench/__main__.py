"""`make bench`: every benchmark with the bar it is held to; `python -m bench plan` runs those of that name."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from bench.api_gap import RUNS, api_gap
from bench.cluster import cluster_of_two_nodes
from bench.hosts import sixteen_hosts_prepared, sixteen_hosts_prepared_on_shared_processors
from bench.life import autoscale, restore, upgrade_under_load
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
    upgrade_under_load,
    restore,
    autoscale,
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", default=[""], help="parts of benchmarks' names; none: all of them")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each case of api-gap (default: %(default)s)")
    arguments = parser.parse_args()
    benchmarks = {one.__name__: one for one in BENCHMARKS} | {api_gap.__name__: partial(api_gap, arguments.runs)}
    wanted = [
        benchmarks[known]
        for known in benchmarks
        if any(name.replace("-", "_") in known for name in arguments.names)
    ]
    missed = False
    for benchmark in wanted:
        result = benchmark()
        print(result, flush=True)
        missed |= not result.holds
    sys.exit(1 if missed or not wanted else 0)
