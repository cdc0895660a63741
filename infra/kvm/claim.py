"""Whose an instance on a host is: a file beside its storage directory that names the state which made it.

The mark on libvirt's objects (ownership.py) is drawn from the names of instance and stack. A second checkout,
another user, or a stack made again after its state was lost has the same. The claim names the state itself, by an
id that is drawn at random and kept in the state alone. It is made before anything of the instance, and goes last.
"""

from __future__ import annotations

import getpass
import json
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from infra.kvm.errors import NotOurs
from infra.ssh import FileMissing, Shell

_FORMAT: Final = "azlocal/owner-1"
TAKE_OVER: Final = "AZLOCAL_TAKE_OVER"
"""The environment variable by which a user says whose instance may be taken away for this one: the owner's id."""


@dataclass(frozen=True)
class Claim:
    """An owner of an instance on a host.

    Attributes:
        id: of the owner's state (StackIdentity).
        instance: the instance's name.
        stack: the Pulumi stack's.
        made_by: user, machine and folder, and when: for people.
    """

    id: str
    instance: str
    stack: str
    made_by: str

    def make(self, shell: Shell, directory: str) -> bool:
        """Claim the instance whose storage directory this is; return whether that is new.

        Raises:
            NotOurs: it is another state's, or the file there can't be read.
        """
        claim = read_claim(shell, directory)
        if claim is None and self._place(shell, directory):
            return True
        claim = claim or read_claim(shell, directory)
        if claim is not None and claim.id == self.id:
            return False
        raise NotOurs(f"{shell.host}: {claim.refusal() if claim else f'{claim_file(directory)} came and went'}")

    def renew(self, shell: Shell, directory: str) -> None:
        """Put this claim in another's place."""
        shell.write_file(claim_file(directory), self._content(), mode=0o644)

    def release(self, shell: Shell, directory: str) -> None:
        """Take the claim away; all that it stood for is gone."""
        shell.run(["rm", "--force", "--", claim_file(directory)])

    def refusal(self) -> str:
        """Say why this owner's instance is left alone, and what to do."""
        return (
            f"instance {self.instance!r} stands there already, and another state made it: that of {self.made_by}. "
            "azlocal never touches what another state has made. Take it down there (`make down`), or give this "
            "stack another name. If that state is lost, `make adopt` goes on with what stands, clusters included "
            f"(STACK={self.stack}). Or, if all that it made may go, clusters' data included: "
            f"{TAKE_OVER}={self.id} make up"
        )

    def _place(self, shell: Shell, directory: str) -> bool:
        """Write the file unless there is one by now: of two that begin at once, one is told of the other."""
        target = claim_file(directory)
        draft = f"{target}.{self.id}"
        shell.make_directory(target.rpartition("/")[0] or "/")
        shell.write_file(draft, self._content(), mode=0o644)
        try:
            return shell.run(["ln", "--no-target-directory", "--", draft, target], check=False).exit_code == 0
        finally:
            shell.run(["rm", "--force", "--", draft])

    def _content(self) -> bytes:
        return (json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n").encode()


def who_is_here() -> str:
    """Return who runs this, on which machine, in which folder, and when: for people."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{getpass.getuser()} on {platform.node()} in {Path.cwd()}, {when}"


def claim_file(directory: str) -> str:
    """Return where the claim of the instance with this storage directory lies."""
    return f"{directory.rstrip('/')}.owner"


def read_claim(shell: Shell, directory: str) -> Claim | None:
    """Return who has claimed the instance with this storage directory; None where nobody has.

    Raises:
        NotOurs: there is a claim, and it can't be read: whose it is isn't known.
    """
    path = claim_file(directory)
    try:
        content: Any = json.loads(shell.read_file(path))
        if content.pop("format") == _FORMAT:
            return Claim(**{name: str(value) for name, value in content.items()})
    except FileMissing:
        return None
    except (ValueError, TypeError, AttributeError, KeyError):
        pass
    raise NotOurs(
        f"{shell.host}: {path} says whose the instance there is, and can't be read by this version of azlocal, so "
        "nothing is touched. Use the version that made it; or, if nothing there is needed, remove the file"
    )


def unclaimed(instance: str, stack: str) -> Claim:
    """Return whose an instance without a claim is, which isn't this state's: azlocal 0.1.0 made none."""
    return Claim("0.1.0", instance, stack, "azlocal 0.1.0 or older, which left no word of who ran it")
