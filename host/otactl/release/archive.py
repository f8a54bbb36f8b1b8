"""The archive of an application: cpio newc in one form only, so that the same files always make the same bytes.

A board that has the files can therefore make the archive again, and hold its SHA-256 against the signed one. Directories are
implied by the names of their files. Source: cpio(5), "New ASCII Format"; GNU cpio and bsdtar list and extract it.
"""

from collections.abc import Iterable, Iterator, Mapping

from otactl.errors import ReleaseError

_MAGIC = b"070701"
_MODE = 0o100644  # a regular file; the trailer has it as well
_FIELDS = 13  # of 8 hex digits each, behind the magic
_HEAD = len(_MAGIC) + 8 * _FIELDS
_FILESIZE, _NAMESIZE = 6, 11  # which of the fields
TRAILER = "TRAILER!!!"
_DEEPEST = 12  # parts of a name: what a board has C stack to walk
_LONGEST = 255  # bytes of a name with its directories; littlefs holds as much for each part of it


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive of files by name ("app.mpy", "lib/x.mpy"). Raises ReleaseError for a name that no board takes."""
    check(files)
    members = [member(name, files[name]) for name in ordered(files)]
    return b"".join([*members, member(TRAILER, b"")])


def unpack(data: bytes) -> dict[str, bytes]:
    """The files in an archive, by name. Raises ReleaseError where `pack` would not have made these very bytes of them."""
    try:
        found = dict(_members(data))
    except (ValueError, IndexError) as error:
        raise ReleaseError(f"no archive of an application: {error}") from None
    if pack(found) != data:
        raise ReleaseError("no archive of an application: cpio, but not as `otactl publish` makes it")
    return found


def ordered(names: Iterable[str]) -> list[str]:
    """Names as a walk meets them that takes the entries of each directory sorted by name."""
    return sorted(names, key=lambda name: name.split("/"))


def check(names: Iterable[str]) -> None:
    """Raises ReleaseError for a name that no board takes, and for one that is a file and a directory."""
    known = set(names)
    for name in known:
        if fault := fault_of(name):
            raise ReleaseError(f"{name!r}: {fault}")
        parts = name.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in known:
                raise ReleaseError(f"{'/'.join(parts[:depth])!r} is a file and a directory")


def fault_of(name: str) -> str:
    """Why no board takes a file of that name; empty where it does."""
    if name == TRAILER:
        return "the archive ends with this name: call it otherwise"
    if "\\" in name or "\0" in name:
        return "a name with a backslash or a NUL"
    try:
        coded = name.encode()
    except UnicodeEncodeError:
        return "a name that is no UTF-8"
    if any(part in (b"", b".", b"..") for part in coded.split(b"/")):
        return "not a path below the application's folder"
    if len(coded) > _LONGEST:
        return f"a name of more than {_LONGEST} bytes, which boards do not take"
    if coded.count(b"/") >= _DEEPEST:
        return f"more than {_DEEPEST - 1} folders deep, which boards do not take"
    return ""


def member(name: str, data: bytes) -> bytes:
    """One file with its header."""
    coded = name.encode() + b"\0"
    fields = [0, _MODE, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(coded), 0]
    head = _MAGIC + b"".join(b"%08X" % field for field in fields)
    return _padded(head + coded) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while True:
        head = data[at : at + _HEAD]
        if len(head) < _HEAD or not head.startswith(_MAGIC):
            raise ValueError(f"no cpio header at byte {at}")
        fields = [int(head[i : i + 8], 16) for i in range(len(_MAGIC), _HEAD, 8)]
        name = data[at + _HEAD : at + _HEAD + fields[_NAMESIZE]].removesuffix(b"\0").decode()
        at = _aligned(at + _HEAD + fields[_NAMESIZE])
        if name == TRAILER:
            return
        content = data[at : at + fields[_FILESIZE]]
        if len(content) < fields[_FILESIZE]:
            raise ValueError(f"{name} is cut short")
        yield name, content
        at = _aligned(at + len(content))


def _aligned(offset: int) -> int:
    return offset + -offset % 4
