"""How many blocks a tree of files takes on a board's littlefs.

Source: littlefs SPEC.md (CTZ skip lists, metadata pairs) and lfs.c (lfs_ctz_index, lfs_dir_splittingcompact), with what
MicroPython's extmod/vfs_lfs.c asks for: blocks of 4 KiB and a cache of 128 bytes, up to which files lie in their directory.
"""

from collections import defaultdict
from collections.abc import Mapping

BLOCK = 4096  # bytes
_INLINE = 128  # bytes
_POINTER = 4
_PAIR = 2  # blocks of a directory, or of a part of a large one
_PART = BLOCK // 2  # bytes of entries from which on a directory is split
_ENTRY = 4 + 4 + 8  # bytes beside an entry's name: two tags, and where its blocks are


def blocks(sizes: Mapping[str, int]) -> int:
    """Of files by name ("lib/x.mpy") with their sizes in bytes; the directory that they lie in counts."""
    entries: dict[str, int] = defaultdict(int)
    entries[""] = 0
    for name, size in sizes.items():
        folder, _, last = name.rpartition("/")
        entries[folder] += _ENTRY + len(last.encode()) + (size if size <= _INLINE else 0)
        while folder:
            above, _, last = folder.rpartition("/")
            entries[above] += 0
            folder = above
    directories = sum(_PAIR * max(1, -(-size // _PART)) for size in entries.values())
    return directories + sum(_of_file(size) for size in sizes.values())


def _of_file(size: int) -> int:
    """littlefs' lfs_ctz_index, plus one."""
    if size <= _INLINE:
        return 0
    last = size - 1
    usable = BLOCK - 2 * _POINTER
    index = last // usable
    if index == 0:
        return 1
    return (last - _POINTER * ((index - 1).bit_count() + 2)) // usable + 1
