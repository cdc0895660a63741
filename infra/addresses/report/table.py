"""The plan as tables in a terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.addresses.plan import AddressPlan, Allocation, NetworkPlan

_BAR_CELLS = 20
_STYLES = {
    "controlPlaneNode": "bold cyan",
    "controlPlaneVip": "cyan",
    "workerNode": "blue",
    "upgradeSpare": "yellow",
    "loadBalancer": "magenta",
    "resourceBridgeNode": "bold green",
    "resourceBridgeSpare": "yellow",
    "resourceBridgeVip": "green",
    "clusterAddress": "green",
}


def print_tables(plan: AddressPlan, console: Console) -> None:
    """Print a table for each network: how full its pools are, and every address with its owner and reason."""
    for network in plan.networks:
        console.print(_table(network))
        console.print()


def _table(network: NetworkPlan) -> Table:
    table = Table(title=_title(network), title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Address", "Owner", "Use", "Why"):
        table.add_column(heading, no_wrap=heading != "Why")
    for run in _runs(network.allocations):
        first, last = run[0], run[-1]
        style = _STYLES.get(first.use, "dim")
        address = first.address if first is last else f"{first.address} - {last.address.rpartition('.')[2]}"
        owner = first.owner if first is last else f"{first.owner} - {last.owner.rpartition('-')[2]}"
        table.add_row(Text(address), Text(owner, style), Text(first.use, style), Text(first.why, "dim"))
    return table


def _runs(allocations: tuple[Allocation, ...]) -> list[list[Allocation]]:
    """Join what a reader would: a range of services' addresses given in one line of the file."""
    runs: list[list[Allocation]] = []
    for one in allocations:
        last = runs[-1][-1] if runs else None
        is_next = (
            last is not None
            and one.use == "loadBalancer"
            and (last.use, last.cluster, last.why) == (one.use, one.cluster, one.why)
            and one.value == last.value + 1
        )
        if is_next:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _title(network: NetworkPlan) -> Text:
    pool, balancer = network.pool, network.load_balancer
    title = Text()
    title.append(network.name, "bold")
    title.append(f"  {network.address_prefix}")
    title.append(f"  VLAN {network.vlan}" if network.vlan else "  untagged", "dim")
    title.append("\npool  ")
    title.append(_bar(pool.size - pool.free, pool.size))
    title.append(f"  {pool.size} addresses, {pool.required} required, {pool.free} free")
    if balancer.size or balancer.required:
        title.append(f"; services {balancer.required} of {balancer.size}")
    return title


def _bar(used: int, size: int) -> Text:
    full = min(_BAR_CELLS, -(-used * _BAR_CELLS // size)) if size else 0
    style = "red" if used >= size else "yellow" if used * 10 >= size * 9 else "green"
    return Text.assemble(("█" * full, style), ("░" * (_BAR_CELLS - full), "dim"))
