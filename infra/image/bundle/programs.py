"""A bundle's programs, run on this machine to learn what they take: flags, feature gates, plugins.

A list of what each version knows would have to be written for each; the programs know. They only read their
command line, and end: before anything is opened, listened on or written. Those in images run from memory.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from infra.image.bundle.model import Bundle
from infra.image.errors import ImageError

_SECONDS: Final = 60.0
_PIECE: Final = 1 << 20
_MISSING: Final = "/azlocal-has-no-such-file"

# What has a program read its arguments and end, where `--version` isn't enough: kubelet's and kube-proxy's answer
# that before they look at feature gates. A kubelet whose configuration isn't there never starts.
_ENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "kubelet": (f"--config={_MISSING}",),
    "kube-proxy": ("--write-config-to=/dev/null",),
}
_READ_ALL: Final = f"failed to load kubelet config file, path: {_MISSING}"

_LOGGED: Final = re.compile(r'err="(?P<reason>(?:[^"\\]|\\.)*)"')
_PRINTED: Final = re.compile(
    r"^(?:Error: )?(?P<reason>(?:unknown|invalid|flag provided|bad flag).*)$", re.MULTILINE
)


class ProgramUnusable(ImageError):
    """A bundle's program doesn't run on this machine."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"{name} of the bundle can't be run on this machine: {reason}.", "Run this where the bundle was built."
        )


class Program:
    """A program of a bundle.

    Attributes:
        name: What it is called.
        version: The bundle's version of Kubernetes, without the v.
    """

    def __init__(self, name: str, version: str, path: str, descriptors: tuple[int, ...] = ()) -> None:
        self.name = name
        self.version = version
        self._path = path
        self._descriptors = descriptors

    def refusal(self, arguments: Sequence[str]) -> str:
        """Return why it wouldn't start with arguments, `--name=value` each; nothing where it takes them.

        Raises:
            ProgramUnusable: It doesn't run here.
        """
        done = self.run([*_ENDS.get(self.name, ("--version",)), *arguments])
        output = done.stderr + done.stdout
        if done.returncode == 0 or _READ_ALL in output:
            return ""
        if match := _LOGGED.search(output) or _PRINTED.search(output):
            return match["reason"].replace('\\"', '"')
        raise ProgramUnusable(self.name, f"it ends with {done.returncode}: {output.strip()[-300:]}")

    def run(self, arguments: Sequence[str], content: str = "") -> subprocess.CompletedProcess[str]:
        """Run it to its end, with nothing of this process's surroundings but the content that it may read.

        Raises:
            ProgramUnusable: It doesn't run here.
        """
        try:
            return subprocess.run(
                [self._path, *arguments],
                pass_fds=self._descriptors,
                input=content,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProgramUnusable(self.name, str(error)) from error


@contextmanager
def program(bundle: Bundle, name: str) -> Iterator[Program]:
    """Yield a bundle's program: one of its files, or what is in the image of that name.

    Raises:
        ProgramUnusable: The bundle has none of that name.
    """
    file = bundle.binary(name)
    if file.is_file():
        yield Program(name, bundle.kubernetes_version, str(file))
        return
    descriptor = os.memfd_create(name)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as memory:
            _copy(bundle.archive(name), name, memory)
        yield Program(name, bundle.kubernetes_version, f"/proc/self/fd/{descriptor}", (descriptor,))
    finally:
        os.close(descriptor)


def _copy(archive: Path, name: str, target: IO[bytes]) -> None:
    """Copy the program of an image out of its OCI archive."""
    try:
        with tarfile.open(archive) as image:

            def blob(digest: str) -> IO[bytes]:
                content = image.extractfile(f"blobs/{digest.replace(':', '/')}")
                if content is None:
                    raise KeyError(digest)
                return content

            index = image.extractfile("index.json")
            if index is None:
                raise KeyError("index.json")
            manifest = json.load(blob(json.load(index)["manifests"][0]["digest"]))
            for layer in manifest["layers"]:
                if _copy_from(blob(layer["digest"]), name, target):
                    return
    except (OSError, tarfile.TarError, ValueError, LookupError, TypeError) as error:
        raise ProgramUnusable(name, f"{archive} can't be read: {error!r}") from error
    raise ProgramUnusable(name, f"{archive} has no such program")


def _copy_from(layer: IO[bytes], name: str, target: IO[bytes]) -> bool:
    with tarfile.open(fileobj=layer, mode="r|*") as files:
        for file in files:
            if file.isreg() and file.name.rpartition("/")[2] == name and (content := files.extractfile(file)):
                while piece := content.read(_PIECE):
                    target.write(piece)
                return True
    return False
