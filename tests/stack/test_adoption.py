"""Whether what stands is what the files describe, and what a state that was begun means for its adoption."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.errors import UserError
from infra.guest.api_server import api_server_files, pod_security_of
from infra.guest.encryption import encryption_file
from infra.kubernetes.pki import generate_pki, restore_pki
from infra.kvm.claim import Claim
from infra.kvm.domain_xml import DomainView
from infra.provider.kinds import all_kinds
from infra.provider.kinds.cluster_identity import ClusterIdentityKind
from infra.provider.kinds.stack_identity import StackIdentityKind
from infra.provider.standing import Standing, StandingCluster
from infra.resources.cluster_identity import CLUSTER_IDENTITY, ClusterIdentityInputs
from infra.resources.host import HOST
from infra.resources.stack_identity import STACK_IDENTITY, StackIdentityInputs
from infra.stack import adoption
from infra.stack import standing as standing_module
from infra.stack.standing import StandingHost, StandingMachine, differences, nodes_of, read_cluster
from infra.stack.state import Stack

OP: Any = None  # these kinds ask the engine nothing


def machine(name: str = "lab-a-cp-0", *, host: str = "h1", running: bool = True, **node: str) -> StandingMachine:
    told = {"role": "controlPlane", "cluster": "lab-a", "caHash": "sha256:1"} | node
    view = DomainView(
        name=name,
        uuid="",
        machine_type="container",
        vcpus=2,
        memory_mib=2048,
        memory_maximum_mib=2048,
        network="lab-aks",
        mac_address="",
        interface_device=None,
        secure_boot=False,
        tpm=False,
        instance="lab",
        stack="lab",
        record={"firstBoot": {"address": "10.0.0.5/24", "node": told}, "sshHostKey": "ssh-ed25519 AAAA"},
    )
    return StandingMachine(host, view, running)


def planned(**changes: str) -> Any:
    wanted = {"name": "lab-a-cp-0", "host": "h1", "address": "10.0.0.5/24"} | changes
    return SimpleNamespace(machines=[SimpleNamespace(**wanted)], machine_type="auto")


def test_what_the_files_describe_can_be_adopted() -> None:
    assert list(differences(planned(), [machine()])) == []


@pytest.mark.parametrize(
    ("topology", "said"),
    [
        (planned(name="lab-b-cp-0"), "lab-a-cp-0 stands on h1, and the plan has no machine of that name"),
        (planned(host="h2"), "lab-a-cp-0 stands on h1, and the plan has it on h2"),
        (planned(address="10.0.0.6/24"), "has the address 10.0.0.5/24, and the plan gives it 10.0.0.6/24"),
    ],
)
def test_what_an_up_would_remove_or_make_twice_is_named(topology: Any, said: str) -> None:
    (found,) = differences(topology, [machine()])
    assert said in found


def test_machines_of_another_type_than_the_files_ask_for_are_named() -> None:
    topology = planned()
    topology.machine_type = "vm"
    assert list(differences(topology, [machine()])) == ["lab-a-cp-0 runs as container, and the files ask for vm"]


def test_a_clusters_nodes_are_known_by_what_they_were_told() -> None:
    cluster: Any = SimpleNamespace(name="a")
    bridge = machine("lab-rb-0", role="", cluster="")
    assert nodes_of(cluster, "lab", [machine(), bridge, machine("lab-b-cp-0", cluster="lab-b")]) == [machine()]


def test_a_cluster_without_a_control_plane_cannot_be_had_again() -> None:
    with pytest.raises(UserError, match=r"no control plane any more.*\(lab-a-pool1-0\)"):
        read_cluster("a", [machine("lab-a-pool1-0", role="worker")], ())


def test_a_control_plane_that_is_off_is_named_with_its_host() -> None:
    with pytest.raises(UserError, match="lab-a-cp-0 doesn't run: start it on h1"):
        read_cluster("a", [machine(running=False)], ())


# -- the state that is there already ---------------------------------------------------------------


class Begun(Stack):
    """A stack whose state is the test's."""

    def __init__(self, *resources: dict[str, Any]) -> None:
        super().__init__("lab", Path(), "")
        self.__dict__["kept"] = list(resources)

    def exists(self) -> bool:
        return bool(self.__dict__["kept"])

    def deployment(self) -> dict[str, Any]:
        return {"resources": self.__dict__["kept"]}


IDENTITY = {"type": STACK_IDENTITY.token, "outputs": {"uid": "ours"}}
HOSTS = {"type": HOST.token, "outputs": {}}


def standing_host(owner: str) -> StandingHost:
    return StandingHost("h1", "qemu:///system", "/s", Claim(owner, "lab", "lab", "somebody"), ())


