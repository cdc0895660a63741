"""A real cluster, from one `pulumi up`: nodes, pod network, policies, services, volumes, secrets, faults, its end.

One cluster serves all tests of this file, each a step that goes on from the one before: what is promised of a
healthy cluster; what goes wrong inside it, which `up` says within its time and the next `up` repairs; a second
cluster beside it, that ends with its machines off; and its own end, when its API server answers no more. A healthy
cluster's end is the last step of test_arc.py.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from infra.image.bundle.components import CONTAINERD_VERSION, RUNC_VERSION
from infra.image.bundle.store import find_bundle
from infra.kubernetes.api import ClusterApi
from infra.model.versions import DEFAULT
from infra.plan.addresses import ADDRESS_LOCK, plan_addresses
from infra.plan.host_networks import bridge_name
from infra.provider.kinds.cluster_base import logged_in
from infra.provider.kinds.node_images import bring
from infra.provider.settings_check import SettingsCheck
from infra.resources.control_plane import Member
from infra.spec import load_instance
from tests import waiting
from tests.arp import answers
from tests.cluster import (
    DOWN_SECONDS,
    EVERYWHERE,
    WEB_SERVER,
    Kubernetes,
    claim,
    container,
    eventually,
    fetched,
    is_true,
    kubernetes,
    kubernetes_cluster,
    load_balancer_address,
    pod_spec,
    recorded_processes,
    web_deployment,
    web_service,
)
from tests.emptiness import leftovers
from tests.instance import INSTANCE, address, on, power_off, projects, virsh
from tests.project import ROOT, Project, Run
from tests.provider.test_kinds import operation
from tests.waiting import waits_less_than

pytestmark = [pytest.mark.e2e, pytest.mark.chain]

STORAGE = Path("/var/lib/azlocal") / INSTANCE

MINUTES = 0.25
"""timeoutMinutes of a cluster that is known to fail."""

WRONG_IMAGE = {"metallb": {"values": {"controller": {"image": {"tag": "nope"}}}}}

TWO_WORKERS: dict[str, Any] = {"agentPools": [{"name": "pool1", "count": 2, "vmSize": "Node"}]}
LATE = f"{INSTANCE}-a-pool1-1"
"""The second of them, which comes later than the others."""

TOKENS = "type=bootstrap.kubernetes.io/token"


DATABASES = {"name": "databases", "folder": "databases", "agentPools": ["pool1"]}


def cluster_a(**changes: Any) -> dict[str, Any]:
    """Return the first cluster, with a StorageClass of its own."""
    return kubernetes_cluster(storageProfile={"storageClasses": [DATABASES]}, **changes)


@dataclass(frozen=True)
class Made:
    """What the first `up` made, and what could be seen of it meanwhile."""

    project: Project
    a: Kubernetes
    output: str
    processes: frozenset[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("cluster")
    with projects(folder, shared=True) as make:
        project = make(clusters=[cluster_a()])
        project.environment["XDG_STATE_HOME"] = str(folder / "state-home")  # where logs are collected
        (folder / "temporary").mkdir(exist_ok=True)
        project.environment["TMPDIR"] = str(folder / "temporary")
        with recorded_processes() as processes:
            run = project.up(timeout=900).expect()
        yield Made(project, kubernetes(project, "a"), run.output, frozenset(processes))


@pytest.fixture(scope="module")
def a(made: Made) -> Kubernetes:
    return made.a


# -- what `up` promises ---------------------------------------------------------------------------


def test_every_node_is_ready_and_every_pod_runs(a: Kubernetes) -> None:
    assert a.nodes() == {a.control_plane: True, a.worker: True}
    assert a.unfinished_pods() == []
    names = {pod["metadata"]["name"] for pod in a.get("pods", "--all-namespaces")["items"]}
    for part in ("calico-node", "coredns", "etcd", "kube-proxy", "controller", "speaker", "local-path"):
        assert any(part in name for name in names), f"{part} is among {sorted(names)}"


def test_a_second_up_changes_nothing_and_preview_and_refresh_show_nothing(made: Made) -> None:
    assert {step["op"] for step in made.project.preview()["steps"]} == {"same"}
    made.project.up("--expect-no-changes").expect()
    made.project.refresh("--expect-no-changes").expect()


def status(project: Project, code: int) -> dict[str, Any]:
    """Return what `azlocal status` says; a busy machine has a minute."""
    run = project.azlocal("status", "--timeout", "1m", "--format", "json")
    assert run.code == code, run.output
    seen: dict[str, Any] = json.loads(run.output)
    return seen


def test_status_says_that_everything_planned_runs(made: Made, a: Kubernetes) -> None:
    seen = status(made.project, 0)
    assert (seen["state"], seen["reasons"], seen["run"]) == ("ok", [], None)
    assert {machine["name"]: machine["ready"] for machine in seen["machines"]} == {
        f"{INSTANCE}-rb-0": None,
        a.control_plane: True,
        a.worker: True,
    }
    (cluster,) = seen["clusters"]
    assert (cluster["version"], cluster["nodes"]) == (DEFAULT.version, {"count": 2, "total": 2})
    assert (cluster["etcd"]["healthy"], cluster["etcd"]["hasQuorum"]) == (1, True)
    assert seen["lastRun"]["command"] in {"azlocal up", "azlocal refresh"}, "what the tests before did last"
    assert [source for source in seen["sources"] if source["failure"]] == []


def test_programs_take_what_the_cluster_tells_them_and_say_what_they_do_not(a: Kubernetes) -> None:
    bundle, warnings = find_bundle(), list[str]()
    assert bundle is not None
    check = SettingsCheck([bundle], warnings.append)
    api = ClusterApi(a.kubeconfig.read_text())
    assert (check.objections(api), warnings) == ([], [])
    before = a.get("configmap", "kubelet-config", "--namespace=kube-system")["data"]["kubelet"]

    def write(text: str) -> None:
        patch = json.dumps({"data": {"kubelet": text}})
        a.kubectl("patch", "configmap", "kubelet-config", "--namespace=kube-system", f"--patch={patch}")

    write(f"{before}\nfeatureGates: {{AppArmor: true}}\n")
    (objection,) = check.objections(api)
    write(before)
    assert "unrecognized feature gate: AppArmor. It stands in ConfigMap kube-system/kubelet-config" in objection


def test_a_host_takes_snapshots_by_a_schedule_as_long_as_the_file_says(made: Made) -> None:
    made.project.edit(clusters=[kubernetes_cluster(snapshots={"everyHours": 6, "keep": 1})])
    output = " ".join(made.project.up().expect().output.split())
    key = f"{INSTANCE}-a"
    folder = STORAGE / "backups" / f"{key}.schedule"
    command = ["python3", str(folder / "take-snapshot"), str(folder)]
    if not Path("/run/systemd/system").exists():
        assert f"have another scheduler there run `{' '.join(command)}` as root every 6 h" in output
    listed = made.project.azlocal("backup", "--list").expect().output
    assert "it has taken none yet" in " ".join(listed.split())

    for _ in range(2):
        taken = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
        time.sleep(1)
    snapshots = json.loads(made.project.azlocal("backup", "--list", "--format", "json").expect().output)
    (snapshot,) = [one for one in snapshots["snapshots"] if one["reason"] == "schedule"]
    assert (snapshot["name"], snapshot["kubernetesVersion"]) == (taken, DEFAULT.version)
    assert [one["last"] for one in snapshots["schedules"]] == [taken]
    file = made.project.directory / "fetched.db"
    made.project.azlocal("backup", "--cluster", "a", "--fetch", taken, "-o", str(file)).expect()
    assert file.stat().st_size == snapshot["size"]

    # Who can't reach etcd any more says so, at every look.
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps(settings | {"members": ["127.0.0.1:1"]}))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    assert "FAILING since" in made.project.azlocal("backup", "--list").expect().output
    again = " ".join(made.project.up().expect().output.split())
    assert "takes no snapshots of cluster a since" in again
    assert "no member of etcd answers" in made.project.refresh().expect().output

    made.project.edit(clusters=[kubernetes_cluster()])
    made.project.up().expect()
    assert not folder.exists()
    assert "schedules" not in json.loads(
        made.project.azlocal("backup", "--list", "--format", "json").expect().output
    )


def test_what_a_pool_says_of_its_nodes_is_patched_as_they_run(made: Made, a: Kubernetes) -> None:
    """More of it is in test_pools.py."""
    a.kubectl("label", "node", a.worker, "example.com/mine=1")
    born = virsh("domid", a.worker)
    pool = {
        "name": "pool1",
        "count": 1,
        "vmSize": "Node",
        "maxPods": 120,
        "nodeLabels": {"example.com/tier": "web"},
    }
    pool["nodeTaints"] = ["dedicated=web:PreferNoSchedule"]
    made.project.edit(clusters=[kubernetes_cluster(agentPools=[pool])])
    output = " ".join(made.project.up().expect().output.split())
    assert f"{a.worker} is patched as it runs: label example.com/tier none → web, taint" in output

    def node() -> tuple[set[str], list[str], str]:
        found = a.get("node", a.worker)
        labels = {name for name in found["metadata"]["labels"] if name.startswith("example.com/")}
        taints = [taint["key"] for taint in found["spec"].get("taints") or []]
        return labels, taints, found["status"]["capacity"]["pods"]

    patched = {"example.com/mine", "example.com/tier"}, ["dedicated"], "120"
    eventually(lambda: node() == patched, "the node is as the file says", 30)
    made.project.edit(clusters=[cluster_a()])
    made.project.up().expect()
    eventually(lambda: node() == ({"example.com/mine"}, [], "110"), "what the file said is gone", 30)
    assert virsh("domid", a.worker) == born


def test_the_kubeconfig_is_a_secret_output_that_works(made: Made) -> None:
    assert made.project.printed_outputs()["kubeconfig"] == "[secret]"
    assert stat.S_IMODE(made.a.kubeconfig.stat().st_mode) == 0o600
    assert made.a.kubectl("auth", "can-i", "*", "*", "--all-namespaces").strip() == "yes"
    endpoint = made.project.outputs()["clusters"]["a"]["endpoint"]
    assert endpoint in made.a.kubectl("config", "view", "--minify")


# -- secrets --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secrets(made: Made) -> dict[str, str]:
    """A line of each private key of the cluster, and its token's secret part, by what they are."""
    state = json.loads(made.project.pulumi("stack", "export", "--show-secrets").expect().output)
    (identity,) = (
        one["outputs"] for one in state["deployment"]["resources"] if one["type"].endswith(":ClusterIdentity")
    )
    keys, token = revealed(identity["keys"]), revealed(identity["token"])
    found = {name: pem.splitlines()[1] for name, pem in keys.items() if "PRIVATE KEY" in pem}
    assert "ca.key" in found
    (encryption_key,) = revealed(identity["encryptionKeys"])
    return found | {"token": token.partition(".")[2], "encryption key": encryption_key}


