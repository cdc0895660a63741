"""The life of any API object: checked, compared, applied on the server side, awaited, deleted."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from infra.errors import UserError
from infra.kubernetes.api import ApiError, ClusterUnreachable, Conflict, NotFound, Object
from infra.kubernetes.cluster import NoSuchKind
from infra.kubernetes.kinds import KindId, Ref
from infra.kubernetes.waiting import NotReady
from infra.kubernetes_plugin import objects, waiting
from infra.kubernetes_plugin.diff import Change, differences, is_ignored, parse_path
from infra.kubernetes_plugin.immutable import forces_replacement
from infra.kubernetes_plugin.naming import Naming
from infra.kubernetes_plugin.outcome import Checked, Outcome, Partial
from infra.kubernetes_plugin.session import Session
from infra.kubernetes_plugin.types import is_patch, kind_in, object_id, parse_object_id, token_of
from infra.plugin.operation import Operation
from infra.plugin.values import UNKNOWN, Path, Properties

# Others who own fields of an object that this provider may take over: the same tool before, or a person's kubectl.
_TAKEN_OVER: Final = ("kubectl", "before-first-apply", "pulumi-kubernetes", "pulumi-resource-kubernetes")
_NO_DRY_RUN: Final = frozenset({400, 403})  # a webhook that can't, a user who may not
_DECIDED_LATER: Final = ("uid", "resourceVersion", "creationTimestamp", "generation")
_TRIES: Final = 6  # half a minute, for a namespace or a kind that is being made at the same time


@dataclass
class Changes:
    """What a diff found."""

    by_path: dict[Path, Change] = field(default_factory=dict)
    replaces: set[Path] = field(default_factory=set)
    delete_first: bool = False


def check(session: Session, urn: str, news: Properties, olds: Properties, naming: Naming) -> Checked:
    """Fill in the name, the namespace and the kind; report what can't be served."""
    token = token_of(urn)
    obj = objects.cleaned(objects.from_wire(news.values))
    id = kind_in(obj, token)
    obj |= {"apiVersion": id.api_version, "kind": id.kind}
    faults: list[tuple[str, str]] = []
    if token.endswith("List") and isinstance(obj.get("items"), list):
        faults.append(("items", f"{id} is a list of objects; make each a resource of its own"))
    if ("metadata",) not in news.unknown_paths:
        obj, fault = _named(obj, objects.from_wire(olds.values), naming, patch=is_patch(token, id.kind))
        faults += fault
        if not objects.metadata(obj).get("namespace") and session.is_namespaced(id):
            obj = objects.with_metadata(obj, namespace=session.namespace)
    secret = set(objects.wire_paths(news.secret_paths))
    if id == KindId("v1", "Secret"):
        secret |= {(name,) for name in ("data", "stringData") if name in obj}
    return Checked(objects.to_wire(obj), frozenset(objects.deepest(obj, path) for path in secret), faults)


def _named(obj: Object, old: Object, naming: Naming, *, patch: bool) -> tuple[Object, list[tuple[str, str]]]:
    meta = objects.metadata(obj)
    if meta.get("name"):
        return obj, []
    if patch:
        return obj, [("metadata.name", "metadata.name: a Patch resource has to name the object that it patches")]
    if meta.get("generateName"):
        return obj, [("metadata.generateName", "metadata.generateName doesn't work with server-side apply")]
    if objects.is_true(old, objects.AUTONAMED):
        name = str(objects.metadata(old)["name"])
    elif naming.refused:
        return obj, [("metadata.name", "metadata.name: autonaming is disabled, so the name has to be set")]
    else:
        name = naming.name()
    return objects.with_annotation(objects.with_metadata(obj, name=name), objects.AUTONAMED, "true"), []


