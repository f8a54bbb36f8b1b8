"""A folder compiled for one board, and what keeps an application from it: all of that before anything is written."""

import hashlib
from base64 import b64decode
from dataclasses import dataclass

from otactl.board import agent, deploy, hooks, single
from otactl.board.link import Link
from otactl.errors import BoardError
from otactl.release import application, room
from otactl.release.application import Application, Asked
from otactl.release.firmware import CHIPS
from otactl.release.reads import Reads

_SPARE = 8  # blocks: directories, and what littlefs itself needs to write
# for the board, after deploy.FILES: whether its files lie on a littlefs, and how many blocks of 4 KiB are free
_ASK = """
def _room():
    try:
        from esp32 import Partition
        found = Partition.find(Partition.TYPE_DATA, label="vfs")
    except ImportError:
        import flashbdev
        found = [flashbdev.bdev]
    little, head = False, bytearray(16)
    for block in range(2):
        if found:
            found[0].readblocks(block, head, 0)
            little = little or head[8:] == b"littlefs"
    st = os.statvfs("/")
    return [little, st[0] * st[3] // 4096]
"""
_PATH = (
    "app-path: boot.py of yours does not put the application first, so that it would never run: add the lines that "
    "docs/applications.md has for it at its top, or remove it from the board for `otactl deploy` to write its own"
)


@dataclass(frozen=True, slots=True)
class Ready:
    """`single`: of a board without two slots. `main`: the text of its main.py, empty where it has none."""

    made: Application
    single: bool
    main: bytes


def ready(link: Link, asked: Asked) -> Ready:
    """What is to go onto the board at `link`. Writes nothing.

    Raises ReleaseError for a folder that no board would run, BoardError for a board that is not fit (app-path, filesystem,
    no-space), UsageError, RigError.
    """
    facts = deploy.facts(link)
    chip = CHIPS.get(facts["chip"])
    version = ".".join(map(str, facts["version"]))
    made = application.make(
        asked, Reads(facts["mpy"], f"as MicroPython {version} on the board reads it"), [chip] if chip else []
    )
    alone = single.is_single(facts)
    _require_path(_text(link, "/boot.py"), alone=alone)
    little, free = link.value("_room()", _ASK)
    if not little:
        raise BoardError(
            f"filesystem: the files of the board at {link.device} lie on FAT, which has no copy of a file that power cuts while "
            "it is written; an application wants a littlefs: `otactl provision` makes one",
            code="filesystem",
        )
    if made.blocks + _SPARE > free:
        need = (made.blocks + _SPARE) * room.BLOCK >> 10
        raise BoardError(
            f"no-space: the application takes {need} KiB of the board's files, {free * room.BLOCK >> 10} KiB are free: "
            "delete files of yours there, then again",
            code="no-space",
        )
    return Ready(made, alone, _text(link, "/main.py"))


def _text(link: Link, path: str) -> bytes:
    return b64decode(link.value(f"_text({path!r})") or "")


def _require_path(boot: bytes, *, alone: bool) -> None:
    """A boot.py that deploy does not replace must put the application's directory first."""
    text = boot.decode(errors="replace")
    if hooks.gives_way(text):
        return
    ours = single.BOOT if alone else agent.hook("boot.py")
    fit = ("ota.boot" in text and "start(" in text) if alone else '"/app-"' in text.replace("'", '"')
    if text != ours and not fit:
        raise BoardError(_PATH, code="app-path")


def digests(made: Application) -> dict[str, str]:
    """SHA-256 (hex) of each file of an application, by name."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in made.files.items()}
