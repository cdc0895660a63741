"""Power and cables of hosts, where these are a lab's: of others they aren't azlocal's to cut."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from infra.errors import UserError
from infra.lab import lab as labs
from infra.lab.host import LabHost
from infra.lab.marks import LabError
from infra.stack.drills.journal import Lack
from infra.stack.messages import say


def lab_hosts(connections: Mapping[str, str]) -> dict[str, LabHost]:
    """Return which hosts are a lab's on this machine, by their names in the site's file.

    Args:
        connections: The libvirt addresses of hosts by their names.
    """
    standing = (lab for name in labs.known() if (lab := labs.find(name)))
    by_connection = {host.connection: host for lab in standing for host in lab.hosts}
    return {name: by_connection[uri] for name, uri in connections.items() if uri in by_connection}


def take(host: LabHost, what: Lack) -> None:
    """Cut a host's power, or pull its cable.

    Raises:
        UserError: That can't be done.
    """
    with _as_user_error(host.name):
        host.power_off() if what == "power" else host.cut_link()


def restore(lab: str, host: str, what: Lack) -> None:
    """Give a host its power or cable back; nothing to do where it has that, and where the lab is gone.

    Raises:
        UserError: It doesn't come up again.
    """
    standing = labs.find(lab)
    if standing is None:
        say(f"lab {lab} is gone, and with it the host {host} of the last drill")
        return
    say(f"{host} of lab {lab} gets its {what} back, which a drill took")
    with _as_user_error(host):
        standing.host(host).power_on() if what == "power" else standing.host(host).restore_link()


@contextmanager
def _as_user_error(host: str) -> Iterator[None]:
    if os.geteuid() != 0:
        raise UserError(f"{host} is a lab's, and only root switches a lab's hosts: run this command by sudo")
    try:
        yield
    except LabError as error:
        raise UserError(str(error)) from error
