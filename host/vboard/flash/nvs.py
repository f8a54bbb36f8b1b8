"""ESP-IDF's key-value store on the nvs partition, as MicroPython's esp32.NVS uses it.

A value is written whole before the one it replaces is erased, in the order in which IDF writes to
the flash, so a power cut at any operation leaves here what it leaves on a chip. A blob is one or
more chunks of data and an index written last; its versions take turns at the chunk numbers from 0
and from 128.
Source: ESP-IDF 5.5 nvs_flash/src/nvs_storage.cpp; MicroPython ports/esp32/main.c (what it erases).
"""

import struct
from dataclasses import dataclass

from vboard.flash.nor import Flash
from vboard.flash.nvs_item import (
    CHUNK_MAX,
    ENTRY_SIZE,
    KEY_MAX,
    NO_CHUNK,
    Item,
    Kind,
    NvsError,
    Status,
)
from vboard.flash.nvs_page import Page
from vboard.flash.nvs_pages import Pages

__all__ = ["Nvs", "NvsError"]

_NAMESPACES = 0  # the namespace that holds the others' names
_NAMESPACE_MAX = 254
_VERSIONS = (range(0x80), range(0x80, 0xFF))  # chunk numbers of a blob's two versions
_SMALL_TAIL = CHUNK_MAX // 10  # bytes; a blob that does not fit is not begun in less
_I32 = struct.Struct("<i")
_INDEX = struct.Struct("<IBBH")


@dataclass(frozen=True, slots=True)
class _BlobIndex:
    size: int
    chunks: int
    start: int

    @classmethod
    def from_item(cls, item: Item) -> "_BlobIndex":
        return cls(*_INDEX.unpack(item.data)[:3])

    def to_bytes(self) -> bytes:
        return _INDEX.pack(self.size, self.chunks, self.start, 0xFFFF)

    @property
    def version(self) -> range:
        return _VERSIONS[self.start >= _VERSIONS[1].start]

    @property
    def numbers(self) -> range:
        return range(self.start, self.start + self.chunks)


