"""What somebody nearly wrote: the name that is meant by a wrong one."""

from collections.abc import Iterable


def nearest(text: str, known: Iterable[str], likeness: float) -> str | None:
    """Return which of the known names a text is most like; None where none is like enough.

    Args:
        text: What is written.
        known: What could be meant.
        likeness: How alike the two have to be, 0 to 1 (difflib's ratio).
    """
    from difflib import get_close_matches  # only what is wrong needs it: no sound plan waits for the module

    near = get_close_matches(text, list(known), n=1, cutoff=likeness)
    return near[0] if near else None
