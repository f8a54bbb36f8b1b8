"""The server's memory: one sqlite file in the workspace. What each board said last, and what has become of it since.

Every call is a transaction of its own, so that `otactl boards` may read, and `otactl rollout` write, while a server runs."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from otactl.errors import UsageError
from otactl.fleet.checkin import ON_TRIAL, CheckIn

FILE = "fleet.db"
MOST_BOARDS = 10_000  # a stranger can make up boards: those that were silent longest make room
MOST_EVENTS = 200  # of a board
_WAIT_S = 10  # for another process's transaction
_ONCE = ("confirmed", "rolled-back")  # of a release: a board that was refused something since says it once more
_VERSION = 1
_TABLES = """
CREATE TABLE boards (
    id TEXT PRIMARY KEY, product TEXT, have INTEGER, phase TEXT, sequence INTEGER, reason TEXT,
    uptime INTEGER, heap INTEGER, rssi INTEGER,
    peer TEXT, first_seen REAL, last_seen REAL, offered INTEGER DEFAULT 0, done INTEGER DEFAULT 0, size INTEGER DEFAULT 0
);
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, board TEXT, event TEXT, sequence INTEGER, reason TEXT
);
CREATE INDEX events_of ON events (board, number);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT);
"""
# which board was silent longest; files of before have none, and who knows none opens a file with one
_INDEX = "CREATE INDEX IF NOT EXISTS boards_seen ON boards (last_seen)"


@dataclass(frozen=True, slots=True)
class Seen:
    """A board as it was heard last. `said`: its own word; times in seconds since 1970; `offered`: the sequence that it was
    answered with last; `done` of `size` bytes of what it downloads (0 of 0: nothing)."""

    said: CheckIn
    peer: str
    first_seen: float
    last_seen: float
    offered: int
    done: int
    size: int


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a board: `event` is one of new, offered, downloading, confirmed, rolled-back, held (it went back, and tries
    that release again), refused, changed (it runs another release than it did, which nobody here saw it take)."""

    at: float
    board: str
    event: str
    sequence: int
    reason: str


