"""A run's own files: nothing is shared with another instance, and nothing else is changed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UserError
from infra.plan.instance import plan_instance
from infra.spec import load_instance
from infra.stack.ci import isolation
from infra.stack.ci.isolation import RANGE, Written
from infra.stack.ci.lease import INSTANCE as INSTANCE_FORM
from tests.instances import cluster, files, host, infrastructure, make_spec, network, write_files
from tests.project import ROOT

INSTANCE = "ci0a1b2"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH2kVbqqEkMzCSQ1ntNZ1mZbVvPTsPZzVqgzbwLoHjFb me@here"
OWN = IPv4Network("10.197.40.0/24"), IPv4Network("10.197.41.0/24")


def local_moves(number: int = 0) -> isolation.Moves:
    return isolation.choose_moves(RANGE, OWN, (), number)


def written_of(directory: Path, stack: str, site: str) -> Written:
    def read(name: str) -> Any:
        return yaml.safe_load((directory / name).read_text())

    return Written(
        {"name": "azlocal"},
        read(f"Pulumi.{stack}.yaml"),
        read(f"netplans/{site}.yaml"),
        (directory / f"hosts/{site}.yaml").read_text(),
    )


def write(folder: Path, derived: dict[str, str]) -> None:
    for name, text in derived.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_the_stack_local_becomes_a_sound_instance_of_its_own(tmp_path: Path) -> None:
    source = load_instance("local", ROOT)
    moves = local_moves(5)
    derived = isolation.files_of(written_of(ROOT, "local", "local"), source, INSTANCE, moves)
    write(tmp_path, derived)
    spec = load_instance(INSTANCE, tmp_path)
    plan = plan_instance(spec)
    assert plan.ok, plan.findings
    before = plan_instance(source)
    old, new = (
        {item["address"]: item for item in found["allocations"]}
        for found in (before.to_json()["networks"][1], plan.to_json()["networks"][1])
    )
    assert len(new) == len(old)
    assert all(IPv4Address(address) in moves[OWN[1]] for address in new)
    assert derived["hosts/local.yaml"] == (ROOT / "hosts/local.yaml").read_text()


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_slices_of_runs_are_the_same_or_have_nothing_in_common(one: int, other: int) -> None:
    first, second = (isolation.choose_moves(RANGE, OWN, (), number) for number in (one, other))
    slices = RANGE.num_addresses // 512
    if one % slices == other % slices:
        assert first == second
        return
    for new in (*first.values(), *second.values()):
        assert new.subnet_of(RANGE)
    assert not any(a.overlaps(b) for a, b in combinations([*first.values(), *second.values()], 2))


lengths = st.lists(st.integers(20, 28), min_size=1, max_size=5)


@given(
    lengths, st.integers(0, 10**6), st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(18, 32)), max_size=9)
)
def test_a_slice_holds_networks_of_any_size_and_meets_nothing(
    sizes: list[int], number: int, blocked: list[tuple[int, int]]
) -> None:
    prefixes = sorted(
        (IPv4Network(f"172.{16 + at}.0.0/{size}") for at, size in enumerate(sizes)), key=lambda p: p.prefixlen
    )
    taken = [IPv4Network((int(RANGE.network_address) + at, length), strict=False) for at, length in blocked]
    try:
        moves = isolation.choose_moves(RANGE, prefixes, taken, number)
    except UserError:
        assert taken
        return
    assert [new.prefixlen for new in moves.values()] == [old.prefixlen for old in moves]
    assert all(new.subnet_of(RANGE) for new in moves.values())
    assert not any(a.overlaps(b) for a, b in combinations([*moves.values()], 2))
    assert not any(new.overlaps(other) for new in moves.values() for other in taken)


def test_a_range_without_room_is_refused_with_what_would_do() -> None:
    with pytest.raises(UserError, match=r"10\.198\.0\.0/24 is too small: a run needs 512 addresses"):
        isolation.choose_moves(IPv4Network("10.198.0.0/24"), OWN, (), 0)
    with pytest.raises(UserError, match="has no room"):
        isolation.choose_moves(RANGE, OWN, [RANGE], 0)


addresses = st.integers(0, 2**32 - 1).map(IPv4Address)


@given(st.integers(0, 255), st.integers(0, 10**6), addresses)
def test_an_address_of_a_network_keeps_its_place_and_any_other_stays(
    host: int, number: int, other: IPv4Address
) -> None:
    moves = local_moves(number)
    new = isolation.moved(
        [f"10.197.41.{host}-10.197.41.{host}", {"at": f"10.197.40.{host}/24, {other}"}, host], moves
    )
    assert new[0] == "-".join([str(moves[OWN[1]][host])] * 2)
    kept = str(other) if not any(other in old for old in OWN) else new[1]["at"].split()[1]
    assert new[1]["at"] == f"{moves[OWN[0]][host]}/24, {kept}"
    assert new[2] == host


@pytest.mark.parametrize(
    "text", ["1.10.197.41.5", "10.197.41.5.6", "10.197.41.256", "v10.197.41", "10.197.41.1234"]
)
def test_what_is_no_address_stays(text: str) -> None:
    assert isolation.moved(text, local_moves()) == text


def test_names_paths_and_secrets_of_the_stack_become_the_runs(tmp_path: Path) -> None:
    arc = {"name": "prod", "customLocations": [{"name": "here", "namespace": "x", "extensions": ["flux"]}]}
    content = files(
        [cluster("a", arc=arc)],
        stack={
            "arc": {"subscriptionId": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "caFile": "certs/ca.pem"},
            "sshPublicKeys": ["keys/me.pub", KEY],
            "placement": {"pins": {"lab/a-cp-0": "here", "lab-rb-0": "here", "a-nodepool1-0": "here"}},
        },
        hosts=[{"name": "here", "connection": "qemu:///system"}],
        infra=infrastructure(vlan=0),
        reservations=[
            {"address": "192.168.1.5", "owner": "lab/rb-0"},
            {"address": "192.168.1.6", "owner": "printer of 192.168.7.7"},
        ],
    )
    write_files(tmp_path, content)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/me.pub").write_text(f"{KEY}\n")
    stack_file = tmp_path / "Pulumi.lab.yaml"
    stack = yaml.safe_load(stack_file.read_text())
    stack["config"]["arc:accountKey"] = {"secure": "v1:10.220.32.20"}
    stack_file.write_text(yaml.safe_dump({**stack, "encryptionsalt": "v1:salt"}))
    spec = load_instance("lab", tmp_path)
    moves = isolation.choose_moves(RANGE, isolation.prefixes_of(spec.netplan), (), 0)
    derived = isolation.files_of(written_of(tmp_path, "lab", "s"), spec, INSTANCE, moves)

    own = yaml.safe_load(derived[f"Pulumi.{INSTANCE}.yaml"])
    assert own["encryptionsalt"] == "v1:salt"
    config = own["config"]
    assert config["arc:accountKey"] == {"secure": "v1:10.220.32.20"}, "what is encrypted stays"
    assert config["azlocal:sshPublicKeys"] == [str(tmp_path / "keys/me.pub"), KEY]
    assert config["azlocal:arc"]["caFile"] == str(tmp_path / "certs/ca.pem")
    assert config["azlocal:clusters"][0]["arc"] == {
        "customLocations": [{"name": f"{INSTANCE}-here", "namespace": "x", "extensions": ["flux"]}]
    }
    assert config["azlocal:placement"]["pins"].keys() == {"a-cp-0", "rb-0", "a-nodepool1-0"}
    reservations = yaml.safe_load(derived["netplans/s.yaml"])["reservations"]
    assert [one["owner"] for one in reservations] == [f"{INSTANCE}/rb-0", "printer of 192.168.7.7"]
    assert reservations[0]["address"] == str(moves[IPv4Network("192.168.1.0/24")][5])


def test_a_salt_without_secrets_is_the_projects_alone(tmp_path: Path) -> None:
    spec = load_instance("local", ROOT)
    written = written_of(ROOT, "local", "local")
    salted = Written(written.project, {**written.stack, "encryptionsalt": "v1:x"}, written.netplan, written.hosts)
    assert (
        "encryptionsalt"
        not in isolation.files_of(salted, spec, INSTANCE, local_moves())[f"Pulumi.{INSTANCE}.yaml"]
    )


def test_the_project_keeps_its_program_and_plugin_wherever_the_run_is() -> None:
    written = written_of(ROOT, "local", "local")
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    whole = Written({**project, "backend": {"url": "s3://x"}}, written.stack, written.netplan, written.hosts)
    derived = isolation.files_of(whole, load_instance("local", ROOT), INSTANCE, local_moves())
    own = yaml.safe_load(derived["Pulumi.yaml"])
    assert own["plugins"]["providers"] == [{"name": "azlocal", "path": str(ROOT / "infra/provider")}]
    assert own["runtime"]["options"]["virtualenv"] == str(ROOT / ".venv")
    assert own.keys() == {"name", "description", "runtime", "plugins"}


def test_networks_that_others_are_on_are_refused() -> None:
    with pytest.raises(UserError, match=r"site s: the networks of node1 are VLANs of an uplink"):
        isolation.refuse_shared_networks(make_spec(cluster()))
    isolation.refuse_shared_networks(make_spec(cluster(), hosts=[{"name": "x", "connection": "qemu:///system"}]))
    isolation.refuse_shared_networks(
        make_spec(cluster(), netplan={"transport": "vxlan"}, hosts=[host(1), host(2)])
    )


def test_what_networks_of_a_run_keep_out_of() -> None:
    spec = make_spec(cluster(), hosts=[host(1, tunnelAddress="198.51.100.7")])
    other = make_spec(networks=[network(addressPrefix="10.9.0.0/24", gateway="10.9.0.1")])
    taken = {str(prefix) for prefix in isolation.taken_prefixes(spec, [(other.hosts, other.netplan)])}
    assert taken >= {"192.168.1.0/24", "10.220.32.0/24", "10.9.0.0/24", "10.244.0.0/16", "10.96.0.0/12"}
    assert {"192.168.1.11/32", "198.51.100.7/32"} <= taken


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "here"),
        ({"CI_JOB_ID": "77"}, "77"),
        ({"GITHUB_RUN_ID": "5", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_JOB": "e2e (x, y)"}, "5-2-e2e-x-y"),
        ({"AZLOCAL_CI_RUN": "mine", "GITHUB_RUN_ID": "5"}, "mine"),
        ({"AZLOCAL_CI_RUN": "../../etc"}, "etc"),
        ({"AZLOCAL_CI_RUN": "€"}, "here"),
    ],
)
def test_a_run_is_named_by_its_pipeline(variables: dict[str, str], name: str) -> None:
    assert isolation.run_name(variables) == name
    assert isolation.check_run_name(name) == name


@given(st.integers(0, 2**64 - 1))
def test_an_instance_has_a_name_that_leases_know_and_loop_devices_have_room_for(number: int) -> None:
    name = isolation.instance_name(number)
    assert INSTANCE_FORM.fullmatch(name)
    assert len(f"/var/lib/azlocal/{name}/volumes/{name}-a-nodepool1-99.raw") < 64


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "x" * 64])
def test_what_cannot_name_a_folder_names_no_run(name: str) -> None:
    with pytest.raises(UserError, match="can't name a run"):
        isolation.check_run_name(name)
