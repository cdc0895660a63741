"""How to reach a host over SSH: what OpenSSH itself makes of the user's configuration.

libvirt's `qemu+ssh://` runs the ssh command, so asking the same command (`ssh -G`) makes both agree
on every Include, Match and default.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from infra.ssh.errors import SshError

_CA_ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""OpenSSH's own CASignatureAlgorithms, without those of security keys, which paramiko doesn't know."""

STRICT: Final = {
    "StrictHostKeyChecking": "yes",
    "NoHostAuthenticationForLocalhost": "no",
    "VerifyHostKeyDNS": "no",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    # A connection that is shared with others was checked as they asked, and would keep what we forward.
    "ControlMaster": "no",
    "ControlPath": "none",
}
"""What the ssh command does whatever the user's configuration says; of an option, ssh takes the first value.

The file `files/ssh-keepalive` has the same for libvirt.
"""


@dataclass(frozen=True)
class SshTarget:
    """What a libvirt URI says of the way; None leaves it to the user's SSH configuration."""

    host: str
    user: str | None = None
    port: int | None = None
    key_file: str | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        return f"{user}{self.host}" + (f":{self.port}" if self.port else "")

    def arguments(self) -> list[str]:
        """Return the arguments by which the ssh command is told the same."""
        arguments = ["-p", str(self.port)] if self.port else []
        arguments += ["-l", self.user] if self.user else []
        arguments += ["-i", self.key_file] if self.key_file else []
        return [*arguments, "--", self.host]


@dataclass(frozen=True)
class SshOptions:
    """Everything decided."""

    hostname: str
    port: int
    user: str
    key_alias: str | None
    identity_files: tuple[str, ...]
    use_agent: bool
    known_hosts: tuple[str, ...]
    proxy_command: str | None
    proxy_jump: tuple[str, ...]
    ca_algorithms: tuple[str, ...] = _CA_ALGORITHMS

    @property
    def known_hosts_name(self) -> str:
        """Return the name under which known_hosts keeps the host's key."""
        if self.key_alias:
            return self.key_alias
        return self.hostname if self.port == 22 else f"[{self.hostname}]:{self.port}"

    def arguments(self) -> list[str]:
        """Return the arguments by which the ssh command does exactly this, without the user's configuration."""
        values = {"Port": str(self.port), "User": self.user, "HostKeyAlias": self.key_alias}
        values |= {"IdentitiesOnly": None if self.use_agent else "yes", "GlobalKnownHostsFile": "none"}
        values |= {"UserKnownHostsFile": " ".join(self.known_hosts), "ProxyCommand": self.proxy_command}
        values |= {"ProxyJump": ",".join(self.proxy_jump)}
        options = {name: value for name, value in values.items() if value}
        keys = [word for file in self.identity_files for word in ("-i", file)]
        return ["-F", "none", *words(options), *keys, "--", self.hostname]

    def proxy(self) -> list[str] | None:
        """Return the command whose input and output are the connection; None for a plain one."""
        if self.proxy_command:
            # OpenSSH runs it by the shell, too: it is the user's own shell text.
            return ["/bin/sh", "-c", f"exec {self._expanded(self.proxy_command)}"]
        if self.proxy_jump:
            *through, last = self.proxy_jump
            jumps = ["-J", ",".join(through)] if through else []
            target = f"[{self.hostname}]:{self.port}"
            # A jump host's own configuration, keys and host key stay OpenSSH's business.
            return ["ssh", "-o", "BatchMode=yes", *jumps, "-W", target, *_destination(last)]
        return None

    def _expanded(self, command: str) -> str:
        values = {"%h": self.hostname, "%p": str(self.port), "%r": self.user, "%n": self.hostname, "%%": "%"}
        text, rest = "", command
        while rest:
            token, rest = (rest[:2], rest[2:]) if rest[:2] in values else (rest[0], rest[1:])
            text += values.get(token, token)
        return text


def words(options: Mapping[str, str]) -> list[str]:
    """Return options as the ssh command takes them."""
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def parse_target(connection: str) -> SshTarget:
    """Return the SSH part of a libvirt URI such as `qemu+ssh://root@192.0.2.11:22/system`.

    Raises:
        SshError: It names no host, or a port that is none.
    """
    example = "write for example qemu+ssh://root@192.0.2.11/system"
    try:
        parts = urlsplit(connection)
        port = parts.port
    except ValueError as error:
        raise SshError(f"{connection}: {error}; {example}") from None
    if not parts.hostname or parts.hostname.startswith("-") or (parts.username or "").startswith("-"):
        raise SshError(f"{connection}: names no host; {example}")
    key_files = parse_qs(parts.query).get("keyfile", [])
    return SshTarget(parts.hostname, parts.username, port, key_files[-1] if key_files else None)


def resolve(target: SshTarget) -> SshOptions:
    """Ask OpenSSH what the user's configuration makes of a target."""
    try:
        answer = subprocess.run(
            ["ssh", "-T", "-G", *target.arguments()], capture_output=True, text=True, timeout=30, check=True
        )
    except FileNotFoundError as error:
        raise SshError("the ssh command is missing, and libvirt needs it too: install openssh-client") from error
    except subprocess.TimeoutExpired as error:
        raise SshError(f"{target}: `ssh -G` didn't end: is there a `Match exec` in ~/.ssh/config?") from error
    except subprocess.CalledProcessError as error:
        raise SshError(f"{target}: ~/.ssh/config can't be used: {error.stderr.strip()}") from error
    return parse_options(answer.stdout)


def ssh_version() -> tuple[int, int]:
    """Return the version of the installed OpenSSH; of another ssh, one later than all."""
    done = subprocess.run(["ssh", "-V"], capture_output=True, text=True, timeout=30, check=False)
    match = re.search(r"OpenSSH_(\d+)\.(\d+)", done.stderr + done.stdout)
    return (int(match[1]), int(match[2])) if match else (sys.maxsize, 0)


def parse_options(text: str) -> SshOptions:
    """Read what `ssh -G` printed: a keyword in lower case, then its value, one a line."""
    values: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        values[keyword].append(value)

    def last(keyword: str) -> str | None:
        of_keyword = values.get(keyword, [])
        return of_keyword[-1] if of_keyword and of_keyword[-1].lower() != "none" else None

    only_files = last("identitiesonly") == "yes" or "none" in values.get("identityagent", [])
    files = [Path(name).expanduser() for name in values.get("identityfile", [])]
    known = [
        name for keyword in ("userknownhostsfile", "globalknownhostsfile") for name in values.get(keyword, [])
    ]
    return SshOptions(
        hostname=values["hostname"][-1],
        port=int(values["port"][-1]),
        user=values["user"][-1],
        key_alias=last("hostkeyalias"),
        identity_files=tuple(str(file) for file in files if file.is_file()),
        use_agent=not only_files,
        known_hosts=tuple(str(Path(name).expanduser()) for line in known for name in line.split()),
        proxy_command=last("proxycommand"),
        proxy_jump=tuple((last("proxyjump") or "").split(",")) if last("proxyjump") else (),
        ca_algorithms=tuple((last("casignaturealgorithms") or ",".join(_CA_ALGORITHMS)).split(",")),
    )


def _destination(jump: str) -> list[str]:
    """Return ssh's arguments for one jump, written `[user@]host[:port]` or as an ssh:// URI."""
    return [jump if jump.startswith("ssh://") else f"ssh://{jump}"]
