"""What azlocal chooses for a user who has chosen nothing, and leaves alone for one who has."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from infra.errors import UserError
from infra.stack import environment
from infra.stack.environment import Chosen

STACK_FILE = "# mine\nconfig:\n  azlocal:site: local\n"


@dataclass(frozen=True)
class Checkout:
    """A project's folder, and the home of a user."""

    root: Path
    home: Path

    @property
    def own(self) -> Path:
        return self.root / ".azlocal"

    @property
    def stack_file(self) -> Path:
        return self.root / "Pulumi.local.yaml"

    def choose(self, variables: Mapping[str, str] = MappingProxyType({}), *, makes: bool = True) -> dict[str, str]:
        return dict(self.chosen(variables, makes=makes).variables)

    def chosen(self, variables: Mapping[str, str] = MappingProxyType({}), *, makes: bool = True) -> Chosen:
        chosen = Chosen(
            "local", self.root, {"PATH": os.environ["PATH"], "HOME": str(self.home), **variables}, makes
        )
        chosen.make()
        return chosen


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    found = Checkout(tmp_path / "checkout", tmp_path / "home")
    found.root.mkdir()
    found.home.mkdir()
    found.stack_file.write_text(STACK_FILE)
    monkeypatch.setattr(environment, "_TOOLS", tmp_path / "tools")
    return found


