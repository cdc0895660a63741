"""How each container image is put together from compiled binaries and Debian's packages: pure data.

Entry points, users and paths are those of the projects' own Dockerfiles, because their manifests rely on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from infra.image.bundle.components import (
    CALICO_VERSION,
    FLUX_KUSTOMIZE,
    FLUX_SOURCE,
    FLUX_VERSION,
    HELM_VERSION,
)
from infra.image.bundle.model import Source
from infra.image.bundle.parts import (
    PATH,
    Binary,
    Certificates,
    Change,
    Chart,
    Entry,
    Folder,
    FromDebian,
    Image,
    Link,
    Linked,
    Sources,
    Text,
    Tree,
)
from infra.model.versions import DEFAULT, KubernetesVersion

_LOCAL_PATH: Final = "local-path-provisioner"
_SOURCE_CONTROLLER: Final = "flux-source-controller"
_KUSTOMIZE_CONTROLLER: Final = "flux-kustomize-controller"

_NON_ROOT: Final = 65532

_USERS: Final[tuple[Entry, ...]] = (
    Text(
        "etc/passwd",
        "root:x:0:0:root:/root:/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
        "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    ),
    Text("etc/group", "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"),
)
# What Google's distroless/static, the base of most upstream images, brings along.
_STATIC: Final[tuple[Entry, ...]] = (
    *_USERS,
    Text("etc/nsswitch.conf", "hosts: files dns\n"),
    Certificates(),
    Folder("tmp", 0o1777),
    Folder("home/nonroot", 0o700, _NON_ROOT),
)

_NOT_IN_A_CONTAINER: Final = (
    *("var/cache", "var/log", "var/lib/apt", "var/lib/systemd", "usr/share/doc-base", "usr/share/bug"),
    *("etc/apt", "usr/share/zoneinfo", "boot", "media", "srv", "usr/share/perl5"),
)
# kube-proxy and calico-node call these programs; both images stand on one layer with them.
_BASE: Final = Tree(
    "base",
    (
        *("iptables", "nftables", "ipset", "conntrack", "iproute2", "kmod", "procps"),
        # Starts calico-node's services.
        "runit",
    ),
    removed=_NOT_IN_A_CONTAINER,
)
_PYTHON: Final = Tree(
    "python",
    ("python3-cryptography",),
    removed=(
        *_NOT_IN_A_CONTAINER,
        # usrmerge brings Perl, for its own installation.
        *("usr/bin/*perl*", "usr/share/perl", "usr/lib/x86_64-linux-gnu/perl*"),
        "usr/lib/x86_64-linux-gnu/libperl.so*",
        *("usr/lib/x86_64-linux-gnu/gconv", "usr/share/pixmaps", "var/lib/dpkg/info"),
        *(f"usr/lib/python3.11/{name}" for name in ("distutils", "ensurepip", "lib2to3", "pydoc_data", "test")),
    ),
)
# Where single files of images come from.
EXTRAS: Final = Tree("extras", ("busybox-static", "ca-certificates", "containernetworking-plugins"), version=2)
CNI_PLUGINS: Final = ("bandwidth", "host-local", "loopback", "portmap", "tuning")
_APPLETS: Final = (
    *("[", "ash", "awk", "base64", "basename", "cat", "chmod", "chown", "cmp", "cp", "cut", "date", "dd", "df"),
    *("dirname", "du", "echo", "env", "expr", "false", "find", "free", "grep", "gunzip", "gzip", "head"),
    *("hostname", "httpd", "id", "ip", "kill", "less", "ln", "ls", "md5sum", "mkdir", "mkfifo", "mktemp", "mount"),
    *("mv", "nc", "netstat", "nslookup", "od", "ping", "printf", "ps", "pwd", "readlink", "realpath", "rm"),
    *("rmdir", "route", "sed", "seq", "sh", "sha256sum", "sleep", "sort", "stat", "stty", "sync", "tail", "tar"),
    *("tee", "test", "time", "timeout", "top", "touch", "tr", "true", "umount", "uname", "uniq", "uptime", "vi"),
    *("wc", "wget", "which", "whoami", "xargs", "yes"),
)


def _kubernetes(name: str, version: KubernetesVersion, *, debian: bool = False, capabilities: str = "") -> Image:
    return Image(
        name=name,
        repository=f"registry.k8s.io/{name}",
        tag=version.tag,
        entries=(
            *(() if debian else _STATIC),
            Binary("kubernetes", name, f"usr/local/bin/{name}", capabilities),
        ),
        debian=_BASE if debian else None,
    )


def _metallb(name: str) -> Image:
    # The speaker's companions for FRR are left out: in layer-2 mode nothing calls them.
    return Image(
        name=f"metallb-{name}",
        repository=f"quay.io/metallb/{name}",
        tag="v0.15.3",
        entries=(*_STATIC, Binary("metallb", name, name)),
        entrypoint=(f"/{name}",),
    )


def _flux(image: str, environment: tuple[str, ...] = ()) -> Image:
    name = image.removeprefix("flux-")
    return Image(
        name=image,
        repository=f"ghcr.io/fluxcd/{name}",
        # Not quite the project's images: what differs is said below.
        tag=f"{FLUX_VERSION}-azlocal",
        entries=(*_STATIC, Binary("flux", name, f"usr/local/bin/{name}")),
        entrypoint=(name,),
        user="65534:65534",
        environment=(PATH, *environment),
        release_tag=FLUX_VERSION,
    )


def _of_version(version: KubernetesVersion) -> tuple[Image, ...]:
    """Return the images that differ between Kubernetes versions."""
    return (
        _kubernetes("kube-apiserver", version, capabilities="cap_net_bind_service=+ep"),
        _kubernetes("kube-controller-manager", version),
        _kubernetes("kube-scheduler", version),
        _kubernetes("kube-proxy", version, debian=True),
        Image(
            name="etcd",
            repository="registry.k8s.io/etcd",
            tag="3.6.16-0",
            entries=(
                *_STATIC,
                Binary("etcd", "server", "usr/local/bin/etcd"),
                Binary("etcd", "etcdutl", "usr/local/bin/etcdutl"),
            ),
            release_tag=version.release_tags["etcd"],
        ),
        Image(
            name="coredns",
            repository="registry.k8s.io/coredns/coredns",
            # Not quite the project's program: without the plugins that modules/coredns/coredns/main.go names.
            tag="v1.14.3-azlocal",
            entries=(*_STATIC, Binary("coredns", "coredns", "coredns", "cap_net_bind_service=+ep")),
            entrypoint=("/coredns",),
            user=f"{_NON_ROOT}:{_NON_ROOT}",
            workdir="/",
            release_tag=version.release_tags["coredns"],
        ),
    )


_SHARED: Final = (
    Image(
        name="pause",
        repository="registry.k8s.io/pause",
        tag="3.10.1",
        entries=(Binary("pause", "pause", "pause"),),
        entrypoint=("/pause",),
        user="65535:65535",
    ),
    Image(
        name="calico-node",
        repository="docker.io/calico/node",
        tag=CALICO_VERSION,
        # Debian's /bin and /sbin are links into /usr. BIRD, bpftool and mountns are left out: with VXLAN and
        # without eBPF nothing calls them.
        entries=(
            Sources("calico", "node/filesystem/etc", "etc"),
            Sources("calico", "node/filesystem/sbin", "usr/sbin"),
            Text("etc/nsswitch.conf", "hosts: files dns\nprotocols: files\n"),
            Binary("calico", "calico-node", "usr/bin/calico-node"),
        ),
        debian=_BASE,
        command=("start_runit",),
        environment=(PATH, "SVDIR=/etc/service/enabled"),
    ),
    Image(
        name="calico-cni",
        repository="docker.io/calico/cni",
        tag=CALICO_VERSION,
        entries=(
            *_STATIC,
            Binary("calico", "install", "opt/cni/bin/install"),
            Binary("calico", "calico", "opt/cni/bin/calico"),
            # The same program: it goes by the name it is called by.
            Binary("calico", "calico", "opt/cni/bin/calico-ipam"),
            *(
                FromDebian("containernetworking-plugins", f"usr/lib/cni/{name}", f"opt/cni/bin/{name}")
                for name in CNI_PLUGINS
            ),
        ),
        command=("/opt/cni/bin/install",),
        workdir="/opt/cni/bin",
        environment=(PATH.replace("=", "=/opt/cni/bin:", 1),),
    ),
    Image(
        name="calico-kube-controllers",
        repository="docker.io/calico/kube-controllers",
        tag=CALICO_VERSION,
        entries=(
            *_STATIC,
            Text("status/status.json", "", owner=999),
            Text("profiles/mem.pprof", "", owner=999),
            Text("profiles/cpu.pprof", "", owner=999),
            Binary("calico", "kube-controllers", "usr/bin/kube-controllers"),
            Binary("calico", "check-status", "usr/bin/check-status"),
        ),
        entrypoint=("/usr/bin/kube-controllers",),
        user="999",
    ),
    _metallb("controller"),
    _metallb("speaker"),
    Image(
        name=_LOCAL_PATH,
        repository="docker.io/rancher/local-path-provisioner",
        tag="v0.0.37",
        entries=(
            *_STATIC,
            Binary("local-path-provisioner", "local-path-provisioner", "usr/bin/local-path-provisioner"),
        ),
        command=("local-path-provisioner",),
    ),
    Image(
        name="busybox",
        repository="docker.io/library/busybox",
        # As local-path-provisioner's chart names the image of its helper pods.
        tag="latest",
        entries=(
            *_STATIC,
            FromDebian("busybox-static", "bin/busybox", "bin/busybox"),
            Link(tuple(f"bin/{applet}" for applet in _APPLETS), "busybox"),
            Folder("root", 0o700),
            Folder("var/tmp", 0o1777),
        ),
        command=("sh",),
    ),
    # One of its libraries is our own: the module proxy has no version of the project's.
    _flux(_SOURCE_CONTROLLER),
    # Without git, ssh and gpg: it calls them for bases in other repositories and for secrets that PGP encrypts.
    _flux(_KUSTOMIZE_CONTROLLER, ("GNUPGHOME=/tmp",)),
    # What the emulator's agents run in; their program comes with their chart, into /agent.
    Image(
        name="agent-runtime",
        repository="localhost/azlocal/agent-runtime",
        tag=f"python3.11-helm{HELM_VERSION.removeprefix('v')}",
        entries=(
            *_USERS,
            Certificates(),
            # Where Debian's OpenSSL, and so Python, looks for them.
            Link(("usr/lib/ssl/cert.pem",), "/etc/ssl/certs/ca-certificates.crt"),
            Binary("helm", "helm", "usr/local/bin/helm"),
            Folder("agent"),
            Folder("tmp", 0o1777),
        ),
        debian=_PYTHON,
        command=("python3",),
        user=f"{_NON_ROOT}:{_NON_ROOT}",
        workdir="/agent",
        environment=(PATH, "HOME=/tmp", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"),
        ours=True,
    ),
)


@cache
def images(version: KubernetesVersion = DEFAULT) -> tuple[Image, ...]:
    """Return the container images in a bundle of a Kubernetes version."""
    return (*_of_version(version), *_SHARED)


def made_here(source: Source, version: KubernetesVersion = DEFAULT) -> tuple[Image, ...]:
    """Return the images that are put together on this machine for a bundle from that source."""
    return tuple(image for image in images(version) if image.ours or source == "modules")


def trees_of(images: Iterable[Image]) -> tuple[Tree, ...]:
    """Return the Debian trees that images are made with; the last one is where single files come from."""
    return (*dict.fromkeys(image.debian for image in images if image.debian), EXTRAS)


# Felix answers both questions itself. Asked by a command, every node starts runc and calico-node twice in ten
# seconds: a sixth of the processor time of a cluster that does nothing. Tigera's operator asks by HTTP, too.
_FELIX_IS_ASKED: Final = (
    Change(
        "templates/calico-node.yaml",
        """\
            exec:
              command:
              - /bin/calico-node
              - -felix-live
{{- if and (eq .Values.network "calico") (not .Values.flannel_migration) (not .Values.vxlan) }}
              - -bird-live
{{- end }}
""",
        """\
            httpGet:
              path: /liveness
              port: 9099
              host: localhost
