"""Whose host key is accepted: what `ssh` accepts by the same known_hosts files, and nothing else."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from infra.ssh import HostKeyChanged, HostKeyRevoked, HostKeyUnknown, SshError, SshShell
from infra.ssh.host_certificate import parse_certificate
from infra.ssh.known_hosts import find_keys
from infra.ssh.options import STRICT, SshOptions, SshTarget, words
from tests.ssh.conftest import make_key, make_server

OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEpCk6+dC5z7AqTCQitm9mRDMzK1q8jWWip3gCN2LX96"


@dataclass
class Host:
    """A server, who certifies it, and what is known of it."""

    folder: Path
    alias: str | None = None
    ca_algorithms: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self.authority = make_key(self.folder / "authority")
        self.server = make_server(self.folder)
        self.key = self.server.public_key
        self.known = f"[127.0.0.1]:{self.server.port}"

    def certify(self, *arguments: str, key: str = "host", by: str = "authority") -> None:
        """Have the server show a certificate of its key."""
        public = self.folder / f"{key}.pub"
        sign = ["ssh-keygen", "-q", "-s", str(self.folder / by), "-I", "test", *arguments, str(public)]
        subprocess.run(sign, check=True)
        self.configure(f"HostCertificate {self.folder / f'{key}-cert.pub'}")

    def configure(self, line: str) -> None:
        self.server.config.write_text(self.server.config.read_text() + line + "\n")

    def knows(self, *lines: str) -> None:
        (self.folder / "known").write_text("".join(f"{line}\n" for line in lines))

    @property
    def login(self) -> SshOptions:
        options = replace(self.server.options, key_alias=self.alias)
        return options if self.ca_algorithms is None else replace(options, ca_algorithms=self.ca_algorithms)

    def enter(self) -> type[SshError] | str:
        """Return what became of a login; ssh has to think the same of it."""
        process = self.server.start()
        shell = SshShell(SshTarget("node1"), self.login)
        try:
            told = words({**STRICT, "BatchMode": "yes"})
            if self.ca_algorithms is not None:
                told += words({"CASignatureAlgorithms": ",".join(self.ca_algorithms)})
            asked = subprocess.run(
                ["ssh", *told, *self.login.arguments(), "echo in"], capture_output=True, text=True, check=False
            )
            try:
                said = shell.run(["echo", "in"]).stdout.strip()
            except SshError as error:
                self.error = str(error)
                assert asked.returncode == 255, f"ssh accepts it: {error}"
                return type(error)
            assert asked.stdout == "in\n", f"ssh refuses it: {asked.stderr}"
            return said
        finally:
            shell.close()
            process.kill()
            process.wait()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# -- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "{known} {key}",
        "elsewhere,{known} {key} with a comment",
        "\t {known}\t{key}",
        "* {key}",
        "[127.0.0.*]:{port} {key}",
        "*,![10.*]:* {key}",
        # ssh falls back on the name without the port, for servers behind forwarded ones
        "127.0.0.1 {key}",
    ],
)
def test_a_line_that_speaks_of_the_host(host: Host, line: str) -> None:
    host.knows(line.format(known=host.known, key=host.key, port=host.server.port))
    assert host.enter() == "in"


@pytest.mark.parametrize(
    "line",
    [
        "*,!*127.0.0.1* {key}",
        "[127.0.0.1]:1 {key}",
        "# {known} {key}",
        "@strange {known} {key}",
        "{known} 1 {key}",
    ],
)
def test_a_line_that_does_not_speak_of_the_host(host: Host, line: str) -> None:
    host.knows(line.format(known=host.known, key=host.key))
    assert host.enter() is HostKeyUnknown


def test_hashed_names(host: Host) -> None:
    host.knows(f"{host.known} {host.key}")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(host.folder / "known")], check=True, capture_output=True)
    assert "127.0.0.1" not in (host.folder / "known").read_text()
    assert host.enter() == "in"


def test_what_is_said_of_others_and_what_is_damaged_hinder_nobody(host: Host) -> None:
    host.knows(
        "# a comment",
        "",
        f"@cert-authority *.example.com {host.authority}",
        f"@revoked * {OTHER}",
        f"{host.known} ssh-ed25519 AAAAC3Nz!!",
        f"{host.known} ssh-ed25519",
        f"{host.known} ssh-rsa {OTHER.split()[1]}",
        f"{host.known} ssh-dss AAAAB3NzaC1kc3MAAACBAPY8ZOHY2yFSJA6XYC9HRwNHxaehvx5wOJ0rzZdzoSOXxbETW6ToHv8D",
        "\x00\xff",
        f"{host.known} {host.key}",
    )
    assert host.enter() == "in"


def test_any_of_several_keys_of_a_kind_will_do(host: Host) -> None:
    host.knows(f"{host.known} {OTHER}", f"{host.known} {host.key}")
    assert host.enter() == "in"


def test_another_key_is_told_with_where_it_stands(host: Host) -> None:
    host.knows("# a comment", f"{host.known} {OTHER}", f"127.0.0.1 {host.key}")
    assert host.enter() is HostKeyChanged
    known = host.folder / "known"
    assert f"({known}:2)" in host.error
    assert f"`ssh-keygen -R '{host.known}' -f {known}`" in host.error


def test_a_host_with_several_keys_is_asked_for_the_one_that_is_known(host: Host) -> None:
    rsa = make_key(host.folder / "rsa", "rsa")
    host.configure(f"HostKey {host.folder / 'rsa'}")
    host.knows(f"{host.known} {rsa}")
    assert host.enter() == "in"


def test_a_file_that_is_missing_says_nothing(tmp_path: Path) -> None:
    assert find_keys([str(tmp_path / "none"), "/dev/null", str(tmp_path)], "node1") == []


# -- marks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["{known}", "*"])
def test_a_revoked_key_is_refused_with_file_and_line(host: Host, names: str) -> None:
    host.knows(f"{host.known} {host.key}", f"@revoked {names.format(known=host.known)} {host.key}")
    assert host.enter() is HostKeyRevoked
    assert f"is marked @revoked in {host.folder / 'known'}:2" in host.error
    host.knows(f"{host.known} {host.key}", f"@revoked elsewhere {host.key}")
    assert host.enter() == "in"


def test_an_authority_is_no_host_key(host: Host) -> None:
    host.knows(f"@cert-authority * {host.key}")
    assert host.enter() is HostKeyUnknown


# -- certificates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "of"), [("ed25519", "ed25519"), ("rsa", "ecdsa"), ("ecdsa", "rsa")])
def test_a_certificate_by_a_known_authority(host: Host, kind: str, of: str) -> None:
    authority = make_key(host.folder / f"by-{kind}", kind)
    make_key(host.folder / f"of-{of}", of)
    host.configure(f"HostKey {host.folder / f'of-{of}'}")
    host.certify("-h", "-n", "node1,127.0.0.1", key=f"of-{of}", by=f"by-{kind}")
    host.knows(f"@cert-authority [127.0.0.1]:* {authority}")
    assert host.enter() == "in"


def test_a_certificate_is_for_the_alias_where_there_is_one(host: Host) -> None:
    host.alias = "lab"
    host.certify("-h", "-n", "lab")
    host.knows(f"@cert-authority l* {host.authority}")
    assert host.enter() == "in"
    host.alias = "lax"
    assert host.enter() is HostKeyUnknown


Change = Callable[[Host], None]


def known_as_well(host: Host) -> None:
    host.knows(f"@cert-authority * {host.authority}", f"{host.known} {host.key}")


def another_is_known(host: Host) -> None:
    host.knows(f"@cert-authority * {host.authority}", f"{host.known} {OTHER}")


def authority_of_others(host: Host) -> None:
    host.knows(f"@cert-authority *.example.com {host.authority}")


def another_authority(host: Host) -> None:
    host.knows(f"@cert-authority * {OTHER}")


def authority_revoked(host: Host) -> None:
    host.knows(f"@cert-authority * {host.authority}", f"@revoked * {host.authority}", f"{host.known} {host.key}")


def key_revoked(host: Host) -> None:
    host.knows(f"@cert-authority * {host.authority}", f"@revoked * {host.key}")


def no_such_signatures(host: Host) -> None:
    host.ca_algorithms = ("rsa-sha2-512",)


GOOD = ("-h", "-n", "127.0.0.1")


@pytest.mark.parametrize(
    ("arguments", "change", "expected", "said"),
    [
        (GOOD, None, "in", ""),
        (GOOD, another_is_known, "in", ""),
        (("-h", "-n", "node1"), None, HostKeyUnknown, "is for node1, not for 127.0.0.1"),
        (("-h", "-n", "node1"), known_as_well, "in", ""),
        (("-h", "-n", "node1"), another_is_known, HostKeyChanged, "is for node1, not for 127.0.0.1"),
        (("-n", "127.0.0.1"), None, HostKeyUnknown, "is a user's, not a host's"),
        ((*GOOD, "-V", "20200101:20200102"), None, HostKeyUnknown, "has ended on 2020-01-0"),
        ((*GOOD, "-V", "20990101:20990102"), None, HostKeyUnknown, "isn't valid before 20"),
        (GOOD, authority_of_others, HostKeyUnknown, "is in none of"),
        (GOOD, another_authority, HostKeyUnknown, "of whom no @cert-authority line speaks"),
        (GOOD, authority_revoked, HostKeyRevoked, "marked @revoked in"),
        (GOOD, key_revoked, HostKeyRevoked, "is marked @revoked in"),
        (GOOD, no_such_signatures, HostKeyUnknown, "is signed by ssh-ed25519, which CASignatureAlgorithms"),
    ],
)
def test_what_a_certificate_is_good_for(
    host: Host, arguments: tuple[str, ...], change: Change | None, expected: type[SshError] | str, said: str
) -> None:
    host.certify(*arguments)
    host.knows(f"@cert-authority * {host.authority}")
    if change:
        change(host)
    assert host.enter() == expected
    if said:
        assert said in host.error


@pytest.mark.parametrize("names", [(), ("-n", "127.*"), ("-n", "127.0.0.?,node1"), ("-n", "*,!127.0.0.1")])
def test_names_are_taken_as_the_installed_ssh_takes_them(host: Host, names: tuple[str, ...]) -> None:
    host.certify("-h", *names)
    host.knows(f"@cert-authority * {host.authority}")
    host.enter()


def test_what_names_mean_depends_on_the_version_of_openssh(host: Host) -> None:
    def fault(version: tuple[int, int], *names: str) -> str | None:
        host.certify("-h", *names)
        data = find_certificate(host.folder / "host-cert.pub")
        return parse_certificate(data).fault("a.lab", 1e9, ("ssh-ed25519",), version)

    assert fault((9, 2)) is None
    assert "is for nobody" in (fault((10, 3)) or "")
    assert "is for *.lab" in (fault((9, 2), "-n", "*.lab") or "")
    assert fault((10, 3), "-n", "*.lab") is None
    assert fault((10, 3), "-n", "?.lab") is None
    assert "is for ?lab" in (fault((10, 3), "-n", "?lab") or "")
    assert fault((10, 3), "-n", "b.lab,a.lab") is None


def test_a_certificate_that_was_changed_is_no_longer_signed(host: Host) -> None:
    host.certify("-h", "-n", "good.lab")
    data = find_certificate(host.folder / "host-cert.pub")
    forged = parse_certificate(data.replace(b"good.lab", b"evil.lab"))
    assert forged.fault("evil.lab", 1e9, ("ssh-ed25519",), (9, 2)) == "isn't signed by the authority that it names"


def test_a_damaged_certificate_is_told_from_a_whole_one(host: Host) -> None:
    host.certify("-h", "-n", "good.lab")
    data = find_certificate(host.folder / "host-cert.pub")
    for size in range(len(data)):
        with pytest.raises(ValueError, match="the host's certificate is"):
            parse_certificate(data[:size])
    with pytest.raises(ValueError, match="something behind it"):
        parse_certificate(data + b"\0")


def find_certificate(file: Path) -> bytes:
    return base64.b64decode(file.read_text().split()[1])
