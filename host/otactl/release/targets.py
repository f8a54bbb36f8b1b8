"""The targets of a release, by what they are."""

from collections.abc import Iterable
from typing import Any

FIRMWARE, APPLICATION, DATA = "firmware", "application", "data"
Target = dict[str, Any]


def firmwares(targets: Iterable[Target]) -> list[Target]:
    """Those with an image for a chip."""
    return [target for target in targets if target["kind"] == FIRMWARE]


def applications(targets: Iterable[Target]) -> list[Target]:
    """Those with an archive of files. Several differ in the chip alone."""
    return [target for target in targets if target["kind"] == APPLICATION]


def datas(targets: Iterable[Target]) -> list[Target]:
    """Those with the bytes of a data partition. Several differ in the chip alone."""
    return [target for target in targets if target["kind"] == DATA]


def parts(targets: Iterable[Target]) -> str:
    """For a table: "esp32 esp32s3 app data"."""
    every = list(targets)
    chips = [str(target["chip"]) for target in firmwares(every)]
    return " ".join([*chips, *(["app"] if applications(every) else []), *(["data"] if datas(every) else [])])
