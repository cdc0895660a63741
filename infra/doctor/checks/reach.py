"""What a host reaches: other hosts, DNS servers, the outside; and what its firewall would do to machines."""

from __future__ import annotations

from collections.abc import Iterable

from infra.counting import counted
from infra.doctor.checks.base import Skip, Subject, Verdict, check, failed, known, listed, ok, skip_unless, warning
from infra.doctor.facts import ServedCertificate, Unknown
from infra.kubernetes.certificates import RENEWED_BEFORE
from infra.model.network import VXLAN_PORT


@check("peers")
def peers(subject: Subject) -> Verdict:
    """Other hosts answer from here."""
    answers = known(subject.facts.peers)
    silent = [str(answer.address) for answer in answers if not answer.answers]
    cut = [str(answer.address) for answer in answers if answer.answers and not answer.carries]
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
    return ok(f"{len(answers)} of {len(answers)}, with packets of {subject.instance.underlay_mtu} bytes")


@check("dns", source="NETCON")
def dns(subject: Subject) -> Verdict:
    """DNS servers of the netplan answer."""
    answers = known(subject.facts.dns)
    skip_unless(answers, "libvirt itself is the only DNS server, once its networks stand")
    silent = [f"{answer.server}: {answer.problem}" for answer in answers if answer.problem is not None]
    infrastructure = set(subject.instance.dns_servers)
    if silent:
        reach = "let the host's network reach UDP port 53 there, or correct dnsServers in the netplan"
        if any(answer.problem is not None and answer.server in infrastructure for answer in answers):
            return failed(listed(silent), reach)
        return warning(f"{listed(silent)} (machines of that network may reach it all the same)", reach)
    lame = [f"{answer.server}: {answer.code}" for answer in answers if answer.code not in ("NOERROR", "NXDOMAIN")]
    if lame:
        return warning(listed(lame), "the server answers, and resolves no outside names: look at its forwarders")
    return ok(listed([str(answer.server) for answer in answers]))


@check("resolvers", source="NETCON")
def resolvers(subject: Subject) -> Verdict:
    """Host asks the same DNS servers as the instance."""
    servers = [
        server
        for server in known(subject.facts.network).resolvers
        if ":" not in server and not server.startswith("127.")
    ]
    wanted = [str(server) for server in subject.instance.dns_servers]
    skip_unless(
        wanted and any(network.mode == "bridge" for network in subject.host.networks), "libvirt answers DNS there"
    )
    if not servers:
        raise Skip("the host's own resolver doesn't tell whom it asks")
    if set(servers) != set(wanted):
        return warning(
            f"the host asks {listed(servers)}, the netplan says {listed(wanted)}",
            "Azure Local wants them alike, and they can't be changed later: correct the one or the other",
        )
    return ok(listed(servers))


@check("endpoints", source="RBURL, K8SURL")
def endpoints(subject: Subject) -> Verdict:
    """Azure's endpoints are reached."""
    answers = known(subject.facts.endpoints)
    untrusted = [answer.name for answer in answers if answer.untrusted]
    lost = [
        f"{answer.name} ({answer.problem})"
        for answer in answers
        if answer.problem is not None and not answer.untrusted
    ]
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
    state = known(subject.facts.firewall)
    modes = {network.mode for network in subject.host.networks}
    dropping = [chain for chain in state.dropping if not chain.startswith("bridge ")]
    in_bridges = [chain for chain in state.dropping if chain.startswith("bridge ")]
    who = _who(subject)
    if in_bridges:
        return failed(
            f"{listed(in_bridges)} drops what bridges carry{who}", "let our bridges (azl-*) through that chain"
        )
    if dropping and state.bridge_calls_iptables and modes - {"nat"}:
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
    refusing = known(subject.facts.firewall).refusing
    skip_unless(
        any(network.mode == "mesh" for network in subject.host.networks), "no network there is a VXLAN mesh"
    )
    if refusing:
        return warning(
            f"{listed(refusing)} drops what no rule accepts{_who(subject)}",
            f"let UDP {VXLAN_PORT} in from the other hosts, e.g. `ufw allow proto udp to any port {VXLAN_PORT}`",
        )
    return ok(f"nothing keeps UDP {VXLAN_PORT} out")


@check("forwarding")
def forwarding(subject: Subject) -> Verdict:
    """Host forwards between its networks."""
    forwards = known(subject.facts.firewall).forwards
    skip_unless(any(network.holds_gateway for network in subject.host.networks), "the host holds no gateway")
    return ok("on" if forwards else "off; libvirt switches it on with the network")


@check("certificates")
def certificates(subject: Subject) -> Verdict:
    """Certificates of clusters hold for another quarter of a year."""
    served = known(subject.facts.certificates)
    late = [
        f"that of {certificate.machine} {_ends(certificate.days)}"
        for certificate in served
        if certificate.days < RENEWED_BEFORE.days
    ]
    silent = [f"{name} runs, and its API server doesn't answer" for name in _silent(subject, served)]
    if late or silent:
        reads = ", which reads a silent one's on its machine" if silent else ""
        return warning(listed([*late, *silent], 4), f"`make refresh`{reads}, then `make up`: it renews them")
    skip_unless(served, "no API server of a cluster is there")
    return ok(counted(round(min(certificate.days for certificate in served)), "day"))


def _silent(subject: Subject, served: Iterable[ServedCertificate]) -> list[str]:
    """Return the control planes that run there and told nothing."""
    hypervisor = subject.facts.hypervisor
    runs = (
        set() if isinstance(hypervisor, Unknown) else {entry.name for entry in hypervisor.objects if entry.active}
    )
    expected = {machine.name for machine in subject.host.machines or () if machine.api_server is not None}
    return sorted((runs & expected) - {certificate.machine for certificate in served})


def _worse(subject: Subject, seen: str, remedy: str) -> Verdict:
    """Return a failure where networks go from host to host by themselves, else a warning."""
    return failed(seen, remedy) if subject.instance.is_meshed else warning(seen, remedy)


def _who(subject: Subject) -> str:
    system = subject.facts.system
    running = [] if isinstance(system, Unknown) else sorted(system.active_units or ())
    return f" ({', '.join(running)} runs there)" if running else ""


def _ends(days: float) -> str:
    return "has ended" if days < 0 else f"ends in {counted(round(days), 'day')}"
