"""Which libvirt addresses azlocal works with, what it says of the others, and which are one machine."""

import re
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from infra.spec import SpecError, load_instance
from infra.spec.connections import (
    CONNECTION_PATTERN,
    connection_fault,
    host_name_fault,
    is_this_machine,
    numeric_address,
    read_connection,
)
from infra.spec.hosts import HostsFile
from infra.ssh.options import parse_target
from tests.instances import files, write_files

TAKEN = [
    "qemu:///system",
    "qemu+ssh://node1/system",
    "qemu+ssh://root@192.0.2.11/system",
    "qemu+ssh://root@192.0.2.11:22/system",
    "qemu+ssh://root@192.0.2.11:65535/system",
    "qemu+ssh://lab_node_1/system",
    "qemu+ssh://ann.b-c_d@rack-1.example./system",
    "qemu+ssh://root@[2001:db8::11]/system",
    "qemu+ssh://root@[2001:db8::11]:2222/system",
]


@pytest.mark.parametrize("text", TAKEN)
def test_what_ssh_and_libvirt_take_is_taken(text: str) -> None:
    assert connection_fault(text) is None
    HostsFile.model_validate({"hosts": [{"name": "n", "connection": text}]}, by_alias=True, by_name=False)


def ssh_takes(text: str) -> bool:
    """Ask OpenSSH itself; it reads no configuration."""
    options = parse_target(text).arguments()
    done = subprocess.run(["ssh", "-F", "none", "-G", *options], capture_output=True, timeout=30, check=False)
    return done.returncode == 0


@settings(max_examples=25, deadline=None)
@given(st.from_regex(CONNECTION_PATTERN.replace("(qemu:///system|", "(?:"), fullmatch=True))
def test_whatever_is_taken_is_an_ssh_destination(text: str) -> None:
    assume(text.isascii() and not text.endswith("\n"))
    assert connection_fault(text) is None
    host_name = read_connection(text).host or ""
    assert host_name_fault(host_name) is not None or ssh_takes(text), text


@pytest.mark.parametrize("option", [["-p", "0"], ["-p", "65536"], ["-l", "-x"]])
def test_what_ssh_refuses_is_refused(option: list[str]) -> None:
    done = subprocess.run(["ssh", "-F", "none", "-G", *option, "--", "h"], capture_output=True, check=False)
    assert done.returncode != 0
    text = f"qemu+ssh://h:{option[1]}/system" if option[0] == "-p" else f"qemu+ssh://{option[1]}@h/system"
    assert connection_fault(text) is not None


