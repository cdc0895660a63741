"""YAML for readers that are written in Go: kubeadm, kubelet, the API server, kubectl.

Python's reader takes `1e-3` and `y` for text, so its writer leaves them bare; to Go's they are a number and a
truth value (go.yaml.in/yaml: resolve.go, which sigs.k8s.io/yaml uses). A label or a name may be just that.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

_ONLY_GO_READS: Final = {
    "bool": (r"[yYnN]", "yYnN"),
    "int": (r"[-+]?0[xXoObB][0-9a-fA-F_]+", "-+0"),
    "float": (r"[-+]?(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9_]+)?", "-+.0123456789"),
}


class _Dumper(yaml.SafeDumper):
    """Puts into quotes what either language reads as something else than text."""


for _kind, (_pattern, _first) in _ONLY_GO_READS.items():
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^({_pattern})$"), list(_first))


def go_yaml(*documents: Mapping[str, Any]) -> str:
    """Return documents as text, each on its own lines, with their keys in the order that they have."""
    text: str = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=1_000_000)
    return text
