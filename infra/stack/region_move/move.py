"""Carry a move out, step by step; each may be repeated, and what is behind is never done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.arc.azure import Azure
from infra.arc.inventory import Body, Inventory, Kind, differences, portable
from infra.model.work import Work
from infra.stack.command import run_engine
from infra.stack.region_move.journal import Move, Step, save, with_done
from infra.stack.region_move.plan import Plan
from infra.stack.region_move.stack_file import set_location

Say = Callable[[str], None]

_SECONDS: Final = 1200.0
_SOURCE_CONTROL_VERSION: Final = "2023-05-01"
_PATH: Final = "/providers/Microsoft.KubernetesConfiguration/sourceControlConfigurations"


@dataclass(frozen=True)
class Mover:
    """What a move needs.

    Attributes:
        azure: The cluster's Azure.
        name: The connected cluster's name.
        directory: The project's folder.
        file: Where the move is kept.
        protected: Protected settings of resources that the stack doesn't declare, by name in lower case.
        say: Takes progress.
    """

    azure: Azure
    name: str
    directory: Path
    file: Path
    protected: Mapping[str, Mapping[str, str]]
    say: Say

    def carry_out(self, move: Move, plan: Plan) -> list[str]:
        """Do what is left of a move; return what differs from before beside the region.

        Raises:
            UserError: A step failed; the next run begins with it.
        """
        differing: list[str] = []

        def compare() -> None:
            differing.extend(differences(move.inventory, Inventory.take(self.azure, self.name)))

        steps: dict[Step, tuple[str, Callable[[], None]]] = {
            "configuration": (
                f"writing {move.target} into Pulumi.{move.stack}.yaml",
                lambda: set_location(self.directory / f"Pulumi.{move.stack}.yaml", move.cluster, move.target),
            ),
            "engine": (
                "pulumi up: disconnects the cluster, connects it again, and makes again what the stack declares",
                lambda: run_engine(move.stack, self.directory, "up", "--yes", "--skip-preview"),
            ),
            "recreate": (
                "making again what the stack doesn't declare",
                lambda: self._recreate(move.inventory, plan),
            ),
            "compare": ("comparing with what stood before", compare),
        }
        for number, (step, (text, act)) in enumerate(steps.items(), 1):
            if step in move.done:
                self.say(f"{number}/{len(steps)} {text}: done before")
                continue
            self.say(f"{number}/{len(steps)} {text}")
            act()
            move = with_done(move, [step])
            save(self.file, move)
        return differing

    def _recreate(self, inventory: Inventory, plan: Plan) -> None:
        """Make what was there and nobody declared; extensions first, since the others need them."""
        makers: dict[Kind, Callable[[str, Body], object]] = {
            "extensions": lambda name, body: self.azure.put_extension(self.name, name, body, work=_work(self.say)),
            "fluxConfigurations": lambda name, body: self.azure.put_flux_configuration(
                self.name, name, body, work=_work(self.say)
            ),
            "sourceControlConfigurations": lambda name, body: self.azure.put_resource(
                f"{self.azure.scope.cluster_id(self.name)}{_PATH}/{name}",
                _SOURCE_CONTROL_VERSION,
                body,
                work=_work(self.say),
            ),
            "customLocations": lambda name, body: self.azure.put_custom_location(name, body, work=_work(self.say)),
        }
        for kind, make in makers.items():
            for key, name in plan.foreign:
                if key == kind:
                    before = inventory.of(kind)[name]
                    self.say(f"    {kind}/{before['name']}")
                    make(str(before["name"]), self._body(kind, name, before, plan.target))

    def _body(self, kind: Kind, name: str, before: Mapping[str, Any], target: str) -> Body:
        body = portable(before)
        if name in self.protected:
            body["properties"] = {
                **body["properties"],
                "configurationProtectedSettings": dict(self.protected[name]),
            }
        if kind == "customLocations":
            body["location"] = target
        return body


def _work(say: Say) -> Work:
    last = [""]

    def status(text: str) -> None:
        if text != last[0]:
            last[0] = text
            say(f"      {text}")

    return Work(status=status).within(_SECONDS)
