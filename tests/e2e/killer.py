"""The real plugin, ended with SIGKILL at a point that the environment names (see killing.py)."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt

from infra import __version__
from infra.kvm import image_copy
from infra.plugin.engine import GrpcEngineLog
from infra.plugin.process import serve
from infra.provider.kinds import all_kinds
from infra.provider.servicer import Servicer

POINT = os.environ["AZLOCAL_TEST_KILL_AT"]
MARKER = Path(os.environ["AZLOCAL_TEST_KILLED"])
# Where libvirt's binding has the call; each is made by exactly one step of a create.
LIBVIRT = {
    "createXMLFrom": "virStoragePool",
    "defineXML": "virConnect",
    "create": "virDomain",
}


def kill() -> None:
    """End the plugin or the engine, the first time only."""
    try:
        MARKER.touch(exist_ok=False)
    except FileExistsError:
        return
    victim = os.getpid() if os.environ["AZLOCAL_TEST_KILL"] == "plugin" else os.getppid()
    os.kill(victim, signal.SIGKILL)


def dying(call: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
    """Wrap a call so that the point is looked for right before and right after it."""

    @functools.wraps(call)
    def wrapped(*arguments: Any, **more: Any) -> Any:
        here = name(*arguments)
        if f"before {here}" == POINT:
            kill()
        result = call(*arguments, **more)
        if f"after {here}" == POINT:
            kill()
        return result

    return wrapped


for method, owner in LIBVIRT.items():
    cls = getattr(libvirt, owner)
    setattr(cls, method, dying(getattr(cls, method), lambda *_, method=method: method))
image_copy._Copy.place = dying(image_copy._Copy.place, lambda _self: "place")  # type: ignore[method-assign]
Servicer.Create = dying(  # type: ignore[method-assign]
    Servicer.Create, lambda _self, request, _context: f"Create {request.urn.split('::')[2].rsplit(':', 1)[-1]}"
)
serve(lambda log: Servicer(__version__, all_kinds(), GrpcEngineLog, log), sys.argv[1:])
