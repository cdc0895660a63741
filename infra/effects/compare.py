"""From the records of two plans to what becomes of each machine and cluster. Pure.

Each kind's contract says what a difference makes happen, and infra.resources.changes.machine what becomes of a
machine: the plugin asks the same of the same inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from infra.counting import counted
from infra.effects import records
from infra.effects.later import ASKED, LATER
from infra.effects.records import Record
from infra.plan.effects import EFFECTS, Effect, EffectKind, Effects, Setting
from infra.resources.changes import Changes, Difference, Refused, diff, differences
from infra.resources.changes.machine import Neighbours, decide, restarts_for
from infra.resources.changes.network import keep_mesh
from infra.resources.cluster_identity import CLUSTER_IDENTITY
from infra.resources.connected_cluster import CONNECTED_CLUSTER
from infra.resources.contract import Contract
from infra.resources.host import HOST
from infra.resources.machine import MACHINE
from infra.resources.network import NETWORK
from infra.spec.kubernetes_versions import BUILT_VERSIONS
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
    "requestedMachineType": "machineType",
}
"""What the files call a property, where they call it otherwise."""
_DISK: Final = "its disk goes with it"
_FOUND_ON_A_HOST: Final = frozenset({"machineType", "secureBoot", "tpm"})
"""What a machine is told of its host, once that was looked at."""
_OF_A_CLUSTER: Final = frozenset({"kubernetesVersion", "podCidr", "serviceCidr", "hostIP"})
_Index = Mapping[tuple[str, str], Record]
_Fresh = Mapping[str, tuple[Setting, ...]]
"""What is replaced, and what differs of it: of a host, an identity or a network, by what stand-ins call it."""


def compare_records(old: Iterable[Record], new: Iterable[Record]) -> Effects:
    """Return what becomes of machines, clusters and hosts.

    Args:
        old: The records of the plan before; what stands is taken to be as it says.
        new: Those of the plan after.
    """
    before, after = _index(old), _index(new)
    fresh = dict(_fresh(before, after))
    machines = sorted(
        _machines(before, after, fresh), key=lambda effect: (EFFECTS.index(effect.kind), effect.name)
    )
    return Effects(tuple(machines), tuple(_clusters(before, after, machines)), tuple(_hosts(before, after)))


def _index(listed: Iterable[Record]) -> _Index:
    return {(record.type, record.name): record for record in listed}


def _of(index: _Index, kind: str) -> dict[str, Record]:
    return {name: record for (type_, name), record in index.items() if type_ == kind}


def _fresh(before: _Index, after: _Index) -> Iterator[tuple[str, tuple[Setting, ...]]]:
    """Yield hosts, identities and networks that are replaced: what machines are told of them isn't as it was."""
    for kind, contract, word in (
        (records.HOST, HOST, "host"),
        (records.IDENTITY, CLUSTER_IDENTITY, "identity"),
    ):
        olds = _of(before, kind)
        for name, new in _of(after, kind).items():
            if name not in olds:
                yield f"{word} {name}", ()
            elif (both := _both(contract, olds[name], new, {})) and diff(contract, *both).replaces():
                yield f"{word} {name}", tuple(_settings(differences(contract, *both)))
    # A network is removed before it is replaced, and so are the machines on it; a new one has none yet.
    networks = _of(before, records.NETWORK)
    for name, new in _of(after, records.NETWORK).items():
        if name in networks:
            state, news = _both(NETWORK, networks[name], new, {})
            changes = diff(NETWORK, state, news)
            keep_mesh(state, news, changes)
            if changes.replaces():
                yield f"network {name}", ()


# -- machines --------------------------------------------------------------------------------------


def _machines(before: _Index, after: _Index, fresh: _Fresh) -> Iterator[Effect]:
    olds, news = _of(before, records.MACHINE), _of(after, records.MACHINE)
    groups = (
        Counter(_group(record) for record in olds.values()),
        Counter(_group(record) for record in news.values()),
    )
    for name, new in news.items():
        if name not in olds:
            yield Effect("added", name, new.about.get("cluster"), (), _came_or_went(new, *groups, after))
        elif effect := _changed(olds[name], new, fresh, _planes(olds.values(), news.values(), new)):
            yield effect
    for name, old in olds.items():
        if name not in news:
            why = _came_or_went(old, *groups, after)
            stays = (records.CLUSTER, old.about.get("cluster")) in after
            yield Effect("removed", name, old.about.get("cluster"), (), why, _leaving(old) if stays else _DISK)


def _planes(olds: Iterable[Record], news: Iterable[Record], machine: Record) -> int:
    """Return how many control planes the cluster of a machine has, before and after."""
    cluster = machine.about.get("cluster")
    counts = [
        sum(bool(record.about["cluster"] == cluster and record.about["role"] == "controlPlane") for record in side)
        for side in (olds, news)
    ]
    return min(counts)


