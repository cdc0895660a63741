"""From the records of two plans to what becomes of each machine and cluster. Pure.

Each kind's contract says what a difference makes happen, and infra.resources.changes.machine what becomes of a
machine: the plugin asks the same of the same inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from infra.addresses.effects import EFFECTS, Effect, EffectKind, Effects, Setting
from infra.effects import records
from infra.effects.records import ASKED, LATER, Record
from infra.resources.changes import Changes, Difference, Refused, diff, differences
from infra.resources.changes.machine import decide, keep_planes, restarts_for
from infra.resources.changes.network import keep_mesh
from infra.resources.cluster_identity import CLUSTER_IDENTITY
from infra.resources.connected_cluster import CONNECTED_CLUSTER
from infra.resources.contract import Contract
from infra.resources.host import HOST
from infra.resources.machine import MACHINE
from infra.resources.network import NETWORK
from infra.unknown import UNKNOWN

_AS_IT_IS: Final = "as it is"
_BY_SIZE: Final = frozenset({"vcpus", "memoryMiB", "diskGiB"})
_WITH_THE_HOST: Final = frozenset({"connection", "reachedThrough"})
_LONGEST_VALUE: Final = 60
_IN_THE_FILES: Final = {
    "version": "kubernetesVersion",
    "labels": "nodeLabels",
    "taints": "nodeTaints",
    "authorizedKeys": "sshPublicKeys",
    "endpoint": "hostIP",
}
"""What the files call a property, where they call it otherwise."""
_OF_A_CLUSTER: Final = frozenset({"kubernetesVersion", "podCidr", "serviceCidr", "hostIP"})
_Index = Mapping[tuple[str, str], Record]


def compare_records(old: Iterable[Record], new: Iterable[Record]) -> Effects:
    """Return what becomes of machines and clusters.

    Args:
        old: The records of the plan before; what stands is taken to be as it says.
        new: Those of the plan after.
    """
    before, after = _index(old), _index(new)
    fresh = set(_fresh(before, after))
    machines = sorted(_machines(before, after, fresh), key=lambda one: (EFFECTS.index(one.kind), one.name))
    return Effects(tuple(machines), tuple(_clusters(before, after, machines)))


def _index(found: Iterable[Record]) -> _Index:
    return {(one.type, one.name): one for one in found}


def _of(index: _Index, kind: str) -> dict[str, Record]:
    return {name: one for (type_, name), one in index.items() if type_ == kind}


def _fresh(before: _Index, after: _Index) -> Iterator[str]:
    """Yield hosts, identities and networks that are made anew: what machines are told of them isn't as it was."""
    for kind, contract, word in (
        (records.HOST, HOST, "host"),
        (records.IDENTITY, CLUSTER_IDENTITY, "identity"),
    ):
        olds = _of(before, kind)
        for name, one in _of(after, kind).items():
            if name not in olds or diff(contract, *_both(contract, olds[name], one, set())).replaces():
                yield f"{word} {name}"
    # A network is removed before it is made anew, and so are the machines on it; a new one has none yet.
    networks = _of(before, records.NETWORK)
    for name, one in _of(after, records.NETWORK).items():
        if name in networks:
            state, news = _both(NETWORK, networks[name], one, set())
            changes = diff(NETWORK, state, news)
            keep_mesh(state, news, changes)
            if changes.replaces():
                yield f"network {name}"


# -- machines --------------------------------------------------------------------------------------


def _machines(before: _Index, after: _Index, fresh: set[str]) -> Iterator[Effect]:
    olds, news = _of(before, records.MACHINE), _of(after, records.MACHINE)
    groups = Counter(_group(one) for one in olds.values()), Counter(_group(one) for one in news.values())
    for name, one in news.items():
        if name not in olds:
            yield Effect("added", name, one.about.get("cluster"), (), _came_or_went(one, *groups, after))
        elif effect := _changed(olds[name], one, fresh):
            yield effect
    for name, one in olds.items():
        if name not in news:
            why = _came_or_went(one, *groups, after)
            yield Effect("removed", name, one.about.get("cluster"), (), why, "its disk goes with it")


def _group(one: Record) -> tuple[Any, Any]:
    return one.about.get("cluster"), one.about.get("pool")


def _came_or_went(
    one: Record, before: Counter[tuple[Any, Any]], after: Counter[tuple[Any, Any]], index: _Index
) -> str:
    """Say why a machine is there only on one side: its cluster, its pool, or its number."""
    cluster, pool = group = _group(one)
    what = f"pool {pool} of cluster {cluster}" if pool else f"control plane of cluster {cluster}"
    if cluster is None:
        return "new instance" if before[group] == 0 else "the instance is gone"
    if not any(other == cluster for other, _ in before):
        return f"new cluster {cluster}"
    if (records.CLUSTER, cluster) not in index:
        return f"cluster {cluster} is gone"
    if before[group] == 0 or after[group] == 0:
        return f"new {what}" if before[group] == 0 else f"{what} is gone"
    verb = "grew" if after[group] > before[group] else "shrank"
    return f"{what} {verb} from {before[group]} to {after[group]}"


