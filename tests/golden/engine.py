"""The Pulumi program, run in this process for an engine that keeps what it is asked for."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.stack import run_pulumi_func

import infra.program
from infra.image import Artifact, NodeImage
from infra.image.bundle import Bundle
from infra.model.versions import KubernetesVersion
from infra.resources.contract import Contract
from tests.golden.instances import VERSION

FOLDER = Path("/golden/cache")
IMAGES = ("etcd", "coredns", "busybox", "agent-runtime", "calico-node")
CHARTS = ("calico", "metallb", "local-path-provisioner")
BUNDLE = Bundle(
    "modules",
    "0" * 64,
    VERSION,
    FOLDER / "bundle",
    {name: f"registry.example/{name}:v1" for name in IMAGES},
    {name: FOLDER / "bundle/charts" / name for name in CHARTS},
)
_KEYS = ("ca.crt", "ca.key", "etcd/ca.crt", "etcd/ca.key", "sa.key", "sa.pub")
# What of a request isn't what the program wants, but how Pulumi's SDK talks.
_PROTOCOL = frozenset({"sourcePosition", "packageRef", "stackTrace"})


class Engine(Mocks):
    """Takes every resource; its outputs are its inputs, and made-up ones that name their resource."""

    def __init__(self, machine_type: str) -> None:
        self.machine_type = machine_type
        self.loops: set[asyncio.AbstractEventLoop] = set()

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.loops.add(asyncio.get_event_loop())  # of Pulumi's thread, which nobody closes
        contract = Contract.registry.get(args.typ)
        made = self._made(contract, args.name, args.inputs) if contract else {}
        return f"id of {args.name}", {**args.inputs, **made}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"{args.token} is called")

    def _made(self, contract: Contract, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for output in contract.computed:
            field = contract.state.model_fields[contract.python_names[output]]
            if field.annotation in {int, float, bool}:
                made[output] = field.annotation(1)
            elif "dict" in str(field.annotation):
                made[output] = {key: f"{output} {key} of {name}" for key in _KEYS}
            elif "list" in str(field.annotation):
                made[output] = []
            elif "tuple" in str(field.annotation):
                made[output] = [f"{output} of {name}"]
            elif "bool" in str(field.annotation):
                made[output] = True
            else:
                made[output] = f"{output} of {name}"
        if "kubeconfig" in contract.state.model_fields:
            made["kubeconfig"] = _kubeconfig(name)
        if "machineType" in made:
            asked = inputs["requestedMachineType"]
            made |= {"machineType": self.machine_type if asked == "auto" else asked}
        if contract.token.endswith(":Image"):
            made["volume"] = f"image-{inputs['machineType']}"
        return made


class Monitor(MockMonitor):
    """Keeps each request as the program made it."""

    def __init__(self, mocks: Mocks) -> None:
        super().__init__(mocks)
        self.requests: list[dict[str, Any]] = []
        self.outputs: dict[str, Any] = {}
        self.messages = io.StringIO()

    def RegisterResource(self, request: Any) -> Any:
        told = MessageToDict(request)
        if request.type != "pulumi:pulumi:Stack":
            for named in (told, *told.get("propertyDependencies", {}).values()):  # sets, on the way
                for key in named.keys() & {"dependencies", "urns"}:
                    named[key] = sorted(named[key])
            self.requests.append({key: value for key, value in told.items() if key not in _PROTOCOL})
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]  # Pulumi's

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            self.outputs = MessageToDict(request).get("outputs", {})
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]  # Pulumi's


def declare(project: Path, stack: str, machine_type: str, *, preview: bool = False) -> Monitor:
    """Run the program of a project; return what the engine was asked for.

    Args:
        project: The project's folder; its lock files are written, unless it is a preview.
        stack: The stack.
        machine_type: How machines run on a host where nobody says it.
        preview: Whether the engine only looks.

    Raises:
        pulumi.RunError: The program refuses the instance.
    """
    engine = Engine(machine_type)
    monitor = Monitor(engine)

    async def run() -> None:
        set_mocks(engine, "azlocal", stack, preview, monitor=monitor)
        await run_pulumi_func(_main)

    with _here(project), redirect_stderr(monitor.messages):  # where messages go while there is no engine
        asyncio.run(run())
    for loop in engine.loops:
        loop.close()
    monitor.requests.sort(key=lambda one: (one["type"], one["name"]))  # else as their outputs came to be known
    return monitor


async def _main() -> None:
    infra.program.main()


@contextmanager
def _here(project: Path) -> Iterator[None]:
    """Make this machine one that has a node image, and no Azure to ask."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(infra.program, "project_directory", lambda: project)
        patch.setattr(infra.program, "_azure_findings", lambda *_: [])
        patch.setattr(infra.program, "find_node_image", _node_image)
        patch.setenv("CI", "")
        yield


def _node_image(kind: str, _version: KubernetesVersion) -> NodeImage:
    artifacts = [
        Artifact(FOLDER / f"{kind}.{form}", digit * 64, form, 4 << 30, 1 << 30)  # type: ignore[arg-type]
        for form, digit in (("raw", "1"), ("qcow2", "2"))
    ]
    return NodeImage(kind, "3" * 64, artifacts[0], artifacts[1], BUNDLE if kind == "kubernetes" else None)


def _kubeconfig(name: str) -> str:
    key = base64.b64encode(name.encode()).decode()
    return (
        "apiVersion: v1\nkind: Config\n"
        f"clusters: [{{name: {name}, cluster: {{server: 'https://{name}:6443'}}}}]\n"
        f"users: [{{name: {name}-admin, user: {{client-key-data: {key}}}}}]\n"
        f"contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}-admin}}}}]\n"
        f"current-context: {name}\n"
    )
