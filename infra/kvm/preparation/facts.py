"""What a host has, as far as its preparation goes by it. Reading it changes nothing there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from infra.hosts.facts import Fact, network, system
from infra.hosts.facts.files import listing
from infra.hosts.facts.network import Link, Route
from infra.hosts.facts.system import Distribution
from infra.kvm.preparation.wanted import Wanted
from infra.ssh import Shell, read_if_there

T = TypeVar("T")

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
_LIBVIRT_LISTENERS: Final = frozenset({"libvirt-sock", "virtqemud-sock"})
_LIBVIRT_SOCKETS_THERE: Final = listing("/run/libvirt", "-maxdepth", "1", "-type", "s", "-printf", "%f\\n")
_UNITS: Final = system.unit_files((LIBVIRT_SERVICE, "libvirtd.socket", *LIBVIRT_SOCKETS))
_NETPLAN_FILES: Final = listing(*_NETPLAN_FOLDERS, "-maxdepth", "1", "-name", "*.yaml", "-print")


@dataclass(frozen=True)
class PreparationFacts:
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


def read_facts(shell: Shell, wanted: Wanted, login: str | None = None) -> PreparationFacts:
    """Ask a host what it has.

    Args:
        shell: As root.
        wanted: Tells which files are ours.
        login: Who logs in where it isn't root.

    Raises:
        ShellError: it doesn't answer, or a question fails.
    """
    distribution = _ask(shell, system.DISTRIBUTION)
    has_systemd = _is_true(shell, "test", "-d", "/run/systemd/system")
    files = _netplan_files(shell)
    ours = {path for path in files if path.rpartition("/")[2] == wanted.netplan_name}
    return PreparationFacts(
        host=shell.host,
        distribution=distribution,
        packages=_ask(shell, system.packages()) if distribution.is_supported else frozenset(),
        user=login,
        groups=_ask(shell, system.groups(login)) if login else frozenset(),
        has_systemd=has_systemd,
        libvirt_listens=not _LIBVIRT_LISTENERS.isdisjoint(_ask(shell, _LIBVIRT_SOCKETS_THERE)),
        units=_ask(shell, _UNITS) if has_systemd else {},
        network_manager=has_systemd
        and _is_true(shell, "systemctl", "is-active", "--quiet", "NetworkManager.service"),
        netplan_files={path: text for path, text in files.items() if path not in ours},
        own_netplan=files.get(wanted.netplan_path),
        own_port=_text(shell, wanted.port_path),
        links=read_links(shell),
        routes=read_routes(shell),
        has_vlans=_is_true(shell, "test", "-d", "/sys/module/8021q")
        or _is_true(shell, "modprobe", "--dry-run", "--quiet", "8021q"),
    )


def read_links(shell: Shell) -> dict[str, Link]:
    """Return the network interfaces by name, with their addresses."""
    return _ask(shell, network.LINKS)


def read_routes(shell: Shell) -> tuple[Route, ...]:
    """Return the main routing tables."""
    return (*_ask(shell, network.ROUTES), *_ask(shell, network.ROUTES_IPV6))


def _ask(shell: Shell, fact: Fact[T]) -> T:
    return fact.parse(shell.run(fact.argv, input=fact.input, timeout=SECONDS, check=fact.must_succeed).stdout)


def _is_true(shell: Shell, *argv: str) -> bool:
    return shell.run(argv, timeout=SECONDS, check=False).exit_code == 0


def _text(shell: Shell, path: str) -> str | None:
    content = read_if_there(shell, path)
    return None if content is None else content.decode(errors="replace")


def _netplan_files(shell: Shell) -> dict[str, str]:
    # /lib is a link to /usr/lib on every release that is still supported.
    paths = sorted({path.replace("/usr/lib/", "/lib/", 1) for path in _ask(shell, _NETPLAN_FILES)})
    return {path: text for path in paths if (text := _text(shell, path)) is not None}
