"""Boards that somebody develops on: what they are offered instead of what their channel names, and what they come back to.

A table of its own in fleet.db, by which `otactl dev` and the server speak: who has the workspace writes it, the server reads it
at each look. It holds no board to anything: what it offers is signed, and names the board that may take it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from otactl.fleet import look
from otactl.fleet.checkin import CheckIn
from otactl.fleet.store import Store
from otactl.release import drafts
from otactl.workspace.workspace import Workspace

HEADER = "Ota-Look"  # of an answer: seconds until the board's next look
SOON_S = 2
LEASE_S = 300  # that a board is asked for, by one word of the development loop
_TABLES = (
    """CREATE TABLE IF NOT EXISTS lent (
    board TEXT PRIMARY KEY, sequence INTEGER, until REAL, version TEXT, have INTEGER, back INTEGER
)""",
    "CREATE TABLE IF NOT EXISTS raised (board TEXT PRIMARY KEY, sequence INTEGER, what TEXT)",
)


@dataclass(frozen=True, slots=True)
class Lent:
    """`board`: by its chip's address; `sequence`: of the draft that it is offered, 0 for none yet; `until`: as long it is asked to
    look soon, in seconds since 1970; `version` and `have` (its sequence): what it ran before; `back`: it is given back, and the
    draft is what it comes back to."""

    board: str
    sequence: int
    until: float
    version: str
    have: int
    back: bool


def put(store: Store, *lent: Lent) -> None:
    """From now on it is so."""
    with _writing(store) as db:
        for one in lent:
            row = (one.board, one.sequence, one.until, one.version, one.have, int(one.back))
            db.execute("INSERT OR REPLACE INTO lent VALUES (?,?,?,?,?,?)", row)


def drop(store: Store, board: str) -> None:
    """The board gets what its channel names, as any other."""
    with _writing(store) as db:
        db.execute("DELETE FROM lent WHERE board = ?", (board,))


def let_go(store: Store, lent: Lent) -> bool:
    """A board that was offered nothing new is as it was, and is said not to be lent. Whether it is such a one."""
    if not lent.sequence:
        drop(store, lent.board)
    elif lent.sequence == lent.have:  # the draft that it came back to before
        put(store, replace(lent, until=0, back=True))
    return lent.sequence in (0, lent.have)


def every(store: Store) -> list[Lent]:
    """All, by their boards; those too that are given back, until their channel has come further."""
    with _reading(store) as db:
        return [_lent(row) for row in db.execute("SELECT * FROM lent ORDER BY board")]


def of(store: Store, board: str) -> Lent | None:
    with _reading(store) as db:
        row = db.execute("SELECT * FROM lent WHERE board = ?", (board,)).fetchone()
        return _lent(row) if row else None


def instead(place: Workspace, lent: Lent | None) -> Path | None:
    """The draft that a board on which somebody develops is answered with; None: what any board is."""
    path = drafts.path(place, lent.sequence) if lent and lent.sequence and not lent.back else None
    return path if path and path.is_file() else None


def not_below(place: Workspace, store: Store, lent: Lent | None, path: Path) -> Path:
    """`path`, of what any board is answered with; to one that was given back what it came back to, while that is the newer one."""
    if lent is None or not lent.back:
        return path
    if look.named_in(path)[0] > lent.sequence:
        drop(store, lent.board)
        return path
    known = drafts.path(place, lent.sequence)
    return known if known.is_file() else path


def soon(lent: Lent | None, now: float) -> int:
    """Seconds until the board's next look, where somebody waits for it; else 0."""
    return SOON_S if lent and now < lent.until else 0


def note_raised(store: Store, said: CheckIn) -> None:
    """What a program raised that a board has tried, for who develops on it."""
    if said.what and raised(store, said.id, said.sequence) != said.what:
        with _writing(store) as db:
            db.execute("INSERT OR REPLACE INTO raised VALUES (?,?,?)", (said.id, said.sequence, said.what))


def raised(store: Store, board: str, sequence: int) -> str:
    """What the program of that release raised; empty where the board has not said it."""
    with _reading(store) as db:
        row = db.execute("SELECT what FROM raised WHERE board = ? AND sequence = ?", (board, sequence)).fetchone()
        return row[0] if row else ""


@contextmanager
def _reading(store: Store) -> Iterator[sqlite3.Connection]:
    with store.reading() as db:
        yield _with_tables(db)


@contextmanager
def _writing(store: Store) -> Iterator[sqlite3.Connection]:
    with store.transaction() as db:
        yield _with_tables(db)


def _with_tables(db: sqlite3.Connection) -> sqlite3.Connection:
    for statement in _TABLES:
        db.execute(statement)
    return db


def _lent(row: tuple) -> Lent:
    board, sequence, until, version, have, back = row
    return Lent(board, sequence, until, version, have, bool(back))
