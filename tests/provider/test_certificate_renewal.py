"""Certificates that end soon: preview says so, refresh warns, `up` renews them one control plane at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.kubernetes.pki import administrator_kubeconfig, generate_pki
from infra.kubernetes.waiting import NotReady
from infra.kubernetes.watch import Answer
from infra.kvm.errors import HostError
from infra.model.work import Work
from infra.provider.kinds import all_kinds, certificate_ends, control_plane, renewal
from infra.provider.kinds.control_plane import ControlPlaneKind
from infra.provider.kinds.deferred import Deferred
from infra.resources.changes import Refused, diff
from infra.resources.contract import OnChange
from infra.resources.control_plane import ControlPlaneInputs, ControlPlaneState, Member
from infra.ssh import CommandError, CommandResult, LocalShell, ShellError
from tests.kubernetes.test_certificates import server_pair
from tests.provider.conftest import MemoryLog
from tests.provider.test_kinds import operation

PKI = generate_pki()
KUBECONFIG = administrator_kubeconfig("lab-a", "https://10.0.0.9:6443", PKI.ca)
MEMBERS = [
    *(
        {"name": f"lab-a-cp-{n}", "role": "controlPlane", "address": f"10.0.0.{18 + n}", "sshHostKey": "k"}
        for n in range(3)
    ),
    {"name": "lab-a-pool1-0", "role": "worker", "address": "10.0.0.30", "sshHostKey": "k"},
]
WIRE: dict[str, Any] = {
    "instance": "lab",
    "cluster": "a",
    "kubeconfig": KUBECONFIG,
    "token": "abcdef.0123456789abcdef",
    "identityFiles": [],
    "members": MEMBERS,
}
OF_0_1_0 = WIRE | {"version": "1.34.4", "clusterUid": "u", "vrrpVersion": 3}
"""But for the address, which is another file's (test_address_protocol.py)."""


NOW = datetime.now(UTC).replace(microsecond=0)


def in_days(days: float) -> datetime:
    return NOW + timedelta(days=days)


class OneFile(LocalShell):
    """A control plane's shell that shows one file, or isn't there."""

    def __init__(self, content: str | None) -> None:
        self.content = content

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout: float = 60, check: bool = True
    ) -> CommandResult:
        if self.content is None:
            raise ShellError("No route to host")
        assert argv == ["sudo", "cat", "/etc/kubernetes/pki/apiserver.crt"]
        return CommandResult(tuple(argv), 0, self.content, "")


class Servers:
    """When the certificates of API servers end, and what was done about it."""

    def __init__(self, **ends: datetime) -> None:
        self.ends = {f"lab-a-{name.replace('_', '-')}": end for name, end in ends.items()}
        self.files: dict[str, str] = {}
        self.renewed: list[str] = []
        self.ended: set[str] = set()
        self.asked: list[Mapping[str, str]] = []

    def ends_of(self, addresses: Mapping[str, str], authority: str) -> dict[str, datetime]:
        self.asked.append(addresses)
        return dict(self.ends)

    @contextmanager
    def logged_in(self, member: Member, identity_files: Any) -> Iterator[LocalShell]:
        yield OneFile(self.files.get(member.name))

    def renew(
        self, op: Any, kubeconfig: str, planes: Sequence[Member], login: Any, ended: Collection[str]
    ) -> None:
        self.ended = set(ended)
        for member in planes:
            self.renewed.append(member.name)
            self.ends[member.name] = in_days(3650)


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> ControlPlaneKind:
    monkeypatch.setattr(control_plane, "admit_nodes", lambda api, token: None)
    monkeypatch.setattr(control_plane, "wait_until_answering", lambda *_, **__: Answer("1.34.4", "u"))
    return ControlPlaneKind()


def use(monkeypatch: pytest.MonkeyPatch, servers: Servers) -> Servers:
    monkeypatch.setattr(certificate_ends, "ends_of", servers.ends_of)
    monkeypatch.setattr(control_plane, "renew", servers.renew)
    monkeypatch.setattr(control_plane, "logged_in", servers.logged_in)
    return servers


def planned(kind: ControlPlaneKind, state: dict[str, Any]) -> tuple[dict[str, OnChange], list[str]]:
    log = MemoryLog()
    changes = diff(kind.contract, state, WIRE)
    kind.refine(state, WIRE, changes, operation("ControlPlane", log))
    return changes.by_path, [text for _, text in log.lines]


