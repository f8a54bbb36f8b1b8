"""A board's files, off it over its REPL and back onto it: what a new table would move is carried over by this machine.

A copy lies in a folder of its own until it is on the board again and compared, and stays there after that:

    provision/24-0a-c4-12-34-56-20261126T201649/
        kept.json    mac, files (path → SHA-256), folders, and how far it is: taken, begun, returned
        files/…      the files
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath

from otactl.board import agent
from otactl.board.link import Link
from otactl.board.provision.untouched import Print
from otactl.board.snippets import HASH
from otactl.errors import BoardError, RigError
from otactl.files import write_atomic

FOLDER = "provision"
_LIST = "kept.json"
_PIECE = 12 << 10  # bytes of a file in one answer
_BLOCK = 4096  # a file takes whole blocks of a littlefs
_A_FILE_S = 30  # to read and hash one, on the board
WHO = "':'.join('%02x' % byte for byte in __import__('machine').unique_id())"
_AGENT = ("/lib/ota/", "/etc/ota/")
_PORTS_OWN = "on every boot"  # in the first line of the boot.py that MicroPython makes
_SETUP = (
    HASH
    + """
import os, json
def _same(path):
    return os.statvfs(path)[:3] == os.statvfs("/")[:3]
def _walk(path):
    for entry in os.ilistdir(path or "/"):
        full = path + "/" + entry[0]
        if entry[1] & 0x4000:
            if _same(full):
                print(json.dumps([full, None, None]))
                _walk(full)
        else:
            print(json.dumps([full, os.stat(full)[6], _hash(full)]))
def _piece(path, at, size):
    with open(path, "rb") as f:
        f.seek(at)
        print(binascii.b2a_base64(f.read(size)).decode())
