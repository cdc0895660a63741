"""What is compiled from Go modules: pure data. The exact modules and their hashes are in `modules/<name>/`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from infra.model.versions import DEFAULT, KubernetesVersion

MODULES: Final = Path(__file__).parent / "modules"

HELM_VERSION: Final = "v3.19.0"
CALICO_VERSION: Final = "v3.28.5"
FLUX_VERSION: Final = "v1.9.5"
CONTAINERD_VERSION: Final = "v2.3.7"
RUNC_VERSION: Final = "v1.4.4"

# Raise it when the same module files and link flags are compiled in another way.
_COMPILER_VERSION: Final = 1


@dataclass(frozen=True)
class Component:
    """One upstream project.

    Attributes:
        name: The name people see.
        module: The Go module with the project's own sources.
        others: Further modules of the project that something is built or taken from, of the same version.
        version: The version people know it by.
        binaries: What the build leaves; helper packages of the same module need no entry.
        variables: Go variables set at link time, as the project's own build does.
        tags: Go's build tags: what is compiled in, or left out.
        libraries: C libraries that are linked into it, by the names that pkg-config knows. It is compiled with the
            C compiler then, and is static and position-independent, so that it runs on the nodes' Debian whatever
            this machine runs.
        modules: The folder under `modules/` whose go.mod names what to build, where it isn't `name`.
    """

    name: str
    module: str
    version: str
    binaries: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    modules: str = ""

    @property
    def folder(self) -> Path:
        """Where its go.mod and go.sum are, and Go files of our own: a main package, or a module's stand-in."""
        return MODULES / (self.modules or self.name)

    @property
    def digest(self) -> str:
        """Names what comes out of the compiler. Which Go compiles it doesn't count: any one that can, may."""
        content = {
            "compiler": _COMPILER_VERSION,
            "files": {
                path.relative_to(self.folder).as_posix(): _sha256(path)
                for path in sorted(self.folder.rglob("*"))
                if path.is_file()
            },
            "binaries": self.binaries,
            "variables": dict(self.variables),
            # Only what is given counts, so that what was compiled before these could be keeps its name.
            **({"tags": self.tags} if self.tags else {}),
            **({"libraries": self.libraries} if self.libraries else {}),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _in_packages(packages: tuple[str, ...], values: Mapping[str, str]) -> dict[str, str]:
    return {f"{package}.{name}": value for package in packages for name, value in values.items()}


def _kubernetes(version: KubernetesVersion) -> Component:
    stamp = {
        "gitVersion": version.tag,
        "gitMajor": "1",
        "gitMinor": version.minor,
        # A module has no git commit. Its date is when the version was published, so that builds agree.
        "gitCommit": "",
        "gitTreeState": "archive",
        "buildDate": version.published,
    }
    return Component(
        "kubernetes",
        "k8s.io/kubernetes",
        version.tag,
        (
            *("kubeadm", "kubelet", "kubectl"),
            *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"),
        ),
        _in_packages(("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"), stamp),
        modules=f"kubernetes/{version.version}",
    )


FLUX_SOURCE: Final = "github.com/fluxcd/source-controller"
FLUX_KUSTOMIZE: Final = "github.com/fluxcd/kustomize-controller"

# What every Kubernetes version shares.
#
# Go compiles a package once for all components that use it in the same version, with the same versions below it.
# So there are two families of equal versions, that a test holds together: metallb takes those of the default
# kubernetes, never the other way round; local-path-provisioner, coredns and helm take those that flux needs, which
# are newer than their own: where an older module replaces another, Go compiles it again. containerd needs newer
# ones than either, runc hardly any: both are compiled with their projects' own.
_SHARED: Final = (
    Component(
        "calico",
        "github.com/projectcalico/calico",
        CALICO_VERSION,
        ("calico-node", "calico", "install", "kube-controllers", "check-status"),
        {
            "main.VERSION": CALICO_VERSION,
            "github.com/projectcalico/calico/node/pkg/lifecycle/startup.VERSION": CALICO_VERSION,
            "github.com/projectcalico/calico/node/buildinfo.GitVersion": CALICO_VERSION,
        },
    ),
    Component(
        "containerd",
        "github.com/containerd/containerd/v2",
        CONTAINERD_VERSION,
        ("containerd", "containerd-shim-runc-v2", "ctr"),
        {"github.com/containerd/containerd/v2/version.Version": CONTAINERD_VERSION},
        # A node's disk is ext4 and its snapshots are overlayfs; nobody collects traces of it.
        tags=("no_btrfs", "no_devmapper", "no_tracing", "no_zfs", "urfave_cli_no_docs"),
    ),
    # As the project makes its own releases of this line: static, with seccomp, which pods' default profile needs.
    Component(
        "runc",
        "github.com/opencontainers/runc",
        RUNC_VERSION,
        ("runc",),
        tags=("netgo", "osusergo", "seccomp", "urfave_cli_no_docs"),
        libraries=("libseccomp",),
    ),
    Component("metallb", "go.universe.tf/metallb", "v0.15.3", ("controller", "speaker")),
    Component(
        "local-path-provisioner",
        "github.com/rancher/local-path-provisioner",
        "v0.0.37",
        ("local-path-provisioner",),
        {"main.VERSION": "v0.0.37"},
    ),
    # Its main package is called server; the image calls it etcd. With etcdutl a snapshot is restored.
    Component(
        "etcd",
        "go.etcd.io/etcd/server/v3",
        "v3.6.16",
        ("server", "etcdutl"),
        others=("go.etcd.io/etcd/etcdutl/v3",),
    ),
    # Its main package is our own: it leaves out the plugins that speak to clouds.
    Component("coredns", "github.com/coredns/coredns", "v1.14.3", ("coredns",)),
    Component(
        "helm",
        "helm.sh/helm/v3",
        HELM_VERSION,
        ("helm",),
        {
            "helm.sh/helm/v3/internal/version.version": HELM_VERSION,
            # What `helm template` takes for the cluster's version when none is there to be asked.
            **_in_packages(
                ("helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules"),
                {"k8sVersionMajor": "1", "k8sVersionMinor": DEFAULT.minor},
            ),
        },
    ),
    Component(
        "flux", FLUX_SOURCE, FLUX_VERSION, ("source-controller", "kustomize-controller"), others=(FLUX_KUSTOMIZE,)
    ),
)


@cache
def components(version: KubernetesVersion = DEFAULT) -> tuple[Component, ...]:
    """Return what a bundle of a Kubernetes version is compiled from.

    The longest builds first: what is slow or fails is seen early. What no cluster needs to start comes last: where
    a first build is interrupted, the next one has a cluster's own parts.
    """
    return (_kubernetes(version), *_SHARED)


def component(name: str, version: KubernetesVersion = DEFAULT) -> Component:
    """Return the component of that name in a bundle of a Kubernetes version."""
    return next(entry for entry in components(version) if entry.name == name)
