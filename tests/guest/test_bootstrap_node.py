"""How a machine becomes a node at its first boot, and what a later boot makes of what a power cut left.

The script itself runs, on a disk that is a folder, with programs that note how they are called.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.image import recipe

LIB = Path(recipe.__file__).parent / "files" / "root" / "usr" / "lib"
SCRIPTS, UNITS = LIB / "azlocal", LIB / "systemd" / "system"
VIP, OWN, PEERS = "10.0.0.9", "10.0.0.18", ("10.0.0.19", "10.0.0.20")

PROGRAMS = {
    "kubeadm": """
        echo "kubeadm $*" >>"$CALLS"
        case $1 in init | join) ;; *) ! test -e "$ROOT/run/azlocal/kubelet-may-start"; exit ;; esac
        test -e "$ROOT/run/azlocal/kubelet-may-start" || exit 1
        case $CUT in *"before $1"*) kill -9 "$PPID"; exit 1 ;; *"fails $1"*) exit 1 ;; esac
        mkdir -p "$ROOT/var/lib/kubelet" "$ROOT/etc/kubernetes"
        touch "$ROOT/var/lib/kubelet/config.yaml"
        [ "$1" = join ] || touch "$ROOT/etc/kubernetes/super-admin.conf"
        case $CUT in *"after $1"*) kill -9 "$PPID" ;; esac
    """,
    "curl": """
        for last; do :; done
        echo "curl $last" >>"$CALLS"
        case $last in
            *:2379/*) body=$(etcd "$last" "$*") && echo "$body" && exit 0 ;;
            *) for one in $ANSWERING; do case $last in https://$one/*) exit 0 ;; esac done ;;
        esac
        exit 7
    """,
    "systemctl": """
        case "$*" in *is-active*) test -e "$ROOT/keepalived-runs"; exit ;; esac
        echo "systemctl $*" >>"$CALLS"
        case "$*" in *start*) touch "$ROOT/keepalived-runs" ;; esac
    """,
    # The other members of etcd, which decide nothing while this machine's is off: a file says that it is on.
    "etcd": """
        echo "etcd ${1##*/} $2" | sed 's/ --.* --data / /; s/ https.*//' >>"$CALLS"
        case $1 in https://$ANSWERING_ETCD/*) ;; *) exit 7 ;; esac
        case $MEMBERS in *$OWN*) test -e "$ROOT/etcd-runs" || exit 7 ;; esac
        case $1 in
            */list) echo "$MEMBERS" ;;
            */remove) echo '{"header":{}}' ;;
        esac
    """,
    "systemd-run": """
        echo "systemd-run ${*#*RestartSec=1 }" >>"$CALLS"
        touch "$ROOT/etcd-runs"
    """,
    "nft": 'echo "nft $*" >>"$CALLS"',
    "sync": 'echo "sync $*" >>"$CALLS"',
    "sleep": ":",
    "openssl": 'echo "notBefore=$BORN"',
}


class Disk:
    """A machine's disk, with what its seed left on it."""

    def __init__(self, root: Path, *, founder: bool = True, peers: tuple[str, ...] = ()) -> None:
        self.root, self.config, self.calls = root, root / "etc/azlocal/node", root / "calls"
        (root / "bin").mkdir()
        for name, body in PROGRAMS.items():
            program = root / "bin" / name
            program.write_text(f"#!/bin/sh\n{body}\n")
            program.chmod(0o755)
        for folder in ("pki", "api-server"):
            (self.config / folder).mkdir(parents=True)
        (root / "etc/keepalived").mkdir()
        seed = {
            "endpoint": f"{VIP}:6443\n",
            "ca.crt": "CA",
            "authorization": "Authorization: Bearer x",
            "join.yaml": f"controlPlane:\n  localAPIEndpoint:\n    advertiseAddress: {OWN}\n",
            "keepalived.conf": "conf",
            "api-endpoint.json": "{}",
            "pki/ca.key": "KEY",
            "api-server/admission.yaml": "kind: AdmissionConfiguration",
        }
        seed["peers"] = "".join(f"{one}\n" for one in peers)
        if founder:
            seed["init.yaml"] = ""
        for name, content in seed.items():
            (self.config / name).write_text(content)
        (root / "usr/lib/azlocal").mkdir(parents=True)
        for name in ("bootstrap-node", "vrrp-peers"):
            text = (SCRIPTS / name).read_text()
            for folder in ("/etc/", "/var/", "/run/azlocal/", "/usr/lib/azlocal/"):
                text = text.replace(folder, f"{root}{folder}")
            (root / "usr/lib/azlocal" / name).write_text(text)
            (root / "usr/lib/azlocal" / name).chmod(0o755)

    def boot(
        self,
        *answering: str,
        cut: str = "",
        age: timedelta = timedelta(minutes=12),
        members: tuple[str, ...] = PEERS,
    ) -> list[str]:
        """Run the script after a power cut; return what kubeadm was asked to do.

        Args:
            answering: What answers on the network, as `address:port`.
            cut: When the power goes, or what fails: `after init`, `before join`, `fails init`.
            age: How old the cluster's authority is.
            members: The addresses of those who are etcd's members.
        """
        shutil.rmtree(self.file("run"), ignore_errors=True)
        self.calls.write_text("")
        born = datetime.now(UTC) - age
        environment = {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "ROOT": str(self.root),
            "CALLS": str(self.calls),
            "ANSWERING": " ".join(answering),
            "ANSWERING_ETCD": f"{PEERS[1]}:2379",
            "MEMBERS": etcd_members(*members),
            "OWN": OWN,
            "CUT": cut,
            "BORN": born.strftime("%b %d %H:%M:%S %Y GMT"),
        }
        done = subprocess.run(
            [str(self.root / "usr/lib/azlocal" / "bootstrap-node")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode == 0) is not bool(cut), done.stderr
        return [line.removeprefix("kubeadm ") for line in self.lines("kubeadm")]

    def lines(self, program: str) -> list[str]:
        """Return how a program was called."""
        return [line for line in self.calls.read_text().splitlines() if line.startswith(f"{program} ")]

    def file(self, path: str) -> Path:
        return self.root / path

    def lets_kubelet_start(self) -> bool:
        """Return whether systemd would start kubelet now, by its unit's conditions."""
        unit = (UNITS / "kubelet.service").read_text()
        conditions = [line for line in unit.splitlines() if line.startswith("ConditionPathExists=")]
        for folder in ("/etc/", "/var/", "/run/azlocal/"):
            conditions = [line.replace(folder, f"{self.root}{folder}") for line in conditions]
        return subprocess.run(["systemd-analyze", "condition", *conditions], check=False).returncode == 0


def etcd_members(*addresses: str) -> str:
    """Return what etcd says of its members, as its gateway words it."""
    members = [
        {"ID": f"77{number}", "peerURLs": [f"https://{one}:2380"], "clientURLs": [f"https://{one}:2379"]}
        for number, one in enumerate(addresses)
    ]
    header = {"cluster_id": "1", "member_id": "770", "raft_term": "2"}
    return json.dumps({"header": header, "members": members}, separators=(", ", ":"))


INIT = "init --config {}/init.yaml --skip-token-print --ignore-preflight-errors DirAvailable--var-lib-etcd"
KEEPING_ETCD = "reset --force --skip-phases remove-etcd-member"


def init(disk: Disk) -> str:
    return INIT.format(disk.config)


def join(disk: Disk) -> str:
    return f"join --config {disk.config}/join.yaml"


def test_the_first_control_plane_founds_the_cluster_and_keeps_nothing_of_its_seed(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    assert disk.boot() == [init(disk)]
    assert not disk.config.exists()
    assert disk.file("etc/kubernetes/azlocal/admission.yaml").exists()
    assert disk.file("etc/kubernetes/pki/ca.key").read_text() == "KEY"
    assert disk.lines("systemctl")[0] == "systemctl start keepalived.service"


def test_what_kubeadm_leaves_open_is_closed(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.boot()
    assert stat.S_IMODE(disk.file("var/lib/kubelet/config.yaml").stat().st_mode) == 0o600
    assert not disk.file("etc/kubernetes/super-admin.conf").exists()
    assert stat.S_IMODE(disk.file("var/log/kubernetes/audit").stat().st_mode) == 0o700


def test_another_control_plane_joins_whatever_answers(tmp_path: Path) -> None:
    disk = Disk(tmp_path, founder=False)
    assert disk.boot(f"{VIP}:6443") == [join(disk)]
    assert disk.file("etc/keepalived/keepalived.conf").read_text() == "conf"
    assert not disk.config.exists()


# -- a power cut ----------------------------------------------------------------------------------


def test_a_founded_cluster_is_never_taken_back(tmp_path: Path) -> None:
    """`kubeadm init` has ended, and the power goes before anything else is written."""
    disk = Disk(tmp_path)
    assert disk.boot(cut="after init") == [init(disk)]
    assert disk.boot() == [KEEPING_ETCD, init(disk)], "etcd's data stays, and kubeadm goes on with it"


def test_a_cluster_that_was_half_founded_is_founded_on(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.boot(cut="fails init")
    # A worker may have joined meanwhile; nobody but this machine can found the cluster.
    assert disk.boot(f"{PEERS[0]}:10250") == [KEEPING_ETCD, init(disk)]


@pytest.mark.parametrize(
    "left", [{"done"}, {"done", "tried", "founding", "pki/ca.key"}, {"done", "keepalived.conf"}]
)
def test_the_end_of_a_first_boot_is_made_up_for(tmp_path: Path, left: set[str]) -> None:
    """The power went while the folder was removed: its mark goes last."""
    disk = Disk(tmp_path)
    disk.file("var/lib/kubelet").mkdir(parents=True)
    disk.file("var/lib/kubelet/config.yaml").touch(0o644)
    for name in ("done", "tried", "founding"):
        (disk.config / name).touch()
    for path in sorted(disk.config.rglob("*"), reverse=True):
        if path.is_file() and str(path.relative_to(disk.config)) not in left:
            path.unlink()
    assert disk.boot() == []
    assert not disk.config.exists()


def test_the_marks_are_on_the_disk_before_what_they_tell_of_begins_and_after_it_ended(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.boot()
    calls = [line.split() for line in disk.calls.read_text().splitlines()]
    order = [
        words[0] for words in calls if words[0] == "kubeadm" or (words[0], words[-1]) == ("sync", str(disk.config))
    ]
    assert order == ["sync", "kubeadm", "sync"]


def test_a_half_joined_control_plane_leaves_etcd_before_it_tries_again(tmp_path: Path) -> None:
    disk = Disk(tmp_path, founder=False)
    disk.boot(f"{VIP}:6443", cut="fails join")
    assert disk.boot(f"{VIP}:6443") == ["reset --force", join(disk)]
    assert "unix:///run/containerd" in disk.file("var/lib/kubelet/instance-config.yaml").read_text()


@pytest.mark.parametrize(
    "cut", ["before init", "after init", "fails init", "before join", "after join", "fails join"]
)
def test_kubelet_runs_nothing_of_what_a_power_cut_left(tmp_path: Path, cut: str) -> None:
    """An API server that is soon taken away again would be one to `up`: kubelet waits until that is done.

    The programs above see to it that it may start when kubeadm wants it to, and not before.
    """
    founder = "init" in cut
    disk = Disk(tmp_path, founder=founder, peers=PEERS)
    answering = () if founder else (f"{VIP}:6443",)
    disk.boot(*answering, cut=cut)
    shutil.rmtree(disk.file("run"))  # the next boot begins
    disk.file("var/lib/kubelet").mkdir(parents=True, exist_ok=True)
    disk.file("var/lib/kubelet/config.yaml").touch()
    assert not disk.lets_kubelet_start()
    disk.boot(*answering)
    assert disk.lets_kubelet_start()


@pytest.mark.parametrize("left", [("done", "ca.crt"), ("done",), ()])
def test_kubelet_of_a_node_starts_with_its_machine(tmp_path: Path, left: tuple[str, ...]) -> None:
    disk = Disk(tmp_path)
    disk.boot()
    shutil.rmtree(disk.file("run"))
    assert disk.lets_kubelet_start(), "as early as ever"
    for name in left:  # of the end of a first boot
        disk.config.mkdir(exist_ok=True)
        (disk.config / name).touch()
    assert disk.lets_kubelet_start()
    disk.file("var/lib/kubelet/config.yaml").unlink()
    assert not disk.lets_kubelet_start(), "before kubeadm it would only fail"


def test_a_half_joined_member_leaves_etcd_while_it_runs(tmp_path: Path) -> None:
    """Of two members none decides anything alone; kubeadm would delete the data of one that isn't a node yet."""
    disk = Disk(tmp_path, founder=False, peers=PEERS)
    disk.boot(f"{VIP}:6443", cut="fails join")
    manifests = disk.file("etc/kubernetes/manifests")
    manifests.mkdir(parents=True)
    for name in ("etcd.yaml", "kube-apiserver.yaml"):
        (manifests / name).write_text(name)
    assert disk.boot(f"{VIP}:6443", members=(*PEERS, OWN)) == ["reset --force", join(disk)]
    calls = disk.calls.read_text().splitlines()
    said = [line for line in calls if line.split()[0] in ("etcd", "kubeadm", "systemd-run")]
    assert said == [
        f"systemd-run kubelet --config {tmp_path}/run/azlocal/etcd/kubelet.yaml",
        *("etcd list {}", "etcd list {}"),
        'etcd remove {"ID":"772"}',
        *("kubeadm reset --force", f"kubeadm {join(disk)}"),
    ]
    assert not disk.file("run/azlocal/etcd").exists()


def test_what_etcd_knows_nothing_of_is_taken_away_at_once(tmp_path: Path) -> None:
    disk = Disk(tmp_path, founder=False, peers=PEERS)
    disk.boot(f"{VIP}:6443", cut="fails join")
    assert disk.boot(f"{VIP}:6443") == ["reset --force", join(disk)]
    assert disk.lines("etcd") == ["etcd list {}", "etcd list {}"]
    assert disk.lines("systemd-run") == []


def test_who_has_begun_to_join_never_founds_a_cluster(tmp_path: Path) -> None:
    """Power came back to all, and the others take longer."""
    disk = Disk(tmp_path, peers=PEERS)
    disk.boot(f"{PEERS[0]}:6443", f"{VIP}:6443", cut="fails join")
    assert disk.boot(f"{VIP}:6443") == ["reset --force", join(disk)]
    assert disk.lines("curl").count(f"curl https://{PEERS[0]}:6443/livez") == 0, "nobody was asked"


# -- whether the cluster stands --------------------------------------------------------------------


@pytest.mark.parametrize("answering", [f"{VIP}:6443", f"{PEERS[0]}:6443", f"{PEERS[1]}:6443", f"{PEERS[1]}:10250"])
def test_the_first_control_plane_made_anew_joins_the_others(tmp_path: Path, answering: str) -> None:
    """Its address may be on its way, and an API server may be down: a control plane that is a node is enough."""
    disk = Disk(tmp_path, peers=PEERS)
    # The token's answer comes from the cluster's address, whoever holds it by then.
    (tmp_path / "bin" / "curl").write_text(
        (tmp_path / "bin" / "curl")
        .read_text()
        .replace("exit 7", "case $last in */kubeadm-config) exit 0 ;; esac; exit 7")
    )
    assert disk.boot(answering) == [join(disk)]


@pytest.mark.parametrize(
    ("peers", "age", "times"),
    [
        ((), timedelta(days=300), 1),
        (PEERS, timedelta(minutes=12), 3),
        (PEERS, timedelta(days=300), 30),
    ],
)
def test_an_old_cluster_is_asked_for_longer_than_a_new_one(
    tmp_path: Path, peers: tuple[str, ...], age: timedelta, times: int
) -> None:
    disk = Disk(tmp_path, peers=peers)
    assert disk.boot(age=age) == [init(disk)]
    assert disk.lines("curl").count(f"curl https://{VIP}:6443/livez") == times
    for peer in peers:
        assert disk.lines("curl").count(f"curl https://{peer}:6443/livez") == times


# -- with whom the address is held -----------------------------------------------------------------


@pytest.mark.parametrize("founder", [True, False])
def test_a_control_plane_speaks_with_its_peers_alone_before_it_may_hold_the_address(
    tmp_path: Path, founder: bool
) -> None:
    disk = Disk(tmp_path, founder=founder, peers=PEERS)
    disk.boot(*([] if founder else [f"{VIP}:6443"]))
    folder = disk.file("etc/keepalived")
    assert (folder / "peers.conf").read_text() == "unicast_peer {\n  10.0.0.19\n  10.0.0.20\n}\n"
    assert "ip protocol vrrp ip saddr != { 10.0.0.19, 10.0.0.20 } drop" in (folder / "peers.nft").read_text()
    assert (folder / "peers").read_text().split() == list(PEERS)
    assert {"keepalived.conf", "api-endpoint.json"} <= {file.name for file in folder.iterdir()}
    assert disk.lines("systemctl") == ["systemctl start keepalived.service"]


def test_the_only_control_plane_listens_to_nobody(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.boot()
    assert "unicast_peer" not in disk.file("etc/keepalived/peers.conf").read_text()
    assert disk.file("etc/keepalived/peers").read_text().split() == []
    rules = " ".join(disk.file("etc/keepalived/peers.nft").read_text().split())
    assert "ip protocol vrrp drop" in rules


def test_one_that_runs_learns_of_others_at_once(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.boot()
    environment = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "ROOT": str(tmp_path), "CALLS": str(disk.calls)}
    subprocess.run([str(tmp_path / "usr/lib/azlocal/vrrp-peers"), *PEERS], env=environment, check=True)
    assert "10.0.0.20" in disk.file("etc/keepalived/peers.conf").read_text()
    assert disk.lines("nft") == [f"nft --file {tmp_path}/etc/keepalived/peers.nft"]
    assert disk.lines("systemctl")[-1] == "systemctl reload keepalived.service"