def _leaving(machine: Record) -> str:
    """Say how a node leaves a cluster that stays."""
    if not machine.inputs["first_boot"]["node"]:
        return _DISK
    vote = ", and gives up its vote in etcd" if machine.about["role"] == "controlPlane" else ""
    return f"it is drained{vote}; then {_DISK}"


def _group(machine: Record) -> tuple[Any, Any]:
    return machine.about.get("cluster"), machine.about.get("pool")


def _came_or_went(
    machine: Record, before: Counter[tuple[Any, Any]], after: Counter[tuple[Any, Any]], index: _Index
) -> str:
    """Say why a machine is there only on one side: its cluster, its pool, or its number."""
    cluster, pool = group = _group(machine)
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


def _changed(old: Record, new: Record, fresh: _Fresh, planes: int) -> Effect | None:
    state, news = _both(MACHINE, old, new, fresh)
    state, news = {**state, "running": True}, {**news, "running": True}
    changes = diff(MACHINE, state, news)
    differing = list(differences(MACHINE, state, news))
    if not differing:
        return None
    hosts = old.about.get("host"), new.about.get("host")
    moves = hosts[0] != hosts[1]
    settings = (
        *((Setting("host", *hosts),) if moves else ()),
        *_size(old, new, differing),
        *_settings(difference for difference in differing if not (moves and difference.path[0] in _WITH_THE_HOST)),
    )
    if not moves and (of_host := fresh.get(f"host {hosts[1]}")):
        settings = (
            *(Setting(f"{setting.name} of host {hosts[1]}", setting.before, setting.after) for setting in of_host),
            *(setting for setting in settings if setting.name not in _FOUND_ON_A_HOST),
        )
    why = ", ".join(str(setting) for setting in settings)
    cluster = new.about.get("cluster")
    neighbours = Neighbours(planes, has_spare=True, surges=bool(new.about.get("surges")), passed=BUILT_VERSIONS)
    try:
        consequences = decide(state, news, changes, neighbours)
    except Refused as refusal:
        return Effect("refused", new.name, cluster, settings, why, str(refusal))
    return Effect(_kind(old, new, state, news, changes), new.name, cluster, settings, why, "; ".join(consequences))


def _kind(
    old: Record, new: Record, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes
) -> EffectKind:
    if changes.replaces():
        return "moved" if old.about.get("host") != new.about.get("host") else "replaced"
    if restarts_for(state, news, changes):
        return "restarted"
    return "patched" if changes.by_path else "kept"


