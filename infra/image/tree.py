"""Make the node's file tree: packages by mmdebstrap, then our own files on top."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from infra.image.bundle.model import Bundle
from infra.image.mirror import official_sources
from infra.image.recipe import Recipe
from infra.image.tools import Runner

_PROGRAMS: Final = (
    *("kubeadm", "kubelet", "kubectl"),
    *("containerd", "containerd-shim-runc-v2", "ctr", "runc"),
)


def install_packages(
    recipe: Recipe, sources: str, apt_options: list[str], work: Path, target: Path, run: Runner
) -> None:
    """Install the recipe's packages into a new tree and pack it into the tar file `target`."""
    before = work / "before"
    write_files(before, recipe.install_files)
    options = [
        "--variant=minbase",
        f"--architectures={recipe.architecture}",
        f"--include={','.join(package.name for package in recipe.packages)}",
        *(f"--aptopt={option}" for option in apt_options),
        *(f"--dpkgopt={option}" for option in recipe.dpkg_options),
        *(f"--essential-hook=copy-in {entry} /" for entry in sorted(before.iterdir())),
    ]
    mmdebstrap(options, recipe.suite, sources, work, target, run)


def mmdebstrap(options: Sequence[str], suite: str, sources: str, work: Path, target: Path, run: Runner) -> None:
    """Let mmdebstrap make a tree and pack it into the tar file `target`."""
    run(
        [
            *("mmdebstrap", "--mode=root", "--format=tar", '--aptopt=APT::Install-Recommends "false"'),
            *(*options, suite, str(target), "-"),
        ],
        stdin=sources,
        env={"TMPDIR": str(work), "DEBIAN_FRONTEND": "noninteractive"},
        isolated=True,
    )


def unpack(archive: Path, tree: Path, run: Runner) -> None:
    """Unpack a tree with its owners, modes and capabilities."""
    tree.mkdir()
    run(
        [
            *("tar", "--extract", "--file", str(archive), "--directory", str(tree)),
            *("--numeric-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*"),
        ]
    )


def customise(recipe: Recipe, tree: Path) -> None:
    """Turn a tree of packages into a node: our files and units, no keys, no traces of the build."""
    for pattern in recipe.removed:
        for path in tree.glob(pattern):
            _remove(path)
    write_files(tree, recipe.root_files)
    write_files(
        tree,
        {
            "etc/apt/sources.list": official_sources(recipe.suite).encode(),
            # Empty, and not "uninitialized": a boot gives a machine its id (from the DMI's or the
            # container's UUID) without taking it for a first boot that resets which units are enabled.
            "etc/machine-id": b"",
            "etc/hostname": b"localhost\n",
            "etc/fstab": b"# The kernel's command line names a VM's root; a container mounts nothing.\n",
        },
    )
    for unit in recipe.masked_units:
        _link(tree / "etc/systemd/system" / unit, "/dev/null")
    for link, destination in recipe.links.items():
        _link(tree / link, destination)
    for unit, target in recipe.enabled_units.items():
        _link(tree / "etc/systemd/system" / f"{target}.wants" / unit, f"/usr/lib/systemd/system/{unit}")
    # Newer than /usr: the first boot has no accounts, caches or catalogues to bring up to date.
    write_files(tree, {"etc/.updated": b"", "var/.updated": b""})


def install_programs(bundle: Bundle, tree: Path) -> None:
    """Put the bundle's programs for nodes into a tree."""
    for name in _PROGRAMS:
        target = tree / "usr/bin" / name
        shutil.copyfile(bundle.binary(name), target)
        target.chmod(0o755)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files under a folder; a script (by its `#!`) becomes executable."""
    for name, content in files.items():
        path = folder / PurePosixPath(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if content.startswith(b"#!") else 0o644)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def installed_packages(tree: Path) -> dict[str, str]:
    """Read the versions of the packages in a tree from dpkg's own database."""
    packages: dict[str, str] = {}
    for paragraph in (tree / "var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if line.startswith(("Package: ", "Status: ", "Version: "))
        )
        if fields.get("Status", "").endswith(" installed"):
            packages[fields["Package"]] = fields["Version"]
    return packages
