from __future__ import annotations

from pathlib import Path

from infra.image.recipe import Recipe
from infra.image.tree import customise, install_packages, installed_packages, unpack
from tests.image.conftest import FakeRunner


def test_mmdebstrap_gets_the_recipe_and_the_sources(recipe: Recipe, tmp_path: Path, runner: FakeRunner) -> None:
    install_packages(recipe, "deb x\n", ['Acquire::Retries "3";'], tmp_path, tmp_path / "t.tar", runner)
    (argv,) = runner.calls
    assert "--include=systemd,udev" in argv
    assert '--aptopt=Acquire::Retries "3";' in argv
    assert "--dpkgopt=path-exclude=/usr/share/man/*" in argv
    assert f"--essential-hook=copy-in {tmp_path}/before/etc /" in argv
    assert argv[-3:] == ["bookworm", str(tmp_path / "t.tar"), "-"]
    assert runner.stdin["mmdebstrap"] == "deb x\n"


def test_a_tree_becomes_a_node(recipe: Recipe, tmp_path: Path, runner: FakeRunner) -> None:
    tree = tmp_path / "tree"
    unpack(tmp_path / "t.tar", tree, runner)
    customise(recipe, tree)

    assert (tree / "etc/motd").read_text() == "hello\n"
    assert (tree / "etc/motd").stat().st_mode & 0o777 == 0o644
    assert (tree / "usr/lib/azlocal/run").stat().st_mode & 0o777 == 0o755
    assert (tree / "etc/systemd/system/b.timer").readlink() == Path("/dev/null")
    wanted = tree / "etc/systemd/system/sysinit.target.wants/a.service"
    assert wanted.readlink() == Path("/usr/lib/systemd/system/a.service")
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert not list((tree / "etc/ssh").glob("ssh_host_*"))
    assert not (tree / "etc/apt/apt.conf.d/99mmdebstrap").exists()
    assert "deb.debian.org" in (tree / "etc/apt/sources.list").read_text()


def test_a_link_in_the_tree_is_replaced_and_never_followed(recipe: Recipe, tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "host-file"
    (tree / "etc").mkdir(parents=True)
    outside.write_text("the host's")
    (tree / "etc/motd").symlink_to(outside)
    (tree / "etc/hostname").symlink_to(outside)
    customise(recipe, tree)
    assert outside.read_text() == "the host's"
    assert (tree / "etc/motd").read_text() == "hello\n"


def test_only_installed_packages_are_listed(tmp_path: Path, runner: FakeRunner) -> None:
    unpack(tmp_path / "t.tar", tmp_path / "tree", runner)
    assert installed_packages(tmp_path / "tree") == {"base": "1.2-3"}