class Store:
    """`path`: of the file, which is made where it is not there. `clock`: seconds since 1970."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Raises UsageError where the file is not one of ours, or from a later version."""
        self._path, self._clock = path, clock
        self._one = threading.RLock()  # user of the connection at a time: several threads may call
        self._db: sqlite3.Connection | None = None
        with self.reading() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                db.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version = {_VERSION};COMMIT;")
            elif version != _VERSION:
                raise UsageError(
                    f"{path} is of version {version}, this otactl knows {_VERSION}: update otactl, or remove it"
                )
            db.execute(_INDEX)

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        with self._one:
            if self._db:
                self._db.close()
            self._db = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now(self) -> float:
        """Seconds since 1970, by the clock of this store."""
        return self._clock()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """For tables of others in the same file: all that is done inside holds, or nothing; no other writes meanwhile."""
        with self.reading() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """As transaction(), for what only reads."""
        try:
            with self._one, self._opened() as db:
                yield db
        except sqlite3.OperationalError as error:  # locked, full, not to be written
            raise UsageError(
                f"{self._path}: {error}; see that nothing else holds it, and that its folder has room"
            ) from None
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"{self._path}: {error}; it holds what boards have said: remove it, and they say it again"
            ) from None

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = sqlite3.connect(self._path, timeout=_WAIT_S, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
        return self._db

    def heard(self, said: CheckIn, peer: str, offered: int) -> None:
        """A board has asked, from address `peer`, and is answered with the release of sequence `offered` (0: none)."""
        now = self._clock()
        with self.transaction() as db:
            before = self._board(db, said.id)
            if before and not said.have and said.phase in ON_TRIAL:  # it does not vouch for what runs yet
                said = replace(said, have=before.said.have)
            for event, sequence, reason in _became(before, said, offered):
                if event not in _ONCE or self._last(db, said.id, event) != (sequence, reason):
                    self._note(db, said.id, event, sequence, reason)
            first = before.first_seen if before else now
            db.execute(
                "INSERT OR REPLACE INTO boards VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,0,0)",
                (said.id, said.product, said.have, said.phase, said.sequence, said.reason)
                + (said.uptime, said.heap, said.rssi, peer, first, now, offered),
            )
            if not before:
                self._make_room(db)

    def progress(self, board: str, done: int, size: int) -> None:
        """The board has taken `done` of `size` bytes of an image."""
        now = self._clock()
        with self.transaction() as db:
            before = self._board(db, board)
            if before and not before.size:
                self._note(db, board, "downloading", before.offered, "")
            db.execute("UPDATE boards SET done = ?, size = ?, last_seen = ? WHERE id = ?", (done, size, now, board))

    def forget(self, board: str) -> None:
        """The board, and what became of it."""
        with self.transaction() as db:
            db.execute("DELETE FROM boards WHERE id = ?", (board,))
            db.execute("DELETE FROM events WHERE board = ?", (board,))

    def boards(self) -> list[Seen]:
        """All that were heard, by id."""
        with self.reading() as db:
            return [_seen(row) for row in db.execute("SELECT * FROM boards ORDER BY id")]

    def events(self, board: str = "", after: int = 0) -> list[tuple[int, Event]]:
        """What became of one board, or of all, oldest first, each with its number, which rises."""
        chosen = "AND board = ?" if board else ""
        with self.reading() as db:
            rows = db.execute(
                f"SELECT * FROM events WHERE number > ? {chosen} ORDER BY number", (after, *([board] if board else []))
            )
            return [(number, Event(*rest)) for number, *rest in rows]

    def get(self, name: str) -> str | None:
        """A setting of this server."""
        with self.reading() as db:
            row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
            return row[0] if row else None

    def put(self, name: str, value: str | None) -> None:
        """Keep a setting; None: forget it."""
        with self.transaction() as db:
            db.execute("DELETE FROM settings WHERE name = ?", (name,))
            if value is not None:
                db.execute("INSERT INTO settings VALUES (?, ?)", (name, value))

    @staticmethod
    def _make_room(db: sqlite3.Connection) -> None:
        """Those that were silent longest go, with what became of them."""
        (count,) = db.execute("SELECT count(*) FROM boards").fetchone()
        if count > MOST_BOARDS:
            silent = db.execute("SELECT id FROM boards ORDER BY last_seen LIMIT ?", (count - MOST_BOARDS,)).fetchall()
            db.executemany("DELETE FROM boards WHERE id = ?", silent)
            db.executemany("DELETE FROM events WHERE board = ?", silent)

    @staticmethod
    def _last(db: sqlite3.Connection, board: str, event: str) -> tuple[int, str] | None:
        """Sequence and reason of the newest event of that kind."""
        row = db.execute(
            "SELECT sequence, reason FROM events WHERE board = ? AND event = ? ORDER BY number DESC", (board, event)
        ).fetchone()
        return row and (row[0], row[1])

    @staticmethod
    def _board(db: sqlite3.Connection, board: str) -> Seen | None:
        row = db.execute("SELECT * FROM boards WHERE id = ?", (board,)).fetchone()
        return _seen(row) if row else None

    def _note(self, db: sqlite3.Connection, board: str, event: str, sequence: int, reason: str) -> None:
        db.execute(
            "INSERT INTO events (at, board, event, sequence, reason) VALUES (?,?,?,?,?)",
            (self._clock(), board, event, sequence, reason),
        )
        db.execute(
            "DELETE FROM events WHERE board = ? AND number <= "
            "(SELECT number FROM events WHERE board = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (board, board, MOST_EVENTS),
        )


def _seen(row: tuple) -> Seen:
    board, product, have, phase, sequence, reason, uptime, heap, rssi, *rest = row
    return Seen(CheckIn(board, product, have, phase, sequence, reason, uptime, heap, rssi), *rest)


def _became(before: Seen | None, said: CheckIn, offered: int) -> Iterator[tuple[str, int, str]]:
    """The events between what a board said before and what it says now."""
    if before is None:
        yield "new", said.have, ""
    last = before.said if before else CheckIn(said.id)
    job = said.phase, said.sequence, said.reason
    changed = before is not None and job != (last.phase, last.sequence, last.reason)
    came = said.have != last.have or last.phase in ("writing", *ON_TRIAL)
    if changed and said.phase == "confirmed" and came:
        yield "confirmed", said.sequence, ""
    elif changed and said.phase == "failed":
        yield "rolled-back", said.sequence, said.reason
    elif changed and (said.phase == "held" or said.reason == "on-hold"):
        if last.phase != "held":  # of one trial once
            yield "held", said.sequence, said.reason
    elif changed and said.reason:
        yield "refused", said.sequence, said.reason
    elif before and said.have not in (0, last.have):
        yield "changed", said.have, ""
    if offered and offered > said.have and offered != (before.offered if before else 0):
        yield "offered", offered, ""
