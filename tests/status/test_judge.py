"""What is the matter with an instance: causes, what follows from them, and how the command ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from infra.hosts.facts.libvirt import Domain, Running
from infra.model.backup import ScheduleStatus
from infra.status.judge import judge
from infra.status.seen import Lock, PastRun, PhaseRecord, SeenCluster, StackState, StateHost, Unseen
from infra.status.trouble import each_of
from tests.status.samples import (
    HOST_OF,
    NOW,
    PLAN,
    PLANES,
    RB,
    TOPOLOGY,
    WORKERS,
    backup,
    connection,
    deployment,
    etcd,
    lease,
    node,
    objects,
    observations,
    off,
    pod,
    seen_cluster,
    seen_host,
    service,
    state,
    status,
    tree,
    with_domain,
)

WORKER = WORKERS[0]
ITS_HOST = HOST_OF[WORKER]
LATE = Unseen("no answer within 3 s")
SILENT = Unseen("the API server at https://10.0.0.1:6443 doesn't answer: timed out", is_refusal=True)


def gone_node(name: str = WORKER) -> Any:
    """What a cluster says once a node's machine is off, and a pod of azlocal's was on it."""
    nodes = [node(each, "Unknown" if each == name else "True") for each in (*PLANES, *WORKERS)]
    return seen_cluster(
        objects=objects(
            nodes=nodes, workloads=[deployment("coredns", 0)], own_pods=[pod("coredns-1", name, ready=False)]
        )
    )


def test_an_instance_as_planned_is_fine() -> None:
    seen = status()
    assert (seen.state, seen.exit_code, seen.reasons) == ("ok", 0, ())
    assert {machine.state for machine in seen.machines} == {"running"}
    assert {machine.name for machine in seen.machines if machine.ready} == {*PLANES, *WORKERS}
    (a,) = seen.clusters
    assert a.nodes is not None and (a.nodes.count, a.nodes.total) == (5, 5)
    assert a.etcd is not None and (a.etcd.healthy, a.etcd.members, a.etcd.has_quorum) == (3, 3, True)
    assert (a.version, a.last_snapshot) == ("1.33.5", NOW - timedelta(hours=3))
    assert a.arc is not None and a.arc.connectivity_status == "Connected"
    assert {network.up for network in seen.networks} == {3}
    assert seen.certificates[0].name == "Arc agents of cluster a"


def test_a_machine_that_is_off_is_the_cause_of_its_node_and_that_of_pods() -> None:
    seen = status(hosts={ITS_HOST: off(WORKER)}, clusters={"a": gone_node()})
    assert seen.exit_code == 2
    assert tree(seen.reasons) == [
        [
            f"machine {WORKER}: is shut off on {ITS_HOST}",
            [
                [
                    f"node {WORKER}: is not Ready: NodeStatusUnknown: Kubelet stopped posting node status.",
                    [
                        [
                            "cluster a: deployment kube-system/coredns waits for its replicas: 0 of 1 available: "
                            "pod coredns-1 is Pending, not ready yet"
                        ]
                    ],
                ]
            ],
        ]
    ]
    assert seen.reasons[0].remedy == "azlocal up lab starts it"


def test_a_host_that_is_unreachable_leaves_its_machines_unknown_in_one_line() -> None:
    seen = status(hosts={ITS_HOST: Unseen("no route to host")}, clusters={"a": gone_node()})
    (host,) = seen.reasons
    assert (host.subject, host.level) == (f"host {ITS_HOST}", "unknown")
    assert "azlocal doctor lab --host" in host.remedy
    machines, *others = host.consequences
    on_it = [name for name, on in HOST_OF.items() if on == ITS_HOST]
    assert machines.text == f"not looked at: {', '.join(on_it)}"
    assert {machine.name for machine in seen.machines if machine.state == "unknown"} == set(on_it)
    assert [each.subject for each in machines.consequences] == [f"node {WORKER}"], (
        "a node follows from its machine"
    )
    assert others == []
    assert seen.exit_code == 2, "a node is not Ready, whatever keeps us from its host"


def test_what_could_not_be_looked_at_is_never_fine() -> None:
    seen = status(hosts={ITS_HOST: Unseen("no route to host")})
    assert (seen.state, seen.exit_code) == ("unknown", 1)
    assert {machine.ready for machine in seen.machines if machine.name == WORKER} == {True}
    for part in ("objects", "silent", "etcd", "certificates"):
        seen = status(clusters={"a": seen_cluster(**{part: LATE})})
        assert seen.exit_code == 1, part
        assert {reason.level for reason in each_of(seen.reasons)} == {"unknown"}, part
    assert status(connections={"a": LATE}).exit_code == 1
    assert status(connections={}).exit_code == 1, "a source that was forgotten"
    assert status(clusters={}).exit_code == 1


def test_keys_that_cannot_be_read_are_one_cause() -> None:
    seen = status(keys=Unseen("no passphrase"), clusters={"a": SeenCluster(LATE, LATE, LATE, LATE)})
    assert (seen.exit_code, [reason.subject for reason in seen.reasons]) == (1, ["keys of clusters in state"])


def test_libvirt_that_fails_is_wrong_and_one_that_hangs_is_unknown() -> None:
    failing = seen_host(ITS_HOST, running=Unseen("`virsh` ended with code 1", is_refusal=True))
    assert status(hosts={ITS_HOST: failing}).exit_code == 2
    seen = status(hosts={ITS_HOST: failing}, state=StackState())
    assert [reason.subject for reason in seen.reasons] == ["instance lab"], "the first up starts it"
    hanging = seen_host(ITS_HOST, running=Unseen("`virsh` didn't end in time"))
    seen = status(hosts={ITS_HOST: hanging})
    assert seen.exit_code == 1
    assert "machine" in seen.reasons[0].consequences[0].subject


def test_a_restarted_host_explains_why_its_machines_are_off() -> None:
    there = replace(off(WORKER), boot_id="another")
    seen = status(hosts={ITS_HOST: there})
    assert tree(seen.reasons) == [
        [
            f"host {ITS_HOST}: was restarted since the last run, and 1 machine stayed off",
            [[f"machine {WORKER}: is shut off on {ITS_HOST}"]],
        ]
    ]
    assert status(hosts={ITS_HOST: seen_host(ITS_HOST, boot_id="another")}).reasons == (), "all came back"


def test_a_machine_that_is_gone_and_one_under_its_name_that_is_not_ours() -> None:
    for domain in (None, Domain("99999999-0000-4000-8000-000000000001", "running")):
        seen = status(hosts={HOST_OF[RB]: with_domain(RB, domain)})
        assert tree(seen.reasons) == [[f"machine {RB}: is gone from {HOST_OF[RB]}"]]


def test_a_network_that_is_down_is_the_cause_of_its_machines() -> None:
    there = off(WORKER)
    assert isinstance(there.running, Running)
    seen = status(
        hosts={
            ITS_HOST: replace(
                there, running=Running(there.running.domains, {"lab-aks": False, "lab-infrastructure": True})
            )
        }
    )
    (network,) = seen.reasons
    assert network.subject == f"network lab-aks on {ITS_HOST}"
    assert [each.subject for each in network.consequences] == [f"machine {WORKER}"]
    assert {each.name: each.up for each in seen.networks} == {"infrastructure": 3, "aks": 2}


def test_little_room_is_a_warning_and_hides_no_cause() -> None:
    there = replace(off(WORKER), available_disk_mib=1000)
    seen = status(hosts={ITS_HOST: there})
    assert [(reason.subject, reason.level) for reason in seen.reasons] == [
        (f"machine {WORKER}", "wrong"),
        (f"disk of host {ITS_HOST}", "warning"),
    ]
    assert status(hosts={ITS_HOST: seen_host(ITS_HOST, available_disk_mib=1000)}).exit_code == 0


def test_lost_quorum_is_the_cause_of_a_silent_api_server_and_machines_that_of_quorum() -> None:
    lost = etcd(*PLANES[1:], agreed=False, leader=0)
    seen = status(
        clusters={"a": seen_cluster(etcd=lost, objects=SILENT, silent=PLANES[1:])},
        hosts={HOST_OF[name]: off(name) for name in PLANES[1:]},
    )
    first, second = seen.reasons
    assert first.subject == f"machine {PLANES[1]}"
    (quorum, *others) = first.consequences
    assert quorum.text == "has no quorum: healthy are 0 of 3 members"
    assert "azlocal restore lab a" in quorum.remedy
    subjects = [each.subject for each in each_of(quorum.consequences)]
    assert "API server of cluster a" in subjects
    assert "nodes and pods of cluster a" in subjects
    assert second.subject == f"machine {PLANES[2]}"
    assert others, "its own member and API server"


def test_a_member_without_quorum_lost_is_named() -> None:
    seen = status(clusters={"a": seen_cluster(etcd=etcd(PLANES[0]))})
    assert [reason.subject for reason in seen.reasons] == [f"etcd member {PLANES[0]} of cluster a"]
    members = etcd()
    missing = replace(members, members=members.members[:2])
    seen = status(clusters={"a": seen_cluster(etcd=missing)})
    assert tree(seen.reasons) == [[f"etcd member {PLANES[2]} of cluster a: is missing"]]


def test_an_api_server_that_is_silent_behind_the_address_is_named() -> None:
    seen = status(clusters={"a": seen_cluster(silent=(PLANES[1],))})
    assert tree(seen.reasons) == [[f"API server on {PLANES[1]}: isn't ready"]]


def test_one_control_plane_of_three_is_no_cause_of_a_silent_api_server() -> None:
    silent = seen_cluster(objects=SILENT, etcd=etcd(PLANES[0]), silent=(PLANES[0],))
    seen = status(hosts={HOST_OF[PLANES[0]]: off(PLANES[0])}, clusters={"a": silent})
    assert [reason.subject for reason in seen.reasons] == [f"machine {PLANES[0]}", "API server of cluster a"]


def test_etcd_that_answers_nobody_is_the_cause_of_the_api_server() -> None:
    seen = status(clusters={"a": seen_cluster(etcd=None, objects=SILENT)})
    assert [reason.subject for reason in seen.reasons] == ["etcd of cluster a"]
    assert [each.subject for each in seen.reasons[0].consequences] == ["API server of cluster a"]


def test_a_node_that_has_not_reported_since_its_machine_started() -> None:
    leases = [lease(name, NOW - timedelta(hours=2 if name == WORKER else 0)) for name in (*PLANES, *WORKERS)]
    seen = status(clusters={"a": seen_cluster(objects=objects(leases=leases))})
    assert tree(seen.reasons) == [[f"node {WORKER}: has not reported since its machine was started"]]
    assert seen.clusters[0].nodes is not None
    assert seen.clusters[0].nodes.count == 4


def test_a_workload_follows_from_the_node_that_its_pods_are_on_alone() -> None:
    """A pod that crashes on a good node is no consequence of another node's end."""
    nodes = [node(each, "Unknown" if each == WORKER else "True") for each in (*PLANES, *WORKERS)]
    crashing = pod("coredns-1", WORKERS[1], ready=False)
    seen = status(
        clusters={
            "a": seen_cluster(
                objects=objects(nodes=nodes, workloads=[deployment("coredns", 0)], own_pods=[crashing])
            )
        }
    )
    assert [reason.subject for reason in seen.reasons] == [f"node {WORKER}", "cluster a"]
    homeless = pod("coredns-1", "", ready=False)
    seen = status(
        clusters={
            "a": seen_cluster(
                objects=objects(nodes=nodes, workloads=[deployment("coredns", 0)], own_pods=[homeless])
            )
        }
    )
    assert [reason.subject for reason in seen.reasons] == [f"node {WORKER}"]


