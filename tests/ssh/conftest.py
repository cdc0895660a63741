"""A real sshd on loopback: own port, own keys, own configuration, ended by its own process id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.ssh.options import SshOptions


@dataclass
class Server:
    port: int
    folder: Path
    public_key: str
    options: SshOptions
    config: Path

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", str(self.config)],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return process
            time.sleep(0.02)
        process.kill()
        process.wait()
        raise AssertionError("sshd didn't start")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _key(file: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file)], check=True)
    return file.with_suffix(".pub").read_text().strip()


def make_server(folder: Path, *extra: str) -> Server:
    port = free_port()
    host_key, user_key = _key(folder / "host"), _key(folder / "user")
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
    if os.geteuid() == 0:
        # As root sshd separates privileges, and wants the empty folder that Debian's start script makes.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    found = make_server(tmp_path)
    process = found.start()
    yield found
    process.kill()
    process.wait()
