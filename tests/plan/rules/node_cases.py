"""Instances whose nodes, pods and machines break a rule of Kubernetes, and such as just keep them."""

from typing import Any

from tests.instances import cluster, host
from tests.plan.rules.rule_cases import PLANE_SIZE, POOL, PROFILE, pods, pool, sized

TIER = "example.com/tier"
LABELS = f"{POOL}.nodeLabels"
TAINTS = f"{POOL}.nodeTaints"
POOLS = "clusters[0].agentPools"
CLASSES = "clusters[0].storageProfile.storageClasses"
LONGEST_PREFIX = ".".join(["a" * 62] * 4) + ".b"
OWN_SIZES = {
    "Tiny": {"vcpus": 1, "memoryGiB": 4},
    "Thin": {"vcpus": 2, "memoryGiB": 1},
    "Huge": {"vcpus": 256, "memoryGiB": 8},
    "Beyond": {"vcpus": 513, "memoryGiB": 8},
    "Least": {"vcpus": 2, "memoryGiB": 2, "diskGiB": 16},
    "Full": {"vcpus": 2, "memoryGiB": 2, "diskGiB": 15},
    "Standard_A4_v2": {"vcpus": 2, "memoryGiB": 4},
    "Standard_A2_v2": {"vcpus": 2, "memoryGiB": 4, "diskGiB": 20},
}


def labelled(**labels: str) -> dict[str, Any]:
    return {"clusters": [cluster(agentPools=[pool(nodeLabels=labels)])]}


def classes(*classes: dict[str, Any]) -> dict[str, Any]:
    return {"clusters": [cluster(storageProfile={"storageClasses": list(classes)})]}


def label(key: str, value: str = "x") -> dict[str, Any]:
    return labelled(**{key: value})


def tainted(*taints: str, **more: Any) -> dict[str, Any]:
    """Return an instance of one pool with taints, and one without where the system's pods run."""
    return {"clusters": [cluster(agentPools=[pool(nodeTaints=list(taints)), pool(name="system")], **more)]}


def all_tainted(*taints: str, **more: Any) -> dict[str, Any]:
    """Return an instance of as many pools as there are taints, one each."""
    pools = [pool(name=f"pool{number}", nodeTaints=[one]) for number, one in enumerate(taints)]
    return {"clusters": [cluster(agentPools=pools, **more)]}


def own_size(instance: dict[str, Any], *names: str) -> dict[str, Any]:
    return instance | {"sizes": {name: OWN_SIZES[name] for name in names}}


def tolerant(metallb: dict[str, Any], storage: dict[str, Any]) -> dict[str, Any]:
    return {
        "metallb": {"values": {"controller": {"tolerations": [metallb]}}},
        "localPathProvisioner": {"values": {"tolerations": [storage]}},
    }


ANYTHING = {"operator": "Exists"}
GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
BAD_LABELS: list[tuple[str, str]] = [
    # key, value
    ("", "x"),
    ("a b", "x"),
    ("-a", "x"),
    ("a-", "x"),
    ("ä", "x"),
    ("a=b", "x"),
    ("a,b", "x"),
    ("a" * 64, "x"),
    ("/a", "x"),
    ("a/", "x"),
    ("a/b/c", "x"),
    ("Example.com/a", "x"),
    ("example..com/a", "x"),
    ("example_.com/a", "x"),
    (f"{LONGEST_PREFIX}c/a", "x"),
    (TIER, "a b"),
    (TIER, "a,b=c"),
    (TIER, "a=b"),
    (TIER, "-a"),
    (TIER, "a."),
    (TIER, "x" * 64),
    (TIER, "a/b"),
    (TIER, "web\nx"),
]
FORBIDDEN_LABELS = [
    "node-role.kubernetes.io/worker",
    "kubernetes.io/role",
    "k8s.io/a",
    "x.k8s.io/a",
    "storage.k8s.io/a",
    "a.b.kubernetes.io/c",
    "node-restriction.kubernetes.io/fips",
    "x.node-restriction.kubernetes.io/a",
    "beta.kubernetes.io/fluentd-ds-ready",
    "topology.kubernetes.io/rack",
    "xkubelet.kubernetes.io/a",
]
GOOD_LABELS: list[tuple[str, str]] = [
    ("tier", "web"),
    ("tier", ""),
    ("A.b_c-9", "A.b_c-9"),
    ("a", "9"),
    ("a" * 63, "x" * 63),
    (f"{LONGEST_PREFIX}/{'a' * 63}", "x"),
    ("xn--bcher-kva.example/a", "x"),
    ("1.2/3", "x"),
    ("node.kubernetes.io/a", "x"),
    ("x.node.kubernetes.io/a", "x"),
    ("kubelet.kubernetes.io/a", "x"),
    ("node.kubernetes.io/instance-type", "x"),
    ("topology.kubernetes.io/zone", "a"),
    ("topology.kubernetes.io/region", "a"),
    ("failure-domain.beta.kubernetes.io/zone", "a"),
    ("mykubernetes.io/a", "x"),
    ("kubernetes.io.example.com/a", "x"),
    ("kubernetes.io", "x"),
]
BAD_TAINTS = [
    "",
    ":",
    ":NoSchedule",
    "=x:NoSchedule",
    "gpu",
    "gpu=yes",
    "gpu:",
    "gpu=yes:NoSchedul",
    "gpu=yes:noschedule",
    "gpu=yes:NOSCHEDULE",
    "gpu=yes:NoScheduleNoAdmit",
    "gpu=yes:NoSchedule ",
    "gpu = yes:NoSchedule",
    "gpu=yes=no:NoSchedule",
    "gpu=a:b:NoSchedule",
    "gpu=yes,tier=x:NoSchedule",
    "gpu=yes:NoSchedule,tier=x:NoSchedule",
    "a/b/c=x:NoExecute",
    "Example.com/a=x:NoExecute",
    f"gpu={'x' * 64}:NoExecute",
    f"{'a' * 64}:NoExecute",
]
GOOD_TAINTS = [
    "gpu=yes:NoSchedule",
    "gpu:NoExecute",
    "gpu=:NoSchedule",
    "example.com/gpu=yes:PreferNoSchedule",
    "CriticalAddonsOnly=true:NoSchedule",
    "node-role.kubernetes.io/control-plane:NoSchedule",
    f"{LONGEST_PREFIX}/{'a' * 63}={'x' * 63}:NoExecute",
]