def test_pods_of_users_are_warnings() -> None:
    pods = [pod("web-1", WORKER, namespace="web", ready=False), pod("web-2", WORKER, namespace="web")]
    done = pod("job-1", WORKER, namespace="web", ready=False, phase="Succeeded")
    seen = status(clusters={"a": seen_cluster(objects=objects(pods=[*pods, done]))})
    assert (seen.exit_code, seen.state) == (0, "ok")
    assert tree(seen.reasons) == [
        ["pods in cluster a: 1 pod not ready", [["pod web/web-1: is Pending, not ready yet"]]]
    ]
    assert seen.clusters[0].pods is not None
    assert (seen.clusters[0].pods.count, seen.clusters[0].pods.total) == (2, 3)


def test_a_cordoned_node_is_a_warning() -> None:
    nodes = [node(each, unschedulable=each == WORKER) for each in (*PLANES, *WORKERS)]
    seen = status(clusters={"a": seen_cluster(objects=objects(nodes=nodes))})
    assert (seen.exit_code, tree(seen.reasons)) == (
        0,
        [[f"node {WORKER}: is cordoned (kubectl uncordon {WORKER})"]],
    )


def test_a_load_balancer_without_addresses_explains_services_that_wait() -> None:
    (span,) = TOPOLOGY.clusters[0].load_balancer_ranges
    addresses = [f"10.220.32.{(span.first & 255) + offset}" for offset in range(2)]
    used = [service(f"s{number}", address) for number, address in enumerate(addresses)]
    seen = status(clusters={"a": seen_cluster(objects=objects(services=[*used, service("waits")]))})
    assert tree(seen.reasons) == [
        [
            "load balancer of cluster a: its 2 addresses for Services are all in use",
            [["Service web/waits: has no address yet"]],
        ]
    ]
    seen = status(clusters={"a": seen_cluster(objects=objects(services=[used[0], service("x", "192.0.2.7")]))})
    assert seen.clusters[0].services is not None
    assert (seen.clusters[0].services.count, seen.clusters[0].services.total) == (1, 2)


