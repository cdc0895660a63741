"""The identity that a cluster is born with: what kubeadm and Kubernetes ask of it."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode

import jwt
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.kubernetes.pki import administrator_kubeconfig, generate_pki, restore_pki

PKI = generate_pki()


def certificate(path: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(PKI.files[path].encode())


def test_a_control_plane_starts_from_kubeadms_three_authorities_and_one_key_pair() -> None:
    assert set(PKI.files) == {
        *("ca.crt", "ca.key", "etcd/ca.crt", "etcd/ca.key", "front-proxy-ca.crt", "front-proxy-ca.key"),
        *("sa.key", "sa.pub"),
    }
    names = {path: certificate(path).subject.rfc4514_string() for path in PKI.files if path.endswith(".crt")}
    assert names == {
        "ca.crt": "CN=kubernetes",
        "etcd/ca.crt": "CN=etcd-ca",
        "front-proxy-ca.crt": "CN=front-proxy-ca",
    }


def test_every_authority_may_sign_and_its_key_is_its_own() -> None:
    for path in ("ca", "etcd/ca", "front-proxy-ca"):
        found = certificate(f"{path}.crt")
        assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert found.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
        key = serialization.load_pem_private_key(PKI.files[f"{path}.key"].encode(), None)
        assert key.public_key() == found.public_key()
        found.verify_directly_issued_by(found)


def test_service_account_tokens_are_signed_as_entra_takes_them() -> None:
    signer = serialization.load_pem_private_key(PKI.files["sa.key"].encode(), None)
    assert isinstance(signer, rsa.RSAPrivateKey)
    assert signer.key_size >= 2048
    token = jwt.encode({"sub": "system:serviceaccount:default:app"}, PKI.files["sa.key"], algorithm="RS256")
    claims = jwt.decode(token, PKI.files["sa.pub"], algorithms=["RS256"])
    assert claims["sub"] == "system:serviceaccount:default:app"


def test_a_cluster_that_stands_keeps_its_service_account_key() -> None:
    """Those of 0.1.0 have one on an elliptic curve."""
    old = PKI.files | {"sa.key": "-----BEGIN EC PRIVATE KEY-----", "sa.pub": "-----BEGIN PUBLIC KEY-----"}
    assert restore_pki(old).files == old


def test_each_cluster_has_an_encryption_key_of_its_own() -> None:
    (key,) = PKI.encryption_keys
    assert len(b64decode(key)) == 32
    assert generate_pki().encryption_keys != PKI.encryption_keys


def test_the_pin_is_the_one_that_kubeadm_computes() -> None:
    info = certificate("ca.crt").public_key()
    der = info.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert PKI.ca_hash == "sha256:" + hashlib.sha256(der).hexdigest()


def test_the_token_has_the_form_of_a_bootstrap_token_and_is_another_each_time() -> None:
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", PKI.token)
    assert generate_pki().token != PKI.token


def test_the_kubeconfig_is_an_administrators_signed_by_the_cluster() -> None:
    config = yaml.safe_load(administrator_kubeconfig("local-a", "https://10.0.0.9:6443", PKI.ca))
    assert config["clusters"][0]["cluster"]["server"] == "https://10.0.0.9:6443"
    assert config["current-context"] == config["contexts"][0]["name"] == "local-a"
    authority = b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    assert authority == PKI.files["ca.crt"]
    client = x509.load_pem_x509_certificate(b64decode(config["users"][0]["user"]["client-certificate-data"]))
    client.verify_directly_issued_by(certificate("ca.crt"))
    # Not system:masters, which nobody can take rights from.
    assert "O=kubeadm:cluster-admins" in client.subject.rfc4514_string()
    assert not client.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_no_secret_is_in_the_objects_text() -> None:
    shown = repr(PKI)
    assert PKI.encryption_keys[0] not in shown
    assert "PRIVATE" not in shown
    assert PKI.token not in shown