def owner(stack: Stack, claimed: str) -> str:
    return adoption._begun(stack).owner([standing_host(claimed)])


def test_without_a_state_the_hosts_get_a_new_owner() -> None:
    assert owner(Begun(), "theirs") not in ("", "theirs")


def test_a_state_that_was_refused_by_the_hosts_does_not_count() -> None:
    assert owner(Begun(IDENTITY), "theirs") not in ("ours", "theirs")


def test_an_adoption_that_was_killed_goes_on() -> None:
    assert owner(Begun(IDENTITY, HOSTS), "ours") == "ours"


def test_a_state_with_hosts_of_its_own_adopts_nothing() -> None:
    with pytest.raises(UserError, match="`make down` takes that away; then adopt"):
        owner(Begun(IDENTITY, HOSTS), "theirs")


# -- what the kinds make of it ---------------------------------------------------------------------


@pytest.fixture
def standing() -> Iterator[Standing]:
    pki = restore_pki(generate_pki().files)
    yield Standing("new-owner", {"lab/a": StandingCluster(pki, "restricted")})


def test_a_standing_cluster_keeps_its_keys_and_what_it_was_founded_with(standing: Standing) -> None:
    kind = ClusterIdentityKind(standing)
    inputs = ClusterIdentityInputs(instance="lab", cluster="a", endpoint="10.0.0.4", pod_security="baseline")
    state = kind.create(OP, inputs).state
    pki = standing.clusters["lab/a"].pki
    assert (state.ca_hash, state.keys, state.token) == (pki.ca_hash, pki.files, pki.token)
    assert state.pod_security == "restricted"
    assert state.encryption_keys is None, "it was founded without"
    other = kind.create(OP, inputs.model_copy(update={"cluster": "b"})).state
    assert other.ca_hash != pki.ca_hash
    assert other.pod_security == "baseline"
    assert other.encryption_keys is not None


def test_a_standing_cluster_keeps_the_keys_that_its_secrets_are_encrypted_with() -> None:
    made = generate_pki()
    again = StandingCluster(restore_pki(made.files, made.encryption_keys), "baseline")
    kind = ClusterIdentityKind(Standing("new-owner", {"lab/a": again}))
    inputs = ClusterIdentityInputs(instance="lab", cluster="a", endpoint="10.0.0.4")
    assert kind.create(OP, inputs).state.encryption_keys == made.encryption_keys


class ControlPlane:
    """A shell of a control plane that has files, by their paths."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def run(self, command: list[str], **_: Any) -> Any:
        content = self._files.get(command[-1])
        if command[:2] == ["sudo", "cat"]:
            assert content is not None, f"{command[-1]} is there"
            return SimpleNamespace(stdout=content)
        return SimpleNamespace(stdout="" if content is None else "yes\n")


def test_what_a_cluster_was_founded_with_is_read_from_a_control_plane() -> None:
    made = generate_pki()
    plane: Any = ControlPlane({f"/etc/kubernetes/pki/{path}": text for path, text in made.files.items()})
    before = standing_module._read(plane)
    assert (before.pki.encryption_keys, before.pod_security) == ((), None)
    plane._files["/etc/kubernetes/azlocal/encryption.yaml"] = encryption_file(made.encryption_keys)
    plane._files["/etc/kubernetes/azlocal/admission.yaml"] = api_server_files("1.34.4", "baseline")[
        "admission.yaml"
    ]
    again = standing_module._read(plane)
    assert (again.pki.encryption_keys, again.pod_security) == (made.encryption_keys, "baseline")


def test_the_state_has_the_id_that_its_hosts_were_told(standing: Standing) -> None:
    inputs = StackIdentityInputs(instance="lab")
    assert StackIdentityKind(standing).create(OP, inputs).state.uid == "new-owner"
    assert StackIdentityKind().create(OP, inputs).state.uid != "new-owner"


def test_every_kind_can_be_made_for_an_adoption(standing: Standing) -> None:
    for token, kind in all_kinds(standing).items():
        assert kind.contract.token == token


def test_an_authority_that_is_had_again_is_the_same() -> None:
    made = generate_pki()
    again = restore_pki(dict(made.files))
    assert (again.ca, again.ca_hash, again.files) == (made.ca, made.ca_hash, made.files)
    assert again.token != made.token, "what let nodes in once is never used again"
    assert CLUSTER_IDENTITY.id_of({"instance": "lab", "cluster": "a"}) == "lab/a"


def test_the_level_of_pods_is_read_as_it_was_written() -> None:
    written = api_server_files("1.34.2", "restricted")["admission.yaml"]
    assert pod_security_of(written) == "restricted"
    assert pod_security_of("") is None
