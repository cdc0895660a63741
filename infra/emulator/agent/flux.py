"""Flux's objects for a Flux configuration, and what they say about it: no effects here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from . import kube
from .errors import AgentError

SOURCES = {"GitRepository": "gitrepositories", "OCIRepository": "ocirepositories", "Bucket": "buckets"}
SOURCE_GROUP = "source.toolkit.fluxcd.io"
KUSTOMIZE_GROUP = "kustomize.toolkit.fluxcd.io"
VERSION = "v1"
LABEL = "clusterconfig.azure.com/name"
APPLIER = "flux-applier"
# What an ssh server has to know where the agent made the key itself.
PUBLIC_KEY = "identity.pub"
_DEFAULT_SECONDS = 600
_KNOWN_HOSTS = "sshKnownHosts"
# By the source's kind and Flux's key for a secret: the protected setting that it comes from, and what goes with it
# (Flux's key, the source's property).
_CREDENTIALS = {
    "GitRepository": {
        "identity": ("sshPrivateKey", "known_hosts", _KNOWN_HOSTS),
        "password": ("httpsKey", "username", "httpsUser"),
    },
    "Bucket": {"secretkey": ("bucketSecretKey", "accesskey", "accessKey")},
}

COMPLIANT = "Compliant"
NON_COMPLIANT = "Non-Compliant"
PENDING = "Pending"
SUSPENDED = "Suspended"
# Why something isn't ready that only waits for something else.
_WAITING = frozenset({"DependencyNotReady", "ArtifactFailed", "Progressing", "ProgressingWithRetry"})

Properties = Mapping[str, Any]


class Unusable(AgentError):
    """A configuration can't be made into Flux's objects."""


def namespace_of(properties: Properties) -> str:
    """Return the namespace that a configuration's objects are in."""
    return str(properties.get("namespace") or "default")


def secret_name(name: str) -> str:
    """Return the name of the Secret with a configuration's credentials."""
    return f"{name}-auth"


def kustomization_name(name: str, kustomization: str) -> str:
    """Return the name of a Kustomization object."""
    return f"{name}-{kustomization}"