def diff(session: Session, urn: str, state: Properties, news: Properties, ignored: Sequence[str]) -> Changes:
    """Compare what was asked for, with the drift a refresh found in it, with what is asked for now."""
    old, live = objects.parse_checkpoint(state.values)
    new = objects.from_wire(news.values)
    id = kind_in(new, token_of(urn))
    settings = session.settings
    patch = is_patch(token_of(urn), id.kind)
    leave = [parse_path(text) for text in ignored]
    changes = Changes()
    for path, change in differences(_placed(objects.cleaned(old)), _placed(objects.cleaned(new))):
        if any(is_ignored(path, pattern) for pattern in leave):
            continue
        changes.by_path[path] = change
        identity = path[:2] in (("metadata", "name"), ("metadata", "namespace"))
        if identity or (
            not patch
            and forces_replacement(
                id,
                new,
                path,
                secret_mutable=settings.secret_mutable,
                config_map_mutable=settings.config_map_mutable,
            )
        ):
            changes.replaces.add(path)
    same_place = all(
        objects.metadata(_placed(new)).get(key) == objects.metadata(_placed(live)).get(key)
        for key in ("name", "namespace")
    )
    changes.delete_first = bool(changes.replaces) and same_place and not objects.is_true(new, objects.AUTONAMED)
    return changes


def _placed(obj: Object) -> Object:
    """Return the object with its namespace said, so that the default one compares equal to none."""
    if not isinstance(obj.get("metadata"), dict):
        return obj
    return objects.with_metadata(obj, namespace=objects.metadata(obj).get("namespace") or "default")


def create(session: Session, op: Operation, inputs: Properties, *, preview: bool) -> Outcome:
    """Make the object and wait until it is ready.

    An object of that name that stands already is refused, unless this resource's own field manager applied it:
    then an interrupted run left it.
    """
    obj = objects.from_wire(inputs.values)
    token = token_of(op.urn)
    id = kind_in(obj, token)
    manager = objects.annotation(obj, objects.PATCH_MANAGER) or objects.default_field_manager(op.urn)
    target = _Target(session, op, id, obj, inputs, manager, id.api_version)
    patch = is_patch(token, id.kind)
    if preview:
        return target.previewed(new=True) if not patch else Outcome("", dict(inputs.values), inputs.secret_paths)
    standing = session.cluster.find(target.ref)
    if standing is not None and objects.metadata(standing).get("deletionTimestamp") and not patch:
        waiting.until_gone(session.cluster, target.ref, standing["metadata"]["uid"], op, obj)
        standing = None
    left = standing is not None and objects.manages(standing, manager) and session.run.may_adopt(op.urn)
    if standing is not None and not patch and not session.settings.upsert and not left:
        raise UserError(
            f"{target.ref} already exists and isn't this resource's. Take it over with `pulumi import`, change "
            "parts of it with a Patch resource, name another one, or set the provider's upsertExistingObjects; "
            "after a renaming in the program, give the resource an alias."
        )
    return target.made(await_it=not patch)


def update(
    session: Session,
    op: Operation,
    state: Properties,
    news: Properties,
    ignored: Sequence[str],
    *,
    preview: bool,
) -> Outcome:
    """Bring the object to the new inputs; with unchanged ones, go on waiting where an earlier run gave up."""
    obj = objects.from_wire(news.values)
    kind = kind_in(obj, token_of(op.urn))
    before = str(state.values.get(objects.FIELD_MANAGER) or objects.default_field_manager(op.urn))
    manager = objects.annotation(obj, objects.PATCH_MANAGER) or before
    initial = str(state.values.get(objects.INITIAL_API_VERSION) or kind.api_version)
    # A field that is ignored keeps whatever it has in the cluster.
    target = _Target(session, op, kind, obj, news, manager, initial, tuple(map(parse_path, ignored)))
    if preview:
        return target.previewed(new=False)
    outcome = target.made(await_it=not is_patch(token_of(op.urn), kind.kind))
    if manager != before:
        target.relinquish(before)
    return outcome


