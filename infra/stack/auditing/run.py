"""Looking at all places of a stack at the same time, and the end of `down`, which proves that nothing is left."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.audit.ask import HOST_SECONDS, look, read_inventories
from infra.audit.model import Audit, Inventory, Place, Scope
from infra.audit.report import proof
from infra.audit.view import inventory_text, read_inventory
from infra.files import replace_file
from infra.resources.arc_emulator import ARC_EMULATOR
from infra.resources.connected_cluster import CONNECTED_CLUSTER
from infra.stack.auditing.beside import AZURE, addresses_of, azure, emulator, store_here, user_files
from infra.stack.auditing.scopes import scopes_of
from infra.stack.messages import say
from infra.stack.settle import resources_of

if TYPE_CHECKING:
    from infra.spec import InstanceSpec
    from infra.stack.state import Stack

_AZURE_SECONDS: Final = 15.0
_MORE_LOOKS: Final = 3
_ENDING_SECONDS: Final = 0.7


def audit(stack: Stack, *, hosts: Sequence[str] = (), strict: bool = False) -> tuple[Audit, list[Scope]]:
    """Look at every host of a stack and at Azure; return what is there, and what was to be there.

    Args:
        stack: The stack; one that was never made, or is gone, has nothing that is to stand.
        hosts: Names of the hosts to look at; none: all.
        strict: Whether what nobody's mark explains is wrong.

    Raises:
        SpecError: Neither its files nor its state say which hosts there are.
        UserError: There is no such host.
    """
    from infra.errors import UserError
    from infra.spec import SpecError, load_instance

    started = time.monotonic()
    deployment = stack.deployment() if stack.exists() else {}
    spec: InstanceSpec | None = None
    try:
        spec = load_instance(stack.name, stack.directory)
    except SpecError:
        if not scopes_of(stack.name, deployment):
            raise
        say("the stack's files can't be read: `azlocal plan` says why; its state says which hosts it has")
    scopes = scopes_of(stack.name, deployment, spec)
    unknown = sorted(set(hosts) - {scope.host for scope in scopes})
    if unknown:
        raise UserError(f"no host {', '.join(unknown)}; there are {', '.join(scope.host for scope in scopes)}")
    scopes = [scope for scope in scopes if not hosts or scope.host in hosts]
    beside = _beside(stack, deployment, spec) if not hosts else _Later(lambda: ())
    noted = _noted(stack)
    places = look(scopes, inventories=[noted.get(scope.host) for scope in scopes], strict=strict)
    return Audit(stack.name, places, beside.wait(), time.monotonic() - started, strict), scopes


def look_until_gone(scopes: Sequence[Scope], *, inventories: Sequence[Inventory | None] = ()) -> tuple[Place, ...]:
    """Look at hosts from which all was removed; again where processes end still, and with them what they hold."""
    places = look(scopes, inventories=inventories)
    for _ in range(_MORE_LOOKS):
        if not any(place.of("leftover") for place in places):
            break
        time.sleep(_ENDING_SECONDS)
        places = look(scopes, inventories=inventories)
    return places


@dataclass(frozen=True)
class Before:
    """What has to be known before a stack is taken down, for the proof afterwards.

    Attributes:
        stack: Which.
        scopes: Its hosts, with what stood there.
        inventories: What each of them had before the instance, by the host's name.
        contexts: What kubectl's contexts of its clusters are called.
        addresses: Of its machines, with their names.
        is_emulated: Whether it had an emulator of Azure.
        is_connected: Whether it had clusters in an Azure that isn't the emulator.
    """

    stack: Stack
    scopes: list[Scope]
    inventories: Mapping[str, Inventory]
    contexts: list[str]
    addresses: list[str] = field(default_factory=list)
    is_emulated: bool = False
    is_connected: bool = False

    @classmethod
    def of(cls, stack: Stack, deployment: Mapping[str, Any], contexts: list[str]) -> Before:
        """Read it from state and hosts; a host that doesn't answer has no inventory then.

        What a host noted is kept here, too, until nothing is left: a run that fails half-way has removed the
        notes of some hosts already.
        """
        scopes = scopes_of(stack.name, deployment)
        noted = _noted(stack)
        for scope, inventory in zip(scopes, read_inventories(scopes), strict=True):
            if inventory is not None:
                noted[scope.host] = inventory
                _keep(stack, scope.host, inventory)
        types = {str(resource["type"]) for resource in resources_of(deployment)}
        is_emulated = ARC_EMULATOR.token in types
        is_connected = CONNECTED_CLUSTER.token in types and not is_emulated
        return cls(stack, scopes, noted, contexts, addresses_of(deployment), is_emulated, is_connected)

    def prove(self) -> int:
        """Look whether anything is left, and tell; return 0 where nothing is, else how the command ends."""
        started = time.monotonic()
        deployment = self.stack.deployment() if self.stack.exists() else {}
        standing = {scope.connection: scope for scope in scopes_of(self.stack.name, deployment)}
        names = [_now(scope, standing.get(scope.connection)) for scope in self.scopes]
        beside = _Later(lambda: self._beside(deployment))
        inventories = [self.inventories.get(scope.host) for scope in names]
        places = (look if standing else look_until_gone)(names, inventories=inventories)
        result = Audit(self.stack.name, places, beside.wait(), time.monotonic() - started)
        still = [scope.host for scope in names if scope.stands]
        if still:
            say(f"{self.stack.name} still stands on {', '.join(still)}, as its state says")
        if not still or result.exit_code:
            say(proof(result))
        if not still and not result.exit_code:
            _forget(self.stack)
        return result.exit_code

    def _beside(self, deployment: Mapping[str, Any]) -> tuple[Place, ...]:
        standing = addresses_of(deployment)
        gone = [name for name in self.addresses if name not in standing]
        user = user_files(self.contexts, _standing_contexts(self.stack), gone)
        if self.is_emulated:
            return (emulator(self.stack.name, deployment), user)
        return (_azure_of(self.stack, deployment), user) if self.is_connected else (user,)


def _now(before: Scope, standing: Scope | None) -> Scope:
    """Return a host as it was known, with what state has of it now."""
    if standing is None:
        return replace(before, stands=False, machines=frozenset(), networks={})
    return replace(before, stands=standing.stands, machines=standing.machines, networks=standing.networks)


class _Later:
    """Something that is looked at while hosts are."""

    def __init__(self, do: Callable[[], tuple[Place, ...]]) -> None:
        self._places: tuple[Place, ...] | None = None
        self._error: Exception | None = None

        def run() -> None:
            try:
                self._places = do()
            except Exception as error:  # noqa: BLE001 - the thread's edge: the audit says that it wasn't looked at
                self._error = error

        self._thread = threading.Thread(target=run, name="audit beside hosts", daemon=True)
        self._deadline = time.monotonic() + HOST_SECONDS + _AZURE_SECONDS
        self._thread.start()

    def wait(self) -> tuple[Place, ...]:
        """Return the places; what doesn't end in time is said not to be looked at."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._places is not None:
            return self._places
        why = str(self._error) if self._error else f"it didn't answer within {_AZURE_SECONDS + HOST_SECONDS:.0f} s"
        return (Place(AZURE, unseen={"": why}),)


