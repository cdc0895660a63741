"""The drill that a stack is in: written before anything is broken, so that the next `up` looks what stands.

It goes when an `up` or a `down` has succeeded. What was switched off or unplugged for it comes back first of all.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from infra.errors import UserError
from infra.files import replace_file

Lack = Literal["power", "cable"]
_LACKS: Final[tuple[Lack, ...]] = ("power", "cable")


@dataclass(frozen=True)
class Fault:
    """What a lab's host lacks.

    Attributes:
        lab: The lab's name.
        host: The host's name in it.
        lacks: What was taken from it.
    """

    lab: str
    host: str
    lacks: Lack


@dataclass(frozen=True)
class OpenDrill:
    """A drill that broke something, and that no `up` has healed yet.

    Attributes:
        drill: Which drill.
        fault: What it took from a lab's host, if anything.
    """

    drill: str
    fault: Fault | None = None


def path_of(directory: Path, stack: str) -> Path:
    """Return where the drill of a stack is written."""
    return directory / ".azlocal" / "drills" / f"{stack}.json"


def begin(directory: Path, stack: str, drill: OpenDrill) -> None:
    """Write that a drill is about to break something."""
    path = path_of(directory, stack)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(asdict(drill)))


def find(directory: Path, stack: str) -> OpenDrill | None:
    """Return the drill that a stack is in; None where it is in none.

    Raises:
        UserError: What is written can't be read, so it isn't known what was taken from a host.
    """
    path = path_of(directory, stack)
    try:
        content: Any = json.loads(path.read_bytes())
        fault = content["fault"]
        if fault is not None and fault["lacks"] not in _LACKS:
            raise ValueError(fault["lacks"])
        return OpenDrill(content["drill"], None if fault is None else Fault(**fault))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"{path} says what a drill broke, and can't be read: if a lab's host is without power or cable, give "
            "it that back (`python -m infra.lab on|restore`); then remove the file, `azlocal refresh`, and go on"
        ) from None


def undo(drill: OpenDrill) -> None:
    """Give a lab's host back what it lacks; nothing to do where it has that.

    Raises:
        UserError: That can't be done; the message says what to do.
    """
    if drill.fault is None:
        return
    from infra.stack.drills import lab_hosts  # labs take a while to import, and few have one

    lab_hosts.restore(drill.fault.lab, drill.fault.host, drill.fault.lacks)


def end(directory: Path, stack: str) -> None:
    """Note that what a drill broke is healed."""
    path_of(directory, stack).unlink(missing_ok=True)
