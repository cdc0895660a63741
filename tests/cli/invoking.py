"""Commands on a stack, run in this process in a folder that has nothing but its files."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from infra.cli import app


def write_stacks(folder: Path, *names: str) -> None:
    """Write a project with stacks that say nothing."""
    folder.mkdir(exist_ok=True)
    (folder / "Pulumi.yaml").write_text("name: azlocal\n")
    for name in names:
        (folder / f"Pulumi.{name}.yaml").write_text("config: {}\n")


def run_command(folder: Path, *words: str, home: Path | None = None, **variables: str | None) -> Result:
    """Run a command in a project's folder, as somebody who has set and chosen nothing."""
    unset = dict.fromkeys(("STACK", "PULUMI_FLAGS", "PULUMI_BACKEND_URL", "AZLOCAL_SSH_PUBLIC_KEY_FILE"))
    environment = {**unset, "HOME": str(home or folder), "PULUMI_CONFIG_PASSPHRASE": "x", **variables}
    return CliRunner(env=environment).invoke(app, ["-C", str(folder), *words])
