"""`make quick`: lint and the unit tests that a change reaches, in seconds; `make test` stays the judge.

The change is what differs from BASE (default: where this branch left origin/main, else the last commit), with
files that git doesn't know yet. A unit test is reached if its file imports, over any number of modules, one that
changed; a data file counts as the modules of its folder, a conftest.py as every test below it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import grimp
from rich.console import Console

from infra.image.places import default_cache

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("infra", "tests", "scripts", "bench")
PYTEST_FOUND_NO_TESTS = 5
WORTH_WORKERS = 20  # test files; starting workers costs as much as a few files


def git(*arguments: str) -> list[str]:
    """Return the lines that git prints, none where it fails."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed_files() -> list[Path]:
    """Return the files that differ from BASE and still stand, relative to the checkout."""
    base = os.environ.get("BASE") or next(iter(git("merge-base", "origin/main", "HEAD")), "HEAD")
    names = {*git("diff", "--name-only", base), *git("ls-files", "--others", "--exclude-standard")}
    return sorted(Path(name) for name in names if (ROOT / name).is_file())


def module_of(path: Path) -> str:
    """Return the name of a Python file's module."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def file_of(module: str) -> Path:
    """Return a module's file, if it isn't a package."""
    return Path(*module.split(".")).with_suffix(".py")


def reached_tests(changed: Iterable[Path], graph: grimp.ImportGraph) -> list[Path]:
    """Return the test files that import, over any number of modules, something that changed."""
    touched: set[str] = set()
    tests: set[str] = set()
    for path in changed:
        if path.name == "conftest.py":
            tests |= graph.find_descendants(module_of(path.with_name("__init__.py")))
        elif path.suffix == ".py":
            touched |= {module_of(path)} & graph.modules
        elif path.parts[0] in PACKAGES:
            folder = next(parent for parent in path.parents if module_of(parent / "__init__.py") in graph.modules)
            package = module_of(folder / "__init__.py")
            touched |= {package} | graph.find_children(package)
    for module in touched:
        tests |= {module} | graph.find_downstream_modules(module)
    return sorted(file_of(module) for module in tests if module.rpartition(".")[2].startswith("test_"))


def main() -> int:
    """Run every check at once and say what failed; answer the exit code."""
    console = Console(soft_wrap=True, highlight=False)
    started = time.monotonic()
    changed = changed_files()
    if not changed:
        console.print("quick: nothing changed")
        return 0
    sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph(*PACKAGES, cache_dir=str(default_cache().root / "grimp"))
    tests = reached_tests(changed, graph)
    python = [str(path) for path in changed if path.suffix == ".py"]
    bin_folder = Path(sys.executable).parent
    commands: dict[str, list[str]] = {}
    if python:
        commands["ruff check"] = [str(bin_folder / "ruff"), "check", "--quiet", *python]
        commands["ruff format"] = [str(bin_folder / "ruff"), "format", "--check", "--quiet", *python]
        commands["mypy"] = [str(bin_folder / "mypy"), "--no-error-summary"]
        commands["imports"] = [str(bin_folder / "lint-imports"), "--no-logo"]
    if tests:
        workers = (
            ["--numprocesses", str(os.cpu_count()), "--dist", "loadfile"] if len(tests) >= WORTH_WORKERS else []
        )
        commands["unit tests"] = [sys.executable, "-m", "pytest", "-q", "--no-header", *workers, *map(str, tests)]
    environment = os.environ | {"MYPY_CACHE_DIR": str(default_cache().root / "mypy")}
    running = {
        name: subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for name, command in commands.items()
    }
    failed = []
    for name, process in running.items():
        output, _ = process.communicate()
        if process.returncode not in (0, PYTEST_FOUND_NO_TESTS if name == "unit tests" else 0):
            failed.append(name)
            console.print(f"{output}[bold red]{name} failed[/]")
    outcome = f"failed: {', '.join(failed)}" if failed else "all passed"
    took = f"{time.monotonic() - started:.0f} s"
    console.print(f"quick: {len(changed)} files changed, {len(tests)} test files reached, {took}: {outcome}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
