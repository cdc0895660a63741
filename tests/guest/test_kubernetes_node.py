"""What a seed says to kubeadm and keepalived, and what it keeps to itself."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import tarfile
from base64 import b64decode
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from infra.arc import agents
from infra.guest import KubernetesNode, Seed, SshHostKey
from infra.guest.api_server import EXEMPT_NAMESPACES
from infra.guest.keepalived import ApiServerAddress
from infra.image import recipe
from infra.image.recipe import read_files
from infra.model.add_ons import METALLB, STORAGE, SYSTEM
from infra.model.base import Model
from infra.model.first_boot import FirstBoot
from infra.model.machine_traits import TRAITS
from infra.model.node import NodeInputs, NodeSecrets, NodeSettings, PodSecurity
from infra.spec.arc_extensions import KnownExtensions
from tests.plan.rules.arc_cases import SUBSCRIPTION

ModelT = TypeVar("ModelT", bound=Model)


def replace(node: KubernetesNode, **changes: Any) -> KubernetesNode:
    """Return the node with other inputs or settings."""
    return dataclasses.replace(
        node, inputs=_updated(node.inputs, changes), settings=_updated(node.settings, changes)
    )


def _updated(model: ModelT, changes: dict[str, Any]) -> ModelT:
    known = type(model).model_fields
    return model.model_copy(update={name: value for name, value in changes.items() if name in known})


PLANE = KubernetesNode(
    NodeInputs(
        cluster="lab-a",
        role="controlPlane",
        version="1.34.4",
        endpoint="10.0.0.9",
        ca_certificate="CA PEM\n",
        ca_hash="sha256:abc",
        vrrp_id=7,
        pod_cidr="10.244.0.0/16",
        service_cidr="10.96.0.0/12",
        image_tags={"etcd": "3.6.16-0", "coredns": "v1.14.3"},
    ),
    "lab-a-cp-0",
    "10.0.0.18",
    TRAITS["container"],
    NodeSettings(),
)
WORKER = replace(
    PLANE,
    role="worker",
    labels={"kubernetes.azure.com/agentpool": "pool1", "tier": "x"},
    taints=("gpu=yes:NoSchedule", "spot:NoExecute"),
    max_pods=50,
)
SECRETS = NodeSecrets(token="abcdef.0123456789abcdef", keys={"ca.key": "KEY", "etcd/ca.key": "ETCD KEY"})
KEY = SshHostKey("private", "ssh-ed25519 AAAA")


def boot(node: KubernetesNode | None, hostname: str = "lab-a-cp-0") -> Seed:
    first_boot = FirstBoot(
        hostname=hostname,
        address="10.0.0.18/24",
        gateway="10.0.0.1",
        dns_servers=[],
        authorized_keys=["ssh-ed25519 BBBB"],
        node=node.inputs if node else None,
    )
    return Seed(hostname, first_boot, (node or PLANE).traits, node.settings if node else None)


def files(node: KubernetesNode, secrets: NodeSecrets = SECRETS, hostname: str = "lab-a-cp-0") -> dict[str, str]:
    archive = boot(node, hostname).render(KEY, secrets)["node.tar"]
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = {one.name.removeprefix("etc/azlocal/node/"): one for one in tar.getmembers()}
        assert {one.mode for one in members.values()} == {0o600}
        return {name: _text(tar, one) for name, one in members.items()}


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = tar.extractfile(member)
    assert file is not None
    return file.read().decode()


def documents(text: str) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


def arguments(registration: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in registration["kubeletExtraArgs"]}


def test_the_first_control_plane_starts_the_cluster_behind_its_address() -> None:
    found = documents(files(PLANE)["init.yaml"])
    cluster = found["ClusterConfiguration"]
    assert cluster["controlPlaneEndpoint"] == "10.0.0.9:6443"
    assert cluster["networking"] == {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/12"}
    assert cluster["etcd"]["local"]["imageTag"] == "3.6.16-0"
    assert cluster["dns"]["imageTag"] == "v1.14.3"
    assert found["InitConfiguration"]["localAPIEndpoint"]["advertiseAddress"] == "10.0.0.18"
    assert found["KubeletConfiguration"]["cgroupDriver"] == "cgroupfs"


def extra_arguments(component: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in component["extraArgs"]}


def test_nothing_that_kubeadm_signs_ends_before_the_authorities_do() -> None:
    cluster = documents(files(PLANE)["init.yaml"])["ClusterConfiguration"]
    ten_years = "87600h0m0s"
    assert cluster["certificateValidityPeriod"] == ten_years
    assert extra_arguments(cluster["controllerManager"])["cluster-signing-duration"] == ten_years


def test_control_planes_tell_strangers_nothing_of_themselves() -> None:
    cluster = documents(files(PLANE)["init.yaml"])["ClusterConfiguration"]
    for component in ("apiServer", "controllerManager", "scheduler"):
        assert extra_arguments(cluster[component])["profiling"] == "false"


@pytest.mark.parametrize("number", [0, 1])
def test_every_control_plane_has_the_files_that_the_configuration_names(number: int) -> None:
    cluster = documents(files(PLANE)["init.yaml"])["ClusterConfiguration"]["apiServer"]
    named = {
        Path(value).name
        for value in extra_arguments(cluster).values()
        if value.startswith("/etc/kubernetes/azlocal/")
    }
    found = files(replace(PLANE, number=number))
    assert named == {"authentication.yaml", "admission.yaml", "audit-policy.yaml"}
    assert {f"api-server/{name}" for name in named} <= set(found)
    mounted = {one["mountPath"]: one["readOnly"] for one in cluster["extraVolumes"]}
    assert mounted == {"/etc/kubernetes/azlocal": True, "/var/log/kubernetes/audit": False}


@pytest.mark.parametrize(("version", "api"), [("1.34.4", "v1"), ("1.33.5", "v1beta1")])
def test_only_health_and_discovery_are_answered_without_a_name(version: str, api: str) -> None:
    text = files(replace(PLANE, version=version))["api-server/authentication.yaml"]
    content = documents(text)["AuthenticationConfiguration"]
    assert content["apiVersion"] == f"apiserver.config.k8s.io/{api}"
    assert {one["path"] for one in content["anonymous"]["conditions"]} == {
        *("/livez", "/readyz", "/healthz"),
        "/api/v1/namespaces/kube-public/configmaps/cluster-info",
    }


@pytest.mark.parametrize("level", ["privileged", "baseline", "restricted"])
def test_pods_are_held_to_the_wanted_level_where_their_namespace_says_nothing(level: PodSecurity) -> None:
    text = files(replace(PLANE, pod_security=level))["api-server/admission.yaml"]
    (plugin,) = documents(text)["AdmissionConfiguration"]["plugins"]
    assert plugin["configuration"]["defaults"]["enforce"] == level
    assert "default" not in plugin["configuration"]["exemptions"]["namespaces"]


def test_the_cluster_own_parts_are_held_to_none() -> None:
    """What azlocal itself installs, and what needs more than baseline in namespaces that Azure names."""
    extensions = KnownExtensions.model_validate(
        {
            "containerInsights": {"logAnalyticsWorkspaceResourceID": "x"},
            "defender": {},
            "flux": {},
            "backup": {
                **dict.fromkeys(("storageAccount", "blobContainer", "storageAccountResourceGroup"), "backups"),
                **dict.fromkeys(("storageAccountSubscriptionId", "tenantId"), SUBSCRIPTION),
            },
        }
    )
    scopes = [one.scope.cluster for _, one in extensions.chosen()]
    assert {one.release_namespace for one in scopes if one} <= set(EXEMPT_NAMESPACES)
    assert {METALLB, STORAGE, SYSTEM, agents.NAMESPACE, agents.RELEASE_NAMESPACE} <= set(EXEMPT_NAMESPACES)


def test_the_audit_log_has_who_read_secrets_and_never_what_they_hold() -> None:
    rules = documents(files(PLANE)["api-server/audit-policy.yaml"])["Policy"]["rules"]
    assert {one["level"] for one in rules} == {"None", "Metadata"}
    secrets = next(index for index, one in enumerate(rules) if "secrets" in str(one))
    assert rules[secrets] == {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]}
    before = rules[:secrets]
    assert all("nonResourceURLs" in one or "resources" in one for one in before), "nobody is passed over before it"
    assert rules[-1] == {"level": "Metadata"}


def test_kubelet_changes_no_setting_of_a_kernel() -> None:
    assert documents(files(PLANE)["init.yaml"])["KubeletConfiguration"]["protectKernelDefaults"] is True
    root = read_files(Path(recipe.__file__).parent / "files" / "root")
    for name in ("etc/sysctl.d/90-azlocal.conf", "usr/lib/azlocal/container-setup"):
        text = root[name].decode().replace(" = ", "=").replace("/", ".")
        for setting in (
            *("vm.overcommit_memory=1", "vm.panic_on_oom=0", "kernel.panic=10", "kernel.panic_on_oops=1"),
            *("kernel.keys.root_maxkeys=1000000", "kernel.keys.root_maxbytes=25000000"),
        ):
            assert setting in text, f"{name} has what kubelet asks for"


def test_the_token_expires() -> None:
    (token,) = documents(files(PLANE)["init.yaml"])["InitConfiguration"]["bootstrapTokens"]
    assert (token["token"], token["ttl"]) == (SECRETS.token, "2h0m0s")


def test_the_first_control_plane_may_join_and_the_others_never_start_a_cluster() -> None:
    assert {"init.yaml", "join.yaml"} <= set(files(PLANE))
    second = files(replace(PLANE, number=1))
    assert "init.yaml" not in second
    assert "controlPlane" in documents(second["join.yaml"])["JoinConfiguration"]


def test_the_first_control_plane_knows_where_to_look_for_the_others() -> None:
    assert files(replace(PLANE, peers=("10.0.0.19", "10.0.0.20")))["peers"] == "10.0.0.19\n10.0.0.20\n"
    assert files(PLANE)["peers"] == ""
    assert "peers" not in files(WORKER)


def lines(number: int = 0, **changes: Any) -> list[str]:
    """Return the lines of a control plane's keepalived.conf."""
    conf = files(replace(PLANE, number=number, **changes))["keepalived.conf"]
    return [line.strip() for line in conf.splitlines()]


