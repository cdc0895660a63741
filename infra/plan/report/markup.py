"""Elements of HTML and SVG; lxml escapes every text, so that no name can become markup."""

import re
from functools import cache
from importlib.resources import files

from lxml import etree

# What XML cannot carry at all; lxml refuses it.
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def fit(text: str) -> str:
    """Return a text that an element can carry."""
    return _UNFIT.sub("\ufffd", text)


def add(parent: etree._Element, tag: str, text: str = "", **attributes: str | int | float) -> etree._Element:
    """Add an element; `_` in an attribute's name stands for `-`, at its end for nothing.

    Args:
        parent: Where to add it.
        tag: The element's name.
        text: Its text.
        attributes: Its attributes.
    """
    child = etree.SubElement(parent, tag)
    for name, value in attributes.items():
        child.set(_attribute(name), fit(str(value)))
    if text:
        child.text = fit(text)
    return child


@cache
def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


@cache
def asset(name: str) -> str:
    """Return a file that goes into the output as it is: our own style or script."""
    return files(__package__).joinpath("files", name).read_text(encoding="utf-8")
