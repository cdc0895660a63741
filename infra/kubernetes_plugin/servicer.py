"""Pulumi's provider protocol for the package `kubernetes`: each request to an API object or a Helm release."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf import empty_pb2, struct_pb2

from infra.kubernetes_plugin import api_objects, config, release
from infra.kubernetes_plugin.api_objects import Changes
from infra.kubernetes_plugin.decode import decode_yaml
from infra.kubernetes_plugin.diff import Change, path_text
from infra.kubernetes_plugin.errors import NAME, NotCovered
from infra.kubernetes_plugin.kubeconfig import active_cluster
from infra.kubernetes_plugin.naming import Naming
from infra.kubernetes_plugin.outcome import Checked, Outcome, Partial
from infra.kubernetes_plugin.session import Session
from infra.kubernetes_plugin.types import OVERLAYS, RELEASE, token_of
from infra.plugin.engine import EngineLog
from infra.plugin.proto import provider_pb2
from infra.plugin.protocol import Plugin, abort_init_failed
from infra.plugin.values import Properties, decode, encode

_PREFIX: Final = "kubernetes:config:"
_DIFF_KIND: Final = {
    (Change.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Change.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Change.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Change.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Change.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Change.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}
_ENGINES_OWN: Final = frozenset({"version", "pluginDownloadURL", "__internal"})
_IDENTITY: Final[tuple[str, ...]] = ("kubeconfig", "context", "cluster")
_UNCONFIGURED: Final = config.Settings()

Method = Callable[[Any, Any], Any]
Call = Callable[[Any, Any, Any], Any]


def _call(verb: str) -> Callable[[Method], Call]:
    """Turn whatever a method raises into the answer that the engine expects."""

    def decorate(method: Method) -> Call:
        @functools.wraps(method)
        def call(self: KubernetesServicer, request: Any, context: Any) -> Any:
            try:
                with self.running:
                    return method(self, request)
            except Partial as partial:
                outcome = partial.outcome
                inputs = encode(outcome.inputs, outcome.secret_inputs) if outcome.inputs is not None else None
                abort_init_failed(
                    context, outcome.id, encode(outcome.state, outcome.secret), inputs, partial.reasons
                )
            except Exception as error:  # noqa: BLE001 - the edge of the process: everything becomes an answer
                self.fail(context, verb, error)

        return call

    return decorate


class KubernetesServicer(Plugin):
    """Serves one provider instance: the engine starts a process for each."""

    def __init__(self, version: str, connect_log: Callable[[str], EngineLog], log: EngineLog) -> None:
        super().__init__(version, connect_log, log)
        self._session = Session(_UNCONFIGURED, dict(os.environ))

    # -- the provider itself -------------------------------------------------------------------

    @_call("configuration check")
    def CheckConfig(self, request: Any) -> Any:
        """Refuse what this stand-in can't do, before anything is made with it."""
        news = decode(request.news)
        config.parse(news.known(), self._session.environment)
        return provider_pb2.CheckResponse(
            inputs=request.news,
            failures=[
                provider_pb2.CheckFailure(property=name, reason=reason)
                for name, reason in config.faults(news.known(), self._session.environment)
            ],
        )

    @_call("configuration diff")
    def DiffConfig(self, request: Any) -> Any:
        """Compare two configurations: another cluster replaces every resource, all else is an update."""
        olds, news = decode(request.olds), decode(request.news)
        names = (olds.values.keys() | news.values.keys()) - _ENGINES_OWN
        differ = sorted(name for name in names if olds.values.get(name) != news.values.get(name))
        replaces = _config_replaces(olds, news, differ)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if differ else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=differ,
            replaces=replaces,
        )

    @_call("configuration")
    def Configure(self, request: Any) -> Any:
        """Take the configuration. No connection is made: a cluster that is gone must not stop a destroy."""
        values = {name.removeprefix(_PREFIX): value for name, value in request.variables.items()}
        values |= decode(request.args).known()
        settings = config.parse(values, self._session.environment)
        self._session = Session(settings, self._session.environment)
        self.log.info(request.urn, f"served by {NAME}, since the official plugin isn't installed")
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True,
            supportsPreview=True,
            acceptResources=False,
            acceptOutputs=False,
            supports_autonaming_configuration=True,
        )

    @_call("schema")
    def GetSchema(self, request: Any) -> Any:
        """Refuse: the SDKs of the official package are used as they are."""
        raise NotCovered("the package's schema")

    @_call("invoke")
    def Invoke(self, request: Any) -> Any:
        """Decode YAML for `yaml.ConfigFile` and `ConfigGroup`."""
        if request.tok != "kubernetes:yaml:decode":
            raise NotCovered(f"the function {request.tok}")
        arguments = decode(request.args).values
        namespace = str(arguments.get("defaultNamespace") or "")
        result = decode_yaml(str(arguments.get("text", "")), namespace, self._session.is_namespaced)
        struct = struct_pb2.Struct()
        struct.update({"result": result})
        return provider_pb2.InvokeResponse(**{"return": struct})

    @_call("component")
    def Construct(self, request: Any) -> Any:
        """Refuse components that the official plugin itself builds (yaml/v2, helm/v4, kustomize/v2)."""
        raise NotCovered(f"the component {request.type}")

    @_call("call")
    def Call(self, request: Any) -> Any:
        """Refuse methods of components."""
        raise NotCovered(f"the method {request.tok}")

    # -- resources -----------------------------------------------------------------------------

    @_call("check")
    def Check(self, request: Any) -> Any:
        """Fill in defaults, report all faults together."""
        is_release = _is_release(request.urn)
        news, olds = decode(request.news, assets=is_release), decode(request.olds, assets=is_release)
        op = self.operation(request)
        if olds.values:
            self._session.run.saw_in_state(request.urn)
        if self._session.settings.skip_update_unreachable and olds.values:
            reason = self._session.unreachable()
            if reason:
                op.warning(f"{reason}; skipUpdateUnreachable is set, so the resource stays as it is")
                return provider_pb2.CheckResponse(inputs=request.olds)
        naming = Naming.of(request)
        checked = (
            release.check(self._session, op, news, olds, naming)
            if is_release
            else api_objects.check(self._session, request.urn, news, olds, naming)
        )
        return provider_pb2.CheckResponse(
            inputs=encode(checked.inputs, checked.secret), failures=_failures(checked)
        )

    @_call("diff")
    def Diff(self, request: Any) -> Any:
        """Compare what stands with what is wanted, value by value."""
        state, news = decode(request.olds), decode(request.news)
        changes = (
            release.diff(state, news, request.ignoreChanges)
            if _is_release(request.urn)
            else api_objects.diff(self._session, request.urn, state, news, request.ignoreChanges)
        )
        return _diff_response(changes)

    @_call("create")
    def Create(self, request: Any) -> Any:
        """Make the resource, or show in preview what it would be."""
        op, inputs = self.operation(request), decode(request.properties)
        make = release.create if _is_release(request.urn) else api_objects.create
        made = make(self._session, op, inputs, preview=request.preview)
        return provider_pb2.CreateResponse(id=made.id, properties=encode(made.state, made.secret))

    @_call("read")
    def Read(self, request: Any) -> Any:
        """Return what stands; an empty id only when the API server says that it is gone."""
        op, state, inputs = self.operation(request), decode(request.properties), decode(request.inputs)
        settings = self._session.settings
        if settings.skip_update_unreachable and not settings.delete_unreachable and state.values:
            reason = self._session.unreachable()
            if reason:
                op.warning(f"{reason}; skipUpdateUnreachable is set, so the state stays as it was")
                return provider_pb2.ReadResponse(
                    id=request.id, properties=request.properties, inputs=request.inputs
                )
        look = release.read if _is_release(request.urn) else api_objects.read
        outcome: Outcome | None = look(self._session, op, request.id, state, inputs)
        if outcome is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=outcome.id,
            properties=encode(outcome.state, outcome.secret),
            inputs=encode(outcome.inputs or {}, outcome.secret_inputs),
        )

    @_call("update")
    def Update(self, request: Any) -> Any:
        """Bring the resource to the new inputs; with unchanged ones, finish what an earlier run began."""
        op, state, news = self.operation(request), decode(request.olds), decode(request.news)
        if _is_release(request.urn):
            done = release.update(self._session, op, state, news, preview=request.preview)
        else:
            ignored = list(request.ignoreChanges)
            done = api_objects.update(self._session, op, state, news, ignored, preview=request.preview)
        return provider_pb2.UpdateResponse(properties=encode(done.state, done.secret))

    @_call("delete")
    def Delete(self, request: Any) -> Any:
        """Remove the resource; success when it is already gone."""
        remove = release.delete if _is_release(request.urn) else api_objects.delete
        remove(self._session, self.operation(request), request.id, decode(request.properties))
        return empty_pb2.Empty()


