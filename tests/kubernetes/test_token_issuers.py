"""Which issuer an API server's flags name, and whose tokens it takes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from infra.kubernetes.token_issuers import OWN, accepted, issuers_of, with_flags, with_issuers

AZURE = "https://westeurope.oic.prod-arc.azure.com/t/1/"
LATER = "https://eastus.oic.prod-arc.azure.com/t/2/"
COMMAND = [
    "kube-apiserver",
    "--advertise-address=10.0.0.18",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    "--service-account-key-file=/etc/kubernetes/pki/sa.pub",
]


def manifest(*command: str) -> str:
    """Return what kubeadm writes, as far as it counts."""
    container = {"name": "kube-apiserver", "command": [*(command or COMMAND)], "image": "kube-apiserver:v1.33.5"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "kube-apiserver"},
        "spec": {"containers": [container]},
    }
    return yaml.safe_dump(pod)


def command_of(text: str) -> list[str]:
    command: list[str] = yaml.safe_load(text)["spec"]["containers"][0]["command"]
    return command


def test_azures_issuer_comes_first_and_the_old_one_stays() -> None:
    taken = accepted(AZURE, issuers_of(manifest()))
    assert taken == (AZURE, OWN)
    changed = with_issuers(manifest(), taken)
    assert command_of(changed) == [
        "kube-apiserver",
        "--advertise-address=10.0.0.18",
        "--service-account-key-file=/etc/kubernetes/pki/sa.pub",
        f"--service-account-issuer={AZURE}",
        f"--service-account-issuer={OWN}",
        "--service-account-max-token-expiration=24h0m0s",
    ]
    before, after = yaml.safe_load(manifest()), yaml.safe_load(changed)
    del before["spec"]["containers"][0]["command"], after["spec"]["containers"][0]["command"]
    assert before == after, "nothing else is touched"


def test_a_manifest_that_is_as_wanted_stays_as_it_is_to_the_letter() -> None:
    changed = with_issuers(manifest(), (AZURE, OWN))
    commented = f"# by hand\n{changed}"
    assert with_issuers(commented, (AZURE, OWN)) == commented


def test_what_kubeadm_sorted_by_value_is_put_in_order() -> None:
    """Before 1.34 it writes kubernetes.default before westeurope, and new tokens would name the former."""
    joined = manifest(
        *COMMAND, f"--service-account-issuer={AZURE}", "--service-account-max-token-expiration=24h0m0s"
    )
    assert issuers_of(joined) == (OWN, AZURE)
    assert issuers_of(with_issuers(joined, (AZURE, OWN))) == (AZURE, OWN)


def test_a_new_connection_s_issuer_comes_before_the_last_one() -> None:
    assert accepted(LATER, (AZURE, OWN)) == (LATER, AZURE, OWN)
    assert accepted(AZURE, (LATER, AZURE, OWN)) == (AZURE, LATER, OWN)
    assert accepted(AZURE, ()) == (AZURE, OWN)


def test_back_to_kubeadms_own_tokens_of_azures_issuer_are_taken_and_live_as_long_as_they_ask() -> None:
    back = with_issuers(with_issuers(manifest(), (AZURE, OWN)), accepted(OWN, (AZURE, OWN)))
    assert issuers_of(back) == (OWN, AZURE)
    assert not [one for one in command_of(back) if "max-token-expiration" in one]


def test_kubeadm_keeps_its_other_flags_for_those_that_join() -> None:
    settings: dict[str, Any] = {
        "kind": "ClusterConfiguration",
        "apiServer": {"certSANs": ["10.0.0.9"], "extraArgs": [{"name": "profiling", "value": "false"}]},
    }
    changed = with_flags(settings, (AZURE, OWN))
    assert changed["apiServer"] == {
        "certSANs": ["10.0.0.9"],
        "extraArgs": [
            {"name": "profiling", "value": "false"},
            {"name": "service-account-issuer", "value": AZURE},
            {"name": "service-account-issuer", "value": OWN},
            {"name": "service-account-max-token-expiration", "value": "24h0m0s"},
        ],
    }
    assert with_flags(changed, (AZURE, OWN)) == changed
    assert settings["apiServer"]["extraArgs"] == [{"name": "profiling", "value": "false"}]


@pytest.mark.parametrize("text", ["", "[]", "kind: Pod", "{", "spec: {containers: [{name: etcd, command: []}]}"])
def test_what_is_no_manifest_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="no manifest of an API server"):
        with_issuers(text, (AZURE, OWN))
