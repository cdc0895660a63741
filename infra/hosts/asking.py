"""Asking a host many things in one command, so that it takes one way there and back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from infra.hosts.facts import Fact, batch
from infra.hosts.facts.batch import Answer
from infra.ssh import CommandError, Shell


def answers_of(
    shell: Shell, facts: Mapping[str, Fact[Any]], *, seconds: float, command_seconds: int
) -> dict[str, Answer]:
    """Return what a host's commands did, by the facts' names; what it told before it hung counts.

    Args:
        shell: The host's, as root.
        facts: What it is asked.
        seconds: What it may take in all.
        command_seconds: What each command may take.

    Raises:
        ShellError: It can't be asked at all.
    """
    boundary = f"=azlocal-{secrets.token_hex(8)}="
    script = batch.script(facts, boundary, command_seconds)
    try:
        text = shell.run(["sh"], input=script, timeout=seconds, check=False).stdout
    except CommandError as error:
        text = error.stdout
        if boundary not in text:
            raise
    return batch.answers(text, boundary)