def read(session: Session, op: Operation, id: str, state: Properties, inputs: Properties) -> Outcome | None:
    """Return the object as it stands, None when the API server says that it isn't there."""
    if session.forgets(op):
        return None
    namespace, name = parse_object_id(id)
    recorded, seen = objects.parse_checkpoint(state.values)
    known = objects.from_wire(inputs.values) or recorded
    kind = kind_in(known or seen, token_of(op.urn))
    ref = Ref(kind, namespace, name)
    live = session.cluster.find(ref)
    if live is None:
        return None
    now = (
        objects.carry_drift(known, objects.comparable(seen, known), objects.comparable(live, known))
        if known
        else objects.imported_inputs(live)
    )
    manager = str(state.values.get(objects.FIELD_MANAGER) or objects.default_field_manager(op.urn))
    new_state = objects.checkpoint(
        live, now, str(state.values.get(objects.INITIAL_API_VERSION) or kind.api_version), manager
    )
    secret = objects.wire_paths(inputs.secret_paths)
    hidden = objects.secret_paths(new_state, secret)
    outcome = Outcome(
        id,
        new_state,
        hidden,
        objects.to_wire(now),
        frozenset(path[1:] for path in hidden if path[0] == objects.INPUTS),
    )
    if known and not objects.is_true(known, objects.SKIP_AWAIT) and not is_patch(token_of(op.urn), kind.kind):
        progress = waiting.progress_of(session.cluster, ref, live, known)
        if not progress.ready:
            reasons = [f"{ref} is not ready: waiting for {progress.waiting_for}"]
            raise Partial(outcome, [*reasons, *waiting.troubles(session.cluster, ref, live)])
    return outcome


def delete(session: Session, op: Operation, id: str, state: Properties) -> None:
    """Remove the object and wait until it is gone; success when it already is."""
    if session.forgets(op):
        return
    inputs, seen = objects.parse_checkpoint(state.values)
    kind = kind_in(seen or inputs, token_of(op.urn))
    namespace, name = parse_object_id(id)
    ref = Ref(kind, namespace, name)
    live = session.cluster.find(ref)
    if live is None:
        return
    if is_patch(token_of(op.urn), kind.kind):
        manager = str(state.values.get(objects.FIELD_MANAGER) or objects.default_field_manager(op.urn))
        _Target(session, op, kind, inputs or seen, Properties({}), manager, kind.api_version).relinquish(manager)
        return
    uid = str(live["metadata"].get("uid"))
    if session.run.was_made(op.urn, uid):
        return  # the replacement took over the original
    if objects.metadata(seen).get("uid", uid) != uid:
        op.warning(f"{ref} was deleted and created again since; what stands now isn't this resource's and stays")
        return
    wanted = objects.annotation(inputs, objects.PROPAGATION).lower()
    try:
        session.cluster.delete(
            ref, {"orphan": "Orphan", "background": "Background"}.get(wanted, "Foreground"), uid
        )
    except (NotFound, Conflict):
        return  # somebody else was faster
    if not objects.is_true(inputs, objects.SKIP_AWAIT):
        waiting.until_gone(session.cluster, ref, uid, op, inputs)


