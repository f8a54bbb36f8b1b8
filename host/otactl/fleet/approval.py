"""Releases that wait for a press of a button: the server holds them back from a board until somebody wants it to have them.

Nobody but the server is held by this: it withholds an offer, and a board judges what it is offered by itself, as ever."""

from pathlib import Path

from otactl.fleet import look
from otactl.fleet.checkin import CheckIn
from otactl.fleet.store import Store
from otactl.release import ledger
from otactl.workspace.workspace import Workspace

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
    if sequence <= max(said.have, _number(store, _WANTED, said.id)):
        _keep(store, _WAITS, said.id, 0)
        return path
    for there in ledger.signed_files(place):
        if said.have and look.named_in(there)[0] == said.have:
            _keep(store, _WAITS, said.id, sequence)
            return there
    return path


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


def _number(store: Store, name: str, board: str) -> int:
    return int(store.get(name + board) or 0)


def _keep(store: Store, name: str, board: str, sequence: int) -> None:
    if _number(store, name, board) != sequence:
        store.put(name + board, str(sequence) if sequence else None)
