"""The target of kind `application`: the directory of the next slot. The verbs are those of firmware.Firmware. The directory
of the slot that runs is never written to."""

import hashlib
import os

from micropython import const

from ..boot import record
from ..errors import OtaError, require
from . import let_go

_NO_SPACE = const(28)  # ENOSPC
_EXISTS = const(17)  # EEXIST


def part(config: dict, label: str, kept: record.Record, running: str, wanted: dict):
    """What fills the directory of slot `label`: the source and the target. `running`: the slot whose files are copied, where
    `wanted` has no `url`. The rest as Application has it."""
    target = Application(kept, label, wanted)
    if wanted["url"]:
        from .source import HttpSource

        return HttpSource(config, wanted["url"], wanted["size"]), target
    from . import tree

    return tree.Tree(tree.FOLDER + running), target


class Application:
    """Of slot `label`. `wanted`: `size` and `sha256` (hex) of the archive, `files`, and `unpacked`, the bytes of all of them,
    as they were signed. Size 0: no application, the directory is emptied."""

    def __init__(self, kept: record.Record, label: str, wanted: dict) -> None:
        self._record, self._label, self._wanted = kept, label, wanted
        self._root = "/app-" + label
        self.size, self.sha256 = wanted["size"], wanted["sha256"]
        self.offset = 0  # bytes of the archive that have been taken apart
        self.etag: "str | None" = None
        self._file = None  # type: ignore
        self._reader = None  # None: nothing has to be written

    def prepare(self, view: memoryview):
        """The files may be there already; else the directory is emptied. A generator of the bytes done."""
        from . import tree

        found = yield from tree.read(self._root, view)
        if found.sha256 == self.sha256:
            self.offset = self.size
        else:
            self.rewind()
        let_go("tree", "archive")  # their memory is TLS's while its connection opens

    def rewind(self) -> None:
        """Begin again, with an empty directory. Raises OtaError flash-write, record."""
        from . import tree

        self.close()
        self._record.forget(self._label)
        try:
            tree.remove(self._root)
        except OSError as e:
            raise OtaError("flash-write", e.args[0])
        self.offset = 0
        self._files, self._unpacked = self._wanted["files"], self._wanted["unpacked"]  # what may come yet
        self._hash, self._reader = hashlib.sha256(), None

    def accept(self, head: "bytearray | memoryview", etag: "str | None") -> None:
        from . import archive

        self.etag, self._reader = etag, archive.Reader(self)  # type: ignore[assignment]

    def write(self, view: memoryview, n: int) -> None:
        """The next `n` bytes of the archive. Raises OtaError bad-archive, no-space, flash-write."""
        part = view if n == len(view) else view[:n]
        self._hash.update(part)
        try:
            self._reader.feed(part)  # type: ignore[attr-defined]
        except OSError as e:
            raise OtaError("no-space" if e.args[0] == _NO_SPACE else "flash-write", e.args[0])
        self.offset += n

    def begin(self, name: str, size: int) -> None:
        """For the reader: a file comes. Held against what was signed before it is written."""
        self._files -= 1
        self._unpacked -= size
        require(self._files >= 0 and self._unpacked >= 0, "bad-archive", name)
        path = self._root
        for part in name.split("/"):
            _make_folder(path)
            path += "/" + part
        self._file = open(path, "wb")  # type: ignore

    def data(self, part: memoryview) -> None:
        self._file.write(part)  # type: ignore

    def end(self) -> None:
        self._file.close()  # type: ignore
        self._file = None

    def close(self) -> None:
        """Of a transfer that broke off."""
        if self._file:
            self.end()

    def verify(self) -> None:
        """What came is what was signed. Raises OtaError hash-mismatch, bad-archive."""
        reader = self._reader  # type: ignore
        if reader and self.size:
            require(self._hash.digest().hex() == self.sha256, "hash-mismatch", "application")
            require(reader.ended and not self._files and not self._unpacked, "bad-archive", "short")

    def commit(self, view: memoryview):
        """Read back (P3), by making the archive again: a generator of its bytes. The switch is the slot's. Raises OtaError
        read-back."""
        from . import tree

        found = yield from tree.read(self._root, view)
        require(found.sha256 == self.sha256, "read-back", self._root)


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path)
    except OSError as e:
        if e.args[0] != _EXISTS:
            raise
