"""Flux configurations as Flux's objects, and Flux's conditions as Azure's words."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from infra.emulator.agent import flux


def spec(properties: dict[str, Any], *, has_secret: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = flux.source("lab", properties, has_secret=has_secret)["spec"]
    return found


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


GIT = {"sourceKind": "GitRepository", "gitRepository": {"url": "https://git.example/lab"}}


def test_azures_defaults_are_written_out() -> None:
    assert spec(GIT) == {
        "url": "https://git.example/lab",
        "interval": "600s",
        "timeout": "600s",
        "suspend": False,
    }
    (made,) = flux.kustomizations("lab", {**GIT, "kustomizations": {"one": {}}})
    assert made["metadata"]["namespace"] == "default"
    assert made["spec"] == {
        "interval": "600s",
        "timeout": "600s",
        "path": "./",
        "prune": False,
        "force": False,
        "wait": True,
        "suspend": False,
        "serviceAccountName": "flux-applier",
        "sourceRef": {"kind": "GitRepository", "name": "lab"},
    }


def test_a_kustomization_takes_everything_that_azure_offers() -> None:
    section = {
        "path": "./apps",
        "dependsOn": ["infra"],
        "retryIntervalInSeconds": 30,
        "wait": False,
        "postBuild": {"substitute": {"a": "b"}, "substituteFrom": [{"kind": "ConfigMap", "name": "c"}]},
    }
    (made,) = flux.kustomizations("lab", {**GIT, "suspend": True, "kustomizations": {"apps": section}})
    assert made["spec"]["dependsOn"] == [{"name": "lab-infra"}]
    assert made["spec"]["retryInterval"] == "30s"
    assert (made["spec"]["wait"], made["spec"]["suspend"]) == (False, True)
    assert made["spec"]["postBuild"] == section["postBuild"]


def test_sources_of_other_kinds() -> None:
    oci = {"sourceKind": "OCIRepository", "ociRepository": {"url": "oci://r/x", "repositoryRef": {"digest": "d"}}}
    assert spec(oci)["ref"] == {"digest": "d"}
    bucket = {
        "sourceKind": "Bucket",
        "bucket": {"url": "http://minio.lab:9000/", "bucketName": "b", "accessKey": "me"},
    }
    made = spec(bucket, has_secret=True)
    assert (made["endpoint"], made["bucketName"], made["insecure"]) == ("minio.lab:9000", "b", True)
    assert made["secretRef"] == {"name": "lab-auth"}
    found = flux.credentials(bucket, {"bucketSecretKey": coded("s3")}, {})
    assert found == {"accesskey": b"me", "secretkey": b"s3"}
    with pytest.raises(flux.Unusable, match="sourceKind AzureBlob"):
        flux.source_of({"sourceKind": "AzureBlob"})
    with pytest.raises(flux.Unusable, match="gitRepository has no url"):
        flux.source_of({"sourceKind": "GitRepository"})


SSH = {"gitRepository": {"url": "ssh://git@x/y", "sshKnownHosts": coded("x ssh-ed25519 A")}}
HTTPS = {"gitRepository": {"url": "https://x/y", "httpsUser": "me"}}


def test_credentials_of_a_git_repository() -> None:
    hosts = b"x ssh-ed25519 A"
    assert flux.credentials(SSH, {"sshPrivateKey": coded("KEY")}, {}) == {"identity": b"KEY", "known_hosts": hosts}
    assert flux.credentials(HTTPS, {"httpsKey": coded("pw")}, {}) == {"username": b"me", "password": b"pw"}
    assert flux.credentials(GIT, None, {}) == {}
    with pytest.raises(flux.Unusable, match="httpsKey isn't base64") as caught:
        flux.credentials(HTTPS, {"httpsKey": "pass word"}, {})
    assert "pass word" not in str(caught.value)


def test_protected_settings_that_are_not_sent_again_stay_and_what_is_open_follows_the_user() -> None:
    kept = {"username": b"me", "password": b"pw"}
    changed = {"gitRepository": {"url": "https://x/y", "httpsUser": "you", "httpsCACert": coded("CA")}}
    assert flux.credentials(changed, None, kept) == {"username": b"you", "password": b"pw", "ca.crt": b"CA"}
    assert flux.credentials(changed, {}, kept) == {"ca.crt": b"CA"}
    assert flux.credentials(SSH, None, {"identity": b"KEY"}) == {
        "identity": b"KEY",
        "known_hosts": b"x ssh-ed25519 A",
    }


def test_a_key_pair_is_made_once_for_ssh_where_nobody_gives_one() -> None:
    made = flux.credentials(SSH, None, {})
    assert made[flux.PUBLIC_KEY].startswith(b"ssh-ed25519 ")
    assert made["known_hosts"] == b"x ssh-ed25519 A"
    assert flux.credentials(SSH, None, made) == made
    assert flux.credentials(SSH, {"sshPrivateKey": coded("KEY")}, made)["identity"] == b"KEY"
    own = {"gitRepository": {"url": "ssh://git@x/y", "localAuthRef": "mine"}}
    assert flux.credentials(own, None, {}) == {}


def test_a_secret_of_the_users_own_wins() -> None:
    section = {"url": "https://x/y", "localAuthRef": "mine"}
    assert spec({"gitRepository": section}, has_secret=True)["secretRef"] == {"name": "mine"}


def test_scope_says_how_far_a_configuration_reaches() -> None:
    _, narrow = flux.rights({"scope": "namespace", "namespace": "apps"})
    assert (narrow["kind"], narrow["roleRef"]["name"]) == ("RoleBinding", "admin")
    _, wide = flux.rights({"scope": "cluster", "namespace": "apps"})
    assert (wide["kind"], wide["roleRef"]["name"]) == ("ClusterRoleBinding", "cluster-admin")
    assert {flux.path_of(one) for one in flux.all_rights("apps")} == {
        "/api/v1/namespaces/apps/serviceaccounts/flux-applier",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/flux-applier-apps",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/apps/rolebindings/flux-applier",
    }


def observed(
    status: str, reason: str, *, generation: int = 1, seen: int = 1, suspend: bool = False
) -> dict[str, Any]:
    return {
        "kind": "Kustomization",
        "metadata": {"name": "lab-a", "namespace": "apps", "generation": generation},
        "spec": {"suspend": suspend},
        "status": {
            "observedGeneration": seen,
            "conditions": [{"type": "Ready", "status": status, "reason": reason, "message": "why"}],
        },
    }


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (observed("True", "ReconciliationSucceeded"), "Compliant"),
        (observed("True", "ReconciliationSucceeded", generation=2), "Pending"),
        (observed("Unknown", "Progressing"), "Pending"),
        (observed("False", "DependencyNotReady"), "Pending"),
        (observed("False", "BuildFailed"), "Non-Compliant"),
        (observed("False", "GitOperationFailed", seen=-1), "Non-Compliant"),
        (observed("False", "BuildFailed", suspend=True), "Suspended"),
        ({"metadata": {"generation": 1}}, "Pending"),
    ],
)
def test_what_an_object_says_of_itself(found: dict[str, Any], state: str) -> None:
    assert flux.compliance(found) == state


def test_the_worst_object_counts() -> None:
    assert flux.overall(["Compliant", "Pending"]) == "Pending"
    assert flux.overall(["Pending", "Non-Compliant", "Compliant"]) == "Non-Compliant"
    assert flux.overall(["Compliant"]) == "Compliant"
    assert flux.problem([observed("True", "x"), observed("False", "BuildFailed")]) == "Kustomization lab-a: why"
    assert flux.problem([observed("True", "x")]) is None


def test_a_status_has_azures_shape() -> None:
    shown = flux.status(observed("True", "Succeeded"))
    assert shown["complianceState"] == "Compliant"
    assert shown["statusConditions"] == [
        {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "why", "lastTransitionTime": None}
    ]
