"""How a host is reached: libvirt addresses that azlocal works with, and which of them are one machine.

Sources: libvirt's own list of what a remote URI holds (https://libvirt.org/uri.html), OpenSSH's `valid_hostname`
and `valid_ruser` (ssh.c: neither begins with a hyphen), RFC 1123 §2.1 for names that look like addresses.
"""

import re
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from infra.model.local_libvirt import QEMU

SSH_PORT: Final = 22

_PORT: Final = (
    "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"  # 1-65535
)
_NAME: Final = r"[a-zA-Z0-9_][a-zA-Z0-9._-]*"
_REMOTE: Final = rf"qemu\+ssh://({_NAME}@)?({_NAME}|\[[0-9a-fA-F.]*:[0-9a-fA-F:.]*\])(:{_PORT})?/system"
_PARTS: Final = re.compile(
    r"qemu\+ssh://((?P<user>[^@]+)@)?(\[(?P<six>[^\]]+)\]|(?P<host>[^:]+))(:(?P<port>\d+))?/system"
)
CONNECTION_PATTERN: Final = f"^({QEMU}|{_REMOTE})$"
_IS_CONNECTION: Final = re.compile(f"{QEMU}|{_REMOTE}", re.ASCII)
_IS_NAME: Final = re.compile(_NAME, re.ASCII)
_IS_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*", re.ASCII)
_FOUR_NUMBERS: Final = "four numbers of 0-255, without leading zeros"

_CONFIG: Final = "in ~/.ssh/config, which azlocal and libvirt both follow"
_PARAMETERS: Final = {
    "keyfile": (
        "the key would hold for some of azlocal's logins only: jumps to machines read ~/.ssh/config alone",
        f"write `IdentityFile {{value}}` under `Host {{host}}` {_CONFIG}, and leave keyfile out",
    ),
    "no_verify": (
        "azlocal checks every host's key: without that, whoever answers there gets the cluster's secrets",
        "log in once by hand, `ssh {target}`, compare the fingerprint, and leave no_verify out",
    ),
    "no_tty": ("azlocal never lets ssh ask a question anyway", "leave no_tty out"),
    "command": ("azlocal gives libvirt an ssh command of its own", f"write `ProxyCommand` {_CONFIG}"),
    "socket": (
        "azlocal works with the system's libvirtd, which has one socket",
        "leave socket out; `systemctl enable --now libvirtd` on the host",
    ),
    "known_hosts": (
        "libvirt knows it for libssh only, and the ssh command reads its own",
        f"write `UserKnownHostsFile {{value}}` under `Host {{host}}` {_CONFIG}",
    ),
    "known_hosts_verify": (
        "libvirt knows it for libssh only, and azlocal checks every host's key",
        "leave it out, and log in once by hand: `ssh {target}`",
    ),
    "sshauth": (
        "libvirt knows it for libssh only, and azlocal logs in by keys",
        f"write `PreferredAuthentications` {_CONFIG}",
    ),
}


@dataclass(frozen=True, slots=True)
class Connection:
    """A libvirt address, read.

    Attributes:
        host: As it is written, without brackets; None for this machine's own socket.
        user: Who logs in; None leaves it to ~/.ssh/config.
        port: None leaves it to ~/.ssh/config.
    """

    host: str | None
    user: str | None = None
    port: int | None = None

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """Return the address that ssh takes it for; None for a name, and for this machine's own socket."""
        return numeric_address(self.host or "")

    @property
    def is_forwarded(self) -> bool:
        """Tell whether a port of its own leads there, so that the address may be another machine's."""
        return self.port not in {None, SSH_PORT}

    @property
    def machine(self) -> tuple[str, int]:
        """Return what is the same for two ways of writing one machine, whoever logs in."""
        host = (self.host or "localhost").lower().rstrip(".")
        address = numeric_address(host)
        host = "localhost" if is_this_machine(host) else str(address or host)
        return host, self.port or SSH_PORT


@cache
def read_connection(text: str) -> Connection:
    """Read a libvirt address that `connection_fault` has nothing against.

    Raises:
        ValueError: It is another one.
    """
    if text == QEMU:
        return Connection(None)
    match = _PARTS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is no connection")
    return Connection(match["six"] or match["host"], match["user"], int(match["port"]) if match["port"] else None)


def connection_fault(text: str) -> tuple[str, str] | None:
    """Return why azlocal can't work with a libvirt address, and what to write instead; None if it can."""
    if _IS_CONNECTION.fullmatch(text):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return (
            "in brackets stands an IPv6 address, and nothing else",
            "write qemu+ssh://root@[2001:db8::11]/system",
        )
    return (
        _wrong_scheme(parts)
        or _wrong_user(parts)
        or _wrong_host(parts)
        or _wrong_path(parts)
        or _wrong_parameters(parts, text)
        or _nearly(text)
    )


