"""One cluster of two nodes, from nothing but caches to everything Running: `make up` against a script by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt
import yaml

from bench.by_hand import domain_xml, network_xml
from bench.result import Ratio
from infra.components.add_ons import calico_values, metallb_values, storage_values
from infra.guest import Seed, generate_host_key
from infra.image import Artifact
from infra.image.build import build_node_image
from infra.image.bundle import Bundle
from infra.kubernetes.pki import administrator_kubeconfig, generate_pki
from infra.model.add_ons import METALLB
from infra.model.first_boot import FirstBoot
from infra.model.machine_traits import TRAITS
from infra.model.node import NodeInputs, NodeSecrets
from tests.instance import HOSTS, NETPLAN, address
from tests.project import ROOT

PAIRS = 2
STACK = os.environ.get("AZLOCAL_TEST_INSTANCE", "bench")
VERSION = "1.34.4"
NODE = {"vcpus": 2, "memoryGiB": 3, "diskGiB": 16}
POD_CIDR, SERVICE_CIDR = "10.244.0.0/16", "10.96.0.0/12"
VIP, LOAD_BALANCER = address(1, 70), f"{address(1, 80)}-{address(1, 82)}"


def cluster_of_two_nodes() -> Ratio:
    """Run both in turn and return the ratio; everything is taken down in between."""
    image = build_node_image(print)
    assert image.bundle is not None, "the image of Kubernetes nodes has one"
    ours: list[float] = []
    hand: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        copy = checkout(Path(folder) / "checkout")
        for number in range(PAIRS):
            start_hypervisor()
            hand.append(by_hand(Path(folder) / f"by-hand-{number}", image.container, image.bundle))
            ours.append(timed(make(copy, "up")))
            subprocess.run(make(copy, "down"), check=True, capture_output=True)
    return Ratio("cluster of 1 + 1 nodes, make up / by hand", ours, hand, limit=1.15)


def start_hypervisor() -> None:
    """Have libvirt answer before either begins; `make down` ends it where no systemd runs."""
    subprocess.run([str(ROOT / ".venv/bin/azlocal"), "hypervisor", "start"], check=True)


def stop_hypervisor() -> None:
    """End what `start_hypervisor` started."""
    subprocess.run([str(ROOT / ".venv/bin/azlocal"), "hypervisor", "stop"], check=True)


def timed(command: list[str]) -> float:
    """Run a command and return its seconds."""
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return time.monotonic() - started


# -- ours -----------------------------------------------------------------------------------------


def checkout(folder: Path, **more: Any) -> Path:
    """Clone this checkout, set up from what this one has, and give it an instance of its own.

    Args:
        folder: Where to.
        more: Keys of the stack's configuration, beside or instead of those here.
    """
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    shutil.copytree(ROOT / ".venv", folder / ".venv", symlinks=True)
    shutil.copytree(
        ROOT / ".azlocal", folder / ".azlocal", symlinks=True, ignore=shutil.ignore_patterns("state", "log")
    )
    config = {
        "site": "bench",
        "machineType": "container",
        "resourceBridge": {"vmSize": "Tiny"},
        "clusters": [cluster_named("a")],
    } | more
    hosts = HOSTS | {"vmSizes": HOSTS["vmSizes"] | {"Node": NODE}}
    _dump(folder / f"Pulumi.{STACK}.yaml", {"config": {f"azlocal:{key}": value for key, value in config.items()}})
    _dump(folder / "hosts/bench.yaml", hosts)
    _dump(folder / "netplans/bench.yaml", NETPLAN)
    subprocess.run(["make", "--directory", str(folder), "setup"], check=True, capture_output=True)
    return folder


def cluster_named(name: str) -> dict[str, Any]:
    """Return a cluster of one control plane and one worker, as the stack's file has it."""
    return {
        "name": name,
        "kubernetesVersion": VERSION,
        "logicalNetwork": "aks",
        "controlPlane": {"count": 1, "vmSize": "Node", "hostIP": VIP},
        "agentPools": [{"name": "pool1", "count": 1, "vmSize": "Node"}],
        "loadBalancer": {"addresses": [LOAD_BALANCER]},
    }


def make(checkout: Path, target: str) -> list[str]:
    """Return the command that makes or takes down a checkout's instance."""
    return ["make", "--directory", str(checkout), target, f"STACK={STACK}"]


def kubeconfig(checkout: Path) -> str:
    """Return an instance's kubeconfig; not by `make kubeconfig`, which merges it into the user's own."""
    command = f'eval "$(make --silent env)"; pulumi stack output kubeconfig --show-secrets --stack {STACK}'
    return subprocess.run(["bash", "-c", command], cwd=checkout, capture_output=True, text=True, check=True).stdout


# -- the yardstick --------------------------------------------------------------------------------