def credentials(
    properties: Properties, protected: Mapping[str, str] | None, kept: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return what the Secret for the source holds, by Flux's keys; empty where the source needs none.

    Args:
        protected: the protected settings in full; None: those that the cluster has count.
        kept: what the Secret holds now.

    Raises:
        Unusable: a value isn't base64, which Azure wants of them.
    """
    kind, section = source_of(properties)
    found: dict[str, bytes] = {}
    for field, (setting, partner, of_partner) in _CREDENTIALS.get(kind, {}).items():
        if protected is None and field in kept:
            found[field] = kept[field]
        elif protected and protected.get(setting):
            found[field] = _decode(setting, protected[setting])
        if field in found:
            value = str(section.get(of_partner) or "")
            found[partner] = _decode(of_partner, value) if of_partner == _KNOWN_HOSTS else value.encode()
    if kind == "GitRepository":
        if section.get("httpsCACert"):
            found["ca.crt"] = _decode("httpsCACert", section["httpsCACert"])
        if _is_ssh(section) and not section.get("localAuthRef") and not (protected and "identity" in found):
            found |= _own_key(kept, found)
            found["known_hosts"] = _decode(_KNOWN_HOSTS, str(section.get(_KNOWN_HOSTS) or ""))
    return found


def _is_ssh(section: Mapping[str, Any]) -> bool:
    return str(section["url"]).startswith("ssh://")


def _own_key(kept: Mapping[str, bytes], given: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the key pair that the agent made, or makes now where nobody has given one."""
    if "identity" in given and PUBLIC_KEY not in kept:
        return {}
    if PUBLIC_KEY in kept:
        return {"identity": kept["identity"], PUBLIC_KEY: kept[PUBLIC_KEY]}
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return {"identity": private, PUBLIC_KEY: public}


def source_of(properties: Properties) -> tuple[str, Mapping[str, Any]]:
    """Return the kind of Flux's source object and the configuration's section for it.

    Raises:
        Unusable: the agent can't do that kind.
    """
    kind = str(properties.get("sourceKind") or "GitRepository")
    sections = {"GitRepository": "gitRepository", "OCIRepository": "ociRepository", "Bucket": "bucket"}
    if kind not in sections:
        raise Unusable(f"sourceKind {kind}: the emulated agent knows {', '.join(sections)}")
    section = properties.get(sections[kind])
    if not isinstance(section, Mapping) or not section.get("url"):
        raise Unusable(f"sourceKind is {kind}, but {sections[kind]} has no url")
    return kind, section


def source(name: str, properties: Properties, *, has_secret: bool) -> kube.Object:
    """Return the source object."""
    kind, section = source_of(properties)
    spec: dict[str, Any] = {
        "interval": _seconds(section.get("syncIntervalInSeconds")),
        "timeout": _seconds(section.get("timeoutInSeconds")),
        "suspend": bool(properties.get("suspend")),
    }
    if kind == "Bucket":
        spec |= _bucket(section)
    else:
        spec |= _repository(kind, section)
    reference = section.get("localAuthRef") or (secret_name(name) if has_secret else None)
    if reference:
        spec["secretRef"] = {"name": reference}
    return _object(SOURCE_GROUP, kind, name, name, properties, spec)


def kustomizations(name: str, properties: Properties) -> list[kube.Object]:
    """Return the Kustomization objects."""
    kind, _ = source_of(properties)
    wanted: Mapping[str, Mapping[str, Any]] = properties.get("kustomizations") or {}
    return [
        _object(
            KUSTOMIZE_GROUP,
            "Kustomization",
            kustomization_name(name, key),
            name,
            properties,
            _kustomization(name, kind, section or {}, suspend=bool(properties.get("suspend"))),
        )
        for key, section in sorted(wanted.items())
    ]


def rights(properties: Properties) -> tuple[kube.Object, kube.Object]:
    """Return the service account that a configuration's objects are applied as, and its binding.

    A configuration of scope `namespace` reaches its own namespace only; one of scope `cluster` all.
    """
    namespace = namespace_of(properties)
    return _account(namespace), _binding(namespace, everywhere=properties.get("scope") != "namespace")


def all_rights(namespace: str) -> tuple[kube.Object, ...]:
    """Return everything that `rights` may have made for a namespace."""
    return _account(namespace), *(_binding(namespace, everywhere=everywhere) for everywhere in (True, False))


def path_of(found: kube.Object) -> str:
    """Return the path of an object of this module."""
    kind, meta = found["kind"], found["metadata"]
    plurals = {**SOURCES, "Kustomization": "kustomizations"}
    if kind in plurals:
        group, _, version = found["apiVersion"].partition("/")
        return kube.custom_path(group, version, meta["namespace"], plurals[kind], meta["name"])
    if kind == "ServiceAccount":
        return f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{meta['name']}"
    if kind == "RoleBinding":
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        return f"{rbac}/namespaces/{meta['namespace']}/rolebindings/{meta['name']}"
    return f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{meta['name']}"


def compliance(found: kube.Object) -> str:
    """Return what one of Flux's objects says of itself."""
    if (found.get("spec") or {}).get("suspend"):
        return SUSPENDED
    ready = kube.condition(found, "Ready")
    generation = found["metadata"].get("generation")
    if ready is None or ready.get("observedGeneration", generation) != generation:
        return PENDING
    if ready.get("status") == "True":
        # Only a success counts as observed: what fails from the first keeps -1 there.
        observed = (found.get("status") or {}).get("observedGeneration", generation)
        return COMPLIANT if observed == generation else PENDING
    return NON_COMPLIANT if ready.get("status") == "False" and ready.get("reason") not in _WAITING else PENDING


def overall(states: Iterable[str]) -> str:
    """Return a configuration's state: that of its worst object."""
    every = set(states)
    return next((state for state in (NON_COMPLIANT, SUSPENDED, PENDING) if state in every), COMPLIANT)


def status(found: kube.Object) -> dict[str, Any]:
    """Return one of Flux's objects as ARM shows it in a configuration's `statuses`."""
    meta = found["metadata"]
    conditions = (found.get("status") or {}).get("conditions") or []
    shown = ("lastTransitionTime", "message", "reason", "status", "type")
    return {
        "name": meta["name"],
        "namespace": meta["namespace"],
        "kind": found["kind"],
        "complianceState": compliance(found),
        "statusConditions": [{key: entry.get(key) for key in shown} for entry in conditions],
    }


def problem(objects: Iterable[kube.Object]) -> str | None:
    """Return what the first object in trouble says, None if none is."""
    for found in objects:
        ready = kube.condition(found, "Ready")
        if ready is not None and compliance(found) == NON_COMPLIANT:
            return f"{found['kind']} {found['metadata']['name']}: {ready.get('message', '')}"
    return None


def _account(namespace: str) -> kube.Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": kube.metadata(APPLIER, namespace)}


def _binding(namespace: str, *, everywhere: bool) -> kube.Object:
    meta = kube.metadata(f"{APPLIER}-{namespace}") if everywhere else kube.metadata(APPLIER, namespace)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding" if everywhere else "RoleBinding",
        "metadata": meta,
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin" if everywhere else "admin",
        },
        "subjects": [{"kind": "ServiceAccount", "name": APPLIER, "namespace": namespace}],
    }