def test_what_is_chosen_is_told_once_and_kept(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    first, told = checkout.choose(), capsys.readouterr().err
    assert [line.split(":")[1].strip() for line in told.splitlines()] == ["state", "secrets", "SSH"]
    assert checkout.choose() == first
    assert capsys.readouterr().err == ""
    assert first["PULUMI_BACKEND_URL"] == f"file://{checkout.own}/state"
    assert first["AZLOCAL_SSH_PUBLIC_KEY_FILE"] == str(checkout.own / "ssh/id_ed25519.pub")


def test_who_only_looks_makes_nothing_and_takes_what_is_there(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="there is no stack 'local' yet; `make up STACK=local`"):
        checkout.choose(makes=False)
    assert not checkout.own.exists()
    assert checkout.choose({"PULUMI_BACKEND_URL": "s3://states"}, makes=False)["PULUMI_BACKEND_URL"]
    assert not checkout.own.exists()
    made = checkout.choose()
    capsys.readouterr()
    assert checkout.choose(makes=False) == made


def test_secrets_are_for_the_owner_only(checkout: Checkout) -> None:
    checkout.choose()
    modes = [(checkout.own / name).stat().st_mode & 0o777 for name in ("passphrase", "ssh/id_ed25519", "ssh")]
    assert modes == [0o600, 0o600, 0o700]
    assert len((checkout.own / "passphrase").read_text().strip()) == 44


@pytest.mark.parametrize(
    "mine", [{"PULUMI_BACKEND_URL": "s3://states"}, {"PULUMI_ACCESS_TOKEN": "pul-1"}, {}], ids=str
)
def test_a_backend_of_the_user_is_left_alone(checkout: Checkout, mine: dict[str, str]) -> None:
    if not mine:
        (checkout.home / ".pulumi").mkdir()
        (checkout.home / ".pulumi" / "credentials.json").write_text(
            '{\n    "current": "https://api.pulumi.com",\n    "accounts": {}\n}'
        )
    settings = checkout.choose(mine)
    assert settings.get("PULUMI_BACKEND_URL") == mine.get("PULUMI_BACKEND_URL")
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in settings


@pytest.mark.parametrize("content", ['{"current": ""}', "{", "[]"])
def test_a_credentials_file_without_a_login_is_none(checkout: Checkout, content: str) -> None:
    (checkout.home / ".pulumi").mkdir()
    (checkout.home / ".pulumi" / "credentials.json").write_text(content)
    assert checkout.choose()["PULUMI_BACKEND_URL"] == f"file://{checkout.own}/state"


def test_a_passphrase_of_the_user_is_left_alone_even_an_empty_one(checkout: Checkout) -> None:
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in checkout.choose({"PULUMI_CONFIG_PASSPHRASE": ""})


def test_a_key_of_the_user_is_left_alone(checkout: Checkout) -> None:
    (checkout.home / ".ssh").mkdir()
    (checkout.home / ".ssh" / "id_rsa.pub").write_text("ssh-rsa AAAA me\n")
    assert "AZLOCAL_SSH_PUBLIC_KEY_FILE" not in checkout.choose()


def test_a_key_that_the_stack_names_is_enough(checkout: Checkout) -> None:
    checkout.stack_file.write_text(STACK_FILE + "  azlocal:sshPublicKeys: [me.pub]\n")
    assert "AZLOCAL_SSH_PUBLIC_KEY_FILE" not in checkout.choose()


def test_the_cli_that_setup_made_comes_first_and_looks_for_no_plugins_where_it_was_built(
    checkout: Checkout,
) -> None:
    tools = environment._TOOLS
    (tools / "bin").mkdir(parents=True)
    (tools / "pulumi-source").write_text("built\n")
    settings = checkout.choose()
    assert settings["PATH"].split(os.pathsep)[0] == str(tools / "bin")
    assert settings["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"
    assert checkout.choose({"PATH": settings["PATH"]})["PATH"] == settings["PATH"]


def test_a_shell_makes_the_same_choices_by_what_is_printed(checkout: Checkout) -> None:
    chosen = checkout.chosen({"PULUMI_CONFIG_PASSPHRASE_FILE": "/my pass'phrase"})
    text = "\n".join([*chosen.exports(), "env -0"])
    shell = subprocess.run(
        ["sh", "-c", text], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    settings = dict(line.split("=", 1) for line in shell.stdout.split("\0") if line)
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE", "AZLOCAL_SSH_PUBLIC_KEY_FILE"):
        assert settings[name] == chosen.variables[name]
    assert settings["PATH"].startswith(f"{environment._TOOLS}/bin:")
    assert settings["PATH"].endswith(":/usr/bin:/bin")


def engine_writes_salt(chosen: Chosen, file: Path) -> None:
    with chosen.kept_stack_file(), file.open("a") as stream:
        stream.write("encryptionsalt: v1:abc")


def test_the_engines_salt_does_not_stay_in_the_stack_file(checkout: Checkout) -> None:
    engine_writes_salt(checkout.chosen(), checkout.stack_file)
    assert checkout.stack_file.read_text() == STACK_FILE


def test_how_the_engine_indents_is_no_change_of_the_stack_file(checkout: Checkout) -> None:
    ours = "config:\n  azlocal:site: here\n  azlocal:clusters:\n  - name: a # the first\n"
    checkout.stack_file.write_text(ours)
    with checkout.chosen().kept_stack_file():
        checkout.stack_file.write_text(ours.replace("  - name", "    - name") + "encryptionsalt: v1:abc\n")
    assert checkout.stack_file.read_text() == ours


def test_the_salt_goes_after_a_run_that_failed_or_was_stopped_too(checkout: Checkout) -> None:
    with pytest.raises(SystemExit), checkout.chosen().kept_stack_file():
        checkout.stack_file.write_text(STACK_FILE + "encryptionsalt: v1:abc\n")
        raise SystemExit(143)
    assert checkout.stack_file.read_text() == STACK_FILE


def test_what_else_was_written_into_the_stack_file_stays(checkout: Checkout) -> None:
    with checkout.chosen().kept_stack_file():
        checkout.stack_file.write_text(STACK_FILE + "  azlocal:location: eastus\nencryptionsalt: v1:abc\n")
    assert checkout.stack_file.read_text().endswith("eastus\nencryptionsalt: v1:abc\n")


@pytest.mark.parametrize("variables", [{}, {"PULUMI_CONFIG_PASSPHRASE": "mine"}], ids=["secrets", "passphrase"])
def test_the_salt_stays_where_the_stack_file_has_secrets_or_the_passphrase_is_the_users(
    checkout: Checkout, variables: dict[str, str]
) -> None:
    checkout.choose()  # the passphrase is ours and there already
    checkout.stack_file.write_text(STACK_FILE + ("" if variables else "  azlocal:token:\n    secure: v1:xyz\n"))
    engine_writes_salt(checkout.chosen(variables), checkout.stack_file)
    assert checkout.stack_file.read_text().endswith("encryptionsalt: v1:abc")


def test_a_salt_of_an_unknown_passphrase_stops_before_the_engine(checkout: Checkout) -> None:
    checkout.stack_file.write_text(STACK_FILE + "encryptionsalt: v1:other\n")
    with pytest.raises(UserError, match="PULUMI_CONFIG_PASSPHRASE"):
        checkout.choose()


def test_a_run_of_a_pipeline_has_a_state_of_its_own_whatever_backend_there_is(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(checkout.home),
        "PULUMI_BACKEND_URL": "s3://theirs",
        "PULUMI_ACCESS_TOKEN": "x",
    }
    with pytest.raises(UserError, match="there is no stack 'local' yet"):
        Chosen("local", checkout.root, dict(variables), makes=False, is_apart=True).make()
    chosen = Chosen("local", checkout.root, variables, is_apart=True)
    chosen.make()
    assert chosen.variables["PULUMI_BACKEND_URL"] == (checkout.own / "state").as_uri()
    assert chosen.variables["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(checkout.own / "passphrase")
    assert "state:" not in capsys.readouterr().err
