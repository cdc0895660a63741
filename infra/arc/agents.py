"""Arc's side of a cluster: the agents' Helm release, what tells whose they are, and their key."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from infra.arc.charts import Chart
from infra.arc.data_plane import REGISTRY_VARIABLE
from infra.arc.errors import ArcError
from infra.arc.keys import KeyPair, read_key_pair
from infra.errors import UserError
from infra.kubernetes.api import ClusterApi, Conflict
from infra.kubernetes.health import Snapshot, lacks
from infra.kubernetes.helm import IN_SECRETS, Helm, HelmFailed, Release, stored_releases
from infra.kubernetes.watch import Nudges, look
from infra.model.work import Work

RELEASE: Final = "azure-arc"
RELEASE_NAMESPACE: Final = "azure-arc-release"
NAMESPACE: Final = "azure-arc"
CERTIFICATE: Final = "azure-identity-certificate"

_CONFIG: Final = f"/api/v1/namespaces/{NAMESPACE}/configmaps/azure-clusterconfig"
_SECRETS: Final = f"/api/v1/namespaces/{NAMESPACE}/secrets"
_KEY: Final = "azure-arc-connect-privatekey"
_KEY_FIELD: Final = "privateKey"
# By these Helm knows an object as its release's, and takes it over instead of refusing to install.
_OWNED: Final = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {
        "meta.helm.sh/release-name": RELEASE,
        "meta.helm.sh/release-namespace": RELEASE_NAMESPACE,
    },
}
_PULLS: Final = 5
_BETWEEN_PULLS: Final = 3.0
_PULL_SECONDS: Final = 180.0
_HELM_SECONDS: Final = 300.0
_UNINSTALL_SECONDS: Final = 900.0
_PENDING: Final = ("pending-install", "pending-upgrade", "pending-rollback")
_PENDING_SECONDS: Final = 30.0
_NO_VERSION: Final = re.compile(r"\w/[\w./-]+:[\w.+-]+: not found|manifest unknown", re.IGNORECASE)
_UNTRUSTED: Final = re.compile("x509|failed to verify certificate")


@dataclass(frozen=True)
class ClusterIdentity:
    """As which ARM resource a cluster's agents speak."""

    subscription_id: str
    resource_group: str
    name: str

    def __str__(self) -> str:
        return f"{self.resource_group}/{self.name} in subscription {self.subscription_id}"

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what identities are compared by: all three, whose case doesn't count."""
        return (self.subscription_id.lower(), self.resource_group.lower(), self.name.lower())


