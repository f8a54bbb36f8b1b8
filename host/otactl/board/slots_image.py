"""What lies in a slot: an app image, where it ends, whether it is sound, or something else."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from otactl.errors import ReleaseError
from otactl.release.firmware import CHIPS, check

Read = Callable[[int, int], bytes]  # (offset, size) of bytes, counted from the slot's start
HEAD_SIZE = 288  # header, the first segment's header and the app descriptor
_MAGIC, _MOST_SEGMENTS = 0xE9, 16
_DESCRIPTOR = b"\x32\x54\xcd\xab"


@dataclass(frozen=True, slots=True)
class Content:
    """`kind`: image, blank or other. The texts are the app descriptor's; `chip` is esptool's name for it."""

    kind: str
    chip: str = ""
    version: str = ""
    project: str = ""
    built: str = ""
    idf: str = ""

    @property
    def said(self) -> str:
        if self.kind != "image":
            return {"blank": "blank", "other": "no app image"}[self.kind]
        return " ".join(word for word in (self.project, self.version) if word) or "an image"

    def fits(self, chip: str) -> bool:
        """Whether it is an image for that chip; "" fits all."""
        return self.kind == "image" and chip in ("", self.chip)


def look(head: bytes) -> Content:
    """From the first HEAD_SIZE bytes of a slot."""
    if head == b"\xff" * len(head):
        return Content("blank")
    if head[0] != _MAGIC or head[32:36] != _DESCRIPTOR:
        return Content("other")

    def text(at: int, size: int) -> str:
        raw = head[at : at + size].split(b"\0")[0].decode("latin-1")
        return "".join(c if c.isprintable() else "?" for c in raw).strip()

    number = int.from_bytes(head[12:14], "little")
    built = f"{text(128, 16)} {text(112, 16)}".strip()
    return Content("image", CHIPS.get(number, f"chip {number}"), text(48, 32), text(80, 32), built, text(144, 32))


def length(read: Read, size: int) -> int | None:
    """Bytes of the image in a slot of `size` bytes, with checksum and SHA-256; None where it has no end there."""
    head = read(0, 24)
    at = 24
    if head[0] != _MAGIC or head[1] > _MOST_SEGMENTS:
        return None
    for _ in range(head[1]):
        if at + 8 > size:
            return None
        at += 8 + struct.unpack("<II", read(at, 8))[1]
    at = (at + 16) & ~15
    at += 32 if head[23] == 1 else 0
    return at if at <= size else None


def fault(read: Read, size: int, chip: str) -> str:
    """Why no bootloader starts what is in a slot of `size` bytes, after reading all of it; "" where it is sound.

    `chip`: the board's, "" where that is not known.
    """
    content = look(read(0, HEAD_SIZE))
    if content.kind != "image":
        return "nothing" if content.kind == "blank" else content.said
    if not content.fits(chip):
        return f"an image for {content.chip}"
    end = length(read, size)
    if end is None:
        return "cut short"
    try:
        check(read(0, end), content.chip, "image")
    except ReleaseError:
        return "a damaged image"
    return ""
