"""The verbs of `otactl slots`: look at a board's slots, read, write, erase, switch, reset, back up, restore."""

import json
from collections.abc import Callable
from pathlib import Path

import rich_click as click

from otactl.cli.options import BOARD, FILE, as_json, family, known_board, named_board, on_board, verb_of
from otactl.cli.options import slow_link as _slow

slots = family(
    "slots",
    BOARD,
    "Show a board's partitions and slots, and what boots next and why; or change them.",
    "slots /dev/ttyUSB0",
    usual="show",
)

_slot = click.argument("slot", help="A slot's name, or its number.")
_file = click.argument("file", type=FILE)
_esptool = click.option("--esptool", is_flag=True, help="Over the ROM loader: reset the board into it first.")
_baud = click.option("--baud", type=click.IntRange(1), default=460800, help="Of the ROM loader (default: 460800).")
_force = click.option("--force", is_flag=True, help="Also where it leaves nothing to boot.")


def _on_rom(run: Callable[..., int]) -> Callable[..., int]:
    """A board that has to be named."""
    made: Callable[..., int] = named_board(known_board(run))
    return made


def _named_board(run: Callable[..., int]) -> Callable[..., int]:
    """The same, and the ways to it."""
    made: Callable[..., int] = named_board(_slow(_esptool(_baud(known_board(run)))))
    return made


@verb_of(slots, "slots /dev/ttyUSB0")
@on_board
@_esptool
@_baud
@as_json
def show(*, board: str, slow: float, esptool: bool, baud: int, as_json: bool) -> int:
    """Draw the partition table, otadata and slots, and say what boots next and why."""
    from otactl.board.slots_picture import as_json as told
    from otactl.board.slots_picture import draw_from
    from otactl.cli.slots_shown import draw, reached

    with reached(board, slow, esptool, baud, quiet=as_json) as source:
        picture = draw_from(source)
    if as_json:
        print(json.dumps(told(picture)))
    else:
        draw(picture)
    return 0


@verb_of(slots, "slots read /dev/ttyUSB0 ota_1 slot.bin")
@_named_board
@_slot
@_file
@as_json
def read(*, board: str, slot: str, file: Path, slow: float, esptool: bool, baud: int, as_json: bool) -> int:
    """Read a slot, all of it, into a file."""
    from otactl.board.slots_picture import draw_from
    from otactl.cli.slots_shown import reached, say_file
    from otactl.files import require_place, write_atomic

    require_place(file)
    with reached(board, slow, esptool, baud, quiet=as_json) as source:
        part = draw_from(source).slot(slot)
        data = source.read(part.offset, part.size)
    write_atomic(file, data)
    say_file(file, data, f"{file}: {len(data)} bytes of {part.name}", as_json)
    return 0


@verb_of(slots, "slots write /dev/ttyUSB0 ota_1 firmware.bin")
@_named_board
@_slot
@_file
@_force
@as_json
def write(
    *, board: str, slot: str, file: Path, slow: float, esptool: bool, baud: int, force: bool, as_json: bool
) -> int:
    """Write an app image (or that of a full-flash file) into a slot. What boots next stays as it was."""
    from otactl.board import slots_change
    from otactl.cli.slots_shown import changing
    from otactl.release.firmware import load

    firmware = load(file)
    with changing(board, slow, esptool, baud, as_json) as change:
        part = change.slot(slot)
        slots_change.write(change.source, change.before, part, firmware, force=force)
        change.did = f"{file} is in {part.name}"
    return 0


@verb_of(slots, "slots erase /dev/ttyUSB0 ota_1")
@_named_board
@_slot
@_force
@as_json
def erase(*, board: str, slot: str, slow: float, esptool: bool, baud: int, force: bool, as_json: bool) -> int:
    """Erase a slot."""
    from otactl.board import slots_change
    from otactl.cli.slots_shown import changing

    with changing(board, slow, esptool, baud, as_json) as change:
        part = change.slot(slot)
        slots_change.erase(change.source, change.before, part, force=force)
        change.did = f"{part.name} is erased"
    return 0


@verb_of(slots, "slots switch /dev/ttyUSB0 ota_1")
@_named_board
@_slot
@_force
@as_json
def switch(*, board: str, slot: str, slow: float, esptool: bool, baud: int, force: bool, as_json: bool) -> int:
    """Let a slot boot next, on trial, as the chip's own set_boot() does."""
    from otactl.board import slots_change
    from otactl.cli.slots_shown import changing

    with changing(board, slow, esptool, baud, as_json) as change:
        part = change.slot(slot)
        change.note = slots_change.switch(change.source, change.before, part, force=force)
    return 0


@verb_of(slots, "slots reset /dev/ttyUSB0")
@_named_board
@_force
@as_json
def reset(*, board: str, slow: float, esptool: bool, baud: int, force: bool, as_json: bool) -> int:
    """Erase otadata, so that the factory app boots next, or the first slot; what that is, is said."""
    from otactl.board import slots_change
    from otactl.cli.slots_shown import changing

    with changing(board, slow, esptool, baud, as_json) as change:
        change.begin()
        slots_change.reset(change.source, change.before, force=force)
        change.did = "otadata is erased"
    return 0


@verb_of(slots, "slots backup /dev/ttyUSB0 board.bin")
@_on_rom
@_file
@_baud
@as_json
def backup(*, board: str, file: Path, baud: int, as_json: bool) -> int:
    """Read the whole flash into a file, over the ROM loader."""
    from otactl.board.slots_rom import RomSource
    from otactl.cli.slots_shown import say_file
    from otactl.files import require_new, write_private

    require_new(file)
    with RomSource(board, baud=baud) as source:
        data = source.read(0, source.flash_size)
    write_private(file, data)
    said = f"{file}: {len(data)} bytes, with the board's files and passwords in it: only you can read it"
    say_file(file, data, said, as_json)
    return 0


@verb_of(slots, "slots restore /dev/ttyUSB0 board.bin")
@_on_rom
@_file
@_baud
@_force
@as_json
def restore(*, board: str, file: Path, baud: int, force: bool, as_json: bool) -> int:
    """Write a whole flash back from a file, over the ROM loader. All that is on the board is lost."""
    from otactl.board.slots_change import check_backup
    from otactl.board.slots_rom import RomSource
    from otactl.cli.slots_shown import draw, say_file
    from otactl.files import read_named

    data = read_named(file)
    with RomSource(board, baud=baud) as source:
        kept = check_backup(data, str(file), source, force=force)
        source.write(0, data)
    if kept and not as_json:
        draw(kept)
    say_file(file, data, f"{len(data)} bytes are on the board as {file} has them", as_json)
    return 0