def revealed(value: Any) -> Any:
    """Return what `pulumi stack export --show-secrets` says that a secret is."""
    return json.loads(value["plaintext"]) if isinstance(value, dict) and "plaintext" in value else value


def test_no_secret_lies_in_plain_text(made: Made, secrets: dict[str, str]) -> None:
    places = {
        "pulumi stack export": made.project.pulumi("stack", "export").expect().output,
        "the output of pulumi up": made.output,
        "processes": "\n".join(made.processes),
        **shown_by_the_engine(made.project),
    }
    for path in (made.project.directory / "state").rglob("*"):
        if path.is_file():
            places[str(path)] = path.read_bytes().decode(errors="replace")
    places |= temporary_files(made)
    for machine in (made.a.control_plane, made.a.worker):
        places[f"virsh dumpxml {machine}"] = virsh("dumpxml", machine)
    assert any("kubeadm join" in line for line in made.processes), "processes in machines were seen"
    assert any("PULUMI_BACKEND_URL=" in line for line in made.processes), "and their environments"
    assert found_in(places, secrets) == []


def shown_by_the_engine(project: Project) -> dict[str, str]:
    """Return what is shown of a machine that is to be made, with the keys it will get, and by a refresh."""
    project.edit(clusters=[kubernetes_cluster(**TWO_WORKERS)])
    preview = project.pulumi("preview", "--diff").expect().output
    assert LATE in preview
    assert "nodeSecrets" in preview
    project.edit(clusters=[cluster_a()])
    return {"pulumi preview --diff": preview, "pulumi refresh --diff": project.refresh().expect().output}


