"""The kinds of value that the input files share, and the base of their models.

A model accepts what can be read. Whether a value keeps within a published limit is a rule's business
(`infra.plan.rules`), so that it is reported with its source beside everything else; what `published`
names only goes into the JSON schemas, where it helps an editor. Where no rule has a bound, the model itself
has it. tests/spec/test_schema_bounds.py holds the schemas and what is refused together, bound by bound.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from infra.spec.findings import shown
from infra.spec.forms import ANY_NAME, Example

_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS = rf"{_OCTET}(\.{_OCTET}){{3}}"
_PREFIX = rf"{_ADDRESS}/([0-9]|[12][0-9]|3[0-2])"
_LEAST_MINUTES = 0.25
_MOST_MINUTES = 525_600  # a year; the engine's durations end at 292 of them
_IS_ADDRESS = re.compile(_ADDRESS, re.ASCII)
_IS_PREFIX = re.compile(_PREFIX, re.ASCII)


class Model(BaseModel):
    """Base of everything in an input file: frozen, camelCase keys, no unknown key.

    What validates a model is built when it is first needed: once for a file, not for each model in it. So a
    default that is a model is made by `model_construct()`, which takes its own defaults as they are.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
        defer_build=True,
    )


@dataclass(frozen=True, slots=True)
class Sensitive:
    """Marks a key below which people may write a password: no finding repeats what stands there."""


def fault(rule: str, message: str, remedy: str) -> PydanticCustomError:
    """Make a validation error that carries a rule id and a remedy into a Finding."""
    return PydanticCustomError(rule, "{message}", {"message": message, "remedy": remedy})


def published(minimum: int | None = None, maximum: int | None = None, **more: Any) -> Any:
    """Return a field's published limits for the JSON schema only; rules.py holds people to them."""
    extra = {"minimum": minimum, "maximum": maximum, **more}
    return Field(json_schema_extra={key: value for key, value in extra.items() if value is not None})


# Words, and no example: of an address that fits nowhere here the next plan would say so.
_NUMBERS = "four numbers from 0 to 255 with dots between"


def _read_address(value: object) -> object:
    if isinstance(value, IPv4Address):
        return value
    if isinstance(value, str) and _IS_ADDRESS.fullmatch(value):
        return IPv4Address(value)
    meant = meant_address(value) if isinstance(value, str) else None
    if meant is None and isinstance(value, str) and _six(value) is not None:
        raise fault(
            "bad-address",
            f"{shown(value)} is an IPv6 address",
            "give an IPv4 address; Azure Local has no other",
        )
    remedy = f"write {meant}" if meant else f"write {_NUMBERS}"
    raise fault("bad-address", f"{shown(value)} is not an IPv4 address", remedy)


def _read_prefix(value: object) -> object:
    if isinstance(value, IPv4Interface):
        return value
    if isinstance(value, str) and _IS_PREFIX.fullmatch(value):
        return IPv4Interface(value)
    parts = [_six(part.strip()) for part in value.split(",")] if isinstance(value, str) else []
    if any(parts):
        what = f"{shown(value)} is an IPv6 prefix" if len(parts) == 1 else f"{shown(value)} has an IPv6 prefix"
        raise fault("bad-prefix", what, "give one IPv4 prefix; Azure Local has no other")
    if isinstance(value, str) and _IS_ADDRESS.fullmatch(value):
        what = f"{value} is an address, and no prefix: its length is missing"
        raise fault("bad-prefix", what, "add a slash and the length, from 0 to 32")
    meant = _meant_prefix(value) if isinstance(value, str) else None
    remedy = f"write {meant}" if meant else f"write {_NUMBERS}, a slash, and a length from 0 to 32"
    raise fault("bad-prefix", f"{shown(value)} is not an IPv4 prefix", remedy)


def _six(text: str) -> IPv6Interface | None:
    """Return the IPv6 address that a text is, with or without a length; None where it is none."""
    try:
        return IPv6Interface(text.strip())
    except ValueError:
        return None


def meant_address(text: str) -> IPv4Address | None:
    """Return the address that is meant with spaces, a length, a port or zeros, or as IPv6 writes it."""
    six = _six(text)
    if six is not None:
        return six.ip.ipv4_mapped
    bare = text.strip().partition("/")[0]
    host, colon, port = bare.rpartition(":")
    octets = (host if colon and port.isdecimal() else bare).split(".")
    decimal = ".".join(octet.lstrip("0") or octet[-1:] for octet in octets)
    return IPv4Address(decimal) if _IS_ADDRESS.fullmatch(decimal) else None


