"""`azlocal export`: a plan as files for Azure's own tools; needs neither engine nor hosts, and asks nobody."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.errors import ExitCode, unreadable
from infra.cli.output import TextOrJson, as_json, directory_of, echo_findings, json_of_unread, json_text, write
from infra.errors import UserError

if TYPE_CHECKING:
    from infra.export.facts import ExportFacts
    from infra.export.output import Export
    from infra.spec import Finding, InstanceSpec
    from infra.spec.target import Target

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_OURS = re.compile(r"(network|cluster)-.*\.(bicepparam|bicep|pub)|azlocal\.(sh|tf\.json)")


class To(StrEnum):
    """What a plan is exported to; as `infra.export.facts.Format`, which a `--help` needn't import."""

    BICEP = "bicep"
    TERRAFORM = "terraform"
    AZ = "az"
    ARM = "arm"
    ODIN = "odin"


@app.command()
def export(
    context: typer.Context,
    stack: Annotated[
        str, typer.Argument(metavar="STACK", help="The stack, as in Pulumi.STACK.yaml.", show_default=False)
    ],
    to: Annotated[To, typer.Option("--to", help="What to export it to.", show_default=False)],
    folder: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write the files there; made if need be.")
    ] = None,
    shown: Annotated[
        TextOrJson, typer.Option("--format", help="How to show what isn't written to files.")
    ] = TextOrJson.TEXT,
) -> None:
    """Carry a plan over to Azure Local: as files for Azure's own tools.

    bicep: parameter files of Azure Verified Modules, one a logical network and cluster, and a template of what is
    installed on each cluster. terraform: the same as modules, in Terraform's JSON syntax. az: a script. arm: the
    deployment of the instance itself, which first only validates. odin: a design for Azure Local's design tool.

    Reads the stack's three files, the lock file, and targets/SITE.yaml, where Azure's ids and names are; an editor
    completes its keys. Asks neither hosts nor Azure, and writes no secret: whoever deploys gives those.

    \b
        subscriptionId: 00000000-0000-0000-0000-000000000000
        resourceGroup: azure-local
        customLocationResourceId: /subscriptions/…/customLocations/site-1
        vmSwitchName: ConvergedSwitch(compute)
        sshPublicKey: ~/.ssh/id_ed25519.pub
        kubernetesVersion: 1.33.5             where Azure Local doesn't offer the rehearsal's
        vmSizes: {Lab_Small: Standard_A4_v2}  what Azure has for sizes of the site's own

    The loss report says what doesn't carry: an error where Azure would refuse, and then nothing is written; a
    warning where something is left out or is other than it was rehearsed. Nodes' addresses never carry, since
    Azure Local chooses them; pools, hostIP and ranges for services do. JSON is {stack, to, ok, files, steps,
    findings}.

    Exit code 0: exported. 2: a rule is broken. 1: the input can't be read.

    \b
    Examples:
        azlocal export lab --to bicep -o out        files, and the commands that deploy them
        azlocal export lab --to az -o out           then: bash out/azlocal.sh validate
        azlocal export lab --to odin > odin.json
        azlocal export lab --to arm --format json | jq .findings
    """
    directory = directory_of(context)

    def unread(findings: list[Finding]) -> str | None:
        empty = {"stack": stack, "to": to, "files": {}, "steps": []}
        return json_of_unread(empty, findings) if shown is TextOrJson.JSON else None

    with unreadable(unread, None):
        facts = _facts(stack, directory, to)
    from infra.export.export import export as made_of

    made, report = made_of(facts)
    ok = all(finding.severity != "error" for finding in report)
    if folder is not None and ok:
        _write(made, folder)
    if shown is TextOrJson.JSON:
        content = {"stack": stack, "to": to, "ok": ok, "files": dict(made.files), "steps": list(made.steps)}
        write(json_text({**content, "findings": as_json(report)}), None)
    elif ok:
        _show(made, folder)
    echo_findings(report)
    if not ok:
        raise typer.Exit(ExitCode.RULE_BROKEN)


def _facts(stack: str, directory: Path, to: To) -> ExportFacts:
    from infra.export.facts import OF_CLUSTERS, ExportFacts, Format
    from infra.plan.instance import plan_instance
    from infra.plan.locks import SiteLocks
    from infra.spec import load_instance
    from infra.spec.reading import load_target

    spec = load_instance(stack, directory)
    target, document = load_target(spec.site, directory)
    locks = SiteLocks.of(spec).read()
    plan = plan_instance(spec, locks)
    kind = Format(to.value)
    keys, named = _keys(spec, target) if kind in OF_CLUSTERS else ((), {})
    return ExportFacts(spec, plan, locks.addresses, target, document, kind, keys, named)


def _keys(spec: InstanceSpec, target: Target) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the stack's SSH keys, where they count, and the target's by what it calls them."""
    from infra.spec import read_public_keys

    own = [cluster.ssh_public_key for cluster in target.clusters.values() if cluster.ssh_public_key is not None]
    names = {*own, *([target.ssh_public_key] if target.ssh_public_key is not None else [])}
    named = {name: read_public_keys([name], spec.directory) for name in names}
    if target.ssh_public_key is not None or target.ssh_key_vault is not None:
        return (), named
    return read_public_keys(spec.stack.ssh_public_keys, spec.directory), named


def _write(made: Export, folder: Path) -> None:
    """Write the files, and name those that an earlier export left there: whoever deploys would take them, too."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        others = sorted({path.name for path in folder.iterdir() if _OURS.fullmatch(path.name)} - set(made.files))
    except OSError as error:
        why = f"{error.filename} can't be written: {error.strerror}"
        raise UserError(f"{why}; name another folder with -o") from None
    if others:
        typer.echo(f"note: {', '.join(others)} in {folder} isn't of this export; remove what is old", err=True)


def _show(made: Export, folder: Path | None) -> None:
    """Show the files' texts, several with their names, or where they are, and how they are used."""
    if folder is None:
        for name, text in made.files.items():
            heading = f"==> {name} <==\n" if len(made.files) > 1 else ""
            typer.echo(f"{heading}{text}", nl=len(made.files) > 1)
        return
    for name in made.files:
        typer.echo(str(folder / name))
    typer.echo(f"in {folder}, one after the other:", err=True)
    for step in made.steps:
        typer.echo(f"  {step}", err=True)