def test_what_ends_soon_is_a_change_that_preview_explains(
    kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = use(monkeypatch, Servers())
    changes, said = planned(kind, OF_0_1_0 | {"certificatesEnd": in_days(50).isoformat()})
    assert changes == {"certificatesEnd": OnChange.UPDATE}
    assert "the certificates of cluster a end on" in said[0]
    assert servers.asked == [], "state knows"


@pytest.mark.parametrize(
    ("state", "is_change"),
    [
        ({"certificatesEnd": in_days(50).isoformat()}, True),
        ({"certificatesEnd": in_days(400).isoformat()}, False),
        ({}, True),
    ],
)
def test_the_plugin_looks_though_nothing_else_differs(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Any], is_change: bool
) -> None:
    """Kinds are imported only when there is something to do: this is, and the program doesn't say it."""
    use(monkeypatch, Servers(**dict.fromkeys(("cp_0", "cp_1", "cp_2"), in_days(20))))
    served = all_kinds()["azlocal:index:ControlPlane"]
    assert isinstance(served, Deferred)
    changes = diff(served.contract, OF_0_1_0 | state, WIRE)
    served.refine(OF_0_1_0 | state, WIRE, changes, operation("ControlPlane"))
    assert changes.by_path == ({"certificatesEnd": OnChange.UPDATE} if is_change else {})
    assert (served._kind is not None) == is_change, "who has nothing to look at imports nothing"