def test_azure_says_how_a_connection_is() -> None:
    seen = status(
        connections={"a": connection("Offline", timedelta(days=80), "Offline: Azure hasn't heard of it")}
    )
    assert (seen.exit_code, tree(seen.reasons)) == (
        2,
        [["Azure Arc of cluster a: Offline: Azure hasn't heard of it"]],
    )
    seen = status(connections={"a": connection("Connected", timedelta(days=80), "no contact for 25 days")})
    assert (seen.exit_code, seen.reasons[0].level) == (0, "warning")
    seen = status(connections={"a": None})
    assert tree(seen.reasons) == [["Azure Arc of cluster a: Azure has no lab-a"]]
    seen = status(connections={"a": Unseen("the emulator doesn't run")}, emulator=False)
    assert (seen.exit_code, seen.reasons[0].subject) == (2, "the emulator of Azure")
    assert seen.reasons[0].remedy == "azlocal emulator start --instance lab"
    assert [each.subject for each in seen.reasons[0].consequences] == ["Azure Arc of cluster a"]


@pytest.mark.parametrize(("days", "text"), [(29, "ends on 2026-12-29, in 29 days"), (-1, "ended on 2026-11-29")])
def test_a_certificate_that_ends_within_a_month(days: int, text: str) -> None:
    ends = dict.fromkeys(PLANES, NOW + timedelta(days=300)) | {PLANES[0]: NOW + timedelta(days=days)}
    seen = status(clusters={"a": seen_cluster(certificates=ends)})
    assert (seen.exit_code, tree(seen.reasons)) == (2, [[f"certificate of API server on {PLANES[0]}: {text}"]])
    seen = status(connections={"a": connection("Connected", timedelta(days=days))})
    assert tree(seen.reasons) == [[f"certificate of Arc agents of cluster a: {text}"]]


