"""Whether a value that somebody else wrote is of the kind, and within the limits, that are asked for."""


def fits(value: object, kinds: tuple, least: int, most: int) -> bool:
    """Whether `value` is of one of `kinds`, or one of the words there, and its number or length in the limits."""
    if type(value) not in kinds:  # not isinstance(): true is no number
        return value in kinds
    return least <= (len(value) if isinstance(value, (str, list, dict)) else value) <= most  # type: ignore
