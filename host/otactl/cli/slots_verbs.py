"""The verbs of `otactl slots`: look at a board's slots, read, write, erase, switch, reset, back up, restore."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import BOARD, FILE, as_json, family, known_board, named_board, on_board, verb_of
from otactl.cli.options import slow_link as _slow

if TYPE_CHECKING:
    from otactl.board.slots_picture import Picture
    from otactl.board.slots_source import Source

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


@contextlib.contextmanager
def _reached(board: str, slow: float, esptool: bool, baud: int, *, quiet: bool = False) -> "Iterator[Source]":
    from otactl.board.slots import opened
    from otactl.cli.display import Bars
    from otactl.cli.reach import Waits

    with Bars(quiet=quiet) as bars:
        bars.wait("waiting for the board")
        tell = Waits(bars, moves=bars.moves)
        with opened(board, slow=slow, tell=tell, esptool=esptool, baud=baud) as source:
            yield source


@verb_of(slots, "slots /dev/ttyUSB0")
@on_board
@_esptool
@_baud
@as_json
def show(*, board: str, slow: float, esptool: bool, baud: int, as_json: bool) -> int:
    """Draw the partition table, otadata and slots, and say what boots next and why."""
    from otactl.board.slots_picture import as_json as told
    from otactl.board.slots_picture import draw_from

    with _reached(board, slow, esptool, baud, quiet=as_json) as source:
        picture = draw_from(source)
    if as_json:
        print(json.dumps(told(picture)))
    else:
        _draw(picture)
    return 0


@verb_of(slots, "slots read /dev/ttyUSB0 ota_1 slot.bin")
@_named_board
@_slot
@_file
def read(*, board: str, slot: str, file: Path, slow: float, esptool: bool, baud: int) -> int:
    """Read a slot, all of it, into a file."""
    from otactl.board.slots_picture import draw_from
    from otactl.cli import display
    from otactl.files import write_atomic

    with _reached(board, slow, esptool, baud) as source:
        part = draw_from(source).slot(slot)
        data = source.read(part.offset, part.size)
    write_atomic(file, data)
    display.done(f"{file}: {len(data)} bytes of {part.name}")
    return 0


@verb_of(slots, "slots write /dev/ttyUSB0 ota_1 firmware.bin")
@_named_board
@_slot
@_file
@_force
def write(*, board: str, slot: str, file: Path, slow: float, esptool: bool, baud: int, force: bool) -> int:
    """Write an app image (or that of a full-flash file) into a slot. What boots next stays as it was."""
    from otactl.board import slots_change
    from otactl.release.firmware import load

    firmware = load(file)
    return _change(
        board, slow, esptool, baud, lambda s, p: slots_change.write(s, p, p.slot(slot), firmware, force=force)
    )


@verb_of(slots, "slots erase /dev/ttyUSB0 ota_1")
@_named_board
@_slot
@_force
def erase(*, board: str, slot: str, slow: float, esptool: bool, baud: int, force: bool) -> int:
    """Erase a slot."""
    from otactl.board import slots_change

    return _change(board, slow, esptool, baud, lambda s, p: slots_change.erase(s, p, p.slot(slot), force=force))


@verb_of(slots, "slots switch /dev/ttyUSB0 ota_1")
@_named_board
@_slot
@_force
def switch(*, board: str, slot: str, slow: float, esptool: bool, baud: int, force: bool) -> int:
    """Let a slot boot next, on trial, as the chip's own set_boot() does."""
    from otactl.board import slots_change

    return _change(board, slow, esptool, baud, lambda s, p: slots_change.switch(s, p, p.slot(slot), force=force))


@verb_of(slots, "slots reset /dev/ttyUSB0")
@_named_board
@_force
def reset(*, board: str, slow: float, esptool: bool, baud: int, force: bool) -> int:
    """Erase otadata: back to the factory app, or to the first slot."""
    from otactl.board import slots_change

    return _change(board, slow, esptool, baud, lambda s, p: slots_change.reset(s, p, force=force))


@verb_of(slots, "slots backup /dev/ttyUSB0 board.bin")
@_on_rom
@_file
@_baud
def backup(*, board: str, file: Path, baud: int) -> int:
    """Read the whole flash into a file, over the ROM loader."""
    from otactl.board.slots_rom import RomSource
    from otactl.cli import display
    from otactl.files import write_private

    if file.exists():
        raise click.UsageError(f"{file} is there already: name another file.")
    with RomSource(board, baud=baud) as source:
        data = source.read(0, source.flash_size)
    write_private(file, data)
    display.done(f"{file}: {len(data)} bytes, with the board's files and passwords in it: only you can read it")
    return 0


@verb_of(slots, "slots restore /dev/ttyUSB0 board.bin")
@_on_rom
@_file
@_baud
@_force
def restore(*, board: str, file: Path, baud: int, force: bool) -> int:
    """Write a whole flash back from a file, over the ROM loader. All that is on the board is lost."""
    from otactl.board.slots_change import check_backup
    from otactl.board.slots_rom import RomSource
    from otactl.cli import display

    data = file.read_bytes()
    with RomSource(board, baud=baud) as source:
        kept = check_backup(data, str(file), source, force=force)
        source.write(0, data)
    if kept:
        _draw(kept)
    display.done(f"{len(data)} bytes are on the board as {file} has them")
    return 0


def _change(board: str, slow: float, esptool: bool, baud: int, run: Callable[[Any, Any], str | None]) -> int:
    """Show, change, show again."""
    from otactl.board.slots_picture import draw_from, next_boot
    from otactl.cli import display

    with _reached(board, slow, esptool, baud) as source:
        before = draw_from(source)
        display.show("before:")
        _draw(before)
        said = run(source, before)
        after = draw_from(source)
    display.show("after:")
    _draw(after)
    if said:
        display.warn(said)
    chosen = next_boot(after).part
    if source.running and chosen and chosen.name != source.running:
        display.warn(f"{source.running} runs until the board is reset: `mpremote connect {board} reset`")
    return 0


def _draw(picture: "Picture") -> None:
    from otactl.board import slots_picture
    from otactl.cli import display

    display.show(slots_picture.heading(picture))
    display.show_table(slots_picture.table(picture))
    display.show(slots_picture.verdict(picture))
