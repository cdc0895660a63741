"""Labels and taints of nodes, by Kubernetes' syntax.

Sources: k8s.io/apimachinery v0.34.4 pkg/util/validation/validation.go (IsQualifiedName, IsValidLabelValue,
IsDNS1123Subdomain); k8s.io/kubernetes v1.34.4 pkg/apis/core/validation/validation.go (validateNodeTaints).
tests/guest/test_kubernetes_accepts.py asks the bundle's kubelet the same.
"""

import re
from dataclasses import dataclass

from infra.spec.findings import shown
from infra.spec.forms import Form
from infra.spec.near import nearest

NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "PreferNoSchedule", "NoExecute"
EFFECTS = (NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE)

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LONGEST_PREFIX = 253
_KEY = rf"((?=[^/]{{1,{_LONGEST_PREFIX}}}/){_PREFIX}/)?{_NAME}"
_NAME_WORDS = "1-63 letters, digits, - _ and ., a letter or digit first and last"
_PREFIX_WORDS = "a DNS name of at most 253 lower-case letters, digits, hyphens and dots"

# For editors, and for what is no text at all; of a text the functions below say what is wrong with it.
LABEL_KEY = Form(_KEY, "the key of a label", "example.com/tier", by_rule=True)
LABEL_VALUE = Form(f"({_NAME})?", f"the value of a label: empty, or {_NAME_WORDS}", "web", by_rule=True)
TAINT = Form(
    f"{_KEY}(=({_NAME})?)?:({'|'.join(EFFECTS)})",
    "a taint, key=value:Effect or key:Effect",
    "dedicated=gpu:NoSchedule",
    by_rule=True,
)


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node.

    Attributes:
        key: Its key, with the prefix.
        value: Its value; empty where it has none.
        effect: What it does to pods that don't tolerate it.
    """

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"

    @property
    def keeps_away(self) -> bool:
        """Tell whether pods that don't tolerate it are never scheduled there."""
        return self.effect in {NO_SCHEDULE, NO_EXECUTE}


def key_fault(key: str) -> str | None:
    """Return what is wrong with the key of a label or taint, in words; None where nothing is."""
    prefix, slash, name = key.rpartition("/")
    if not name:
        return f"the key {shown(key)} has no name after the /" if slash else "the key is empty"
    if "/" in prefix:
        return f"the key {shown(key)} has more than one /"
    if slash and (len(prefix) > _LONGEST_PREFIX or not re.fullmatch(_PREFIX, prefix)):
        return f"the prefix {shown(prefix)} of the key {shown(key)} is not {_PREFIX_WORDS}"
    if not re.fullmatch(_NAME, name):
        return f"the key's name {shown(name)} is not {_NAME_WORDS}"
    return None


def value_fault(value: str) -> str | None:
    """Return what is wrong with the value of a label or taint, in words; None where nothing is."""
    if value and not re.fullmatch(_NAME, value):
        return f"the value {shown(value)} is neither empty nor {_NAME_WORDS}"
    return None


def parse_taint(text: str) -> Taint:
    """Read `key=value:Effect` or `key:Effect`.

    Raises:
        ValueError: It isn't one; the message says in words what is wrong.
    """
    pair, colon, effect = text.rpartition(":")
    if not colon:
        raise ValueError(f"{shown(text)} has no effect")
    key, _, value = pair.partition("=")
    fault = key_fault(key) or value_fault(value)
    if fault:
        raise ValueError(f"{shown(text)}: {fault}")
    if effect not in EFFECTS:
        raise ValueError(f"{shown(text)}: {shown(effect)} is none of the effects {', '.join(EFFECTS)}")
    return Taint(key, value, effect)


def near_taint(text: str) -> str:
    """Return a taint that may be meant, or an example of one."""
    compact = "".join(text.split())
    pair, _, effect = compact.rpartition(":")
    by_lower = {known.lower(): known for known in EFFECTS}
    near = nearest(effect.lower(), by_lower, 0.7)
    for candidate in (f"{pair}:{by_lower[near]}" if near is not None else "", f"{compact}:{NO_SCHEDULE}"):
        try:
            return str(parse_taint(candidate))
        except ValueError:
            continue
    return TAINT.example
