"""Try what agents will need from inside the cluster, before anything is made in Azure (facts §1.3).

A job runs the program that `azlocal arc check` runs on a node, in an image that the nodes have already. What it
finds blocked is a fault; a job that can't run, because the image isn't there or no node takes it, is none.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra.arc.endpoints.judge import judge
from infra.arc.endpoints.probe import PROGRAM, Answer, Look, question
from infra.arc.endpoints.table import Endpoint, Settings, endpoints_of
from infra.arc.model import Onboarding, Problem
from infra.kubernetes.api import ClusterApi
from infra.model.azure_regions import short_location
from infra.model.work import Work

NAME: Final = "azlocal-arc-diagnosis"
NAMESPACE: Final = "kube-system"

_SECRETS: Final = f"/api/v1/namespaces/{NAMESPACE}/secrets"
_JOBS: Final = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
_PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"
_FOLDER: Final = "/diagnosis"
_SECONDS: Final = 60
_PAUSE: Final = 0.3
_NEVER_RUNS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_NOBODY: Final = 65532


def diagnose(api: ClusterApi, wanted: Onboarding, work: Work) -> list[Problem]:
    """Return which endpoints a pod of the cluster can't reach; nothing stays there.

    Raises:
        ClusterError: The cluster refuses the job, or doesn't answer.
        Interrupted: It was cancelled.
    """
    if wanted.probe_image is None:
        return []
    endpoints = [
        endpoint for endpoint in endpoints_of(wanted.environment, settings_of(wanted)) if not endpoint.is_pattern
    ]
    work.status("trying from a pod what agents will need")
    _remove(api)  # an interrupted run's
    try:
        api.send("POST", _SECRETS, _secret(wanted, endpoints))
        api.send("POST", _JOBS, _job(wanted.probe_image))
        answer = _result(api, work.within(_SECONDS))
    finally:
        _remove(api)
    if answer is None:
        work.status("endpoints weren't tried from a pod: none ran that could; `azlocal arc check` does it")
        return []
    return blocked(endpoints, answer)


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
    now, by_name = (
        datetime.datetime.now(datetime.UTC),
        {(endpoint.name, endpoint.port): endpoint for endpoint in asked},
    )
    answers = tuple(
        (
            by_name[answer["name"], answer["port"]],
            Answer(answer["stage"], answer["error"], untrusted=bool(answer["untrusted"])),
        )
        for answer in said["blocked"]
        if (answer["name"], answer["port"]) in by_name
    )
    return [
        Problem(
            "endpoint-blocked",
            f"from a pod of the cluster, {finding.endpoint} ({finding.endpoint.purpose}) isn't reached: "
            f"{finding.seen}",
            finding.remedy,
            "error" if finding.status == "failed" else "warning",
        )
        for finding in judge(asked, [Look("a pod", now, answers)], now)
        if finding.endpoint is not None and finding.answer is not None
    ]


def _secret(wanted: Onboarding, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the job's input; a Secret, since a proxy's URL may have a password."""
    ca_file = wanted.environment.ca_file
    authorities = ca_file.read_text(encoding="ascii") if ca_file else ""
    content = {
        "probe.py": PROGRAM.encode(),
        "wanted.json": json.dumps(question(endpoints, wanted.features.proxy, authorities)).encode(),
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


def _result(api: ClusterApi, work: Work) -> dict[str, Any] | None:
    """Return what the job's pod found, None where it doesn't run in time."""
    while work.remaining:
        for pod in api.items(_PODS, labelSelector=f"app.kubernetes.io/name={NAME}"):
            for container in pod.get("status", {}).get("containerStatuses", []):
                state = container.get("state", {})
                if state.get("waiting", {}).get("reason") in _NEVER_RUNS:
                    return None
                if "terminated" in state:
                    return _read(state["terminated"])
        work.wait(_PAUSE, "trying from a pod what agents will need")
    return None


def _read(terminated: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        answer = json.loads(terminated.get("message") or "")
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and isinstance(answer.get("blocked"), list) else None


def _remove(api: ClusterApi) -> None:
    for path in (f"{_JOBS}/{NAME}", f"{_SECRETS}/{NAME}"):
        api.delete(path, propagationPolicy="Background")
