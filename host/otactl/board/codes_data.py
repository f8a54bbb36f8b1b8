"""Sentences for the codes of releases with a data partition; codes.py has the others."""

DATA: dict[str, tuple[str, str]] = {
    "partition": (
        "The board has no such data partition, or never lets a release write it.",
        "Publish it for one of `data` in the board's configuration: docs/applications.md.",
    ),
    "data-size": (
        "The data is larger than its partition (bytes needed).",
        "Publish less, or give the board a table with a larger partition.",
    ),
    "data-room": (
        "The data has room neither beside the image in the other slot nor among the files (bytes needed).",
        "Publish less, or with --unsafe, which writes it in place: docs/applications.md.",
    ),
}
