"""A bare host: what the doctor says of it, and how it is prepared over SSH, with a way back for its network."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest
import yaml
from typer.testing import CliRunner

from infra.cli import app
from infra.kvm import clone_store, emulator_unit
from infra.kvm.preparation import NetworkRolledBack
from infra.kvm.preparation.guard import TRIAL_SECONDS, Trial, change_network
from infra.kvm.preparation.netplan import Design, design_network
from infra.model.host import Bridge
from infra.model.work import Work
from infra.ssh import SshError
from tests.instance import INSTANCE, NETPLAN, address, projects
from tests.prepared_host import UnpreparedHost, unprepared_host, wanted
from tests.project import HOST_ONLY, ROOT, Project
from tests.waiting import eventually, waits_less_than

pytestmark = pytest.mark.e2e

BRIDGE = "azl-trial-lan"
TRIAL = wanted("trial", Bridge(name=BRIDGE, vlan=0))
SECONDS = 8.0


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnpreparedHost]:
    """Return a container with systemd, netplan and sudo, and without libvirt."""
    with projects(tmp_path_factory.mktemp("host")) as make:
        project = make()
        project.up().expect()
        with unprepared_host(project, f"{INSTANCE}-rb-0") as host:
            yield host


@pytest.fixture(scope="module", autouse=True)
def _small_image() -> Iterator[None]:
    """Have the doctor's plans take disks that a container has room for; it makes no machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.plan.rules.machines.NODE_IMAGE_GIB", 4)
        yield


def examined(folder: Path, host: UnpreparedHost, **changes: Any) -> dict[str, dict[str, str]]:
    """Return the results of the host's checks, by id."""
    one = {"name": "node1", "connection": host.connection, "managementAddress": host.address, "uplink": "eth0"}
    config = {"site": "bare", "machineType": "container", "resourceBridge": {"vmSize": "Tiny"}}
    sizes = {"Tiny": {"vcpus": 1, "memoryGiB": 1, "diskGiB": 4}}
    pool = {"start": host.address.rpartition(".")[0] + ".100", "end": host.address.rpartition(".")[0] + ".110"}
    plan = {"infrastructure": NETPLAN["infrastructure"] | {"pool": pool}}
    contents: dict[str, Any] = {
        "hosts/bare": {"hosts": [one | changes], "vmSizes": sizes},
        "netplans/bare": plan,
        "Pulumi.bare": {"config": {f"azlocal:{key}": value for key, value in config.items()}},
    }
    for name, content in contents.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    result = CliRunner().invoke(app, ["-C", str(folder), "doctor", "--format", "json", "--offline"])
    answer = json.loads(result.stdout)
    [found] = answer["hosts"]
    failed = any(one["status"] == "failed" for one in (*found["checks"], *answer["site"]))
    assert result.exit_code == (2 if failed else 0), result.output
    return {one["id"]: one for one in found["checks"]}


def test_what_up_will_bring_is_told_and_not_missed(host: UnpreparedHost, tmp_path: Path) -> None:
    found = examined(tmp_path, host)
    assert found["root"]["seen"] == "azlocal becomes root by sudo"
    assert found["distribution"]["status"] == "ok"
    said = found["preparation"]
    assert said["status"] == "ok", said
    for words in ("`pulumi up` will install libvirt-daemon-system", "move", "from eth0 to its bridge"):
        assert words in said["seen"]
    assert found["packages"]["status"] == "warning"
    assert found["packages"]["remedy"].startswith(
        "`pulumi up` installs them; where it finds no package mirror: apt"
    )
    assert found["libvirt"]["status"] == "skipped"
    assert "this SSH connection" in found["own-connection"]["seen"]
    assert found["management-address"]["seen"] == f"{host.address} on eth0"
    assert found["resolvers"]["status"] == "ok"
    server = NETPLAN["infrastructure"]["dnsServers"][0]
    answer = dns.query.udp(dns.message.make_query("mcr.microsoft.com", "A"), server, timeout=10)
    resolves = answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)  # this machine's own network decides
    assert found["dns"]["status"] == ("ok" if resolves else "warning"), found["dns"]
    synchronised = host.run("timedatectl", "show", "--property=NTPSynchronized", "--value")
    assert found["time-sync"]["status"] == {"yes": "ok", "no": "warning"}[synchronised]
    failed = {id: one["seen"] for id, one in found.items() if one["status"] == "failed"}
    assert failed.keys() == {"loop-devices"}, failed  # a container has none


