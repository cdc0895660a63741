"""What `make up` and its like choose for a user who has chosen nothing, and leave alone for one who has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STACK_FILE = "# mine\nconfig:\n  azlocal:site: local\n"
# Stands in for the commands: notes its call and, as the engine does, writes the passphrase's salt.
FAKE = """#!/bin/sh
echo "$(basename "$0") $*" >>calls
[ "$1 $2 $3" = "-m infra.stack up" ] && printf 'encryptionsalt: v1:abc' >>Pulumi.local.yaml
[ "$1 $2" = "stack select" ] && [ "$3 $4" != "--non-interactive --create" ] && [ -e no-stack ] && exit 255
exit 0
"""


class Checkout:
    """A folder with the scripts, a stack and commands that only note how they were called."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.home = folder / "home"
        self.home.mkdir()
        (self.root / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "stack.sh", self.root / "scripts")
        self.stack_file = self.root / "Pulumi.local.yaml"
        self.stack_file.write_text(STACK_FILE)
        commands = folder / "bin"
        commands.mkdir()
        for name in ("pulumi", "azlocal", "python"):
            (commands / name).write_text(FAKE)
            (commands / name).chmod(0o755)
        self.path = f"{commands}:{os.environ['PATH']}"

    def run(self, verb: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.root / "scripts" / "stack.sh", verb],
            env={"PATH": self.path, "HOME": str(self.home), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def settings(self, **environment: str) -> dict[str, str]:
        lines = self.run("env", **environment).stdout.splitlines()
        return dict(line.removeprefix("export ").split("=", 1) for line in lines)

    @property
    def calls(self) -> list[str]:
        return (self.root / "calls").read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("verb", ["up", "preview", "down"])
def test_one_process_does_all_of_it(checkout: Checkout, verb: str) -> None:
    assert checkout.run(verb, PULUMI_FLAGS="--expect-no-changes -p 4").returncode == 0
    assert checkout.calls == [f"python -m infra.stack {verb} local --expect-no-changes -p 4"]


def test_what_is_chosen_is_said_once_and_kept(checkout: Checkout) -> None:
    first, second = checkout.run("up"), checkout.run("up")
    assert [line.split(":")[1].strip() for line in first.stderr.splitlines()] == ["state", "secrets", "SSH"]
    assert second.stderr == ""


def test_secrets_are_for_the_owner_only(checkout: Checkout) -> None:
    checkout.run("env")
    own = checkout.root / ".azlocal"
    assert [(own / name).stat().st_mode & 0o777 for name in ("passphrase", "ssh/id_ed25519")] == [0o600, 0o600]
    assert len((own / "passphrase").read_text().strip()) == 44


@pytest.mark.parametrize(
    "mine", [{"PULUMI_BACKEND_URL": "s3://states"}, {"PULUMI_ACCESS_TOKEN": "pul-1"}, {}], ids=str
)
def test_a_backend_of_the_user_is_left_alone(checkout: Checkout, mine: dict[str, str]) -> None:
    if not mine:
        (checkout.home / ".pulumi").mkdir()
        (checkout.home / ".pulumi" / "credentials.json").write_text(
            '{\n    "current": "https://api.pulumi.com",\n    "accounts": {}\n}'
        )
    settings = checkout.settings(**mine)
    assert settings.get("PULUMI_BACKEND_URL") == mine.get("PULUMI_BACKEND_URL")
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in settings


def test_an_empty_credentials_file_is_no_login(checkout: Checkout) -> None:
    (checkout.home / ".pulumi").mkdir()
    (checkout.home / ".pulumi" / "credentials.json").write_text('{"current": ""}')
    assert checkout.settings()["PULUMI_BACKEND_URL"] == f"file://{checkout.root}/.azlocal/state"


def test_a_passphrase_of_the_user_is_left_alone_even_an_empty_one(checkout: Checkout) -> None:
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in checkout.settings(PULUMI_CONFIG_PASSPHRASE="")


def test_a_key_of_the_user_is_left_alone(checkout: Checkout) -> None:
    (checkout.home / ".ssh").mkdir()
    (checkout.home / ".ssh" / "id_rsa.pub").write_text("ssh-rsa AAAA me\n")
    assert "AZLOCAL_SSH_PUBLIC_KEY_FILE" not in checkout.settings()


def test_the_engines_salt_does_not_stay_in_the_stack_file(checkout: Checkout) -> None:
    checkout.run("up")
    assert checkout.stack_file.read_text() == STACK_FILE


def test_the_salt_stays_where_the_stack_file_has_secrets(checkout: Checkout) -> None:
    checkout.run("env")  # the passphrase is ours and there already
    checkout.stack_file.write_text(STACK_FILE + "  azlocal:token:\n    secure: v1:xyz\n")
    checkout.run("up")
    assert checkout.stack_file.read_text().endswith("encryptionsalt: v1:abc")


def test_a_salt_of_an_unknown_passphrase_stops_before_the_engine(checkout: Checkout) -> None:
    checkout.stack_file.write_text(STACK_FILE + "encryptionsalt: v1:other\n")
    result = checkout.run("up")
    assert result.returncode == 1
    assert "PULUMI_CONFIG_PASSPHRASE" in result.stderr
    assert not (checkout.root / "calls").exists()


def test_a_missing_stack_file_names_the_stacks_there_are(checkout: Checkout) -> None:
    result = checkout.run("up", STACK="prod")
    assert result.returncode == 1
    assert "there is no Pulumi.prod.yaml. The stacks here: local" in result.stderr
