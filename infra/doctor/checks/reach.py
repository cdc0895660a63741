"""What a host reaches: other hosts, DNS servers, the outside; and what its firewall would do to machines."""

from __future__ import annotations

from collections.abc import Iterable

from infra.doctor.checks.base import Skip, Subject, Verdict, check, failed, known, listed, ok, skip_unless, warning
from infra.doctor.facts import ServedCertificate, Unknown
from infra.kubernetes.certificates import RENEWED_BEFORE

_VXLAN_PORT = 4789


@check("peers")
def peers(subject: Subject) -> Verdict:
    """Other hosts answer from here."""
    found = known(subject.facts.peers)
    silent = [str(one.address) for one in found if not one.answers]
    cut = [str(one.address) for one in found if one.answers and not one.carries]
    if silent:
        return _worse(
            subject, f"no answer from {listed(silent)}", "are they on, and in one network? Is ICMP let through?"
        )
    if cut:
        planned = subject.instance.underlay_mtu
        return _worse(
            subject,
            f"packets of {planned} bytes don't reach {listed(cut)}, small ones do",
            f"carry {planned} on every switch and NIC between them, or lower underlayMtu in the netplan",
        )
    return ok(f"{len(found)} of {len(found)}, with packets of {subject.instance.underlay_mtu} bytes")


@check("dns", source="NETCON")
def dns(subject: Subject) -> Verdict:
    """DNS servers of the netplan answer."""
    answers = known(subject.facts.dns)
    skip_unless(answers, "libvirt itself is the only DNS server, once its networks stand")
    silent = [f"{one.server}: {one.problem}" for one in answers if one.problem is not None]
    infrastructure = set(subject.instance.dns_servers)
    if silent:
        reach = "let the host's network reach UDP port 53 there, or correct dnsServers in the netplan"
        if any(one.problem is not None and one.server in infrastructure for one in answers):
            return failed(listed(silent), reach)
        return warning(f"{listed(silent)} (machines of that network may reach it all the same)", reach)
    lame = [f"{one.server}: {one.code}" for one in answers if one.code not in ("NOERROR", "NXDOMAIN")]
    if lame:
        return warning(listed(lame), "the server answers, and resolves no outside names: look at its forwarders")
    return ok(listed([str(one.server) for one in answers]))


@check("resolvers", source="NETCON")
def resolvers(subject: Subject) -> Verdict:
    """Host asks the same DNS servers as the instance."""
    found = [
        one for one in known(subject.facts.network).resolvers if ":" not in one and not one.startswith("127.")
    ]
    wanted = [str(one) for one in subject.instance.dns_servers]
    skip_unless(wanted and any(one.mode == "bridge" for one in subject.host.networks), "libvirt answers DNS there")
    if not found:
        raise Skip("the host's own resolver doesn't tell whom it asks")
    if set(found) != set(wanted):
        return warning(
            f"the host asks {listed(found)}, the netplan says {listed(wanted)}",
            "Azure Local wants them alike, and they can't be changed later: correct the one or the other",
        )
    return ok(listed(found))


@check("endpoints", source="RBURL, K8SURL")
def endpoints(subject: Subject) -> Verdict:
    """Azure's endpoints are reached."""
    answers = known(subject.facts.endpoints)
    untrusted = [one.name for one in answers if one.untrusted]
    lost = [f"{one.name} ({one.problem})" for one in answers if one.problem is not None and not one.untrusted]
    by = " by the site's proxy" if subject.instance.proxy else ""
    if untrusted:
        return warning(
            f"somebody else's certificate at {listed(untrusted, 4)}",
            "except them from TLS inspection: Azure Local works only without it",
        )
    if lost:
        return warning(
            f"{len(lost)} of {len(answers)} not reached{by}: {listed(lost, 3)}",
            "open TCP 443 to them, or set the netplan's proxy; an air-gapped lab does without (--offline)",
        )
    return ok(f"{len(answers)} of {len(answers)}{by}")