def _object(group: str, kind: str, name: str, label: str, properties: Properties, spec: Any) -> kube.Object:
    return {
        "apiVersion": f"{group}/{VERSION}",
        "kind": kind,
        "metadata": kube.metadata(name, namespace_of(properties), {LABEL: label}),
        "spec": spec,
    }


def _repository(kind: str, section: Mapping[str, Any]) -> dict[str, Any]:
    keys = {
        "GitRepository": ("branch", "tag", "semver", "commit"),
        "OCIRepository": ("tag", "semver", "digest"),
    }[kind]
    given = section.get("repositoryRef") or {}
    reference = {key: given[key] for key in keys if given.get(key)}
    spec: dict[str, Any] = {"url": section["url"]}
    if reference:
        spec["ref"] = reference
    if kind == "OCIRepository":
        spec |= _oci(section)
    return spec


def _oci(section: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if section.get("insecure"):
        spec["insecure"] = True
    if section.get("serviceAccountName"):
        spec["serviceAccountName"] = section["serviceAccountName"]
    selector = section.get("layerSelector") or {}
    if selector:
        spec["layerSelector"] = {key: selector[key] for key in ("mediaType", "operation") if selector.get(key)}
    return spec


def _bucket(section: Mapping[str, Any]) -> dict[str, Any]:
    url = str(section["url"])
    plain = url.startswith("http://")
    return {
        "endpoint": url.removeprefix("https://").removeprefix("http://").rstrip("/"),
        "bucketName": section.get("bucketName") or "",
        "insecure": plain or bool(section.get("insecure")),
        "provider": "generic",
    }


def _kustomization(name: str, kind: str, section: Mapping[str, Any], *, suspend: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "interval": _seconds(section.get("syncIntervalInSeconds")),
        "timeout": _seconds(section.get("timeoutInSeconds")),
        "path": section.get("path") or "./",
        "prune": bool(section.get("prune")),
        "force": bool(section.get("force")),
        "wait": section.get("wait") is not False,
        "suspend": suspend,
        "serviceAccountName": APPLIER,
        "sourceRef": {"kind": kind, "name": name},
    }
    if section.get("retryIntervalInSeconds"):
        spec["retryInterval"] = _seconds(section["retryIntervalInSeconds"])
    if section.get("dependsOn"):
        spec["dependsOn"] = [{"name": kustomization_name(name, key)} for key in section["dependsOn"]]
    build = section.get("postBuild") or {}
    if build:
        spec["postBuild"] = {key: build[key] for key in ("substitute", "substituteFrom") if build.get(key)}
    return spec


def _seconds(value: Any) -> str:
    return f"{int(value or _DEFAULT_SECONDS)}s"


def _decode(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Unusable(f"{name} isn't base64") from None