def found_in(places: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    """Return which secret stands in which place."""
    return [f"{name} in {place}" for place, text in places.items() for name, one in secrets.items() if one in text]


def temporary_files(made: Made) -> dict[str, str]:
    """Return what the stack's commands have left in their folder for temporary files."""
    folder = Path(made.project.environment["TMPDIR"])
    return {str(path): path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()}


def holds_a_key(project: Project) -> bool:
    """Return whether azlocal's plugin has an administrator's key in memory, where a client takes it from."""
    descriptors = [
        one
        for pid, words in project.processes().items()
        if "infra.provider" in words
        for one in Path(f"/proc/{pid}/fd").glob("*")
    ]
    with suppress(OSError):  # it has ended
        return any(str(one.readlink()).startswith("/memfd:client-key") for one in descriptors)
    return False


def test_no_key_outlives_a_run_that_is_killed(made: Made, secrets: dict[str, str]) -> None:
    api_server("-I", made)  # a client waits for its silence, the key in hand: else that takes milliseconds
    run = made.project.start("refresh", "--yes", "--skip-preview")
    try:
        waiting.eventually(lambda: holds_a_key(made.project), "a plugin with a key", 60, every=0.02)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        made.project.reap()
        api_server("-D", made)
    left = temporary_files(made)
    assert [path for path, text in left.items() if "PRIVATE KEY" in text] == []
    assert [path for path, text in left.items() for one in secrets.values() if one in text] == []
    made.project.settle().expect()


def test_seeds_are_wiped_and_nodes_keep_no_token(made: Made, secrets: dict[str, str]) -> None:
    seeds = STORAGE / "seeds"
    assert {path.name for path in seeds.iterdir()} >= {made.a.control_plane, made.a.worker}
    assert [str(path) for path in seeds.rglob("*") if path.is_file()] == []
    folders = ("/etc", "/run", "/var/lib/cloud", "/var/lib/kubelet", "/var/log", "/root", "/home")
    for machine in (made.a.control_plane, made.a.worker):
        # From standard input: what is looked for is a secret still.
        done = on(
            made.project,
            machine,
            *("sudo", "grep", "-rlIsF", "-f", "-", *folders, "||", "true"),
            stdin=f"{secrets['token']}\n",
        )
        assert done == "", f"{machine} keeps the token"
        control = on(made.project, machine, "sudo", "grep", "-rlIsF", "-f", "-", "/etc", stdin=f"{machine}\n")
        assert "/etc/hostname" in control.splitlines(), "what is there is found"


def test_etcd_has_secrets_encrypted_by_a_key_that_control_planes_alone_have(
    made: Made, a: Kubernetes, secrets: dict[str, str]
) -> None:
    password = "never-in-plain-text"
    a.kubectl("create", "secret", "generic", "encrypted", f"--from-literal=password={password}")
    pki = "/etc/kubernetes/pki/etcd"
    files = ["--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key", f"{pki}/server.key"]
    asked = ("sudo", "curl", "--silent", "--show-error", "--fail", *files, "--data", "@-")
    key = b64encode(b"/registry/secrets/default/encrypted").decode("ascii")
    said = on(
        made.project,
        a.control_plane,
        *(*asked, "https://127.0.0.1:2379/v3/kv/range"),
        stdin=json.dumps({"key": key}),
    )
    value = b64decode(json.loads(said)["kvs"][0]["value"])
    assert value.startswith(b"k8s:enc:secretbox:v1:key-")
    assert password.encode() not in value
    read = a.get("secret", "encrypted")["data"]["password"]
    assert b64decode(read).decode() == password
    a.kubectl("delete", "secret", "encrypted")

    file = "/etc/kubernetes/azlocal/encryption.yaml"
    assert on(made.project, a.control_plane, "sudo", "stat", "--format=%U:%a", file).strip() == "root:600"
    for machine, expected in ((a.control_plane, [file]), (a.worker, [])):
        found = on(
            made.project,
            machine,
            *("sudo", "grep", "-rlIsF", "-f", "-", "/etc", "/run", "/var/lib/cloud", "/root", "||", "true"),
            stdin=f"{secrets['encryption key']}\n",
        )
        assert found.splitlines() == expected


# -- what runs containers -------------------------------------------------------------------------


def test_nodes_run_the_bundle_s_containerd_and_runc(made: Made, a: Kubernetes) -> None:
    runtimes = {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["containerRuntimeVersion"]
        for node in a.get("nodes")["items"]
    }
    containerd = f"containerd://{CONTAINERD_VERSION.removeprefix('v')}"
    assert runtimes == dict.fromkeys((a.control_plane, a.worker), containerd)
    for machine in (a.control_plane, a.worker):
        said = on(made.project, machine, "runc", "--version").splitlines()
        assert said[0] == f"runc version {RUNC_VERSION.removeprefix('v')}"
        assert any(line.startswith("libseccomp: ") for line in said), f"{machine}: pods can have seccomp profiles"
        packed = (
            "sudo",
            "du",
            "--summarize",
            "--block-size=1M",
            "/var/lib/containerd/io.containerd.content.v1.content",
        )
        assert int(on(made.project, machine, *packed).split()[0]) < 10, "the image has its layers unpacked only"


def test_calico_is_asked_how_it_is_without_a_new_process(a: Kubernetes) -> None:
    (node,) = a.get("daemonset", "calico-node", "--namespace", "kube-system")["spec"]["template"]["spec"][
        "containers"
    ]
    asked = {probe: node[probe].get("httpGet", {}).get("path") for probe in ("livenessProbe", "readinessProbe")}
    assert asked == {"livenessProbe": "/liveness", "readinessProbe": "/readiness"}


def test_a_node_that_lacks_an_image_of_the_bundle_is_brought_it(made: Made, a: Kubernetes) -> None:
    bundle = find_bundle()
    assert bundle is not None
    reference = bundle.images["agent-runtime"]
    list_images = ("sudo", "ctr", "--namespace", "k8s.io", "images", "list", "--quiet")
    on(made.project, a.worker, *list_images[:-2], "remove", reference)
    assert reference not in on(made.project, a.worker, *list_images).splitlines()
    known = made.project.outputs()["machines"][a.worker]
    member = Member(name=a.worker, role="worker", address=known["address"], ssh_host_key=known["sshHostKey"])
    archives = bundle.archives
    key = str(made.project.directory.parent / "id_ed25519")
    bring(operation("ControlPlane"), [member], archives, lambda one: logged_in(one, [key]))
    assert reference in on(made.project, a.worker, *list_images).splitlines()
    ref = f"name=={reference}"
    line = on(made.project, a.worker, *list_images[:-2], "check", ref).splitlines()[-1]
    assert " complete " in line
    assert line.rstrip().endswith("true"), "unpacked"
    # And kubelet finds it.
    pod = pod_spec(
        "",
        containers=[container("true", image=reference, imagePullPolicy="Never")],
        nodeSelector={"kubernetes.io/hostname": a.worker},
        restartPolicy="Never",
    )
    a.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "brought"}, "spec": pod})
    a.wait("jsonpath={.status.phase}=Succeeded", "pod/brought")
    a.kubectl("delete", "pod", "brought")


