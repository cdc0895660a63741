"""A move's file: what stood before, and which steps are done. A move that broke off goes on from it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from infra.arc.inventory import Inventory
from infra.errors import UserError
from infra.files import replace_file

Step = Literal["configuration", "engine", "recreate", "compare"]
STEPS: Final[tuple[Step, ...]] = ("configuration", "engine", "recreate", "compare")

_FOLDER: Final = ".azlocal/moves"


class Move(BaseModel):
    """One move.

    Attributes:
        stack: Whose cluster moves.
        cluster: The AKS cluster's name.
        source: The region it leaves.
        target: The region it goes to.
        started: When, in ISO 8601.
        inventory: What stood on it.
        done: Steps that are behind it.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    stack: str
    cluster: str
    source: str
    target: str
    started: str
    inventory: Inventory
    done: tuple[Step, ...] = ()

    @property
    def is_done(self) -> bool:
        """Return whether nothing is left to do."""
        return set(self.done) >= set(STEPS)


def begin(stack: str, cluster: str, source: str, target: str, inventory: Inventory) -> Move:
    """Return a move of which nothing is done yet."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return Move(stack=stack, cluster=cluster, source=source, target=target, started=started, inventory=inventory)


def path_of(directory: Path, stack: str, cluster: str) -> Path:
    """Return where the move of a cluster is kept while it lasts, and afterwards until the next one."""
    return directory / _FOLDER / f"{stack}-{cluster}.json"


def load(path: Path) -> Move | None:
    """Return a move that was begun; None where there is none.

    Raises:
        UserError: The file can't be read.
    """
    try:
        return Move.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        raise UserError(
            f"{path}, the file of an earlier move, can't be read ({type(error).__name__}). It says what stood on "
            "the cluster before: keep it, and put it aside only when nothing of that is missing"
        ) from error


def save(path: Path, move: Move) -> None:
    """Write a move so that a crash leaves the old file or the new one; only the user may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, move.model_dump_json(by_alias=True, indent=2), 0o600)


def with_done(move: Move, steps: Iterable[Step]) -> Move:
    """Return the move with further steps behind it."""
    return move.model_copy(update={"done": tuple(dict.fromkeys((*move.done, *steps)))})
