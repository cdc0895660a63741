"""`azlocal emulator …`: what stands in for Azure on this machine."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.errors import ExitCode
from infra.counting import counted
from infra.errors import UserError
from infra.stack.messages import say

if TYPE_CHECKING:
    from infra.emulator.admin_client import AdminClient
    from infra.emulator.daemon import Emulator

_HELP = """What stands in for Azure on this machine, where there is no subscription: never Azure itself.

An instance's emulator is started when it is needed; these commands look at it, and let time pass or things go
wrong.

\b
Examples:
    azlocal emulator status                     where it is, what it has
    eval "$(azlocal emulator env)"              az, the SDKs and curl use it from now on
    azlocal emulator advance 16m                clusters without a heartbeat meanwhile are Offline
    azlocal emulator fault add throttle --operation 'Microsoft.Kubernetes/*' --count 2
"""

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=_HELP)
fault = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
app.add_typer(fault, name="fault", help="Let things go wrong, as on Azure's bad days.")

Instance = Annotated[
    str,
    typer.Option("-i", "--instance", envvar="STACK", metavar="NAME", help="Whose emulator."),
]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


@app.command()
def start(
    instance: Instance = "local",
    agent_address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where agents in clusters reach it: the gateway of their network."),
    ] = None,
) -> None:
    """Set it up where it is missing, and start it unless it runs; silent about what stands already."""
    from infra.emulator import daemon

    folder = daemon.default_folder(instance)
    before = daemon.status(folder)
    daemon.initialise(folder, agent_address=agent_address)
    emulator = daemon.ensure_running(folder)
    if before is None or before.pid != emulator.pid:
        say(f"started the emulator of {instance} at {emulator.url}; it stands in for Azure, it is not Azure")


@app.command()
def stop(
    instance: Instance = "local",
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove it too, unless resources are left in it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --remove: whatever is left in it.")] = False,
) -> None:
    """End its process; what it knows stays for the next start."""
    from infra.emulator import daemon

    folder = daemon.default_folder(instance)
    if not remove:
        ran = daemon.stop(folder)
        say(f"stopped the emulator of {instance}" if ran else f"the emulator of {instance} doesn't run")
    elif force:
        daemon.remove(folder)
        say(f"removed the emulator of {instance}")
    else:
        left = daemon.retire(folder)
        if left:
            raise UserError(f"it is stopped, and stays since it has resources: {', '.join(left)}")
        say(f"removed the emulator of {instance}")


@app.command()
def status(
    instance: Instance = "local",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say where it is, its time, and what it has; the exit code is 0 when it runs."""
    from infra.emulator import daemon

    emulator = daemon.status(daemon.default_folder(instance))
    if emulator is None:
        raise UserError(f"no emulator is set up for {instance}: `azlocal emulator start`")
    state = _client(emulator).state() if emulator.pid is not None else {}
    if as_json:
        typer.echo(json.dumps(_facts(emulator) | state, indent=2))
    else:
        _print_status(emulator, state)
    if emulator.pid is None:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def reset(
    instance: Instance = "local",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Forget every resource, fault and the time it was set ahead; its ids, secret and certificates stay."""
    from infra.emulator import daemon

    folder = daemon.default_folder(instance)
    left = daemon.resources(folder)
    if left and not yes:
        typer.confirm(
            f"Forget {counted(len(left), 'resource')}? Their clusters' agents lose their connection.", abort=True
        )
    daemon.reset(folder)
    say(f"forgot {counted(len(left), 'resource')}")


@app.command()
def advance(
    duration: Annotated[str, typer.Argument(metavar="DURATION", help="Such as 16m, 90d or 1h30m.")],
    instance: Instance = "local",
) -> None:
    """Set its time ahead: connections go Offline, certificates expire, what waits too long fails."""
    seconds = parse_duration(duration)
    now = _client(_running(instance)).advance(seconds)
    say(f"the emulator's time is {now['now']}, {now['offsetSeconds']:.0f} s ahead")


@fault.command("add")
def add_fault(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="throttle, status, slow, slowOperation, failOperation, dropHeartbeats or expireCertificate.",
        ),
    ],
    instance: Instance = "local",
    method: Annotated[str | None, typer.Option(help="A glob of HTTP methods.")] = None,
    path: Annotated[str | None, typer.Option(help="A regular expression that the path has in it.")] = None,
    operation: Annotated[
        str | None, typer.Option(help="A glob of Azure's action: 'Microsoft.Kubernetes/*/write'.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many times; absent: until it is cleared.")] = None,
    retry_after: Annotated[int | None, typer.Option(help="throttle: seconds.")] = None,
    status_code: Annotated[int | None, typer.Option("--status", help="status: the HTTP code.")] = None,
    code: Annotated[str | None, typer.Option(help="status, failOperation: Azure's error code.")] = None,
    message: Annotated[str | None, typer.Option(help="status, failOperation: the error's message.")] = None,
    seconds: Annotated[float | None, typer.Option(help="slow, slowOperation: how much longer.")] = None,
) -> None:
    """Plant a fault; print its id.

    \b
    Examples:
        azlocal emulator fault add status --status 503 --method PUT --count 1
        azlocal emulator fault add failOperation --operation '*/extensions/write' --code HelmFailed
        azlocal emulator fault add dropHeartbeats --path connectedClusters/a
    """
    options = {
        "kind": kind,
        "method": method,
        "path": path,
        "operation": operation,
        "count": count,
        "retryAfter": retry_after,
        "statusCode": status_code,
        "code": code,
        "message": message,
        "seconds": seconds,
    }
    planted = _client(_running(instance)).plant(
        **{name: value for name, value in options.items() if value is not None}
    )
    for cluster in planted.get("clusters", []):
        say(f"the certificate of {cluster} has expired")
    typer.echo(planted["id"])


@fault.command("list")
def list_faults(instance: Instance = "local") -> None:
    """List the faults that are planted, as JSON, one a line."""
    for planted in _client(_running(instance)).faults():
        typer.echo(json.dumps(planted))


@fault.command("clear")
def clear_faults(
    fault_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this one.")] = None,
    instance: Instance = "local",
) -> None:
    """Take a fault away, or all of them."""
    say(f"cleared {_client(_running(instance)).clear(fault_id)} faults")


@app.command()
def env(
    instance: Instance = "local",
    with_secrets: Annotated[
        bool, typer.Option("--secrets", help="With the client secret itself; mind where it ends up.")
    ] = False,
) -> None:
    """Print settings for az, the Azure SDKs and curl: eval "$(azlocal emulator env)".

    `az cloud register` and `az login` are needed once; what to type is printed as comments.
    """
    emulator = _running(instance)
    exports = _exports(emulator, with_secrets=with_secrets)
    for name, value in exports.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    name, url = f"azlocal-{instance}", emulator.url
    typer.echo(f"# az cloud register -n {name} --endpoint-resource-manager {url} && az cloud set -n {name}")
    typer.echo(
        "# az login --service-principal --tenant $AZURE_TENANT_ID -u $AZURE_CLIENT_ID "
        "-p @<(jq -j .clientSecret $AZLOCAL_EMULATOR_CLIENT)"
    )


def parse_duration(text: str) -> float:
    """Return a duration in seconds: `16m`, `1h30m`, `90d`.

    Raises:
        typer.BadParameter: it is none.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise typer.BadParameter(f"{text!r} is no duration: write 16m, 90d or 1h30m", param_hint="DURATION")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _exports(emulator: Emulator, *, with_secrets: bool) -> dict[str, str]:
    from infra.emulator.settings import Folder

    settings = emulator.settings
    exports = {
        "REQUESTS_CA_BUNDLE": str(emulator.ca_file),
        "CURL_CA_BUNDLE": str(emulator.ca_file),
        "AZURE_AUTHORITY_HOST": emulator.url,
        "AZURE_TENANT_ID": settings.tenant_id,
        "AZURE_CLIENT_ID": settings.client_id,
        "AZURE_SUBSCRIPTION_ID": settings.subscription_id,
        # MSAL otherwise asks login.microsoftonline.com whether it knows this authority.
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        # Apart from the real clouds' logins of whoever types this.
        "AZURE_CONFIG_DIR": str(emulator.folder / "az"),
        "AZLOCAL_EMULATOR_CLIENT": str(emulator.client_file),
    }
    if with_secrets:
        exports["AZURE_CLIENT_SECRET"] = Folder(emulator.folder).client().client_secret
    return exports


def _print_status(emulator: Emulator, state: dict[str, Any]) -> None:
    settings = emulator.settings
    runs = f"runs (process {emulator.pid})" if emulator.pid is not None else "doesn't run"
    typer.echo(f"{emulator.url}: {runs}; it stands in for Azure, it is not Azure")
    typer.echo(f"agents: {emulator.agent_url}\nfolder: {emulator.folder}")
    typer.echo(f"subscription: {settings.subscription_id}\ntenant: {settings.tenant_id}")
    if not state:
        return
    typer.echo(f"time: {state['now']}")
    for resource in state["resources"]:
        shown = [resource[name] for name in ("provisioningState", "connectivityStatus") if resource.get(name)]
        typer.echo(f"  {resource['id']}: {', '.join(shown)}")
    for operation in state["operations"]:
        typer.echo(f"  {operation['status']} goes on: {operation['resource']}")


def _facts(emulator: Emulator) -> dict[str, Any]:
    return {
        **emulator.settings.model_dump(by_alias=True),
        "url": emulator.url,
        "agentUrl": emulator.agent_url,
        "folder": str(emulator.folder),
        "caFile": str(emulator.ca_file),
        "pid": emulator.pid,
    }


def _running(instance: str) -> Emulator:
    from infra.emulator import daemon
    from infra.emulator.errors import EmulatorError

    folder: Path = daemon.default_folder(instance)
    emulator = daemon.status(folder)
    if emulator is None or emulator.pid is None:
        raise EmulatorError(f"the emulator of {instance} doesn't run: `azlocal emulator start -i {instance}`")
    return emulator


def _client(emulator: Emulator) -> AdminClient:
    from infra.emulator.admin_client import AdminClient

    return AdminClient(emulator.folder)
