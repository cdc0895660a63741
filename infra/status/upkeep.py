"""What keeps an instance for years: its connection to Azure, its certificates, its snapshots. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from infra.arc.model import Connected
from infra.counting import counted
from infra.model.backup import Backup
from infra.plan.topology import Cluster
from infra.status.clusters import StandingCluster
from infra.status.machines import KEYS, STATE, Fleet
from infra.status.model import ArcStatus, Certificate
from infra.status.seen import SeenHost, Unseen
from infra.status.trouble import Key, Trouble

ENDS_SOON: Final = timedelta(days=30)
"""A certificate that ends within this is wrong: by then whoever renews it has failed to."""
_CONNECTED: Final = "Connected"
_EMULATOR: Final[Key] = ("emulator",)
_LATE: Final = 2
"""So many times the time between two snapshots the newest one may be old."""


def emulator_troubles(fleet: Fleet) -> Iterator[Trouble]:
    """Say that the emulator of Azure doesn't run."""
    if fleet.seen.emulator is False and fleet.seen.state.machines:
        remedy = f"azlocal emulator start --instance {fleet.topology.instance}"
        yield Trouble(_EMULATOR, "wrong", "doesn't run", remedy, (STATE,), "the emulator of Azure")


def arc_troubles(of: StandingCluster) -> Iterator[Trouble]:
    """Yield what is the matter with a cluster's connection to Azure Arc."""
    if of.cluster.arc is None:
        return
    key, seen = ("arc", of.name), of.fleet.seen.connections.get(of.name, Unseen("it was never asked"))
    subject, status = f"Azure Arc of cluster {of.name}", f"azlocal arc status {of.name} -s {of.fleet.stack}"
    nodes = tuple(("node", name) for name, ready in of.ready.items() if not ready)
    causes = (_EMULATOR, ("api", of.name), *nodes, STATE)
    if isinstance(seen, Unseen):
        yield Trouble(key, "unknown", f"can't be looked at: {seen.why}", status, causes, subject)
        return
    if seen is None:
        yield Trouble(key, "wrong", f"Azure has no {of.cluster.arc.name}", of.up, causes, subject)
        return
    first, *others = seen.warnings or ("",)
    if seen.connectivity_status != _CONNECTED:
        yield Trouble(key, "wrong", first or seen.connectivity_status, status, causes, subject)
    elif first:
        others = [first, *others]
    for number, text in enumerate(others):
        yield Trouble((*key, str(number)), "warning", text, status, (key, *causes), subject)


def arc_status(fleet: Fleet, cluster: Cluster) -> ArcStatus | None:
    """Return how a cluster is connected; None where it isn't to be."""
    if cluster.arc is None or fleet.topology.arc is None:
        return None
    seen = fleet.seen.connections.get(cluster.name)
    answer = seen if isinstance(seen, Connected) else None
    return ArcStatus(
        name=cluster.arc.name,
        connectivity_status=answer.connectivity_status if answer else None,
        agent_version=answer.agent_version or None if answer else None,
        last_connectivity=answer.last_connectivity if answer else None,
        is_emulated=fleet.topology.arc.is_emulated,
    )


def certificates_of(of: StandingCluster) -> Iterator[tuple[Key, Certificate]]:
    """Yield a cluster's certificates, each with what it is known by as a cause."""
    if not isinstance(of.seen.certificates, Unseen):
        for name, ends in of.seen.certificates.items():
            yield ("certificate", name), Certificate(name=f"API server on {name}", ends=ends)
    if of.seen.administrator is not None:
        name = f"administrator of cluster {of.name}"
        yield ("certificate", "administrator", of.name), Certificate(name=name, ends=of.seen.administrator)
    connected = of.fleet.seen.connections.get(of.name)
    if isinstance(connected, Connected) and connected.certificate_expires is not None:
        name = f"Arc agents of cluster {of.name}"
        yield ("certificate", "arc", of.name), Certificate(name=name, ends=connected.certificate_expires)


def certificate_troubles(of: StandingCluster) -> Iterator[Trouble]:
    """Yield the certificates that have ended, or will soon."""
    for key, certificate in certificates_of(of):
        now = of.fleet.seen.at
        if key[1] == "arc":
            now = of.fleet.seen.azure_clock or now
        left = certificate.ends - now
        if left >= ENDS_SOON:
            continue
        day = f"{certificate.ends.astimezone(UTC):%Y-%m-%d}"
        text = f"ended on {day}" if left <= timedelta() else f"ends on {day}, in {counted(left.days, 'day')}"
        status = f"azlocal arc status {of.name} -s {of.fleet.stack}"
        remedy = status if key[1] == "arc" else f"{of.up} renews it"
        causes = of.fleet.causes(key[1])[:1] if key[1] in of.nodes else ()
        yield Trouble(key, "wrong", text, remedy, causes, f"certificate of {certificate.name}")
    if isinstance(of.seen.certificates, Unseen):
        text = f"not looked at: {of.seen.certificates.why}"
        subject = f"certificates of cluster {of.name}"
        yield Trouble(("certificates", of.name), "unknown", text, "", (KEYS, *of.of_planes()), subject)


def snapshots_of(fleet: Fleet, cluster: str) -> list[Backup]:
    """Return the snapshots of a cluster's etcd that hosts keep, as far as they answer; the oldest first."""
    hosts = (host for host in fleet.seen.hosts.values() if isinstance(host, SeenHost))
    stored = {backup.name: backup for host in hosts for backup in host.backups if backup.cluster == cluster}
    return sorted(stored.values(), key=lambda backup: backup.taken)


def last_snapshot(fleet: Fleet, cluster: str) -> datetime | None:
    """Return when the newest one was taken."""
    snapshots = snapshots_of(fleet, cluster)
    return snapshots[-1].taken if snapshots else None


def snapshot_troubles(of: StandingCluster) -> Iterator[Trouble]:
    """Say why a schedule takes no snapshots, or that the newest one is old."""
    if of.cluster.snapshots is None:
        return
    remedy = f"azlocal backup {of.fleet.stack} --cluster {of.name} takes one now; --list says more"
    subject = f"snapshots of cluster {of.name}"
    causes = (("etcd", of.name), *of.of_planes())
    failures = list(_failures(of))
    for number, text in enumerate(failures):
        yield Trouble(("snapshots", of.name, str(number)), "wrong", text, remedy, causes, subject)
    taken = last_snapshot(of.fleet, of.name)
    every = of.cluster.snapshots.every_hours
    if taken is not None and not failures and of.fleet.seen.at - taken > timedelta(hours=every * _LATE):
        hours = (of.fleet.seen.at - taken) // timedelta(hours=1)
        text = f"the newest one is {hours} h old, and one every {every} h is planned"
        hosts = tuple(("host", name) for name in of.fleet.hosts)
        yield Trouble(("snapshots", of.name), "wrong", text, remedy, (*hosts, *causes), subject)


def _failures(of: StandingCluster) -> Iterable[str]:
    for name in of.fleet.hosts:
        host = of.fleet.host(name)
        schedule = host.schedules.get(of.name) if isinstance(host, SeenHost) else None
        if schedule is not None and schedule.failure:
            yield f"{name} takes none since {schedule.failing_since}: {schedule.failure}"
