"""Which stand-in a call is for, where all are at one port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import grpc
import pytest

from infra.kubernetes_plugin.attached import StandIns


class Aborted(Exception):
    """Ends a call, as gRPC does."""


@dataclass
class Call:
    """What a stand-in sees of a call."""

    connection: str

    def peer(self) -> str:
        return self.connection

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        raise Aborted(f"{code.name}: {details}")


def test_each_connection_has_its_own() -> None:
    served = StandIns()
    one = served.of("Attach", Call("ipv4:127.0.0.1:1"))
    other = served.of("Attach", Call("ipv4:127.0.0.1:2"))
    assert one is not other
    assert served.of("Create", Call("ipv4:127.0.0.1:1")) is one
    assert served.of("Create", Call("ipv4:127.0.0.1:2")) is other


def test_the_only_provider_is_found_by_a_new_connection() -> None:
    served = StandIns()
    only = served.of("Attach", Call("ipv4:127.0.0.1:1"))
    assert served.of("Create", Call("ipv4:127.0.0.1:2")) is only
    assert served.of("Delete", Call("ipv4:127.0.0.1:3")) is only


def test_of_several_none_is_guessed() -> None:
    served = StandIns()
    for number in (1, 2):
        served.of("Configure", Call(f"ipv4:127.0.0.1:{number}"))
    with pytest.raises(Aborted, match=r"UNAVAILABLE: .* run the same command again"):
        served.of("Create", Call("ipv4:127.0.0.1:3"))


def test_all_of_them_end() -> None:
    served = StandIns()
    both = [served.of("Attach", Call(f"ipv4:127.0.0.1:{number}")) for number in (1, 2)]
    served.end(0.1)
    assert [one.cancelled.is_set() for one in both] == [True, True]
