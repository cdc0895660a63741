"""A real Kubernetes cluster under test: the bundle's kubectl, and objects as plain data."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from infra.image import find_node_image
from infra.kubernetes.kubeconfig import select_cluster
from tests import waiting
from tests.instance import INSTANCE, cluster
from tests.project import Project

IMAGE = "docker.io/library/busybox:latest"
"""In every node's store: nothing is pulled."""

EVERYWHERE = [{"operator": "Exists"}]
"""Tolerations of a pod that runs on a control plane too."""

DOWN_SECONDS = 180
"""Less than any wait for an API server or for Azure, of which there is one per object: what `down` is spared."""

Answer = TypeVar("Answer")


def kubernetes_cluster(name: str = "a", **changes: Any) -> dict[str, Any]:
    """Return a cluster's configuration: one control plane and one worker, with Kubernetes on them."""
    wanted = {
        "name": name,
        "controlPlane": {"count": 1, "vmSize": "Node"},
        "agentPools": [{"name": "pool1", "count": 1, "vmSize": "Node"}],
        "loadBalancer": {"count": 6},
        "provisioning": "kubernetes",
    }
    return cluster(**(wanted | changes))


def kubectl() -> Path:
    """Return the program that the nodes have, too."""
    image = find_node_image()
    assert image is not None
    assert image.bundle is not None
    return image.bundle.binary("kubectl")


@dataclass(frozen=True)
class Kubernetes:
    """One cluster of a project, as its administrator sees it."""

    name: str
    kubeconfig: Path

    @property
    def control_plane(self) -> str:
        return f"{INSTANCE}-{self.name}-cp-0"

    @property
    def worker(self) -> str:
        return f"{INSTANCE}-{self.name}-pool1-0"

    def run(self, *arguments: str, stdin: str = "", timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return what became of it."""
        return subprocess.run(
            [str(kubectl()), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def script(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script that finds kubectl and this cluster, as after `make kubeconfig`."""
        folders = [str(kubectl().parent), os.environ["PATH"]]
        environment = {"PATH": os.pathsep.join(folders), "KUBECONFIG": str(self.kubeconfig)}
        environment["HOME"] = str(self.kubeconfig.parent)  # kubectl keeps a cache there
        command = ["bash", "-e", "-c", text]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=180)

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl, which has to succeed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output", "json"))
        return found

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self.kubectl("apply", "--server-side", "--filename", "-", stdin=yaml.safe_dump_all(objects))

    def wait(self, condition: str, *what: str, seconds: int = 120) -> None:
        """Wait for a condition as kubectl does, e.g. `condition=Ready`."""
        done = self.run("wait", f"--for={condition}", f"--timeout={seconds}s", *what, timeout=seconds + 30)
        if done.returncode:
            pods = self.kubectl("get", "pods", "--all-namespaces", "--output", "wide")
            raise AssertionError(f"{' '.join(what)} isn't {condition}: {done.stdout}{done.stderr}\n{pods}")

    def sh(self, pod: str, script: str, namespace: str = "default") -> subprocess.CompletedProcess[str]:
        """Run a shell script in a pod."""
        return self.run("exec", "--namespace", namespace, pod, "--", "sh", "-c", script)

    def said(self, pod: str, script: str, namespace: str = "default") -> str:
        """Return what a script in a pod says; it has to succeed."""
        done = self.sh(pod, script, namespace)
        assert done.returncode == 0, f"{pod}: {script}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def fetched(self, pod: str, address: str) -> str:
        """Return the page that a pod gets from an address, empty if none answers."""
        # Not wget's own -T: a static wget crashes in its alarm.
        return self.sh(pod, f"timeout 3 wget -qO- http://{address}/").stdout.strip()

    def nodes(self) -> dict[str, bool]:
        """Return every node, and whether it is Ready."""
        return {node["metadata"]["name"]: is_true(node, "Ready") for node in self.get("nodes")["items"]}

    def unfinished_pods(self) -> list[str]:
        """Return the pods that neither run, nor have done their work, nor are being deleted."""
        staying = [
            pod
            for pod in self.get("pods", "--all-namespaces")["items"]
            if "deletionTimestamp" not in pod["metadata"]
        ]
        return [
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}: {pod['status'].get('phase')}"
            for pod in staying
            if pod["status"].get("phase") != "Succeeded" and not is_true(pod, "Ready")
        ]


