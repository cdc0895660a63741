"""What can go wrong between us, Azure and a cluster's Arc agents, as the user should read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from infra.errors import UserError

UNTRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"
"""How Python's clients say that nobody whom this machine trusts vouches for a certificate."""

TRUST_REMEDY: Final = "where a proxy inspects TLS, name its CA (REQUESTS_CA_BUNDLE, or the cloud's caFile)"
"""What to do about it (facts §9, 30)."""


class ArcError(UserError):
    """Something about Azure Arc can't be done.

    Attributes:
        rule: A short name of the kind of failure, which stays the same for ever.
        message: What is wrong, without the remedy.
        remedy: What to do about it.
    """

    def __init__(self, rule: str, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.rule = rule
        self.message = message
        self.remedy = remedy


class CredentialError(ArcError):
    """Nobody vouches for us: no credential, an incomplete one, or one that Entra refuses.

    Attributes:
        code: Entra's code (AADSTS…), empty where Entra wasn't asked.
    """

    def __init__(self, rule: str, message: str, remedy: str = "", code: str = "") -> None:
        super().__init__(rule, message, remedy)
        self.code = code


class AzureUnreachable(ArcError):
    """Azure doesn't answer; nothing is known about what stands there."""


class ArmError(ArcError):
    """Azure refuses a request, or an operation of it failed.

    Attributes:
        code: Azure's error code, as `ResourceNotFound`.
        status: HTTP's.
        said: Azure's own message.
    """

    def __init__(self, doing: str, code: str, said: str, status: int, remedy: str = "") -> None:
        answer = f"{code}: {said}" if said else code
        super().__init__(f"arm-{code}" if code else "arm", f"{doing}: {answer} (HTTP {status})", remedy)
        self.code = code
        self.status = status
        self.said = said

    @property
    def is_missing(self) -> bool:
        """Return whether there is no such resource."""
        return self.status == 404


class NotInTime(ArcError):
    """The time for a step is over and it isn't done; what was made stands, and the next run goes on from there."""


class Conflict(ArcError):
    """What stands on the cluster or in Azure is in the way, and it isn't ours to remove."""


class Unready(ArcError):
    """What is needed before anything is made isn't there.

    Attributes:
        problems: One text each.
    """

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        super().__init__("prechecks", "\n".join([what, *(f"- {problem}" for problem in problems)]))
        self.problems = tuple(problems)