class Agents:
    """A cluster's Arc agents."""

    def __init__(self, kubeconfig: str) -> None:
        self.api = ClusterApi(kubeconfig)
        self._helm = Helm(yaml.safe_load(kubeconfig), os.environ, {})
        self._nudges = Nudges(self.api)

    def release(self, work: Work) -> Release | None:
        """Return the agents' release, in whatever namespace and state it is."""
        if (os.environ.get("HELM_DRIVER") or IN_SECRETS) == IN_SECRETS:
            releases = stored_releases(
                self.api.items("/api/v1/secrets", labelSelector=f"owner=helm,name={RELEASE}")
            )
        else:
            releases = self._helm.releases(RELEASE, work)
        standing = [release for release in releases if release.status != "uninstalled"]
        return next((release for release in standing if release.namespace == RELEASE_NAMESPACE), None) or next(
            iter(standing), None
        )

    def identity(self) -> ClusterIdentity | None:
        """Return as which resource the agents speak, None where nothing says it."""
        data = self._data(_CONFIG)
        if data is None:
            return None
        return ClusterIdentity(
            data.get("AZURE_SUBSCRIPTION_ID", ""),
            data.get("AZURE_RESOURCE_GROUP", ""),
            data.get("AZURE_RESOURCE_NAME", ""),
        )

    def key_pair(self) -> KeyPair | None:
        """Return the key pair that stands in the cluster, None where there is none.

        Raises:
            ArcError: There is one that nobody can read.
        """
        data = self._data(f"{_SECRETS}/{_KEY}")
        text = (data or {}).get(_KEY_FIELD)
        return read_key_pair(base64.b64decode(text).decode(errors="replace")) if text else None

    def has_certificate(self) -> bool:
        """Return whether the agents have got an identity from Azure."""
        return self._data(f"{_SECRETS}/{CERTIFICATE}") is not None

    def put_key(self, pair: KeyPair) -> None:
        """Put the private key where agents find it, before they are installed (facts §1.9)."""
        self._put("/api/v1/namespaces", NAMESPACE, {"apiVersion": "v1", "kind": "Namespace"})
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "data": {_KEY_FIELD: base64.b64encode(pair.private.encode()).decode("ascii")},
        }
        self._put(_SECRETS, _KEY, secret)

    def values(self, release: Release, work: Work) -> dict[str, Any]:
        """Return the values that the release was given."""
        return self._helm.values(release.namespace, release.name, work)

    def install(
        self,
        chart: Chart,
        values: Mapping[str, Any],
        *,
        namespace: str = RELEASE_NAMESPACE,
        ca_file: Path | None,
        hidden: Sequence[str],
        work: Work,
    ) -> None:
        """Install or upgrade the release; whether agents run then is another question (`wait_ready`).

        Args:
            chart: Where the chart is.
            values: Over those that a standing release was given.
            namespace: Where the release is kept.
            ca_file: Who signs for the registry; None: the public authorities.
            hidden: What no message may repeat.
            work: Until when, and who may stop it.

        Raises:
            ArcError: The chart can't be pulled, or Helm fails.
        """
        with tempfile.TemporaryDirectory(prefix="azlocal-arc-") as folder:
            archive = self._pulled(chart, Path(folder), ca_file, work)
            within = work.within(_HELM_SECONDS)
            command = ["upgrade", "--install", RELEASE, str(archive), "--namespace", namespace]
            command += ["--create-namespace", "--reset-then-reuse-values", "--values", "-", "--output", "json"]
            try:
                self._helm.run(
                    command,
                    within,
                    stdin=json.dumps(values),
                    hidden=hidden,
                    meanwhile=lambda: work.status(f"installing agents {chart.version}"),
                )
            except HelmFailed as error:
                raise ArcError(
                    "agents-helm",
                    f"helm can't install the agents {chart.version}: {error}",
                    "correct what it names and run again; what it made so far is taken over",
                ) from error

    def _pulled(self, chart: Chart, folder: Path, ca_file: Path | None, work: Work) -> Path:
        within = work.within(_PULL_SECONDS)
        command = ["pull", chart.url, "--version", chart.version, "--destination", str(folder)]
        command += ["--ca-file", str(ca_file)] if ca_file else []
        for attempt in range(1, _PULLS + 1):
            work.status(f"pulling {chart.url} {chart.version}")
            try:
                self._helm.run(command, within)
                return next(folder.glob("*.tgz"))
            except HelmFailed as error:
                if attempt == _PULLS or not within.remaining:
                    raise ArcError(
                        "agents-chart-pull",
                        f"the agents' chart {chart.url} {chart.version} can't be pulled: {error}",
                        _pull_remedy(chart, str(error)),
                    ) from error
            within.wait(_BETWEEN_PULLS, "pulling the agents' chart")
        raise AssertionError("the last attempt returns or raises")

    def uninstall(self, release: Release, *, hooks: bool, work: Work) -> None:
        """Uninstall the release.

        Args:
            release: What `release` found.
            hooks: Whether the chart's own hooks run; they need agents that work.
            work: Until when, and who may stop it.
        """
        within = work.within(_UNINSTALL_SECONDS)
        command = ["uninstall", release.name, "--namespace", release.namespace, "--ignore-not-found"]
        command += ["--timeout", f"{max(1, round(within.remaining))}s", *([] if hooks else ["--no-hooks"])]
        try:
            self._helm.run(
                command,
                within,
                meanwhile=lambda: work.status("uninstalling the agents"),
            )
        except HelmFailed as error:
            raise ArcError(
                "agents-helm",
                f"helm can't uninstall the agents: {error}",
                f"helm uninstall {release.name} --namespace {release.namespace} --no-hooks",
            ) from error

    def settle(self, release: Release, work: Work) -> None:
        """Free a release from an operation that was killed: Helm refuses to touch it while it is pending.

        Only the record of that operation is dropped; uninstalling would take the agents' key with the namespace.
        An upgrade that agents make by themselves may be under way, so it is given a moment.
        """
        ends = time.monotonic() + _PENDING_SECONDS
        while release.status in _PENDING:
            if time.monotonic() >= ends:
                self._drop_pending(release.namespace)
                return
            doing = f"the agents' release is {release.status}"
            work.status(doing)
            work.check(doing)
            work.wait(2.0, doing)
            latest = self.release(work)
            if latest is None:
                return
            release = latest

    def _drop_pending(self, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/secrets"
        selector = f"owner=helm,name={RELEASE},status in ({','.join(_PENDING)})"
        for record in self.api.items(path, labelSelector=selector):
            self.api.send("DELETE", f"{path}/{record['metadata']['name']}")

    def lacks(self) -> list[str]:
        """Return what is missing for all agents to be available; an API server that doesn't answer is, too."""
        return missing_agents(self.api)

    def nudge(self) -> None:
        """Have kubelet look at agents that would otherwise wait for its next look."""
        with suppress(UserError):
            self._nudges.give(self.look())

    def look(self) -> Snapshot:
        """Take one look at the agents' namespace."""
        return look(self.api, [NAMESPACE])

    def last_words(self, pod: str) -> str:
        """Return the end of a pod's log, of its last run that ended; empty where there is none."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/log"
        for previous in ("true", "false"):
            try:
                text = self.api.text(path, tailLines="3", previous=previous)
            except UserError:
                continue  # it only explains another failure
            if text.strip():
                return " / ".join(text.strip().splitlines())
        return ""

    def _data(self, path: str) -> dict[str, str] | None:
        resource = self.api.find(path)
        return None if resource is None else resource.get("data") or {}

    def _put(self, path: str, name: str, content: Mapping[str, Any]) -> None:
        body = {**content, "metadata": {"name": name, **_OWNED}}
        try:
            self.api.send("POST", path, body)
        except Conflict:
            self.api.merge(f"{path}/{name}", body)


def _pull_remedy(chart: Chart, output: str) -> str:
    """Return what to do about a chart that helm can't pull, by helm's own words. Pure."""
    if _NO_VERSION.search(output):
        return f"https://{chart.registry} has no such version: leave agentVersion out, or name one that exists"
    if _UNTRUSTED.search(output):
        return "where a proxy inspects TLS, name its CA for this machine (the cloud's caFile, or SSL_CERT_FILE)"
    return (
        f"let this machine reach https://{chart.registry} (a proxy: HTTPS_PROXY), or name a mirror of the chart: "
        f"{REGISTRY_VARIABLE}=REGISTRY/…/azure-arc-k8sagents:VERSION"
    )


def missing_agents(api: ClusterApi) -> list[str]:
    """Return what is missing for all agents to be available; none at all is one such thing.

    Nodes don't count: agents that are all available don't mind one that isn't Ready.
    """
    try:
        seen = replace(look(api, [NAMESPACE]), nodes=())
    except UserError as error:
        return [str(error)]
    if not any(workload["kind"] == "Deployment" for workload in seen.workloads):
        return [f"there is no deployment in the namespace {NAMESPACE}"]
    off = [workload for workload in seen.workloads if workload.get("spec", {}).get("replicas") == 0]
    return [
        f"deployment {NAMESPACE}/{workload['metadata']['name']} is scaled to nothing" for workload in off
    ] + lacks(seen, {})
