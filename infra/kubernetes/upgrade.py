"""What is done inside a cluster when its Kubernetes version changes; its machines are replaced by others.

In Cluster API's order (`controlplane/kubeadm/reconcilers/kubeadmcontrolplane/update.go`): kubeadm's ConfigMap
before the first machine of the new version, CoreDNS and kube-proxy after the last control plane. Nobody has to be
granted anything: kubeadm 1.34.4 gives new nodes the roles and ConfigMaps that 1.33.5 does (compared:
`cmd/kubeadm/app/phases/{bootstraptoken,kubelet,uploadconfig,addons}`), and reads an older kubelet-config.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from infra.kubernetes.api import ClusterApi, ClusterError, Conflict, NotFound
from infra.kubernetes.kinds import KindId
from infra.kubernetes.nodes import CONTROL_PLANE_COMPONENTS
from infra.kubernetes.readiness import Progress, progress, waiting
from infra.kubernetes.waiting import NotReady, wait_until_ready
from infra.lifecycle.versions import minor
from infra.model.work import Work

_SYSTEM: Final = "/namespaces/kube-system"
_KUBEADM: Final = f"/api/v1{_SYSTEM}/configmaps/kubeadm-config"
_CORE_DNS: Final = f"/apis/apps/v1{_SYSTEM}/deployments/coredns"
_KUBE_PROXY: Final = f"/apis/apps/v1{_SYSTEM}/daemonsets/kube-proxy"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_FIRST_SAFE_ETCD: Final = (3, 5, 26)
_TRIES: Final = 5
_PAUSE: Final = 1.0
# k8s.io/apiserver pkg/endpoints/metrics/metrics.go; the release is a minor version, as 1.34.
_REQUESTED: Final = re.compile(r"^apiserver_requested_deprecated_apis\{(?P<labels>[^}]*)\} [1-9]", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def configured_version(api: ClusterApi) -> str:
    """Return the version that kubeadm makes new control planes of, without the v; empty where nobody says.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    stands = api.find(_KUBEADM)
    version: str = (_settings(stands) if stands else {}).get("kubernetesVersion", "")
    return version.removeprefix("v")


def add_on_version(api: ClusterApi) -> str:
    """Return the version of what kubeadm deploys, without the v: kube-proxy's, which is changed last.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    proxy = api.find(_KUBE_PROXY)
    image = _container(proxy, "kube-proxy").get("image", "") if proxy else ""
    return image.rpartition(":")[2].removeprefix("v")


def add_on_images(references: Iterable[str]) -> list[str]:
    """Return of a bundle's images those of CoreDNS and kube-proxy. Pure."""
    return [reference for reference in references if _name(reference) in ("coredns", "kube-proxy")]


def worker_images(references: Iterable[str]) -> list[str]:
    """Return of a bundle's images those that a worker may be asked to run: none of a control plane's own. Pure."""
    return [reference for reference in references if _name(reference) not in CONTROL_PLANE_COMPONENTS]


def prepare_upgrade(api: ClusterApi, version: str, images: Iterable[str]) -> None:
    """Have kubeadm make new control planes of a version, with its etcd and CoreDNS.

    Args:
        api: The cluster.
        version: Without the v.
        images: All images of its bundle, by name and tag.

    Raises:
        ClusterError: The API server doesn't answer, or refuses.
    """
    tags = {_name(image): image.rpartition(":")[2] for image in images}
    for attempt in range(_TRIES):
        stands = api.get(_KUBEADM)
        settings = with_version(_settings(stands), version, tags)
        text = yaml.safe_dump(settings, sort_keys=True)
        if settings == _settings(stands):
            return
        # Refused where somebody else has changed it meanwhile.
        metadata = {"resourceVersion": stands["metadata"]["resourceVersion"]}
        try:
            api.merge(_KUBEADM, {"metadata": metadata, "data": {"ClusterConfiguration": text}})
        except Conflict:
            if attempt == _TRIES - 1:
                raise
        else:
            return


