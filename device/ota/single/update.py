"""Brings a release onto a board without two slots: unpack beside what runs, read back, note what the next start tries. All
of it is a generator of steps (steps.py)."""

import gc
import hashlib
import os

from micropython import const

from .. import steps
from ..console import say
from ..errors import OtaError, require
from . import let_go, record

_BLOCK = const(512)
_NO_SPACE, _EXISTS = const(28), const(17)
_PASSING = ("stalled", "dropped", "connect", "dns")


def install(settings: dict, kept: record.Record, release: dict, target: dict):
    """Steps until a release that look() gave is what the next start tries. Raises OtaError; nothing of what runs is written
    to."""
    say("release", release["version"], target["size"], "bytes")
    place, view = record.FOLDER + kept.other, memoryview(bytearray(_BLOCK))
    if (yield from _hash(place, view)) != release["sha256"]:  # else power went before it was noted
        _make_room(place, target, kept)
        let_go()  # before more is loaded: here an ESP8266 had the least memory
        address = _address(settings["url"], target["url"])
        for left in range(settings["tries"] - 1, -1, -1):
            let_go()
            try:
                yield from _unpack(settings, address, target, release["sha256"], view)
                break
            except OtaError as e:
                if not left or e.code not in _PASSING:
                    raise
            _empty()
        let_go()
        require((yield from _hash(record.NEW, view)) == release["sha256"], "read-back", record.NEW)
        os.rename(record.NEW, place)
    kept.attempt(release)
    say("switch", release["version"], "to", place)


def _hash(root: str, view: memoryview):
    # Steps that return the hash of the files in a directory: of the archive that they make.
    from ..install import tree

    gc.collect()  # what stays goes into the first hole: what comes later finds larger pieces
    reading = tree.read(root, view)
    while True:
        try:
            yield steps.progress("verify", next(reading), 0)
        except StopIteration as e:
            return e.value.sha256


def _make_room(place: str, target: dict, kept: record.Record) -> None:
    # P1: whether it fits is known before anything is removed. What is called a or b stays whole: it loses its name first.
    device = _device()
    let_go()
    from ..install import room, tree

    room.require_for(device, target, place, record.NEW)
    tree.remove(record.NEW)
    if kept.value["before"]:
        kept.set(before={})
    try:
        os.rename(place, record.NEW)
    except OSError:
        return  # there is none
    tree.remove(record.NEW)


# What each of the next has imported is let go after it, so none of it may be a name of this module: update and archive, plain HTTP
# and what port.py has beside it are more than an ESP8266 has room for at once.


def _device():
    from . import port

    return port.device()


def _fetch(settings: dict, address: str):
    from . import port

    return port.fetch(settings, address)


def _address(base: str, ref: str) -> str:
    from ..net import url

    return url.join(base, ref)


def _empty() -> None:
    from ..install import tree

    tree.remove(record.NEW)


def _reader(sink):
    from ..install.archive import Reader

    return Reader(sink)


def _unpack(settings: dict, address: str, target: dict, sha256: str, view: memoryview):
    opening = _fetch(settings, address)
    let_go()
    response = yield from opening
    del opening
    let_go()
    digest, sink, done = hashlib.sha256(), _Sink(target), 0
    try:
        reader = _reader(sink)
        let_go()
        while done < target["size"]:
            require(not response.ended, "dropped", "body")
            n = response.fill(view, 0, min(len(view), target["size"] - done))
            part = view[:n]
            digest.update(part)
            reader.feed(part)
            done += n
            yield steps.progress("download", done, target["size"]) if n else steps.wait("server", 5)
    except OSError as e:
        raise OtaError("no-space" if e.args[0] == _NO_SPACE else "flash-write", e.args[0])
    finally:
        response.close()
        sink.end()
    require(digest.digest().hex() == sha256, "hash-mismatch", "application")
    require(reader.ended and not sink.files and not sink.left, "bad-archive", "short")


class _Sink:
    """For the reader: files of NEW, held against what was signed before they are written."""

    def __init__(self, target: dict) -> None:
        self.files, self.left, self._file = target["files"], target["unpacked"], None  # type: ignore

    def begin(self, name: str, size: int) -> None:
        self.files -= 1
        self.left -= size
        require(self.files >= 0 and self.left >= 0, "bad-archive", name)
        path = record.NEW
        for part in name.split("/"):
            try:
                os.mkdir(path)
            except OSError as e:
                if e.args[0] != _EXISTS:
                    raise
            path += "/" + part
        self._file = open(path, "wb")  # type: ignore

    def data(self, part: memoryview) -> None:
        self._file.write(part)  # type: ignore

    def end(self) -> None:
        if self._file:
            self._file.close()
        self._file = None  # type: ignore