# -- pod network ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pods(a: Kubernetes) -> dict[str, str]:
    """Pods `here`, on the control plane, and `there`, on the worker, each a web server; their addresses."""
    for name, node in (("here", a.control_plane), ("there", a.worker)):
        spec = pod_spec(
            WEB_SERVER,
            nodeSelector={"kubernetes.io/hostname": node},
            tolerations=EVERYWHERE,
            securityContext={"seccompProfile": {"type": "RuntimeDefault"}},
        )
        metadata = {"name": name, "labels": {"app": name}}
        a.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    a.wait("condition=Ready", "pod/here", "pod/there")
    return {name: str(a.get("pod", name)["status"]["podIP"]) for name in ("here", "there")}


def test_a_pod_of_the_default_profile_has_its_system_calls_filtered(a: Kubernetes, pods: dict[str, str]) -> None:
    for pod in pods:
        assert "Seccomp:\t2" in a.said(pod, "grep Seccomp: /proc/1/status")


def vxlan_packets(project: Project, machine: str) -> int:
    """Return how many packets a machine has sent into its tunnel."""
    return int(on(project, machine, "cat", "/sys/class/net/vxlan.calico/statistics/tx_packets"))


def test_pods_reach_each_other_across_nodes_over_vxlan(made: Made, pods: dict[str, str]) -> None:
    a, project = made.a, made.project
    for machine, pod in ((a.control_plane, pods["there"]), (a.worker, pods["here"])):
        assert "dev vxlan.calico" in on(project, machine, "ip", "route", "get", pod)
    link = on(project, a.control_plane, "ip", "-details", "link", "show", "vxlan.calico")
    assert "dstport 4789" in link
    assert f"local {project.outputs()['machines'][a.control_plane]['address']}" in link
    sent = {machine: vxlan_packets(project, machine) for machine in (a.control_plane, a.worker)}
    a.said("here", f"ping -c 20 -i 0.1 -W 2 {pods['there']}")
    assert a.fetched("here", f"{pods['there']}:8080") == "there"
    assert a.fetched("there", f"{pods['here']}:8080") == "here"
    for machine, before in sent.items():
        assert vxlan_packets(project, machine) >= before + 20, f"{machine} sends requests or answers through it"