def _beside(stack: Stack, deployment: Mapping[str, Any], spec: InstanceSpec | None) -> _Later:
    from infra.plan.arc_topology import arc_of

    clusters = spec.stack.clusters if spec else ()
    standing = _standing_contexts(stack)
    contexts = sorted({*(f"{stack.name}-{cluster.name}" for cluster in clusters), *standing})

    def places() -> tuple[Place, ...]:
        user = user_files(contexts, standing, ())
        user = replace(user, items=(*user.items, *store_here()))
        if spec is not None and arc_of(spec) is not None:
            return (azure(spec, deployment), user)
        return (user,)

    return _Later(places)


def _standing_contexts(stack: Stack) -> list[str]:
    from infra.stack import contexts

    return contexts.contexts_of(stack) if stack.exists() else []


def _azure_of(stack: Stack, deployment: Mapping[str, Any]) -> Place:
    from infra.spec import SpecError, load_instance

    try:
        return azure(load_instance(stack.name, stack.directory), deployment)
    except SpecError:
        return Place(AZURE, unseen={"": "the stack's files can't be read, so which Azure it was isn't known"})


def _folder(stack: Stack) -> Path:
    return stack.directory / ".azlocal" / "audit" / stack.name


def _keep(stack: Stack, host: str, inventory: Inventory) -> None:
    folder = _folder(stack)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / f"{host}.json", inventory_text(inventory))


def _noted(stack: Stack) -> dict[str, Inventory]:
    inventories: dict[str, Inventory] = {}
    for path in sorted(_folder(stack).glob("*.json")):
        inventory = read_inventory(path.read_text(encoding="utf-8"))
        if inventory is not None:
            inventories[path.stem] = inventory
    return inventories


def _forget(stack: Stack) -> None:
    shutil.rmtree(_folder(stack), ignore_errors=True)
