"""The bars of `make bench`: what `up` takes, phase by phase, beside what others publish. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree
from lxml.builder import E

_WIDTH: Final = 900
_LEFT: Final = 190
_BAR: Final = 30
_ROW: Final = 62
_COLOURS: Final = ("#4c78a8", "#72b7b2", "#54a24b", "#eeca3b", "#f58518", "#e45756", "#b279a2", "#9d755d")
_STYLE: Final = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-size: 15px; font-weight: 600 }
  .small { font-size: 11px; fill: #59636e } .page { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .page { fill: #0d1117 } }
"""


@dataclass(frozen=True)
class Bar:
    """One way to get to a cluster.

    Attributes:
        name: Whose.
        parts: What it does, one after the other, with its seconds.
        conditions: On what, and what is there at the end.
    """

    name: str
    parts: Sequence[tuple[str, float]]
    conditions: str

    @property
    def seconds(self) -> float:
        """Return the whole."""
        return sum(seconds for _, seconds in self.parts)


PUBLISHED: Final = (
    Bar(
        "k3d 5.8.3",
        (("command", 12.6), ("application", 3.0), ("DNS", 4.1)),
        "one node, no Calico, no MetalLB, no Arc; minikube's benchmark of v1.36.0, May 2025, GitHub runner",
    ),
    Bar(
        "kind 0.29",
        (("command", 14.2), ("application", 18.0), ("DNS", 0.6)),
        "one node, no Calico, no MetalLB, no Arc; the same benchmark",
    ),
    Bar(
        "minikube 1.36, docker",
        (("command", 21.1), ("application", 6.4), ("DNS", 23.2)),
        "one node, no Calico, no MetalLB, no Arc; the same benchmark",
    ),
)
"""Seconds from nothing until an application runs and DNS answers: minikube.sigs.k8s.io, benchmarks, timeToK8s."""


def picture(bars: Sequence[Bar], title: str) -> str:
    """Return the bars as SVG, drawn to one scale; every part has its name and its seconds in words."""
    longest = max(bar.seconds for bar in bars)
    scale = (_WIDTH - _LEFT - 80) / longest
    height = 56 + _ROW * len(bars)
    drawn = [
        E.style(_STYLE),
        E.rect({"class": "page", "width": str(_WIDTH), "height": str(height)}),
        E.text(title, {"class": "title", "x": "16", "y": "28"}),
    ]
    for row, bar in enumerate(bars):
        drawn += _drawn(bar, 48 + row * _ROW, scale)
    view = f"0 0 {_WIDTH} {height}"
    root = E.svg(*drawn, {"xmlns": "http://www.w3.org/2000/svg", "viewBox": view, "role": "img"})
    return etree.tostring(root, encoding="unicode", pretty_print=True)


def _drawn(bar: Bar, top: int, scale: float) -> list[etree._Element]:
    found = [E.text(bar.name, {"x": "16", "y": str(top + 20)})]
    left = float(_LEFT)
    for number, (name, seconds) in enumerate(bar.parts):
        width, colour = seconds * scale, _COLOURS[number % len(_COLOURS)]
        box = {"x": f"{left:.1f}", "y": str(top), "width": f"{width:.1f}", "height": str(_BAR), "fill": colour}
        found.append(E.rect(E.title(f"{name}: {seconds:.1f} s"), box))
        left += width
    found.append(E.text(f"{bar.seconds:.0f} s", {"x": f"{left + 8:.1f}", "y": str(top + 20)}))
    words = ", ".join(f"{name} {seconds:.1f}" for name, seconds in bar.parts)
    found.append(
        E.text(f"{words}. {bar.conditions}", {"class": "small", "x": str(_LEFT), "y": str(top + _BAR + 15)})
    )
    return found
