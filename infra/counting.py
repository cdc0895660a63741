"""How a number of things is written, wherever people read one."""


def counted(count: int, noun: str) -> str:
    """Write a number of things: `1 error`, `2 networks`, `3,000 addresses`.

    Args:
        count: How many.
        noun: One of them; the last word takes the plural.
    """
    return f"{count:,} {noun}{'' if count == 1 else 'es' if noun.endswith('s') else 's'}"


def agreeing(count: int, total: int, verb: tuple[str, str]) -> str:
    """Return the verb that goes with `count of total`: `0 of 1 machine is left`, `0 of 3 machines are left`.

    Args:
        count: How many of them.
        total: How many there are.
        verb: For one, and for several.
    """
    return verb[count != 1 and total != 1]


IS_LEFT = ("is left", "are left")
