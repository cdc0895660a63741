"""The life of a Helm release, by the real helm."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

from infra.errors import Interrupted, UserError
from infra.kubernetes import readiness
from infra.kubernetes.api import ClusterUnreachable
from infra.kubernetes.helm import IN_SECRETS, Deployed, Helm, HelmFailed, stored_release
from infra.kubernetes.kinds import KindId, Ref
from infra.kubernetes_plugin import release_inputs, waiting
from infra.kubernetes_plugin.api_objects import Changes
from infra.kubernetes_plugin.charts import local_chart, parse_chart, read_chart, resource_names
from infra.kubernetes_plugin.diff import differences, is_ignored, parse_path
from infra.kubernetes_plugin.naming import Naming
from infra.kubernetes_plugin.objects import INPUTS, deepest, metadata, unique_name, value_at
from infra.kubernetes_plugin.outcome import Checked, Outcome, Partial
from infra.kubernetes_plugin.session import Session
from infra.kubernetes_plugin.types import object_id, parse_object_id
from infra.model.work import Work
from infra.plugin.operation import Operation
from infra.plugin.values import UNKNOWN, Path, Properties

# On each revision: what an interrupted run left is known again by it.
_MARK: Final = "pulumi-resource"
_LOOK_SECONDS: Final = 2.0
_HELMS_OWN: Final = float("inf")  # until when is helm's own business (--timeout)
_HIDE_FROM: Final = 4  # shorter strings are everywhere
_SECRET: Final = KindId("v1", "Secret")
_WORKLOADS: Final = tuple(KindId("apps/v1", kind) for kind in ("Deployment", "StatefulSet", "DaemonSet"))
_SHOWN: Final = frozenset({"description", "postrender"})
_OUTPUTS: Final = ("resourceNames", "status")
_CLUSTER: Final = "__clusterUid"  # beside what the official plugin keeps in state


def check(session: Session, op: Operation, news: Properties, olds: Properties, naming: Naming) -> Checked:
    """Fill in the name, the namespace and the chart's version; report what can't be served."""
    faults = release_inputs.faults(news.values)
    inputs = release_inputs.normalised(news.values, session.namespace)
    if not inputs.get("name"):
        inputs["name"] = olds.values.get("name") or naming.name()
    if inputs.get("allowNullValues"):
        op.warning("allowNullValues is deprecated and has no effect: null values are kept")
    if not faults and not ({"chart", "version", "repositoryOpts"} & news.unknown):
        try:
            inputs["version"] = _chart_version(session, op, inputs)
        except UserError as error:
            faults.append(("chart", f"chart: {error}"))
    faults += [(name, f"{name}: a secret would stand in helm's command line") for name in news.secret & _SHOWN]
    secret = {path for path in news.secret_paths if path[0] in inputs}
    if "valueYamlFiles" in news.secret and "values" in inputs:
        secret.add(("values",))
    return Checked(inputs, frozenset(deepest(inputs, path) for path in secret), faults)


def _chart_version(session: Session, op: Operation, inputs: Mapping[str, Any]) -> str:
    chart = str(inputs["chart"])
    local = _local(inputs)
    if local is not None:
        return str(read_chart(local)["version"])
    # Which version a constraint means can only be told by asking the repository.
    helm = Helm({}, session.environment, session.settings.helm.environment)
    arguments = release_inputs.chart_arguments(inputs, local=False)
    return str(parse_chart(helm.show_chart(arguments, op.work().with_own_limit(_HELMS_OWN)), chart)["version"])


def _local(inputs: Mapping[str, Any]) -> FilePath | None:
    return None if (inputs.get("repositoryOpts") or {}).get("repo") else local_chart(str(inputs["chart"]))


def diff(state: Properties, news: Properties, ignored: Sequence[str]) -> Changes:
    """Compare what was asked for, with the drift a refresh found in it, with what is asked for now."""
    changes = Changes()
    leave = [parse_path(text) for text in ignored]
    old = {key: value for key, value in (state.values.get(INPUTS) or {}).items() if key not in _OUTPUTS}
    for path, change in differences(old, news.values):
        if any(is_ignored(path, pattern) for pattern in leave):
            continue
        changes.by_path[path] = change
        if path[0] in ("name", "namespace"):
            changes.replaces.add(path)
    return changes


def create(session: Session, op: Operation, inputs: Properties, *, preview: bool) -> Outcome:
    """Install the release, or go on with what an interrupted run of this resource left.

    Raises:
        UserError: a release of that name stands and isn't this resource's.
    """
    if preview:
        return _previewed(inputs)
    release = _Release.of(session, op, inputs)
    standing = release.status()
    if standing is not None and standing.status != "uninstalled":
        left = session.run.may_adopt(op.urn) and release.is_ours(standing)
        if not left:
            raise UserError(
                f"the release {release.id} already exists and isn't this resource's. Take it over with "
                f"`pulumi import`, name another one, or remove it: helm uninstall {release.name} "
                f"--namespace {release.namespace}"
            )
        release.settle(standing)
    return release.upgraded()


def update(session: Session, op: Operation, state: Properties, news: Properties, *, preview: bool) -> Outcome:
    """Upgrade the release; one that failed, or was interrupted, is repaired by it."""
    if preview:
        return _previewed(news)
    release = _Release.of(session, op, news)
    standing = release.status()
    if standing is not None:
        release.settle(standing)
    return release.upgraded()


def read(session: Session, op: Operation, id: str, state: Properties, inputs: Properties) -> Outcome | None:
    """Return the release as helm keeps it, None when helm says that there is none."""
    if session.forgets(op):
        return None
    known = dict(inputs.values or state.values.get(INPUTS) or {})
    namespace, name = parse_object_id(id)
    release = _Release(session, op, Properties(known), namespace or session.namespace, name)
    live = release.status()
    if live is None or live.status == "uninstalled":
        return None
    if not known:
        known = {"chart": live.chart, "version": live.chart_version, "values": live.values}
        known = release_inputs.normalised(known | {"name": live.name}, live.namespace)
    elif state.values:
        if live.values != (state.values.get("values") or {}):
            known["values"] = live.values
        if live.chart_version != state.values.get("version"):
            known["version"] = live.chart_version
    outcome = _outcome(live, known, inputs.secret_paths, session.cluster_uid())
    outcome = Outcome(
        id, outcome.state, outcome.secret, known, frozenset(deepest(known, path) for path in inputs.secret_paths)
    )
    if live.status != "deployed":
        raise Partial(outcome, [f"the release {id} is {live.status}: {live.description}", *release.troubles()])
    return outcome


def delete(session: Session, op: Operation, id: str, state: Properties) -> None:
    """Uninstall the release; success when there is none."""
    if session.forgets(op):
        return
    cluster = session.cluster_uid()
    if state.values.get(_CLUSTER, cluster) != cluster:
        op.warning(f"the release {id} went with its cluster; what stands in the one that was made since stays")
        return
    if session.run.was_made(op.urn, f"{cluster}/{id}"):
        return  # the replacement took over the original
    namespace, name = parse_object_id(id)
    _Release(session, op, state, namespace or session.namespace, name).uninstall()


def _previewed(inputs: Properties) -> Outcome:
    state = {**inputs.values, **dict.fromkeys(_OUTPUTS, UNKNOWN)}
    return Outcome("", state, inputs.secret_paths)


def _outcome(live: Deployed, inputs: Mapping[str, Any], secret: frozenset[Path], cluster: str) -> Outcome:
    state = {
        **inputs,
        "version": live.chart_version,
        "resourceNames": resource_names(live.manifest),
        "status": {
            "name": live.name,
            "namespace": live.namespace,
            "revision": live.revision,
            "status": live.status,
            "chart": live.chart,
            "version": live.chart_version,
            "appVersion": live.app_version,
        },
        INPUTS: dict(inputs),
        _CLUSTER: cluster,
    }
    if live.values or "values" in inputs:
        state["values"] = live.values
    hidden = {deepest(state, path) for path in secret} | {(INPUTS,)}
    return Outcome(object_id(live.namespace, live.name), state, frozenset(hidden))


@dataclass
class _Release:
    """One release on its way into the cluster."""

    session: Session
    op: Operation
    inputs: Properties
    namespace: str
    name: str
    _looked: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, session: Session, op: Operation, inputs: Properties) -> _Release:
        return cls(session, op, inputs, str(inputs.values["namespace"]), str(inputs.values["name"]))

    @property
    def id(self) -> str:
        return object_id(self.namespace, self.name)

    @property
    def work(self) -> Work:
        return self.op.work().with_own_limit(_HELMS_OWN)

    @property
    def mark(self) -> str:
        return unique_name("", b"", self.op.urn)

    @property
    def helm(self) -> Helm:
        # Helm itself waits half a minute for an API server that is gone.
        self.session.cluster.api.text("/version")
        settings = self.session.settings.helm
        return Helm(
            self.session.kubeconfig,
            self.session.environment,
            {"HELM_DRIVER": settings.driver, **settings.environment},
        )

    def status(self) -> Deployed | None:
        if self.session.settings.helm.driver == IN_SECRETS:
            labels = f"owner=helm,name={self.name}"
            return stored_release(self.session.cluster.list_in(_SECRET, self.namespace, labelSelector=labels))
        return self.helm.status(self.namespace, self.name, self.work)

    def is_ours(self, standing: Deployed) -> bool:
        return self.helm.is_labelled(standing, _MARK, self.mark, self.work)

    def settle(self, standing: Deployed) -> None:
        """Free a release from an operation that was killed: helm refuses to touch it while it is pending."""
        if not standing.status.startswith("pending"):
            return
        self.op.info(f"the release {self.id} was left {standing.status} by an interrupted run; cleaning up first")
        if standing.status == "pending-install":
            self.uninstall()
        else:
            command = ["rollback", self.name, "--namespace", self.namespace, "--wait"]
            self.helm.run(command, self.work)

    def uninstall(self) -> None:
        values = self.inputs.values
        command = ["uninstall", self.name, "--namespace", self.namespace, "--ignore-not-found"]
        command += ["--timeout", f"{release_inputs.seconds(values, self.op.timeout)}s"]
        if release_inputs.waits(values):
            command.append("--wait")
        self.helm.run(command, self.work, meanwhile=lambda: self.op.status("helm uninstall"))

    def upgraded(self) -> Outcome:
        """Install or upgrade, and return the release as it stands then."""
        values = self.inputs.values
        chart = release_inputs.chart_arguments(values, local=_local(values) is not None)
        command = release_inputs.upgrade_arguments(values, chart, {_MARK: self.mark}, self.op.timeout)
        text = json.dumps(values.get("values") or {})
        try:
            self.helm.run(
                command,
                self.work,
                stdin=text,
                hidden=list(_secrets(self.inputs)),
                meanwhile=self._show_progress,
            )
        except (HelmFailed, Interrupted) as error:
            raise self._failed(error) from error
        live = self.status()
        if live is None:
            raise UserError(f"the release {self.id} was removed by somebody else meanwhile")
        return self._outcome(live)

    def _outcome(self, live: Deployed) -> Outcome:
        cluster = self.session.cluster_uid()
        self.session.run.made(self.op.urn, f"{cluster}/{self.id}")
        return _outcome(live, self.inputs.values, self.inputs.secret_paths, cluster)

    def _failed(self, error: UserError) -> Exception:
        """Return the error, with the release as far as it got and what the cluster says is wrong with it."""
        reasons = [f"the Helm release {self.id} didn't get ready: {error}", *self.troubles()]
        try:
            # The last question, which is asked after Ctrl-C, too.
            live = self.helm.status(self.namespace, self.name, Work())
        except (HelmFailed, ClusterUnreachable):
            live = None
        if live is None:
            return UserError("\n".join(reasons))
        return Partial(self._outcome(live), reasons)

    def _show_progress(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        try:
            unready = next(self._unready(), None)
        except UserError:
            return  # helm itself will say what is wrong
        self.op.status(f"{unready[0]}: waiting for {unready[1]}" if unready else "helm upgrade")

    def _unready(self) -> Iterator[tuple[Ref, str, dict[str, Any]]]:
        """Yield the release's workloads that aren't ready."""
        for id in _WORKLOADS:
            for live in self.session.cluster.list_all(id, labelSelector="app.kubernetes.io/managed-by=Helm"):
                notes = metadata(live).get("annotations") or {}
                ours = (notes.get("meta.helm.sh/release-name"), notes.get("meta.helm.sh/release-namespace"))
                progress = readiness.progress(id, live)
                if ours == (self.name, self.namespace) and not progress.ready:
                    where = metadata(live)
                    yield Ref(id, where.get("namespace"), str(where.get("name"))), progress.waiting_for, live

    def troubles(self) -> list[str]:
        """Return what the cluster says is wrong with the release's workloads."""
        texts: list[str] = []
        try:
            for ref, text, live in self._unready():
                texts += [f"{ref}: waiting for {text}", *waiting.troubles(self.session.cluster, ref, live)]
        except UserError:
            return texts  # they only explain the failure that is being reported
        return texts


def _secrets(inputs: Properties) -> Iterator[str]:
    """Yield the strings that are secret, for keeping them out of messages."""
    for path in inputs.secret_paths:
        if deepest(inputs.values, path) == path:
            yield from _strings(value_at(inputs.values, path))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str) and len(value) >= _HIDE_FROM:
        yield value
