"""Run the programs that an image is built with; the only place that starts a process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from infra.image.errors import ImageError, Stopped

# Each program, and the Debian package that has it.
TOOLS: Final = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "tar": "tar",
    "sgdisk": "gdisk",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "qemu-img": "qemu-utils",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "umoci": "umoci",
    "skopeo": "skopeo",
    "setcap": "libcap2-bin",
    "gcc": "gcc",
    "pkg-config": "pkg-config",
}
# Each file that a build takes from this machine, and the Debian package that has it.
FILES: Final = {
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"): "debian-archive-keyring",
    Path("/usr/include/seccomp.h"): "libseccomp-dev",
}
_TAIL_LINES: Final = 15


# With these, whatever ends a program also ends apt, dpkg and the maintainer scripts that it runs, and a /proc
# or /dev mounted in a tree is never seen from outside, where the work folder is deleted. What is unmounted outside
# goes here too (slave): an instance that is taken down during a build has its store's disk released.
_OWN_NAMESPACES: Final = (
    *("unshare", "--mount", "--propagation=slave"),
    *("--pid", "--fork", "--kill-child", "--mount-proc", "--"),
)
_PASSWORD: Final = re.compile(r"//[^/\s@]+@")


class Runner(Protocol):
    """Runs one program to its end."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        isolated: bool = False,
    ) -> str:
        """Run `argv` and return what it wrote to stdout.

        Args:
            argv: The program and its arguments.
            stdin: What it reads.
            env: Variables beside this process's own.
            isolated: Give it mounts and processes of its own, for one that runs others in a chroot.

        Raises:
            ImageError: It can't be started or fails.
        """
        ...


class StoppableRunner(Runner, Protocol):
    """A runner for the threads of one build, which can be told to end everything."""

    def stop(self) -> None:
        """End what runs, and start nothing any more; who waits for a program gets `Stopped`."""
        ...


class Programs:
    """Runs the programs of one build; the kernel ends each with its thread, so that a killed build leaves none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        isolated: bool = False,
    ) -> str:
        """Run a program to its end.

        Raises:
            ImageError: The program can't be started or fails.
            Stopped: It was ended, or not started, since `stop` was called.
        """
        process = self._start(argv, env, isolated)
        try:
            with process:
                try:
                    output, errors = process.communicate(stdin)
                except BaseException:
                    process.kill()
                    raise
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode != 0:
            if self._stopped:
                raise _stopped(argv)
            raise _failure(argv, process.returncode, errors or output)
        return output

    def _start(self, argv: Sequence[str], env: Mapping[str, str] | None, isolated: bool) -> subprocess.Popen[str]:
        around = ["setpriv", "--pdeathsig", "KILL", "--", *(_OWN_NAMESPACES if isolated else ())]
        with self._lock:
            if self._stopped:
                raise _stopped(argv)
            try:
                process = subprocess.Popen(
                    [*around, *argv],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": _search_path(), **(env or {})},
                    text=True,
                    errors="replace",
                )
            except OSError as error:
                raise ImageError(f"{argv[0]} can't be started: {error}", "Run `make setup`.") from error
            self._running.add(process)
        return process

    def stop(self) -> None:
        """End what runs, and start nothing any more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()


def run(
    argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None, isolated: bool = False
) -> str:
    """Run a single program, as `Programs` does.

    Raises:
        ImageError: The program can't be started or fails.
    """
    return Programs()(argv, stdin=stdin, env=env, isolated=isolated)


def _stopped(argv: Sequence[str]) -> Stopped:
    return Stopped(f"{argv[0]} was stopped.", "Run it again: finished steps are kept.")


def _failure(argv: Sequence[str], code: int, output: str) -> ImageError:
    tail = "\n".join(f"  {without_password(line)}" for line in output.strip().splitlines()[-_TAIL_LINES:])
    return ImageError(f"{argv[0]} failed with exit code {code}:\n{tail}", remedy_for(output))


def without_password(text: str) -> str:
    """Hide the user and password of the addresses in a text."""
    return _PASSWORD.sub("//***@", text)


def remedy_for(output: str) -> str:
    """Choose the advice that fits a failed program's output."""
    known = (
        (
            ("No space left on device", "Disk quota exceeded"),
            "Free disk space, or point XDG_CACHE_HOME elsewhere.",
        ),
        (
            (
                "Could not resolve",
                "Failed to fetch",
                "Unable to connect",
                "Connection timed out",
                "Could not connect",
            ),
            "Check the way to the Debian mirror named above (apt's proxy is used). Another mirror: set "
            "AZLOCAL_DEBIAN_MIRROR='http://mirror/debian http://mirror/debian-security'.",
        ),
        (("NO_PUBKEY", "is not signed"), "Install debian-archive-keyring, or add the mirror's key to apt."),
        (
            ("Unable to locate package",),
            "The mirror lacks a package of the recipe: use a complete bookworm mirror.",
        ),
        (
            ("Operation not permitted", "Permission denied"),
            "Run it as root, outside an unprivileged container.",
        ),
    )
    for signs, remedy in known:
        if any(sign in output for sign in signs):
            return remedy
    return "Run it again: finished steps are kept."


def check_tools() -> None:
    """Make sure that every program and file is there.

    Raises:
        ImageError: Names all that are missing, and the packages that have them.
    """
    missing = [tool for tool in TOOLS if shutil.which(tool, path=_search_path()) is None]
    packages = {TOOLS[tool] for tool in missing}
    absent = [path for path in FILES if not path.exists()]
    missing += map(str, absent)
    packages |= {FILES[path] for path in absent}
    if missing:
        raise ImageError(
            f"The node image can't be built: missing {', '.join(missing)}.",
            f"Run `make setup`, or `apt-get install {' '.join(sorted(packages))}`.",
        )


def check_root() -> None:
    """Make sure that this process may make device nodes and change owners.

    Raises:
        ImageError: It isn't root.
    """
    if os.geteuid() != 0:
        raise ImageError(
            f"The node image is built as root; this is user {os.geteuid()}.",
            "Run `sudo azlocal image build` (with XDG_CACHE_HOME set to your own cache folder).",
        )


def _search_path() -> str:
    # An ordinary user's PATH lacks the folders of mke2fs, sgdisk and mkfs.vfat.
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
