"""Releases with an application as board tests want them, and what lies in a board's flash of one, read from outside."""

import io
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from littlefs import LittleFS
from otactl.release import archive, envelope, room
from otactl.release.sequence import next_sequence, take_sequence
from otactl.workspace import keys
from otactl.workspace.workspace import Workspace
from rig import Rig, forged
from vboard.board import Board

NAME = "app.cpio"
_FOLDER = 2  # littlefs' LFS_TYPE_DIR


def member(name: str, data: bytes, **fields: int) -> bytes:
    """One file of an archive; `fields` changes what its header says."""
    said = {"mode": 0o100644, "nlink": 1, "filesize": len(data), "namesize": len(name.encode()) + 1} | fields
    names = "ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check"
    head = "070701" + "".join(f"{said.get(field, 0):08X}" for field in names.split())
    return _padded(head.encode() + name.encode() + b"\0") + _padded(data)


def packed(files: Mapping[str, bytes]) -> bytes:
    """The archive of files that `publish` may refuse, in the right order."""
    ordered = sorted(files, key=lambda name: name.split("/"))
    return b"".join(member(name, files[name]) for name in ordered) + member("TRAILER!!!", b"")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def target(url: str, packed: bytes, files: Mapping[str, bytes], **changes: Any) -> dict[str, Any]:
    """An application's target in a release; a change of None takes a field away."""
    made: dict[str, Any] = {
        "kind": "application",
        "url": url,
        "size": len(packed),
        "sha256": sha256(packed).hexdigest(),
        "files": len(files),
        "unpacked": sum(map(len, files.values())),
        "blocks": room.blocks({name: len(data) for name, data in files.items()}),
    }
    if "unpacked" in changes:
        del made["blocks"]  # as a release of before: what it takes is reckoned from the bytes
    return {key: value for key, value in (made | changes).items() if value is not None}


def publish(
    rig: Rig, version: str, files: Mapping[str, bytes] | None, firmware: bytes | None = None, **changes: Any
) -> None:
    """As release(), in the workspace of a rig."""
    release(rig.workspace, version, files, firmware, **changes)


def release(
    place: Workspace,
    version: str,
    files: Mapping[str, bytes] | None,
    firmware: bytes | None = None,
    *,
    packed: bytes | None = None,
    **changes: Any,
) -> None:
    """A release of an application, of firmware, or of both. `packed`: instead of the files' archive; `changes`: of its target."""
    folder = place.releases / version
    folder.mkdir(exist_ok=True)
    payload = forged(
        firmware or b"",
        product=place.product,
        sequence=next_sequence(place),
        version=version,
        target__url=f"{version}/esp32.bin",
    )
    if firmware is None:
        payload["targets"] = []
    else:
        (folder / "esp32.bin").write_bytes(firmware)
    if files is not None:
        packed = archive.pack(files) if packed is None else packed
        (folder / NAME).write_bytes(packed)
        payload["targets"].append(target(f"{version}/{NAME}", packed, files, **changes))
    take_sequence(place, payload["sequence"])
    place.channel_file.write_bytes(envelope.seal(payload, [keys.load(place.key_file)]))


def trees(board: Board) -> dict[str, dict[str, bytes | None]]:
    """slot -> file -> content of each application, as it lies in flash; the content of an empty directory is None."""
    part = board.table.find("vfs")
    assert part
    return in_flash(board.flash.read(part.offset, part.size))


def in_flash(vfs: bytes) -> dict[str, dict[str, bytes | None]]:
    """slot -> file -> content, of a littlefs."""
    mounted = LittleFS(block_size=4096, block_count=len(vfs) // 4096, mount=False)
    mounted.context.buffer[:] = vfs
    mounted.mount()
    found: dict[str, dict[str, bytes | None]] = {}
    for name in mounted.listdir("/"):
        if name.startswith("app-") and mounted.stat(f"/{name}").type == _FOLDER:
            found[name[4:]] = dict(_files(mounted, f"/{name}"))
    return found


def _files(mounted: LittleFS, root: str) -> list[tuple[str, bytes | None]]:
    found: list[tuple[str, bytes | None]] = []
    for folder, folders, names in mounted.walk(root):
        where = folder.removeprefix(root).strip("/")
        if where and not folders and not names:
            found.append((where, None))
        for name in names:
            with mounted.open(f"{folder}/{name}", "rb") as file:
                assert isinstance(file, io.RawIOBase | io.BufferedIOBase | io.IOBase)
                found.append((f"{where}/{name}".lstrip("/"), file.read()))
    return found
