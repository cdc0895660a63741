"""An import: Azure's files in, the project's three files out, and all that is lost, guessed or wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from infra.azure_import.clusters import clusters, ssh_keys
from infra.azure_import.collect import Azure, collect, location_of
from infra.azure_import.in_use import reservations
from infra.azure_import.instance import Files, Instance, complete, instance, region_of
from infra.azure_import.networks import networks
from infra.azure_import.recognise import UnreadError, recognise
from infra.azure_import.report import Report
from infra.azure_import.resources import Resource, last_of
from infra.azure_import.written import Placed, Written
from infra.plan.instance import plan_instance
from infra.plan.lock_file import yaml_text
from infra.plan.rules import errors_first
from infra.spec import Finding, InstanceSpec, Sources, SpecError
from infra.spec.hosts import HostsFile
from infra.spec.loader import NAMESPACE, stack_document
from infra.spec.netplan import Netplan
from infra.spec.reading import validate
from infra.spec.stack import StackConfig
from infra.spec.tree import Document, parse_document
from infra.spec.types import Model

_UNFIT: Final = re.compile("[^a-z0-9]+")
_NAMELESS: Final = "azure"
_LONGEST_NAME: Final = 30
_MOST_LISTED: Final = 4
_SCHEMA: Final = "# yaml-language-server: $schema={}schemas/{}.schema.json\n"
_Model = TypeVar("_Model", bound=Model)


@dataclass(frozen=True, slots=True)
class Import:
    """What an import writes.

    Attributes:
        stack: The stack's name.
        site: The site's.
        files: Texts by file name, in the project's folder; they are there with errors, too.
    """

    stack: str
    site: str
    files: Mapping[str, str] = field(default_factory=dict)


def import_files(
    texts: Mapping[str, str], stack: str | None = None, site: str | None = None
) -> tuple[Import, list[Finding]]:
    """Return what an import writes, and its loss report; what has an error isn't sound.

    Args:
        texts: What each file has in it, by the name that messages use.
        stack: The stack's name; None: that of the instance in Azure.
        site: The site's name; None: the stack's.

    Raises:
        SpecError: A file can't be read, or none has anything that makes a site; carries every fault.
    """
    report = Report()
    azure = _read(texts, report)
    known = instance(azure, report)
    name = stack or _name_of(azure, known)
    files = Files(name, site or name)
    config, hosts, netplan, guessed = _content(azure, known, files, report)
    rendered = {
        files.config: _text(files.config, "stack", texts, _in_namespace(config.value), guessed),
        files.hosts: _text(files.hosts, "hosts", texts, hosts.value, guessed),
        files.netplan: _text(files.netplan, "netplan", texts, netplan.value, guessed),
    }
    findings = errors_first(dict.fromkeys([*report.findings, *_wrong(rendered, files, config, hosts, netplan)]))
    return Import(files.stack, files.site, rendered), findings


def _read(texts: Mapping[str, str], report: Report) -> Azure:
    resources: list[Resource] = []
    is_read = True
    for file, text in texts.items():
        try:
            resources += recognise(text, file, report)
        except UnreadError:
            is_read = False
    if not is_read:
        raise SpecError([finding for finding in report.findings if finding.severity == "error"])
    azure = collect(resources, report)
    if azure.is_nothing:
        what = "no file has a logical network, an AKS cluster, or the deployment of an instance"
        report.say("import-missing-network", ", ".join(texts) or "the folder", what, "add what az prints of them")
        raise SpecError(errors_first(report.findings))
    return azure


def _name_of(azure: Azure, known: Instance) -> str:
    """Return a name for stack and site: the instance's in Azure, or its custom location's."""
    placed = (*azure.networks, *(resource.instance for resource in azure.clusters))
    locations = [last_of(str(place.value)) for resource in placed if (place := location_of(resource)) is not None]
    named = known.name or next(iter(locations), "")
    return _UNFIT.sub("-", named.lower()).strip("-")[:_LONGEST_NAME].strip("-") or _NAMELESS


def _content(
    azure: Azure, known: Instance, files: Files, report: Report
) -> tuple[Written, Written, Written, list[str]]:
    """Return the content of the stack's file, the hosts', the netplan, and which of them have guesses."""
    config, hosts, netplan = Written(), Written(), Written()
    listed, infrastructure = networks(azure, report)
    guessed = list(complete(known, infrastructure, files, report))
    config.put("site", files.site)
    config.put("deploymentClass", known.deployment_class if known.deployment_class != "hyperconverged" else None)
    config.put("location", region_of(azure, known, report))
    keys = ssh_keys(azure, report)
    config.put("sshPublicKeys", [key for key, _ in keys])
    config.origins |= {("sshPublicKeys", number): place.where for number, (_, place) in enumerate(keys)}
    config.add_list("clusters", clusters(azure, files.stack, report))
    hosts.add_list("hosts", known.hosts)
    if known.infrastructure is not None:
        netplan.add("infrastructure", known.infrastructure)
    netplan.add_list("logicalNetworks", listed)
    netplan.add_list("reservations", reservations(azure, report))
    if azure.clusters:
        message = "the clusters aren't connected to any Azure here, where theirs are connected already"
        remedy = (
            "write azlocal:arc, e.g. {cloud: emulator}; with a subscription, give each cluster another arc.name"
        )
        report.say("import-not-connected", files.config, message, remedy)
    return config, hosts, netplan, guessed


def _in_namespace(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"config": {f"{NAMESPACE}{key}": value for key, value in content.items()}}


def _text(file: str, schema: str, texts: Mapping[str, str], content: Mapping[str, Any], guessed: list[str]) -> str:
    up = "../" if "/" in file else ""
    listed = [name if name.isprintable() else ascii(name) for name in texts]
    more = f" and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    sources = ", ".join(listed[:_MOST_LISTED]) + more
    lines = [f"# `azlocal import` made this from {sources}; it is yours to edit."]
    if file in guessed:
        lines.append("# Azure doesn't say all of it: correct what the import's report calls guessed.")
    return yaml_text(_SCHEMA.format(up, schema) + "\n".join(lines) + "\n", content)


def _wrong(
    rendered: Mapping[str, str], files: Files, config: Written, hosts: Written, netplan: Written
) -> list[Finding]:
    """Return what is wrong with the files by their models and by the plan's rules, told where Azure says it."""
    config_document = parse_document(rendered[files.config], files.config)
    faults: list[Finding] = []

    def model(kind: type[_Model], document: Document, written: Written) -> tuple[_Model | None, Placed]:
        placed = Placed.of(document, written.origins)
        made, wrong = validate(kind, placed)
        faults.extend(wrong)
        return made, placed

    stack, of_stack = model(StackConfig, stack_document(config_document), config)
    host_list, of_hosts = model(HostsFile, parse_document(rendered[files.hosts], files.hosts), hosts)
    nets, of_netplan = model(Netplan, parse_document(rendered[files.netplan], files.netplan), netplan)
    if stack is None or host_list is None or nets is None:
        return faults
    spec = InstanceSpec(files.stack, stack, host_list, nets, Sources(of_stack, of_hosts, of_netplan))
    return [finding for finding in plan_instance(spec).findings if finding.severity == "error"]
