"""A proxy's URL may have a password: nothing that azlocal says repeats it, whatever else is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli import app
from infra.doctor.wanted import ProxySettings
from infra.spec import SpecError, load_instance
from infra.spec.findings import shown, without_login
from tests.instances import cluster, files, write_files

PASSWORD = "S3cret-pw"
SOUND = f"http://ann:{PASSWORD}@proxy.example:3128"


def project(folder: Path, proxy: Any) -> Path:
    write_files(folder, files([cluster()], netplan={"proxy": proxy}))
    return folder


@pytest.mark.parametrize(
    "url",
    [
        f"http://ann:{PASSWORD} x@proxy.example:8080",
        f"ftp://ann:{PASSWORD}@proxy.example:8080",
        f"ann:{PASSWORD}@proxy.example:8080",
        f"{PASSWORD}@proxy.example:8080",
        f"http://ann:{PASSWORD}@proxy.example:99999",
        f"http://ann:{PASSWORD}",
        f"http://ann:12/{PASSWORD}@proxy.example:8080",  # the host were `ann`
        f"http://ann:12?{PASSWORD}@proxy.example:8080",
        f"http://ann:12#{PASSWORD}@proxy.example:8080",
        f"http://ann:{PASSWORD}@[proxy.example:8080",
    ],
)
def test_a_wrong_url_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_instance("lab", project(tmp_path, {"httpsProxy": url}))
    (found,) = caught.value.findings
    assert (found.rule, found.path.rpartition(" ")[2]) == ("bad-proxy", "proxy.httpsProxy")
    assert PASSWORD not in str(found)
    assert "http://user:password@proxy.example" in found.remedy


@pytest.mark.parametrize(
    "proxy",
    [
        SOUND,
        f"{PASSWORD} is my password",
        {"httpsProxy": {SOUND: None}},
        {SOUND: None},
        {"httpsProxy": SOUND, "noProxy": SOUND},
        {"noProxy": [f"{PASSWORD} x"]},
        {"noProxy": [[SOUND]]},
        [SOUND],
    ],
)
def test_a_value_at_the_wrong_place_is_not_repeated(tmp_path: Path, proxy: Any) -> None:
    with pytest.raises(SpecError) as caught:
        load_instance("lab", project(tmp_path, proxy))
    assert caught.value.findings
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SOUND, "http://***@proxy.example:3128"),
        ("http://token@proxy.example", "http://***@proxy.example"),
        ("ann:p@ss:w@rd@proxy.example", "***@proxy.example"),
        ("ssh://git:pw@host/x", "ssh://***@host/x"),
        ("qemu+ssh://root@node1/system", "qemu+ssh://root@node1/system"),
        ("git@github.com:a/b", "git@github.com:a/b"),
        ("ops@example.com", "ops@example.com"),
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("nothing", "nothing"),
    ],
)
def test_a_login_of_a_url_is_left_out_and_nothing_else(text: str, said: str) -> None:
    assert without_login(text) == said
    assert shown(text) == f"'{said}'"


@pytest.mark.parametrize(
    "arguments",
    [
        *(("plan", "lab", "--format", name) for name in ("table", "json", "markdown", "svg", "html")),
        ("plan", "lab", "--explain", "192.168.1.9"),
        ("plan", "lab", "--placement"),
        ("plan", "lab", "--size"),
    ],
)
def test_no_report_shows_the_password(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    url = f"http://ann:{PASSWORD}@192.168.1.9:3128"  # an address: it is on the map
    folder = project(tmp_path, {"httpsProxy": url, "httpProxy": url})
    result = CliRunner(env={"CI": ""}).invoke(app, ["-C", str(folder), *arguments])
    assert result.exit_code in (0, 2)
    assert PASSWORD not in result.output
    assert "ann:" not in result.output


def test_what_holds_the_password_does_not_print_it(tmp_path: Path) -> None:
    spec = load_instance("lab", project(tmp_path, {"httpsProxy": SOUND, "httpProxy": SOUND}))
    assert PASSWORD not in repr(spec)
    assert PASSWORD not in repr(ProxySettings(SOUND, ()))
