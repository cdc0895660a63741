"""`azlocal arc …`: what Azure Arc needs, and how a cluster's connection is."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from infra.cli.errors import ExitCode
from infra.cli.output import TableOrJson, directory_of, json_text
from infra.cli.region_move import HELP, move
from infra.cli.stack import choose
from infra.counting import counted
from infra.stack.messages import say

if TYPE_CHECKING:
    from infra.arc.endpoints import Look
    from infra.arc.model import Connected
    from infra.stack.arc import ClusterOfStack, Machine

_HELP = """What Azure Arc needs of a cluster's network, and how a cluster's connection is.

\b
Examples:
    azlocal arc check a                    from one node, every endpoint that agents need
    azlocal arc check a --node all --format json
    azlocal arc status a -s lab            connectivity, agents, certificate, extensions
    azlocal arc move a --to westeurope --dry-run
    azlocal arc disconnect a --force       where Azure or the cluster is gone for good
"""

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=_HELP)


_DISCONNECT_SECONDS: Final = 1800.0


Cluster = Annotated[str, typer.Argument(metavar="CLUSTER", help="The cluster's name in the stack.")]
Stack = Annotated[str, typer.Option("-s", "--stack", envvar="STACK", metavar="NAME", help="The stack.")]
Shown = Annotated[TableOrJson, typer.Option("--format", help="How to show the results.")]


@app.command()
def check(
    context: typer.Context,
    cluster: Cluster,
    stack: Stack = "local",
    nodes: Annotated[
        list[str] | None,
        typer.Option("--node", metavar="NAME|all", help="Look from this node; may be given again."),
    ] = None,
    output: Shown = TableOrJson.TABLE,
) -> None:
    """Try every endpoint that agents need, from a node: DNS, TCP, proxy, TLS and who signed it.

    Which ones those are depends on the cloud and the cluster's settings: proxy, private link, gateway, features. A
    proxy that inspects TLS is named. Nothing is changed, nothing stays on the node.

    Exit code 0: nothing that is required is blocked. 2: something is. 1: it can't be tried.
    """
    from infra.arc.endpoints import endpoints_of, judge
    from infra.arc.endpoints.report import as_json, is_sound, print_findings
    from infra.stack.arc import chosen, cluster_of_stack, machines_of

    choose(context, stack, makes=False)
    declared = cluster_of_stack(stack, cluster, directory_of(context))
    with declared.azure() as azure:
        environment, settings = azure.environment, declared.settings
    endpoints = endpoints_of(environment, settings)
    ca_file = environment.ca_file
    authorities = ca_file.read_text(encoding="ascii") if ca_file else ""
    machines = chosen(machines_of(stack, cluster, directory_of(context)), nodes or [])

    def look(machine: Machine) -> Look:
        return _look(declared, machine, endpoints, authorities)

    with ThreadPoolExecutor(max_workers=16) as pool:
        looks = list(pool.map(look, machines))
    now = datetime.datetime.now(datetime.UTC)
    findings = judge(endpoints, looks, now, private_link=settings.private_link)
    if output is TableOrJson.JSON:
        typer.echo(json_text(as_json(cluster, environment.name, settings.location, findings)), nl=False)
    else:
        from rich.console import Console

        title = f"What cluster {cluster} needs of {environment.name}, {settings.location}"
        print_findings(title, findings, Console())
    if not is_sound(findings):
        raise typer.Exit(ExitCode.RULE_BROKEN)


def _look(declared: ClusterOfStack, machine: Machine, endpoints: Any, authorities: str) -> Look:
    from infra.arc.endpoints import look_from
    from infra.stack.arc import shell_on

    with shell_on(machine, declared.keys) as shell:
        return look_from(shell, endpoints, declared.proxy, authorities, machine.name)


@app.command()
def status(
    context: typer.Context, cluster: Cluster, stack: Stack = "local", output: Shown = TableOrJson.TABLE
) -> None:
    """Show how a cluster's connection is: what Azure says, what its agents do, what will bite soon.

    Exit code 0: Connected. 2: it isn't. 1: it can't be asked.
    """
    from infra.arc.errors import ArcError
    from infra.arc.onboarding import observe
    from infra.kubernetes.api import ClusterApi
    from infra.stack.arc import cluster_of_stack, kubeconfig_of

    choose(context, stack, makes=False)
    declared = cluster_of_stack(stack, cluster, directory_of(context))
    kubeconfig = kubeconfig_of(stack, cluster, directory_of(context))
    name = declared.connected.name
    with declared.azure() as azure:
        seen = observe(azure, azure.scope, name, ClusterApi(kubeconfig) if kubeconfig else None)
        if seen is None:
            raise ArcError("not-connected", f"{azure.scope.cluster_id(name)} doesn't exist", "`make up` makes it")
        parts = {
            "extensions": [_extension(extension) for extension in azure.list_extensions(name)],
            "fluxConfigurations": [_flux(configuration) for configuration in azure.list_flux_configurations(name)],
        }
    if output is TableOrJson.JSON:
        typer.echo(json_text({**_as_json(seen), **parts}), nl=False)
    else:
        _print_status(seen, parts)
    if seen.connectivity_status != "Connected":
        raise typer.Exit(ExitCode.RULE_BROKEN)


def _as_json(seen: Connected) -> dict[str, Any]:
    return {
        "id": seen.id,
        "location": seen.location,
        "connectivityStatus": seen.connectivity_status,
        "provisioningState": seen.provisioning_state,
        "agentVersion": seen.agent_version,
        "kubernetesVersion": seen.kubernetes_version,
        "totalNodeCount": seen.node_count,
        "lastConnectivityTime": _iso(seen.last_connectivity),
        "managedIdentityCertificateExpirationTime": _iso(seen.certificate_expires),
        "issuerUrl": seen.issuer_url or None,
        "agentsReady": seen.agents_ready,
        "warnings": list(seen.warnings),
    }


def _extension(body: dict[str, Any]) -> dict[str, str]:
    properties = body.get("properties") or {}
    return {
        "name": str(body.get("name")),
        "type": str(properties.get("extensionType") or ""),
        "version": str(properties.get("currentVersion") or properties.get("version") or ""),
        "state": str(properties.get("provisioningState") or ""),
    }


def _flux(body: dict[str, Any]) -> dict[str, str]:
    properties = body.get("properties") or {}
    return {
        "name": str(body.get("name")),
        "commit": str(properties.get("sourceSyncedCommitId") or ""),
        "state": str(properties.get("complianceState") or properties.get("provisioningState") or ""),
    }


def _print_status(seen: Connected, parts: dict[str, list[dict[str, str]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    ready = {True: "all available", False: "not all available", None: "unknown"}[seen.agents_ready]
    rows = {
        "Azure says": seen.connectivity_status,
        "resource": seen.id,
        "location": seen.location,
        "agents": f"{seen.agent_version or '?'}, {ready}",
        "Kubernetes": f"{seen.kubernetes_version or '?'}, {counted(seen.node_count, 'node')}",
        "last contact": _iso(seen.last_connectivity) or "never",
        "certificate until": _iso(seen.certificate_expires) or "none yet",
    }
    if seen.issuer_url:
        rows["token issuer"] = seen.issuer_url
        rows["workload identity"] = (
            "its webhook isn't installed: pods mount a token for api://AzureADTokenExchange and set "
            "AZURE_* variables themselves"
        )
    for extension in parts["extensions"]:
        rows[f"extension {extension['name']}"] = (
            f"{extension['type']} {extension['version']}: {extension['state']}"
        )
    for configuration in parts["fluxConfigurations"]:
        rows[f"Flux {configuration['name']}"] = f"{configuration['state']} {configuration['commit']}".rstrip()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    console = Console()
    console.print(table)
    for text in seen.warnings:
        console.print(f"! {text}", style="yellow", highlight=False, markup=False)


def _iso(value: datetime.datetime | None) -> str | None:
    return value.isoformat(timespec="seconds") if value else None


@app.command()
def disconnect(
    context: typer.Context,
    cluster: Cluster,
    stack: Stack = "local",
    force: Annotated[
        bool, typer.Option("--force", help="Go on where a side doesn't answer, or agents don't do their part.")
    ] = False,
) -> None:
    """Take a cluster out of Azure Arc by hand, where `up` and `destroy` can't: both sides, as far as they answer.

    The stack's file still wants the connection: the next `pulumi refresh` sees that it is gone, and `up` makes it
    again. To be rid of it, set `arc: {enabled: false}`.

    With --force what can't be reached is left, and named: agents in a cluster that doesn't answer, or the resource
    in an Azure that doesn't. Agents whose owner nothing tells are removed, too.
    """
    from infra.arc.onboarding import disconnect as take_away
    from infra.model.work import Work
    from infra.stack.arc import cluster_of_stack, kubeconfig_of

    choose(context, stack, makes=False)
    declared = cluster_of_stack(stack, cluster, directory_of(context))
    kubeconfig = kubeconfig_of(stack, cluster, directory_of(context))
    with declared.azure() as azure:
        work = Work(status=say).within(_DISCONNECT_SECONDS)
        left = take_away(azure, azure.scope, declared.connected.name, kubeconfig, force=force, work=work)
    for leftover in left:
        say(f"left behind: {leftover}")
    if left:
        raise typer.Exit(ExitCode.RULE_BROKEN)


app.command(help=HELP)(move)