def test_an_ended_certificate_is_the_cause_of_a_silent_api_server() -> None:
    ends = dict.fromkeys(PLANES, NOW - timedelta(days=1))
    seen = status(clusters={"a": seen_cluster(certificates=ends, objects=SILENT, etcd=None)})
    assert seen.reasons[0].subject == f"certificate of API server on {PLANES[0]}"
    assert "API server of cluster a" in [each.subject for each in each_of(seen.reasons[0].consequences)]


def test_snapshots_by_a_schedule_that_fail_or_are_old() -> None:
    failing = ScheduleStatus(failure="no member of etcd answers", failing_since="2026-11-29T00:00:00Z")
    seen = status(hosts={"node1": seen_host("node1", schedules={"a": failing})})
    assert tree(seen.reasons) == [
        ["snapshots of cluster a: node1 takes none since 2026-11-29T00:00:00Z: no member of etcd answers"]
    ]
    old = {
        name: seen_host(name, backups=(backup(NOW - timedelta(hours=13)),)) for name in ("node1", "node2", "node3")
    }
    seen = status(hosts=old)
    assert tree(seen.reasons) == [
        ["snapshots of cluster a: the newest one is 13 h old, and one every 6 h is planned"]
    ]
    assert seen.clusters[0].last_snapshot == NOW - timedelta(hours=13)


def test_the_files_are_ahead_of_what_was_made() -> None:
    before = state()
    machines = {name: each for name, each in before.machines.items() if name != WORKERS[1]}
    machines["lab-old-0"] = before.machines[RB]
    machines[RB] = replace(before.machines[RB], connection=before.machines[PLANES[2]].connection)
    machines[WORKER] = replace(machines[WORKER], version="1.32.9")
    nodes = [node(each) for each in (*PLANES, WORKER)]
    made = {c: replace(each, networks=frozenset({"lab-infrastructure"})) for c, each in before.hosts.items()}
    seen = judge(
        "lab",
        TOPOLOGY,
        PLAN.addresses,
        observations(
            state=replace(before, machines=machines, hosts=made),
            clusters={"a": seen_cluster(objects=objects(nodes=nodes, version="1.32.9"))},
            hosts={HOST_OF[PLANES[2]]: with_domain(RB, None)} if HOST_OF[PLANES[2]] == HOST_OF[RB] else {},
        ),
    )
    files = next(reason for reason in seen.reasons if reason.subject == "the stack's files")
    texts = {f"{each.subject}: {each.text}" for each in files.consequences}
    assert f"machine {WORKERS[1]}: is planned, and not made yet" in texts
    assert "network lab-aks on node1: is planned, and not made yet" in texts
    assert "machine lab-old-0: was made, and is planned no more" in texts
    assert "cluster a: runs Kubernetes 1.32.9, and 1.33.5 is planned" in texts
    assert f"machine {WORKER}: booted the image of 1.32.9, and that of 1.33.5 is planned" in texts
    assert "azlocal preview lab" in files.remedy
    assert not any(WORKERS[1] in each.subject for each in each_of(seen.reasons) if each.subject.startswith("node"))


