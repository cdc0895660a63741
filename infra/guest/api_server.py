"""What a cluster's API servers are told beside kubeadm's defaults: whom to answer, what to admit, what to note.

The files lie on every control plane. kubeadm's ClusterConfiguration, which the first one uploads and later ones
read, names them: a cluster that was founded without them goes on without them, whatever its later ones hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from infra.go_yaml import go_yaml
from infra.guest import encryption
from infra.model.node import PodSecurity

FOLDER: Final = "/etc/kubernetes/azlocal"
"""Where the files are on a control plane; `kubeadm reset` leaves it alone."""

LOG_FOLDER: Final = "/var/log/kubernetes/audit"

EXEMPT_NAMESPACES: Final = (
    "kube-system",  # Calico, kube-proxy, and what Azure's extensions put there
    "metallb-system",  # the speakers use the host's network
    "local-path-storage",  # its helper pods mount folders of the node
    # Azure's own software, which azlocal neither writes nor pins:
    "azure-arc",
    "azure-arc-release",
    "flux-system",
    "azuremonitor-containers",
    "dataprotection-microsoft",
    "mdc",
)
"""Whose pods no level holds for. Others ask for more by a label, pod-security.kubernetes.io/enforce."""

# What is asked without a name: keepalived and kubelet ask for health; kubeadm's discovery, which a node goes
# through even where it knows the cluster from a file, for the last.
_NAMELESS_PATHS: Final = (
    "/livez",
    "/readyz",
    "/healthz",
    "/api/v1/namespaces/kube-public/configmaps/cluster-info",
)

# The least that CIS asks of the log (Kubernetes Benchmark 1.10, 1.2.17 to 1.2.19): days, files, MB a file.
_KEPT_DAYS: Final = 30
_KEPT_FILES: Final = 10
_FILE_MB: Final = 100

# One that is told to end says so at /readyz first, and serves on until the address is another one's (three seconds
# at most: infra/guest/keepalived.py) and no Service leads to it. Then whoever asks is told to ask again.
_SERVED_ON: Final = "5s"


def api_server_files(version: str, pod_security: PodSecurity) -> dict[str, str]:
    """Return the files by their names in `FOLDER`.

    Args:
        version: Of Kubernetes, without the `v`.
        pod_security: The level that holds where a namespace says nothing.
    """
    return {
        "authentication.yaml": go_yaml(_authentication(version)),
        "admission.yaml": go_yaml(_admission(pod_security)),
        "audit-policy.yaml": go_yaml(_audit_policy()),
    }


def pod_security_of(admission: str) -> PodSecurity | None:
    """Return the level that a control plane's `admission.yaml` asks for; None where it has none."""
    content = yaml.safe_load(admission) or {}
    for plugin in content.get("plugins", ()):
        if plugin["name"] == "PodSecurity":
            level: PodSecurity = plugin["configuration"]["defaults"]["enforce"]
            return level
    return None


def component_arguments(arguments: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a control plane component's arguments as kubeadm's v1beta4 lists them; none profiles itself."""
    return [{"name": name, "value": value} for name, value in {"profiling": "false", **arguments}.items()]


def api_server_settings(*, encrypts: bool) -> dict[str, Any]:
    """Return what kubeadm's ClusterConfiguration says of the API server, as of v1beta4.

    Args:
        encrypts: Whether control planes have the file by which Secrets in etcd are encrypted.
    """
    arguments = {
        "authentication-config": f"{FOLDER}/authentication.yaml",
        "admission-control-config-file": f"{FOLDER}/admission.yaml",
        "audit-policy-file": f"{FOLDER}/audit-policy.yaml",
        "audit-log-path": f"{LOG_FOLDER}/audit.log",
        "audit-log-maxage": str(_KEPT_DAYS),
        "audit-log-maxbackup": str(_KEPT_FILES),
        "audit-log-maxsize": str(_FILE_MB),
        "shutdown-delay-duration": _SERVED_ON,
        "shutdown-send-retry-after": "true",
    }
    if encrypts:
        arguments |= {
            "encryption-provider-config": f"{FOLDER}/{encryption.FILE}",
            "encryption-provider-config-automatic-reload": "true",
        }
    return {
        "extraArgs": component_arguments(arguments),
        "extraVolumes": [
            _volume("azlocal", FOLDER, "Directory", read_only=True),
            _volume("audit-log", LOG_FOLDER, "DirectoryOrCreate", read_only=False),
        ],
    }


def _volume(name: str, path: str, path_type: str, *, read_only: bool) -> dict[str, Any]:
    return {"name": name, "hostPath": path, "mountPath": path, "pathType": path_type, "readOnly": read_only}


def _authentication(version: str) -> dict[str, Any]:
    return {
        "apiVersion": f"apiserver.config.k8s.io/{'v1' if _minor(version) >= 34 else 'v1beta1'}",
        "kind": "AuthenticationConfiguration",
        "anonymous": {"enabled": True, "conditions": [{"path": path} for path in _NAMELESS_PATHS]},
    }


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def _admission(level: PodSecurity) -> dict[str, Any]:
    # A pod that breaks the level is refused; what would make such pods (a Deployment) is answered with a warning.
    modes = dict.fromkeys(("enforce", "audit", "warn"), level)
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [
            {
                "name": "PodSecurity",
                "configuration": {
                    "apiVersion": "pod-security.admission.config.k8s.io/v1",
                    "kind": "PodSecurityConfiguration",
                    "defaults": modes | {f"{mode}-version": "latest" for mode in modes},
                    "exemptions": {"namespaces": list(EXEMPT_NAMESPACES)},
                },
            }
        ],
    }


def _audit_policy() -> dict[str, Any]:
    """Return who did what to what: never a body, and nothing that the cluster's parts do all day by themselves."""
    reads = ["get", "list", "watch"]
    parts = ["system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "system:apiserver"]
    system = ["system:nodes", "system:serviceaccounts:kube-system", "system:serviceaccounts:metallb-system"]
    leases = {"group": "coordination.k8s.io", "resources": ["leases"]}
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["/livez*", "/readyz*", "/healthz*", "/version", "/openapi*"]},
            {"level": "None", "resources": [leases, {"group": "", "resources": ["events"]}]},
            {"level": "None", "resources": [{"group": "events.k8s.io", "resources": ["events"]}]},
            # Secrets are never passed over, whoever reads them.
            {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
            {"level": "None", "users": parts, "verbs": [*reads]},
            {"level": "None", "userGroups": system, "verbs": [*reads]},
            # Heartbeats: a node's status, a controller's.
            {
                "level": "None",
                "userGroups": ["system:nodes"],
                "verbs": ["update", "patch"],
                "resources": [_STATUS],
            },
            {"level": "Metadata"},
        ],
    }


_STATUS: Final = {"group": "", "resources": ["nodes/status", "pods/status"]}
