import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from infra.guest import LOGIN_USER, Seed, SshHostKey, generate_host_key
from infra.guest.first_boot import MOUNT_DATA
from infra.model.first_boot import FirstBoot
from infra.model.local_volumes import DATA_SERIAL
from infra.model.machine_traits import TRAITS
from infra.model.node import NodeInputs, NodeSettings

KEY = SshHostKey("-----BEGIN X-----\nline\n-----END X-----\n", "ssh-ed25519 AAAA")
BOOT = FirstBoot(
    hostname="lab-a-cp-0",
    address="10.220.32.18/24",
    gateway="10.220.32.1",
    dns_servers=["10.220.32.5"],
    authorized_keys=["ssh-ed25519 BBBB me"],
)
UNRENDERED = Seed("lab-a-cp-0-1", BOOT, TRAITS["vm"])
SEED = UNRENDERED.render(KEY)


def test_meta_data() -> None:
    assert SEED["meta-data"] == b"instance-id: lab-a-cp-0-1\nlocal-hostname: lab-a-cp-0\ndsmode: local\n"


def test_network_config_is_static_and_fits_vm_and_container() -> None:
    assert yaml.safe_load(SEED["network-config"]) == {
        "version": 2,
        "ethernets": {
            "primary": {
                "match": {"name": "e*"},
                "dhcp4": False,
                "dhcp6": False,
                "accept-ra": False,
                "link-local": [],
                "addresses": ["10.220.32.18/24"],
                "routes": [{"to": "0.0.0.0/0", "via": "10.220.32.1"}],
                "nameservers": {"addresses": ["10.220.32.5"]},
            }
        },
    }


def test_user_data_admits_one_user_by_key_only() -> None:
    assert SEED["user-data"].startswith(b"#cloud-config\n")
    user_data = yaml.safe_load(SEED["user-data"])
    (user,) = user_data["users"]
    assert (user["name"], user["lock_passwd"]) == (LOGIN_USER, True)
    assert user["ssh_authorized_keys"] == ["ssh-ed25519 BBBB me"]
    assert user["sudo"] == ["ALL=(ALL) NOPASSWD:ALL"]
    assert (user_data["disable_root"], user_data["ssh_pwauth"]) == (True, False)
    assert (user_data["hostname"], user_data["fqdn"]) == ("lab-a-cp-0", "lab-a-cp-0")


def test_user_data_has_our_host_key_and_no_other() -> None:
    user_data = yaml.safe_load(SEED["user-data"])
    assert user_data["ssh_deletekeys"] is True
    assert user_data["ssh_keys"] == {"ed25519_private": KEY.private_openssh, "ed25519_public": KEY.public_openssh}


def test_a_first_boot_fetches_nothing_and_needs_no_locales() -> None:
    user_data = yaml.safe_load(SEED["user-data"])
    assert user_data["locale"] is False
    assert (user_data["package_update"], user_data["package_upgrade"]) == (False, False)


@pytest.mark.parametrize("field", ["hostname", "address", "gateway", "mtu", "dns_servers", "authorized_keys"])
def test_the_digest_follows_every_field(field: str) -> None:
    changed = BOOT.model_copy(update={field: "x"})
    assert replace(UNRENDERED, first_boot=changed).digest() != UNRENDERED.digest()


def test_the_digest_follows_the_name_and_not_what_replaces_no_machine() -> None:
    assert replace(UNRENDERED, instance_id="x").digest() != UNRENDERED.digest()
    assert replace(UNRENDERED, settings=NodeSettings(unicast_vrrp=True)).digest() == UNRENDERED.digest()


def test_a_node_mounts_its_data_volume_before_it_reads_its_seed_and_is_no_other_machine_for_it() -> None:
    node = NodeInputs(cluster="c", role="worker", version="1.34.4", endpoint="e", ca_certificate="c", ca_hash="h")
    without = replace(UNRENDERED, first_boot=BOOT.model_copy(update={"node": node}))
    mounts = replace(without, mounts_data=True)
    assert mounts.digest() == without.digest(), "a node that stands isn't replaced"
    first, second = yaml.safe_load(mounts.render(KEY)["user-data"])["bootcmd"]
    assert (first[2], second[2]) == ("mount-data", "take-seed")
    assert [command[2] for command in yaml.safe_load(without.render(KEY)["user-data"])["bootcmd"]] == ["take-seed"]


@pytest.mark.parametrize(("content", "formats"), [(b"", True), (b"\0" * 1024 + b"\x53\xef", False)])
def test_only_an_empty_data_volume_is_formatted(content: bytes, formats: bool, tmp_path: Path) -> None:
    disk, calls = tmp_path / "disk", tmp_path / "calls"
    disk.write_bytes(content.ljust(2 << 20, b"\0"))
    # Up to where it is mounted.
    script = MOUNT_DATA[: MOUNT_DATA.index("mkdir -p")].replace("mkfs.ext4", "format")
    script = script.replace(f"/dev/disk/by-id/virtio-{DATA_SERIAL}", str(disk)).replace("seq 100", "seq 1")
    subprocess.run(["sh", "-euc", f'format() {{ echo "$@" >"{calls}"; }}\n{script}'], check=True)
    assert calls.exists() is formats


def test_the_digest_is_that_of_machines_that_stand() -> None:
    """It is in their state, and another one replaces them: when a seed is read doesn't count."""
    assert UNRENDERED.digest() == "5580286de64570db9dbca1e665f1b543b4d18831400716815826d618dc49a64f"


def test_the_digest_is_the_same_with_another_host_key() -> None:
    assert UNRENDERED.digest() == replace(UNRENDERED).digest()
    assert UNRENDERED.render(generate_host_key()) != SEED


def test_odd_text_stays_data() -> None:
    odd = BOOT.model_copy(update={"authorized_keys": ["ssh-ed25519 AAAA: '\"\n- x #"], "hostname": "{{ x }}"})
    user_data = yaml.safe_load(replace(UNRENDERED, first_boot=odd).render(KEY)["user-data"])
    assert user_data["users"][0]["ssh_authorized_keys"] == odd.authorized_keys
    assert (user_data["hostname"], user_data["fqdn"]) == ("{{ x }}", "{{ x }}")


def test_a_host_key_is_a_pair_in_openssh_form_and_hides_its_secret() -> None:
    key = generate_host_key()
    private = load_ssh_private_key(key.private_openssh.encode(), None)
    public = load_ssh_public_key(key.public_openssh.encode())
    assert private.public_key() == public
    assert key.public_openssh.startswith("ssh-ed25519 AAAA")
    assert "PRIVATE" not in repr(key)
    assert key != generate_host_key()
