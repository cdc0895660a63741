"""Try what agents will need from inside the cluster, before anything is made in Azure (facts §1.3).

A job runs the program that `azlocal arc check` runs on a node, in an image that the nodes have already. What it
finds blocked is a fault; a job that can't run, because the image isn't there or no node takes it, is none.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from infra.arc.endpoints.judge import judge
from infra.arc.endpoints.probe import Answer, Look, question
from infra.arc.endpoints.table import Endpoint, Settings, endpoints_of
from infra.arc.model import Onboarding, Problem, short_location
from infra.arc.patience import Patience
from infra.kubernetes.api import ClusterApi, ClusterError

NAME: Final = "azlocal-arc-diagnosis"
NAMESPACE: Final = "kube-system"

_PROGRAM: Final = files("infra.arc.endpoints") / "files" / "endpoint_probe.py"
_SECRETS: Final = f"/api/v1/namespaces/{NAMESPACE}/secrets"
_JOBS: Final = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
_PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"
_FOLDER: Final = "/diagnosis"
_SECONDS: Final = 60
_PAUSE: Final = 0.3
_NEVER_RUNS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_NOBODY: Final = 65532


def diagnose(api: ClusterApi, wanted: Onboarding, patience: Patience) -> list[Problem]:
    """Return which endpoints a pod of the cluster can't reach; nothing stays there.

    Raises:
        ClusterError, ClusterUnreachable: The cluster refuses the job, or doesn't answer.
        Interrupted: It was cancelled.
    """
    if wanted.probe_image is None:
        return []
    asked = [one for one in endpoints_of(wanted.environment, settings_of(wanted)) if not one.is_pattern]
    patience.status("trying from a pod what agents will need")
    _remove(api)  # an interrupted run's
    try:
        api.send("POST", _SECRETS, _secret(wanted, asked))
        api.send("POST", _JOBS, _job(wanted.probe_image))
        said = _result(api, patience.within(_SECONDS))
    finally:
        _remove(api)
    if said is None:
        patience.status("endpoints weren't tried from a pod: none ran that could; `azlocal arc check` does it")
        return []
    return blocked(asked, said)


def settings_of(wanted: Onboarding) -> Settings:
    """Return what decides which endpoints a connection needs."""
    features = wanted.features
    return Settings(
        location=short_location(wanted.location),
        cluster_connect=features.connects,
        azure_rbac=features.azure_rbac.enabled,
        auto_upgrade=wanted.auto_upgrade,
        private_link=features.private_link_scope_id is not None,
        gateway="" if features.gateway_id else None,
    )


def blocked(asked: Sequence[Endpoint], said: Mapping[str, Any]) -> list[Problem]:
    """Return the problems in what the job found. Pure."""
    now, by_name = datetime.datetime.now(datetime.UTC), {(one.name, one.port): one for one in asked}
    answers = tuple(
        (by_name[one["name"], one["port"]], Answer(one["stage"], one["error"], untrusted=bool(one["untrusted"])))
        for one in said["blocked"]
        if (one["name"], one["port"]) in by_name
    )
    return [
        Problem(
            "endpoint-blocked",
            f"from a pod of the cluster, {found.endpoint} ({found.endpoint.purpose}) isn't reached: {found.seen}",
            found.remedy,
            "error" if found.status == "failed" else "warning",
        )
        for found in judge(asked, [Look("a pod", now, answers)], now)
        if found.endpoint is not None and found.answer is not None
    ]


def _secret(wanted: Onboarding, asked: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the job's input; a Secret, since a proxy's URL may have a password."""
    ca_file = wanted.environment.ca_file
    authorities = ca_file.read_text(encoding="ascii") if ca_file else ""
    content = {
        "probe.py": _PROGRAM.read_bytes(),
        "wanted.json": json.dumps(question(asked, wanted.features.proxy, authorities)).encode(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME},
        "data": {name: base64.b64encode(data).decode("ascii") for name, data in content.items()},
    }


def _job(image: str) -> dict[str, Any]:
    container = {
        "name": "diagnosis",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        # The log is the kubelet's to serve, which a firewall may keep from us; the message is in the pod's status.
        "command": ["python3", f"{_FOLDER}/probe.py", f"{_FOLDER}/wanted.json", "/dev/termination-log"],
        "volumeMounts": [{"name": "input", "mountPath": _FOLDER, "readOnly": True}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": _NOBODY, "fsGroup": _NOBODY},
        "volumes": [{"name": "input", "secret": {"secretName": NAME}}],
        "containers": [container],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": _SECONDS,
            "ttlSecondsAfterFinished": _SECONDS,
            "template": {"metadata": {"labels": {"app.kubernetes.io/name": NAME}}, "spec": pod},
        },
    }


def _result(api: ClusterApi, patience: Patience) -> dict[str, Any] | None:
    """Return what the job's pod found, None where it doesn't run in time."""
    while patience.left:
        for pod in api.items(_PODS, labelSelector=f"app.kubernetes.io/name={NAME}"):
            for container in pod.get("status", {}).get("containerStatuses", []):
                state = container.get("state", {})
                if state.get("waiting", {}).get("reason") in _NEVER_RUNS:
                    return None
                if "terminated" in state:
                    return _read(state["terminated"])
        if patience.cancelled.wait(min(_PAUSE, patience.left)):
            patience.check("trying from a pod what agents will need")
    return None


def _read(terminated: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        found = json.loads(terminated.get("message") or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("blocked"), list) else None


def _remove(api: ClusterApi) -> None:
    for path in (f"{_JOBS}/{NAME}", f"{_SECRETS}/{NAME}"):
        try:
            api.send("DELETE", path, query={"propagationPolicy": "Background"})
        except ClusterError as error:
            if not error.is_missing:
                raise
