"""Releases that wait for a press of a button: the server holds them back from a board until somebody wants it to have them.

Nobody but the server is held by this: it withholds an offer, and a board judges what it is offered by itself, as ever."""

from contextlib import suppress
from pathlib import Path

from otactl.files import write_atomic
from otactl.fleet import look
from otactl.fleet.checkin import CheckIn
from otactl.fleet.store import Store
from otactl.release import drafts, ledger
from otactl.workspace.workspace import Workspace

FOLDER = "held"  # of the workspace: what boards have, as they were answered with it last
_HOLD = "approval.hold"
_WAITS = "approval.waits:"  # and the board's id: the sequence that is held back from it
_WANTED = "approval.wanted:"  # and the board's id: the last sequence that somebody wanted it to have


def hold(store: Store, on: bool) -> None:
    """From now on releases wait, or do not."""
    store.put(_HOLD, "1" if on else None)


def offered(place: Workspace, store: Store, said: CheckIn, path: Path, *, named: bool) -> Path:
    """The signed release that a board gets instead of the one at `path`: the one that it has already, until that one is wanted.

    A board that runs no release of this workspace takes its first one at once: there is none to be answered with. So does one
    that nobody has named (`named`): it has no button."""
    if store.get(_HOLD) is None or not named:
        return path
    sequence, _ = look.named_in(path)
    if sequence == said.have:
        _remember(place, sequence, path)
    if sequence <= max(said.have, _number(store, _WANTED, said.id)) or _has_met(said, sequence):
        _keep(store, _WAITS, said.id, 0)
        return path
    has = _released(place, said.have)
    if has:
        _keep(store, _WAITS, said.id, sequence)
    return has or path


def waits(store: Store, board: str) -> tuple[int, bool]:
    """(sequence that is held back from the board, whether it is wanted since); (0, False): none."""
    if store.get(_HOLD) is None:
        return 0, False
    sequence = _number(store, _WAITS, board)
    return sequence, bool(sequence) and _number(store, _WANTED, board) >= sequence


def want(store: Store, board: str) -> int:
    """Let the board have what waits for it, at its next look: the sequence; 0 where nothing waits. A later release waits anew."""
    sequence = _number(store, _WAITS, board)
    if sequence:
        _keep(store, _WANTED, board, sequence)
    return sequence


def lets(store: Store, board: str, sequence: int, have: int, *, named: bool) -> bool:
    """Whether a board that has `have` gets the release of that sequence without a press."""
    held = store.get(_HOLD) is not None and named and have
    return not held or sequence <= _number(store, _WANTED, board)


def _has_met(said: CheckIn, sequence: int) -> bool:
    """Whether a board is taking that release already, or has rolled it back: an older one would be an alarm (`replayed`)."""
    return said.sequence == sequence and said.phase != "idle"


def _released(place: Workspace, sequence: int) -> Path | None:
    """The signed release of that sequence as boards were answered with it last, or as it was published, or made as a draft."""
    if not sequence:
        return None
    found = [place.root / FOLDER / f"{sequence}.json", drafts.path(place, sequence), *ledger.signed_files(place)]
    return next((path for path in found if look.named_in(path)[0] == sequence), None)


def _remember(place: Workspace, sequence: int, path: Path) -> None:
    """What a board has may be signed once more (`releases renew`): to be answered with the earlier one would be an alarm."""
    kept = place.root / FOLDER / f"{sequence}.json"
    with suppress(OSError):  # a full disk: boards get their updates all the same
        data = path.read_bytes()
        if not kept.is_file() or kept.read_bytes() != data:
            kept.parent.mkdir(exist_ok=True)
            write_atomic(kept, data)


def _number(store: Store, name: str, board: str) -> int:
    return int(store.get(name + board) or 0)


def _keep(store: Store, name: str, board: str, sequence: int) -> None:
    if _number(store, name, board) != sequence:
        store.put(name + board, str(sequence) if sequence else None)
