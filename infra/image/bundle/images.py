"""How each container image is put together from compiled binaries and Debian's packages: pure data.

Entry points, users and paths are those of the projects' own Dockerfiles, because their manifests rely on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from infra.image.bundle.components import CALICO_VERSION, KUBERNETES_VERSION

_LOCAL_PATH: Final = "local-path-provisioner"
PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_NON_ROOT: Final = 65532


@dataclass(frozen=True)
class Binary:
    """A compiled program.

    Attributes:
        component: Who makes it.
        name: What the build calls it.
        target: Where it goes in the image.
        capabilities: File capabilities, as setcap takes them.
    """

    component: str
    name: str
    target: str
    capabilities: str = ""


@dataclass(frozen=True)
class Sources:
    """A file or folder of a component's module; module zips keep no modes, so scripts are made executable."""

    component: str
    path: str
    target: str


@dataclass(frozen=True)
class FromDebian:
    """A file of one of the Debian packages in `EXTRA_PACKAGES`."""

    package: str
    path: str
    target: str


@dataclass(frozen=True)
class Certificates:
    """Debian's certificate authorities, as one file."""

    target: str = "etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Text:
    """A small file of our own."""

    target: str
    content: str
    owner: int = 0


@dataclass(frozen=True)
class Folder:
    """An empty folder."""

    target: str
    mode: int = 0o755
    owner: int = 0


@dataclass(frozen=True)
class Link:
    """A symbolic link, or several with the same destination."""

    targets: tuple[str, ...]
    destination: str


Entry = Binary | Sources | FromDebian | Certificates | Text | Folder | Link


@dataclass(frozen=True)
class Image:
    """One container image.

    Attributes:
        name: Short and unique in the bundle.
        repository: The upstream name; charts and kubeadm ask for it.
        tag: The upstream tag.
        entries: What it holds.
        debian: Whether it stands on the shared Debian layer or on nothing.
        release_tag: The tag to download where the projects published another one for this Kubernetes.
    """

    name: str
    repository: str
    tag: str
    entries: tuple[Entry, ...]
    debian: bool = False
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    environment: tuple[str, ...] = (PATH,)
    release_tag: str = ""

    def reference(self, source: Literal["release", "modules"]) -> str:
        """Return name and tag as a pod asks for them."""
        tag = self.release_tag if source == "release" and self.release_tag else self.tag
        return f"{self.repository}:{tag}"


# What Google's distroless/static, the base of most upstream images, brings along.
_STATIC: Final[tuple[Entry, ...]] = (
    Text(
        "etc/passwd",
        "root:x:0:0:root:/root:/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
        "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    ),
    Text("etc/group", "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"),
    Text("etc/nsswitch.conf", "hosts: files dns\n"),
    Certificates(),
    Folder("tmp", 0o1777),
    Folder("home/nonroot", 0o700, _NON_ROOT),
)

# kube-proxy and calico-node call these programs; both images stand on one layer with them.
BASE_PACKAGES: Final = (
    *("iptables", "nftables", "ipset", "conntrack", "iproute2", "kmod", "procps"),
    # Starts calico-node's services.
    "runit",
)
# Where single files of images come from.
EXTRA_PACKAGES: Final = ("busybox-static", "ca-certificates", "containernetworking-plugins")
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


def _kubernetes(name: str, *, debian: bool = False, capabilities: str = "") -> Image:
    return Image(
        name=name,
        repository=f"registry.k8s.io/{name}",
        tag=f"v{KUBERNETES_VERSION}",
        entries=(
            *(() if debian else _STATIC),
            Binary("kubernetes", name, f"usr/local/bin/{name}", capabilities),
        ),
        debian=debian,
    )


def _metallb(name: str) -> Image:
    # The speaker's companions for FRR are left out: in layer-2 mode nothing calls them.
    return Image(
        name=f"metallb-{name}",
        repository=f"quay.io/metallb/{name}",
        tag="v0.15.2",
        entries=(*_STATIC, Binary("metallb", name, name)),
        entrypoint=(f"/{name}",),
    )


IMAGES: Final = (
    _kubernetes("kube-apiserver", capabilities="cap_net_bind_service=+ep"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kube-scheduler"),
    _kubernetes("kube-proxy", debian=True),
    Image(
        name="etcd",
        repository="registry.k8s.io/etcd",
        tag="3.6.16-0",
        entries=(*_STATIC, Binary("etcd", "server", "usr/local/bin/etcd")),
        release_tag="3.6.5-0",
    ),
    Image(
        name="coredns",
        repository="registry.k8s.io/coredns/coredns",
        tag="v1.14.3",
        entries=(*_STATIC, Binary("coredns", "coredns", "coredns", "cap_net_bind_service=+ep")),
        entrypoint=("/coredns",),
        user=f"{_NON_ROOT}:{_NON_ROOT}",
        workdir="/",
        release_tag="v1.12.1",
    ),
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
        debian=True,
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
        tag="v0.0.30",
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
)


@dataclass(frozen=True)
class Chart:
    """A Helm chart from a component's module.

    Attributes:
        name: Its name in the bundle.
        component: Whose module has it.
        path: The folder in the module.
        linked: Folders that upstream links into the chart; a module zip has no links, so they are put back.
        values: The values file that upstream keeps for this use, if any.
    """

    name: str
    component: str
    path: str
    linked: tuple[tuple[str, str], ...] = ()
    values: str = ""


CHARTS: Final = (
    Chart(
        "calico",
        "calico",
        "charts/calico",
        linked=(("crds", "libcalico-go/config/crd"),),
        values="charts/values/calico-vxlan.yaml",
    ),
    Chart("metallb", "metallb", "charts/metallb"),
    Chart(_LOCAL_PATH, _LOCAL_PATH, f"deploy/chart/{_LOCAL_PATH}"),
)

# Programs that go to the nodes and to whoever runs the stack, beside the images.
BINARIES: Final = (
    ("kubernetes", "kubeadm"),
    ("kubernetes", "kubelet"),
    ("kubernetes", "kubectl"),
    ("helm", "helm"),
)
