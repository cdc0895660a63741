"""Fill the container store of a tree, with the tree's own containerd run on the build machine.

A guest would need minutes under emulation for what takes seconds here. containerd runs in namespaces of its own
(mounts and processes), made by whoever starts this module's `main`: whatever ends that also ends containerd, and
nothing that is mounted here is ever seen from outside.

Only the unpacked layers stay. Nothing reads them packed again, as with CRI's `discard_unpacked_layers`, and they
would be a sixth of what every host is sent.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from infra.image.bundle.model import Bundle
from infra.image.errors import ImageError
from infra.image.tools import Runner, run

NAMESPACE: Final = "k8s.io"
# /run is a tmpfs while this lasts, so the image keeps none of these.
_SOCKET: Final = "/run/containerd.sock"
_CONFIG: Final = "/run/import.toml"
_ARCHIVES: Final = "/run/images"
_LOG: Final = "run/import.log"
_SECONDS_TO_START: Final = 30.0
_SECONDS_TO_STOP: Final = 30.0

# No pods run on the build machine, and none of its own devices are to be probed.
_SETTINGS: Final = """version = 3
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
    "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
"""


def import_images(bundle: Bundle, tree: Path, run: Runner) -> None:
    """Put a bundle's container images into a tree's store, unpacked.

    Raises:
        ImageError: containerd fails, or an image isn't whole there afterwards.
    """
    archives = [str(bundle.archive(name)) for name in bundle.images]
    answer = run([sys.executable, "-m", "infra.image.containers", str(tree), *archives], isolated=True)
    faults = missing_images(answer, bundle.images)
    if faults:
        raise ImageError(
            f"containerd's store in {tree} isn't what the bundle has: {'; '.join(faults)}.",
            "Run `azlocal image verify`, which names damaged archives; then `azlocal image build` again.",
        )


def missing_images(table: str, images: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a store, given what `ctr images check` printed about it."""
    lines = {fields[0]: line for line in table.splitlines() if (fields := line.split())}
    faults = []
    for reference in images.values():
        line = lines.get(reference)
        if line is None:
            faults.append(f"{reference} isn't there")
        elif " complete " not in line or not line.rstrip().endswith("true"):
            faults.append(f"{reference} isn't whole or not unpacked ({' '.join(line.split()[3:])})")
    return faults


def main(tree: Path, archives: Sequence[Path]) -> None:
    """Import archives into a tree; write what `ctr images check` says of them before their packed layers go.

    Raises:
        ImageError: A program fails.
    """
    _mount(tree, archives[0].parent)
    with _containerd(tree):
        for archive in archives:
            _ctr(tree, "images", "import", f"{_ARCHIVES}/{archive.name}")
        sys.stdout.write(_ctr(tree, "images", "check"))
        _ctr(tree, "content", "prune", "references")


def _mount(tree: Path, archives: Path) -> None:
    run(["mount", "-t", "proc", "proc", str(tree / "proc")])
    run(["mount", "--bind", "/dev", str(tree / "dev")])
    run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(tree / "run")])
    target = tree / _ARCHIVES.lstrip("/")
    target.mkdir()
    run(["mount", "--bind", "-o", "ro", str(archives), str(target)])
    (tree / _CONFIG.lstrip("/")).write_text(_SETTINGS, encoding="utf-8")


@contextmanager
def _containerd(tree: Path) -> Iterator[None]:
    argv = ["chroot", str(tree), "containerd", "--config", _CONFIG, "--address", _SOCKET]
    argv += ["--root", "/var/lib/containerd", "--state", "/run/containerd"]
    log = tree / _LOG
    with log.open("w") as output, subprocess.Popen(argv, stdout=output, stderr=output) as daemon:
        try:
            _wait_for(tree, daemon)
            yield
        finally:
            # Not killed: it has its database to close.
            daemon.terminate()
            try:
                daemon.wait(_SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                daemon.kill()


def _wait_for(tree: Path, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while True:
        try:
            _ctr(tree, "images", "list", "--quiet")
        except ImageError as error:
            if daemon.poll() is not None or time.monotonic() > deadline:
                log = (tree / _LOG).read_text(errors="replace").splitlines()[-10:]
                raise ImageError(
                    "The image's containerd doesn't start on this machine:\n" + "\n".join(log),
                    "Its cache folder must be on a real file system (ext4, XFS, btrfs), not on an overlay.",
                ) from error
            time.sleep(0.1)
        else:
            return


def _ctr(tree: Path, *arguments: str) -> str:
    return run(["chroot", str(tree), "ctr", "--address", _SOCKET, "--namespace", NAMESPACE, *arguments])


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
    except ImageError as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(1)
