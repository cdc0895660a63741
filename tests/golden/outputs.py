"""What is recorded of each instance: plan, lock files, what the engine is asked for, seeds, libvirt's XML."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any

import pulumi
from lxml import etree
from typer.testing import CliRunner

from infra.cli import app
from infra.kvm.ownership import Mark
from infra.kvm.storage import ensure_pool
from infra.plugin.operation import Operation
from infra.provider.kinds.host_owner import VOLUMES, pool_name
from infra.provider.kinds.machine import MachineKind
from infra.provider.kinds.network import NetworkKind
from infra.resources.host import HOST
from infra.resources.machine import MACHINE
from infra.resources.network import NETWORK
from tests.golden import engine
from tests.golden.instances import COUNT, PUBLIC_KEY, instance
from tests.golden.libvirt_double import Defined, Host, Hosts, Silent
from tests.instances import write_files
from tests.project import ROOT

Output = tuple[str, str]

# What is drawn again each time: a machine's host key.
_DRAWN = (
    re.compile(r"-----BEGIN OPENSSH PRIVATE KEY-----.*?-----END OPENSSH PRIVATE KEY-----\n?", re.DOTALL),
    re.compile(rf"(?!{re.escape(PUBLIC_KEY)})ssh-ed25519 AAAA[A-Za-z0-9+/=]+"),
)


def outputs(count: int = COUNT) -> Iterator[Output]:
    """Yield every golden output: a path and its text; each processor of this machine works on its own instances.

    Args:
        count: How many generated instances.
    """
    stacks = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
    work = [partial(_of_example, stack) for stack in stacks] + [partial(of_generated, one) for one in range(count)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for made in processes.map(_listed, work, chunksize=4):
            yield from made


def _listed(make: Callable[[], Iterable[Output]]) -> list[Output]:
    return list(make())


def of_generated(number: int) -> Iterator[Output]:
    """Yield what comes of one of the generated instances."""
    made = instance(number)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        write_files(project, made.content, made.name)
        yield from _of_project(project, made.name, made.machine_type, made.name)


def _of_example(stack: str) -> Iterator[Output]:
    """Yield what comes of one of the repository's own examples, without its lock files and with them."""
    for with_locks in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder)
            for kind in ("hosts", "netplans"):
                (project / kind).mkdir()
                for path in (ROOT / kind).glob("*.yaml"):
                    if with_locks or not path.name.endswith(".lock.yaml"):
                        shutil.copy(path, project / kind)
            text = (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
            keys = f"config:\n  azlocal:sshPublicKeys: ['{PUBLIC_KEY}']\n"
            (project / f"Pulumi.{stack}.yaml").write_text(text.replace("config:\n", keys), encoding="utf-8")
            name = f"example-{stack}{'-locked' * with_locks}"
            yield from _of_project(project, stack, "container", name)
            run = CliRunner().invoke(app, ["-C", folder, "plan", stack, "--no-lock"], env={"COLUMNS": "200"})
            yield f"{name}/plan.txt", run.stdout


def _of_project(project: Path, stack: str, machine_type: str, name: str) -> Iterator[Output]:
    def told(path: str, text: str) -> Output:
        for drawn in _DRAWN:
            text = drawn.sub("(drawn)", text)
        return f"{name}/{path}", text.replace(str(project), "PROJECT")

    for path, arguments in {
        "plan.json": ["--format", "json"],
        "placement.json": ["--placement", "--without", "all", "--format", "json"],
    }.items():
        run = CliRunner().invoke(app, ["-C", str(project), "plan", stack, "--no-lock", *arguments])
        if run.exception is not None and not isinstance(run.exception, SystemExit):
            raise run.exception
        yield told(path, f"{run.stdout}{run.stderr}exit code {run.exit_code}\n")
    try:
        asked = engine.declare(project, stack, machine_type)
    except pulumi.RunError as error:
        yield told("refused.txt", f"{error}\n")
        return
    for lock in sorted(project.glob("*/*.lock.yaml")):
        yield told(f"locks/{lock.parent.name}.yaml", lock.read_text(encoding="utf-8"))
    yield told("messages.txt", asked.messages.getvalue())
    yield told("resources.json", _json(asked.requests))
    yield told("outputs.json", _json(asked.outputs))
    yield from (told(*one) for one in _on_hosts(stack, asked.requests))


def _on_hosts(stack: str, requests: Iterable[Mapping[str, Any]]) -> Iterator[Output]:
    """Yield what libvirt and machines are told by the kinds that the engine would ask next."""
    hosts = Hosts()
    machines, networks = MachineKind(hosts), NetworkKind(hosts)  # type: ignore[arg-type]  # their double
    for request in sorted(requests, key=lambda one: str(one["name"])):
        kind: Any = {MACHINE.token: machines, NETWORK.token: networks}.get(request["type"])
        wire = _plain(request["object"])
        if request["type"] == HOST.token and not wire["lost"]:
            yield f"pools/{request['name']}.xml", _pool(stack, wire)
        if kind is None or _is_like_another(wire):
            continue
        checked, faults = kind.contract.check(wire, frozenset())
        faults = faults or kind.check(checked, frozenset())
        assert not faults, faults
        inputs = kind.contract.inputs.model_validate(checked)
        urn = f"urn:pulumi:{stack}::azlocal::{request['type']}::{request['name']}"
        op = Operation(urn, Silent(), Event())
        made = hosts.told_by(partial(kind.create, op, inputs))
        where = f"{'networks' if kind is networks else 'machines'}/{request['name']}"
        yield f"{where}.xml", "".join(_pretty(one) for one in made.told)
        if kind is machines:
            yield f"{where}.seed", f"seed digest: {inputs.seed_digest}\n{_seed(made)}"


def _pool(stack: str, wire: Mapping[str, Any]) -> str:
    """Return what libvirt is told of a host's storage pool."""
    host, instance = Host(wire["connection"], has_pool=False), wire["instance"]
    with suppress(Defined):
        ensure_pool(host, pool_name(instance), f"{wire['storageDirectory']}{VOLUMES}", Mark(instance, stack, ""))
    return "".join(_pretty(one) for one in host.told)


def _is_like_another(wire: Mapping[str, Any]) -> bool:
    """Return whether it is a worker beside its pool's first, which is told the same but for name and address."""
    node = wire.get("firstBoot", {}).get("node") or {}
    return node.get("role") == "worker" and not str(wire["name"]).endswith("-0")


def _seed(host: Host) -> str:
    """Return a seed's files as one text."""
    parts = []
    for name, content in sorted(host.seed().items()):
        if not name.endswith(".tar"):
            parts.append(f"=== {name}\n{content.decode()}")
            continue
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive.getmembers():
                found = archive.extractfile(member)
                text = found.read().decode() if found else ""
                about = f"mode {member.mode:o}, owner {member.uid}:{member.gid}, time {member.mtime}"
                parts.append(f"=== {name}: {member.name} ({about})\n{text}")
    return "\n".join(parts)


def _pretty(xml: str) -> str:
    root = etree.fromstring(xml.encode())
    etree.indent(root)
    return etree.tostring(root, encoding="unicode") + "\n"


def _plain(value: Any) -> Any:
    """Return what the engine holds as a plugin gets it: secrets without their wrapping, whole numbers whole."""
    if isinstance(value, Mapping):
        if "4dabf18193072939515e22adb298388d" in value:
            return _plain(value.get("value"))
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
