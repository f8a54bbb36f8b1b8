"""The verbs of `otactl slots`: look at a board's slots, read, write, erase, switch, reset, back up, restore."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from otactl.cli.options import BOARD, FILE, as_json, on_board, otactl

if TYPE_CHECKING:
    from otactl.board.slots_picture import Picture

_SHOW = "show"
Run = Callable[..., int]


class _Slots(click.RichGroup):
    """With no verb of its own it shows: `otactl slots /dev/ttyUSB0`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, "-h", "--help"):
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@otactl.group("slots", cls=_Slots, panel=BOARD, epilog="example: otactl slots /dev/ttyUSB0")
def slots() -> None:
    """Show a board's partitions and slots, and what boots next and why; or change them."""


def _verb(example: str) -> Callable[[Run], click.RichCommand]:
    def add(run: Run) -> click.RichCommand:
        name = run.__name__.lstrip("_")
        return slots.command(name, epilog=f"example: otactl slots {example}")(run)

    return add


_on_board = click.argument("board", help="An mpremote device: auto, a path, id:SERIAL, u0, rfc2217://HOST:PORT.")
_slot = click.argument("slot", help="A slot's name, or its number.")
_esptool = click.option("--esptool", is_flag=True, help="Over the ROM loader: reset the board into it first.")
_baud = click.option("--baud", type=click.IntRange(1), default=460800, help="Of the ROM loader (default: 460800).")
_force = click.option("--force", is_flag=True, help="Also where it leaves nothing to boot.")


@_verb("/dev/ttyUSB0")
@on_board
@_esptool
@_baud
@as_json
def show(*, board: str, esptool: bool, baud: int, as_json: bool) -> int:
    """Draw the partition table, otadata and slots, and say what boots next and why."""
    from otactl.board import slots as boards
    from otactl.board.slots_picture import as_json as told
    from otactl.board.slots_picture import draw_from

    with boards.opened(board, esptool=esptool, baud=baud) as source:
        picture = draw_from(source)
    if as_json:
        print(json.dumps(told(picture)))
    else:
        _draw(picture)
    return 0


@_verb("read /dev/ttyUSB0 ota_1 slot.bin")
@_on_board
@_slot
@click.argument("file", type=FILE)
@_esptool
@_baud
def read(*, board: str, slot: str, file: Path, esptool: bool, baud: int) -> int:
    """Read a slot, all of it, into a file."""
    from otactl.board import slots as boards
    from otactl.board.slots_picture import draw_from
    from otactl.files import write_atomic

    with boards.opened(board, esptool=esptool, baud=baud) as source:
        part = draw_from(source).slot(slot)
        data = source.read(part.offset, part.size)
    write_atomic(file, data)
    print(f"{file}: {len(data)} bytes of {part.name}")
    return 0


@_verb("write /dev/ttyUSB0 ota_1 firmware.bin")
@_on_board
@_slot
@click.argument("file", type=FILE)
@_esptool
@_baud
@_force
def write(*, board: str, slot: str, file: Path, esptool: bool, baud: int, force: bool) -> int:
    """Write an app image (or that of a full-flash file) into a slot. What boots next stays as it was."""
    from otactl.board import slots_change
    from otactl.release.firmware import load

    firmware = load(file)
    return _change(board, esptool, baud, lambda s, p: slots_change.write(s, p, p.slot(slot), firmware, force=force))


@_verb("erase /dev/ttyUSB0 ota_1")
@_on_board
@_slot
@_esptool
@_baud
@_force
def erase(*, board: str, slot: str, esptool: bool, baud: int, force: bool) -> int:
    """Erase a slot."""
    from otactl.board import slots_change

    return _change(board, esptool, baud, lambda s, p: slots_change.erase(s, p, p.slot(slot), force=force))


@_verb("switch /dev/ttyUSB0 ota_1")
@_on_board
@_slot
@_esptool
@_baud
@_force
def switch(*, board: str, slot: str, esptool: bool, baud: int, force: bool) -> int:
    """Let a slot boot next, on trial, as the chip's own set_boot() does."""
    from otactl.board import slots_change

    return _change(board, esptool, baud, lambda s, p: slots_change.switch(s, p, p.slot(slot), force=force))


@_verb("reset /dev/ttyUSB0")
@_on_board
@_esptool
@_baud
@_force
def reset(*, board: str, esptool: bool, baud: int, force: bool) -> int:
    """Erase otadata: back to the factory app, or to the first slot."""
    from otactl.board import slots_change

    return _change(board, esptool, baud, lambda s, p: slots_change.reset(s, p, force=force))


@_verb("backup /dev/ttyUSB0 board.bin")
@_on_board
@click.argument("file", type=FILE)
@_baud
def backup(*, board: str, file: Path, baud: int) -> int:
    """Read the whole flash into a file, over the ROM loader."""
    from otactl.board.slots_rom import RomSource
    from otactl.files import write_private

    if file.exists():
        raise click.UsageError(f"{file} is there already: name another file.")
    with RomSource(board, baud=baud) as source:
        data = source.read(0, source.flash_size)
    write_private(file, data)
    print(f"{file}: {len(data)} bytes, with the board's files and passwords in it: only you can read it")
    return 0


@_verb("restore /dev/ttyUSB0 board.bin")
@_on_board
@click.argument("file", type=FILE)
@_baud
@_force
def restore(*, board: str, file: Path, baud: int, force: bool) -> int:
    """Write a whole flash back from a file, over the ROM loader. All that is on the board is lost."""
    from otactl.board.slots_change import check_backup
    from otactl.board.slots_rom import RomSource

    data = file.read_bytes()
    with RomSource(board, baud=baud) as source:
        kept = check_backup(data, str(file), source, force=force)
        source.write(0, data)
    if kept:
        _draw(kept)
    print(f"{len(data)} bytes are on the board as {file} has them")
    return 0


def _change(board: str, esptool: bool, baud: int, run: Callable[[Any, Any], str | None]) -> int:
    """Show, change, show again."""
    from otactl.board import slots as boards
    from otactl.board.slots_picture import draw_from, next_boot

    with boards.opened(board, esptool=esptool, baud=baud) as source:
        before = draw_from(source)
        print("before:")
        _draw(before)
        said = run(source, before)
        after = draw_from(source)
    print("\nafter:")
    _draw(after)
    if said:
        print(said)
    chosen = next_boot(after).part
    if source.running and chosen and chosen.name != source.running:
        print(f"{source.running} runs until the board is reset: `mpremote connect {board} reset`")
    return 0


def _draw(picture: "Picture") -> None:
    from rich.console import Console

    from otactl.board import slots_picture

    console = Console(highlight=False, markup=False)
    console.print(slots_picture.heading(picture))
    console.print(slots_picture.table(picture))
    console.print(slots_picture.verdict(picture))
