"""What is shown while `otactl slots` is at work: the wait for the board, the pictures round a change, what boots next now."""

import contextlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otactl.board import slots_picture
from otactl.board.slots import opened
from otactl.board.slots_layout import Part
from otactl.board.slots_picture import Picture
from otactl.board.slots_source import Source
from otactl.cli import display
from otactl.cli.reach import Waits


@contextlib.contextmanager
def reached(board: str, slow: float, esptool: bool, baud: int, *, quiet: bool = False) -> Iterator[Source]:
    """The board's flash, behind a spinner; waits are told of. Raises BoardError, RigError."""
    with display.Bars(quiet=quiet) as bars:
        bars.wait("waiting for the board")
        tell = Waits(bars, moves=bars.moves)
        with opened(board, slow=slow, tell=tell, esptool=esptool, baud=baud) as source:
            bars.wait("at its flash; a whole image takes minutes over a serial line,")
            yield source


@dataclass
class Change:
    """One change of a board's slots, with the picture before it. `did`: what was done; `note`: what is to be known of it."""

    source: Source
    before: Picture
    shows: bool
    did: str = ""
    note: str = ""

    def slot(self, word: str) -> Part:
        """The slot that is to be changed; shows the picture, if there is one. Raises UsageError."""
        part = self.before.slot(word)
        self.begin()
        return part

    def begin(self) -> None:
        """Show the picture before the change."""
        if self.shows:
            display.show("before:")
            draw(self.before)


@contextlib.contextmanager
def changing(board: str, slow: float, esptool: bool, baud: int, as_json: bool) -> Iterator[Change]:
    """Show, change, show again; with `as_json` one object with both pictures."""
    with reached(board, slow, esptool, baud, quiet=as_json) as source:
        change = Change(source, slots_picture.draw_from(source), shows=not as_json)
        yield change
        after = slots_picture.draw_from(source)
    if as_json:
        pictures = {"before": slots_picture.as_json(change.before), "after": slots_picture.as_json(after)}
        print(json.dumps(pictures | {"note": change.note or None}))
    else:
        _conclude(change, after, board)


def _conclude(change: Change, after: Picture, board: str) -> None:
    """The picture after a change, and what boots next now."""
    display.show("after:")
    draw(after)
    chosen = slots_picture.next_boot(after).part
    did = f"{change.did}; " if change.did else ""
    if chosen:
        display.done(f"{did}{chosen.name} boots next")
    else:
        display.warn(f"{did}nothing boots next: the chip resets for ever")
    if change.note:
        display.warn(change.note)
    running = change.source.running
    if running and chosen and chosen.name != running:
        display.warn(f"{running} runs until the board is reset: `mpremote connect {shlex.quote(board)} reset`")


def say_file(file: Path, data: bytes, text: str, as_json: bool) -> None:
    """Tell of a file that was read or written: `text` for a person."""
    if as_json:
        print(json.dumps({"file": str(file), "size": len(data)}))
    else:
        display.done(text)


def draw(picture: Picture) -> None:
    """The table, what lies in it, and what boots next and why."""
    display.show(slots_picture.heading(picture))
    display.show_table(slots_picture.table(picture))
    display.show(slots_picture.verdict(picture))
