"""A design for ODIN, Azure Local's own design tool, by the keys of its export (Azure/odinforazurelocal).

ODIN knows hosts and the infrastructure network; what it asks beyond that is left for its user to answer.
"""

from __future__ import annotations

import json
from typing import Any, Final

from infra.export.facts import ExportFacts
from infra.export.output import Export
from infra.model.azure_regions import short_location

FILE: Final = "odin.json"
CLOUDS: Final = {"AzureUSGovernment": "azure_government", "AzureChinaCloud": "azure_china"}
LOCAL_REGIONS: Final = {
    name.replace("_", ""): name
    for name in (
        *("australia_east", "canada_central", "east_us", "india_central", "japan_east", "south_central_us"),
        *("southeast_asia", "us_gov_virginia", "west_europe"),
    )
} | {"centralindia": "india_central", "usgovvirginia": "us_gov_virginia"}
"""Regions that have Azure Local, by Azure's short names."""

SCALES: Final = {"hyperconverged": "medium", "rackAware": "rack_aware"}
"""What ODIN calls classes of instances."""


def to_odin(facts: ExportFacts) -> Export:
    """Return the design."""
    content = {"version": "azlocal", "state": state(facts)}
    step = f"import {FILE} at https://azure.github.io/odinforazurelocal"
    return Export({FILE: json.dumps(content, indent=2, ensure_ascii=False) + "\n"}, (step,))


def state(facts: ExportFacts) -> dict[str, Any]:
    """Return what ODIN's wizard would have been told."""
    stack, netplan, hosts = facts.spec.stack, facts.spec.netplan, facts.spec.hosts.hosts
    infrastructure, arc = netplan.infrastructure, stack.arc
    prefix = infrastructure.address_prefix.network
    instance = facts.target.instance
    return {
        "scenario": "disconnected" if arc is not None and arc.cloud == "custom" else "connected",
        "architecture": "disaggregated" if stack.deployment_class == "disaggregated" else "hyperconverged",
        "region": CLOUDS.get(arc.cloud if arc is not None else "", "azure_commercial"),
        "localInstanceRegion": LOCAL_REGIONS.get(short_location(stack.location)),
        "scale": SCALES.get(stack.deployment_class),
        "nodes": str(len(hosts)),
        "witnessType": _witness(facts),
        "storage": _storage(facts),
        "activeDirectory": "azure_ad" if instance is not None and instance.domain_fqdn else None,
        "adDomain": instance.domain_fqdn if instance is not None else None,
        "adOuPath": instance.adou_path if instance is not None else None,
        "ip": "static",
        "nodeSettings": [
            {"name": host.name, "ipCidr": f"{host.management_address}/{prefix.prefixlen}"} for host in hosts
        ],
        "infra": {"start": str(infrastructure.pool.start), "end": str(infrastructure.pool.end)},
        "infraCidr": str(prefix),
        "infraCidrAuto": False,
        "infraGateway": str(infrastructure.gateway),
        "infraGatewayManual": True,
        "infraPoolManual": True,
        "infraVlan": "custom" if infrastructure.vlan else "default",
        "infraVlanId": infrastructure.vlan or None,
        "dnsServers": [str(server) for server in infrastructure.dns_servers],
        "outbound": "public",
        "proxy": "proxy" if netplan.proxy is not None else "no_proxy",
        "arc": "arc_gateway" if arc is not None and arc.gateway is not None else "no_arc",
        "privateEndpoints": "pe_enabled" if netplan.private_endpoints else "pe_disabled",
    }


def _witness(facts: ExportFacts) -> str | None:
    instance = facts.target.instance
    if instance is None:
        return None
    return "Cloud" if instance.witness_storage_account_name is not None else "NoWitness"


def _storage(facts: ExportFacts) -> str | None:
    instance = facts.target.instance
    if instance is None or facts.spec.stack.deployment_class == "disaggregated":
        return None
    return "switchless" if instance.storage_connectivity_switchless else "switched"
