"""How a cluster's Secrets are encrypted in etcd: what its API servers are told, and what of it is read again."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest

from infra.guest.encryption import encryption_file, encryption_keys_of
from tests.guest.test_kubernetes_node import (
    PLANE,
    SECRETS,
    WORKER,
    documents,
    extra_arguments,
    files,
    replace,
)

ENCRYPTION_KEYS = tuple(b64encode(bytes([number]) * 32).decode("ascii") for number in range(2))
ENCRYPTS = SECRETS.model_copy(update={"encryption_keys": ENCRYPTION_KEYS})


def test_api_servers_encrypt_secrets_with_the_first_key_and_read_what_is_older() -> None:
    told = extra_arguments(documents(files(PLANE, ENCRYPTS)["init.yaml"])["ClusterConfiguration"]["apiServer"])
    assert told["encryption-provider-config"] == "/etc/kubernetes/azlocal/encryption.yaml"
    assert told["encryption-provider-config-automatic-reload"] == "true"
    for number in (0, 1):
        text = files(replace(PLANE, number=number), ENCRYPTS)["api-server/encryption.yaml"]
        (rule,) = documents(text)["EncryptionConfiguration"]["resources"]
        assert rule["resources"] == ["secrets"]
        secretbox, identity = rule["providers"]
        assert [key["secret"] for key in secretbox["secretbox"]["keys"]] == [*ENCRYPTION_KEYS]
        assert len({key["name"] for key in secretbox["secretbox"]["keys"]}) == 2
        assert identity == {"identity": {}}


def test_encryption_keys_are_on_control_planes_alone() -> None:
    assert not any(name.endswith("encryption.yaml") for name in files(WORKER, ENCRYPTS))
    beside = {name: text for name, text in files(PLANE, ENCRYPTS).items() if name != "api-server/encryption.yaml"}
    assert not any(key in text for key in ENCRYPTION_KEYS for text in beside.values())
    assert ENCRYPTION_KEYS[0] not in repr(ENCRYPTS)


@pytest.mark.parametrize("keys", [None, ()])
def test_a_cluster_that_was_founded_without_encryption_goes_on_without(keys: tuple[str, ...] | None) -> None:
    found = files(PLANE, SECRETS.model_copy(update={"encryption_keys": keys}))
    assert "api-server/encryption.yaml" not in found
    assert "encryption" not in str(documents(found["init.yaml"])["ClusterConfiguration"]["apiServer"])


def test_the_keys_are_read_as_they_were_written() -> None:
    assert encryption_keys_of(encryption_file(ENCRYPTION_KEYS)) == ENCRYPTION_KEYS


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "a: [",
        lambda text: text.replace("secretbox", "aescbc"),
        lambda text: text.replace("- secrets", "- configmaps"),
        lambda text: text.replace(ENCRYPTION_KEYS[1], "c2hvcnQ="),
        lambda text: text.replace(ENCRYPTION_KEYS[1], "*"),
    ],
)
def test_keys_of_a_file_that_somebody_changed_are_not_taken_and_not_shown(change: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match=r"encryption.yaml isn't as azlocal writes it") as refused:
        encryption_keys_of(change(encryption_file(ENCRYPTION_KEYS)))
    assert refused.value.__suppress_context__
