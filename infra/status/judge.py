"""How an instance is: from its plan and from what was seen of it, one value. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from infra.plan.addresses import AddressPlan
from infra.plan.topology import Topology
from infra.status.clusters import StandingCluster, cluster_status, cluster_troubles, planned_status
from infra.status.machines import (
    Fleet,
    host_statuses,
    host_troubles,
    machine_statuses,
    machine_troubles,
    network_statuses,
    network_troubles,
    plan_troubles,
)
from infra.status.model import Certificate, ClusterStatus, Reason, Status
from infra.status.progress import keys_troubles, last_run, run_status, state_troubles
from infra.status.seen import Observations, Unseen
from infra.status.trouble import Trouble, arrange, each_of
from infra.status.upkeep import (
    arc_status,
    arc_troubles,
    certificate_troubles,
    certificates_of,
    emulator_troubles,
    last_snapshot,
    snapshot_troubles,
)


def judge(stack: str, topology: Topology, addresses: AddressPlan, seen: Observations) -> Status:
    """Return how an instance is.

    Args:
        stack: The stack's name.
        topology: What is planned.
        addresses: The plan's, for how full its networks are.
        seen: What stands.
    """
    fleet = Fleet(stack, topology, seen)
    clusters = StandingCluster.all_of(fleet)
    own = {cluster.name: _troubles_of(cluster) for cluster in clusters}
    run = run_status(seen)
    # Each before all that may follow from it.
    troubles = [
        *state_troubles(stack, seen.state),
        *keys_troubles(seen),
        *(plan_troubles(fleet, _versions(clusters)) if run is None else ()),
        *host_troubles(fleet),
        *network_troubles(fleet),
        *machine_troubles(fleet),
        *emulator_troubles(fleet),
        *(trouble for cluster in clusters for trouble in own[cluster.name]),
    ]
    if run is not None:  # before it has ended, no other command helps
        troubles = [replace(trouble, remedy="") for trouble in troubles]
    reasons = arrange(troubles)
    state, exit_code = _verdict(reasons)
    return Status(
        instance=topology.instance,
        state="changing" if run else state,
        exit_code=3 if run else exit_code,
        asked_at=seen.at,
        seconds=round(seen.seconds, 2),
        reasons=reasons,
        run=run,
        last_run=last_run(seen.state),
        hosts=tuple(host_statuses(fleet)),
        machines=tuple(machine_statuses(fleet, {name: r for of in clusters for name, r in of.ready.items()})),
        networks=tuple(network_statuses(fleet, addresses)),
        clusters=tuple(_clusters(fleet, clusters, own)),
        certificates=tuple(_certificates(clusters)),
        sources=seen.sources,
    )


def _troubles_of(cluster: StandingCluster) -> list[Trouble]:
    return [
        *certificate_troubles(cluster),
        *cluster_troubles(cluster),
        *arc_troubles(cluster),
        *snapshot_troubles(cluster),
    ]


def _versions(clusters: Iterable[StandingCluster]) -> dict[str, str]:
    return {of.name: of.seen.objects.version for of in clusters if not isinstance(of.seen.objects, Unseen)}


def _verdict(reasons: Iterable[Reason]) -> tuple[Literal["ok", "wrong", "unknown"], int]:
    levels = {reason.level for reason in each_of(reasons)}
    if "wrong" in levels:
        return "wrong", 2
    return ("unknown", 1) if "unknown" in levels else ("ok", 0)


def _clusters(
    fleet: Fleet, standing: Iterable[StandingCluster], troubles: dict[str, list[Trouble]]
) -> Iterable[ClusterStatus]:
    by_name = {of.name: of for of in standing}
    for cluster in fleet.topology.clusters:
        of = by_name.get(cluster.name)
        if of is not None:
            arc, snapshot = arc_status(fleet, cluster), last_snapshot(fleet, cluster.name)
            yield cluster_status(of, troubles[cluster.name], snapshot, arc)
        elif cluster.provisioning == "kubernetes":
            yield planned_status(cluster, arc_status(fleet, cluster))


def _certificates(clusters: Iterable[StandingCluster]) -> list[Certificate]:
    certificates = [certificate for of in clusters for _, certificate in certificates_of(of)]
    return sorted(certificates, key=lambda certificate: certificate.ends)
