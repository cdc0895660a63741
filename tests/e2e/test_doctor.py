"""The doctor on a bare host: systemd, netplan and sudo, and none of what azlocal needs yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from infra.cli import app
from tests.instance import INSTANCE, NETPLAN, projects
from tests.prepared_host import UnpreparedHost, unprepared_host

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnpreparedHost]:
    with projects(tmp_path_factory.mktemp("host")) as make:
        project = make()
        project.up().expect()
        with unprepared_host(project, f"{INSTANCE}-rb-0") as host:
            yield host


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
    assert result.exit_code in (0, 2), result.output
    [found] = json.loads(result.stdout)["hosts"]
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
    assert (found["dns"]["status"], found["resolvers"]["status"]) in {("ok", "ok"), ("warning", "ok")}
    assert found["time-sync"]["status"] in ("ok", "warning")  # systemd tells
    failed = {id: one["seen"] for id, one in found.items() if one["status"] == "failed"}
    assert failed.keys() <= {"loop-devices", "vlans"}, failed  # a container has none


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
