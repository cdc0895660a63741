"""What container images and charts are described with: the catalogue itself is in `images`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.image.bundle.model import Source

PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OWN_CHARTS: Final = Path(__file__).parent / "charts"


@dataclass(frozen=True)
class Binary:
    """A compiled program.

    Attributes:
        component: Who makes it.
        name: What the build calls it.
        target: Where it goes in the image.
        capabilities: File capabilities, as setcap takes them.
    """

    component: str
    name: str
    target: str
    capabilities: str = ""


@dataclass(frozen=True)
class Sources:
    """A file or folder of a component's module; module zips keep no modes, so scripts are made executable."""

    component: str
    path: str
    target: str


@dataclass(frozen=True)
class FromDebian:
    """A file of one of the Debian packages in `EXTRAS`."""

    package: str
    path: str
    target: str


@dataclass(frozen=True)
class Certificates:
    """Debian's certificate authorities, as one file."""

    target: str = "etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Text:
    """A small file of our own."""

    target: str
    content: str
    owner: int = 0


@dataclass(frozen=True)
class Folder:
    """An empty folder."""

    target: str
    mode: int = 0o755
    owner: int = 0


@dataclass(frozen=True)
class Link:
    """A symbolic link, or several with the same destination."""

    targets: tuple[str, ...]
    destination: str


Entry = Binary | Sources | FromDebian | Certificates | Text | Folder | Link


@dataclass(frozen=True)
class Tree:
    """A tree of Debian packages: what images stand on, or where single files come from.

    Attributes:
        name: Short and unique.
        packages: What is installed beside Debian's essential packages.
        version: Raise it when the same packages are installed in another way.
        removed: Globs of what a container doesn't need of it.
    """

    name: str
    packages: tuple[str, ...]
    version: int = 1
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Image:
    """One container image.

    Attributes:
        name: Short and unique in the bundle.
        repository: The upstream name; charts and kubeadm ask for it.
        tag: The upstream tag.
        entries: What it holds.
        debian: The Debian tree that it stands on, which is a layer of its own; without, it stands on nothing.
        release_tag: The tag to download where that isn't `tag`.
        ours: Nobody publishes it: it is put together on this machine, whichever source a bundle has.
    """

    name: str
    repository: str
    tag: str
    entries: tuple[Entry, ...]
    debian: Tree | None = None
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    environment: tuple[str, ...] = (PATH,)
    release_tag: str = ""
    ours: bool = False

    def reference(self, source: Source) -> str:
        """Return name and tag as a pod asks for them."""
        tag = self.release_tag if source == "release" and self.release_tag else self.tag
        return f"{self.repository}:{tag}"


@dataclass(frozen=True)
class Linked:
    """A folder of a component's own module, or of the one that is named, that goes into a chart."""

    target: str
    component: str
    path: str
    module: str = ""


@dataclass(frozen=True)
class Change:
    """A place of a chart's file that we have otherwise, because the chart has no value for it.

    Attributes:
        file: Its path in the chart.
        old: What upstream has there, once.
        new: What we have.
    """

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Chart:
    """A Helm chart from a component's module, or one of our own.

    Attributes:
        name: Its name in the bundle.
        component: Whose module has it; none: it is in `charts/` beside this file.
        path: The folder in the module.
        linked: What a chart takes from elsewhere: upstream links it there, which a module zip can't.
        changes: What we have otherwise than upstream.
        values: The values file that upstream keeps for this use, if any.
        images: Images of the bundle whose references a chart of our own has as the value `images`, by their names.
    """

    name: str
    component: str | None = None
    path: str = ""
    linked: tuple[Linked, ...] = ()
    changes: tuple[Change, ...] = ()
    values: str = ""
    images: tuple[str, ...] = ()
