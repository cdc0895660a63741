import base64
import random
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.guest import generate_host_key
from infra.spec import Finding, SpecError, load_instance, read_public_keys
from infra.spec.ssh_keys import _KEY_TYPES, is_public_key
from tests.instances import checked_addresses, files, write_files


def openssh(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def generate_rsa(bits: int) -> str:
    return openssh(rsa.generate_private_key(65537, bits).public_key())


def blob_of(text: str) -> bytes:
    return base64.b64decode(text.split()[1])


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def security_key(kind: str, key: bytes) -> str:
    return f"{kind} " + base64.b64encode(string(kind.encode()) + key + string(b"ssh:")).decode()


KEY = generate_host_key().public_openssh


def test_texts_and_files_of_keys(tmp_path: Path) -> None:
    (tmp_path / "two.pub").write_text(f"{KEY} one\n\n# comment\n{KEY} two\n", encoding="utf-8")
    assert read_public_keys([f"{KEY} me@here", "two.pub"], tmp_path) == (
        f"{KEY} me@here",
        f"{KEY} one",
        f"{KEY} two",
    )


def test_every_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        read_public_keys(["missing.pub", "secret", "~nobody-here/x.pub"], tmp_path)
    assert len(caught.value.findings) == 3
    assert "c2VjcmV0" not in str(caught.value)


WRONG = ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa " + KEY.split()[1], KEY + "\nx"]


@pytest.mark.parametrize("text", WRONG, ids=["empty", "no key", "cut short", "another type", "two lines"])
def test_what_is_no_key(text: str) -> None:
    assert not is_public_key(text)


RSA = generate_rsa(2048)
KEYS = [
    KEY,
    RSA,
    generate_rsa(1024),
    openssh(ec.generate_private_key(ec.SECP256R1()).public_key()),
    openssh(ec.generate_private_key(ec.SECP384R1()).public_key()),
    openssh(ec.generate_private_key(ec.SECP521R1()).public_key()),
    security_key("sk-ssh-ed25519@openssh.com", blob_of(KEY)[15:]),
]


def mangled(text: str) -> list[str]:
    """Return a key's text damaged in every way that a copy goes wrong."""
    kind, blob = text.split()[:2]
    data = base64.b64decode(blob)
    cut = [f"{kind} {blob[:length]}" for length in range(4, len(blob), 7)]
    padded = [f"{kind} {base64.b64encode(data[:length]).decode()}" for length in range(4, len(data), 11)]
    longer = [f"{kind} {base64.b64encode(data + b'x').decode()}", f"{kind} {blob}=", f"{kind} {blob}AAAA"]
    others = [f"{other} {blob}" for other in _KEY_TYPES if other != kind]
    inside = [f"{kind} {blob[:20]}{sign}{blob[21:]}" for sign in "-_ .\u00e9"]
    return [
        *cut,
        *padded,
        *longer,
        *others,
        *inside,
        f"{kind}{blob}",
        blob,
        f"{kind} {blob.lower()}",
        f"{kind}, {blob}",
    ]


def keygen_takes(text: str, folder: Path) -> bool:
    file = folder / "key.pub"
    file.write_text(f"{text}\n", encoding="utf-8")
    done = subprocess.run(["ssh-keygen", "-l", "-f", str(file)], capture_output=True, timeout=30, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("key", KEYS, ids=lambda key: f"{key.split()[0]} {len(key)}")
def test_a_key_is_what_ssh_keygen_takes_for_one(key: str, tmp_path: Path) -> None:
    for text in (key, f"{key} me@here, and more", f"{key.replace(' ', chr(9), 1)}\tme"):
        assert is_public_key(text)
        assert keygen_takes(text, tmp_path)
    chance = random.Random(7)
    texts = mangled(key)
    for text in chance.sample(texts, min(25, len(texts))):
        assert is_public_key(text) == keygen_takes(text, tmp_path), text


def test_rsa_keys_are_as_long_as_openssh_asks(tmp_path: Path) -> None:
    short = (
        "ssh-rsa "
        + base64.b64encode(string(b"ssh-rsa") + string(b"\1\0\1") + string(b"\0" + b"\xff" * 96)).decode()
    )
    assert not keygen_takes(short, tmp_path)
    assert not is_public_key(short)


def said(*keys: str, folder: Path) -> list[Finding]:
    content = files()
    content["stack"]["sshPublicKeys"] = list(keys)
    write_files(folder, content)
    try:
        load_instance("lab", folder)
    except SpecError as error:
        return error.findings
    return []


CERTIFICATE = "ssh-ed25519-cert-v01@openssh.com AAAA me"
REFUSED = [
    (f"{KEY[:40]} me@here", "damaged or cut off"),
    (f"ssh-rsa {KEY.split()[1]}", "says ssh-rsa, and the key itself says 'ssh-ed25519'"),
    (RSA[:200], "damaged or cut off"),
    (CERTIFICATE, "is a certificate"),
    ("ssh-dss AAAAB3NzaC1kc3MAAACB me", "DSA key"),
    ("ssh-ed448 AAAA", "which OpenSSH doesn't know"),
    (f'command="reboot" {KEY}', "has options before the key"),
    (f"from=10.0.0.0/8,no-pty {KEY}", "has options before the key"),
    (f"{KEY}\n{KEY}", "has several lines"),
    (f"{KEY} me\r\nssh-rsa AAAA", "has several lines"),
    (KEY.split()[1], "without its type"),
    ("ssh-ed25519", "a type without a key"),
    ("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----", "another form than OpenSSH's"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n", "this is a private key"),
    ("PuTTY-User-Key-File-3: ssh-ed25519", "this is a private key"),
    (f'"{KEY} me"', "has quotes of its own"),
    (f"SSH-ED25519 {KEY.split()[1]}", "'SSH-ED25519' for a type, which OpenSSH doesn't know"),
    (f"{KEY} me {KEY}", "has two keys on one line"),
    ("https://github.com/me.keys", "azlocal fetches no keys"),
    (f"# {KEY}", "is a comment"),
    ("SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8", "is a key's fingerprint"),
    ("256 SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8 me (ED25519)", "is a key's fingerprint"),
    ("MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", "is a key's fingerprint"),
    ("16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48", "is a key's fingerprint"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_the_plan_says_what_is_wrong_with_a_key(text: str, reason: str, tmp_path: Path) -> None:
    (finding,) = said(KEY, text, folder=tmp_path)
    assert finding.path.endswith("azlocal:sshPublicKeys[1]")
    assert reason in finding.message
    assert "c2VjcmV0" not in str(finding)


def test_a_block_of_yaml_ends_a_key_with_a_new_line(tmp_path: Path) -> None:
    assert said(f"{KEY} me@here\n", folder=tmp_path) == []


def test_a_file_that_is_here_holds_a_key(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n", encoding="utf-8")
    (tmp_path / "half.pub").write_text(f"{KEY}\n{KEY[:50]}\n", encoding="utf-8")
    (tmp_path / "good.pub").write_text(f"{KEY}\n", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    first, second, third = said("good.pub", "id", "half.pub", "elsewhere.pub", "folder", folder=tmp_path)
    assert "the public one is in the .pub file beside it" in first.message
    assert "key 2 of it is damaged or cut off" in second.message
    assert "Is a directory" in third.message


def test_a_file_that_is_not_here_is_told_and_refuses_no_plan(tmp_path: Path) -> None:
    content = files()
    content["stack"]["sshPublicKeys"] = [KEY, "~/no/such/id.pub", "elsewhere.pub"]
    write_files(tmp_path, content)
    found = [one for one in checked_addresses(load_instance("lab", tmp_path)).findings if "here" in one.message]
    assert [(one.rule, one.severity) for one in found] == [("ssh-key-not-here", "warning")] * 2
    assert [one.path[-16:] for one in found] == ["sshPublicKeys[1]", "sshPublicKeys[2]"]