def _nearly(text: str) -> tuple[str, str]:
    """Say of a text whose parts are all right what is wrong with it as a whole."""
    scheme, colon, rest = text.strip().partition(":")
    meant = f"{scheme.lower()}{colon}{rest}"
    if not _IS_CONNECTION.fullmatch(meant):
        return "it has a character that no libvirt address has", "write it as qemu+ssh://root@192.0.2.11/system"
    what = "there are spaces around it" if meant == text.strip() else "libvirt's drivers are in lower-case letters"
    return what, f"write {meant}"


def host_name_fault(host: str) -> str | None:
    """Return why nothing can have a host's name or address; None where something may."""
    if ":" in host:
        address = literal_address(host)
        if address is None:
            return "it is no IPv6 address"
        if address.is_multicast or address.is_unspecified:
            return "no machine has such an address (RFC 4291 §2.5.2, §2.7)"
        return "a link-local address leads nowhere without a zone" if address.is_link_local else None
    labels = host.removesuffix(".").split(".")
    if not all(labels):
        return "it has an empty part between dots"
    if all(map(_IS_NUMBER.fullmatch, labels)):
        return _number_fault(host, labels)
    if max(map(len, labels)) > 63 or len(host) > 253:
        return "a name has at most 253 characters, 63 between dots"
    return None


def _number_fault(host: str, labels: list[str]) -> str | None:
    address = numeric_address(host)
    if address is None:
        return f"it is no IPv4 address: {_FOUR_NUMBERS}"
    if any(len(label) > 1 and label.startswith("0") and label.isdecimal() for label in labels):
        return f"ssh reads numbers with leading zeros as octal, and goes to {address}"
    if host.endswith("."):
        return f"no address ends in a dot, and no name in a number: ssh finds nobody there, but at {address}"
    return None


def written_short(host: str) -> IPv4Address | None:
    """Return the IPv4 address that ssh takes a host for which isn't written as four decimal numbers."""
    address = numeric_address(host)
    return address if isinstance(address, IPv4Address) and literal_address(host) is None else None


def reads_as_number(host: str) -> bool:
    """Tell whether a host is neither a name nor an address: some programs read its numbers, others ask for it.

    A name's last part is no number (WHATWG URL §3.5, "ends in a number").
    """
    return literal_address(host) is None and bool(_IS_NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]))


def url_host_fault(host: str) -> str | None:
    """Return why programs find nothing by a URL's host that is no address; None where they may.

    Sources: RFC 1123 §2.1 and RFC 952 for names; underscores are common, and names of other scripts are converted.
    """
    if reads_as_number(host):
        return "it is neither a name nor an IPv4 address of four numbers"
    if any(label.startswith("-") or label.endswith("-") for label in host.split(".")):
        return "a name has no hyphen at the ends, nor beside a dot"
    if host.isascii() and not _IS_NAME.fullmatch(host) and ":" not in host and not host.startswith("."):
        return "it has characters that no name has"
    return host_name_fault(host)


def numeric_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a text is to programs which ask getaddrinfo(3), ssh among them; None for a name.

    They take it in fewer numbers, and in hexadecimal or octal ones: 10.1, 0x7f.1, 2130706433 (inet_aton(3)).
    """
    bare = host.removesuffix(".")
    literal = literal_address(bare)
    if literal is not None or not all(map(_IS_NUMBER.fullmatch, bare.split("."))):
        return _unmapped(literal)
    from socket import inet_aton  # few hosts are written in numbers that need it: no plan waits for the others

    try:
        return IPv4Address(inet_aton(bare))
    except OSError:
        return None


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a text is, as a URL writes it without brackets; None for a name."""
    try:
        return ip_address(host.removesuffix("."))
    except ValueError:
        return None


