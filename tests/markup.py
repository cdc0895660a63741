"""What XPath finds in HTML and SVG, by the type that a test asks for: lxml says only that it is one of nine."""

from collections.abc import Mapping

from lxml import etree

SVG = {"s": "http://www.w3.org/2000/svg"}


def elements(root: etree._Element, path: str, namespaces: Mapping[str, str] | None = None) -> list[etree._Element]:
    """Return the elements at a path, and be told when it leads to anything else."""
    found = root.xpath(path, namespaces=dict(namespaces) if namespaces else None)
    assert isinstance(found, list), found
    return [_element(one) for one in found]


def strings(root: etree._Element, path: str, namespaces: Mapping[str, str] | None = None) -> list[str]:
    """Return the texts or attributes at a path."""
    found = root.xpath(path, namespaces=dict(namespaces) if namespaces else None)
    assert isinstance(found, list), found
    return [_string(one) for one in found]


def attribute(element: etree._Element, name: str) -> str:
    """Return an attribute that has to be there."""
    value = element.get(name)
    assert value is not None, f"{element.tag} has no {name}"
    return str(value)


def content(element: etree._Element) -> str:
    """Return all text inside an element, as somebody who reads the page has it."""
    return str(element.xpath("string()"))


def _element(found: object) -> etree._Element:
    assert isinstance(found, etree._Element), found
    return found


def _string(found: object) -> str:
    assert isinstance(found, str), found
    return found