"""
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies on the filesystem at a board's root. `files`: path → (bytes, SHA-256). `size`: bytes of it in all."""

    files: dict[str, tuple[int, str]]
    folders: tuple[str, ...]
    size: int

    def of_a_person(self, read: Callable[[str], bytes]) -> list[str]:
        """The paths of all but MicroPython's own boot.py, the agent and its hooks. `read` gives a file's bytes."""
        return [path for path in sorted(self.files) if not path.startswith(_AGENT) and not _ours(path, read)]

    def digest(self, path: str) -> str:
        """Of a file; "" where it is not there."""
        return self.files[path][1] if path in self.files else ""

    @property
    def room(self) -> int:
        """Bytes that they take on a filesystem, at the most."""
        blocks = sum(-(-size // _BLOCK) for size, _ in self.files.values())
        return (blocks + 2 * len(self.folders)) * _BLOCK


@dataclass(frozen=True, slots=True)
class Returned:
    """`count` files are on the board as they were; those `left` are there with what somebody wrote since."""

    count: int
    left: tuple[str, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class Kept:
    """A copy in `folder`. `begun`: the board's flash may have been written to since; `returned`: all is back.

    `rest`: what the flash then held of the filesystem where nothing was to be written, as untouched.Print has it.
    """

    folder: Path
    mac: str
    files: dict[str, str]
    folders: tuple[str, ...]
    room: int  # bytes that they take on a filesystem, at the most
    begun: bool = False
    returned: bool = False
    rest: tuple[Print, ...] = ()

    def saved(self) -> "Kept":
        told = {key: value for key, value in asdict(self).items() if key != "folder"}
        write_atomic(self.folder / _LIST, (json.dumps(told, indent=1) + "\n").encode())
        return self

    def path(self, name: str) -> Path:
        return _inside(self.folder / "files", name)

    def whole(self, name: str) -> bool:
        """Whether a file is in the copy as it was on the board."""
        place = self.path(name)
        return place.is_file() and sha256(place.read_bytes()).hexdigest() == self.files[name]

    def lacks(self, found: Listing, paths: Sequence[str]) -> list[str]:
        """Which of a listing's files the copy has not, or has otherwise."""
        return [path for path in paths if self.files.get(path) != found.digest(path)]


def listing(link: Link) -> Listing:
    """Raises BoardError, RigError."""
    said = link.run(_SETUP + "\n_walk('')", timeout_s=_A_FILE_S, coming=True)
    try:  # by lines of the board's only: a name may hold what Python takes for the end of a line
        rows = [json.loads(line) for line in said.split("\n") if line.strip()]
        files = {path: (size, digest) for path, size, digest in rows if digest}
        folders = tuple(path for path, _, digest in rows if not digest)
    except ValueError:
        raise BoardError(
            f"the board at {link.device} does not list its files: does its program print all the time?"
        ) from None
    return Listing(files, folders, link.value("os.statvfs('/')[1] * os.statvfs('/')[2]"))


def reader(link: Link, found: Listing) -> Callable[[str], bytes]:
    """Gives a file of that listing; it is held against its SHA-256. Raises BoardError, RigError."""

    def read(path: str) -> bytes:
        size, digest = found.files[path]
        data = b""
        while len(data) < size:
            piece = base64.b64decode(link.run(f"_piece({path!r}, {len(data)}, {_PIECE})", timeout_s=_A_FILE_S))
            if not piece:
                break
            data += piece
        if sha256(data).hexdigest() != digest:
            raise BoardError(
                f"{path} on the board at {link.device} does not read the same twice: does a timer or a thread of its "
                "program write to it? if not, its flash may be worn"
            )
        return data

    return read


def take(link: Link, mac: str, base: Path, say: Say) -> Kept:
    """Copy the files of the board with that address into a new folder below `base`; its program is left stopped.

    Raises BoardError, also where they change meanwhile, RigError, OSError.
    """
    if (there := link.value(WHO)) != mac:
        raise RigError(f"another board is at {link.device} now ({there}, it was {mac}): run it again")
    found = listing(link)  # anew: its program may have run since a person was asked
    now = datetime.now(UTC)
    folder = base / FOLDER / f"{mac.replace(':', '-')}-{now:%Y%m%dT%H%M%S}"
    read = reader(link, found)
    for number, path in enumerate(sorted(found.files), 1):
        say(f"keeping {path} ({number} of {len(found.files)})")
        place = _inside(folder / "files", path)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, read(path), 0o600)
    folder.mkdir(parents=True, exist_ok=True)
    if listing(link) != found:
        raise BoardError(
            f"files on the board at {link.device} change while they are copied: does a timer or a thread of its program "
            "write to them? stop it, and run it again"
        )
    digests = {path: digest for path, (_, digest) in found.files.items()}
    kept = Kept(folder, mac, digests, found.folders, found.room)
    if wrong := [path for path in digests if not kept.whole(path)]:
        raise RigError(
            f"{kept.path(wrong[0])} is not what was read off the board: does this disk take two names for one, or one "
            "name in two cases? take another --workspace"
        )
    link.let_go()  # so that nothing is written until its flash is
    return kept.saved()


def unreturned(base: Path, mac: str) -> Kept | None:
    """The newest copy of that board's files that is not back on it, though its flash was written to since.

    Raises RigError for one that cannot be read.
    """
    for path in sorted((base / FOLDER).glob(f"{mac.replace(':', '-')}-*/{_LIST}"), reverse=True):
        try:
            raw = json.loads(path.read_text())
            rest = tuple((offset, size, md5) for offset, size, md5 in raw.get("rest", ()))
            kept = Kept(path.parent, **{**raw, "folders": tuple(raw["folders"]), "rest": rest})
        except (ValueError, TypeError, KeyError):
            raise RigError(f"{path} is damaged: move its folder away, with the files in it") from None
        if kept.begun:
            return None if kept.returned else kept
    return None


def give_back(link: Link, kept: Kept, say: Say) -> Returned:
    """Put the files of a copy onto the board, and compare. What a person has written there since stays.

    Raises BoardError, RigError.
    """
    there = listing(link)
    read = reader(link, there)
    changed = {path for path, digest in kept.files.items() if there.digest(path) not in ("", digest)}
    left = sorted(path for path in changed if not _ours(path, read))
    for folder in kept.folders:
        link.make_folder(folder)
    # what starts by itself comes last: a run that breaks off leaves no program with half of what it needs
    order = sorted(kept.files.keys() - set(left), key=lambda path: (path in ("/boot.py", "/main.py"), path))
    for number, path in enumerate(order, 1):
        say(f"putting back {path} ({number} of {len(order)})")
        if not kept.whole(path):
            raise RigError(f"{kept.path(path)} is not what was taken off the board any more")
        if there.digest(path) != kept.files[path]:
            link.put(path, kept.path(path).read_bytes())
    found = link.values("_hash", order, timeout_s=_A_FILE_S) if order else []
    wrong = [path for path, digest in zip(order, found, strict=True) if digest != kept.files[path]]
    if wrong:
        raise BoardError(f"the board does not hold {wrong[0]} as it was: the copy is in {kept.folder}")
    replace(kept, returned=True).saved()
    return Returned(len(order), tuple(left), kept.folder)


def _ours(path: str, read: Callable[[str], bytes]) -> bool:
    """Whether a boot.py or main.py is nobody's: MicroPython's, which is comments, or the agent's hook."""
    name = path.removeprefix("/")
    if name not in ("boot.py", "main.py"):
        return False
    text = read(path).decode(errors="replace")
    code = [line for line in text.splitlines() if line.strip() and line[:1] != "#"]
    return not text.strip() or (not code and _PORTS_OWN in text.splitlines()[0]) or text == agent.hook(name)


def _inside(folder: Path, name: str) -> Path:
    """Where a board's file lies on this machine: never outside of `folder`. Raises RigError."""
    place = folder.joinpath(*PurePosixPath(name.lstrip("/")).parts)
    if not place.resolve().is_relative_to(folder.resolve()):
        raise RigError(f"{name!r} is no name for a file on this machine: take it off the board by hand")
    return place
