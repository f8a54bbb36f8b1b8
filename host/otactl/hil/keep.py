"""What a board was found with, put aside on the board itself, and put back: also after a run that was broken off.

Only what the suite is going to change is put aside. Files are moved, not copied: a move is one step of the file system,
costs no time, and no room. A manifest, written before the first move, says what there was; it is the last to go. Otadata is
put back to the slot that it named, the agent's record in NVS as it was.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from otactl.board.snippets import HASH, RECORD
from otactl.errors import BoardError
from otactl.hil.program import FOLDER

if TYPE_CHECKING:
    from otactl_pytest.board import Board

KEPT = f"{FOLDER}/kept"
_MANIFEST = f"{KEPT}/manifest.json"
_UNFINISHED = f"{_MANIFEST}.new"
OURS = ("/boot.py", "/main.py", "/app.py", "/lib/ota/", "/etc/ota/")  # where deploy and the suite write
_LONG_S = 120.0  # hashing all files of a board, removing a folder of many
_BLOCK = 4096
_SLACK = 12 * _BLOCK  # for the program's data, the journal and the manifest

_CALLS = f"""{HASH}{RECORD}
import os, json
def _is(path):
    try:
        return os.stat(path)[0] >> 14  # 1: a folder, 2: a file
    except OSError:
        return 0
def _files(path, skip):
    found = []
    for entry in os.ilistdir(path or "/"):
        name = path + "/" + entry[0]
        if name == skip:
            continue
        if entry[1] & 0x4000:
            found += _files(name, skip)
        else:
            found.append(name)
    return found
def _remove(path):
    kind = _is(path)
    if kind == 1:
        for entry in os.ilistdir(path):
            _remove(path + "/" + entry[0])
        os.rmdir(path)
    elif kind == 2:
        os.remove(path)
def _aside(number):
    return "%s/%d" % ({KEPT!r}, number)  # a number, as no two paths have the same
def _inventory():
    return dict((name, _hash(name)) for name in _files("", {FOLDER!r}))
def _ours(path):
    return any(path == one or one[-1] == "/" and path[:len(one)] == one for one in {OURS!r})
def _folders(path=""):
    found = []
    for entry in os.ilistdir(path or "/"):
        name = path + "/" + entry[0]
        if entry[1] & 0x4000 and name != {FOLDER!r}:
            found += [name] + _folders(name)
    return found
def _strange():
    # without a manifest nothing but the beginning of one is the suite's
    kind = _is({FOLDER!r})
    return [{FOLDER!r}] if kind == 2 else [path for path in _files({FOLDER!r}, {_UNFINISHED!r})] if kind else []
def _write(kept):
    with open({_UNFINISHED!r}, "w") as f:
        json.dump(kept, f)
    os.rename({_UNFINISHED!r}, {_MANIFEST!r})
def _read():
    with open({_MANIFEST!r}) as f:
        return json.load(f)
def _take(named, other, wanted):
    _make({FOLDER!r})
    _make({KEPT!r})
    there = _inventory()
    aside = [path for path in there if _ours(path) and wanted.get(path) != there[path]]
    _write(dict(named=named, other=other, record=_record(), aside=aside, folders=_folders(), inventory=there))
    for number, path in enumerate(aside):
        os.rename(path, _aside(number))
def _spare(path):
    kept = _read()
    if path in kept["inventory"] and path not in kept["aside"]:
        kept["aside"].append(path)
        _write(kept)
        os.rename(path, _aside(len(kept["aside"]) - 1))
def _make(path):
    if not _is(path):
        os.mkdir(path)
def _put_back():
    kept = _read()
    for path in _files("", {FOLDER!r}):
        if _ours(path) and path not in kept["inventory"]:
            os.remove(path)
    for folder in kept["folders"]:
        _make(folder)
    for number, path in enumerate(kept["aside"]):
        if _is(_aside(number)):  # else it was not moved, or is back already
            os.rename(_aside(number), path)
    for folder in reversed(_folders()):
        if folder not in kept["folders"] and (_ours(folder + "/") or folder in ("/lib", "/etc")):
            os.rmdir(folder)  # deploy made it
    _set_record(kept["record"])
