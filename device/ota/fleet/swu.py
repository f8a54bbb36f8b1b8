"""The head of a .swu file as `otactl publish --swu` makes it: the one form of a release that every engine takes. Source:
cpio(5), "New ASCII Format"; sbabic/swupdate, doc/source/swupdate.rst. Its members are `sw-description`, which engines read,
`release.json`, the signed envelope, and perhaps the files that the release names, in its order and by its names."""

from micropython import const

from .. import steps
from ..errors import require

_FIXED = const(110)  # bytes of a header before the name
_SIZE, _NAMED = const(54), const(94)  # where it has the length of the data, and of the name with its NUL: 8 digits each
_MOST = const(8192)  # bytes of an envelope, and of what stands before it
_POLL_MS = const(5)


def envelope(response):
    """Steps that return the signed envelope, and where the header of the first file behind it begins; 0: there is none. Then
    the connection is closed. Raises OtaError engine-reply, and what Response.fill() raises."""
    at, data = 0, bytearray()
    try:
        for member in ("sw-description", "release.json", ""):
            fixed = yield from _take(response, _FIXED)
            try:
                size, named = [int(bytes(fixed[i : i + 8]), 16) for i in (_SIZE, _NAMED)]
            except ValueError:
                size = named = -1
            good = fixed[:6] == b"070701" and 0 <= size and 0 < named < _MOST
            require(good, "engine-reply", "swu")
            name = yield from _take(response, padded(_FIXED + named) - _FIXED)
            if not member:
                return data, 0 if name[:10] == b"TRAILER!!!" else at
            require(name[: named - 1] == member.encode() and size <= _MOST, "engine-reply", "swu")
            data = (yield from _take(response, padded(size)))[:size]
            at += padded(_FIXED + named) + padded(size)
    finally:
        response.close()


def place(targets: list, url: str, at: int) -> int:
    """Where in the .swu the file begins that one of `targets`, all of a release's, calls `url`. `at`: as from envelope()."""
    for target in targets:
        name = target.get("url")
        if name:
            at += padded(_FIXED + len(name) + 1)
            if name == url:
                break
            at += padded(target["size"])
    return at


def padded(n: int) -> int:
    return (n + 3) // 4 * 4


def _take(response, n: int):
    # Steps that return the next `n` bytes.
    body, have = bytearray(n), 0
    while have < n:
        require(not response.ended, "engine-reply", "swu")
        now = response.fill(memoryview(body), have, n)
        if now == have:
            yield steps.wait("server", _POLL_MS)
        have = now
    return body