def test_of_what_was_never_made_one_line_tells() -> None:
    seen = status(state=StackState())
    assert (seen.exit_code, tree(seen.reasons)) == (2, [["instance lab: not made yet"]])
    assert seen.reasons[0].remedy == "azlocal up lab"
    assert {machine.state for machine in seen.machines} == {"notMade"}
    assert [(each.name, each.state) for each in seen.clusters] == [("a", "wrong")]


def test_what_a_killed_run_left_is_the_cause_of_what_is_missing() -> None:
    before = state()
    machines = {name: each for name, each in before.machines.items() if name != WORKERS[1]}
    killed = replace(before, machines=machines, unsettled=("a killed run was making lab-a-nodepool1-1",))
    seen = status(
        state=killed, clusters={"a": seen_cluster(objects=objects(nodes=[node(n) for n in (*PLANES, WORKER)]))}
    )
    (cause,) = seen.reasons
    assert (cause.subject, cause.text) == ("runs of lab", "a killed run was making lab-a-nodepool1-1")
    assert f"machine {WORKERS[1]}" in [each.subject for each in each_of(cause.consequences)]


def test_while_a_run_goes_on_its_phases_are_told() -> None:
    lock = Lock("ann on desk", NOW.timestamp() - 41, "azlocal up")
    going = replace(
        state(),
        machines={},
        lock=lock,
        last_alike=PastRun("azlocal up", "succeeded", 0, 99),
        phases={
            "hosts and networks": PhaseRecord((3.0, 4.0), 0, 2),
            "machines": PhaseRecord((10.0,), 1, 2),
        },
        last_phases={
            "hosts and networks": PhaseRecord((2.0, 6.0), 0, 2),
            "machines": PhaseRecord((18.0, 21.0), 0, 2),
            "Azure Arc": PhaseRecord((99.0,), 0, 1),
        },
    )
    seen = status(state=going)
    assert (seen.state, seen.exit_code) == ("changing", 3)
    assert seen.run is not None
    assert (seen.run.command, seen.run.seconds, seen.run.expected_seconds) == ("azlocal up", 41, 99)
    assert [(phase.name, phase.state, phase.seconds, phase.last_seconds) for phase in seen.run.phases] == [
        ("hosts and networks", "done", 4.0, 6.0),
        ("machines", "going", 10.0, 21.0),
        ("Azure Arc", "waiting", None, 99.0),
    ]
    assert seen.reasons == (), "what isn't made yet is what the run is about"
    seen = status(state=replace(state(), lock=lock), hosts={HOST_OF[RB]: with_domain(RB, None)})
    assert [(reason.subject, reason.remedy) for reason in seen.reasons] == [(f"machine {RB}", "")]


def test_a_lost_host_is_not_missed() -> None:
    lost = replace(TOPOLOGY, hosts=tuple(replace(each, is_lost=each.name == "node3") for each in TOPOLOGY.hosts))
    seen = judge("lab", lost, PLAN.addresses, observations(hosts={"node3": Unseen("no route to host")}))
    assert [each.state for each in seen.hosts] == ["ok", "ok", "lost"]
    assert "host node3" not in [reason.subject for reason in each_of(seen.reasons)]


def test_a_host_that_is_in_state_alone_is_said_by_its_name() -> None:
    before = state()
    elsewhere = "qemu+ssh://root@192.0.2.99/system"
    machines = {**before.machines, RB: replace(before.machines[RB], connection=elsewhere)}
    hosts = {**before.hosts, elsewhere: StateHost("gone")}
    seen = status(state=replace(before, machines=machines, hosts=hosts))
    assert {machine.host for machine in seen.machines if machine.name == RB} == {"gone"}
    assert f"machine {RB}: is on gone, and planned on {HOST_OF[RB]}" in str(tree(seen.reasons))
