"""What looks from nodes mean."""

from __future__ import annotations

import datetime
import io
import json
from typing import Any

import pytest
from rich.console import Console

from infra.arc.endpoints.judge import Finding, judge
from infra.arc.endpoints.probe import Answer, Look
from infra.arc.endpoints.report import as_json, is_sound, print_findings
from infra.arc.endpoints.table import Endpoint

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
ARM = Endpoint("management.azure.com", "Azure Resource Manager")
IDENTITY = Endpoint("gbl.his.arc.azure.com", "identity of agents")
EXTRA = Endpoint("dl.k8s.io", "upgrades", is_required=False, is_azures=False)


def answer(stage: str = "done", **more: Any) -> Answer:
    given: dict[str, Any] = {
        "addresses": ("20.1.2.3",),
        "version": "TLSv1.3",
        "issuer": "Microsoft Corporation, Microsoft Azure RSA TLS Issuing CA 03",
        "expires": NOW + datetime.timedelta(days=90),
    }
    return Answer(stage, **given | more)


def found(endpoint: Endpoint, given: Answer, **more: Any) -> Finding:
    (one,) = judge([endpoint], [Look("node-1", NOW, ((endpoint, given),))], NOW, **more)
    return one


def test_an_endpoint_that_answers_is_sound() -> None:
    one = found(ARM, answer())
    assert one.status == "ok"
    assert "20.1.2.3, TLSv1.3, signed by Microsoft Corporation" in one.seen
    assert "by the proxy" in found(ARM, answer(by_proxy=True, addresses=())).seen


@pytest.mark.parametrize(
    ("given", "seen", "remedy"),
    [
        (answer("dns", error="Name or service not known"), "DNS: Name", "DNS server resolve management.azure.com"),
        (answer("tcp", error="Connection refused"), "TCP (20.1.2.3): Connection refused", "open TCP 443"),
        (answer("proxy", error="the proxy says 403 Forbidden"), "403", "CONNECT management.azure.com:443"),
        (answer("tls", error="connection reset"), "TLS: connection reset", "cuts TLS off"),
        (
            answer("tls", error="unable to get local issuer", untrusted=True, issuer="Zscaler Inc., Zscaler Root"),
            "Zscaler Inc. inspects TLS",
            "proxyCaFile",
        ),
        (
            answer("tls", error="self-signed", untrusted=True, issuer="Contoso, Contoso Inspection"),
            "signed by Contoso, Contoso Inspection, whom the node doesn't trust",
            "proxyCaFile",
        ),
        (
            answer("tls", error="certificate has expired", untrusted=True),
            "isn't trusted: certificate has expired",
            "clock",
        ),
    ],
    ids=["dns", "tcp", "proxy", "cut", "known inspector", "unknown inspector", "expired"],
)
def test_what_blocks_is_told_by_stage_with_its_remedy(given: Answer, seen: str, remedy: str) -> None:
    one = found(ARM, given)
    assert one.status == "failed"
    assert seen in one.seen
    assert remedy in one.remedy


def test_an_inspector_whom_the_node_trusts_is_a_warning_since_agents_do_not() -> None:
    one = found(ARM, answer(issuer="Netskope Inc, ca.netskope"))
    assert one.status == "warning"
    assert "Netskope Inc inspects TLS" in one.seen
    assert "exempt" in one.remedy


def test_who_signs_for_others_than_azure_is_their_business() -> None:
    assert found(EXTRA, answer(issuer="Google Trust Services, WR3")).status == "ok"


def test_what_only_a_feature_needs_is_a_warning() -> None:
    assert found(EXTRA, answer("tcp", error="refused")).status == "warning"


def test_a_private_link_has_private_addresses() -> None:
    assert found(IDENTITY, answer(), private_link=True).status == "warning"
    assert found(IDENTITY, answer(addresses=("10.1.2.3",)), private_link=True).status == "ok"
    assert found(ARM, answer(), private_link=True).status == "ok"


def test_a_certificate_that_ends_soon_is_told() -> None:
    assert "ends on 2026-11-23" in found(ARM, answer(expires=NOW + datetime.timedelta(days=2))).seen


def test_rules_for_firewalls_are_listed_and_not_tried() -> None:
    pattern = Endpoint("*.his.arc.azure.com", "identity of agents")
    (one,) = judge([pattern], [Look("node-1", NOW, ())], NOW)
    assert (one.status, one.place) == ("skipped", "")


def test_a_wrong_clock_is_told() -> None:
    late = Look("node-1", NOW - datetime.timedelta(minutes=12), ())
    (one,) = judge([], [late], NOW)
    assert one.status == "failed"
    assert "12 minutes behind" in one.seen


def test_the_report_is_a_table_and_json() -> None:
    findings = [found(ARM, answer()), found(IDENTITY, answer("dns", error="no [bold]such[/] name"))]
    assert not is_sound(findings)
    content = as_json("a", "AzureCloud", "eastus", findings)
    assert content["counts"] == {"ok": 1, "failed": 1}
    assert content["endpoints"][1]["stage"] == "dns"
    assert json.dumps(content)
    console = Console(width=200, file=io.StringIO())
    print_findings("title", findings, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "no [bold]such[/] name" in text
    assert "let the node's DNS server resolve gbl.his.arc.azure.com" in text
    assert "1 ok, 1 failed" in text
