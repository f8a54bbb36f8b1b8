"""A look at a board before anything is done to it: facts over the ROM loader, and over its REPL what its files are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from otactl.board import ports
from otactl.board.link import Link
from otactl.board.provision import facts, files, plan, prompt, untouched
from otactl.board.provision.facts import Store
from otactl.board.provision.files import Kept, Listing
from otactl.board.provision.plan import Plan
from otactl.board.provision.which import Firmwares
from otactl.board.slots_rom import BAUD, RomSource
from otactl.errors import BoardError, RigError
from otactl.words import counted

_PROMPT_S = 10  # of a board that was reset: what runs on it may be anything
_FAT_OWN = 0x20000  # bytes at the most that a FAT keeps of its partition for itself
_NAMES_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person wants for the boards of one command.

    `layout`: a name or a file, "" for one made to fit. `base`: the folder for files that are kept. `yes`: what is
    lost may be lost. `keep_files`: what can be read goes back onto the board.
    """

    firmwares: Firmwares
    base: Path
    layout: str = ""
    keep_files: bool = False
    yes: bool = False
    slow: float = 1.0
    baud: int = BAUD


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told: `say` of what is done now, `note` of what a line is worth, `progress` of how far.

    `progress` gets what, bytes done, bytes in all. `check` raises KeyboardInterrupt where it is to stop.
    """

    say: Callable[[str], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None
    progress: Callable[[str, int, int], None] = lambda *_: None
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Look:
    """`device`: where this very board is. `listing`: its files, where they could be read. `kept`: a copy of an earlier
    run that is to go back. `covered`: that copy has all that is on the filesystem now."""

    device: str
    plan: Plan
    listing: Listing | None = None
    kept: Kept | None = None
    covered: bool = False

    @property
    def mac(self) -> str:
        return self.plan.facts.mac


def look(device: str, wishes: Wishes, watch: Watch) -> Look:
    """Changes nothing, but resets the board. Raises BoardError, RigError, UsageError, ReleaseError."""
    watch.say("reading chip and flash")
    with RomSource(device, baud=wishes.baud) as rom:
        locked, full = rom.locked, wishes.firmwares.for_chip(rom.chip)
        plan.check(rom.chip, full, locked)
        here = _pinned(device, rom.path)
        found = facts.gather(rom, full, rom.mac, lambda done, size: watch.progress("reading what runs", done, size))
        kept = files.unreturned(wishes.base, found.mac)
        covered = kept is not None and untouched.same(rom, kept.rest)
    made = plan.make(found, full, wishes.layout)
    moved = made.moved
    if covered or not (moved and moved.store):
        return Look(here, made, None, kept, covered)
    watch.say("looking for files of yours")
    listing, names = _listed(here, moved.store, wishes.slow, watch.check)
    if listing is None:
        return Look(here, made, None, kept)
    if kept:
        names = kept.lacks(listing, names)
    return Look(here, made.listed(_words(names)), listing, kept, kept is not None and not names)


def _pinned(device: str, path: str) -> str:
    """A device string that means the board at `path` only, also where several are plugged in."""
    if device != "auto" and not device.startswith("mac:"):
        return device
    serial = ports.usb_serial(path)
    return f"id:{serial}" if serial else path


def _listed(device: str, store: Store, slow: float, check: Callable[[], None]) -> tuple[Listing | None, list[str]]:
    """What a board's own MicroPython says of the files in `store`, and which of them are a person's.

    Nothing where none answers, or it cannot read them, or has something else at its root, such as an SD card.
    """
    if not prompt.wait(device, _PROMPT_S * slow, check).at_prompt:
        return None, []
    try:
        with Link(device, slow=slow) as link:
            found = files.listing(link)
            names = found.of_a_person(files.reader(link, found))
    except (BoardError, RigError):  # its program may be what keeps it from answering: a yes lets it be given up
        return None, []
    return (found, names) if _is_of(store, found.size) else (None, [])


def _is_of(store: Store, size: int) -> bool:
    """Whether a filesystem of that size is the one in `store`: what a FAT keeps for itself does not count as its size,
    and where the bootloader knows of less flash than there is, the rest that MicroPython takes ends there."""
    least = store.size - (_FAT_OWN if store.kind == "fat" else 0)
    end = store.offset + size
    return least <= size <= store.size or (size < store.size and end & (end - 1) == 0)


def _words(names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    shown = "".join(c if c.isprintable() else "?" for c in ", ".join(names[:_NAMES_SHOWN]))
    return f"{counted(len(names), 'file')} of yours: {shown}{more}"