REFUSED = [
    ("qemu+ssh://root@h:0/system", "0 is no port", "1-65535"),
    ("qemu+ssh://root@h:65536/system", "65536 is no port", "1-65535"),
    ("qemu+ssh://root@h:99999/system", "99999 is no port", "1-65535"),
    ("qemu+ssh://root@h:/system", "no port behind it", "leave the colon out"),
    ("qemu+ssh://root@h:ssh/system", "ssh is no port", "1-65535"),
    ("qemu+ssh:///system", "no host stands behind", "write qemu+ssh://root@192.0.2.11/system, or qemu:///system"),
    ("qemu+ssh://root@/system", "no host stands behind", "qemu:///system"),
    ("qemu+ssh://@h/system", "no user before it", "root@"),
    ("qemu+ssh://root@h/session", "neither bridges", "write qemu+ssh://root@h/system"),
    ("qemu+ssh://root@h", "the path is missing", "write qemu+ssh://root@h/system"),
    ("qemu+ssh://root@h/", "the path is /", "write qemu+ssh://root@h/system"),
    ("qemu:///session", "neither bridges", "write qemu:///system"),
    ("qemu://h/system", "by TLS", "write qemu+ssh://root@h/system"),
    ("qemu+tls://h/system", "tls carries none", "write qemu+ssh://root@h/system"),
    ("qemu+tcp://h/system", "tcp carries none", "write qemu+ssh://root@h/system"),
    ("qemu+libssh2://h/system", "libssh2 carries none", "write qemu+ssh://root@h/system"),
    ("lxc+ssh://h/system", "driver qemu, not lxc", "write qemu+ssh://root@h/system"),
    ("esx://h/system", "driver qemu, not esx", "write qemu+ssh://root@h/system"),
    ("ssh://root@h", "driver qemu, not ssh", "write qemu+ssh://root@h/system"),
    (
        "192.0.2.11",
        "names no driver",
        "write qemu+ssh://root@192.0.2.11/system, or qemu:///system for this machine",
    ),
    ("ann@192.0.2.7:22", "names no driver", "write qemu+ssh://root@192.0.2.7/system"),
    ("qemu+ssh//root@h7/system", "names no driver", "write qemu+ssh://root@h7/system"),
    ("qemu+ssh:/root@h7/system", "no host stands behind ssh://", "write qemu+ssh://root@h7/system"),
    ("qemu+ssh://root@2001:db8::11/system", "stands in brackets", "qemu+ssh://root@[2001:db8::11]/system"),
    ("qemu+ssh://root@[fe80::1%25eno1]/system", "zone", "~/.ssh/config"),
    ("qemu+ssh://root@[192.0.2.11]/system", "in brackets stands an IPv6 address", "[2001:db8::11]"),
    ("qemu+ssh://root@[::1/system", "brackets", "qemu+ssh://root@[2001:db8::11]/system"),
    ("qemu+ssh://root@-oProxyCommand=x/system", "begins with a hyphen", "~/.ssh/config"),
    ("qemu+ssh://-lroot@h/system", "user's name", "~/.ssh/config"),
    ("qemu+ssh://LAB%5Cann@h/system", "user's name", "~/.ssh/config"),
    ("qemu+ssh://root:secret@h/system", "password", "ssh-copy-id"),
    ("qemu+ssh://root@h/system?keyfile=/root/.ssh/lab", "keyfile", "IdentityFile /root/.ssh/lab` under `Host h`"),
    ("qemu+ssh://root@h/system?no_verify=1", "checks every host's key", "ssh root@h"),
    ("qemu+ssh://root@h/system?known_hosts=/k", "libssh only", "UserKnownHostsFile /k"),
    ("qemu+ssh://root@h/system?socket=/run/x", "one socket", "leave socket out"),
    ("qemu+ssh://root@h/system?command=/bin/x", "an ssh command of its own", "ProxyCommand"),
    ("qemu+ssh://root@h/system?sshauth=agent", "libssh only", "PreferredAuthentications"),
    ("qemu+ssh://root@[fd00::1]:2222/system?keyfile=/k", "keyfile", "IdentityFile /k` under `Host fd00::1`"),
    ("qemu+ssh://root@h/system?keyfile=/k&no_verify=1", "checks every host's key", "leave no_verify out"),
    ("qemu+ssh://root@h/system?no_tty=1&mode=direct", "parameters itself", "leave out what stands behind"),
    ("qemu+ssh://root@h/system?mode=direct", "parameters itself", "leave out"),
    ("qemu:///system?socket=/run/x", "parameters itself", "leave out"),
    ("qemu+ssh://root@h/system?", "parameters itself", "leave out"),
    ("qemu+ssh://root@h/system#x", "parameters itself", "leave out"),
    ("qemu+ssh://root@h x/system", "characters that no host name has", "~/.ssh/config"),
    ("QEMU+SSH://root@h1/system", "lower-case letters", "write qemu+ssh://root@h1/system"),
    (" qemu+ssh://root@h1/system", "spaces around it", "write qemu+ssh://root@h1/system"),
    ("qemu+ssh://root@h1/system\n", "spaces around it", "write qemu+ssh://root@h1/system"),
]


