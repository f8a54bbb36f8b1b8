"""The files of an application. Each slot has a directory of its own, which boot.py puts at the head of sys.path: so the
switch from slot to slot is the switch from program to program.

No module can have the directory's name, so that it hides none: `/app` would hide a program's own /app.py."""

import hashlib
import os

from micropython import const

from ..errors import require
from .archive import DEEPEST, TRAILER, header

FOLDER = "/app-"  # then the slot's name
BLOCK = 4096  # bytes, of littlefs on these chips
_IS_FOLDER = const(0x4000)
_FEW = const(8)
_INLINE = const(128)  # bytes: what littlefs keeps beside the name, on an ESP32


def walk(root: str, under: str = ""):
    """Name and size of each file, in the archive's order; of a directory too that no archive has: an empty one, one too deep.
    Nothing where there is no such directory."""
    entries, last = _after(root + under, ""), ""
    if (under and not entries) or under.count("/") >= DEEPEST:
        yield under[1:] + "/", 0
        return
    while entries:
        for entry in entries:
            last = entry[0]
            name = under + "/" + last
            if entry[1] & _IS_FOLDER:
                yield from walk(root, name)
            else:
                yield name[1:], entry[3]
        entries = _after(root + under, last)


def _after(path: str, last: str) -> list:
    # The first few entries of a directory whose names come after `last`: one of hundreds of files has no room in memory.
    found: list = []
    try:
        for entry in os.ilistdir(path):
            if entry[0] > last:
                found.append(entry)
                if len(found) == 2 * _FEW:
                    found = sorted(found)[:_FEW]
    except OSError:
        pass  # there is none
    return sorted(found)[:_FEW]


class Tree:
    """The archive of the files in directory `root`, made again: a source. `files`, `unpacked` (bytes of all files) and
    `size` (of the archive) are of what has been given so far; `sha256` (hex; empty: no file is there) as read() finds it."""

    etag = None

    def __init__(self, root: str) -> None:
        self._root, self._members, self._file = root, walk(root), None  # type: ignore
        self.files = self.unpacked = self.size = 0
        self.sha256 = ""
        self._head, self._left, self._pad = b"", 0, 0
        self.ended = self._last = False

    def open(self, offset: int, etag: "str | None"):
        """As HttpSource.open(): always from the first byte on."""
        self.close()
        self.__init__(self._root)  # type: ignore[misc]
        self.offset = 0
        return
        yield

    def fill(self, buf: memoryview, have: int, want: int) -> int:
        """As Response.fill(). Raises OtaError read-back where a file is shorter than it was."""
        before = have
        while have < want and not self.ended:
            if self._head:
                n = min(len(self._head), want - have)
                buf[have : have + n] = self._head[:n]
                self._head = self._head[n:]
            elif self._left:
                n = self._file.readinto(buf[have : min(want, have + self._left)])  # type: ignore
                require(n, "read-back", self._root)
                self._left -= n
            else:
                n = 0
                self._next()
            have += n
        self.size += have - before
        return have

    def _next(self) -> None:
        # To the next file, to the end of the archive after the last one, or past that.
        self.close()
        self.ended = self._last
        member = None
        for found in self._members:  # next() of two arguments came with MicroPython 1.25
            member = found
            break
        self._last = member is None
        name, size = member or (TRAILER, 0)
        self._head = bytes(self._pad) + header(name, size)
        self._left, self._pad = size, -size % 4
        if not self._last:
            self.files += 1
            self.unpacked += size
            if size:
                self._file = open(self._root + "/" + name, "rb")  # type: ignore

    def close(self) -> None:
        if self._file:
            self._file.close()
        self._file = None  # type: ignore


def read(root: str, view: memoryview):
    """Hash all files of a directory: a generator of the archive's bytes so far, that returns its Tree."""
    tree, digest = Tree(root), hashlib.sha256()
    try:
        while not tree.ended:
            n = tree.fill(view, 0, len(view))
            digest.update(view if n == len(view) else view[:n])
            yield tree.size
    finally:
        tree.close()
    if tree.files:
        tree.sha256 = digest.digest().hex()
    return tree


def holds(label: str, app: str) -> bool:
    """Whether the directory of that slot has the application whose hash begins so, at once; "": none at all."""
    reading = read(FOLDER + label, memoryview(bytearray(512)))
    while True:
        try:
            next(reading)
        except StopIteration as e:
            return e.value.sha256[: len(app) or None] == app


def remove(root: str) -> None:
    """A directory with all that is in it, however deep, or a file of that name; if it is there."""
    try:
        os.remove(root)  # a file, or an empty directory
        return
    except OSError:
        path = root if root[1:] in os.listdir("/") else ""
    while path:
        entries = _after(path, "")
        for entry in entries:
            name = path + "/" + entry[0]
            if entry[1] & _IS_FOLDER:
                path = name
                break
            os.remove(name)
        if not entries:
            os.rmdir(path)
            path = path[: path.rfind("/")] if path != root else ""


def blocks(root: str, folder: int = 2) -> int:
    """How many blocks the files of a directory take, and it itself, at the least; nothing where there is no such directory.
    `folder`: of each directory; 4 to know what statvfs() counts more once it is gone: littlefs shows it each twice."""
    found, folders = 0, [root]
    while folders:
        path = folders.pop()
        try:
            entries = os.ilistdir(path)
        except OSError:
            continue
        found += folder
        for entry in entries:
            if entry[1] & _IS_FOLDER:
                folders.append(path + "/" + entry[0])
            elif entry[3] > _INLINE:  # type: ignore[misc]
                found += -(-entry[3] // BLOCK)  # type: ignore[misc]
    return found