NODE_CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("node-label-invalid", f"{LABELS}.a b", label("a b")),
    ("node-label-invalid", f"{LABELS}.{TIER}", label(TIER, "a,b=c")),
    ("node-label-forbidden", f"{LABELS}.k8s.io/a", label("k8s.io/a")),
    ("node-label-overwrites", f"{LABELS}.kubernetes.io/hostname", label("kubernetes.io/hostname")),
    ("node-label-overwrites", f"{LABELS}.kubernetes.io/os", label("kubernetes.io/os", "linux")),
    ("node-label-overwrites", f"{LABELS}.kubernetes.azure.com/mode", label("kubernetes.azure.com/mode")),
    ("node-taint-invalid", f"{TAINTS}[1]", tainted("spot:NoExecute", "gpu=yes:NoSchedul")),
    ("storage-class-name", f"{CLASSES}[0].name", classes({"name": "Fast_Disk"})),
    ("storage-class-name", f"{CLASSES}[0].name", classes({"name": "default-retain"})),
    ("storage-class-twice", f"{CLASSES}[1].name", classes({"name": "a"}, {"name": "a"})),
    (
        "storage-class-twice",
        f"{CLASSES}[1].isDefault",
        classes({"name": "a", "isDefault": True}, {"name": "b", "isDefault": True}),
    ),
    (
        "storage-class-unknown-pool",
        f"{CLASSES}[0].agentPools[1]",
        classes({"name": "a", "agentPools": ["nodepool1", "p2"]}),
    ),
    (
        "storage-class-immediate",
        f"{CLASSES}[0].volumeBindingMode",
        classes({"name": "a", "volumeBindingMode": "Immediate"}),
    ),
    (
        "storage-class-expands",
        f"{CLASSES}[0].allowVolumeExpansion",
        classes({"name": "a", "allowVolumeExpansion": True}),
    ),
    ("node-taint-twice", f"{TAINTS}[1]", tainted("gpu=a:NoSchedule", "gpu=b:NoSchedule")),
    ("node-taint-twice", f"{TAINTS}[2]", tainted("gpu:NoSchedule", "gpu:NoExecute", "gpu=:NoSchedule")),
    ("node-taint-taken-away", f"{TAINTS}[0]", tainted("node.kubernetes.io/not-ready:NoSchedule")),
    ("pods-without-node", POOLS, all_tainted("gpu=yes:NoSchedule")),
    ("pods-without-node", POOLS, all_tainted("gpu=yes:NoSchedule", "spot:NoExecute")),
    ("pods-without-node", POOLS, all_tainted("CriticalAddonsOnly=true:NoSchedule")),
    ("pods-without-node", POOLS, all_tainted("gpu=yes:NoSchedule", addOns={"metallb": {"enabled": False}})),
    ("pods-without-node", POOLS, all_tainted("gpu=yes:NoExecute", addOns=tolerant(GPU, ANYTHING))),
    ("pods-without-node", POOLS, all_tainted("gpu=no:NoSchedule", addOns=tolerant(ANYTHING, GPU))),
    (
        "pods-without-node",
        POOLS,
        all_tainted(
            "gpu=yes:NoSchedule",
            addOns=tolerant(ANYTHING, ANYTHING),
            arc={"fluxConfigurations": [{"name": "f", "gitRepository": {"url": "https://git.example/r"}}]},
        )
        | {"stack": {"arc": {"cloud": "emulator", "emulatorAddress": "192.168.1.9"}}},
    ),
    ("pod-cidr-refused", f"{PROFILE}.podCidr", {"clusters": [pods("172.30.0.0/25")]}),
    ("pod-cidr-refused", f"{PROFILE}.podCidr", {"clusters": [pods("172.30.0.0/32")]}),
    ("pod-cidr-refused", f"{PROFILE}.podCidr", {"clusters": [pods("32.0.0.0/7")]}),
    ("pod-cidr-refused", f"{PROFILE}.podCidr", {"clusters": [pods("0.0.0.0/0")]}),
    (
        "service-cidr-refused",
        f"{PROFILE}.serviceCidr",
        {"clusters": [pods("172.30.0.0/16", service="172.20.0.0/29")]},
    ),
    (
        "service-cidr-refused",
        f"{PROFILE}.serviceCidr",
        {"clusters": [pods("172.30.0.0/16", service="172.20.0.1/32")]},
    ),
    (
        "service-cidr-refused",
        f"{PROFILE}.serviceCidr",
        {"clusters": [pods("172.30.0.0/16", service="32.0.0.0/11")]},
    ),
    ("control-plane-too-small", PLANE_SIZE, own_size({"clusters": [sized("Tiny")]}, "Tiny")),
    ("control-plane-too-small", PLANE_SIZE, own_size({"clusters": [sized("Thin")]}, "Thin")),
    (
        "control-plane-too-small",
        PLANE_SIZE,
        own_size({"clusters": [sized("Tiny")], "stack": {"machineType": "container"}}, "Tiny"),
    ),
    (
        "worker-too-small",
        f"{POOL}.vmSize",
        own_size({"clusters": [cluster(agentPools=[pool(vmSize="Thin")])]}, "Thin"),
    ),
    (
        "vm-size-too-large",
        f"{POOL}.vmSize",
        own_size({"clusters": [cluster(agentPools=[pool(vmSize="Huge")])]}, "Huge"),
    ),
    (
        "vm-size-too-large",
        "resourceBridge.vmSize",
        own_size({"stack": {"resourceBridge": {"vmSize": "Huge"}}}, "Huge"),
    ),
    (
        "vm-size-too-large",
        "resourceBridge.vmSize",
        own_size({"stack": {"machineType": "container", "resourceBridge": {"vmSize": "Beyond"}}}, "Beyond"),
    ),
    (
        "vm-disk-too-small",
        "resourceBridge.vmSize",
        own_size({"stack": {"resourceBridge": {"vmSize": "Full"}}}, "Full"),
    ),
    ("vm-size-redefined", "vmSizes.Standard_A4_v2", own_size({"clusters": [cluster()]}, "Standard_A4_v2")),
]