@pytest.mark.parametrize(("text", "reason", "remedy"), REFUSED)
def test_what_is_refused_is_told_why_and_what_to_write(text: str, reason: str, remedy: str) -> None:
    said = connection_fault(text)
    assert said is not None
    assert reason in said[0]
    assert remedy in said[1]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["qemu", "qemu+ssh", "qemu+tls", "qemu+libssh2", "lxc+ssh", "ssh", "", "QEMU+SSH", "xen"]),
    st.sampled_from(["", "root@", "@", "-l@", "a:b@", "a%40b@", "a b@", "r@s@"]),
    st.sampled_from(
        [
            "",
            "h",
            "-h",
            "h_1",
            "H.",
            "[::1]",
            "[::1",
            "::1",
            "[fe80::1%25e]",
            "a:b:c",
            "h h",
            "192.0.2.1",
            "é",
            "[x]",
        ]
    ),
    st.sampled_from(["", ":", ":0", ":22", ":99999", ":x", ":22:23", ":-1"]),
    st.sampled_from(["", "/", "/system", "/session", "//system", "/system/", "/x y"]),
    st.sampled_from(["", "?", "?keyfile=/k", "?no_verify=1&x=y", "#f", "?x", "?known_hosts"]),
)
def test_no_remedy_leads_to_the_next_error(
    scheme: str, user: str, name: str, port: str, path: str, query: str
) -> None:
    text = f"{scheme}://{user}{name}{port}{path}{query}"
    said = connection_fault(text)
    if said is None:
        return
    for word in re.findall(r"qemu[+:][^\s,;`]*", said[1]):
        assert connection_fault(word) is None, (text, said)


def test_a_finding_has_the_line_and_no_password(tmp_path: Path) -> None:
    content = files()
    content["hosts"]["hosts"] = [{"name": "n", "connection": "qemu+ssh://root:s3cret@h/system"}]
    write_files(tmp_path, content)
    with pytest.raises(SpecError) as caught:
        load_instance("lab", tmp_path)
    (finding,) = caught.value.findings
    assert finding.path == "hosts/s.yaml:3: hosts[0].connection"
    assert "s3cret" not in str(finding)


ONE_MACHINE = [
    ("qemu+ssh://root@h/system", "qemu+ssh://h/system"),
    ("qemu+ssh://root@h/system", "qemu+ssh://ann@H.:22/system"),
    ("qemu+ssh://192.0.2.11/system", "qemu+ssh://192.0.2.11.:0022/system"),
    ("qemu+ssh://[2001:db8::11]/system", "qemu+ssh://[2001:DB8:0::11]:22/system"),
    ("qemu+ssh://192.0.2.11/system", "qemu+ssh://[::ffff:192.0.2.11]/system"),
    ("qemu:///system", "qemu+ssh://root@localhost/system"),
    ("qemu:///system", "qemu+ssh://root@127.0.0.1/system"),
    ("qemu:///system", "qemu+ssh://root@[::1]/system"),
    ("qemu:///system", "qemu+ssh://root@0x7f.1/system"),
    ("qemu:///system", "qemu+ssh://root@2130706433/system"),
    ("qemu+ssh://192.0.2.11/system", "qemu+ssh://192.0.523/system"),
]


@pytest.mark.parametrize(("one", "other"), ONE_MACHINE)
def test_one_machine_written_two_ways(one: str, other: str) -> None:
    assert read_connection(one).machine == read_connection(other).machine


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("qemu+ssh://h/system", "qemu+ssh://h:2222/system"),
        ("qemu+ssh://h/system", "qemu+ssh://h.example/system"),
        ("qemu:///system", "qemu+ssh://root@127.0.0.1:2222/system"),
    ],
)
def test_two_machines(one: str, other: str) -> None:
    assert read_connection(one).machine != read_connection(other).machine


_NUMBERS = st.one_of(
    st.integers(0, 2**33).map(str), st.integers(0, 2**33).map(hex), st.integers(0, 300).map(lambda n: f"0{n}")
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_NUMBERS | st.integers(0, 260).map(str), min_size=1, max_size=5).map(".".join))
def test_a_host_in_numbers_is_what_ssh_takes_it_for(host: str) -> None:
    """OpenSSH asks getaddrinfo(3)."""
    try:
        found = socket.getaddrinfo(host, 22, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        expected: str | None = str(found[0][4][0])
    except OSError:
        expected = None
    address = numeric_address(host)
    assert (str(address) if address else None) == expected
    assert (host_name_fault(host) is not None) == (expected is None or has_octal(host))


def has_octal(host: str) -> bool:
    return any(len(one) > 1 and one.startswith("0") and one.isdecimal() for one in host.split("."))


@pytest.mark.parametrize(
    "name", ["node1", "localhost.example", "10.0.0.1", "126.255.255.255", "::2", "mylocalhost"]
)
def test_others_are_not_this_machine(name: str) -> None:
    assert not is_this_machine(name)
