"""Put container images together and write them as OCI archives, with umoci and skopeo."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.image.bundle.parts import (
    Binary,
    Certificates,
    Entry,
    Folder,
    FromDebian,
    Image,
    Link,
    Sources,
    Text,
)
from infra.image.errors import ImageError
from infra.image.tools import Runner

# Every file's and image's date: the same content is the same image, whoever builds it.
_EPOCH: Final = 1_767_225_600
_CREATED: Final = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Ingredients:
    """Where the parts of images are.

    Attributes:
        programs: Each component's folder of compiled programs.
        sources: Finds the unpacked module of a component.
        extras: The tree of Debian packages that single files come from.
    """

    programs: Mapping[str, Path]
    sources: Callable[[str], Path]
    extras: Path


class Composer:
    """Makes images in one OCI layout, so that they share Debian's layers."""

    def __init__(self, work: Path, ingredients: Ingredients, run: Runner) -> None:
        self._work = work
        self._ingredients = ingredients
        self._run = run
        self._layout = work / "layout"
        self._run(["umoci", "init", "--layout", str(self._layout)])

    def add_layer(self, name: str, tree: Path) -> None:
        """Make a tree the layer that images with a Debian tree of that name stand on."""
        _settle_dates(tree)
        self._new(name)
        self._insert(name, tree)

    def compose(self, image: Image, reference: str, target: Path) -> None:
        """Make an image and write it as an OCI archive.

        Raises:
            ImageError: A part is missing or a program fails.
        """
        root = self._work / f"root-{image.name}"
        root.mkdir(mode=0o755)
        for entry in image.entries:
            self._add(entry, root)
        _settle_dates(root)
        if image.debian:
            self._run(["umoci", "tag", "--image", f"{self._layout}:{image.debian.name}", image.name])
        else:
            self._new(image.name)
        self._insert(image.name, root)
        self._run(["umoci", "config", "--image", f"{self._layout}:{image.name}", *configuration(image)])
        shutil.rmtree(root)
        # It is our own image from our own folder: there is no signature to ask for.
        copy = ["skopeo", "--insecure-policy", "copy", "--quiet"]
        self._run([*copy, f"oci:{self._layout}:{image.name}", f"oci-archive:{target}:{reference}"])

    def _new(self, tag: str) -> None:
        self._run(["umoci", "new", "--image", f"{self._layout}:{tag}"])

    def _insert(self, tag: str, root: Path) -> None:
        history = ["--history.created", _CREATED, "--history.created_by", "azlocal"]
        self._run(["umoci", "insert", "--image", f"{self._layout}:{tag}", *history, str(root), "/"])

    def _add(self, entry: Entry, root: Path) -> None:
        match entry:
            case Binary():
                self._add_binary(entry, root)
            case FromDebian():
                _copy(self._ingredients.extras / entry.path, root / entry.target, 0o755)
            case Sources():
                _copy_tree(self._ingredients.sources(entry.component) / entry.path, root / entry.target)
            case Certificates():
                _write(root / entry.target, certificates(self._ingredients.extras), 0o644)
            case Text():
                path = root / entry.target
                _write(path, entry.content.encode(), 0o644)
                os.chown(path, entry.owner, entry.owner)
            case Folder():
                path = root / entry.target
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(entry.mode)
                os.chown(path, entry.owner, entry.owner)
            case Link():
                for target in entry.targets:
                    path = root / target
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.symlink_to(entry.destination)

    def _add_binary(self, entry: Binary, root: Path) -> None:
        target = root / entry.target
        _copy(self._ingredients.programs[entry.component] / entry.name, target, 0o755)
        if entry.capabilities:
            self._run(["setcap", entry.capabilities, str(target)])


def configuration(image: Image) -> list[str]:
    """Return umoci's arguments for an image's configuration."""
    argv = ["--os", "linux", "--architecture", "amd64", "--created", _CREATED]
    argv += ["--history.created", _CREATED, "--history.created_by", "azlocal"]
    for variable in image.environment:
        argv += ["--config.env", variable]
    for word in image.entrypoint:
        argv += ["--config.entrypoint", word]
    for word in image.command:
        argv += ["--config.cmd", word]
    if image.user:
        argv += ["--config.user", image.user]
    if image.workdir:
        argv += ["--config.workingdir", image.workdir]
    return argv


def certificates(tree: Path) -> bytes:
    """Return Debian's certificate authorities as one file.

    Raises:
        ImageError: There are none.
    """
    found = sorted((tree / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    if not found:
        raise ImageError(
            f"{tree} has no certificate authorities.", "Look at EXTRAS in infra/image/bundle/images.py."
        )
    return b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in found)


def _copy(source: Path, target: Path, mode: int) -> None:
    if not source.is_file():
        raise ImageError(f"{source} isn't there for {target.name}.", "Look at infra/image/bundle/images.py.")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _copy_tree(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise ImageError(f"{source} isn't a folder.", "Look at infra/image/bundle/images.py.")
    for path in sorted(source.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            # rc.local has no interpreter line and is run by its name all the same.
            script = content.startswith(b"#!") or path.name == "rc.local" or path.parent.name == "sbin"
            _write(target / path.relative_to(source), content, 0o755 if script else 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _settle_dates(tree: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (_EPOCH, _EPOCH), follow_symlinks=False)