@dataclass
class _Target:
    """One object on its way into the cluster."""

    session: Session
    op: Operation
    id: KindId
    obj: Object
    inputs: Properties
    manager: str
    initial_api_version: str
    ignored: tuple[Path, ...] = ()

    @property
    def ref(self) -> Ref:
        meta = objects.metadata(self.obj)
        namespaced = self.session.is_namespaced(self.id)
        return Ref(
            self.id, (meta.get("namespace") or self.session.namespace) if namespaced else None, str(meta["name"])
        )

    def made(self, *, await_it: bool) -> Outcome:
        """Apply the object, wait for it, and return it."""
        attempts = Retrying(
            stop=stop_after_attempt(_TRIES),
            wait=self._announced,
            retry=retry_if_exception_type((NotFound, NoSuchKind)),
            sleep=self._sleep,
            reraise=True,
        )
        live = attempts(self._applied)
        self.session.run.made(self.op.urn, str(objects.metadata(live).get("uid")))
        if not await_it or objects.is_true(self.obj, objects.SKIP_AWAIT):
            return self.outcome(live)
        try:
            return self.outcome(waiting.until_ready(self.session.cluster, self.ref, self.op, self.obj))
        except NotReady as error:
            raise Partial(self.outcome(self.session.cluster.find(self.ref) or live), error.reasons) from error

    def _announced(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        self.op.status(f"{error}; trying again")
        return float(2 ** (state.attempt_number - 1))

    def _sleep(self, seconds: float) -> None:
        self.op.cancelled.wait(seconds)

    def _applied(self) -> Object:
        self.op.check_cancelled()
        return self.apply(force=self._forced, dry_run=False)

    @property
    def _forced(self) -> bool:
        return self.session.settings.patch_force or objects.is_true(self.obj, objects.PATCH_FORCE)

    def previewed(self, *, new: bool) -> Outcome:
        """Return what the API server would make of the object, or the inputs where it can't be asked."""
        as_said = Outcome(
            "", _unsettled(self.inputs.values) if new else self.inputs.values, self.inputs.secret_paths
        )
        if self.inputs.unknown_paths:
            return as_said
        try:
            if new and self.session.cluster.find(self.ref) is not None:
                return as_said  # it makes way for this one, or the run will say that it doesn't
            live = self.apply(force=new or self._forced, dry_run=True)
        except (ClusterUnreachable, NoSuchKind, NotFound):
            return as_said  # what it needs may be made in the same run
        except ApiError as error:
            if error.status in _NO_DRY_RUN:
                return as_said
            raise
        live.pop("status", None)
        outcome = self.outcome(live)
        return Outcome("", _unsettled(outcome.state) if new else outcome.state, outcome.secret)

    def apply(self, *, force: bool, dry_run: bool) -> Object:
        """Apply the object; take fields over from whoever is known to have given them up."""
        ref, body = self.ref, copy.deepcopy(self.obj)
        if ref.namespace is None:
            body.get("metadata", {}).pop("namespace", None)
        if self.ignored:
            self._keep_ignored(ref, body)
        try:
            return self.session.cluster.apply(ref, body, self.manager, force=force, dry_run=dry_run)
        except NotFound:
            raise  # its namespace or kind, which may be on its way
        except Conflict as error:
            owners = _owners(error)
            if owners and all(owner.startswith(_TAKEN_OVER) for owner in owners):
                return self.session.cluster.apply(ref, body, self.manager, force=True, dry_run=dry_run)
            raise UserError(
                f"{ref}: {error.message}. To take the fields over, set the annotation "
                f'{objects.PATCH_FORCE}: "true" on the resource or enablePatchForce on the provider; '
                "to leave them to their owner, drop them from the program."
            ) from error
        except ApiError as error:
            raise ApiError(f"{ref}: {error}", error.status, error.details) from error

    def _keep_ignored(self, ref: Ref, body: Object) -> None:
        live = self.session.cluster.find(ref)
        for path in self.ignored:
            if live is not None and objects.deepest(live, path) == path and objects.deepest(body, path) == path:
                objects.replace(body, path, objects.value_at(live, path))

    def relinquish(self, manager: str) -> None:
        """Give up every field that a manager of ours owns; what nobody else owns goes."""
        meta = {key: value for key, value in objects.metadata(self.obj).items() if key in ("name", "namespace")}
        nothing = {"apiVersion": self.id.api_version, "kind": self.id.kind, "metadata": meta}
        self.session.cluster.apply(self.ref, nothing, manager, force=True)

    def outcome(self, live: Object) -> Outcome:
        """Return what goes into state."""
        state = objects.checkpoint(live, self.obj, self.initial_api_version, self.manager)
        meta = objects.metadata(live)
        secret = objects.secret_paths(state, objects.wire_paths(self.inputs.secret_paths))
        return Outcome(object_id(meta.get("namespace"), str(meta.get("name"))), state, secret)


def _unsettled(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state with what only the API server can tell unknown."""
    if not isinstance(state.get("metadata"), dict):
        return state
    return objects.with_metadata(state, **dict.fromkeys(_DECIDED_LATER, UNKNOWN))


def _owners(conflict: Conflict) -> list[str]:
    """Return the field managers that a conflict names: `conflict with "kubectl" using v1`."""
    return [
        str(cause.get("message", "")).partition('"')[2].partition('"')[0]
        for cause in conflict.details.get("causes") or []
        if cause.get("reason") == "FieldManagerConflict"
    ]