def by_hand(folder: Path, container: Artifact, bundle: Bundle) -> float:
    """Make the same cluster by a script, take it down, and return the seconds until all ran."""
    (folder / "seeds").mkdir(parents=True)
    (folder / "values").mkdir()
    try:
        _write_plan(folder, bundle)
        script = str(Path(__file__).parent / "cluster_by_hand.sh")
        return timed([script, str(folder), str(container.path), str(bundle.folder)])
    finally:
        _clean(folder)


def _write_plan(folder: Path, bundle: Bundle) -> None:
    """Write what somebody would have written down before: definitions, seeds, values, objects."""
    pki = generate_pki()
    plane = NodeInputs(
        cluster="hand-a",
        role="controlPlane",
        version=VERSION,
        endpoint=VIP,
        ca_certificate=pki.ca.certificate,
        ca_hash=pki.ca_hash,
        pod_cidr=POD_CIDR,
        service_cidr=SERVICE_CIDR,
        image_tags={name: bundle.images[name].rpartition(":")[2] for name in ("etcd", "coredns")},
    )
    _machine(folder, "hand-cp-node", 1, 20, plane, NodeSecrets(token=pki.token, keys=pki.files))
    worker = plane.model_copy(update={"role": "worker"})
    _machine(folder, "hand-worker-node", 1, 21, worker, NodeSecrets(token=pki.token))
    _machine(folder, "hand-rb", 0, 21, None, NodeSecrets(token=""))
    for number, name in enumerate(("infrastructure", "aks")):
        xml = network_xml(f"hand-{name}", f"hand{number}", address(number, 1))
        (folder / f"network-{number}.xml").write_text(xml)
    (folder / "kubeconfig").touch(mode=0o600)
    (folder / "kubeconfig").write_text(administrator_kubeconfig("hand-a", f"https://{VIP}:6443", pki.ca))
    _dump(folder / "values/calico.yaml", calico_values())
    _dump(folder / "values/metallb.yaml", metallb_values())
    _dump(folder / "values/local-path-provisioner.yaml", storage_values(bundle.images["busybox"]))
    pool = {"cidr": POD_CIDR, "vxlanMode": "Always", "ipipMode": "Never", "natOutgoing": True}
    _dump(folder / "pool.yaml", _object("crd.projectcalico.org/v1", "IPPool", "default-ipv4-ippool", pool))
    addresses = [
        _object("metallb.io/v1beta1", "IPAddressPool", "hand", {"addresses": [LOAD_BALANCER]}, METALLB),
        _object("metallb.io/v1beta1", "L2Advertisement", "hand", {"ipAddressPools": ["hand"]}, METALLB),
    ]
    (folder / "addresses.yaml").write_text(yaml.safe_dump_all(addresses))


def _machine(
    folder: Path, name: str, network: int, host: int, node: NodeInputs | None, secrets: NodeSecrets
) -> None:
    seed = folder / "seeds" / name
    seed.mkdir(mode=0o700)
    host_key = generate_host_key()
    boot = FirstBoot(
        hostname=name,
        address=f"{address(network, host)}/24",
        gateway=address(network, 1),
        dns_servers=[address(network, 1)],
        authorized_keys=[host_key.public_openssh],  # nobody logs in
        node=node,
    )
    for file, content in Seed(name, boot, TRAITS["container"]).render(host_key, secrets).items():
        (seed / file).write_bytes(content)
    xml = domain_xml(
        name,
        disk=folder / f"store/{name}.raw",
        seed=seed,
        network=("hand-infrastructure", "hand-aks")[network],
        memory_mib=3072,
        vcpus=2,
    )
    (folder / f"{name}.xml").write_text(xml)


def _object(api: str, kind: str, name: str, spec: dict[str, Any], namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _clean(folder: Path) -> None:
    """Take down what the script made, whatever of it there is."""
    containers, networks = libvirt.open("lxc:///system"), libvirt.open("qemu:///system")
    for domain in containers.listAllDomains():
        if domain.name().startswith("hand-"):
            insist(domain.destroy, while_true=domain.isActive)
            _remove_control_groups(domain.UUIDString())
            domain.undefine()
    for network in networks.listAllNetworks():
        if network.name().startswith("hand-"):
            network.destroy()
    store = folder / "store"
    insist(lambda: subprocess.run(["umount", str(store)], check=True), while_true=store.is_mount)


def insist(action: Callable[[], object], *, while_true: Callable[[], object]) -> None:
    """Repeat what a busy machine refuses for a moment: processes take their time to die, and hold mounts."""
    deadline = time.monotonic() + 60
    while while_true():
        try:
            action()
        except (libvirt.libvirtError, subprocess.CalledProcessError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _remove_control_groups(uuid: str) -> None:
    for group in Path("/sys/fs/cgroup").glob(f"*/azlocal-{uuid}"):
        subprocess.run(["find", str(group), "-depth", "-type", "d", "-delete"], check=False)


def _dump(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
