"""A stack's contexts in the user's own kubeconfig: what `azlocal kubeconfig --merge` put there is kept true.

A cluster that is replaced has other keys under the same name, and kubectl would say that its certificate was
signed by an unknown authority; one that is gone leaves a name that nobody answers to. What isn't there is never
added, and which context is the current one stays the user's choice.
"""

from __future__ import annotations

from collections.abc import Iterable

from infra.errors import UserError
from infra.kubernetes.kubeconfig import (
    default_file,
    merge_into_file,
    merged_contexts,
    remove_from_file,
    select_cluster,
)
from infra.stack.command import stack_output
from infra.stack.messages import say
from infra.stack.state import Stack


def contexts_of(stack: Stack) -> list[str]:
    """Return the contexts of a stack's clusters."""
    return [str(cluster["context"]) for cluster in stack.outputs().get("clusters", {}).values()]


def update(stack: Stack) -> None:
    """Bring those of the stack's contexts that the user's kubeconfig has to what the clusters are now."""
    try:
        file = default_file()
        merged = merged_contexts(file, contexts_of(stack))
        if not merged:
            return
        text = stack_output(stack.name, stack.directory, "kubeconfig")
        for context in merged:
            merge_into_file(file, select_cluster(text, context), switch=False)
    except (UserError, OSError) as error:
        say(f"kubectl's contexts may be out of date: {error}")


def remove(contexts: Iterable[str]) -> None:
    """Take contexts of clusters that are gone out of the user's kubeconfig."""
    try:
        file = default_file()
        merged = merged_contexts(file, contexts)
        if merged:
            remove_from_file(file, merged)
            say(f"{', '.join(merged)} went from {file}")
    except (UserError, OSError) as error:
        say(f"kubectl's contexts of what is gone may still be there: {error}")
