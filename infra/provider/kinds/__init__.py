"""One file per resource kind, named as its contract under `infra/resources/`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from infra.provider.kinds.deferred import Deferred

if TYPE_CHECKING:
    from infra.kvm.connection import Hosts
    from infra.model.encryption_keys import EncryptionKeys
    from infra.provider.kinds.arc_base import AzureSessions
    from infra.provider.lives import Lives
    from infra.provider.servicer import AnyKind
    from infra.provider.standing import Standing

_CHECKING: Final = ("Host", "Network", "Image", "Machine", "NodePlacement", "TokenIssuer")
"""Kinds that check more than their contract says: each `up` needs them, but for the last."""
_HOSTED: Final = ("Host", "Network", "Image", "Machine", "AddressProbe", "SnapshotSchedule")
_AZURE: Final = (
    *("ArcRegistration", "ConnectedCluster", "DataCollection"),
    *("Extension", "FluxConfiguration", "CustomLocation"),
)
_ADOPTING: Final = ("Machine", "StackIdentity", "ClusterIdentity", "ControlPlane")
"""Kinds that keep what stands of an instance that is adopted; the others' objects are known by their marks."""
_LIVING: Final = ("Machine", "NodePlacement", "ControlPlane", "Cluster")
"""Kinds by which a cluster's machines come and go; they share what is known of each cluster in this run."""
_OTHERS: Final = ("StackIdentity", "ClusterIdentity", "ControlPlane", "Cluster", "ArcEmulator")
_IDENTITY: Final = "ClusterIdentity"
_PREFIX: Final = "azlocal:index:"


def all_kinds(
    standing: Standing | None = None,
    lost: Iterable[str] = (),
    refounded: Iterable[str] = (),
    rotating: Mapping[str, EncryptionKeys] | None = None,
) -> Mapping[str, AnyKind]:
    """Return every kind by its type token; they share one set of connections to hosts, and one to Azure.

    Args:
        standing: What stands of an instance that is adopted.
        lost: Connections of hosts that nothing is asked of; a program that runs says it by itself.
        refounded: Clusters, by `<instance>-<cluster>`, that have lost all they had and are founded again.
        rotating: By a ClusterIdentity's id, the keys of Secrets that its state is to have from now on.
    """
    return _Kinds(standing, lost, refounded, rotating or {})


class _Kinds(Mapping[str, "AnyKind"]):
    """Every kind, imported when it is first asked for: a plugin process serves one run, of one stack."""

    def __init__(
        self,
        standing: Standing | None,
        lost: Iterable[str],
        refounded: Iterable[str],
        rotating: Mapping[str, EncryptionKeys],
    ) -> None:
        self._standing, self._lost, self._refounded = standing, tuple(lost), frozenset(refounded)
        self._rotating = rotating
        self._making = threading.RLock()
        self._made: dict[str, AnyKind] = {}

    def __getitem__(self, token: str) -> AnyKind:
        if token not in _TOKENS:
            raise KeyError(token)
        with self._making:
            if token not in self._made:
                self._made[token] = self._kind(token.removeprefix(_PREFIX))
            return self._made[token]

    def __iter__(self) -> Iterator[str]:
        return iter(_TOKENS)

    def __len__(self) -> int:
        return len(_TOKENS)

    def _kind(self, name: str) -> AnyKind:
        if name in _CHECKING or (name == _IDENTITY and self._rotating):
            return self._load(name)
        module = _module(name)
        contract = getattr(import_module(f"infra.resources.{module}"), module.upper())
        # A version that is taken back changes no input of the control plane's: it has to look all the same.
        rolls = (lambda state: self._lives.rolls(state)) if name == "ControlPlane" else None
        return Deferred(contract, lambda: self._load(name), rolls)

    def _load(self, name: str) -> AnyKind:
        module = import_module(f"infra.provider.kinds.{_module(name)}")
        made: Callable[..., AnyKind] = getattr(module, f"{name}Kind")
        with self._making:
            shared = [self._hosts] if name in _HOSTED else [self._azure] if name in _AZURE else []
            adopting = [self._standing] if name in _ADOPTING else []
            named: dict[str, Any] = {"lives": self._lives} if name in _LIVING else {}
            if name == _IDENTITY:
                named["rotating"] = self._rotating
            kind: AnyKind = made(*shared, *adopting, **named)
            return kind

    @cached_property
    def _hosts(self) -> Hosts:
        from infra.kvm.connection import Hosts

        hosts = Hosts()
        for connection in self._lost:
            hosts.give_up(connection)
        return hosts

    @cached_property
    def _lives(self) -> Lives:
        from infra.provider.lives import Lives

        return Lives(self._refounded)

    @cached_property
    def _azure(self) -> AzureSessions:
        from infra.provider.kinds.arc_base import AzureSessions

        return AzureSessions()


def _module(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


_TOKENS: Final = tuple(f"{_PREFIX}{name}" for name in dict.fromkeys((*_CHECKING, *_HOSTED, *_OTHERS, *_AZURE)))