def _meant_prefix(text: str) -> IPv4Interface | None:
    """Return the prefix that is meant with spaces, zeros, or a mask for its length."""
    address, slash, length = text.strip().partition("/")
    meant = meant_address(address)
    try:
        return IPv4Interface(f"{meant}/{length.strip()}") if meant and slash else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, order=True)
class AddressRange:
    """A run of addresses, both ends included, as integers."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, address: int) -> bool:
        return self.first <= address <= self.last


def parse_ranges(text: str) -> list[AddressRange]:
    """Read MetalLB's range syntax: `a-b`, `a.b.c.d/nn` or one address, several separated by commas.

    Host bits of a prefix are ignored, as MetalLB does; the portal's own example has some (LBUI).

    Raises:
        ValueError: A part is neither; the message names it.
    """
    ranges = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if _IS_PREFIX.fullmatch(first) and not dash:
            network = IPv4Interface(first).network
            ranges.append(AddressRange(int(network.network_address), int(network.broadcast_address)))
        elif _IS_ADDRESS.fullmatch(first) and (not dash or _IS_ADDRESS.fullmatch(last)):
            ends = int(IPv4Address(first)), int(IPv4Address(last or first))
            if ends[0] > ends[1]:
                raise ValueError(f"{shown(part.strip())} ends before it starts")
            ranges.append(AddressRange(*ends))
        else:
            is_six = _six(first) is not None
            raise ValueError(f"{shown(part.strip())} is not a range of IPv4 addresses{', but of IPv6' * is_six}")
    return ranges


def _check_ranges(text: str) -> str:
    try:
        parse_ranges(text)
    except ValueError as error:
        raise fault("bad-range", str(error), _range_remedy(text)) from None
    return text


def _range_remedy(text: str) -> str:
    """Say what to write instead of ranges; what it names is a range."""
    meant = [_meant_range(part) for part in text.split(",")]
    return (
        f"write {','.join(map(str, meant))}"
        if all(meant)
        else "write the first and the last address with a hyphen between, or a prefix"
    )


def _meant_range(part: str) -> str | None:
    """Return the range that is meant with another dash, the ends exchanged, or its end's last number alone."""
    ends = re.split("[-\u2010-\u2015\u2212]|\\.\\.", part)  # hyphens, dashes and the minus sign
    first = meant_address(ends[0])
    if first is None or len(ends) > 2:
        return None
    if len(ends) == 1:
        return str(_meant_prefix(part) or first) if "/" not in part or _meant_prefix(part) else None
    end = ends[1].strip()
    last = meant_address(f"{str(first).rpartition('.')[0]}.{end}" if end.isdecimal() else end)
    return None if last is None else "-".join(map(str, sorted((first, last))))


def _read_minutes(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fault(
            "wrong-type", f"expected a number, found {shown(value)}", "write a decimal number without quotes"
        )
    if not _LEAST_MINUTES <= value <= _MOST_MINUTES:
        remedy = f"write {_LEAST_MINUTES} to {_MOST_MINUTES}"
        raise fault("wrong-value", f"{shown(value)} is no time to wait", remedy)
    return value


def _check_name(text: str) -> str:
    if not text.isprintable() or not text.strip() or "/" in text:
        raise fault("bad-name", f"{shown(text)} can't be a name", f"write it as {ANY_NAME.example}")
    return text


Address = Annotated[
    IPv4Address,
    BeforeValidator(_read_address),
    WithJsonSchema({"type": "string", "pattern": f"^{_ADDRESS}$"}),
]
Prefix = Annotated[
    IPv4Interface,
    BeforeValidator(_read_prefix),
    WithJsonSchema({"type": "string", "pattern": f"^{_PREFIX}$"}),
]
Ranges = Annotated[str, AfterValidator(_check_ranges), Example("192.0.2.10-192.0.2.19")]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_check_name), ANY_NAME]
Integer = StrictInt
Minutes = Annotated[
    int | float,
    BeforeValidator(_read_minutes),
    WithJsonSchema({"type": "number", "minimum": _LEAST_MINUTES, "maximum": _MOST_MINUTES}),
]
Boolean = StrictBool
