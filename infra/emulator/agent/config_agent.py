"""config-agent: makes Flux configurations into objects for the Flux controllers, and tells Azure how they are."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from . import clock, flux, kube
from .clock import Clock
from .data_plane import DataPlane
from .errors import Refused
from .settings import Settings

log = logging.getLogger("agent")

_LOOK_SECONDS = 5.0
_BUSY_SECONDS = 1.0
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
        # By a configuration's id: the generation that this process has applied and when, the public half of a key
        # pair that was made for it, what the service was told last.
        self._applied: dict[str, tuple[int, datetime]] = {}
        self._keys: dict[str, str | None] = {}
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
            self._keys.pop(forgotten, None)
        # While something is under way, somebody waits for it.
        is_busy = any(not entry["isReported"] for entry in wanted)
        return _BUSY_SECONDS if is_busy else float(answer.get("nextInSeconds", _LOOK_SECONDS))

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
            elif len(list(self._objects(entry["name"]))) <= len(entry["properties"].get("kustomizations") or {}):
                self._apply(entry)  # somebody has deleted one
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
        # Not as a duration of Python's, which has an end: the limit is the user's, however long.
        return "InProgress" if (self._clock.now() - since).total_seconds() < limit else "Failed"

    def _has_flux(self) -> bool:
        groups = (flux.SOURCE_GROUP, flux.KUSTOMIZE_GROUP)
        return all(self._api.find(f"/apis/{group}/{flux.VERSION}") is not None for group in groups)

    def _apply(self, entry: Entry) -> None:
        name, properties = entry["name"], entry["properties"]
        namespace = flux.namespace_of(properties)
        # All of what is wanted is worked out before the first change.
        path = kube.secret_path(namespace, flux.secret_name(name))
        kept = kube.secret_content(self._api.find(path) or {})
        credentials = flux.credentials(properties, entry.get("protected"), kept)
        source = flux.source(name, properties, has_secret=bool(credentials))
        wanted = [source, *flux.kustomizations(name, properties)]
        self._api.create_namespace(namespace)
        if credentials:
            meta = kube.metadata(flux.secret_name(name), namespace, {flux.LABEL: name})
            self._api.apply(path, kube.secret(meta, credentials))
        else:
            self._api.delete(path)
        self._keys[entry["id"]] = credentials.get(flux.PUBLIC_KEY, b"").decode() or None
        for found in (*flux.rights(properties), *wanted):
            self._api.apply(flux.path_of(found), found)
        paths = {flux.path_of(found) for found in wanted}
        for stale in self._objects(name):
            if flux.path_of(stale) not in paths:
                self._api.delete(flux.path_of(stale))
        log.info("configuration %s, generation %s: applied", name, entry["generation"])

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
            "repositoryPublicKey": self._keys.get(entry["id"]),
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