NODE_SOUND: list[dict[str, Any]] = [
    classes({"name": "a" * 100, "isDefault": True, "agentPools": ["nodepool1"], "folder": "a"}, {"name": "b.c"}),
    *(label(key, value) for key, value in GOOD_LABELS),
    *(tainted(one) for one in GOOD_TAINTS),
    labelled(a="x", b="y"),
    tainted("gpu=a:NoSchedule", "gpu=a:NoExecute"),
    all_tainted("gpu=yes:PreferNoSchedule"),
    all_tainted("gpu=yes:NoSchedule", "spot:PreferNoSchedule"),
    all_tainted("gpu=yes:NoSchedule", addOns=tolerant(GPU, ANYTHING)),
    all_tainted("gpu=yes:NoSchedule", addOns=tolerant({"key": "gpu", "operator": "Exists"}, GPU)),
    all_tainted(
        "gpu=yes:NoSchedule", "spot:NoExecute", addOns=tolerant(GPU, {"key": "spot", "operator": "Exists"})
    ),
    all_tainted("gpu=yes:NoSchedule", provisioning="machines"),
    {"clusters": [pods("172.30.0.0/25", provisioning="machines", agentPools=[pool(maxPods=10)])]},
    own_size({"clusters": [cluster()]}, "Standard_A2_v2"),
    own_size({"clusters": [cluster()]}, "Tiny", "Thin", "Huge", "Beyond"),
    {"clusters": [cluster()], "hosts": [host(cpus=512, memoryGiB=24 * 1024, diskGiB=1)]},
]