def _unmapped(address: IPv4Address | IPv6Address | None) -> IPv4Address | IPv6Address | None:
    """Return the IPv4 address where one is written as `::ffff:192.0.2.11`."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def is_this_machine(host: str) -> bool:
    """Tell whether a name or address leads each machine to itself.

    `0.0.0.0` and `::` count: on Linux, who connects there reaches itself. Sources: RFC 6761 §6.3,
    RFC 1122 §3.2.1.3, RFC 4291 §2.5.
    """
    name = host.lower().removesuffix(".")
    address = numeric_address(name)
    if address is not None:
        return address.is_loopback or address.is_unspecified
    return name.removesuffix(".localdomain") in _OWN_NAMES or name.endswith(".localhost")


_OWN_NAMES: Final = {"localhost", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback", "loopback"}
"""As /etc/hosts of Debian, Ubuntu and Red Hat has them, each with `.localdomain` behind it, too."""


def _wrong_scheme(parts: SplitResult) -> tuple[str, str] | None:
    if parts.scheme == "qemu" and not parts.netloc:
        return None
    if parts.scheme == "qemu+ssh":
        return None
    driver, _, transport = parts.scheme.partition("+")
    remedy = f"write qemu+ssh://root@{_target(parts)}/system"
    if not parts.scheme:
        return "it names no driver and no way", f"{remedy}, or {QEMU} for this machine"
    if driver != "qemu":
        return f"azlocal's machines run under libvirt's driver qemu, not {driver}", remedy
    if not transport:
        return "libvirt would go to another machine by TLS, which carries neither commands nor files", remedy
    return f"azlocal needs commands and files of the host beside libvirt, and {transport} carries none", remedy


def _target(parts: SplitResult) -> str:
    """Return the host that somebody meant, fit for a connection; an example where there is none."""
    is_in_path = "@" in parts.path or not parts.path.startswith("/")  # slashes are missing, or the scheme is
    written = parts.path.rpartition("//")[2].lstrip("/").partition("/")[0] if is_in_path else ""
    bare = parts.netloc or written
    name = bare.rpartition("@")[2]
    host = (_bracketed(name)[0] if name.startswith("[") else name.partition(":")[0]).lower()
    is_address = host.startswith("[") and literal_address(host[1:-1]) is not None and "%" not in host
    return host if is_address or _IS_NAME.fullmatch(host) else "192.0.2.11"


def _wrong_user(parts: SplitResult) -> tuple[str, str] | None:
    login, at, _ = parts.netloc.rpartition("@")
    if not at or _IS_NAME.fullmatch(login):
        return None
    if ":" in login:
        user = login.partition(":")[0]
        way = f"qemu+ssh://{user if _IS_NAME.fullmatch(user) else 'root'}@{_target(parts)}/system"
        return (
            "it has a password, and azlocal logs in by keys",
            f"write {way}; `ssh-copy-id` installs your key there",
        )
    if not login:
        way = f"qemu+ssh://root@{_target(parts)}/system"
        return "there is an @ and no user before it", f"write {way}, or leave the @ out"
    return "the user's name has other characters than letters, digits and . _ -", f"write `User …` {_CONFIG}"


def _wrong_host(parts: SplitResult) -> tuple[str, str] | None:
    if parts.scheme == "qemu":
        return None
    name = parts.netloc.rpartition("@")[2]
    host, colon, port = name.partition(":") if not name.startswith("[") else _bracketed(name)
    if not host or host == "[]":
        way = f"write qemu+ssh://root@{_target(parts)}/system"
        return "no host stands behind ssh://", f"{way}, or {QEMU} for this machine"
    if name.count(":") > 1 and not name.startswith("["):
        if isinstance(literal_address(name), IPv6Address):
            return "an IPv6 address stands in brackets", f"write qemu+ssh://root@[{name}]/system"
        return "there are several colons behind the host", f"write qemu+ssh://root@{_target(parts)}/system"
    if "%" in host:
        return "an address with a zone or a percent sign", f"give the host a name {_CONFIG}, and write that"
    if not host.startswith("[") and not _IS_NAME.fullmatch(host):
        what = "begins with a hyphen or a dot" if host[0] in "-." else "has characters that no host name has"
        return f"the host's name {what}", f"use letters, digits and . _ -, or give it such a name {_CONFIG}"
    if colon and not re.fullmatch(_PORT, port, re.ASCII):
        reason = f"{port} is no port" if port else "there is a colon and no port behind it"
        return reason, f"write a number of 1-65535, or leave the colon out for port {SSH_PORT}"
    return None


def _bracketed(name: str) -> tuple[str, str, str]:
    host, _, rest = name.partition("]")
    return f"{host}]", rest[:1], rest[1:]


def _wrong_path(parts: SplitResult) -> tuple[str, str] | None:
    if parts.path == "/system":
        return None
    right = f"qemu+ssh://{parts.netloc}/system" if parts.netloc else QEMU
    if parts.path == "/session":
        return "a user's own session has neither bridges nor networks", f"write {right}"
    return f"the path is {parts.path or 'missing'}, and the system's libvirtd is /system", f"write {right}"


def _wrong_parameters(parts: SplitResult, text: str) -> tuple[str, str] | None:
    if not set(text) & set("?#"):
        return None
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    host = _target(parts).strip("[]")
    if not parameters or parts.scheme == "qemu" or not parameters.keys() <= _PARAMETERS.keys():
        return "azlocal makes libvirt's parameters itself", "leave out what stands behind /system"
    reasons = [f"{key}: {_PARAMETERS[key][0]}" for key in parameters]
    remedies = [
        _PARAMETERS[key][1].format(value=value or "PATH", host=host, target=f"{parts.username or 'root'}@{host}")
        for key, value in parameters.items()
    ]
    return "; ".join(reasons), "; ".join(remedies)
