"""The sizes as a table in a terminal, and the proposed netplan ready to paste."""

import io

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from infra.counting import counted
from infra.plan.sizing.sizes import NetworkSize, Sizing

_HEADER = (
    "# netplans/<site>.yaml, proposed by `azlocal plan --size`. Gateways, DNS servers and VLANs are examples:\n"
    "# put your own. Pools hold exactly what is needed; widen them where there is room to grow.\n"
)


def render_sizes(sizing: Sizing) -> str:
    """Return a row for each network, then the netplan."""
    console = Console(width=110, force_terminal=False, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        _print_table(sizing, console)
    return capture.get() + (f"\n{netplan_text(sizing)}" if sizing.netplan is not None else "")


def _print_table(sizing: Sizing, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Network", overflow="fold")
    for name in ("Hosts", "Nodes", "Spares", "VIPs", "Pool", "Services", "Addresses", "Smallest"):
        table.add_column(name, justify="right")
    table.add_column("Proposed", no_wrap=True)
    for network in sizing.networks:
        table.add_row(*_row(network))
    console.print(table)
    known = "" if sizing.are_hosts_known else ", the most an instance has; give the hosts file for less"
    console.print(f"counted for {counted(sizing.hosts, 'host')}{known}", highlight=False)
    if sizing.storage_subnets:
        single, dual = sizing.storage_subnets
        text = f"switchless storage: {counted(dual, 'subnet')} with two links a pair of hosts, {single} with one"
        console.print(text, highlight=False)


def netplan_text(sizing: Sizing) -> str:
    """Return the proposed netplan as YAML."""
    text = yaml.safe_dump(sizing.netplan, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    return _HEADER + text


def _row(network: NetworkSize) -> list[str]:
    need = network.need
    vips = str(network.chosen_vips) + (f" + {need.outside}" if need.outside else "")
    counts = [network.hosts, network.nodes, network.spares]
    prefix = network.proposed["addressPrefix"] if network.proposed else "-"
    rest = [str(need.pool), str(need.load_balancer), str(network.addresses), f"/{network.smallest_prefix}"]
    return [network.name, *map(str, counts), vips, *rest, str(prefix)]
