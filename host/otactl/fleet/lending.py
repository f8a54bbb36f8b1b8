"""Boards that somebody develops on: what they are offered instead of what their channel names, and what they come back to.

A table of its own in fleet.db, by which `otactl dev` and the server speak: who has the workspace writes it, the server reads it
at each look. It holds no board to anything: what it offers is signed, and names the board that may take it."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
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
LEFT_S = 3600  # after that without a word: nobody is at work there
_TABLES = (
    """CREATE TABLE IF NOT EXISTS lent (
    board TEXT PRIMARY KEY, sequence INTEGER, until REAL, version TEXT, have INTEGER, back INTEGER
)""",
    "CREATE TABLE IF NOT EXISTS raised (board TEXT PRIMARY KEY, sequence INTEGER, what TEXT)",
    "CREATE TABLE IF NOT EXISTS elsewhere (board TEXT PRIMARY KEY, channel TEXT)",
    "CREATE TABLE IF NOT EXISTS met (board TEXT, version TEXT, PRIMARY KEY (board, version))",
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


def has_gone_on(lent: Lent, have: int) -> bool:
    """Whether a board has something newer (`have`) than the draft that it was offered."""
    return 0 < lent.sequence < have


def let_go(store: Store, lent: Lent, have: int = 0) -> bool:
    """A board that was offered nothing new, or has gone on, keeps what it has, and is said not to be lent. Whether it is such a
    one."""
    gone_on = has_gone_on(lent, have)
    if gone_on or not lent.sequence:
        drop(store, lent.board)
    elif lent.sequence == lent.have:  # the draft that it came back to before
        put(store, replace(lent, until=0, back=True))
    return gone_on or lent.sequence in (0, lent.have)


def every(store: Store) -> list[Lent]:
    """All, by their boards; those too that are given back, until their channel has come further."""
    with _reading(store) as db:
        return [_lent(row) for row in db.execute("SELECT * FROM lent ORDER BY board")]


def of(store: Store, board: str) -> Lent | None:
    with _reading(store) as db:
        row = db.execute("SELECT * FROM lent WHERE board = ?", (board,)).fetchone()
        return _lent(row) if row else None


def is_left(lent: Lent, now: float) -> bool:
    """Whether a loop has ended without a word, as that of a machine that was switched off."""
    return not lent.back and now > lent.until + LEFT_S


def under_way(store: Store) -> list[Lent]:
    """The boards on which somebody develops."""
    now = store.now()
    return [one for one in every(store) if not one.back and not is_left(one, now)]


def instead(place: Workspace, store: Store, lent: Lent | None, have: int) -> Path | None:
    """The draft that a board which has `have` is answered with, where somebody develops on it; None: what any board is."""
    if lent is None or lent.back or is_left(lent, store.now()):
        return None
    if have > lent.sequence:  # it has gone on: the draft would be `older` there
        return None
    path = drafts.path(place, lent.sequence)
    return path if path.is_file() else None


def not_below(place: Workspace, store: Store, lent: Lent | None, path: Path) -> Path:
    """`path`, of what any board is answered with; to one that was given back, or left, what it has from there, while that is the
    newer one."""
    if lent is None or not (lent.back or is_left(lent, store.now())):
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


def note_channel(store: Store, board: str, channel: str) -> None:
    """The channel at which a board looks; empty: that of the workspace."""
    if channel_of(store, board) == channel:
        return
    with _writing(store) as db:
        db.execute("DELETE FROM elsewhere WHERE board = ? OR board NOT IN (SELECT id FROM boards)", (board,))
        if channel:
            db.execute("INSERT INTO elsewhere VALUES (?,?)", (board, channel))


def channel_of(store: Store, board: str) -> str:
    """As note_channel() was told last."""
    with _reading(store) as db:
        row = db.execute("SELECT channel FROM elsewhere WHERE board = ?", (board,)).fetchone()
        return row[0] if row else ""


def rolled_back(store: Store, board: str, versions: Mapping[int, str]) -> set[str]:
    """The versions that a board went back from, and has not confirmed since; not what it tries again by itself (`held`).
    `versions`: by sequence."""
    with _reading(store) as db:
        found = {row[0] for row in db.execute("SELECT version FROM met WHERE board = ?", (board,))}
    for _, event in store.events(board):
        version = versions.get(event.sequence, "")
        if event.event == "rolled-back":
            found.add(version)
        elif event.event == "confirmed":
            found.discard(version)
    return found - {""}


def note_rolled_back(store: Store, board: str, versions: Collection[str]) -> None:
    """As rolled_back() found them: a day of saves pushes the events out."""
    with _writing(store) as db:
        db.execute("DELETE FROM met WHERE board = ?", (board,))
        db.executemany("INSERT INTO met VALUES (?,?)", [(board, version) for version in versions])


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
