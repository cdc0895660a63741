"""What a source says about what it put into a bundle, for the bill of materials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.image.bundle.images import EXTRAS
from infra.image.bundle.parts import Binary, Certificates, FromDebian, Image

_CERTIFICATES: Final = "ca-certificates"


@dataclass(frozen=True)
class Program:
    """A program in a bundle.

    Attributes:
        path: Where its file can be read now.
        version: The version people know it by.
        go: Whether Go compiled it and noted its modules in it.
        libraries: The versions of the C libraries in it, by name.
    """

    path: Path
    version: str
    go: bool = True
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageContent:
    """What a container image is known to hold: nothing more is known of a downloaded one.

    Attributes:
        programs: Names of programs in the inventory.
        packages: Debian packages' versions by name.
    """

    programs: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inventory:
    """Programs by name, and what each image holds."""

    programs: dict[str, Program] = field(default_factory=dict)
    images: dict[str, ImageContent] = field(default_factory=dict)


def content_of(
    image: Image, packages: Mapping[str, Mapping[str, str]], name_of: Callable[[Binary], str]
) -> ImageContent:
    """Return what an image that is made here holds.

    Args:
        image: The image.
        packages: Each Debian tree's packages, with versions.
        name_of: Names a program as the inventory does.
    """
    programs = [name_of(entry) for entry in image.entries if isinstance(entry, Binary)]
    held = dict(packages[image.debian.name]) if image.debian else {}
    for entry in image.entries:
        if isinstance(entry, FromDebian):
            held[entry.package] = packages[EXTRAS.name][entry.package]
        elif isinstance(entry, Certificates):
            held[_CERTIFICATES] = packages[EXTRAS.name][_CERTIFICATES]
    return ImageContent(tuple(dict.fromkeys(programs)), held)
