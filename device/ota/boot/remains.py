"""What torn writes left in NVS. ESP-IDF repairs a page at a mount only up to the first entry whose first word reads as
erased; what it writes over later remains is spoilt without an error, or forgotten at the next start. Source: ESP-IDF
nvs_flash nvs_page.cpp: a page is 32 bytes of header, 32 of table (2 bits an entry), 126 entries of 32 bytes."""

from esp32 import Partition
from micropython import const

from ..errors import require
from . import store

_ACTIVE = const(0xFE)  # first byte of the page that is written to
_ENTRIES = const(126)
_FREE, _WRITTEN = 3, 2  # in the table


def pass_over() -> None:
    """Write fillers of one entry each until one lies behind all remains. An ordinary start writes nothing. Raises
    nothing but OtaError record, where there is no NVS."""
    parts = Partition.find(Partition.TYPE_DATA, label="nvs")  # type: ignore[call-arg]
    require(parts, "record", "no nvs partition")
    for number in range(256):
        if not _torn(parts[0]):
            return
        try:
            store.handle().set_i32("filler", number)
        except OSError:  # full, or worse: whoever saves will say so; a trial is armed all the same
            return


def _torn(part) -> bool:
    # Whether the active page has remains with no filler of ours behind them.
    head, entry, blank = bytearray(64), bytearray(32), b"\xff" * 32
    for page in range(part.info()[3] // 4096):
        part.readblocks(page, head)
        if head[0] == _ACTIVE:
            break
    torn = free = filled = False
    for i in range(_ENTRIES):
        part.readblocks(page, entry, 64 + 32 * i)
        state = head[32 + i // 4] >> i % 4 * 2 & 3
        free = free or state == _FREE
        if state != _FREE or entry != blank:  # ESP-IDF may take it, or one before it, for free
            torn = torn or free or entry[0] & entry[1] & entry[2] & entry[3] == 0xFF
            filled = state == _WRITTEN and entry[8:14] == b"filler"
    return torn and not filled
