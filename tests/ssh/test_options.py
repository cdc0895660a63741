"""What `ssh -G` prints, read; and libvirt URIs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.kvm.connection import noticing_loss
from infra.ssh import LocalShell, SshError, SshShell, port_tunnel, shell_for
from infra.ssh.options import SshTarget, parse_options, parse_target
from infra.ssh.process import ssh_command

PRINTED = """\
host node1
user root
hostname 192.0.2.11
port 22
identitiesonly no
identityfile ~/.ssh/no-such-file
userknownhostsfile /root/.ssh/known_hosts /root/.ssh/known_hosts2
globalknownhostsfile /etc/ssh/ssh_known_hosts
"""


def test_plain_host() -> None:
    options = parse_options(PRINTED)
    assert (options.user, options.hostname, options.port) == ("root", "192.0.2.11", 22)
    assert options.identity_files == ()
    assert options.use_agent
    assert options.known_hosts == (
        "/root/.ssh/known_hosts",
        "/root/.ssh/known_hosts2",
        "/etc/ssh/ssh_known_hosts",
    )
    assert options.known_hosts_name == "192.0.2.11"
    assert options.proxy() is None


def test_known_hosts_name_has_the_port_or_the_alias() -> None:
    assert parse_options(PRINTED.replace("port 22", "port 2222")).known_hosts_name == "[192.0.2.11]:2222"
    assert parse_options(PRINTED + "hostkeyalias lab\n").known_hosts_name == "lab"


@pytest.mark.parametrize("line", ["identitiesonly yes", "identityagent none"])
def test_agent_is_left_alone_where_the_user_says_so(line: str) -> None:
    assert not parse_options(PRINTED.replace("identitiesonly no", line)).use_agent


def test_proxy_command_expands_its_tokens() -> None:
    options = parse_options(PRINTED + "proxycommand nc -x 100%% %h %p %r\n")
    assert options.proxy() == ["/bin/sh", "-c", "exec nc -x 100% 192.0.2.11 22 root"]


def test_proxy_jump_is_opensshs_own_business() -> None:
    options = parse_options(PRINTED + "proxyjump me@a,b:2222\n")
    assert options.proxy() == (
        ["ssh", "-o", "BatchMode=yes", "-J", "me@a", "-W", "[192.0.2.11]:22", "ssh://b:2222"]
    )
    assert parse_options(PRINTED + "proxyjump none\n").proxy() is None


def test_agrees_with_the_installed_ssh(tmp_path: Path) -> None:
    key, config = tmp_path / "key", tmp_path / "config"
    key.write_text("")
    config.write_text(
        f"Host node\n HostName 192.0.2.7\n Port 2200\n User lab\n ProxyJump j\n IdentityFile {key}\n"
    )
    printed = subprocess.run(["ssh", "-F", config, "-T", "-G", "node"], capture_output=True, text=True, check=True)
    options = parse_options(printed.stdout)
    assert (options.user, options.hostname, options.port) == ("lab", "192.0.2.7", 2200)
    assert options.identity_files == (str(key),)
    assert options.proxy_jump == ("j",)


def libvirts() -> list[str]:
    """Return how libvirt calls ssh, for a URI with no_verify=1."""
    (command,) = parse_qs(urlsplit(noticing_loss("qemu+ssh://node1/system")).query)["command"]
    return [command, "-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "--", "node1", "sh -c true"]


def started() -> list[str]:
    return ssh_command(SshShell(SshTarget("node1")).ssh_arguments, ["true"])


def tunnels() -> list[str]:
    begun: list[Sequence[str]] = []

    class Begun(Exception):
        def __init__(self, host: str, argv: Sequence[str], command: Sequence[str], **_: object) -> None:
            begun.append(command)
            raise self

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Begun):
        patch.setattr("infra.ssh.tunnel.Process", Begun)
        with port_tunnel(LocalShell(), SshShell(SshTarget("node1")), {1000: 1001}):
            raise AssertionError("it stands")
    return list(begun[0])


@pytest.mark.parametrize("calls", [libvirts, started, tunnels])
def test_no_configuration_weakens_what_the_ssh_command_does(
    tmp_path: Path, calls: Callable[[], list[str]]
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "Host *\n StrictHostKeyChecking no\n NoHostAuthenticationForLocalhost yes\n VerifyHostKeyDNS yes\n"
        " ForwardAgent yes\n ForwardX11 yes\n RemoteForward 7000 localhost:7000\n"
        f" ControlMaster auto\n ControlPath {tmp_path}/%C\n"
    )
    ssh, *arguments = calls()
    asked = [ssh, "-G", "-F", str(config), *arguments]
    printed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    told = dict(line.split(" ", 1) for line in printed.splitlines() if " " in line)
    wanted = {
        "batchmode": "yes",
        "stricthostkeychecking": "true",
        "nohostauthenticationforlocalhost": "no",
        "verifyhostkeydns": "false",
        "forwardagent": "no",
        "forwardx11": "no",
        "clearallforwardings": "no" if calls is tunnels else "yes",
        "controlmaster": "false",
    }
    assert {name: told[name] for name in wanted} == wanted
    assert "controlpath" not in told
    assert told.get("localforward") == ("[127.0.0.1]:1000 [127.0.0.1]:1001" if calls is tunnels else None)


def test_uri() -> None:
    target = parse_target("qemu+ssh://root@[2001:db8::1]:2222/system?keyfile=/k&no_tty=1")
    assert target == SshTarget("2001:db8::1", "root", 2222, "/k")
    assert target.arguments() == ["-p", "2222", "-l", "root", "-i", "/k", "--", "2001:db8::1"]
    assert str(parse_target("qemu+ssh://node1/system")) == "node1"


def test_shell_for() -> None:
    assert isinstance(shell_for("qemu:///system"), LocalShell)
    assert isinstance(shell_for("test:///default"), LocalShell)
    assert isinstance(shell_for("qemu+ssh://root@node1/system"), SshShell)
    for refused in ("qemu+tls://node1/system", "qemu://node1/system", "qemu+ssh:///system"):
        with pytest.raises(SshError, match=r"qemu\+ssh://root@"):
            shell_for(refused)
