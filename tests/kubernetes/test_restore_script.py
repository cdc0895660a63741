"""restore-etcd.sh on a folder that stands in for a control plane: files move, nothing of etcd's is lost."""

from __future__ import annotations

import os
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
MANIFEST = """\
spec:
  containers:
  - command:
    - etcd
    - --initial-advertise-peer-urls=https://10.0.0.2:2380
    - --initial-cluster=cp-0=https://10.0.0.1:2380,cp-1=https://10.0.0.2:2380
    - --initial-cluster-state=existing
    - --name=cp-1
    image: registry.k8s.io/etcd:3.6.16-0
"""
CTR = """#!/bin/sh
case "$*" in
    *"images mount"*)
        mkdir -p "$6/usr/local/bin"
        [ ! -e "$ETCDUTL" ] || cp "$ETCDUTL" "$6/usr/local/bin/etcdutl"
        ;;
    *"images unmount"*) rm -rf "$6/usr" ;;
esac
"""
ETCDUTL = """#!/bin/sh
printf '%s\\n' "$@" >"$LOG"
while [ "$1" != --data-dir ]; do shift; done
mkdir -p "$2/member"
echo restored >"$2/member/data"
"""


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifests, self.away = folder / "manifests", folder / "restore"
        self.data = folder / "lib/etcd"
        self.manifests.mkdir()
        (self.data / "member").mkdir(parents=True)
        (self.data / "member/data").write_text("old")
        for part in PARTS:
            (self.manifests / f"{part}.yaml").write_text(MANIFEST if part == "etcd" else part)
        (folder / "bin").mkdir()
        for name, content in (("bin/ctr", CTR), ("etcdutl", ETCDUTL)):
            (folder / name).write_text(content)
            (folder / name).chmod(0o755)

    def run(self, *words: str, code: int = 0) -> str:
        script = files("infra.kubernetes").joinpath("files", "restore-etcd.sh").read_text(encoding="utf-8")
        script = script.replace("/etc/kubernetes", str(self.folder)).replace("/var/lib", f"{self.folder}/lib")
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "ETCDUTL": str(self.folder / "etcdutl"),
            "LOG": str(self.folder / "log"),
        }
        done = subprocess.run(
            ["sh", "-s", "--", *words], input=script, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stderr

    def running(self) -> set[str]:
        return {path.stem for path in self.manifests.iterdir()}

    def aside(self) -> list[Path]:
        return sorted((self.folder / "lib").glob("etcd-before-*"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_restore_sets_the_data_aside_and_starts_alone_with_the_snapshot(machine: Machine) -> None:
    machine.run("check")
    for _ in range(2):  # a power cut in between changes nothing
        machine.run("stop")
        assert machine.running() == set()
        assert not machine.data.exists()
    (aside,) = machine.aside()
    assert (aside / "member/data").read_text() == "old"
    machine.run("restore", "/s.db", "token-1", "1000000000")
    words = (machine.folder / "log").read_text().split()
    assert words[:3] == ["snapshot", "restore", "/s.db"]
    options = dict(zip(words[3::2], words[4::2], strict=False))
    assert options["--initial-cluster"] == "cp-1=https://10.0.0.2:2380", "of itself alone"
    assert options["--initial-cluster-token"] == "token-1"
    assert options["--bump-revision"] == "1000000000"
    assert words[-1] == "--mark-compacted"
    machine.run("start")
    machine.run("start")
    assert machine.running() == set(PARTS)
    assert not machine.away.exists()
    assert (machine.data / "member/data").read_text() == "restored\n"
    assert oct(machine.data.stat().st_mode & 0o777) == "0o700"


def test_what_could_not_be_restored_goes_on_with_the_data_of_before(machine: Machine) -> None:
    machine.run("stop")
    (machine.folder / "etcdutl").write_text("#!/bin/sh\nexit 1\n")
    machine.run("restore", "/s.db", "t", "1", code=1)
    machine.run("back")
    assert (machine.data / "member/data").read_text() == "old"
    assert machine.running() == set(PARTS)
    assert machine.aside() == []


def test_an_image_without_etcdutl_is_seen_before_anything_stops(machine: Machine) -> None:
    (machine.folder / "etcdutl").unlink()
    machine.run("check", code=3)
    assert machine.running() == set(PARTS)


def test_another_one_comes_as_a_new_member_of_the_cluster_that_there_is(machine: Machine) -> None:
    machine.run("stop")
    machine.run("join", "cp-0=https://10.0.0.1:2380,cp-1=https://10.0.0.2:2380")
    machine.run("join", "cp-0=https://10.0.0.1:2380,cp-2=https://10.0.0.3:2380,cp-1=https://10.0.0.2:2380")
    machine.run("start")
    text = (machine.manifests / "etcd.yaml").read_text()
    cluster = "    - --initial-cluster=cp-0=https://10.0.0.1:2380,cp-2=https://10.0.0.3:2380,cp-1=https://10.0.0.2:2380\n"
    assert text == MANIFEST.replace(MANIFEST.splitlines(keepends=True)[5], cluster)
    assert list(machine.data.iterdir()) == []


def test_of_what_was_set_aside_the_last_but_one_stays(machine: Machine) -> None:
    for moment in ("20261129T000000Z", "20261130T000000Z"):
        (machine.folder / f"lib/etcd-before-{moment}").mkdir()
    machine.run("stop")
    names = [path.name for path in machine.aside()]
    assert len(names) == 2
    assert names[0] == "etcd-before-20261130T000000Z"
