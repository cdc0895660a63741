"""extension-manager: makes the cluster's Helm releases what the extension resources in Azure say."""

from __future__ import annotations

import base64
import logging
from typing import Any

from . import kube
from .data_plane import DataPlane
from .errors import HelmFailed, Refused
from .helm import Helm, Release
from .settings import Settings

log = logging.getLogger("agent")

_PLURAL = "extensionconfigs"
_VERSION = "v1beta1"
# An object that only a living agent lets go: without one, the object and its definition stay behind.
_FINALIZER = "clusterconfig.azure.com/extension-controller"
_LOOK_SECONDS = 5.0
_LABEL = "clusterconfig.azure.com/extension-name"
_LONGEST_MESSAGE = 4000
_SERVER_ERROR = 500

Entry = dict[str, Any]


class ExtensionManager:
    """Installs, changes and removes extensions, one after another."""

    def __init__(self, settings: Settings, api: kube.Api, service: DataPlane, helm: Helm) -> None:
        self._settings = settings
        self._api = api
        self._service = service
        self._helm = helm

    def step(self) -> float:
        """Ask once what is wanted, and do it; return the seconds until the next time."""
        answer = self._service.call("getExtensionUpdateConfigs")
        for entry in answer.get("extensions", []):
            if not entry["isReported"]:
                self._handle(entry)
        return float(answer.get("nextInSeconds", _LOOK_SECONDS))

    def _handle(self, entry: Entry) -> None:
        name, deleting = entry["name"], entry["deleting"]
        log.info("extension %s, generation %s: %s", name, entry["generation"], "remove" if deleting else "install")
        try:
            if deleting:
                self._remove(entry)
            else:
                self._install(entry)
        except (HelmFailed, Refused) as error:
            if isinstance(error, Refused) and error.status >= _SERVER_ERROR:
                raise  # the cluster's trouble, not the extension's
            log.warning("extension %s: %s", name, error)
            code = "ExtensionDeletionFailed" if deleting else "ExtensionCreationFailed"
            self._report(entry, "Failed", code=code, message=str(error)[-_LONGEST_MESSAGE:])
        else:
            log.info("extension %s: done", name)
            self._report(entry, "Deleted" if deleting else "Succeeded")

    def _install(self, entry: Entry) -> None:
        release, namespace = _release(entry), entry["release"]["namespace"]
        self._api.create_namespace(namespace)
        self._show(entry, {"state": "Installing"})
        values = {**entry["values"], **self._protected(entry)}
        self._helm.install(release, values)

    def _protected(self, entry: Entry) -> dict[str, Any]:
        """Keep the protected settings in a Secret, and return the values that name it to the chart."""
        name, namespace = secret_name(entry["name"]), entry["release"]["namespace"]
        path = kube.secret_path(namespace, name)
        given: dict[str, str] | None = entry.get("protected")
        if given:
            meta = kube.metadata(name, namespace, {_LABEL: entry["name"]})
            content = {_key(key): str(value) for key, value in given.items()}
            self._api.apply(path, kube.secret(meta, content))
        elif given is not None:
            self._api.delete(path)
        found = self._api.find(path)
        if found is None:
            return {}
        # A change of the Secret alone has to reach the chart's pods too. (No hash of it: hashes can be guessed.)
        return {"protectedSettingsSecret": name, "protectedSettingsVersion": found["metadata"]["resourceVersion"]}

    def _remove(self, entry: Entry) -> None:
        release = entry["release"]
        self._helm.uninstall(release["name"], release["namespace"], int(entry["timeoutSeconds"]))
        self._api.delete(kube.secret_path(release["namespace"], secret_name(entry["name"])))
        path = self._path(entry["name"])
        if self._api.find(path) is not None:
            self._api.merge(path, {"metadata": {"finalizers": []}})
            self._api.delete(path)

    def _report(self, entry: Entry, state: str, *, code: str = "", message: str = "") -> None:
        body = {
            "generation": entry["generation"],
            "state": state,
            "version": entry["chartVersion"],
            "errorCode": code,
            "errorMessage": message,
        }
        if state != "Deleted":
            self._show(entry, {"state": state, "message": message})
        self._service.call(f"extensions/{entry['name']}/postStatus", body)

    def _show(self, entry: Entry, status: dict[str, Any]) -> None:
        """Let the cluster's own users see it: `kubectl get extensionconfigs`."""
        base = {
            "apiVersion": f"{self._settings.clusterconfig_group}/{_VERSION}",
            "kind": "ExtensionConfig",
            "metadata": {
                **kube.metadata(entry["name"].lower(), self._settings.namespace),
                "finalizers": [_FINALIZER],
            },
        }
        spec = {
            "extensionType": entry["extensionType"],
            "generation": entry["generation"],
            "release": entry["release"],
            "version": entry["chartVersion"],
        }
        path = self._path(entry["name"])
        self._api.apply(path, {**base, "spec": spec})
        # The finalizers belong to the object, not to its status.
        bare = {**base, "metadata": kube.metadata(entry["name"].lower(), self._settings.namespace)}
        self._api.apply(f"{path}/status", {**bare, "status": {**status, "generation": entry["generation"]}})

    def _path(self, name: str) -> str:
        group = self._settings.clusterconfig_group
        return kube.custom_path(group, _VERSION, self._settings.namespace, _PLURAL, name.lower())


def secret_name(extension: str) -> str:
    """Return the name of the Secret that keeps an extension's protected settings."""
    return f"protected-parameters-{extension.lower()}"


def _key(setting: str) -> str:
    """Return a Secret's key for a setting's name, which may have characters that a key can't have."""
    plain = all(char.isascii() and (char.isalnum() or char in "-_.") for char in setting)
    return setting if plain else f"b64.{base64.urlsafe_b64encode(setting.encode()).decode().rstrip('=')}"


def _release(entry: Entry) -> Release:
    return Release(
        name=entry["release"]["name"],
        namespace=entry["release"]["namespace"],
        chart=entry["chart"],
        version=entry["chartVersion"],
        timeout=int(entry["timeoutSeconds"]),
    )
