"""config-agent: makes Flux configurations into objects for the Flux controllers, and tells Azure how they are."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from . import clock, flux, kube
from .clock import Clock
from .data_plane import DataPlane
from .errors import Refused
from .settings import Settings

log = logging.getLogger("agent")

_LOOK_SECONDS = 5.0
_SERVER_ERROR = 500
_NO_FLUX = (
    "The cluster has no Flux: install the extension of type microsoft.flux; the configuration is applied then."
)

Entry = dict[str, Any]


class ConfigAgent:
    """Applies, watches and removes Flux configurations."""

    def __init__(self, settings: Settings, api: kube.Api, service: DataPlane, time: Clock) -> None:
        self._settings = settings
        self._api = api
        self._service = service
        self._clock = time
        self._applied: dict[
            str, tuple[int, datetime]
        ] = {}  # generation and when, of what this process has applied
        self._told: dict[str, dict[str, Any]] = {}

    def step(self) -> float:
        """Ask once what is wanted, and do it; return the seconds until the next time."""
        answer = self._service.call("configurations/getPendingConfigs")
        wanted: list[Entry] = answer.get("configurations", [])
        for entry in wanted:
            try:
                self._handle(entry)
            except (flux.Unusable, Refused) as error:
                if isinstance(error, Refused) and error.status >= _SERVER_ERROR:
                    raise
                self._tell(entry, "Failed", {"complianceState": flux.NON_COMPLIANT, "errorMessage": str(error)})
        known = {entry["id"] for entry in wanted}
        for forgotten in [key for key in self._told if key not in known]:
            del self._told[forgotten]
            self._applied.pop(forgotten, None)
        return float(answer.get("nextInSeconds", _LOOK_SECONDS))

    def _handle(self, entry: Entry) -> None:
        if entry["deleting"]:
            if self._remove(entry):
                self._tell(entry, "Deleted", {})
        elif not self._has_flux():
            self._tell(entry, "InProgress", {"complianceState": flux.PENDING, "errorMessage": _NO_FLUX})
        else:
            generation, _ = self._applied.get(entry["id"], (None, None))
            if generation != entry["generation"]:
                self._apply(entry)
                self._applied[entry["id"]] = (entry["generation"], self._clock.now())
            seen = self._look(entry)
            self._tell(entry, self._verdict(entry, seen), seen)

    def _verdict(self, entry: Entry, seen: dict[str, Any]) -> str:
        """Return whether a configuration's operation ends, and how; afterwards only its state is shown."""
        if entry["isReported"]:
            return "InProgress"
        limit: float | None = entry.get("reconciliationWaitSeconds")
        if limit is None or seen["complianceState"] in (flux.COMPLIANT, flux.SUSPENDED):
            return "Succeeded"
        _, since = self._applied[entry["id"]]
        return "InProgress" if self._clock.now() - since < timedelta(seconds=limit) else "Failed"

    def _has_flux(self) -> bool:
        groups = (flux.SOURCE_GROUP, flux.KUSTOMIZE_GROUP)
        return all(self._api.find(f"/apis/{group}/{flux.VERSION}") is not None for group in groups)

    def _apply(self, entry: Entry) -> None:
        name, properties = entry["name"], entry["properties"]
        namespace = flux.namespace_of(properties)
        # All of what is wanted is worked out before the first change.
        has_secret = self._has_secret(entry, namespace)
        source = flux.source(name, properties, has_secret=has_secret)
        wanted = [source, *flux.kustomizations(name, properties)]
        self._api.create_namespace(namespace)
        self._keep_secret(entry, namespace)
        for found in (*flux.rights(properties), *wanted):
            self._api.apply(flux.path_of(found), found)
        kept = {flux.path_of(found) for found in wanted}
        for stale in self._objects(name):
            if flux.path_of(stale) not in kept:
                self._api.delete(flux.path_of(stale))
        log.info("configuration %s, generation %s: applied", name, entry["generation"])

    def _has_secret(self, entry: Entry, namespace: str) -> bool:
        if entry.get("protected") is None:  # given before: what the cluster has counts
            return self._api.find(kube.secret_path(namespace, flux.secret_name(entry["name"]))) is not None
        return bool(flux.credentials(entry["properties"], entry["protected"]))

    def _keep_secret(self, entry: Entry, namespace: str) -> None:
        given = entry.get("protected")
        if given is None:
            return
        name = flux.secret_name(entry["name"])
        path = kube.secret_path(namespace, name)
        content = flux.credentials(entry["properties"], given)
        if content:
            meta = kube.metadata(name, namespace, {flux.LABEL: entry["name"]})
            self._api.apply(path, kube.secret(meta, content))
        else:
            self._api.delete(path)

    def _remove(self, entry: Entry) -> bool:
        """Delete a configuration's objects; return whether all are gone (Flux first removes what it applied)."""
        name = entry["name"]
        left = list(self._objects(name))
        # The source last: a user reads its state while Flux removes what was applied.
        kustomizations = [found for found in left if found["kind"] == "Kustomization"]
        for found in kustomizations or left:
            if "deletionTimestamp" not in found["metadata"]:
                self._api.delete(flux.path_of(found))
        if left:
            return False
        namespace = flux.namespace_of(entry["properties"])
        self._api.delete(kube.secret_path(namespace, flux.secret_name(name)))
        if not any(found["metadata"]["namespace"] == namespace for found in self._objects()):
            for found in flux.all_rights(namespace):  # Flux needed them to remove what was applied
                self._api.delete(flux.path_of(found))
        return True

    def _objects(self, name: str | None = None) -> Iterator[kube.Object]:
        """Yield the objects of a configuration, or of all."""
        selector = flux.LABEL if name is None else f"{flux.LABEL}={name}"
        plurals = [
            *((flux.SOURCE_GROUP, kind, plural) for kind, plural in flux.SOURCES.items()),
            (flux.KUSTOMIZE_GROUP, "Kustomization", "kustomizations"),
        ]
        for group, kind, plural in plurals:
            path = f"/apis/{group}/{flux.VERSION}/{plural}"
            for found in self._api.items(path, labelSelector=selector):
                # A list's items don't name their kind.
                yield {**found, "kind": kind, "apiVersion": f"{group}/{flux.VERSION}"}

    def _look(self, entry: Entry) -> dict[str, Any]:
        """Return what the Flux controllers say of a configuration, as ARM's properties."""
        found = list(self._objects(entry["name"]))
        source = next((one for one in found if one["kind"] in flux.SOURCES), None)
        artifact = ((source or {}).get("status") or {}).get("artifact") or {}
        return {
            "complianceState": flux.overall(flux.compliance(one) for one in found),
            "statuses": [flux.status(one) for one in found],
            "sourceSyncedCommitId": artifact.get("revision"),
            "sourceUpdatedAt": artifact.get("lastUpdateTime"),
            "errorMessage": flux.problem(found),
        }

    def _tell(self, entry: Entry, state: str, properties: dict[str, Any]) -> None:
        """Report, unless the service knows it already."""
        said = {"generation": entry["generation"], "state": state, "properties": properties}
        if self._told.get(entry["id"]) == said:
            return
        now = {} if state == "Deleted" else {"statusUpdatedAt": clock.write(self._clock.now())}
        body = {**said, "properties": {**properties, **now}}
        if state == "Failed":
            reason = properties["errorMessage"] or "it wasn't reconciled within reconciliationWaitDuration"
            body |= {"errorCode": "FluxConfigurationFailed", "errorMessage": reason}
            log.warning("configuration %s: %s", entry["name"], reason)
        self._service.call(f"configurations/{entry['name']}/postStatus", body)
        self._told[entry["id"]] = said
