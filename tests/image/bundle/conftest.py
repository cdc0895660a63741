"""A runner that stands in for Go, umoci, skopeo and curl: it makes the files that they would make."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from infra.image.bundle.components import Component, component, components
from infra.image.bundle.images import CHARTS, CNI_PLUGINS, images
from infra.image.bundle.parts import Sources
from infra.image.bundle.sources import Draft
from infra.image.errors import ImageError
from infra.image.places import Cache
from infra.model.versions import BUILT
from tests.image.conftest import FakeRunner

GO = "/fake/go"
STATUS = "".join(
    f"Package: {name}\nStatus: install ok installed\nVersion: 1-{name}\n\n"
    for name in ("iptables", "runit", "busybox-static", "ca-certificates", "containernetworking-plugins")
)


# What is in the downloaded archives, by the folders that they are unpacked into.
_ARCHIVES = {
    "unpacked-helm": ("linux-amd64", "helm"),
    "unpacked-containerd": ("bin", "containerd", "containerd-shim-runc-v2", "ctr"),
}


class BundleRunner(FakeRunner):
    """Makes what a bundle is made of; `fail` may also be a component's name or the end of an address."""

    def __init__(self, modules: Path) -> None:
        super().__init__()
        self.modules = modules
        self.layers: dict[str, list[str]] = {}
        self.forgotten: set[str] = set()
        self.served: dict[str, bytes] = {}
        self.environments: dict[str, dict[str, str]] = {}

    def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        isolated: bool = False,
    ) -> str:
        argv = list(argv)
        plain = argv[1:] if argv[0] == "nice" else argv
        if plain[0] == GO:
            self.calls.append(argv)
            if "build" in argv:
                self.environments[Path(argv[argv.index("-C") + 1]).name] = dict(env or {})
            return self._go(plain)
        return super().__call__(argv, stdin=stdin, env=env, isolated=isolated)

    def compiled(self) -> list[str]:
        """Return the components that were compiled, in order."""
        return [self._built(call).name for call in self.calls if "build" in call]

    @staticmethod
    def _built(argv: list[str]) -> Component:
        folder = Path(argv[argv.index("-C") + 1])
        every = (entry for version in BUILT for entry in components(version))
        return next(entry for entry in every if entry.folder == folder)

    def _go(self, argv: list[str]) -> str:
        if argv[1:3] == ["version", "-m"]:
            return "\n".join(json.dumps(self._information(Path(name))) for name in argv[4:])
        built = self._built(argv)
        if "download" in argv:
            return json.dumps({"Dir": str(self._module(built.name, argv[-1]))})
        if built.name == self.fail:
            raise ImageError(f"go failed on {built.name}", "Run it again.")
        target = Path(argv[argv.index("-o") + 1])
        for name in set(built.binaries) - self.forgotten:
            (target / name).write_text(f"{built.name}/{name}")
        return ""

    @staticmethod
    def _information(program: Path) -> dict[str, object]:
        return {
            "GoVersion": "go1.26.8",
            "Path": f"example.com/{program.name}",
            "Main": {"Path": f"example.com/{program.name}", "Version": "v1.0.0"},
            "Deps": [
                {"Path": "example.com/lib", "Version": "v2.0.0"},
                {
                    "Path": "example.com/old",
                    "Version": "v1",
                    "Replace": {"Path": "example.com/new", "Version": "v3"},
                },
            ],
        }

    def _module(self, name: str, module: str) -> Path:
        # A component's own module, or another one of its modules.
        own = module == component(name).module
        folder = self.modules / (name if own else f"{name}+{Path(module).name}")
        if not folder.exists():
            (folder / "build/pause/linux").mkdir(parents=True)
            (folder / "build/pause/linux/pause.c").write_text("int main(void) {}")
            for chart in CHARTS:
                named = {
                    linked.module or component(name).module: linked.path
                    for linked in chart.linked
                    if linked.component == name
                }
                paths = [path for linked, path in named.items() if linked == module]
                held = Path(module).name
                for path in [*paths, chart.path] if chart.component == name and own else paths:
                    (folder / path).mkdir(parents=True)
                    (folder / path / f"{held}.yaml").write_text(f"of: {chart.name}\n")
                    (folder / path / f"{held}.yaml").chmod(0o444)
                for change in chart.changes if chart.component == name and own else ():
                    changed = folder / chart.path / change.file
                    changed.parent.mkdir(exist_ok=True)
                    with changed.open("a") as file:
                        file.write(change.old)
                if chart.component == name and own and chart.values:
                    (folder / chart.values).parent.mkdir(parents=True, exist_ok=True)
                    (folder / chart.values).write_text("vxlan: true\n")
            for image in images():
                for entry in image.entries:
                    if isinstance(entry, Sources) and entry.component == name and own:
                        (folder / entry.path / "service").mkdir(parents=True)
                        (folder / entry.path / "service/run").write_text("#!/bin/sh\n")
                        (folder / entry.path / "data").write_text("data")
        return folder

    def _pkg_config(self, argv: list[str]) -> str:
        return f"1-{argv[-1]}\n"

    def _gcc(self, argv: list[str]) -> None:
        Path(argv[argv.index("-o") + 1]).write_text("pause")

    def _tar(self, argv: list[str]) -> None:
        tree = Path(argv[argv.index("--directory") + 1])
        if "--gzip" in argv:
            folder, *programs = _ARCHIVES[tree.name]
            (tree / folder).mkdir()
            for name in programs:
                (tree / folder / name).write_text(name)
            return
        names = ["bin/busybox", *(f"usr/lib/cni/{plugin}" for plugin in CNI_PLUGINS), "etc/apt/sources.list"]
        for name in [*names, "usr/share/ca-certificates/mozilla/A.crt", "usr/share/ca-certificates/mozilla/B.crt"]:
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{path.name}\n")
        (tree / "var/lib/dpkg").mkdir(parents=True)
        (tree / "var/lib/dpkg/status").write_text(STATUS)

    def _umoci(self, argv: list[str]) -> None:
        if argv[1] == "insert":
            tag, root = argv[argv.index("--image") + 1].rpartition(":")[2], Path(argv[-2])
            self.layers[tag] = sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))

    def _skopeo(self, argv: list[str]) -> None:
        Path(argv[-1].split(":")[1]).write_text(argv[-2])

    def _curl(self, argv: list[str]) -> None:
        content = self.served.get(argv[-1])
        if content is None or (self.fail and argv[-1].endswith(self.fail)):
            raise ImageError(f"curl failed with exit code 22:\n  {argv[-1]}: 404", "Look.")
        Path(argv[argv.index("--output") + 1]).write_bytes(content)


@pytest.fixture
def runner(tmp_path: Path) -> BundleRunner:
    return BundleRunner(tmp_path / "modules")


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def draft(cache: Cache, runner: BundleRunner, lines: list[str], tmp_path: Path) -> Draft:
    """Return an empty draft, as `build` makes it."""
    work = tmp_path / "work"
    (work / "bundle").mkdir(parents=True)
    return Draft(work / "bundle", work, cache, GO, lines.append, runner)
