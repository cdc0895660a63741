"""What the plan takes, kubeadm and kubelet of the bundle take, as the seed has it; and the other way round."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.guest import KubernetesNode
from infra.image.bundle import Bundle, find_bundle
from infra.node_labels import JOINING, NO_SERVICES
from infra.plan.rules import Facts, nodes
from infra.plan.rules.machines import CONTROL_PLANE_VCPUS
from infra.spec.forms import CLUSTER_NAME, POOL_NAME
from infra.spec.node_settings import EFFECTS
from tests.guest.test_kubernetes_node import PLANE, WORKER, arguments, documents, files, replace
from tests.instances import checked_addresses, cluster, make_spec
from tests.plan.rules.node_cases import (
    BAD_LABELS,
    BAD_TAINTS,
    FORBIDDEN_LABELS,
    GOOD_LABELS,
    GOOD_TAINTS,
    tainted,
)
from tests.plan.rules.rule_cases import pods

pytestmark = pytest.mark.engine

_CERTIFICATE = "/etc/azlocal/node/cluster.conf"
_STARTS = "failed to load kubelet config file"  # what it says after its flags, which it then has taken
_TOKENS = st.sampled_from(
    [*"abzAZ09-_./=,: é", "kubernetes.io/", "node.kubernetes.io/", "k8s.io/", "example.com/", "a" * 62, "x" * 64]
)
texts = st.lists(_TOKENS, max_size=6).map("".join)
odd = st.text("ab0-_.A", min_size=1, max_size=9)
labels = st.from_regex(CLUSTER_NAME.pattern, fullmatch=True)
names = labels | labels.map(lambda text: text[:20].strip("-")) | odd
pool_names = st.from_regex(POOL_NAME.pattern, fullmatch=True)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    found = find_bundle()
    if found is None:
        pytest.skip("the bundle isn't built on this machine; run `azlocal image build`")
    return found


def refusal(bundle: Bundle, labels: Mapping[str, str], taints: Iterable[str] = ()) -> str | None:
    """Return why kubelet doesn't start with what a worker's seed says, or None where its flags are taken."""
    node = replace(WORKER, labels=labels, taints=tuple(taints), joins_workers=True)
    registration = documents(files(node)["join.yaml"])["JoinConfiguration"]["nodeRegistration"]
    flags = [f"--{name}={value}" for name, value in arguments(registration).items()]
    # As kubeadm hands them on: Taint.ToString, joined by commas.
    written = [
        f"{one['key']}={one['value']}:{one['effect']}" if one.get("value") else f"{one['key']}:{one['effect']}"
        for one in registration.get("taints", ())
    ]
    command = [str(bundle.binary("kubelet")), *flags, f"--register-with-taints={','.join(written)}"]
    done = subprocess.run(
        [*command, "--config=/nonexistent"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    return None if _STARTS in done.stderr else done.stderr[-300:]


def reads_as_another(key: str, value: str) -> bool:
    """Tell whether kubelet takes a label for another, for several or for none: the plan refuses those, too."""
    is_trimmed = (key, value) != (key.strip(), value.strip())
    return not key or is_trimmed or "=" in key or "," in key + value


def is_planned(instance: Mapping[str, object]) -> bool:
    parts = dict(instance)
    clusters = parts.pop("clusters")
    assert isinstance(clusters, list)
    return checked_addresses(make_spec(*clusters, **parts)).ok  # type: ignore[arg-type]


def test_kubelet_takes_the_labels_and_taints_that_the_plan_takes(bundle: Bundle) -> None:
    assert refusal(bundle, dict(GOOD_LABELS), GOOD_TAINTS[:1]) is None
    for taint in GOOD_TAINTS:
        assert refusal(bundle, {}, [taint]) is None


@pytest.mark.parametrize(("key", "value"), [*BAD_LABELS, *((key, "x") for key in FORBIDDEN_LABELS)])
def test_what_the_plan_refuses_kubelet_refuses_or_reads_as_something_else(
    bundle: Bundle, key: str, value: str
) -> None:
    assert reads_as_another(key, value) or refusal(bundle, {key: value}) is not None


@pytest.mark.parametrize("text", BAD_TAINTS)
def test_kubelet_refuses_the_taints_that_the_plan_refuses(bundle: Bundle, text: str) -> None:
    assert "," in text or refusal(bundle, {}, [text]) is not None


def refused(**settings: object) -> set[str | int]:
    """Return which labels or taints of a pool the plan's rules refuse: keys, or places in the list."""
    asked = cluster(agentPools=[{"name": "pool1", "count": 1, **settings}])
    facts = Facts(make_spec(asked))
    rules = (nodes.node_label_invalid, nodes.node_label_forbidden, nodes.node_taint_invalid)
    return {fault.path[-1] for rule in rules for fault in rule(facts)}


@settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.lists(st.tuples(texts, texts), min_size=100, max_size=200))
def test_kubelet_takes_whatever_labels_the_plan_takes(bundle: Bundle, pairs: list[tuple[str, str]]) -> None:
    labels = dict(pairs)
    bad = refused(nodeLabels=labels)
    taken = {key: value for key, value in labels.items() if key not in bad}
    assert refusal(bundle, taken) is None, taken
    plain = [one for one in labels.items() if one[0] in bad and not reads_as_another(*one)]
    for key, value in plain[:3]:
        assert refusal(bundle, {key: value}) is not None, (key, value)


@settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.lists(st.tuples(texts, st.sampled_from([*EFFECTS, "", "NoSchedul"])), min_size=100, max_size=200))
def test_kubelet_takes_whatever_taints_the_plan_takes(bundle: Bundle, pairs: list[tuple[str, str]]) -> None:
    taints = [f"{pair}:{effect}" for pair, effect in pairs]
    bad = refused(nodeTaints=taints)
    taken = [one for number, one in enumerate(taints) if number not in bad]
    by_key = {(one.rpartition(":")[0].partition("=")[0], one.rpartition(":")[2]): one for one in taken}
    assert refusal(bundle, {}, by_key.values()) is None, by_key
    for one in [one for number, one in enumerate(taints) if number in bad and "," not in one][:3]:
        assert refusal(bundle, {}, [one]) is not None, one


def test_kubelet_refuses_a_key_and_effect_that_stand_twice(bundle: Bundle) -> None:
    twice = ["gpu=a:NoSchedule", "gpu=b:NoSchedule"]
    assert refusal(bundle, {}, twice) is not None
    assert not is_planned(tainted(*twice))


def validated(
    bundle: Bundle, node: KubernetesNode, name: str, folder: Path, hostname: str = "lab-a-cp-0"
) -> str | None:
    """Return why kubeadm refuses a seed's file, or None where it takes it."""
    known = folder / "cluster.conf"
    seed = files(node, hostname=hostname)
    known.write_text(seed["cluster.conf"], encoding="utf-8")
    path = folder / name
    path.write_text(seed[name].replace(_CERTIFICATE, str(known)), encoding="utf-8")
    command = [str(bundle.binary("kubeadm")), "config", "validate", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return None if done.returncode == 0 else done.stderr


@pytest.mark.parametrize("node", [replace(WORKER, labels=dict(GOOD_LABELS), taints=tuple(GOOD_TAINTS)), PLANE])
def test_kubeadm_takes_what_a_node_joins_with(bundle: Bundle, node: KubernetesNode, tmp_path: Path) -> None:
    assert validated(bundle, node, "join.yaml", tmp_path) is None


@settings(max_examples=15, deadline=None, suppress_health_check=[*HealthCheck])
@given(names, names, pool_names)
def test_kubeadm_takes_whatever_names_the_plan_takes(
    bundle: Bundle, tmp_path: Path, stack: str, name: str, agents: str
) -> None:
    asked = cluster(name, agentPools=[{"name": agents, "count": 1}])
    plan = checked_addresses(make_spec(asked, name=stack))
    if not plan.ok:
        return
    for owner, node in ((f"{name}-cp-0", PLANE), (f"{name}-{agents}-0", WORKER)):
        hostname = f"{stack}-{owner}"
        here = replace(node, cluster=f"{stack}-{name}")
        assert validated(bundle, here, "join.yaml", tmp_path, hostname) is None, hostname
        if node is PLANE:
            assert validated(bundle, here, "init.yaml", tmp_path, hostname) is None, hostname


def cidrs_planned(pod: IPv4Network, service: IPv4Network) -> bool:
    """Tell whether the plan takes the sizes of a pod and a service network, wherever they lie."""
    instance = {"clusters": [pods(str(pod), service=str(service))]}
    parts = checked_addresses(make_spec(*instance["clusters"])).findings
    return not any(one.rule in {"pod-cidr-refused", "service-cidr-refused"} for one in parts)


@pytest.mark.parametrize("length", range(33))
def test_kubeadm_takes_the_pod_and_service_networks_that_the_plan_takes(
    bundle: Bundle, length: int, tmp_path: Path
) -> None:
    one = IPv4Network((0, length))
    for pod, service in ((one, IPv4Network("10.96.0.0/12")), (IPv4Network("10.244.0.0/16"), one)):
        node = replace(PLANE, pod_cidr=str(pod), service_cidr=str(service))
        refused = validated(bundle, node, "init.yaml", tmp_path)
        assert (refused is None) == cidrs_planned(pod, service), (pod, service, refused)


def test_kubeadm_asks_a_control_plane_for_as_many_processors_as_the_plan(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "init.yaml"
    path.write_text(files(PLANE, hostname="localhost")["init.yaml"], encoding="utf-8")
    only = str(min(os.sched_getaffinity(0)))
    kubeadm = [str(bundle.binary("kubeadm")), "init", "phase", "preflight", "--config", str(path)]
    done = subprocess.run(
        ["taskset", "-c", only, *kubeadm], capture_output=True, text=True, check=False, timeout=60
    )
    found = re.search(r"available CPUs 1 is less than the required (\d+)", done.stderr)
    assert found, done.stderr
    assert int(found[1]) == CONTROL_PLANE_VCPUS


def test_the_seed_has_one_label_for_each_that_is_written() -> None:
    node = replace(WORKER, labels=dict(GOOD_LABELS))
    registration = documents(files(node)["join.yaml"])["JoinConfiguration"]["nodeRegistration"]
    written = arguments(registration)["node-labels"].split(",")
    assert dict(one.split("=") for one in written) == {**dict(GOOD_LABELS), NO_SERVICES: JOINING}
    assert yaml.safe_load(files(node)["join.yaml"])
