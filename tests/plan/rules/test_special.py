"""IANA's registry as the plan has it, held to Python's own tables of the same registry."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from infra.plan.rules.ranges import span_of
from infra.plan.rules.special import blocks, unusable
from infra.spec.types import AddressRange


def one(text: str) -> AddressRange:
    return AddressRange(int(IPv4Address(text)), int(IPv4Address(text)))


def edges() -> list[IPv4Address]:
    """Return the first and last address of each block, and those beside it."""
    found = set()
    for block in blocks():
        for edge in (block.span.first, block.span.last):
            found |= {value for value in (edge - 1, edge, edge + 1) if 0 <= value < 2**32}
    return [IPv4Address(value) for value in sorted(found)]


@pytest.mark.parametrize("address", edges(), ids=str)
def test_what_python_knows_to_be_nobodys_is(address: IPv4Address) -> None:
    is_nobodys = (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address in IPv4Network("0.0.0.0/8")
    )
    block = unusable(one(str(address)))
    if is_nobodys:
        assert block is not None
        assert not block.is_documentation
    elif address in IPv4Network("192.0.0.0/24"):
        pass  # Python 3.11 has parts of it only
    elif address.is_global or address in IPv4Network("100.64.0.0/10"):
        is_old = address in IPv4Network("192.88.99.0/24")  # given up; the registry says nothing of it any more
        assert block is None or (is_old and block.is_documentation)


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "192.0.0.0/29"]
)
def test_what_the_registry_lets_machines_have(text: str) -> None:
    assert unusable(span_of(text)) is None


@pytest.mark.parametrize("text", ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "203.0.113.64/26"])
def test_examples_are_told_apart(text: str) -> None:
    block = unusable(span_of(text))
    assert block is not None
    assert block.is_documentation


@pytest.mark.parametrize("text", ["0.0.0.0/0", "160.0.0.0/3", "126.0.0.0/7", "192.0.0.0/8", "255.0.0.0/8"])
def test_a_network_that_holds_such_a_block(text: str) -> None:
    block = unusable(span_of(text))
    assert block is not None
    assert not block.is_documentation