def kubernetes(project: Project, name: str) -> Kubernetes:
    """Take a cluster's kubeconfig from the stack's outputs, into a file that is only ours."""
    text = project.pulumi("stack", "output", "kubeconfig", "--show-secrets").expect().output
    path = project.directory / f"{name}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(select_cluster(text, f"{INSTANCE}-{name}"))
    return Kubernetes(name, path)


def is_true(thing: Mapping[str, Any], condition: str) -> bool:
    """Return whether an object's status says that a condition holds."""
    conditions = thing["status"].get("conditions", [])
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def eventually(ask: Callable[[], Answer], what: str, seconds: float = 90) -> Answer:
    """Ask twice a second, since each kubectl costs a tenth of one, until the answer is true-ish, and return it."""
    return waiting.eventually(ask, what, seconds, every=0.5)


def fetched(address: str) -> str:
    """Return the page that a server at an address gives, empty if none answers."""
    try:
        with urlopen(f"http://{address}/", timeout=3) as answer:
            text: str = answer.read().decode().strip()
            return text
    except (URLError, OSError):
        return ""


def container(command: str, **more: Any) -> dict[str, Any]:
    """Return a container that runs a shell script, in the image that every node has."""
    return {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", command],
    } | more


def pod_spec(command: str, **more: Any) -> dict[str, Any]:
    """Return a pod's spec with one container; it ends at once when it is deleted."""
    return {"terminationGracePeriodSeconds": 0, "containers": [container(command)]} | more


WEB_SERVER = "mkdir -p /www && hostname >/www/index.html && exec httpd -f -p 8080 -h /www"
"""Says the name of its pod."""


def web_deployment(name: str, replicas: int = 2) -> dict[str, Any]:
    """Return servers on as many nodes, each saying its pod's name."""
    labels = {"app": name}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }
    server = container(WEB_SERVER, readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1})
    spec = pod_spec("", tolerations=EVERYWHERE, topologySpreadConstraints=[spread], containers=[server])
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def web_service(name: str, app: str, **spec: Any) -> dict[str, Any]:
    """Return a load-balanced service of these servers."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "LoadBalancer", "selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]}
        | spec,
    }


def load_balancer_address(k8s: Kubernetes, service: str) -> str:
    """Return the address that a service was given."""

    def ask() -> str:
        ingress = k8s.get("service", service)["status"]["loadBalancer"].get("ingress", [{}])
        return str(ingress[0].get("ip", ""))

    return eventually(ask, f"an address for service {service}")


def _process(pid: str) -> str:
    """Return a process's command line and environment, empty where it has ended."""
    try:
        parts = [Path("/proc", pid, name).read_bytes() for name in ("cmdline", "environ")]
    except OSError:
        return ""
    return b"".join(parts).decode(errors="replace").replace("\0", " ")


@contextmanager
def recorded_processes() -> Iterator[set[str]]:
    """Collect command line and environment of every process that runs meanwhile, in machines and on the host."""
    seen: set[str] = set()
    done = Event()

    def look() -> None:
        looks: dict[str, int] = {}
        while not done.wait(0.2):
            pids = [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]
            looks = {pid: looks.get(pid, 0) + 1 for pid in pids}
            # A process may become another program after it was seen: it is read at every look of its first second,
            # and later every five seconds.
            seen.update(_process(pid) for pid, times in looks.items() if times <= 5 or times % 25 == 0)

    thread = Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def claim(name: str, storage_class: str) -> dict[str, Any]:
    """Return a claim of a small volume."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "64Mi"}},
        },
    }


def pod_with_claim(name: str, node: str, command: str = "exec sleep 1d") -> dict[str, Any]:
    """Return a pod on a node that has the claim of its name at /data."""
    mounts = [{"name": "data", "mountPath": "/data"}]
    spec = pod_spec(
        "",
        containers=[container(command, volumeMounts=mounts)],
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
        nodeSelector={"kubernetes.io/hostname": node},
        tolerations=EVERYWHERE,
    )
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
