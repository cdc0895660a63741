"""What a host has. Reading it changes nothing there; the parsers are pure and in parse.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from infra.kvm.preparation import parse
from infra.kvm.preparation.parse import Distribution, Link, Route
from infra.kvm.preparation.wanted import Wanted
from infra.ssh import Shell, read_if_there

SECONDS: Final = 20.0
"""For one question; a host that needs longer is ill."""

LIBVIRT_SERVICE: Final = "libvirtd.service"
LIBVIRT_SOCKETS: Final = (
    "virtqemud.socket",
    "virtlxcd.socket",
    "virtnetworkd.socket",
    "virtstoraged.socket",
    "virtlogd.socket",
    "virtproxyd.socket",
)
"""Where a distribution has split libvirtd into one daemon for each driver."""

_NETPLAN_FOLDERS: Final = ("/usr/lib/netplan", "/lib/netplan", "/etc/netplan", "/run/netplan")
_LIBVIRT_FOLDER: Final = "/run/libvirt"
_LIBVIRT_LISTENERS: Final = frozenset({"libvirt-sock", "virtqemud-sock"})


@dataclass(frozen=True)
class HostFacts:
    """What a host has.

    Attributes:
        host: Its name in messages.
        distribution: Which one it runs.
        packages: Those that are installed, and those that they provide.
        user: Who logs in; None for root.
        groups: The login's groups.
        has_systemd: Whether systemd runs it.
        libvirt_listens: Whether libvirt takes connections.
        units: State of libvirt's systemd units (enabled, disabled …), for those there are.
        network_manager: Whether NetworkManager runs.
        netplan_files: Netplan's files by path, without those of ours.
        own_netplan: Our netplan file's text; None when there is none.
        own_port: Our networkd file's text; None when there is none.
        links: Network interfaces by name.
        routes: The main table, IPv4 and IPv6.
        has_vlans: Whether the kernel has 802.1Q.
    """

    host: str
    distribution: Distribution
    packages: frozenset[str]
    user: str | None = None
    groups: frozenset[str] = frozenset()
    has_systemd: bool = True
    libvirt_listens: bool = True
    units: Mapping[str, str] = field(default_factory=dict)
    network_manager: bool = False
    netplan_files: Mapping[str, str] = field(default_factory=dict)
    own_netplan: str | None = None
    own_port: str | None = None
    links: Mapping[str, Link] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    has_vlans: bool = True


def read_facts(shell: Shell, wanted: Wanted, login: str | None = None) -> HostFacts:
    """Ask a host what it has.

    Args:
        shell: As root.
        wanted: Tells which files are ours.
        login: Who logs in where it isn't root.

    Raises:
        ShellError: it doesn't answer, or a question fails.
    """
    distribution = parse.parse_os_release(_answer(shell, "cat", "/etc/os-release"))
    has_systemd = _is_true(shell, "test", "-d", "/run/systemd/system")
    files = _netplan_files(shell)
    own = wanted.netplan_path
    ours = {path for path in files if path.rpartition("/")[2] == wanted.netplan_name}
    return HostFacts(
        host=shell.host,
        distribution=distribution,
        packages=parse.parse_packages(_answer(shell, "dpkg-query", "--show", f"--showformat={parse.DPKG_FORMAT}"))
        if distribution.is_supported
        else frozenset(),
        user=login,
        groups=frozenset(_answer(shell, "id", "--name", "--groups", login).split()) if login else frozenset(),
        has_systemd=has_systemd,
        libvirt_listens=_libvirt_listens(shell),
        units=_units(shell) if has_systemd else {},
        network_manager=has_systemd
        and _is_true(shell, "systemctl", "is-active", "--quiet", "NetworkManager.service"),
        netplan_files={path: text for path, text in files.items() if path not in ours},
        own_netplan=files.get(own),
        own_port=_text(shell, wanted.port_path),
        links=read_links(shell),
        routes=read_routes(shell),
        has_vlans=_is_true(shell, "test", "-d", "/sys/module/8021q")
        or _is_true(shell, "modprobe", "--dry-run", "--quiet", "8021q"),
    )


def read_links(shell: Shell) -> dict[str, Link]:
    """Return the network interfaces by name, with their addresses."""
    return parse.parse_links(_answer(shell, "ip", "-json", "-details", "address", "show"))


def read_routes(shell: Shell) -> tuple[Route, ...]:
    """Return the main routing tables."""
    found: list[Route] = []
    for family in ("-4", "-6"):
        # Without IPv6 in the kernel, there is nothing to say.
        shown = shell.run(["ip", family, "-json", "route", "show"], timeout=SECONDS, check=family == "-4")
        found += parse.parse_routes(shown.stdout) if shown.exit_code == 0 else []
    return tuple(found)


def _answer(shell: Shell, *argv: str) -> str:
    return shell.run(argv, timeout=SECONDS).stdout


def _is_true(shell: Shell, *argv: str) -> bool:
    return shell.run(argv, timeout=SECONDS, check=False).exit_code == 0


def _text(shell: Shell, path: str) -> str | None:
    found = read_if_there(shell, path)
    return None if found is None else found.decode(errors="replace")


def _libvirt_listens(shell: Shell) -> bool:
    search = ["find", _LIBVIRT_FOLDER, "-maxdepth", "1", "-type", "s", "-printf", "%f\\n"]
    names = shell.run(search, timeout=SECONDS, check=False).stdout.split()
    return not _LIBVIRT_LISTENERS.isdisjoint(names)


def _units(shell: Shell) -> dict[str, str]:
    names = [LIBVIRT_SERVICE, "libvirtd.socket", *LIBVIRT_SOCKETS]
    listed = shell.run(
        ["systemctl", "list-unit-files", "--no-legend", "--no-pager", "--plain", *names],
        timeout=SECONDS,
        check=False,  # it fails where none is known
    )
    return parse.parse_units(listed.stdout)


def _netplan_files(shell: Shell) -> dict[str, str]:
    search = ["find", *_NETPLAN_FOLDERS, "-maxdepth", "1", "-name", "*.yaml", "-print"]
    listed = shell.run(search, timeout=SECONDS, check=False).stdout.split()  # a folder may be missing
    # /lib is a link to /usr/lib on every release that is still supported.
    paths = sorted({path.replace("/usr/lib/", "/lib/", 1) for path in listed})
    return {path: text for path in paths if (text := _text(shell, path)) is not None}