def with_version(settings: Mapping[str, Any], version: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return kubeadm's ClusterConfiguration for a version; tags that it doesn't name stay kubeadm's own. Pure."""
    changed = {**settings, "kubernetesVersion": f"v{version}"}
    local = (settings.get("etcd") or {}).get("local") or {}
    if "imageTag" in local and "etcd" in tags:
        changed["etcd"] = {**settings["etcd"], "local": {**local, "imageTag": tags["etcd"]}}
    if "imageTag" in (settings.get("dns") or {}) and "coredns" in tags:
        changed["dns"] = {**settings["dns"], "imageTag": tags["coredns"]}
    return changed


def finish_upgrade(api: ClusterApi, images: Iterable[str], work: Work) -> None:
    """Bring CoreDNS, and then kube-proxy, to the images of a bundle, and wait until all of their pods run them.

    Args:
        api: The cluster.
        images: All images of the bundle, by name and tag.
        work: Until when.

    Raises:
        NotReady: They don't run in time; says what is missing. The next call goes on.
        ClusterError: The API server doesn't answer, or refuses.
        Interrupted: It was cancelled.
    """
    named = {_name(image): image for image in images}
    for name, path in (("coredns", _CORE_DNS), ("kube-proxy", _KUBE_PROXY)):
        try:
            _run(api, path, name, named[name], work)
        except NotFound:
            continue  # whoever took it away has something else in its place


def objections(servers: Iterable[ClusterApi], version: str, images: Iterable[str]) -> list[str]:
    """Return why a cluster can't go to a version, a sentence each.

    Args:
        servers: Each of its API servers, at its own address: what was asked for each counts by itself.
        version: The new one, without the v.
        images: All images of its bundle, by name and tag.

    Raises:
        ClusterError: An API server doesn't answer, or refuses.
    """
    against: dict[str, None] = {}
    tag = next((image.rpartition(":")[2] for image in images if _name(image) == "etcd"), "")
    for server in servers:
        against |= dict.fromkeys(_removed(server.text("/metrics"), version))
        against |= dict.fromkeys(etcd_objections(_settings(server.get(_KUBEADM)), tag))
    return [*against]


def etcd_objections(settings: Mapping[str, Any], tag: str) -> list[str]:
    """Return why a cluster's etcd can't go to a version. Pure.

    Before 3.5.26 members can come back that were removed, and learners be learners again, once 3.6 reads what 3.5
    has stored of them (etcd.io/blog/2025/zombie_members_upgrade; etcd-io/etcd issues 19557, 20793).

    Args:
        settings: kubeadm's ClusterConfiguration.
        tag: Of the new etcd's image, 3.6.5-0.
    """
    old = ((settings.get("etcd") or {}).get("local") or {}).get("imageTag", "")
    if not (old and tag) or _numbers(tag) < (3, 6) or _numbers(old) >= _FIRST_SAFE_ETCD:
        return []
    return [
        f"etcd would go from {old} to {tag}, which takes members for members again that were removed before "
        "3.5.26. Found a cluster of the new version and move what runs there; or build the bundle from Go modules "
        "on both sides, whose etcd is of one version (etcd-too-old)"
    ]


def _numbers(tag: str) -> tuple[int, ...]:
    return tuple(map(int, tag.partition("-")[0].split(".")))


def _removed(metrics: str, version: str) -> list[str]:
    """Return what was asked of an API server and isn't served by a version."""
    in_use = []
    for match in _REQUESTED.finditer(metrics):
        labels = dict(_LABEL.findall(match["labels"]))
        release = labels.get("removed_release", "")
        if re.fullmatch(r"1\.\d+", release) and minor(release) <= minor(version):
            name = "/".join(filter(None, (labels.get("group"), labels.get("version"), labels.get("resource"))))
            in_use.append(
                f"{name} was asked for since the API server started, and Kubernetes {release} doesn't serve it: "
                "change who uses it to its successor (kubernetes.io/docs/reference/using-api/deprecation-guide), "
                "and restart the API servers, which then forget it (removed-api)"
            )
    return in_use


def _run(api: ClusterApi, path: str, name: str, image: str, work: Work) -> None:
    stands = api.get(path)
    if _container(stands, name).get("image", image) != image:
        change = {"spec": {"template": {"spec": {"containers": [{"name": name, "image": image}]}}}}
        api.send("PATCH", path, change, content_type=_STRATEGIC)

    def look() -> Progress:
        try:
            workload = api.get(path)
        except ClusterError as error:
            return waiting(str(error))
        return progress(KindId("apps/v1", workload["kind"]), workload)

    done = wait_until_ready(look, work, _PAUSE, f"{stands['metadata']['name']} waits for")
    if not done.ready:
        raise NotReady([f"{stands['metadata']['name']}: {reason}" for reason in done.missing])


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((config.get("data") or {}).get("ClusterConfiguration", "{}"))
    return settings


def _container(workload: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a workload's container of that name, as kubeadm calls it; empty where somebody took that away."""
    containers: list[dict[str, Any]] = workload["spec"]["template"]["spec"]["containers"]
    return next((container for container in containers if container["name"] == name), {})


def _name(reference: str) -> str:
    return reference.rpartition("/")[2].partition(":")[0]