def test_control_planes_speak_vrrp_3_with_each_other_alone() -> None:
    assert {
        "vrrp_version 3",
        "advert_int 0.25",
        "unicast_src_ip 10.0.0.18",
        "include /etc/keepalived/peers.conf",
        "virtual_router_id 7",
        "10.0.0.9/32 dev eth0",
    } <= set(lines())


def test_no_control_plane_takes_the_address_from_another_and_a_fault_weighs_nothing() -> None:
    for number in range(5):
        assert {"state BACKUP", "nopreempt"} <= set(lines(number))
        assert [line for line in lines(number) if line.startswith("weight")] == ["weight 0"]
    priorities = [int(line.split()[1]) for n in range(5) for line in lines(n) if line.startswith("priority")]
    skews = [0.25 * (256 - priority) / 256 for priority in priorities]
    assert all(0 < priority < 255 for priority in priorities), "255 is for who owns the address"
    assert all(later - sooner > 0.03 for sooner, later in itertools.pairwise(skews)), "no two take it together"


def test_who_decides_of_the_address_is_told_it() -> None:
    told = json.loads(files(PLANE)["api-endpoint.json"])
    assert told == {"address": "10.0.0.9", "ownAddress": "10.0.0.18", "answerSeconds": 1.0}
    slow = dataclasses.replace(PLANE, traits=TRAITS["emulated"])
    assert json.loads(files(slow)["api-endpoint.json"])["answerSeconds"] == 5.0


