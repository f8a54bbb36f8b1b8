"""Whether an application fits (P1): known before anything is erased."""

import os

from micropython import const

from ..errors import require
from . import tree

_SPARE = const(8)  # blocks: what littlefs itself needs to write


def require_for(device, wanted: dict, *emptied: str) -> None:
    """`device`: where the files lie, or None; `wanted`: `blocks` as they were signed, or None, `files`, `unpacked`; `emptied`:
    directories whose blocks come free before it. Raises OtaError filesystem, no-space."""
    # FAT has no copy of a file that power cuts while it is written, and moves no directory at once.
    require(device and _is_littlefs(device), "filesystem")
    free, need = os.statvfs("/")[3], wanted.get("blocks")
    if need is None:  # nobody has counted them
        need = wanted["unpacked"] // tree.BLOCK + wanted["files"]
    need += _SPARE
    for root in emptied:
        free += tree.blocks(root, 4)
    require(need <= free, "no-space", f"{need * tree.BLOCK} {free * tree.BLOCK}")


def _is_littlefs(device) -> bool:
    # Its superblock lies in the first two sectors; power may have gone while one was written.
    head = bytearray(16)
    for block in range(2):
        device.readblocks(block, head, 0)
        if head[8:] == b"littlefs":
            return True
    return False
