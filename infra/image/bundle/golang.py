"""Compile a component with Go, from its pinned modules and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.image.bundle.components import Component
from infra.image.errors import ImageError
from infra.image.places import Cache
from infra.image.tools import Runner

# containerd's go.mod asks for the newest Go of all.
OLDEST_GO: Final = "1.26.8"
_STATIC: Final = ("-linkmode external", "-extldflags -static-pie")
# Beside programs: the versions of the C libraries in them, which the programs themselves don't tell.
LIBRARIES_FILE: Final = "libraries.json"
_FIND_GO: Final = Path(__file__).parents[3] / "scripts" / "setup" / "go.sh"


def find_go(run: Runner) -> str:
    """Return the path of a Go toolchain that is new enough; fetch one where the machine has none.

    Raises:
        ImageError: None can be found.
    """
    return run([str(_FIND_GO), OLDEST_GO]).strip()


def go_environment(cache: Cache) -> dict[str, str]:
    """Return Go's settings: our own caches, and only what go.sum vouches for."""
    return {
        "GOMODCACHE": str(cache.go / "mod"),
        "GOCACHE": str(cache.go / "build"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        # -dwarf=false: what the linker's -w throws away isn't made in the first place (a fifth of the time).
        "GOFLAGS": "-mod=readonly -trimpath -modcacherw -buildvcs=false -gcflags=all=-dwarf=false",
        # The compiler and the linker are short-lived: collecting their garbage more rarely is worth its memory.
        "GOGC": "400",
        "GOOS": "linux",
        "GOARCH": "amd64",
    }


def link_flags(variables: Mapping[str, str], *, with_c: bool = False) -> str:
    """Write the linker's flags: no symbol tables, the values of Go variables, and C libraries as a part of it."""
    flags = ["-s", "-w", *(f"-X {name}={value}" for name, value in sorted(variables.items()))]
    return " ".join([*flags, *(_STATIC if with_c else ())])


def compile_component(component: Component, target: Path, go: str, cache: Cache, run: Runner) -> None:
    """Compile a component's programs into the folder `target`.

    Raises:
        ImageError: Go fails, or leaves other programs than the catalogue names.
    """
    target.mkdir(parents=True)
    with_c = bool(component.libraries)
    argv = [go, "-C", str(component.folder), "build"]
    argv += ["-tags", ",".join(component.tags)] if component.tags else []
    argv += ["-buildmode", "pie"] if with_c else []
    argv += ["-ldflags", link_flags(component.variables, with_c=with_c), "-o", f"{target}{os.sep}", "tool"]
    environment = go_environment(cache) | ({"CGO_ENABLED": "1"} if with_c else {})
    # Its own processes: a killed build leaves no compiler behind.
    run(["nice", *argv], env=environment, isolated=True)
    if with_c:
        (target / LIBRARIES_FILE).write_text(json.dumps(_library_versions(component, run)), encoding="utf-8")
    missing = [name for name in component.binaries if not (target / name).is_file()]
    if missing:
        raise ImageError(
            f"Go made no {', '.join(missing)} of {component.name} {component.version}; it made "
            f"{', '.join(sorted(path.name for path in target.iterdir())) or 'nothing'}.",
            f"Compare {component.folder / 'go.mod'} with infra/image/bundle/components.py.",
        )


def module_folder(component: Component, module: str, go: str, cache: Cache, run: Runner) -> Path:
    """Return the unpacked sources of one of a component's modules; Go fetches them and checks them against go.sum.

    Raises:
        ImageError: They can't be had.
    """
    answer = run(
        [go, "-C", str(component.folder), "mod", "download", "-json", module],
        env=go_environment(cache),
    )
    return Path(json.loads(answer)["Dir"])


def _library_versions(component: Component, run: Runner) -> dict[str, str]:
    return {name: run(["pkg-config", "--modversion", name]).strip() for name in component.libraries}


def build_information(programs: list[Path], go: str, run: Runner) -> list[dict[str, Any]]:
    """Return what Go noted in compiled programs: the modules they are made of."""
    decoder = json.JSONDecoder()
    text = run([go, "version", "-m", "-json", *(str(program) for program in programs)]) if programs else ""
    found = []
    position = 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        value, position = decoder.raw_decode(text, position)
        found.append(value)
    return found
