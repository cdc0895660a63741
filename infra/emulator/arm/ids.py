"""Reading ARM's paths: `/subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}/…`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """What a path below `/subscriptions/{s}` names.

    Attributes:
        group: the resource group; None: the path names the subscription's resources.
        scope: the id before the last `/providers/`: what an extension resource hangs on, such as a cluster.
        namespace: the last resource provider.
        types: the last provider's types, as the client spelled them; one more than `names` for a collection, or
            for an action that is POSTed.
    """

    subscription: str
    group: str | None
    scope: str
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def is_collection(self) -> bool:
        """Return whether it names many resources, or an action, rather than one resource."""
        return len(self.types) > len(self.names)

    @property
    def type(self) -> str:
        """The full type in lower case: `microsoft.kubernetes/connectedclusters`."""
        return "/".join((self.namespace, *self.types)).lower()

    @property
    def is_extension(self) -> bool:
        """Return whether it hangs on another resource of another provider."""
        return "/providers/" in self.scope.lower()

    @property
    def group_id(self) -> str | None:
        """The resource group's id."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}" if self.group else None

    def parent_action(self) -> tuple[Target, str]:
        """Return the resource that a POSTed action is for, and the action's name."""
        parent = Target(self.subscription, self.group, self.scope, self.namespace, self.types[:-1], self.names)
        return parent, self.types[-1]


def parse(path: str) -> Target | None:
    """Return what a path names; None where it has no provider or isn't shaped as ARM's paths are."""
    parts = [part for part in path.split("/") if part]
    lowered = [part.lower() for part in parts]
    if len(parts) < 5 or lowered[0] != "subscriptions" or "providers" not in lowered:
        return None
    last = len(lowered) - 1 - lowered[::-1].index("providers")
    after = parts[last + 2 :]
    if not after:
        return None
    group = parts[3] if lowered[2] == "resourcegroups" else None
    return Target(
        subscription=parts[1],
        group=group,
        scope="/" + "/".join(parts[:last]),
        namespace=parts[last + 1],
        types=tuple(after[::2]),
        names=tuple(after[1::2]),
    )