def test_a_host_that_azlocal_may_not_prepare(host: UnpreparedHost, tmp_path: Path) -> None:
    found = examined(tmp_path, host, prepare=False)
    assert found["preparation"]["status"] == "warning"
    assert "missing, and not azlocal's to make: install libvirt-daemon-system" in found["preparation"]["seen"]
    assert found["packages"]["status"] == "failed"
    assert found["libvirt"]["status"] == "failed"
    assert "apt-get install" in found["libvirt"]["remedy"]


def test_looking_changed_nothing(host: UnpreparedHost, tmp_path: Path) -> None:
    before = host.run("sh", "-c", "ip -brief link; ls /run /var/lib /etc/netplan; lsmod | cut -d' ' -f1 | sort")
    examined(tmp_path, host)
    assert (
        host.run("sh", "-c", "ip -brief link; ls /run /var/lib /etc/netplan; lsmod | cut -d' ' -f1 | sort")
        == before
    )


def design(host: UnpreparedHost) -> Trial:
    facts, missing = host.look(TRIAL)
    assert missing.faults == ()
    return Trial(facts, TRIAL, design_network(facts, TRIAL), SECONDS)


def before_and_after(host: UnpreparedHost, trial: Trial) -> None:
    """Assert that the host is as it was before the trial."""
    facts, _ = host.look(TRIAL)
    assert facts.links.keys() == trial.facts.links.keys()
    assert facts.links["eth0"].global_addresses == trial.facts.links["eth0"].global_addresses
    assert (facts.own_netplan, facts.own_port) == (None, None)
    assert host.run("ls", "/run/netplan") == ""
    assert set(facts.routes) == set(trial.facts.routes)


def test_a_change_that_cuts_the_host_off_is_taken_back_by_the_host(host: UnpreparedHost) -> None:
    trial = design(host)
    right = trial.facts.links["eth0"].global_addresses[0].text
    text = str(trial.design.netplan).replace(right, "192.0.2.77/24")
    broken = replace(trial, design=replace(trial.design, netplan=text))
    started = time.monotonic()
    with pytest.raises(NetworkRolledBack, match="is as before") as raised:
        change_network(host.reach, broken, Work(status=print))
    assert SECONDS - 1 < time.monotonic() - started < SECONDS + 120
    assert "+      - 192.0.2.77/24" in str(raised.value), "the difference is shown"
    before_and_after(host, trial)


def test_what_netplan_refuses_is_taken_back_at_once(host: UnpreparedHost) -> None:
    trial = design(host)
    text = "network: {version: 2, bridges: {a: 1}}\n"
    nonsense = replace(trial, design=replace(trial.design, netplan=text), seconds=600)
    with waits_less_than(600), pytest.raises(NetworkRolledBack, match="netplan refuses it"):
        change_network(host.reach, nonsense, Work(status=print))
    before_and_after(host, trial)


def status(host: UnpreparedHost) -> str:
    """Return how the trial stands; empty while the host doesn't answer."""
    try:
        return host.run("cat", "/run/azlocal/network-trial/status", check=False)
    except SshError:
        return ""


KILLED = dedent(
    """
    import sys
    from dataclasses import replace
    from infra.kvm.preparation.guard import change_network
    from infra.model.work import Work
    from tests.e2e.test_host_preparation import design
    from tests.prepared_host import UnpreparedHost

    host = UnpreparedHost(sys.argv[1], sys.argv[2])
    trial = replace(design(host), seconds=float(sys.argv[3]))
    change_network(host.reach, trial, Work(status=lambda text: print(text, flush=True)))
    """
)


