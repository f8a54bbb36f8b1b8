"""The files of an application. Each slot has a directory of its own, which boot.py puts at the head of sys.path: so the
switch from slot to slot is the switch from program to program.

No module can have the directory's name, so that it hides none: `/app` would hide a program's own /app.py."""

import hashlib
import os

from micropython import const

from ..errors import require
from .archive import TRAILER, header

FOLDER = "/app-"  # then the slot's name
_IS_FOLDER = const(0x4000)
_INLINE = const(128)  # bytes: what littlefs keeps beside the name, on an ESP32


def walk(root: str, under: str = ""):
    """Name and size of each file, in the archive's order; of an empty directory too, which no archive has. Nothing where
    there is no such directory."""
    try:
        entries = sorted(os.ilistdir(root + under))
    except OSError:
        return
    if under and not entries:
        yield under[1:] + "/", 0
    for entry in entries:
        name = under + "/" + entry[0]
        if entry[1] & _IS_FOLDER:
            yield from walk(root, name)
        else:
            yield name[1:], entry[3]  # type: ignore[misc]


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
                n = self._file.readinto(buf[have : min(want, have + self._left)])
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
        name, size = next(self._members, (TRAILER, 0))
        self._last = name == TRAILER
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
    """A directory with all that is in it, if it is there."""
    try:
        entries = list(os.ilistdir(root))
    except OSError:
        return
    for entry in entries:
        path = root + "/" + entry[0]
        if entry[1] & _IS_FOLDER:
            remove(path)
        else:
            os.remove(path)
    os.rmdir(root)


def blocks(root: str, block: int) -> int:
    """How many blocks of so many bytes the files of a directory take, at the least."""
    return sum(-(-size // block) for _, size in walk(root) if size > _INLINE)
