"""What a source says about what it put into a bundle, for the bill of materials."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """A program in a bundle.

    Attributes:
        path: Where its file can be read now.
        version: The version people know it by.
        go: Whether Go compiled it and noted its modules in it.
    """

    path: Path
    version: str
    go: bool = True


@dataclass(frozen=True)
class ImageContent:
    """What a container image is known to hold: nothing more is known of a downloaded one.

    Attributes:
        programs: Names of programs in the inventory.
        packages: Names of Debian packages in the inventory.
    """

    programs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """Programs by name, Debian packages' versions by name, and what each image holds."""

    programs: dict[str, Program] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    images: dict[str, ImageContent] = field(default_factory=dict)
