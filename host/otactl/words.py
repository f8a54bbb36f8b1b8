"""Numbers as people read them."""


def counted(number: int, one: str, many: str = "") -> str:
    """`1 file`, `2 files`; `many`: the word for more, where it is not `one` and an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"