@check("firewall")
def firewall(subject: Subject) -> Verdict:
    """Host's firewall lets machines through.

    Docker sets FORWARD's policy to DROP and loads br_netfilter, which sends bridged frames there too.
    """
    found = known(subject.facts.firewall)
    modes = {network.mode for network in subject.host.networks}
    dropping = [one for one in found.dropping if not one.startswith("bridge ")]
    in_bridges = [one for one in found.dropping if one.startswith("bridge ")]
    who = _who(subject)
    if in_bridges:
        return failed(
            f"{listed(in_bridges)} drops what bridges carry{who}", "let our bridges (azl-*) through that chain"
        )
    if dropping and found.bridge_calls_iptables and modes - {"nat"}:
        return failed(
            f"{listed(dropping)} drops forwarded packets, and br_netfilter sends bridged ones there{who}",
            "`sysctl -w net.bridge.bridge-nf-call-iptables=0` (and in /etc/sysctl.d), or accept azl-* in "
            "the chain DOCKER-USER",
        )
    if dropping and "nat" in modes:
        return warning(
            f"{listed(dropping)} drops forwarded packets{who}: libvirt's own rules must let machines out",
            "if machines reach nothing outside: `iptables -I DOCKER-USER -i azl-+ -j ACCEPT`, the same with -o; "
            'or firewall_backend = "iptables" in /etc/libvirt/network.conf',
        )
    return ok(f"no chain drops what our networks carry{who}")


@check("vxlan-port", source="RFC 7348")
def vxlan_port(subject: Subject) -> Verdict:
    """Host's firewall lets VXLAN in."""
    found = known(subject.facts.firewall).refusing
    skip_unless(any(one.mode == "mesh" for one in subject.host.networks), "no network there is a VXLAN mesh")
    if found:
        return warning(
            f"{listed(found)} drops what no rule accepts{_who(subject)}",
            f"let UDP {_VXLAN_PORT} in from the other hosts, e.g. `ufw allow proto udp to any port {_VXLAN_PORT}`",
        )
    return ok(f"nothing keeps UDP {_VXLAN_PORT} out")


@check("forwarding")
def forwarding(subject: Subject) -> Verdict:
    """Host forwards between its networks."""
    found = known(subject.facts.firewall).forwards
    skip_unless(any(one.holds_gateway for one in subject.host.networks), "the host holds no gateway")
    return ok("on" if found else "off; libvirt switches it on with the network")


@check("certificates")
def certificates(subject: Subject) -> Verdict:
    """Certificates of clusters hold for another quarter of a year."""
    found = known(subject.facts.certificates)
    late = [
        f"that of {one.machine} {'has ended' if one.days < 0 else f'ends in {one.days:.0f} days'}"
        for one in found
        if one.days < RENEWED_BEFORE.days
    ]
    silent = [f"{name} runs, and its API server doesn't answer" for name in _silent(subject, found)]
    if late or silent:
        reads = ", which reads a silent one's on its machine" if silent else ""
        return warning(listed([*late, *silent], 4), f"`make refresh`{reads}, then `make up`: it renews them")
    skip_unless(found, "no API server of a cluster is there")
    return ok(f"{min(one.days for one in found):,.0f} days")


def _silent(subject: Subject, found: Iterable[ServedCertificate]) -> list[str]:
    """Return the control planes that run there and told nothing."""
    hypervisor = subject.facts.hypervisor
    runs = set() if isinstance(hypervisor, Unknown) else {one.name for one in hypervisor.objects if one.active}
    asked = {one.name for one in subject.host.machines or () if one.api_server is not None}
    return sorted((runs & asked) - {one.machine for one in found})


def _worse(subject: Subject, seen: str, remedy: str) -> Verdict:
    """Return a failure where networks go from host to host by themselves, else a warning."""
    return failed(seen, remedy) if subject.instance.is_meshed else warning(seen, remedy)


def _who(subject: Subject) -> str:
    system = subject.facts.system
    running = [] if isinstance(system, Unknown) else sorted(system.active_units or ())
    return f" ({', '.join(running)} runs there)" if running else ""
