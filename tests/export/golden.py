"""What both examples of this repository are exported as: `python -m tests.export.golden` writes golden/ again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from typer.testing import CliRunner

from infra.cli import app
from infra.export.facts import Format
from tests.project import ROOT

FOLDER = Path(__file__).parent / "golden"
STACKS = ("lab", "local")
REPORT = "report.txt"


def made_of(stack: str) -> Iterator[tuple[str, str]]:
    """Yield each file of each format, and the format's loss report; `local` has its target in golden/."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for kind in ("hosts", "netplans", "targets"):
            (project / kind).mkdir()
            for path in (ROOT / kind).glob(f"{stack}*.yaml"):
                shutil.copy(path, project / kind)
        shutil.copy(ROOT / f"Pulumi.{stack}.yaml", project)
        if (own := FOLDER / f"{stack}.yaml").exists():
            shutil.copy(own, project / "targets")
        for to in Format:
            out = project / to
            run = CliRunner().invoke(app, ["-C", folder, "export", stack, "--to", to, "-o", str(out)])
            yield f"{stack}/{to}/{REPORT}", f"{run.stderr.replace(folder, 'PROJECT')}exit code {run.exit_code}\n"
            for path in sorted(out.glob("*")):
                yield f"{stack}/{to}/{path.name}", path.read_text(encoding="utf-8")


if __name__ == "__main__":
    for name in STACKS:
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        for file, text in made_of(name):
            (FOLDER / file).parent.mkdir(parents=True, exist_ok=True)
            (FOLDER / file).write_text(text, encoding="utf-8")
