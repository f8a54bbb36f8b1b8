"""Numbers, and what the system says, as people read them."""

import re

_NUMBER = re.compile(r"\[Errno -?\d+\] ")  # before the system's words


def counted(number: int, one: str, many: str = "") -> str:
    """`1 file`, `2 files`; `many`: the word for more, where it is not `one` and an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def reason(error: BaseException) -> str:
    """Why, without what Python puts beside it: the number, and the name of a file, which the sentence has already."""
    return (error.strerror if isinstance(error, OSError) else None) or _NUMBER.sub("", str(error))
