"""What can go wrong with an agent, by who can do something about it."""

from __future__ import annotations


class AgentError(Exception):
    """Something failed that may work later: the agent says it, stays unready, and tries again."""


class FatalError(Exception):
    """Something that no later try repairs: the agent ends, and Kubernetes shows a crash loop."""


class Refused(AgentError):
    """A server answered, and its answer is no.

    Attributes:
        status: the HTTP status.
        code: the error's code in the answer, empty where there is none.
        headers: the answer's headers, in lower case.
    """

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers: dict[str, str] = {}


class HelmFailed(AgentError):
    """Helm ended with an error; the message is its own."""


class Stopping(Exception):
    """The agent was told to end in the middle of something."""
