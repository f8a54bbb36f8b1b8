"""What changes slots: each refuses what would leave the board nothing to boot, unless forced."""

from collections.abc import Iterable

from otactl.board.slots_image import fault
from otactl.board.slots_layout import SECTOR, Part, switched
from otactl.board.slots_picture import Picture, draw_from, next_boot
from otactl.board.slots_source import FileSource, Source
from otactl.errors import BoardError, UsageError
from otactl.release.firmware import Firmware

_FORCE = "; --force does it all the same"


def flaw(source: Source, part: Part) -> str:
    """Why a slot does not start, after reading its image whole; "" where it does. Raises BoardError, RigError."""
    return fault(lambda offset, size: source.read(part.offset + offset, size), part.size, source.chip)


def _any_sound(source: Source, parts: Iterable[Part]) -> bool:
    return any(not flaw(source, part) for part in parts)


def _keep_one(source: Source, picture: Picture, part: Part, force: bool, what: str) -> None:
    if part.name == source.running:
        raise BoardError(f"{part.name} is what runs, and a chip does not {what} that: use --esptool")
    if not force and not _any_sound(source, [other for other in picture.apps if other != part]):
        raise BoardError(f"no other slot holds anything that starts, so {part.name} stays as it is{_FORCE}")


def erase(source: Source, picture: Picture, part: Part, *, force: bool) -> None:
    """Raises BoardError where nothing to boot would be left, RigError."""
    _keep_one(source, picture, part, force, "erase")
    source.erase(part.offset, part.size)
    source.releases.pop(part.name, None)


def write(source: Source, picture: Picture, part: Part, firmware: Firmware, *, force: bool) -> None:
    """Put an app image into a slot; what boots next stays as it was.

    Raises BoardError for another chip's image, one that is too large, and where a write that is cut off would leave
    nothing to boot; RigError.
    """
    if firmware.chip != source.chip:
        raise BoardError(f"that is firmware for {firmware.chip}, the board is an {source.chip}")
    if len(firmware.app) > part.size:
        raise BoardError(f"{len(firmware.app)} bytes do not fit into {part.name}, which has {part.size}")
    _keep_one(source, picture, part, force, "write to")
    source.write(part.offset, firmware.app)
    source.releases.pop(part.name, None)  # what the agent knows is of what was there


def switch(source: Source, picture: Picture, part: Part, *, force: bool) -> str:
    """Let `part` boot next, as esp_ota_set_boot_partition() does; gives what is to be known of it.

    Raises BoardError where it does not start, RigError.
    """
    why = flaw(source, part)
    if why and not force:
        raise BoardError(f"{part.name} holds {why}, which does not start{_FORCE}")
    row = next((row for row in picture.parts if row.is_otadata), None)
    if row is None or picture.otadata is None:
        raise BoardError(
            "the partition table has no otadata, so there is nothing to switch: `otactl provision` makes two slots"
        )
    if next_boot(picture).part == part:  # set_boot() again would put what is confirmed on trial
        return f"{part.name} is what boots next: nothing to do"
    if picture.running == part.name:
        raise BoardError(f"{part.name} runs on trial already: `otactl confirm` ends that well")
    if not source.set_boot(part):
        if part.number is None:
            source.erase(row.offset, row.size)
            return ""
        index, entry = switched(picture.otadata, part.number, len(picture.slots))
        source.write(row.offset + index * SECTOR, entry.encoded().ljust(SECTOR, b"\xff"))
    return "" if part.number is None else "it is on trial: unless it is confirmed, the second reset goes back"


def reset(source: Source, picture: Picture, *, force: bool) -> None:
    """Erase otadata: the factory app, or the first slot. Raises BoardError, RigError."""
    row = next((row for row in picture.parts if row.is_otadata), None)
    if row is None:
        raise BoardError("the partition table has no otadata: there is nothing to reset")
    if not force and not _any_sound(source, picture.apps):
        raise BoardError(f"no slot holds anything that starts, so otadata stays as it is{_FORCE}")
    source.erase(row.offset, row.size)


def check_backup(data: bytes, name: str, source: Source, *, force: bool) -> Picture | None:
    """Hold a backup against the board that it is to go onto. None where only --force lets it.

    Raises UsageError for another size, BoardError where nothing in it would start on this chip.
    """
    if len(data) != source.flash_size:
        raise UsageError(
            f"{name} has {len(data)} bytes and the board's flash {source.flash_size}: not a backup of such a board"
        )
    kept = FileSource(data, name, source.chip)
    try:
        picture = draw_from(kept)
        sound = _any_sound(kept, picture.apps)
    except BoardError:
        if not force:
            raise
        return None
    if not sound and not force:
        raise BoardError(f"nothing in {name} starts on an {source.chip}{_FORCE}")
    return picture
