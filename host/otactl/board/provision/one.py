"""One board, from what a look has found to one that takes updates."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from otactl.board import ports
from otactl.board.deploy import Deployed, deploy
from otactl.board.link import Link
from otactl.board.provision import facts, files, prompt, run, untouched
from otactl.board.provision.files import Kept, Returned
from otactl.board.provision.look import Look, Watch, Wishes
from otactl.board.provision.plan import Loss
from otactl.board.provision.untouched import Print
from otactl.board.slots_rom import RomSource
from otactl.errors import BoardError, RigError, UsageError
from otactl.files import write_private
from otactl.workspace.workspace import Workspace

_START_S = 30  # from a reset to the prompt; a first start makes the filesystem
_FOR_THE_AGENT = 0x20000  # bytes on the filesystem
_RUNS = (
    "[[list(p.info())[:5] for t in (0, 1) for p in _P.find(t)], _P(_P.RUNNING).info()[4], "
    "'.'.join(map(str, __import__('sys').implementation[1][:3])), "
    f"{files.WHO}]"
)


@dataclass(frozen=True, slots=True)
class Done:
    """`written`: bytes of flash that were not as they had to be; 0 where the board was ready. `returned`: None where
    no files were carried over."""

    written: int
    returned: Returned | None
    deployed: Deployed | None
    micropython: str


def losses(found: Look, wishes: Wishes) -> tuple[Loss, ...]:
    """What a person has to say yes to: what may be theirs, and is not carried over, nor agreed to in an earlier run."""
    if found.covered and found.plan.facts.picture is None:  # it was this run's table that was torn
        return ()
    carried = found.covered or (wishes.keep_files and found.listing and not found.kept)
    return tuple(loss for loss in found.plan.asks if not (carried and loss == found.plan.moved))


def require_yes(found: Look, wishes: Wishes) -> None:
    """Raises UsageError where something would be lost that nobody has agreed to."""
    gone = losses(found, wishes)
    if gone and not wishes.yes:
        what = "; ".join(loss.what for loss in gone)
        raise UsageError(f"this would lose {what}: {way_out(found)}; nothing was changed")


def way_out(found: Look) -> str:
    """What a person may say where something would be lost."""
    if found.kept:
        return f"say --yes, and what an earlier run took goes back; or move {found.kept.folder} out of provision/"
    if found.plan.moved:
        return "say --yes, or --keep-files to carry files over"
    return "say --yes, with --backup FILE to have the whole flash kept first"


def require_carried(found: Look, wishes: Wishes) -> None:
    """Raises BoardError where files are to be kept and cannot be: unreadable, or too many for the new table."""
    moved, kept = found.plan.moved, found.kept
    if wishes.keep_files and moved and not found.covered:
        _require_readable(found, moved)
    room = kept.room if kept else found.listing.room if found.listing and wishes.keep_files else 0
    _require_room(room, found)


def _require_readable(found: Look, moved: Loss) -> None:
    """And that no copy of an earlier run stands in their way."""
    if not found.listing:
        again = f", and what an earlier run took goes back from {found.kept.folder}" if found.kept else ""
        raise BoardError(
            "the files on the board cannot be read: no MicroPython answers, or it has something else at its root. "
            f"`otactl slots backup` keeps the whole flash in a file; without --keep-files they are given up{again}"
        )
    if found.kept:
        raise BoardError(
            f"{found.kept.folder}, which an earlier run took off this board, has not {moved.what}: move that folder out "
            "of provision/ to carry over what is on the board now, or leave out --keep-files to put back what is in it"
        )


def _require_room(room: int, found: Look) -> None:
    layout = found.plan.layout
    if layout and room and room + _FOR_THE_AGENT > layout.files.size:
        raise BoardError(
            f"{room >> 10} KiB of files do not fit into the {layout.files.size >> 10} KiB that the new table has for "
            f"them, beside {_FOR_THE_AGENT >> 10} KiB for the agent: delete some, or take another --layout"
        )


def provision(
    found: Look,
    wishes: Wishes,
    watch: Watch,
    *,
    workspace: Workspace | None,
    backup: Path | None = None,
    name: str = "",
) -> Done:
    """Do what the plan says, then deploy (unless `workspace` is None) to the board of that name. What is lost was agreed to.

    A run that breaks off is taken up by another one. Raises BoardError, RigError, UsageError, ReleaseError, OSError.
    """
    require_carried(found, wishes)
    with ports.held(found.device):
        return _provisioned(found, wishes, watch, workspace, backup, name)


def _provisioned(
    found: Look, wishes: Wishes, watch: Watch, workspace: Workspace | None, backup: Path | None, name: str
) -> Done:
    device, kept = found.device, found.kept
    if found.listing and wishes.keep_files and not kept:
        with Link(device, slow=wishes.slow) as link:
            kept = files.take(link, found.mac, wishes.base, watch.say)
        _require_room(kept.room, found)
    written, kept = _flash(found, wishes, watch, kept, backup) if found.plan.steps else (0, kept)
    try:
        return _started(found, wishes, watch, workspace, name, written, kept)
    except KeyboardInterrupt:
        where = f"; a copy of its files is in {kept.folder}" if kept else ""
        raise KeyboardInterrupt(f"stopped: run it again, which goes on from here{where}") from None


def _started(
    found: Look, wishes: Wishes, watch: Watch, workspace: Workspace | None, name: str, written: int, kept: Kept | None
) -> Done:
    """What is left once `written` bytes are in its flash: it starts, and gets its files back and the agent."""
    device = found.device
    watch.say("waiting for its prompt")
    heard = prompt.wait(device, _START_S * wishes.slow, watch.check)
    if not heard.at_prompt:
        with _knowing(kept):
            raise _silent(device, heard)
    with Link(device, slow=wishes.slow) as link:
        with _knowing(kept):
            version = _checked(link, found)
            returned = files.give_back(link, kept, watch.say) if kept else None
        watch.say("deploying the agent")
        watch.check()
        deployed = deploy(link, workspace, name=name, say=watch.say) if workspace else None
    return Done(written, returned, deployed, version)


@contextlib.contextmanager
def _knowing(kept: Kept | None) -> Iterator[None]:
    """Whatever goes wrong while the files are off the board, a person is told where they are."""
    try:
        yield
    except (BoardError, RigError) as error:
        if not kept:
            raise
        raise type(error)(f"{error}; the files that were on it are in {kept.folder}, and go back in the end") from None


def _flash(
    found: Look, wishes: Wishes, watch: Watch, kept: Kept | None, backup: Path | None
) -> tuple[int, Kept | None]:
    """Bytes written, and the copy of the files, which knows now that the flash was begun."""
    with RomSource(found.device, baud=wishes.baud) as rom:
        _require_same(rom.mac, found)
        if backup:
            write_private(backup, run.backup(rom, watch.progress))
        _require_unchanged(rom, found)
        if kept:
            kept = replace(kept, begun=True, rest=_rest(rom, found, kept)).saved()
        watch.note("writing its flash")
        try:
            with _knowing(kept):
                return run.run(rom, found.plan, watch.progress), kept
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                "stopped in the middle of its flash: run it again, which goes on from here"
            ) from None
        except RigError as error:
            raise RigError(f"{error}; run it again, which goes on from here") from None


def _rest(rom: RomSource, found: Look, kept: Kept) -> tuple[Print, ...]:
    """What tells another run whether the filesystem is still the one that the copy was taken of."""
    store = found.plan.facts.mounted
    places = [(store.offset, store.size)] if store else [(offset, size) for offset, size, _ in kept.rest]
    return untouched.printed(rom, [left for place in places for left in untouched.beside(place, found.plan.steps)])


def _require_unchanged(rom: RomSource, found: Look) -> None:
    """A person may have been asked for long, and another run may have been at the board. Raises RigError."""
    if not facts.as_it_was(rom, found.plan.facts):
        raise RigError(f"the flash of the board at {found.device} has changed since it was looked at: run it again")


def _require_same(mac: str, found: Look) -> None:
    if mac != found.mac:
        raise RigError(f"another board is at {found.device} now ({mac}, it was {found.mac}): run it again")


def _checked(link: Link, found: Look) -> str:
    """The MicroPython that runs, once it says itself that it is what the plan wanted. Raises BoardError, RigError."""
    plan = found.plan
    rows, running, version, address = link.value(_RUNS, "from esp32 import Partition as _P")
    _require_same(address, found)
    there = {(name, kind, subtype, offset, size) for kind, subtype, offset, size, name in rows}
    wanted = {(part.name, part.type, part.subtype, part.offset, part.size) for part in plan.after.parts}
    if missing := sorted(name for name, *_ in wanted - there):
        raise BoardError(f"the board at {link.device} runs, and its table has no {missing[0]} as planned: run it again")
    if plan.layout and running != plan.layout.first.label:
        raise BoardError(f"{running} runs, not {plan.layout.first.label}: `otactl slots {link.device}` shows why")
    said = plan.full.firmware.micropython
    if plan.layout and said and said != version:
        raise BoardError(f"MicroPython {version} runs, and {plan.full.name} is {said}: run it again")
    return str(version)


def _silent(device: str, heard: prompt.Heard) -> BoardError | RigError:
    if not heard.there:
        return RigError(f"the board at {device} has gone: plug it in and run it again, which goes on from here")
    said = f"it says {heard.said!r}" if heard.said else "it says nothing"
    return BoardError(f"the board at {device} does not come to its prompt; {said}: reset it and run it again")