def _both(contract: Contract, old: Record, new: Record, fresh: _Fresh) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what stands and what is wanted, by wire name, with stand-ins resolved.

    What a record doesn't have, since an older version wrote it, is as the other one has it; what it leaves out
    inside a property is as the engine is told it.
    """
    state, news = {}, {}
    for name in {**old.inputs, **new.inputs}:
        first = old.inputs[name] if name in old.inputs else new.inputs[name]
        second = new.inputs[name] if name in new.inputs else old.inputs[name]
        wire = contract.wire_names.get(name, name)
        if wire in contract.properties:
            first, second = (contract.properties[wire].with_defaults(value) for value in (first, second))
        state[wire], news[wire] = _settled(first, second, fresh)
    return state, news


def _settled(old: Any, new: Any, fresh: _Fresh) -> tuple[Any, Any]:
    """Resolve stand-ins: unknown where what they are of is replaced, else as what stands."""
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


def _size(old: Record, new: Record, differing: Iterable[Difference]) -> Iterator[Setting]:
    sizes = old.about.get("vmSize"), new.about.get("vmSize")
    if sizes[0] != sizes[1] and any(difference.path[0] in _BY_SIZE for difference in differing):
        yield Setting("vmSize", *sizes)


def _settings(differing: Iterable[Difference]) -> Iterator[Setting]:
    listed = list(differing)
    # The rest differs for the reason that these have.
    explained = [candidate for candidate in listed if candidate.old != _AS_IT_IS]
    for difference in explained or listed:
        path = tuple(part for part in difference.path if part not in {"firstBoot", "node"}) or difference.path[-1:]
        if difference.path == ("firstBoot", "node"):
            yield Setting("provisioning", _as_node(difference.old), _as_node(difference.new))
            continue
        name = ".".join((_IN_THE_FILES.get(path[0], path[0]), *path[1:]))
        if path == ("bridges",):
            yield Setting(name, _bridges(difference.old, difference.new), _bridges(difference.new, difference.old))
            continue
        later = "replaced" if difference.path[0] == "network" else "what `up` finds"
        yield Setting(name, _shown(difference.old), later if difference.new == UNKNOWN else _shown(difference.new))


def _bridges(bridges: Any, others: Any) -> str | None:
    """Name the bridges that are not among the others."""
    return (
        ", ".join(f"{bridge['name']} (VLAN {bridge['vlan']})" for bridge in bridges if bridge not in others)
        or None
    )


def _as_node(value: Any) -> str:
    return "kubernetes" if value else "machines"


def _shown(value: Any) -> str | None:
    match value:
        case None | () | [] | {} | "":
            return None
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            text = ", ".join(_shown(entry) or "" for entry in value)
        case _:
            text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


# -- hosts -----------------------------------------------------------------------------------------


def _hosts(before: _Index, after: _Index) -> Iterator[Effect]:
    olds, news = _of(before, records.HOST), _of(after, records.HOST)
    for name in sorted({**olds, **news}):
        if name not in olds:
            yield Effect("added", name, None, (), f"new host {name}")
        elif name not in news:
            yield Effect("removed", name, None, (), f"host {name} is gone")
        else:
            both = _both(HOST, olds[name], news[name], {})
            settings = tuple(_settings(differences(HOST, *both)))
            kind: EffectKind = "replaced" if diff(HOST, *both).replaces() else "patched"
            then = "what azlocal has on it goes, and is replaced" if kind == "replaced" else ""
            if settings:
                yield Effect(kind, name, None, settings, ", ".join(map(str, settings)), then)


# -- clusters --------------------------------------------------------------------------------------


def _clusters(before: _Index, after: _Index, machines: list[Effect]) -> Iterator[Effect]:
    olds, news = _of(before, records.CLUSTER), _of(after, records.CLUSTER)
    for name in sorted({**olds, **news}):
        if name not in olds:
            yield Effect("added", name, name, (), f"new cluster {name}")
        elif name not in news:
            yield Effect("removed", name, name, (), f"cluster {name} is gone", "its data goes with its machines")
        elif effect := _cluster(name, before, after, [machine for machine in machines if machine.cluster == name]):
            yield effect


def _cluster(name: str, before: _Index, after: _Index, members: list[Effect]) -> Effect | None:
    kind, settings = _inside(before[records.CLUSTER, name], after[records.CLUSTER, name])
    arc = _connection(name, before, after)
    identity = _identity(name, before, after)
    of_machines = (setting for member in members for setting in member.settings if setting.name in _OF_A_CLUSTER)
    settings = (*dict.fromkeys(of_machines), *settings, *arc, *identity)
    counts = Counter(member.kind for member in members)
    reasons = [", ".join(str(setting) for setting in settings)] if settings else []
    reasons += [f"{counted(counts[effect], 'machine')} {effect}" for effect in EFFECTS if counts[effect]]
    if not reasons:
        return None
    refusal = next((member.then for member in members if member.kind == "refused"), "")
    if refusal:
        return Effect("refused", name, name, settings, ", ".join(reasons), refusal)
    is_kept = not kind and not arc and not counts.keys() - {"kept"}
    return Effect("kept" if is_kept else "patched", name, name, settings, ", ".join(reasons), _then(identity, arc))


def _inside(old: Record, new: Record) -> tuple[bool, tuple[Setting, ...]]:
    """Return what differs of what is made in a cluster; of digests only whose they are."""
    settings: list[Setting] = []
    for key in dict.fromkeys((*old.inputs, *new.inputs)):
        first, second = old.inputs.get(key), new.inputs.get(key)
        if first == second or key == "provisioning":
            continue
        if key in {"addOns", "storageClasses", "extensions", "fluxConfigurations", "customLocations"}:
            settings += _named(key, first or {}, second or {})
        elif isinstance(first or {}, Mapping) and isinstance(second or {}, Mapping):
            for part in sorted({**(first or {}), **(second or {})}):
                values = (first or {}).get(part), (second or {}).get(part)
                if values[0] != values[1]:
                    settings.append(Setting(f"{key}.{part}", _shown(values[0]), _shown(values[1])))
        else:
            settings.append(Setting(key, _shown(first), _shown(second)))
    return bool(settings), tuple(settings)


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
    differing = differences(CONNECTED_CLUSTER, *_both(CONNECTED_CLUSTER, old, new, {}))
    return tuple(Setting(f"arc.{setting.name}", setting.before, setting.after) for setting in _settings(differing))


def _identity(name: str, before: _Index, after: _Index) -> tuple[Setting, ...]:
    old, new = before.get((records.IDENTITY, name)), after.get((records.IDENTITY, name))
    if old is None or new is None or old.inputs.get("pod_security") == new.inputs.get("pod_security"):
        return ()
    levels = old.inputs.get("pod_security"), new.inputs.get("pod_security")
    return (Setting("podSecurity", *(_shown(level) for level in levels)),)


def _then(identity: tuple[Setting, ...], arc: tuple[Setting, ...]) -> str:
    sentences = [
        f"the cluster keeps podSecurity {setting.before}, which it was founded with" for setting in identity
    ]
    replaced = [
        setting.name
        for setting in arc
        if _is_replaced_in_azure(setting.name.removeprefix("arc.").partition(".")[0])
    ]
    if replaced:
        sentences.append(f"its resource in Azure is replaced for {', '.join(replaced)}")
    return "; ".join(sentences)


def _is_replaced_in_azure(name: str) -> bool:
    prop = CONNECTED_CLUSTER.properties.get(name)
    return prop is not None and prop.on_change.value == "replace"