def test_a_pod_resolves_services_and_is_served_by_them(a: Kubernetes, pods: dict[str, str]) -> None:
    assert "10.96.0.1" in a.said("there", "nslookup kubernetes.default.svc.cluster.local")
    service = {"selector": {"app": "here"}, "ports": [{"port": 80, "targetPort": 8080}]}
    a.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "here"}, "spec": service})
    given = a.get("service", "here")["spec"]["clusterIP"]
    resolve = "nslookup here.default.svc.cluster.local"
    eventually(lambda: given in a.sh("there", resolve).stdout, "the new service's name", 60)
    eventually(lambda: a.fetched("there", given) == "here", "an answer from the service", 60)


def network_policy(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": {"app": "there"}}, "policyTypes": ["Ingress"]} | spec,
    }


def test_a_network_policy_blocks_and_then_allows(a: Kubernetes, pods: dict[str, str]) -> None:
    def is_reached() -> bool:
        return a.fetched("here", f"{pods['there']}:8080") == "there"

    assert is_reached()
    a.apply(network_policy("nobody"))
    eventually(lambda: not is_reached(), "the policy blocks", 60)
    time.sleep(2)
    assert not is_reached()
    allowed = {"from": [{"podSelector": {"matchLabels": {"app": "here"}}}], "ports": [{"port": 8080}]}
    a.apply(network_policy("here", ingress=[allowed]))
    eventually(is_reached, "the policy allows", 60)
    a.kubectl("delete", "networkpolicy", "nobody", "here")


# -- volumes --------------------------------------------------------------------------------------


MOUNT = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}


def test_a_stateful_sets_data_survives_its_pod(a: Kubernetes) -> None:
    labels = {"app": "database"}
    template = claim("data", "default") | {"metadata": {"name": "data"}}
    pod = pod_spec("", containers=[container("date +%s%N >>/data/starts && exec httpd -f", **MOUNT)])
    spec = {
        "serviceName": "database",
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
        "volumeClaimTemplates": [template],
    }
    a.apply({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "database"}, "spec": spec})
    eventually(lambda: a.run("get", "pod", "database-0").returncode == 0, "the set's pod", 30)
    a.wait("condition=Ready", "pod/database-0")
    born = a.get("pod", "database-0")["metadata"]["uid"]
    first = a.said("database-0", "cat /data/starts").splitlines()
    a.kubectl("delete", "pod", "database-0")
    a.wait("condition=Ready", "pod/database-0")
    assert a.get("pod", "database-0")["metadata"]["uid"] != born
    starts = a.said("database-0", "cat /data/starts").splitlines()
    assert starts[: len(first)] == first
    assert len(starts) == len(first) + 1


