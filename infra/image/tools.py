"""Run the programs that an image is built with; the only place that starts a process."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from infra.image.errors import ImageError

# Each program, and the Debian package that has it.
TOOLS: Final = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
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
}
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
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


def run(
    argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None, isolated: bool = False
) -> str:
    """Run a program; the kernel ends it with this thread, so that a killed build leaves no builder behind.

    Raises:
        ImageError: The program can't be started or fails.
    """
    around = ["setpriv", "--pdeathsig", "KILL", "--", *(_OWN_NAMESPACES if isolated else ())]
    try:
        done = subprocess.run(
            [*around, *argv],
            input=stdin,
            env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": _search_path(), **(env or {})},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise ImageError(f"{argv[0]} can't be started: {error}", "Run `make setup`.") from error
    if done.returncode != 0:
        raise _failure(argv, done.returncode, done.stderr or done.stdout)
    return done.stdout


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
    """Make sure that every program is there.

    Raises:
        ImageError: Names all that are missing, and the packages that have them.
    """
    missing = [tool for tool in TOOLS if shutil.which(tool, path=_search_path()) is None]
    packages = {TOOLS[tool] for tool in missing}
    if not _KEYRING.exists():
        missing.append(str(_KEYRING))
        packages.add("debian-archive-keyring")
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
