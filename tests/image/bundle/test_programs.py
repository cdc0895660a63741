"""Programs of a bundle answer for themselves: those in its folder, and those in its images."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from infra.image.bundle.model import Bundle
from infra.image.bundle.programs import ProgramUnusable, program

# Stands in for kube-apiserver: takes --v, and one feature gate.
SERVER = """#!/bin/sh
for argument; do
    case $argument in
    --version | --v=*) ;;
    --feature-gates=Known=*) ;;
    --feature-gates=*)
        echo "E1 run.go:72] \\"command failed\\" err=\\"no gate \\\\\\"${argument#*gates=}\\\\\\"\\"" >&2
        exit 1
        ;;
    *) printf 'Usage:\\n  --v level\\n\\nError: unknown flag: %s\\n' "${argument%%=*}" >&2; exit 1 ;;
    esac
done
echo Kubernetes
"""
# Stands in for kubelet, which ends at the configuration that isn't there; others of its errors come before.
KUBELET = """#!/bin/sh
case "$*" in
*--bad*) reason="failed to parse kubelet flag: unknown flag: --bad" ;;
*) reason="failed to load kubelet config file, path: ${1#--config=}, error: none" ;;
esac
echo "E1 run.go:72] \\"command failed\\" err=\\"$reason\\""
exit 1
"""


def write_archive(path: Path, layers: Sequence[Mapping[str, str]]) -> None:
    """Write an image as an OCI archive, a layer for each mapping from paths to contents."""
    blobs: dict[str, bytes] = {}

    def blob(content: bytes) -> str:
        digest = sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return f"sha256:{digest}"

    manifest = {"layers": [{"digest": blob(_tar(layer, "w:gz"))} for layer in layers]}
    index = {"manifests": [{"digest": blob(json.dumps(manifest).encode())}]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_tar({"index.json": json.dumps(index), **blobs}, "w"))


def _tar(files: Mapping[str, str | bytes], mode: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]  # w or w:gz
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def test_a_program_in_an_image_runs_from_memory_and_says_what_it_refuses(bundle: Bundle) -> None:
    layers = [{"etc/kube-apiserver.conf": ""}, {"usr/local/bin/kube-apiserver": SERVER}]
    write_archive(bundle.archive("kube-apiserver"), layers)
    with program(bundle, "kube-apiserver") as server:
        assert server.refusal(["--v=2", "--feature-gates=Known=true"]) == ""
        assert server.refusal(["--gone=1"]) == "unknown flag: --gone"
        assert server.refusal(["--feature-gates=Gone=true"]) == 'no gate "Gone=true"'
    assert [path.name for path in bundle.folder.rglob("kube-apiserver*")] == ["kube-apiserver.tar"]


def test_kubelet_never_starts_and_its_refusals_come_before(bundle: Bundle) -> None:
    file = bundle.binary("kubelet")
    file.write_text(KUBELET)
    file.chmod(0o755)
    with program(bundle, "kubelet") as kubelet:
        assert kubelet.refusal(["--feature-gates=Known=true"]) == ""
        assert kubelet.refusal(["--bad=1"]) == "failed to parse kubelet flag: unknown flag: --bad"


@pytest.mark.parametrize("content", ["\x7fELF but of another machine", "#!/bin/sh\nkill -SEGV $$\n"])
def test_a_program_that_does_not_run_here_is_no_refusal(bundle: Bundle, content: str) -> None:
    write_archive(bundle.archive("etcd"), [{"usr/local/bin/etcd": content}])
    with program(bundle, "etcd") as etcd, pytest.raises(ProgramUnusable, match="can't be run on this machine"):
        etcd.refusal(["--v=2"])


def test_an_image_without_the_program_or_without_sense_is_said_to_be(bundle: Bundle) -> None:
    write_archive(bundle.archive("coredns"), [{"etc/motd": ""}])
    with pytest.raises(ProgramUnusable, match="has no such program"), program(bundle, "coredns"):
        pass
    bundle.archive("coredns").write_bytes(b"nothing")
    with pytest.raises(ProgramUnusable, match="can't be read"), program(bundle, "coredns"):
        pass
