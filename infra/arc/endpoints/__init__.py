"""What agents have to reach: which names, whether a node reaches them, and what is in between."""

from infra.arc.endpoints.judge import Finding, judge
from infra.arc.endpoints.probe import Answer, Look, look_from
from infra.arc.endpoints.table import Endpoint, Settings, endpoints_of

__all__ = ["Answer", "Endpoint", "Finding", "Look", "Settings", "endpoints_of", "judge", "look_from"]
