"""A real sshd on loopback: own port, own keys, own configuration, ended by its own process id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.ssh.options import SshOptions
from tests.ports import free_port
from tests.waiting import eventually


@dataclass
class Server:
    port: int
    folder: Path
    public_key: str
    options: SshOptions
    config: Path

    @property
    def log(self) -> Path:
        """Return what sshd says: of its faults, and who logs in."""
        return self.folder / "log"

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-E", str(self.log), "-f", str(self.config)],
            start_new_session=True,
        )
        try:
            eventually(lambda: self._answers(process), "an answer of sshd", seconds=30, every=0.02)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, f"sshd ended: {self.log.read_text()}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def make_key(file: Path, kind: str = "ed25519") -> str:
    size = ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "", "-f", str(file)], check=True)
    return file.with_suffix(".pub").read_text().strip()


def make_server(folder: Path, *extra: str) -> Server:
    if os.geteuid() == 0:
        # As root sshd separates privileges, and wants the empty folder that Debian's start script makes.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    host_key, user_key = make_key(folder / "host"), make_key(folder / "user")
    (folder / "authorized").write_text(user_key + "\n")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    config = folder / "sshd_config"
    config.write_text(
        "\n".join(
            [
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {folder / 'host'}",
                f"AuthorizedKeysFile {folder / 'authorized'}",
                f"PidFile {folder / 'pid'}",
                "PasswordAuthentication no",
                "KbdInteractiveAuthentication no",
                "StrictModes no",
                "UsePAM no",
                "Subsystem sftp internal-sftp",
                "SetEnv SHLVL=1",  # keeps bash from reading ~/.bashrc, whatever the tester has in it
                *extra,
            ]
        )
        + "\n"
    )
    options = SshOptions(
        hostname="127.0.0.1",
        port=port,
        user=os.environ.get("USER") or Path.home().owner(),
        key_alias=None,
        identity_files=(str(folder / "user"),),
        use_agent=False,
        known_hosts=(str(folder / "known"),),
        proxy_command=None,
        proxy_jump=(),
    )
    return Server(port, folder, host_key, options, config)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = make_server(tmp_path)
    process = found.start()
    yield found
    process.kill()
    process.wait()