class Nvs:
    """The store in `size` bytes of flash at `offset`. NvsError where IDF returns an error."""

    def __init__(self, flash: Flash, offset: int, size: int) -> None:
        """Mounts it as MicroPython does at start-up, which erases one with no page to spare."""
        try:
            self._pages = Pages(flash, offset, size)
        except NvsError as error:
            if error.code not in (Status.NO_FREE_PAGES, Status.NEW_VERSION_FOUND):
                raise
            flash.erase(offset, size, actor="nvs")
            self._pages = Pages(flash, offset, size)
        self._namespaces: dict[bytes, int] = {}
        for _, _, item in self._all(Kind.U8):
            if item.namespace == _NAMESPACES:
                self._namespaces.setdefault(item.key, item.data[0])
        self._drop_broken_blobs()

    def namespace(self, name: str) -> int:
        """The number of a namespace, which is made when it is new."""
        key = name.encode()
        known = self._namespaces.get(key[:KEY_MAX])
        if known is not None:
            return known
        taken = set(self._namespaces.values())
        number = next((n for n in range(1, _NAMESPACE_MAX + 1) if n not in taken), None)
        if number is None:
            raise NvsError.of(Status.NOT_ENOUGH_SPACE)
        self._set(_NAMESPACES, Kind.U8, key, bytes([number]))
        self._namespaces[key] = number
        return number

    def get_i32(self, namespace: int, key: str) -> int:
        found = self._pages.find(namespace, key.encode(), Kind.I32)
        if not found:
            raise NvsError.of(Status.NOT_FOUND)
        value: int = _I32.unpack(found[2].data[:4])[0]
        return value

    def set_i32(self, namespace: int, key: str, value: int) -> None:
        self._set(namespace, Kind.I32, key.encode(), _I32.pack(value))

    def get_blob(self, namespace: int, key: str, room: int | None = None) -> bytes:
        """`room`: size of the caller's buffer, bytes; a longer blob is an error."""
        name = key.encode()
        found = self._pages.find(namespace, name, Kind.BLOB_INDEX)
        if found:
            size = _BlobIndex.from_item(found[2]).size
        else:
            found = self._pages.find(namespace, name, Kind.OLD_BLOB)
            if not found:
                raise NvsError.of(Status.NOT_FOUND)
            size = found[2].data_size
        if room is not None and size > room:
            raise NvsError.of(Status.INVALID_LENGTH)
        page, index, item = found
        if item.kind == Kind.BLOB_INDEX:
            return self._read_blob(item)
        return self._read_data(page, index)

    def set_blob(self, namespace: int, key: str, value: bytes) -> None:
        name = key.encode()
        found = self._pages.find(namespace, name, Kind.BLOB_INDEX)
        version = _VERSIONS[0]
        if found:
            index = _BlobIndex.from_item(found[2])
            if index.size == len(value) and self._holds(found[2], value):
                return
            version = _VERSIONS[index.version is _VERSIONS[0]]
        older = found or self._pages.find(namespace, name, chunk=NO_CHUNK)
        self._write_blob(namespace, name, value, version.start)
        if older:
            self._erase(older[2])

    def erase_key(self, namespace: int, key: str) -> None:
        found = self._pages.find(namespace, key.encode(), chunk=NO_CHUNK)
        if not found:
            raise NvsError.of(Status.NOT_FOUND)
        self._erase(found[2], every_version=True)

    # --- single entries --------------------------------------------------------------------------

    def _set(self, namespace: int, kind: Kind, key: bytes, value: bytes) -> None:
        older = self._pages.find(namespace, key, kind)
        if older and older[2].data[: len(value)] == value:
            return
        older = older or self._pages.find(namespace, key, chunk=NO_CHUNK)
        if not self._pages.current.write_item(namespace, kind, key, value):
            self._pages.next_page()
            if not self._pages.current.write_item(namespace, kind, key, value):
                raise NvsError.of(Status.NOT_ENOUGH_SPACE)
        if older:
            self._erase(older[2])

    def _erase(self, item: Item, *, every_version: bool = False) -> None:
        """Erases the oldest item of that key and kind: it may have moved since it was found."""
        if item.kind == Kind.BLOB_INDEX:
            version = None if every_version else _BlobIndex.from_item(item).version
            self._erase_blob(item.namespace, item.key, version)
            return
        found = self._pages.find(item.namespace, item.key, item.kind)
        if not found:
            raise NvsError.of(Status.NOT_FOUND)
        page, index, _ = found
        page.erase_item(index)

    # --- blobs -----------------------------------------------------------------------------------

    def _chunks(self, item: Item) -> list[tuple[Page, int]] | None:
        """Where the data of a blob lies; None when some of it is missing."""
        chunks = []
        for number in _BlobIndex.from_item(item).numbers:
            found = self._pages.find(item.namespace, item.key, Kind.BLOB_DATA, number)
            if not found:
                return None
            chunks.append(found[:2])
        return chunks

    def _holds(self, item: Item, value: bytes) -> bool:
        chunks = self._chunks(item)
        return chunks is not None and b"".join(p.data(at) or b"" for p, at in chunks) == value

    def _read_blob(self, item: Item) -> bytes:
        chunks = self._chunks(item)
        if chunks is None:
            self._erase_blob(item.namespace, item.key, None)
            raise NvsError(1, "ESP_FAIL")
        return b"".join(self._read_data(page, at) for page, at in chunks)

    def _read_data(self, page: Page, at: int) -> bytes:
        """Raises NvsError for damaged data, which is erased."""
        data = page.data(at)
        if data is None:
            page.erase_item(at)
            raise NvsError.of(Status.NOT_FOUND)
        return data

    def _write_blob(self, namespace: int, key: bytes, value: bytes, start: int) -> None:
        if len(value) > min(self._pages.count - 1, len(_VERSIONS[1])) * CHUNK_MAX:
            raise NvsError.of(Status.VALUE_TOO_LONG)
        self._leave_small_tail(len(value))
        written: list[Page] = []
        try:
            at = 0
            while True:
                page = self._pages.current
                tailroom = page.tailroom
                if not tailroom:
                    raise NvsError.of(Status.NOT_ENOUGH_SPACE)
                part = value[at : at + tailroom]
                page.write_item(namespace, Kind.BLOB_DATA, key, part, start + len(written))
                written.append(page)
                at += len(part)
                if at < len(value) or tailroom - len(part) < ENTRY_SIZE:
                    self._pages.next_page()
                if at == len(value):
                    break
            index = _BlobIndex(len(value), len(written), start).to_bytes()
            self._pages.current.write_item(namespace, Kind.BLOB_INDEX, key, index)
        except NvsError:
            # IDF up to 5.5 forgets the version here (espressif/esp-idf pull request 18827): it
            # takes back chunks from 0 also when it wrote from 128, and those are the old value's.
            for number, page in enumerate(written):
                chunk = page.find(namespace, key, Kind.BLOB_DATA, number)
                if chunk is not None:
                    page.erase_item(chunk)
            raise

    def _leave_small_tail(self, size: int) -> None:
        tailroom = self._pages.current.tailroom
        while (tailroom < size or tailroom == size == 0) and tailroom < _SMALL_TAIL:
            self._pages.next_page()
            before, tailroom = tailroom, self._pages.current.tailroom
            if tailroom == before:
                raise NvsError.of(Status.NOT_ENOUGH_SPACE)

    def _erase_blob(self, namespace: int, key: bytes, version: range | None) -> None:
        """Index first, so that a cut leaves chunks that the next mount knows for orphans."""
        owner = (namespace, key)
        for page, at, item in self._all(Kind.BLOB_INDEX):
            if item.owner == owner and version in (None, _BlobIndex.from_item(item).version):
                page.erase_item(at)
        for page, at, item in self._all(Kind.BLOB_DATA):
            if item.owner == owner and (version is None or item.chunk in version):
                page.erase_item(at)

    def _drop_broken_blobs(self) -> None:
        """Erases indexes whose chunks are not all there, then chunks that no index counts."""
        chunks = [item for _, _, item in self._all(Kind.BLOB_DATA)]
        counted: set[tuple[int, bytes, int]] = set()
        for page, at, item in self._all(Kind.BLOB_INDEX):
            index = _BlobIndex.from_item(item)
            own = [c for c in chunks if c.owner == item.owner and c.chunk in index.version]
            if len(own) == index.chunks and sum(c.data_size for c in own) == index.size:
                counted.update((*item.owner, number) for number in index.numbers)
            else:
                page.erase_item(at)
        for page, at, item in self._all(Kind.BLOB_DATA):
            if item.identity not in counted:
                page.erase_item(at)

    def _all(self, kind: Kind) -> list[tuple[Page, int, Item]]:
        """Every item of a kind, oldest first, with its page and first entry."""
        return [(page, at, item) for page in self._pages.used for at, item in page.items.items() if item.kind == kind]
