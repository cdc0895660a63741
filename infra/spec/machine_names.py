"""What machines are called: in the plan, on their hosts, and which MAC address goes with a name.

The plan's name is short, `a-cp-0`; the machine's own, its host name and libvirt domain, begins with the
instance's: `lab-a-cp-0`. Lock files write `lab/a-cp-0`. People may use any of the three.
"""

import hashlib
from collections.abc import Container, Iterable, Iterator


def machine_name(instance: str, owner: str) -> str:
    """Return a machine's own name."""
    return f"{instance}-{owner}"


def spellings(text: str, instance: str) -> Iterator[str]:
    """Yield the plan's names that a text can mean; itself first, as the plan's names are older than the others."""
    yield text
    for start in (f"{instance}/", f"{instance}-"):
        if text.startswith(start):
            yield text.removeprefix(start)


def plan_name(text: str, instance: str, known: Container[str]) -> str | None:
    """Return the plan's name of what a text names in any of the three ways; None where it names nothing."""
    return next((spelling for spelling in spellings(text, instance) if spelling in known), None)


def mac_addresses(machines: Iterable[str], others: Iterable[str] = ()) -> dict[str, str]:
    """Return a MAC address for each machine name, drawn from the name; all are different, from `others` too."""
    macs: dict[str, str] = {}
    taken = set(others)
    for name in sorted(machines):
        attempt = 0
        while (mac := _mac(name, attempt)) in taken:
            attempt += 1
        taken.add(mac)
        macs[name] = mac
    return macs


def _mac(name: str, attempt: int) -> str:
    digest = hashlib.sha256(f"{name}#{attempt}".encode() if attempt else name.encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])
