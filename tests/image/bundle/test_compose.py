from __future__ import annotations

import stat
from pathlib import Path

import pytest

from infra.image.bundle.compose import Composer, Ingredients, certificates, configuration
from infra.image.bundle.parts import (
    PATH,
    Binary,
    Certificates,
    Folder,
    FromDebian,
    Image,
    Link,
    Sources,
    Text,
    Tree,
)
from infra.image.errors import ImageError
from tests.image.bundle.conftest import BundleRunner

IMAGE = Image(
    name="app",
    repository="registry.example/app",
    tag="v1",
    entries=(
        Binary("app", "server", "usr/bin/app", "cap_net_bind_service=+ep"),
        Sources("app", "tree", "etc"),
        FromDebian("busybox-static", "bin/busybox", "bin/busybox"),
        Certificates(),
        Text("etc/passwd", "root:x:0:0\n"),
        Folder("tmp", 0o1777),
        Link(("bin/sh", "bin/ls"), "busybox"),
    ),
    entrypoint=("/usr/bin/app", "run"),
    command=("--flag",),
    user="65532",
    workdir="/",
)


@pytest.fixture
def ingredients(tmp_path: Path) -> Ingredients:
    for name, content in {
        "programs/server": "binary",
        "module/tree/run.d/run": "#!/bin/sh\n",
        "module/tree/rc.local": "exec app\n",
        "module/tree/data": "data",
        "extras/bin/busybox": "busybox",
        "extras/usr/share/ca-certificates/mozilla/A.crt": "A",
        "extras/usr/share/ca-certificates/mozilla/B.crt": "B\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o444)
    return Ingredients({"app": tmp_path / "programs"}, lambda name: tmp_path / "module", tmp_path / "extras")


class Watcher(BundleRunner):
    """Notes what is in an image's tree when umoci takes it."""

    def __init__(self, modules: Path) -> None:
        super().__init__(modules)
        self.modes: dict[str, int] = {}
        self.dates: set[float] = set()
        self.links: dict[str, str] = {}

    def _umoci(self, argv: list[str]) -> None:
        super()._umoci(argv)
        if argv[1] == "insert":
            root = Path(argv[-2])
            for path in root.rglob("*"):
                name = path.relative_to(root).as_posix()
                if path.is_symlink():
                    self.links[name] = str(path.readlink())
                else:
                    self.modes[name] = stat.S_IMODE(path.stat().st_mode)
                self.dates.add(path.lstat().st_mtime)


@pytest.fixture
def watcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watcher:
    monkeypatch.setattr("infra.image.bundle.compose.os.chown", lambda *arguments: None)
    return Watcher(tmp_path / "modules")


def test_an_image_holds_its_parts(tmp_path: Path, ingredients: Ingredients, watcher: Watcher) -> None:
    (tmp_path / "work").mkdir()
    composer = Composer(tmp_path / "work", ingredients, watcher)
    composer.compose(IMAGE, IMAGE.reference("modules"), tmp_path / "app.tar")
    assert watcher.modes["usr/bin/app"] == 0o755
    assert watcher.modes["etc/run.d/run"] == 0o755
    assert watcher.modes["etc/rc.local"] == 0o755
    assert watcher.modes["etc/data"] == 0o644
    assert watcher.modes["tmp"] == 0o1777
    assert watcher.links == {"bin/sh": "busybox", "bin/ls": "busybox"}
    assert len(watcher.dates) == 1
    assert ["setcap", "cap_net_bind_service=+ep", str(tmp_path / "work/root-app/usr/bin/app")] in watcher.calls
    assert watcher.calls[-1][-1] == f"oci-archive:{tmp_path / 'app.tar'}:registry.example/app:v1"
    assert not (tmp_path / "work/root-app").exists()


def test_images_share_debian_s_layer(tmp_path: Path, ingredients: Ingredients, watcher: Watcher) -> None:
    (tmp_path / "work").mkdir()
    composer = Composer(tmp_path / "work", ingredients, watcher)
    for name in ("network", "python"):
        (tmp_path / name).mkdir()
        composer.add_layer(name, tmp_path / name)
    for name, tree in (("proxy", "network"), ("node", "network"), ("agent", "python")):
        image = Image(name, f"registry.example/{name}", "v1", (Text("etc/x", "x"),), debian=Tree(tree, ()))
        composer.compose(image, f"registry.example/{name}:v1", tmp_path / f"{name}.tar")
    stands_on = {call[-1]: call[-2].rpartition(":")[2] for call in watcher.calls if call[:2] == ["umoci", "tag"]}
    assert stands_on == {"proxy": "network", "node": "network", "agent": "python"}


def test_a_missing_part_is_named(tmp_path: Path, ingredients: Ingredients, watcher: Watcher) -> None:
    (tmp_path / "work").mkdir()
    image = Image("app", "registry.example/app", "v1", (Binary("app", "client", "client"),))
    with pytest.raises(ImageError, match="client isn't there") as error:
        Composer(tmp_path / "work", ingredients, watcher).compose(image, "x:1", tmp_path / "app.tar")
    assert "images.py" in error.value.remedy


def test_a_configuration_is_what_a_dockerfile_would_say() -> None:
    argv = configuration(IMAGE)
    pairs = list(zip(argv[::2], argv[1::2], strict=True))
    assert ("--config.env", PATH) in pairs
    assert [value for key, value in pairs if key == "--config.entrypoint"] == ["/usr/bin/app", "run"]
    assert ("--config.cmd", "--flag") in pairs
    assert ("--config.user", "65532") in pairs
    assert ("--config.workingdir", "/") in pairs


def test_certificates_are_one_file_with_an_end_to_each_line(ingredients: Ingredients, tmp_path: Path) -> None:
    assert certificates(ingredients.extras) == b"A\nB\n"
    with pytest.raises(ImageError, match="no certificate authorities"):
        certificates(tmp_path / "nothing")