def _changed(old: Record, new: Record, fresh: set[str]) -> Effect | None:
    state, news = _both(MACHINE, old, new, fresh)
    state, news = {**state, "running": True}, {**news, "running": True}
    changes = diff(MACHINE, state, news)
    found = list(differences(MACHINE, state, news))
    if not found:
        return None
    hosts = old.about.get("host"), new.about.get("host")
    moves = hosts[0] != hosts[1]
    settings = (
        *((Setting("host", *hosts),) if moves else ()),
        *_size(old, new, found),
        *_settings(one for one in found if not (moves and one.path[0] in _WITH_THE_HOST)),
    )
    why = ", ".join(str(one) for one in settings)
    cluster = new.about.get("cluster")
    try:
        said = decide(state, news, changes)
    except Refused as refusal:
        return Effect("refused", new.name, cluster, settings, why, str(refusal))
    return Effect(_kind(old, new, state, news, changes), new.name, cluster, settings, why, "; ".join(said))


def _kind(
    old: Record, new: Record, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes
) -> EffectKind:
    if changes.replaces():
        return "moved" if old.about.get("host") != new.about.get("host") else "replaced"
    if restarts_for(state, news, changes):
        return "restarted"
    return "patched" if changes.by_path else "kept"


def _both(contract: Contract, old: Record, new: Record, fresh: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what stands and what is wanted, by wire name, with stand-ins resolved.

    What a record doesn't have, since an older version wrote it, is as the other one has it.
    """
    state, news = {}, {}
    for name in {**old.inputs, **new.inputs}:
        first = old.inputs[name] if name in old.inputs else new.inputs[name]
        second = new.inputs[name] if name in new.inputs else old.inputs[name]
        wire = contract.wire_names.get(name, name)
        state[wire], news[wire] = _settled(first, second, fresh)
    return state, news


def _settled(old: Any, new: Any, fresh: set[str]) -> tuple[Any, Any]:
    """Resolve stand-ins: unknown where what they are of is made anew, else as what stands."""
    if _is_later(new):
        stands = old.get(ASKED, _AS_IT_IS) if _is_later(old) else old
        was_asked = old.get(ASKED) if _is_later(old) else None
        if new[LATER] in fresh or (ASKED in new and new[ASKED] != was_asked):
            return stands, UNKNOWN
        return stands, stands
    if _is_later(old):
        return (old[ASKED], new) if ASKED in old else (new, new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs = {key: _settled(old.get(key), new.get(key), fresh) for key in {**old, **new}}
        return (
            {key: first for key, (first, _) in pairs.items()},
            {key: second for key, (_, second) in pairs.items()},
        )
    return old, new


def _is_later(value: Any) -> bool:
    return isinstance(value, Mapping) and LATER in value


# -- what differs, in words --------------------------------------------------------------------------


def _size(old: Record, new: Record, found: Iterable[Difference]) -> Iterator[Setting]:
    sizes = old.about.get("vmSize"), new.about.get("vmSize")
    if sizes[0] != sizes[1] and any(one.path[0] in _BY_SIZE for one in found):
        yield Setting("vmSize", *sizes)


def _settings(found: Iterable[Difference]) -> Iterator[Setting]:
    listed = list(found)
    told = [one for one in listed if one.old != _AS_IT_IS]  # the rest differs for the reason that these have
    for one in told or listed:
        path = tuple(part for part in one.path if part not in {"firstBoot", "node"}) or one.path[-1:]
        if one.path == ("firstBoot", "node"):
            yield Setting("provisioning", _as_node(one.old), _as_node(one.new))
            continue
        name = ".".join((_IN_THE_FILES.get(path[0], path[0]), *path[1:]))
        later = "made anew" if one.path[0] == "network" else "what `up` finds"
        yield Setting(name, _shown(one.old), later if one.new == UNKNOWN else _shown(one.new))


def _as_node(value: Any) -> str:
    return "kubernetes" if value else "machines"


def _shown(value: Any) -> str | None:
    match value:
        case None | () | [] | {} | "":
            return None
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            text = ", ".join(_shown(one) or "" for one in value)
        case _:
            text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


# -- clusters --------------------------------------------------------------------------------------


def _clusters(before: _Index, after: _Index, machines: list[Effect]) -> Iterator[Effect]:
    olds, news = _of(before, records.CLUSTER), _of(after, records.CLUSTER)
    for name in sorted({**olds, **news}):
        if name not in olds:
            yield Effect("added", name, name, (), f"new cluster {name}")
        elif name not in news:
            yield Effect("removed", name, name, (), f"cluster {name} is gone", "its data goes with its machines")
        elif effect := _cluster(name, before, after, [one for one in machines if one.cluster == name]):
            yield effect


def _cluster(name: str, before: _Index, after: _Index, members: list[Effect]) -> Effect | None:
    kind, settings = _inside(before[records.CLUSTER, name], after[records.CLUSTER, name])
    arc = _connection(name, before, after)
    identity = _identity(name, before, after)
    of_machines = (setting for one in members for setting in one.settings if setting.name in _OF_A_CLUSTER)
    settings = (*dict.fromkeys(of_machines), *settings, *arc, *identity)
    counts = Counter(one.kind for one in members)
    said = [", ".join(str(one) for one in settings)] if settings else []
    said += [f"{counts[one]} machine{'s' if counts[one] > 1 else ''} {one}" for one in EFFECTS if counts[one]]
    if not said:
        return None
    refusal = next((one.then for one in members if one.kind == "refused"), "") or _given_up(
        name, before, after, members
    )
    if refusal:
        return Effect("refused", name, name, settings, ", ".join(said), refusal)
    is_kept = not kind and not arc and not counts.keys() - {"kept"}
    return Effect("kept" if is_kept else "patched", name, name, settings, ", ".join(said), _then(identity, arc))


def _inside(old: Record, new: Record) -> tuple[bool, tuple[Setting, ...]]:
    """Return what differs of what is made in a cluster; of digests only whose they are."""
    found: list[Setting] = []
    for key in dict.fromkeys((*old.inputs, *new.inputs)):
        first, second = old.inputs.get(key), new.inputs.get(key)
        if first == second or key == "provisioning":
            continue
        if key in {"addOns", "extensions", "fluxConfigurations", "customLocations"}:
            found += _named(key, first or {}, second or {})
        elif isinstance(first or {}, Mapping) and isinstance(second or {}, Mapping):
            for part in sorted({**(first or {}), **(second or {})}):
                values = (first or {}).get(part), (second or {}).get(part)
                if values[0] != values[1]:
                    found.append(Setting(f"{key}.{part}", _shown(values[0]), _shown(values[1])))
        else:
            found.append(Setting(key, _shown(first), _shown(second)))
    return bool(found), tuple(found)


def _named(key: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Setting]:
    for name in sorted({**old, **new}):
        if old.get(name) != new.get(name):
            yield Setting(
                f"{key}.{name}",
                "as it was" if name in old else None,
                ("other settings" if name in old else "new") if name in new else None,
            )


def _connection(name: str, before: _Index, after: _Index) -> tuple[Setting, ...]:
    old, new = before.get((records.CONNECTION, name)), after.get((records.CONNECTION, name))
    if old is None or new is None:
        connected = "connected" if old else None, "connected" if new else None
        return () if old is new else (Setting("arc", *connected),)
    found = differences(CONNECTED_CLUSTER, *_both(CONNECTED_CLUSTER, old, new, set()))
    return tuple(Setting(f"arc.{one.name}", one.before, one.after) for one in _settings(found))


def _identity(name: str, before: _Index, after: _Index) -> tuple[Setting, ...]:
    old, new = before.get((records.IDENTITY, name)), after.get((records.IDENTITY, name))
    if old is None or new is None or old.inputs.get("pod_security") == new.inputs.get("pod_security"):
        return ()
    levels = old.inputs.get("pod_security"), new.inputs.get("pod_security")
    return (Setting("podSecurity", *(_shown(one) for one in levels)),)


def _then(identity: tuple[Setting, ...], arc: tuple[Setting, ...]) -> str:
    said = [f"the cluster keeps podSecurity {one.before}, which it was founded with" for one in identity]
    replaced = [one.name for one in arc if _is_replaced_in_azure(one.name.removeprefix("arc.").partition(".")[0])]
    if replaced:
        said.append(f"its resource in Azure is made anew for {', '.join(replaced)}")
    return "; ".join(said)


def _is_replaced_in_azure(name: str) -> bool:
    prop = CONNECTED_CLUSTER.properties.get(name)
    return prop is not None and prop.on_change.value == "replace"


def _given_up(name: str, before: _Index, after: _Index, members: Iterable[Effect]) -> str:
    """Return why control planes of a cluster that stays can't go, if some are to."""
    olds = _of(before, records.MACHINE)
    gone = [olds[one.name] for one in members if one.kind == "removed"]
    is_built = all(index.get((records.IDENTITY, name)) for index in (before, after))
    try:
        planes = (one.about["machine"] for one in gone if one.about["role"] == "controlPlane")
        keep_planes(name, planes if is_built else ())
    except Refused as refusal:
        return str(refusal)
    return ""
