"""`azlocal import`: what stands in Azure Local as the project's own files; asks nobody, and overwrites nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.errors import ExitCode, unreadable
from infra.cli.output import TextOrJson, as_json, directory_of, echo_findings, json_of_unread, json_text, write
from infra.errors import UserError

if TYPE_CHECKING:
    from infra.azure_import.importing import Import
    from infra.azure_import.report import Report
    from infra.spec import Finding

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MOST_BYTES = 16 * 1024 * 1024
_ALWAYS_READ = (".json", ".bicepparam")


@app.command("import")
def import_(
    context: typer.Context,
    sources: Annotated[
        list[Path], typer.Argument(metavar="DIR|FILE…", help="Files, or folders of them.", show_default=False)
    ],
    stack: Annotated[
        str | None,
        typer.Option("--stack", metavar="NAME", help="The stack's name; absent: the instance's in Azure."),
    ] = None,
    site: Annotated[
        str | None, typer.Option("--site", metavar="NAME", help="The site's name; absent: the stack's.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Write the files there; absent: the project's folder."),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="Write the files even if something is wrong with them, to correct it there."
        ),
    ] = False,
    shown: Annotated[TextOrJson, typer.Option("--format", help="How to show the report.")] = TextOrJson.TEXT,
) -> None:
    """Take over what stands in Azure Local, as Pulumi.STACK.yaml, hosts/SITE.yaml and netplans/SITE.yaml.

    The counterpart of `azlocal export`: networks, clusters and hosts of an instance, to rehearse changes of it
    here, or to plan addresses beside it. Reads files that others wrote, and knows each by its content:

    \b
        az stack-hci-vm network lnet list      logical networks
        az stack-hci-vm network nic list       addresses in use, which are reserved
        az aksarc show, az aksarc list         clusters
        az aksarc nodepool list                all pools of a cluster
        az connectedk8s show                   tags, OIDC issuer, workload identity, Azure RBAC
        az k8s-extension list                  extensions; those that Azure brings by itself are left out
        az k8s-configuration flux list         Flux configurations
        az k8s-runtime load-balancer list      addresses of services
        kubectl get nodes -o json              addresses in use, which are reserved
        ARM parameters                         of create-cluster (hosts, infrastructure), and of Azure/aksArc
        ODIN's design (JSON)                   hosts, infrastructure
        what `azlocal export` writes           bicep, terraform, arm, odin; the script of `--to az` isn't read

    The loss report says what Azure has and these files can't say (warning), what can't be represented or
    wouldn't be planned (error, and then nothing is written), and what Azure doesn't say and is guessed: how hosts
    are reached, above all. Files that are there already are never overwritten. JSON is {stack, site, ok, files,
    findings}.

    Exit code 0: imported. 2: something is wrong. 1: the input can't be read, or a file is there already.

    \b
    Examples:
        az stack-hci-vm network lnet list -g site-1 -o json > azure/networks.json
        az aksarc show -n shop -g site-1 -o json > azure/shop.json
        az aksarc nodepool list --cluster-name shop -g site-1 -o json > azure/shop-pools.json
        azlocal import azure --stack lab2            then: azlocal plan lab2
        azlocal import odin.json azure -o ../site --format json | jq .findings
    """
    directory = folder or directory_of(context)

    def unread(findings: list[Finding]) -> str | None:
        empty: dict[str, Any] = {"stack": stack, "site": site, "files": {}}
        return json_of_unread(empty, findings) if shown is TextOrJson.JSON else None

    _check_names(stack, site)
    with unreadable(unread, None):
        made, report = _import(sources, stack, site)
    _refuse_overwriting(made, directory)
    ok = all(finding.severity != "error" for finding in report)
    if ok or partial:
        _write(made, directory)
    if shown is TextOrJson.JSON:
        content = {"stack": made.stack, "site": made.site, "ok": ok, "files": dict(made.files)}
        write(json_text({**content, "findings": as_json(report)}), None)
    elif ok or partial:
        for name in made.files:
            typer.echo(str(directory / name))
    echo_findings(report)
    if not ok:
        if not partial:
            typer.echo(
                "nothing is written; --partial writes the files as they are, to correct them there", err=True
            )
        raise typer.Exit(ExitCode.RULE_BROKEN)


def _check_names(stack: str | None, site: str | None) -> None:
    from infra.spec.forms import SITE_NAME
    from infra.spec.loader import STACK_NAME

    if stack is not None and STACK_NAME.fullmatch(stack) is None:
        raise typer.BadParameter("a stack's name has letters, digits and hyphens", param_hint="--stack")
    if site is not None and not SITE_NAME.fits(site):
        raise typer.BadParameter(f"expected {SITE_NAME.words}", param_hint="--site")


def _import(sources: list[Path], stack: str | None, site: str | None) -> tuple[Import, list[Finding]]:
    from infra.azure_import.importing import import_files
    from infra.azure_import.report import Report
    from infra.spec import SpecError

    report = Report()
    texts: dict[str, str] = {}
    for source in sources:
        texts |= _of_folder(source, report) if source.is_dir() else {str(source): _text(source)}
    if not texts:
        raise UserError(f"there is no file to import in {', '.join(map(str, sources))}; see azlocal import --help")
    try:
        made, findings = import_files(texts, stack, site)
    except SpecError as error:
        raise SpecError([*error.findings, *report.findings]) from None
    return made, [*findings, *report.findings]


def _of_folder(folder: Path, report: Report) -> dict[str, str]:
    """Return what the files of a folder have in them; those that begin as nothing that is read are named."""
    from infra.azure_import.recognise import looks_known

    texts: dict[str, str] = {}
    others: list[str] = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith("."):
            continue
        always = path.suffix in _ALWAYS_READ
        try:
            text = _text(path)
        except UserError:
            if always:
                raise
            others.append(path.name)
            continue
        if always or looks_known(text):
            texts[str(path)] = text
        else:
            others.append(path.name)
    if others:
        message = f"{', '.join(others)}: neither JSON nor Bicep, and so not read"
        report.say(
            "import-not-read", str(folder), message, "import what az prints with -o json instead of scripts"
        )
    return texts


def _text(path: Path) -> str:
    """Return a file's text; PowerShell writes UTF-16, which JSON's first bytes tell."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is no regular file; name files, or the folder that they are in")
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} has more than {_MOST_BYTES >> 20} MiB; see that it is the right file")
        content = path.read_bytes()
        return content.decode(json.detect_encoding(content))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8 or UTF-16; see that it is the right file") from None


def _refuse_overwriting(made: Import, directory: Path) -> None:
    locks = [f"{folder}/{made.site}.lock.yaml" for folder in ("hosts", "netplans")]
    there = [name for name in (*made.files, *locks) if (directory / name).exists()]
    if there:
        raise UserError(
            f"{', '.join(there)} in {directory}: there already, and nothing is overwritten; name another --stack "
            "and --site, or another folder with -o"
        )


def _write(made: Import, directory: Path) -> None:
    try:
        for name, text in made.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        why = f"{error.filename} can't be written: {error.strerror}"
        raise UserError(f"{why}; name another folder with -o") from None
