"""The archive of an application: cpio "newc", and of all that could be written in that format one form only, so that a
tree of files makes the very bytes again: its SHA-256 is that of the tree as well.

Source: cpio(5), "New ASCII Format". Here only regular files are members; all fields of a header but the lengths of name
and data are fixed; members are in the order of a walk that takes each directory's entries by name."""

from micropython import const

from ..errors import require

TRAILER = "TRAILER!!!"
_FIXED = const(110)  # bytes of a header before the name
_SIZE, _NAMED = const(54), const(94)  # where it has the length of the data, and of the name with its NUL: 8 digits each
_LONGEST = const(255)  # bytes of a name
DEEPEST = 12  # parts of a name: each takes C stack where the files are walked, and an ESP8266 has little


def header(name: str, size: int) -> bytes:
    """What stands before the `size` bytes of file `name`: a multiple of four bytes."""
    raw = name.encode()
    text = "070701%08X%08X%016X%08X%08X%08X%032X%08X%08X" % (0, 0o100644, 0, 1, 0, size, 0, len(raw) + 1, 0)
    return text.encode() + raw + bytes(4 - (_FIXED + len(raw)) % 4)


def _good(name: str, before: str) -> bool:
    # Whether a file may have that name, and come after file `before`.
    parts = name.split("/")
    odd = [part for part in parts if part in ("", ".", "..")]
    in_order = not before or (parts > before.split("/") and not name.startswith(before + "/"))
    return not odd and len(parts) <= DEEPEST and "\\" not in name and "\0" not in name and in_order


class Reader:
    """Takes an archive apart as its bytes come. `sink` has begin(name, size), data(part) for each part of the file, end()."""

    def __init__(self, sink) -> None:
        self._sink = sink
        self._name = ""  # of the last file
        self._left = self._pad = 0  # bytes of its data that are to come; zeros after them
        self._head = bytearray()  # what has come of these zeros and the next header
        self._want = _FIXED  # how much of that has to be there to look at it
        self.ended = False

    def feed(self, view: memoryview) -> None:
        """The next bytes. Raises OtaError bad-archive, and what the sink raises. Allocates nothing for a block that lies
        within a file."""
        at, n = 0, len(view)
        while at < n:
            require(not self.ended, "bad-archive", "trailer")
            if self._left:
                part = view if at == 0 and n <= self._left else view[at : at + min(self._left, n - at)]
                self._sink.data(part)
                self._left -= len(part)
                if not self._left:
                    self._sink.end()
            else:
                part = view[at : at + self._want - len(self._head)]
                self._head += part
                if len(self._head) == self._want:
                    try:
                        self._look()
                    except ValueError:  # no number, no UTF-8
                        require(False, "bad-archive", "header")
            at += len(part)

    def _look(self) -> None:
        # As much of a header as was wanted is there.
        head, start = self._head, self._pad
        size, named = [int(bytes(head[start + at : start + at + 8]), 16) for at in (_SIZE, _NAMED)]
        require(size >= 0 and 1 < named <= _LONGEST + 1, "bad-archive", "header")
        whole = start + (_FIXED + named + 3) // 4 * 4
        if len(head) < whole:
            self._want = whole
            return
        name = str(head[start + _FIXED : start + _FIXED + named - 1], "utf-8")
        require(head == bytes(start) + header(name, size), "bad-archive", "header")
        if name == TRAILER:
            self.ended = True
            return
        require(_good(name, self._name), "bad-archive", name)
        self._sink.begin(name, size)
        if not size:
            self._sink.end()
        self._name, self._left, self._pad = name, size, -size % 4
        self._head, self._want = bytearray(), self._pad + _FIXED