""",
    ),
    Change(
        "templates/calico-node.yaml",
        """\
          readinessProbe:
{{- if eq .Values.network "calico" }}
""",
        """\
          readinessProbe:
{{- if and (eq .Values.network "calico") (not .Values.vxlan) }}
""",
    ),
    Change(
        "templates/calico-node.yaml",
        """\
{{- else if eq .Values.network "flannel" }}
            httpGet:
""",
        """\
{{- else if or .Values.vxlan (eq .Values.network "flannel") }}
            httpGet:
""",
    ),
)

CHARTS: Final = (
    Chart(
        "calico",
        "calico",
        "charts/calico",
        linked=(Linked("crds", "calico", "libcalico-go/config/crd"),),
        changes=_FELIX_IS_ASKED,
        values="charts/values/calico-vxlan.yaml",
    ),
    Chart("metallb", "metallb", "charts/metallb"),
    Chart(_LOCAL_PATH, _LOCAL_PATH, f"deploy/chart/{_LOCAL_PATH}"),
    # The modules have manifests for kustomize, and no chart.
    Chart(
        "flux",
        linked=(
            Linked("crds", "flux", "config/crd/bases", FLUX_SOURCE),
            Linked("crds", "flux", "config/crd/bases", FLUX_KUSTOMIZE),
        ),
        images=(_SOURCE_CONTROLLER, _KUSTOMIZE_CONTROLLER),
    ),
)

# Programs that go to the nodes and to whoever runs the stack, beside the images.
BINARIES: Final = (
    ("kubernetes", "kubeadm"),
    ("kubernetes", "kubelet"),
    ("kubernetes", "kubectl"),
    ("containerd", "containerd"),
    ("containerd", "containerd-shim-runc-v2"),
    ("containerd", "ctr"),
    ("runc", "runc"),
    ("helm", "helm"),
)
