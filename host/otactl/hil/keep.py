"""What a board was found with, put aside on the board itself, and put back: also after a run that was broken off.

Only what the suite is going to change is put aside. Files are moved, not copied: a move is one step of the file system,
costs no time, and no room. A manifest, written before the first move, says what there was. Otadata is put back to the slot
that it named, the agent's record in NVS as it was.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from otactl.errors import BoardError
from otactl.hil.program import FOLDER

if TYPE_CHECKING:
    from otactl_pytest.board import Board

KEPT = f"{FOLDER}/kept"
_MANIFEST = f"{KEPT}/manifest.json"
OURS = ("/boot.py", "/main.py", "/app.py", "/lib/ota/", "/etc/ota/")  # where deploy and the suite write
_LONG_S = 120.0  # hashing all files of a board, removing a folder of many
_BLOCK = 4096
_SLACK = 12 * _BLOCK  # for the program's data, the journal and the manifest

_CALLS = f"""
import os, json, hashlib, binascii
from esp32 import Partition, NVS
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
def _hash(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while True:
            b = f.read(512)
            if not b:
                return binascii.hexlify(h.digest()).decode()
            h.update(b)
def _remove(path):
    kind = _is(path)
    if kind == 1:
        for entry in os.ilistdir(path):
            _remove(path + "/" + entry[0])
        os.rmdir(path)
    elif kind == 2:
        os.remove(path)
def _aside(path):
    return {KEPT!r} + "/" + path[1:].replace("/", "__")
def _inventory():
    return dict((name, _hash(name)) for name in _files("", {FOLDER!r}))
_BLOBS, _NUMBERS = ("job0", "job1", "state0", "state1"), ("offset", "proven", "filler")
def _record():
    nvs, found, raw = NVS("ota"), {{}}, bytearray(1984)
    for key in _BLOBS:
        try:
            found[key] = binascii.hexlify(raw[:nvs.get_blob(key, raw)]).decode()
        except OSError:
            pass
    for key in _NUMBERS:
        try:
            found[key] = nvs.get_i32(key)
        except OSError:
            pass
    return found
def _set_record(wanted):
    nvs = NVS("ota")
    for key in _BLOBS + _NUMBERS:
        if key not in wanted:
            try:
                nvs.erase_key(key)
            except OSError:
                pass
        elif isinstance(wanted[key], str):
            nvs.set_blob(key, binascii.unhexlify(wanted[key]))
        else:
            nvs.set_i32(key, wanted[key])
    nvs.commit()
def _ours(path):
    return any(path == one or one[-1] == "/" and path[:len(one)] == one for one in {OURS!r})
def _folders(path=""):
    found = []
    for entry in os.ilistdir(path or "/"):
        name = path + "/" + entry[0]
        if entry[1] & 0x4000 and name != {FOLDER!r}:
            found += [name] + _folders(name)
    return found
def _take(named, wanted):
    _make({FOLDER!r})
    _make({KEPT!r})
    there = _inventory()
    aside = [path for path in there if _ours(path) and wanted.get(path) != there[path]]
    kept = dict(named=named, record=_record(), aside=aside, folders=_folders(), inventory=there)
    with open({_MANIFEST + ".new"!r}, "w") as f:
        json.dump(kept, f)
    os.rename({_MANIFEST + ".new"!r}, {_MANIFEST!r})
    for path in aside:
        os.rename(path, _aside(path))
def _make(path):
    if not _is(path):
        os.mkdir(path)
def _put_back():
    with open({_MANIFEST!r}) as f:
        kept = json.load(f)
    for path in _files("", {FOLDER!r}):
        if _ours(path) and path not in kept["inventory"]:
            os.remove(path)
    for path in kept["aside"]:
        if _is(_aside(path)):  # else it was not moved, or is back already
            os.rename(_aside(path), path)
    for folder in reversed(_folders()):
        if folder not in kept["folders"] and (_ours(folder + "/") or folder in ("/lib", "/etc")):
            os.rmdir(folder)  # deploy made it
    _set_record(kept["record"])
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a board was found with. `named`: the slot that otadata named. `files`: path -> SHA-256. `record`: the agent's
    entries in NVS."""

    named: str
    files: dict[str, str]
    record: dict[str, Any]


def broken_off(board: "Board") -> bool:
    """Whether a run before this one left the board as it was in the middle of it. Raises RigError."""
    board.to_prompt()
    return bool(board.link.value(f"_is({_MANIFEST!r})", _CALLS))


def take(board: "Board", named: str, wanted: dict[str, bytes]) -> Found:
    """Put aside what the suite writes over. `named`: the slot to come back to; `wanted`: path -> what is going to be there.

    Raises BoardError, with the code vfs-full where the file system has too little room; RigError.
    """
    board.to_prompt()
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
    board.link.run(f"{_CALLS}\n_take({named!r}, {hashes!r})", timeout_s=_LONG_S)
    return kept(board)


def kept(board: "Board") -> Found:
    """What the manifest on the board says. Raises BoardError, RigError."""
    board.to_prompt()
    raw = board.link.value(f"json.load(open({_MANIFEST!r}))", "import json", timeout_s=_LONG_S)
    return Found(raw["named"], raw["inventory"], raw["record"])


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
    board.link.run(f"{_CALLS}\nos.remove({_MANIFEST!r})\n_remove({FOLDER!r})", timeout_s=_LONG_S)


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