def test_an_api_server_that_is_told_to_end_serves_until_the_address_has_moved() -> None:
    cluster = documents(files(PLANE)["init.yaml"])["ClusterConfiguration"]
    flags = {one["name"]: one["value"] for one in cluster["apiServer"]["extraArgs"]}
    assert (flags["shutdown-delay-duration"], flags["shutdown-send-retry-after"]) == ("5s", "true")


OF_VERSION_2 = """global_defs {{
  enable_script_security
  script_user root
}}
vrrp_script api-server {{
  script "/usr/lib/azlocal/api-server-answers 10.0.0.19"
  interval 2
  timeout 3
  fall 3
  rise 1
  weight 50
}}
vrrp_instance control-plane {{
  state BACKUP
  interface enp1s0
  virtual_router_id 7
  priority 99
  advert_int 1
{unicast}  virtual_ipaddress {{
    10.0.0.9/32 dev enp1s0
  }}
  track_script {{
    api-server
  }}
}}
"""
UNICAST = "  unicast_src_ip 10.0.0.19\n  include /etc/keepalived/peers.conf\n"


@pytest.mark.parametrize("unicast", ["", UNICAST], ids=["of 0.1.0", "with its peers"])
def test_what_an_earlier_azlocal_wrote_is_read(unicast: str) -> None:
    conf = OF_VERSION_2.format(unicast=unicast)
    assert ApiServerAddress.of_version_2(conf, "10.0.0.19", is_slow=False) == ApiServerAddress(
        address="10.0.0.9", vrrp_id=7, interface="enp1s0", own_address="10.0.0.19", number=1
    )