def _is_release(urn: str) -> bool:
    token = token_of(urn)
    if token == RELEASE:
        return True
    if token.startswith(OVERLAYS):
        raise NotCovered(f"the resource {token}")
    return False


def _failures(checked: Checked) -> Iterable[Any]:
    hidden = {str(path[0]) for path in checked.secret}
    for name, reason in checked.faults:
        # The engine prints the value of a named property, so a secret one isn't named.
        yield provider_pb2.CheckFailure(property="" if name.split(".")[0] in hidden else name, reason=reason)


def _diff_response(changes: Changes) -> Any:
    detailed = {
        path_text(path): provider_pb2.PropertyDiff(kind=_DIFF_KIND[change, path in changes.replaces])
        for path, change in changes.by_path.items()
    }
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if detailed else provider_pb2.DiffResponse.DIFF_NONE,
        replaces=sorted(path_text(path) for path in changes.replaces),
        diffs=sorted({str(path[0]) for path in changes.by_path}),
        detailedDiff=detailed,
        hasDetailedDiff=True,
        deleteBeforeReplace=changes.delete_first,
    )


def _config_replaces(olds: Properties, news: Properties, differ: list[str]) -> list[str]:
    """Return the settings whose change means another cluster, as far as a kubeconfig tells."""
    identifier = "clusterIdentifier"
    old, new = olds.values.get(identifier), news.values.get(identifier)
    if old and new:
        return [identifier] if old != new else []
    changed = [name for name in _IDENTITY if name in differ]
    if any(name in news.unknown for name in _IDENTITY):
        return changed  # it can't be told, and resources of another cluster must not be taken for these
    before, after = active_cluster(olds.values), active_cluster(news.values)
    return changed if before is not None and after is not None and before != after else []
