"""Ask a DNS server from where a host stands, with nothing but bash needed there.

Minimal Debian hosts have no dig. bash sends and receives a datagram by itself; the question and the answer are put
together and read here.
"""

from __future__ import annotations

import base64
from ipaddress import IPv4Address
from typing import Final

import dns.exception
import dns.message
import dns.rcode
from dns.message import Message

from infra.doctor.facts import DnsAnswer
from infra.doctor.gather.commands import Commands, Unlearned

_PORT: Final = 53
_SECONDS: Final = 3
_TRIES: Final = 2

# $1: server, $2: port, $3: seconds. The question is standard input; both are in base64, since output is text.
_EXCHANGE: Final = (
    'exec 3<>"/dev/udp/$1/$2" && base64 --decode >&3 '
    '&& timeout "$3" dd bs=65536 count=1 status=none <&3 | base64 --wrap=0'
)


def ask(commands: Commands, server: IPv4Address, name: str, port: int = _PORT) -> DnsAnswer:
    """Ask a server for a name's addresses. Any answer shows that it is there; its code tells how it fares."""
    question = dns.message.make_query(name, "A")
    sent = base64.b64encode(question.to_wire())
    argv = ("bash", "-c", _EXCHANGE, "ask", str(server), str(port), str(_SECONDS))
    problem = "no answer"
    for _ in range(_TRIES):  # datagrams get lost
        try:
            answer = _read(commands.output(argv, input=sent, check=False), question)
        except Unlearned as error:
            return DnsAnswer(server, str(error), None)
        except (ValueError, dns.exception.DNSException) as error:
            problem = f"what it answers is no DNS: {error}"
            continue
        if answer is not None:
            return DnsAnswer(server, None, dns.rcode.to_text(answer.rcode()))
    return DnsAnswer(server, problem, None)


def _read(printed: str, question: Message) -> Message | None:
    data = base64.b64decode(printed, validate=True)
    if not data:
        return None
    answer = dns.message.from_wire(data, ignore_trailing=True, one_rr_per_rrset=True)
    if not question.is_response(answer):
        raise ValueError("it belongs to another question")
    return answer