def test_a_control_plane_does_not_go_in_a_run_that_knows_nothing_of_its_cluster(
    kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any other is told that it holds the cluster's address alone: nobody would have it leave etcd."""
    use(monkeypatch, Servers())
    news = WIRE | {"members": [MEMBERS[0], MEMBERS[-1]]}
    changes = diff(kind.contract, OF_0_1_0, news)
    with pytest.raises(Refused, match="lab-a-cp-1 can't leave cluster a in a run that leaves"):
        kind.refine(OF_0_1_0, news, changes, operation("ControlPlane"))


def test_certificates_that_hold_are_no_change_and_nobody_is_asked(
    kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = use(monkeypatch, Servers())
    assert planned(kind, OF_0_1_0 | {"certificatesEnd": in_days(91).isoformat()}) == ({}, [])
    assert servers.asked == []


@pytest.mark.parametrize(("days", "is_change"), [(300, False), (20, True)])
def test_of_a_cluster_of_0_1_0_it_is_seen(
    kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch, days: int, is_change: bool
) -> None:
    use(monkeypatch, Servers(cp_0=in_days(days), cp_1=in_days(300), cp_2=in_days(300)))
    changes, said = planned(kind, OF_0_1_0)
    assert (bool(changes), bool(said)) == (is_change, is_change)


def test_a_cluster_of_0_1_0_that_does_not_answer_is_no_change(
    kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Servers())
    changes, said = planned(kind, OF_0_1_0)
    assert changes == {}
    assert [line.partition(" end: ")[0] for line in said] == [
        f"it isn't known when the certificates of lab-a-cp-{number}" for number in range(3)
    ]


def test_refresh_reads_the_file_of_a_control_plane_whose_server_is_silent(
    kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was told to end serves nothing for a minute; one whose certificates have ended, never."""
    servers = use(monkeypatch, Servers(cp_0=in_days(3650), cp_2=in_days(3650)))
    servers.files["lab-a-cp-1"] = server_pair(PKI.ca, in_days(30)).certificate
    log = MemoryLog()
    old = ControlPlaneState.model_validate(OF_0_1_0 | {"certificatesEnd": in_days(3650).isoformat()})
    state = kind.read(operation("ControlPlane", log), "lab/a", old)
    assert state is not None
    assert state.certificates_end == in_days(30).isoformat()
    (said,) = [text for level, text in log.lines if level == "warning"]
    assert said.startswith("the certificates of cluster a end on")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No route to host"),
        ("", "holds no certificate of this cluster"),
        (server_pair(generate_pki().ca, in_days(30)).certificate, "holds no certificate of this cluster"),
    ],
)
def test_refresh_says_whose_certificates_nobody_tells_of(
    kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch, content: str | None, reason: str
) -> None:
    servers = use(monkeypatch, Servers(cp_0=in_days(3650), cp_2=in_days(3650)))
    if content is not None:
        servers.files["lab-a-cp-1"] = content
    log = MemoryLog()
    old = ControlPlaneState.model_validate(OF_0_1_0 | {"certificatesEnd": in_days(400).isoformat()})
    state = kind.read(operation("ControlPlane", log), "lab/a", old)
    assert state == old, "what was known of it stands"
    ((level, said),) = log.lines
    assert level == "warning"
    assert said.startswith("it isn't known when the certificates of lab-a-cp-1 end: its API server doesn't answer")
    assert reason in said


def test_up_renews_what_has_ended_and_serves_no_more(
    kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = use(monkeypatch, Servers(cp_0=in_days(400), cp_2=in_days(400)))
    servers.files["lab-a-cp-1"] = server_pair(PKI.ca, in_days(-3)).certificate
    old = ControlPlaneState.model_validate(OF_0_1_0 | {"certificatesEnd": in_days(-3).isoformat()})
    kind.update(operation("ControlPlane"), "lab/a", old, ControlPlaneInputs.model_validate(WIRE))
    assert servers.renewed == ["lab-a-cp-1"]


def test_a_control_plane_that_is_made_anew_is_not_asked_for_old_certificates(
    kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = use(monkeypatch, Servers(cp_0=in_days(400), cp_2=in_days(400)))
    log = MemoryLog()
    replaced = [one | {"sshHostKey": "another"} if one["name"] == "lab-a-cp-1" else one for one in MEMBERS]
    old = ControlPlaneState.model_validate(OF_0_1_0)
    inputs = ControlPlaneInputs.model_validate(WIRE | {"members": replaced})
    kind.update(operation("ControlPlane", log), "lab/a", old, inputs)
    assert set(servers.asked[0]) == {"lab-a-cp-0", "lab-a-cp-2"}
    assert log.lines == []


def test_refresh_notes_the_first_end_and_warns(kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Servers(cp_0=in_days(400), cp_1=in_days(30), cp_2=in_days(400)))
    log = MemoryLog()
    state = kind.read(operation("ControlPlane", log), "lab/a", ControlPlaneState.model_validate(OF_0_1_0))
    assert state is not None
    assert state.certificates_end == in_days(30).isoformat()
    assert [level for level, _ in log.lines] == ["warning"]
    log.lines.clear()
    use(monkeypatch, Servers())
    assert kind.read(operation("ControlPlane", log), "lab/a", state) == state, "nobody answers: it is as it was"
    assert len(log.lines) == 4, "of each nothing is known, and what was known is due"


def test_up_renews_what_is_late_and_leaves_the_others(
    kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = use(monkeypatch, Servers(cp_0=in_days(10), cp_1=in_days(400), cp_2=in_days(-3)))
    old = ControlPlaneState.model_validate(OF_0_1_0 | {"certificatesEnd": in_days(-3).isoformat()})
    state = kind.update(operation("ControlPlane"), "lab/a", old, ControlPlaneInputs.model_validate(WIRE))
    assert servers.renewed == ["lab-a-cp-2", "lab-a-cp-0"]
    assert servers.ended == {"lab-a-cp-2"}
    assert set(servers.asked[0]) == {"lab-a-cp-0", "lab-a-cp-1", "lab-a-cp-2"}, "workers have none"
    assert state.certificates_end == in_days(400).isoformat()


def test_up_for_another_reason_restarts_nothing(kind: ControlPlaneKind, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = use(monkeypatch, Servers(cp_0=in_days(3650)))
    old = ControlPlaneState.model_validate(OF_0_1_0)
    kind.update(operation("ControlPlane"), "lab/a", old, ControlPlaneInputs.model_validate(WIRE))
    assert servers.renewed == []


# -- what is done on a control plane --------------------------------------------------------------


class Recorder(LocalShell):
    """A control plane's shell that notes commands, and can fail at one."""

    def __init__(self, fails: str = "") -> None:
        self.commands: list[Sequence[str]] = []
        self.fails = fails

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout: float = 60, check: bool = True
    ) -> CommandResult:
        self.commands.append(argv)
        if argv[0] == self.fails:
            raise CommandError("cp", argv, 1, "", "no")
        return CommandResult(tuple(argv), 0, "v1.34.4\n", "")


def run_renewal(shell: Recorder, *ended: str) -> list[str]:
    seen: list[str] = []

    @contextmanager
    def login(member: Member) -> Iterator[Recorder]:
        seen.append(member.name)
        yield shell

    planes = [Member.model_validate(one) for one in MEMBERS[:2]]
    renewal.renew(operation("ControlPlane"), KUBECONFIG, planes, login, ended)
    return seen


def test_one_control_plane_is_back_before_the_next_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(renewal, "wait_until_answering", lambda api, _: asked.append(api.server))
    shell = Recorder()
    assert run_renewal(shell) == ["lab-a-cp-0", "lab-a-cp-1"]
    assert asked == ["https://10.0.0.18:6443", "https://10.0.0.19:6443"], "each at its own address"
    (version, script, *_) = shell.commands
    assert version == ["kubeadm", "version", "--output", "short"]
    assert script[:3] == ["sudo", "sh", "-s"]
    assert "certificateValidityPeriod: 87600h0m0s" in script[-1]
    assert "kubernetesVersion: v1.34.4" in script[-1]


def test_those_whose_certificates_have_ended_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one's etcd has no quorum before the second one has new ones."""
    shell, renewed_before = Recorder(), []
    monkeypatch.setattr(
        renewal, "wait_until_answering", lambda api, _work: renewed_before.append(len(shell.commands) // 2)
    )
    assert run_renewal(shell, "lab-a-cp-0", "lab-a-cp-1") == ["lab-a-cp-0", "lab-a-cp-1"]
    assert renewed_before == [2, 2]


def test_the_others_are_left_alone_when_one_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(api: Any, work: Work) -> None:
        raise NotReady(["connection refused"])

    monkeypatch.setattr(renewal, "wait_until_answering", silent)
    shell = Recorder()
    with pytest.raises(HostError, match="lab-a-cp-0 has new certificates, and its API server doesn't answer"):
        run_renewal(shell)
    assert len(shell.commands) == 2


def test_a_machine_that_lets_nobody_in_is_named_with_the_way_by_hand() -> None:
    with pytest.raises(HostError, match=r"certificates of lab-a-cp-0 can't be renewed.*kubeadm certs renew all"):
        run_renewal(Recorder(fails="kubeadm"))