def test_what_somebody_else_wrote_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="isn't as azlocal wrote it"):
        ApiServerAddress.of_version_2("vrrp_instance x {}", "10.0.0.19", is_slow=False)


def test_a_worker_checks_the_cluster_it_joins_and_gets_no_key() -> None:
    found = files(WORKER)
    assert set(found) == {"endpoint", "ca.crt", "join.yaml", "authorization", "cluster.conf"}
    join = documents(found["join.yaml"])["JoinConfiguration"]
    assert join["discovery"] == {
        "file": {"kubeConfigPath": "/etc/azlocal/node/cluster.conf"},
        "tlsBootstrapToken": SECRETS.token,
    }
    assert "controlPlane" not in join


def test_a_node_knows_its_cluster_by_the_authority_and_shows_its_token_to_no_other() -> None:
    found = files(WORKER)
    known = documents(found["cluster.conf"])["Config"]
    (cluster,) = known["clusters"]
    assert cluster["cluster"]["server"] == "https://10.0.0.9:6443"
    assert b64decode(cluster["cluster"]["certificate-authority-data"]).decode() == found["ca.crt"]
    assert cluster["name"] == ""  # a context without a user is refused, an unnamed cluster needs none
    assert "users" not in known
    assert found["authorization"] == f"Authorization: Bearer {SECRETS.token}\n"


def test_labels_taints_and_pods_of_a_pool_reach_its_nodes() -> None:
    registration = documents(files(WORKER)["join.yaml"])["JoinConfiguration"]["nodeRegistration"]
    assert arguments(registration)["node-labels"] == (
        "kubernetes.azure.com/agentpool=pool1,node.kubernetes.io/exclude-from-external-load-balancers=joining,tier=x"
    )
    assert arguments(registration)["max-pods"] == "50"
    assert registration["taints"] == [
        {"key": "gpu", "value": "yes", "effect": "NoSchedule"},
        {"key": "spot", "effect": "NoExecute"},
    ]


def test_a_worker_that_joins_others_takes_no_pods_yet() -> None:
    def taints(node: KubernetesNode) -> list[Any]:
        join = documents(files(node)["join.yaml"])["JoinConfiguration"]
        return join["nodeRegistration"].get("taints", [])  # type: ignore[no-any-return]

    own = {"key": "azlocal.io/joining", "effect": "NoSchedule"}
    assert taints(replace(WORKER, joins_workers=True)) == [*taints(WORKER), own]
    assert taints(replace(WORKER, joins_workers=True, taints=())) == [own]
    assert own not in taints(WORKER)


def test_only_a_container_is_asked_for_less() -> None:
    in_vm = documents(files(dataclasses.replace(PLANE, traits=TRAITS["vm"]))["init.yaml"])
    in_container = documents(files(PLANE)["init.yaml"])
    passed_over = in_vm["InitConfiguration"]["nodeRegistration"]["ignorePreflightErrors"]
    assert passed_over == ["HTTPProxyCIDR"], "kubeadm 1.33.5 and 1.32.9, as Go compiles them today, fail there"
    assert set(in_container["InitConfiguration"]["nodeRegistration"]["ignorePreflightErrors"]) > {*passed_over}
    assert "conntrack" not in in_vm["KubeProxyConfiguration"]
    assert in_container["KubeProxyConfiguration"]["conntrack"] == {"maxPerCore": 0, "min": 0}


def test_keys_are_in_the_archive_and_nowhere_else_in_the_seed() -> None:
    assert files(PLANE)["pki/etcd/ca.key"] == "ETCD KEY"
    seed = boot(PLANE).render(KEY, SECRETS)
    for name in ("user-data", "meta-data", "network-config"):
        assert SECRETS.token.encode() not in seed[name]
        assert b"ETCD KEY" not in seed[name]


def test_the_seed_is_taken_before_ssh_answers() -> None:
    user_data = yaml.safe_load(boot(PLANE).render(KEY, SECRETS)["user-data"])
    assert user_data["bootcmd"] == [["cloud-init-per", "instance", "take-seed", "/usr/lib/azlocal/take-seed"]]
    assert "bootcmd" not in yaml.safe_load(boot(None).render(KEY)["user-data"])


def test_the_digest_knows_the_node_and_not_its_secrets() -> None:
    assert boot(PLANE).digest() != boot(None).digest()
    assert boot(PLANE).digest() != boot(replace(PLANE, version="1.34.5")).digest()
    assert boot(PLANE).render(KEY, SECRETS) == boot(PLANE).render(KEY, SECRETS)
