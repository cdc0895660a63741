"""Pulumi's provider protocol, once, for every kind: this file knows no kind and no host.

Built on the generated stubs and not on the SDK's experimental servicer, whose requests drop
old inputs and whose only answer to an exception is a traceback (reference/pulumi_provider.md).
A synchronous server: every call has a thread, so kinds may block and Cancel is still heard.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pydantic import ValidationError

from infra.plugin.engine import EngineLog
from infra.plugin.proto import provider_pb2
from infra.plugin.protocol import Plugin, abort_init_failed
from infra.plugin.values import UNKNOWN, Properties, decode, encode
from infra.provider.kind import InitFailed, Kind, Made
from infra.provider.schema import package_schema
from infra.resources.changes import diff
from infra.resources.contract import OnChange

AnyKind = Kind[Any, Any]

_PROPERTY_KIND = {
    OnChange.UPDATE: provider_pb2.PropertyDiff.UPDATE,
    OnChange.REPLACE: provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


def _resource_call(
    verb: str,
) -> Callable[[Callable[[Any, AnyKind, Any], Any]], Callable[[Any, Any, Any], Any]]:
    """Give a method its kind, and turn whatever the kind raises into the answer the engine expects."""

    def decorate(method: Callable[[Any, AnyKind, Any], Any]) -> Callable[[Any, Any, Any], Any]:
        @functools.wraps(method)
        def call(self: Servicer, request: Any, context: Any) -> Any:
            kind = self.kind_of(request.urn, context)
            try:
                with self.running:
                    return method(self, kind, request)
            except Exception as error:  # noqa: BLE001 - the edge of the process: everything becomes an answer
                if isinstance(error, InitFailed):
                    inputs = decode(getattr(request, _INPUTS_FIELD[verb]))
                    made: Made[Any] = error.made
                    properties = _encode(kind, made.state.to_wire(), inputs)
                    abort_init_failed(
                        context, made.id, properties, _encode(kind, inputs.values, inputs), [error.reason]
                    )
                self.fail(context, verb, error)

        return call

    return decorate


# Where each request that can fail partially carries the inputs it has to hand back.
_INPUTS_FIELD = {"create": "properties", "update": "news", "read": "inputs"}


class Servicer(Plugin):
    """Dispatches each request to the kind that its URN or type token names."""

    def __init__(
        self,
        version: str,
        kinds: Mapping[str, AnyKind],
        connect_log: Callable[[str], EngineLog],
        log: EngineLog,
    ) -> None:
        super().__init__(version, connect_log, log)
        self._kinds = kinds

    # -- the plugin itself ---------------------------------------------------------------------

    def GetSchema(self, request: Any, context: Any) -> Any:
        """Return the package schema, generated from the contracts."""
        return provider_pb2.GetSchemaResponse(
            schema=json.dumps(package_schema(self._version, (kind.contract for kind in self._kinds.values())))
        )

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Accept the provider's configuration; there is none to check."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """Report no change: the provider has no configuration."""
        return provider_pb2.DiffResponse()

    def Configure(self, request: Any, context: Any) -> Any:
        """Tell the engine that previews are served, and that secrets arrive marked."""
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=False, acceptOutputs=False
        )

    # -- resources -----------------------------------------------------------------------------

    @_resource_call("check")
    def Check(self, kind: AnyKind, request: Any) -> Any:
        """Validate inputs, fill defaults; report all faults together."""
        news = decode(request.news)
        inputs, faults = kind.contract.check(news.values, news.unknown, news.secret)
        if not faults:
            faults = kind.check(inputs, news.unknown)
        return provider_pb2.CheckResponse(
            inputs=_encode(kind, inputs, news),
            # The engine prints the value of a named property, so a secret one isn't named.
            failures=[
                provider_pb2.CheckFailure(
                    property="" if fault.secret or fault.property.split(".")[0] in news.secret else fault.property,
                    reason=fault.reason,
                )
                for fault in faults
            ],
        )

    @_resource_call("diff")
    def Diff(self, kind: AnyKind, request: Any) -> Any:
        """Compare what stands with what is wanted, property by property."""
        state, news = decode(request.olds), decode(request.news)
        changes = diff(kind.contract, state.values, news.values).without(request.ignoreChanges)
        kind.refine(state.values, news.values, changes, self.operation(request))
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME
            if changes.by_path
            else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=changes.replaces(),
            diffs=sorted({path.split(".")[0] for path in changes.by_path}),
            detailedDiff={
                path: provider_pb2.PropertyDiff(kind=_PROPERTY_KIND[change])
                for path, change in changes.by_path.items()
            },
            hasDetailedDiff=True,
            deleteBeforeReplace=kind.contract.delete_before_replace and not changes.create_first,
        )

    @_resource_call("create")
    def Create(self, kind: AnyKind, request: Any) -> Any:
        """Make the object, or show in preview what it would be."""
        inputs = decode(request.properties)
        if request.preview:
            outputs = dict.fromkeys(kind.contract.computed, UNKNOWN) | inputs.values
            return provider_pb2.CreateResponse(
                properties=_encode(
                    kind, outputs | kind.preview(self.operation(request), inputs.known(), None), inputs
                )
            )
        made = kind.create(self.operation(request), kind.contract.inputs.model_validate(inputs.values))
        return provider_pb2.CreateResponse(id=made.id, properties=_encode(kind, made.state.to_wire(), inputs))

    @_resource_call("read")
    def Read(self, kind: AnyKind, request: Any) -> Any:
        """Return what stands on the host; an empty id only when the host says it is gone."""
        olds, old_inputs = decode(request.properties), decode(request.inputs)
        old = kind.contract.state.model_validate(olds.values) if olds.values else None
        state = kind.read(self.operation(request), request.id, old)
        if state is None:
            return provider_pb2.ReadResponse()
        outputs = state.to_wire()
        inputs = {
            # What only ever mattered at creation stays as the program wrote it.
            name: old_inputs.values.get(name, outputs[name])
            if prop.on_change is OnChange.IGNORE
            else outputs[name]
            for name, prop in kind.contract.properties.items()
        }
        return provider_pb2.ReadResponse(
            id=request.id, properties=_encode(kind, outputs, olds), inputs=_encode(kind, inputs, old_inputs)
        )

    @_resource_call("update")
    def Update(self, kind: AnyKind, request: Any) -> Any:
        """Bring the object to the new inputs; with unchanged ones, finish what an earlier run began."""
        olds, news = decode(request.olds), decode(request.news)
        if request.preview:
            outputs = olds.values | news.values | kind.preview(self.operation(request), news.known(), olds.values)
            return provider_pb2.UpdateResponse(properties=_encode(kind, outputs, news))
        state = kind.update(
            self.operation(request),
            request.id,
            kind.contract.state.model_validate(olds.values),
            kind.contract.inputs.model_validate(news.values),
        )
        return provider_pb2.UpdateResponse(properties=_encode(kind, state.to_wire(), news))

    @_resource_call("delete")
    def Delete(self, kind: AnyKind, request: Any) -> Any:
        """Remove the object; success when it is already gone."""
        olds = decode(request.properties)
        kind.delete(self.operation(request), request.id, kind.contract.state.model_validate(olds.values))
        return empty_pb2.Empty()

    # -- helpers -------------------------------------------------------------------------------

    def kind_of(self, urn: str, context: Any) -> AnyKind:
        """Return the kind a URN names, `urn:pulumi:<stack>::<project>::<parents>$<token>::<name>`."""
        token = urn.split("::")[2].rsplit("$", 1)[-1]
        if token not in self._kinds:
            known = ", ".join(sorted(self._kinds))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{token} is not a kind of azlocal; it has {known}")
        return self._kinds[token]

    def describe(self, error: BaseException) -> str:
        """Return what an unexpected error may say: a validation error repeats its input, which may be a secret."""
        return f"{error.error_count()} invalid properties" if isinstance(error, ValidationError) else str(error)


def _encode(kind: AnyKind, values: Mapping[str, Any], like: Properties) -> Any:
    return encode(values, (like.secret | kind.contract.secrets) & values.keys())
