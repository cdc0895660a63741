"""restart-api-server.sh on a folder that stands in for a control plane."""

from __future__ import annotations

import os
import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

MANIFEST = """\
apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: 10.0.0.1:6443
  labels:
    component: kube-apiserver
  name: kube-apiserver
spec:
  containers: []
"""
# kubelet, which starts another container once the manifest is another one, and a second look was taken.
CTR = """#!/bin/sh
case "$*" in
    *"containers list"*)
        echo old
        grep -q restarted-at "$MANIFEST" || exit 0
        [ ! -e "$0.looked" ] || echo "new-$(md5sum <"$MANIFEST" | cut -c1-8)"
        : >"$0.looked"
        ;;
esac
"""


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = folder, folder / "manifests/kube-apiserver.yaml"
        self.manifest.parent.mkdir()
        self.manifest.write_text(MANIFEST)
        self.manifest.chmod(0o600)
        (folder / "bin").mkdir()
        for name, content in (("ctr", CTR), ("sleep", "#!/bin/sh\n")):
            (folder / "bin" / name).write_text(content)
            (folder / "bin" / name).chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        script = files("infra.kubernetes").joinpath("files", "restart-api-server.sh").read_text(encoding="utf-8")
        return subprocess.run(
            ["sh", "-s"],
            input=script.replace("/etc/kubernetes", str(self.folder)),
            env={"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "MANIFEST": str(self.manifest)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def moment(self) -> str:
        (moment,) = re.findall(r"^    azlocal\.io/restarted-at: '(.*)'$", self.manifest.read_text(), re.MULTILINE)
        return str(moment)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_manifest_says_when_and_nothing_else_of_it_changes(machine: Machine) -> None:
    for _ in range(2):
        done = machine.run()
        assert done.returncode == 0, done.stderr
        rest = [line for line in machine.manifest.read_text().splitlines() if "restarted-at" not in line]
        assert rest == MANIFEST.splitlines()
        assert machine.manifest.stat().st_mode & 0o777 == 0o600
        assert [path.name for path in machine.manifest.parent.iterdir()] == [machine.manifest.name]
    before = machine.moment
    machine.run()
    assert machine.moment != before, "each time it is another pod"


def test_a_manifest_that_is_none_of_kubeadm_s_is_left_alone(machine: Machine) -> None:
    machine.manifest.write_text("kind: Pod\n")
    done = machine.run()
    assert (done.returncode, machine.manifest.read_text()) == (1, "kind: Pod\n")
    assert "isn't as kubeadm writes it" in done.stderr
