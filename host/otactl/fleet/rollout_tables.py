"""The rollouts of a workspace and what their boards came to: tables of their own in fleet.db."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from otactl.fleet.machine import OVER, Counts
from otactl.fleet.plan import Step, dumps, loads, stage_of
from otactl.fleet.store import Store

KEPT = 20  # rollouts whose boards are remembered
MOST_UNKNOWN = 1_000  # boards of a rollout that nobody knew before: a stranger can make them up
_TABLES = """
CREATE TABLE IF NOT EXISTS rollouts (
    number INTEGER PRIMARY KEY, channel TEXT, version TEXT, sequence INTEGER, before TEXT, salt TEXT, stages TEXT, mode TEXT,
    soak REAL, settle REAL, halt_at INTEGER, least INTEGER, state TEXT, stage INTEGER, since REAL, started REAL, why TEXT
);
CREATE TABLE IF NOT EXISTS rollout_boards (
    rollout INTEGER, board TEXT, stage INTEGER, known INTEGER, outcome TEXT, reason TEXT, at REAL,
    PRIMARY KEY (rollout, board)
);
"""
# what a board came to in a rollout
PLANNED, GIVEN, CONFIRMED, DOUBTED, ROLLED_BACK = "planned", "given", "confirmed", "doubted", "rolled-back"
HELD = "held"  # it went back by what is not the release's fault, and tries it again


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout. `before`: the release that `channel` names meanwhile; `soak` in seconds, and `settle`: so long nothing may
    contradict a board that has confirmed; `stage`: the number of the one at
    hand, which began at `since`; `least`: --min-confirmed; `why`: what a person said, or what ended it."""

    number: int
    channel: str
    version: str
    sequence: int
    before: str
    salt: str
    plan: list[Step]
    mode: str
    soak: float
    settle: float
    halt_at: int
    least: int | None
    state: str
    stage: int
    since: float
    started: float
    why: str

    @property
    def over(self) -> bool:
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class Mark:
    """A board in a rollout: its `stage`, whether it was `known` before, and what it came to, last at `at`. DOUBTED: it said
    that it had confirmed, and then that it runs something else; its word counts no more."""

    board: str
    stage: int
    known: bool
    outcome: str
    reason: str
    at: float


class Tables:
    """Inside a transaction of the store."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def last(self, channel: str | None = None) -> Rollout | None:
        """The rollout that was begun last, of any channel or of one."""
        chosen = "WHERE channel = ?" if channel else ""
        row = self._db.execute(
            f"SELECT * FROM rollouts {chosen} ORDER BY number DESC LIMIT 1", [channel] if channel else []
        ).fetchone()
        return _rollout(row) if row else None

    def add(self, new: Rollout, known: Mapping[str, str]) -> Rollout:
        """Begin one, under a number of its own. `known`: the cohorts of the boards that count, by id."""
        at = self._db.execute(
            f"INSERT INTO rollouts VALUES (NULL{',?' * 16})",
            (new.channel, new.version, new.sequence, new.before, new.salt, dumps(new.plan), new.mode, new.soak)
            + (new.settle, new.halt_at, new.least, new.state, new.stage, new.since, new.started, new.why),
        )
        made = replace(new, number=at.lastrowid or 0)
        self._db.execute("DELETE FROM rollout_boards WHERE rollout <= ?", (made.number - KEPT,))
        for board, cohort in known.items():
            stage = stage_of(new.plan, new.salt, board, cohort)
            self.put(made, Mark(board, stage, True, PLANNED, "", new.started))
        return made

    def save(self, changed: Rollout) -> None:
        """Its state, stage and why."""
        self._db.execute(
            "UPDATE rollouts SET state = ?, stage = ?, since = ?, why = ? WHERE number = ?",
            (changed.state, changed.stage, changed.since, changed.why, changed.number),
        )

    def mark(self, of: Rollout, board: str) -> Mark | None:
        row = self._db.execute(f"{_MARKS} AND board = ?", (of.number, board)).fetchone()
        return _mark(row) if row else None

    def marks(self, of: Rollout) -> list[Mark]:
        """All boards of a rollout, by id."""
        return [_mark(row) for row in self._db.execute(f"{_MARKS} ORDER BY board", (of.number,))]

    def put(self, of: Rollout, mark: Mark) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO rollout_boards VALUES (?,?,?,?,?,?,?)",
            (of.number, mark.board, mark.stage, int(mark.known), mark.outcome, mark.reason, mark.at),
        )

    def has_room(self, of: Rollout) -> bool:
        """For one more board that nobody knew."""
        (count,) = self._db.execute(
            "SELECT count(*) FROM rollout_boards WHERE rollout = ? AND NOT known", (of.number,)
        ).fetchone()
        return bool(count < MOST_UNKNOWN)

    def counts(self, of: Rollout) -> Counts:
        """Of the stage at hand, as machine.Counts has it."""
        row = self._db.execute(
            """SELECT sum(known AND stage = :stage), sum(known AND stage = :stage AND outcome != 'planned'),
            sum(known AND stage = :stage AND outcome = 'confirmed'), sum(known AND stage = :stage AND outcome = 'rolled-back'),
            sum(known AND stage < :stage AND outcome = 'confirmed'), sum(outcome = 'rolled-back'),
            max(at * (known AND stage = :stage AND outcome = 'confirmed'))
            FROM rollout_boards WHERE rollout = :rollout""",
            {"stage": of.stage, "rollout": of.number},
        ).fetchone()
        return Counts(*(one or 0 for one in row))

    def sequences(self, channel: str) -> list[int]:
        """Of all releases that were ever rolled out to a channel."""
        return [one for (one,) in self._db.execute("SELECT sequence FROM rollouts WHERE channel = ?", (channel,))]


_MARKS = "SELECT board, stage, known, outcome, reason, at FROM rollout_boards WHERE rollout = ?"


@contextmanager
def writing(store: Store) -> Iterator[Tables]:
    """The tables, to change what is in them; no other process does meanwhile."""
    with store.transaction() as db:
        yield Tables(_with_tables(db))


@contextmanager
def reading(store: Store) -> Iterator[Tables]:
    with store.reading() as db:
        yield Tables(_with_tables(db))


def _with_tables(db: sqlite3.Connection) -> sqlite3.Connection:
    for statement in _TABLES.split(";"):  # executescript() would end the transaction
        db.execute(statement)
    return db


def _rollout(row: tuple) -> Rollout:
    number, channel, version, sequence, before, salt, stages, *rest = row
    return Rollout(number, channel, version, sequence, before, salt, loads(stages), *rest)


def _mark(row: tuple) -> Mark:
    board, stage, known, *rest = row
    return Mark(board, stage, bool(known), *rest)