def test_retain_keeps_a_volume_after_its_claim_and_delete_does_not(made: Made) -> None:
    a = made.a
    volumes = {}
    for name, storage_class in (("kept", "default-retain"), ("gone", "default")):
        mounted = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
        writer = container(f"echo {name} >/data/file && sync && exec httpd -f", **MOUNT)
        pod = pod_spec("", containers=[writer], volumes=mounted)
        metadata = {"name": f"writes-{name}"}
        a.apply(claim(name, storage_class), {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
    for name in ("kept", "gone"):
        a.wait("condition=Ready", f"pod/writes-{name}")
        volumes[name] = a.get("pvc", name)["spec"]["volumeName"]
    spec = a.get("pv", volumes["kept"])["spec"]
    folder = (spec.get("local") or spec["hostPath"])["path"]
    a.kubectl("delete", "pod/writes-kept", "pod/writes-gone", "pvc/kept", "pvc/gone")
    a.wait("delete", f"pv/{volumes['gone']}")
    eventually(lambda: a.get("pv", volumes["kept"])["status"]["phase"] == "Released", "the volume is released", 30)
    assert on(made.project, a.worker, "sudo", "cat", f"{folder}/file") == "kept"


def test_a_volume_that_can_not_grow_says_so_at_once(a: Kubernetes) -> None:
    """The provisioner knows no sizes: a class that allowed it would leave the claim waiting for good."""
    larger = json.dumps({"spec": {"resources": {"requests": {"storage": "128Mi"}}}})
    refused = a.run("patch", "pvc", "data-database-0", "--patch", larger)
    assert refused.returncode != 0
    assert "must support resize" in refused.stderr
    assert {one["metadata"]["name"]: one.get("allowVolumeExpansion", False) for one in a.get("sc")["items"]} == {
        "default": False,
        "default-retain": False,
        "databases": False,
    }


def test_a_declared_class_has_its_folder_and_its_pool(made: Made) -> None:
    a = made.a
    mounted = [{"name": "data", "persistentVolumeClaim": {"claimName": "own"}}]
    pod = pod_spec("", containers=[container("echo own >/data/file && exec httpd -f", **MOUNT)], volumes=mounted)
    a.apply(
        claim("own", "databases"),
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writes-own"}, "spec": pod},
    )
    a.wait("condition=Ready", "pod/writes-own")
    volume = a.get("pvc", "own")["spec"]["volumeName"]
    folder = a.get("pv", volume)["spec"]["hostPath"]["path"]
    assert folder.startswith("/opt/local-path-provisioner/databases/pvc-")
    on_the_host = STORAGE / "data" / a.worker / Path(folder).relative_to("/opt/local-path-provisioner") / "file"
    assert on_the_host.read_text() == "own\n"
    a.kubectl("delete", "pod/writes-own", "pvc/own")
    a.wait("delete", f"pv/{volume}")


# -- load balancer --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def web(a: Kubernetes) -> None:
    """Two servers, one a node."""
    a.apply(web_deployment("web"))
    a.kubectl("rollout", "status", "deployment/web", "--timeout=120s")


def planned_addresses(project: Project, cluster: str) -> set[str]:
    """Return the addresses that the plan gives to a cluster's services."""
    found = set()
    for text in project.outputs()["clusters"][cluster]["loadBalancer"]:
        first, _, last = text.partition("-")
        numbers = range(int(IPv4Address(first)), int(IPv4Address(last or first)) + 1)
        found |= {str(IPv4Address(number)) for number in numbers}
    return found


def announcers(service_address: str) -> list[str]:
    """Return the hardware addresses that answer for an address on the logical network."""
    return answers(bridge_name(INSTANCE, "aks"), address(1, 1), service_address)


def served(service_address: str, pods: str) -> None:
    """Wait until one of the pods whose names start so answers at a service's address."""
    eventually(lambda: fetched(service_address).startswith(pods), f"{pods} answers at {service_address}")


def hardware_address(machine: str) -> str:
    return virsh("domiflist", machine).split()[-1]


def test_the_example_in_the_documentation(a: Kubernetes) -> None:
    text = (ROOT / "docs/start.md").read_text()
    (example,) = [
        block for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) if "kubectl run" in block
    ]
    script = "\n".join(line.removeprefix("$ ") for line in example.splitlines())
    try:
        done = a.script(script)
    finally:
        a.kubectl("delete", "pod/web", "service/web", "--now", "--ignore-not-found")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "hello"


def test_a_service_is_reached_from_the_host_and_one_node_answers_for_it(made: Made, web: None) -> None:
    a = made.a
    a.apply(web_service("web", "web"))
    given = load_balancer_address(a, "web")
    assert given in planned_addresses(made.project, "a")
    served(given, "web-")
    (claimed,) = announcers(given)
    assert claimed in {hardware_address(a.control_plane), hardware_address(a.worker)}
    eventually(lambda: len({fetched(given) for _ in range(8)} - {""}) == 2, "both servers answer in turn", 30)


def test_a_service_moves_when_its_node_stops_and_the_node_comes_back(made: Made, web: None) -> None:
    """The control plane takes over from the worker, so that there is an API server to ask meanwhile."""
    a, project = made.a, made.project
    cp, worker = hardware_address(a.control_plane), hardware_address(a.worker)
    given = announced_by(a, worker)
    power_off(a.worker)
    eventually(lambda: announcers(given) == [cp], "the other node answers for the address", 60)
    served(given, "web-")
    eventually(lambda: not a.nodes()[a.worker], "the worker is not Ready", 120)

    project.refresh().expect()
    project.up().expect()
    assert a.nodes() == {a.control_plane: True, a.worker: True}
    eventually(lambda: not a.unfinished_pods(), "every pod runs", 120)
    eventually(lambda: len(announcers(given)) == 1, "one node answers for the address", 30)
    served(given, "web-")
    # One line, and three seconds, for each container of its former life whose control group is still there.
    stale = ("journalctl", "--boot", "--unit", "kubelet", "--grep", "'Failed to create existing container'")
    found = on(project, a.worker, "sudo", *stale, "||", "true").splitlines()
    assert [line for line in found if "Failed to create" in line] == []


def announced_by(a: Kubernetes, node: str) -> str:
    """Make services until a node answers for one; return that one's address.

    MetalLB draws the node from the address. Only nodes with a server of their own take part (`Local`).
    """
    for number in range(5):
        name = f"moving-{number}"
        a.apply(web_service(name, "web", externalTrafficPolicy="Local"))
        given = load_balancer_address(a, name)
        served(given, "web-")
        if announcers(given) == [node]:
            return given
    raise AssertionError("every address is announced by the same node")


# -- faults ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """What an `up` said that couldn't succeed.

    Attributes:
        output: All of it.
        reasons: What the cluster lacks, as its one error lists it.
        logs: The folder that the error names.
    """

    output: str
    reasons: str
    logs: Path


def fails(project: Project, **cluster: Any) -> Failure:
    """Run an `up` that can't succeed with little patience; it has to end by itself, soon after."""
    project.edit(clusters=[cluster_a(timeoutMinutes=MINUTES, **cluster)])
    started = time.monotonic()
    run: Run = project.up()
    assert run.code != 0, run.output
    assert "Traceback" not in run.output
    took = time.monotonic() - started
    # By far less than the default of many minutes; a busy machine takes its time for what isn't the wait.
    assert took < MINUTES * 60 + 300, f"{took:.0f} s, though the cluster's limit is {MINUTES} min"
    found = re.search(
        r"isn't ready; it lacks:(.*?)Logs of its pods and machines are in (\S+)\. ", run.output, re.DOTALL
    )
    assert found, run.output
    logs = Path(found[2])
    assert logs.is_dir()
    return Failure(run.output, found[1], logs)


def repairs(project: Project, a: Kubernetes, **cluster: Any) -> None:
    """Run the next `up`, after which everything is there."""
    project.edit(clusters=[cluster_a(**cluster)])
    project.up(timeout=900).expect()
    assert all(a.nodes().values()), a.nodes()
    # A pod that was put out to spare a node stays listed as failed; its replacement runs.
    assert [pod for pod in a.unfinished_pods() if not pod.endswith(": Failed")] == []


def planned_address(project: Project, owner: str) -> str:
    """Return the address that the plan gives to a machine that isn't there yet."""
    spec = load_instance(INSTANCE, project.directory)
    plan = plan_addresses(spec, ADDRESS_LOCK.read(spec.lock_path))
    return next(one.address for network in plan.networks for one in network.allocations if one.owner == owner)


@pytest.fixture(scope="module")
def emptied(a: Kubernetes) -> None:
    """Without what the steps before ran: a node that lacks something would only put it out, again and again."""
    a.kubectl("delete", "deployments,statefulsets,pods,persistentvolumeclaims", "--all")
    a.kubectl("delete", "services", "--field-selector", "metadata.name!=kubernetes")


@pytest.fixture(scope="module")
def two_faults(made: Made, emptied: None) -> Failure:
    """An `up` with an image that does not exist, and with a worker that can't reach the API server."""
    made.project.edit(clusters=[kubernetes_cluster(**TWO_WORKERS)])
    api_server("-I", made, "-s", planned_address(made.project, "a-pool1-1"))
    return fails(made.project, addOns=WRONG_IMAGE, **TWO_WORKERS)


def api_server(change: str, made: Made, *packets: str) -> None:
    """Answer nothing on the API server's port (-I), or again (-D): not even a refusal."""
    rule = ["-t", "raw", change, "PREROUTING", *packets, "-p", "tcp", "--dport", "6443", "-j", "DROP"]
    on(made.project, made.a.control_plane, "sudo", "iptables", *rule)


def test_an_image_that_does_not_exist_is_named_and_its_events_are_kept(two_faults: Failure) -> None:
    pulling = r"metallb-system/metallb-controller waits for .*: .*(ErrImagePull|ImagePullBackOff)"
    assert re.search(pulling, two_faults.reasons), two_faults.output
    assert "controller:nope" in two_faults.reasons
    assert "controller:nope" in (two_faults.logs / "metallb-system-events.txt").read_text()
    assert "controller:nope" in (two_faults.logs / "metallb-system-pods.json").read_text()


def test_a_node_that_can_not_join_is_named_by_the_same_up_and_its_journal_is_kept(two_faults: Failure) -> None:
    assert f"node {LATE} has not joined" in two_faults.reasons
    assert "Make this machine a node" in (two_faults.logs / f"machine-{LATE}.txt").read_text()


def test_a_failure_and_its_logs_hold_no_secret(two_faults: Failure, secrets: dict[str, str]) -> None:
    logs = {str(path): path.read_text(errors="replace") for path in two_faults.logs.rglob("*") if path.is_file()}
    assert len(logs) > 3
    assert found_in(logs | {"the output of pulumi up": two_faults.output}, secrets) == []


def test_the_next_up_repairs_both(made: Made, two_faults: Failure) -> None:
    # Two hours later: the token that the node joins with has ended, and its cleaner has removed it.
    made.a.kubectl("delete", "secrets", "--namespace=kube-system", "--field-selector", TOKENS)
    assert not made.a.get("secrets", "--namespace=kube-system", "--field-selector", TOKENS)["items"]
    api_server("-D", made, "-s", planned_address(made.project, "a-pool1-1"))
    repairs(made.project, made.a, **TWO_WORKERS)
    assert set(made.a.nodes()) == {made.a.control_plane, made.a.worker, LATE}


def test_a_full_disk_is_seen_by_refresh_and_told_by_up(made: Made, emptied: None) -> None:
    a, project = made.a, made.project
    room = int(on(project, a.worker, "df", "--output=avail", "-B1M", "/").split()[-1])
    # ext4 keeps a file's room without writing it, so the host's disk doesn't fill.
    on(project, a.worker, "sudo", "fallocate", "-l", f"{room - 100}M", "/full")
    eventually(lambda: is_true(a.get("node", a.worker), "DiskPressure"), "kubelet reports the full disk", 120)
    assert f"node {a.worker} has DiskPressure" in project.refresh().expect().output
    failure = fails(project, **TWO_WORKERS)
    assert f"node {a.worker} has DiskPressure" in failure.reasons
    machine = (failure.logs / f"machine-{a.worker}.txt").read_text()
    assert re.search(r"/dev/\S+ .* (99|100)% /", machine), "df is in the logs"


def test_with_room_again_up_succeeds_and_forgets_a_node_that_leaves(made: Made) -> None:
    a, project = made.a, made.project
    on(project, a.worker, "sudo", "rm", "/full")
    # kubelet itself holds the condition for five minutes more; started again, it looks again.
    on(project, a.worker, "sudo", "systemctl", "restart", "kubelet")
    repairs(project, a)
    assert set(a.nodes()) == {a.control_plane, a.worker}
    a.kubectl("delete", "pods", "--all-namespaces", "--field-selector", "status.phase=Failed")


# -- two clusters ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def born(a: Kubernetes) -> dict[str, str]:
    """The first cluster's nodes before the second one came."""
    return uids(a)


def uids(a: Kubernetes) -> dict[str, str]:
    return {node["metadata"]["name"]: node["metadata"]["uid"] for node in a.get("nodes")["items"]}


@pytest.fixture(scope="module")
def b(made: Made, born: dict[str, str]) -> Kubernetes:
    made.project.edit(clusters=[cluster_a(), kubernetes_cluster("b")])
    made.project.up(timeout=900).expect()
    return kubernetes(made.project, "b")


def test_a_second_cluster_on_the_same_network_stays_apart(made: Made, b: Kubernetes) -> None:
    a, project = made.a, made.project
    assert a.nodes() == {a.control_plane: True, a.worker: True}
    assert b.nodes() == {b.control_plane: True, b.worker: True}
    eventually(lambda: a.unfinished_pods() == b.unfinished_pods() == [], "every pod of both runs")
    plan = project.outputs()["clusters"]
    assert plan["a"]["endpoint"] != plan["b"]["endpoint"]
    assert not planned_addresses(project, "a") & planned_addresses(project, "b")
    for one in (a, b):
        name = f"only-{one.name}"
        one.apply(web_deployment(name), web_service(name, name))
        one.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")
        given = load_balancer_address(one, name)
        assert given in planned_addresses(project, one.name)
        served(given, name)
        (claimed,) = announcers(given)
        assert claimed in {hardware_address(one.control_plane), hardware_address(one.worker)}


def test_a_cluster_whose_machines_are_off_is_removed_quickly_and_leaves_the_other_alone(
    made: Made, b: Kubernetes, born: dict[str, str]
) -> None:
    a, project = made.a, made.project
    for machine in (b.control_plane, b.worker):
        power_off(machine)
    causes = {reason["subject"]: reason for reason in status(project, 2)["reasons"]}
    assert causes.keys() == {f"machine {b.control_plane}", f"machine {b.worker}"}, "all else follows from these"
    assert "is shut off" in causes[f"machine {b.control_plane}"]["text"]
    project.edit(clusters=[cluster_a()])
    with waits_less_than(DOWN_SECONDS):
        project.settle().expect()
        project.up().expect()
    assert [one for one in leftovers(INSTANCE) if f"{INSTANCE}-b-" in one] == []
    assert list(STORAGE.glob(f"*/{INSTANCE}-b-*")) == [], "its disks and seeds are gone"
    assert list(STORAGE.glob(f"*/{INSTANCE}-a-*")) != [], "where the other cluster's are"
    assert uids(a) == born
    assert a.nodes() == {a.control_plane: True, a.worker: True}
    assert fetched(load_balancer_address(a, "only-a")).startswith("only-a")


# -- the end --------------------------------------------------------------------------------------


def test_a_cluster_whose_api_server_is_silent_is_taken_down_quickly_and_leaves_nothing(made: Made) -> None:
    """Silence is the slowest way to be unreachable."""
    api_server("-I", made)
    eventually(lambda: made.a.run("get", "--raw", "/livez", "--request-timeout=2s").returncode != 0, "silence", 30)
    with waits_less_than(DOWN_SECONDS):
        made.project.settle("--before-destroy").expect()
        made.project.destroy().expect()
    assert leftovers(INSTANCE) == []
