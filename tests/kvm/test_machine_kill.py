"""Pulling a plug: libvirt's errors that pass are waited out, others are told."""

from __future__ import annotations

from typing import cast

import libvirt
import pytest

from infra.kvm import machines


class Domain:
    """A domain whose destroy fails a few times."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)

    def destroy(self) -> None:
        if self.errors:
            error = libvirt.libvirtError("")
            error.err = (self.errors.pop(0), libvirt.VIR_FROM_LXC, "", 0, "", None, None, -1, -1)
            raise error


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.kvm.machines.time.sleep", lambda seconds: None)


def kill(domain: Domain) -> None:
    machines.kill(cast("libvirt.virDomain", domain))


@pytest.mark.parametrize("error", [libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_SYSTEM_ERROR])
def test_what_passes_is_waited_out(error: int) -> None:
    domain = Domain(error, error)
    kill(domain)
    assert domain.errors == []


@pytest.mark.parametrize("error", [libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN])
def test_a_domain_that_is_off_or_gone_is_what_was_wanted(error: int) -> None:
    domain = Domain(error, libvirt.VIR_ERR_AUTH_FAILED)
    kill(domain)
    assert domain.errors == [libvirt.VIR_ERR_AUTH_FAILED], "it was tried once"


def test_what_does_not_pass_is_told() -> None:
    with pytest.raises(libvirt.libvirtError):
        kill(Domain(libvirt.VIR_ERR_AUTH_FAILED))