def _forget():
    # the manifest is the last file of the suite's: what lies in its folder without one is somebody else's
    for path in _files({FOLDER!r}, {_MANIFEST!r}):
        os.remove(path)
    os.remove({_MANIFEST!r})
    _remove({FOLDER!r})
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a board was found with. `named`: the slot that otadata named. `other`: the slot where updates go, and the sketch
    of what it held. `files`: path -> SHA-256. `record`: the agent's entries in NVS."""

    named: str
    other: tuple[str, str]
    files: dict[str, str]
    record: dict[str, Any]


def broken_off(board: "Board") -> bool:
    """Whether a run before this one left the board as it was in the middle of it. Raises RigError."""
    board.to_prompt()
    return bool(board.link.value(f"_is({_MANIFEST!r})", _CALLS))


def take(board: "Board", named: str, other: tuple[str, str], wanted: dict[str, bytes]) -> Found:
    """Put aside what the suite writes over. `named`, `other`: as `Found` has them; `wanted`: path -> what is going to be
    there.

    Raises BoardError, with the code vfs-full where the file system has too little room, also where the suite's folder is
    somebody else's; RigError. Where it was broken off, `broken_off` says whether there is anything to put back.
    """
    board.fresh()  # what was looked at before has left buffers, and an inventory takes memory
    if strange := board.link.value("_strange()", _CALLS):
        raise BoardError(f"{strange[0]} on {board.name} lies where the suite puts its own files: rename {FOLDER}")
    board.console.note("the board's own files are put aside")
    hashes = {path: sha256(data).hexdigest() for path, data in wanted.items()}
    there, free = board.link.value(
        "[_inventory(), (lambda s: s[0] * s[3])(os.statvfs('/'))]", _CALLS, timeout_s=_LONG_S
    )
    new = [data for path, data in wanted.items() if there.get(path) != hashes[path]]
    need = sum(-(-len(data) // _BLOCK) * _BLOCK for data in new) + _SLACK
    if free < need:
        raise BoardError(
            f"vfs-full: {board.name} has {free} bytes free in its file system, the suite needs {need}: delete files of yours",
            code="vfs-full",
        )
    board.link.run(f"{_CALLS}\n_take({named!r}, {list(other)!r}, {hashes!r})", timeout_s=_LONG_S)
    return kept(board)


def spare(board: "Board", path: str) -> None:
    """Put aside one more file, which a test is going to spoil: it may be the board's own, left where it was because the
    suite wants the same. Raises BoardError, RigError."""
    board.to_prompt()
    board.link.run(f"{_CALLS}\n_spare({path!r})")


def kept(board: "Board") -> Found:
    """What the manifest on the board says. Raises BoardError, RigError."""
    board.to_prompt()
    raw = board.link.value(f"json.load(open({_MANIFEST!r}))", "import json", timeout_s=_LONG_S)
    return Found(raw["named"], (raw["other"][0], raw["other"][1]), raw["inventory"], raw["record"])


def put_back(board: "Board") -> Found:
    """Files and record as they were; what else the suite left is removed. The slot is the caller's to see to.

    May be done again after it was broken off. Raises BoardError, RigError.
    """
    found = kept(board)
    board.console.note("the board's own files are put back")
    board.link.run(f"{_CALLS}\n_put_back()", timeout_s=_LONG_S)
    return found


def forget(board: "Board") -> None:
    """The last step: without its manifest nothing tells that the suite was here. Raises BoardError, RigError."""
    board.to_prompt()
    board.link.run(f"{_CALLS}\n_forget()", timeout_s=_LONG_S)


def differences(board: "Board", found: Found) -> list[str]:
    """What is not as it was found, in words. Raises BoardError, RigError."""
    board.to_prompt()
    now = board.link.value("_inventory()", _CALLS, timeout_s=_LONG_S)
    wrong = [f"{path} is gone" for path in sorted(found.files.keys() - now.keys())]
    wrong += [f"{path} is new" for path in sorted(now.keys() - found.files.keys())]
    wrong += [
        f"{path} has changed" for path in sorted(now.keys() & found.files.keys()) if now[path] != found.files[path]
    ]
    if board.link.value("_record()", _CALLS) != found.record:
        wrong.append("the agent's record in NVS is another")
    return wrong


def fresh_record(board: "Board") -> None:
    """As on a board that never had the agent, but for the time that is proven. Raises BoardError, RigError."""
    board.to_prompt()
    board.link.run(f"{_CALLS}\n_set_record({{k: v for k, v in _record().items() if k == 'proven'}})")