def kill_in_the_middle(host: UnpreparedHost, seconds: float) -> None:
    """Begin a sound change in another process, and kill that before it can confirm."""
    argv = [sys.executable, "-c", KILLED, host.domain, host.address, str(seconds)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("trying the new network")
        process.kill()
    eventually(lambda: status(host) == "applied", "the change on trial", seconds=60)
    assert host.look(TRIAL)[0].links["eth0"].master == BRIDGE


def test_a_controller_that_dies_leaves_the_host_as_it_was(host: UnpreparedHost) -> None:
    trial = design(host)
    kill_in_the_middle(host, 20)
    eventually(lambda: status(host) == "rolled-back", "the host's own rollback", seconds=90)
    before_and_after(host, trial)


def test_a_host_that_boots_during_a_trial_has_its_old_network(host: UnpreparedHost) -> None:
    trial = design(host)
    kill_in_the_middle(host, 600)
    host.boot()
    facts, _ = host.look(TRIAL)
    assert facts.links["eth0"].global_addresses == trial.facts.links["eth0"].global_addresses
    assert BRIDGE not in facts.links
    assert (facts.own_netplan, facts.own_port) == (None, None)


def test_a_run_after_a_killed_one_goes_on_at_once(host: UnpreparedHost) -> None:
    trial = design(host)
    kill_in_the_middle(host, 600)
    change_network(host.reach, replace(trial, seconds=TRIAL_SECONDS), Work(status=print))
    facts, _ = host.look(TRIAL)
    assert facts.own_netplan == trial.design.netplan
    assert [one.text for one in facts.links[BRIDGE].global_addresses] == [
        one.text for one in trial.facts.links["eth0"].global_addresses
    ]
    change_network(host.reach, Trial(facts, TRIAL, Design(stale=(BRIDGE,))), Work(status=print))
    before_and_after(host, trial)


def site(host: UnpreparedHost, folder: Path) -> Project:
    """Return a project whose one host is that one, with an untagged network on its only NIC."""
    project = Project(folder / "project", "site")
    hosts: dict[str, Any] = {
        "hosts": [
            {
                "name": "far",
                "connection": host.connection,
                "managementAddress": address(0, 40),
                "uplink": "eth0",
            }
        ],
        "vmSizes": {"Tiny": {"vcpus": 1, "memoryGiB": 1, "diskGiB": 16}},
    }
    config = {
        "site": "far",
        "machineType": "container",
        "resourceBridge": {"vmSize": "Tiny"},
        "sshPublicKeys": [f"{folder}/key.pub"],
        "clusters": [],
    }
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    # The host has an address of what is the pool of other tests' instances: it is a machine of theirs.
    infrastructure = NETPLAN["infrastructure"] | {"pool": {"start": address(0, 50), "end": address(0, 60)}}
    project.write(config=config, hosts=hosts, netplan=NETPLAN | {"infrastructure": infrastructure})
    project.init()
    return project


def test_a_host_gets_what_it_lacks_and_nothing_twice(host: UnpreparedHost, tmp_path: Path) -> None:
    ours = "/etc/netplan/90-azlocal-site.yaml"
    others = host.run("sha256sum", "/etc/netplan/50-cloud-init.yaml")
    project = site(host, tmp_path)
    said = project.pulumi("preview").expect().output
    assert "packages: install libvirt-daemon-system" in said
    assert "+    azl-" in said, "the difference of the netplan is shown"
    assert not host.has(ours)
    assert not host.has("/usr/sbin/libvirtd"), "a preview changes nothing"

    with host.clone_store(tmp_path) as mount:
        mount()
        project.up(*HOST_ONLY).expect()
        assert host.run("systemctl", "is-enabled", "libvirtd.service") == "enabled"
        assert host.run("stat", "--format=%a", ours) == "600"
        assert "site-infrastructure" in host.run("virsh", "net-list", "--name")
        (bridge,) = host.addresses()
        assert bridge.startswith("azl-"), "the bridge has the uplink's address"
        assert "prepared:" not in project.up("--expect-no-changes", *HOST_ONLY).expect().output
        project.refresh("--expect-no-changes", *HOST_ONLY).expect()

        host.run("rm", ours)
        assert "prepared" in project.refresh(*HOST_ONLY).expect().output
        said = project.pulumi("preview", *HOST_ONLY).expect().output
        assert "network: " in said
        assert "packages: install" not in said
        project.up(*HOST_ONLY).expect()
        assert host.has(ours)
        host.boot()
        assert list(host.addresses()) == [bridge], "it outlives a boot"
        mount()
        project.destroy().expect()
    assert not host.has(ours)
    assert list(host.addresses()) == ["eth0"]
    assert host.has("/usr/sbin/libvirtd"), "packages stay"
    assert host.run("sha256sum", "/etc/netplan/50-cloud-init.yaml") == others


def test_a_store_is_mounted_again_at_each_boot(host: UnpreparedHost, tmp_path: Path) -> None:
    """By systemd, before libvirt starts what lies on it."""
    # The kernel's loop devices, for which a container has no nodes; a file system, for which it has no mkfs.
    nodes = ["c! /dev/loop-control 0600 root root - 10:237"]
    nodes += [f"b! /dev/loop{number} 0600 root root - 7:{number}" for number in range(64)]
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(320 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
    directory = "/var/lib/a store/lab"
    shell = host.reach()
    try:
        shell.write_file("/etc/tmpfiles.d/loop.conf", "\n".join([*nodes, ""]).encode())
        shell.run(["systemd-tmpfiles", "--create", "--boot", "/etc/tmpfiles.d/loop.conf"])
        shell.make_directory(directory.rpartition("/")[0])
        shell.write_file("/root/image.gz", gzip.compress(image.read_bytes(), 1))
        shell.run(
            ["sh", "-c", f"gunzip --stdout /root/image.gz | cp --sparse=always /dev/stdin '{directory}.xfs'"]
        )
        assert clone_store.ensure(shell, directory).kind == "xfs-loop"
        shell.write_file(f"{directory}/disk", b"content")
        unit = shell.run(["systemd-escape", "--path", "--suffix=mount", "--", directory]).stdout.strip()
        shell.run(["systemd-analyze", "verify", f"/etc/systemd/system/{unit}"])
    finally:
        shell.close()
    host.boot()
    assert host.run("cat", f"{directory}/disk") == "content"
    assert host.run("systemctl", "is-active", "--", unit) == "active"
    shell = host.reach()
    try:
        clone_store.ensure(shell, directory)
        shell.run(["rm", "--", f"{directory}/disk"])
        clone_store.remove(shell, directory)
        left = shell.run(["find", "/etc/systemd/system", "-name", unit.replace("\\", "\\\\")])
        assert left.stdout == ""
    finally:
        shell.close()
    host.boot()
    assert host.run("systemctl", "is-active", "--", unit, check=False) == "inactive"


def test_the_emulator_is_started_at_each_boot(
    host: UnpreparedHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By systemd, with the host's own Python; the unit is the one that `up` writes."""
    package, state = Path("/opt/azlocal"), "/root/its state"
    monkeypatch.setattr(emulator_unit, "_PACKAGE", package)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setenv("XDG_STATE_HOME", state)
    folder = Path(state) / "azlocal/emulator/trial"
    shell = host.reach()
    try:
        shell.write_file("/root/azlocal.tar.gz", packed_emulator(tmp_path / "packed"))
        shell.run(["mkdir", "-p", str(package), str(folder)])
        shell.run(["tar", "--extract", "--gzip", "--file", "/root/azlocal.tar.gz", "--directory", str(package)])
        emulator_unit.install(shell, "trial", folder)
    finally:
        shell.close()
    host.boot()
    unit = "azlocal-emulator-trial.service"
    eventually(lambda: host.run("systemctl", "is-active", unit, check=False) == "active", "the unit's end", 60)
    status = [f"PYTHONPATH={package}", f"XDG_STATE_HOME={state}", "/usr/bin/python3", "-m", "infra.cli"]
    said = host.run("env", *status, "emulator", "status", "--instance", "trial", "--json")
    pid = json.loads(said)["pid"]
    assert unit in host.run("cat", f"/proc/{pid}/cgroup"), "it runs on, as the unit's"
    shell = host.reach()
    try:
        emulator_unit.uninstall(shell, "trial")
        assert shell.exists(f"/proc/{pid}"), "what runs is left alone"
        shell.run(["kill", str(pid)])
        shell.run(["rm", "--recursive", "--", str(package), state])
    finally:
        shell.close()
    assert host.run("systemctl", "is-enabled", unit, check=False) != "enabled"


def packed_emulator(folder: Path) -> bytes:
    """Return an archive of azlocal and of what its emulator imports."""
    modules = "infra.cli, infra.cli.emulator, infra.emulator.daemon, infra.emulator.server"
    asked = [str(ROOT / ".venv/bin/python"), "-c", f"import sys, {modules}\n{_IMPORTED}"]
    parts = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split("\n")
    folder.mkdir()
    for part in (str(ROOT / "infra"), *filter(None, parts)):
        (folder / Path(part).name).symlink_to(part)
    packed = ["tar", "--create", "--gzip", "--dereference", "--exclude=__pycache__", f"--directory={folder}", "."]
    return subprocess.run(packed, check=True, capture_output=True).stdout


# Prints the packages and modules beside the standard library's that are imported, each once.
_IMPORTED = """
import pathlib, sysconfig
site = pathlib.Path(sysconfig.get_path("purelib"))
files = [pathlib.Path(one.__file__) for one in sys.modules.values() if getattr(one, "__file__", None)]
inside = {one.relative_to(site).parts[0] for one in files if one.is_relative_to(site)}
print(*(site / one for one in sorted(inside)), sep="\\n")
"""
