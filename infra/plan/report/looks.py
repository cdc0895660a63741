"""How each use of an address looks: words, a letter, a colour and a shape, the same in every format.

Colour is never the only channel: every use has its own letter, and its shape says what kind of thing it is.
The colours are Okabe and Ito's, which people with any colour vision tell apart; each has an ink on it that
keeps a contrast of 4.5, in light and in dark mode alike.
"""

from dataclasses import dataclass
from typing import Literal

from infra.plan.addresses.plan import Use

Shape = Literal["machine", "virtual", "held", "site"]

SHAPES: dict[Shape, str] = {
    "machine": "square: a machine",
    "virtual": "round: a virtual address, which moves between machines",
    "held": "striped: held, so that it is free when it is needed",
    "site": "grey: the site's own",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How one use is shown.

    Attributes:
        label: A few words.
        letter: One letter, no two uses the same.
        shape: What kind of thing it is.
        fill: Background colour.
        ink: Text colour on it.
        style: Style in a terminal.
    """

    label: str
    letter: str
    shape: Shape
    fill: str
    ink: str
    style: str


_DARK, _LIGHT = "#101418", "#ffffff"
_BLUE, _SKY, _GREEN, _ORANGE = "#0072b2", "#56b4e9", "#009e73", "#e69f00"
_RED, _PURPLE, _GREY, _SILVER = "#d55e00", "#cc79a7", "#5f6b76", "#aab4be"

LOOKS: dict[Use, Look] = {
    "controlPlaneNode": Look("control plane", "C", "machine", _BLUE, _LIGHT, "bold blue"),
    "controlPlaneVip": Look("API server VIP", "V", "virtual", _BLUE, _LIGHT, "blue"),
    "workerNode": Look("worker", "W", "machine", _GREEN, _DARK, "green"),
    "upgradeSpare": Look("upgrade spare", "S", "held", _ORANGE, _DARK, "yellow"),
    "loadBalancer": Look("service", "L", "virtual", _PURPLE, _DARK, "magenta"),
    "resourceBridgeNode": Look("bridge VM", "B", "machine", _RED, _DARK, "bold red"),
    "resourceBridgeSpare": Look("bridge spare", "P", "held", _ORANGE, _DARK, "yellow"),
    "resourceBridgeVip": Look("bridge VIP", "A", "virtual", _RED, _DARK, "red"),
    "clusterAddress": Look("instance", "I", "virtual", _SKY, _DARK, "cyan"),
    "host": Look("host", "H", "machine", _SKY, _DARK, "cyan"),
    "gateway": Look("gateway", "G", "site", _GREY, _LIGHT, "dim"),
    "dns": Look("DNS", "D", "site", _GREY, _LIGHT, "dim"),
    "reserved": Look("reserved", "X", "held", _SILVER, _DARK, "dim"),
}
