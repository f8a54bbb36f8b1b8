"""The development loop over the network: at each save a signed draft for the boards that were borrowed, and what they say of it.

Boards look by themselves. This only writes what the server answers them with, and reads what the server has heard."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from otactl.board.codes import CODES
from otactl.board.dev.folder import Folder, Save
from otactl.board.dev.loop import Tally
from otactl.errors import OtactlError, ReleaseError
from otactl.fleet import borrowing, lending
from otactl.fleet.borrowing import Guest
from otactl.fleet.checkin import ON_TRIAL
from otactl.fleet.store import Seen, Store
from otactl.fleet.table import PASSING
from otactl.release import application, drafting, drafts, reads
from otactl.release.drafts import Draft
from otactl.workspace.workspace import Workspace

_POLL_S = 0.2
_SAVED_S = 0.05  # between two looks at the folder, which itself says what it looks at
_RENEW_S = 60.0  # the boards are asked for anew
_QUIET_S = 20.0  # without a look of a board that should look every two seconds
# Without a word of a board that has been offered a save: a look, a download or a trial takes less, most often.
_LOST_S = 60.0
_KEPT = 3  # the newest drafts, beside those that boards name: one may be on its way
_NAMES = 3  # of files in a line
_NEXT = "the next save goes on"


class Told(Protocol):
    """What is shown of a board, as board/dev/loop.py has it; `wait`: what it is waited for."""

    def note(self, line: str, sign: bool | None = None) -> None: ...

    def wait(self, what: str, *, counts: bool = True) -> None: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """A save that was offered. `what`: its files in words; `at`: seconds since 1970."""

    what: str
    version: str
    at: float


@dataclass(slots=True)
class _Board:
    """`told`: what was said of it already, each a word and a sequence; `since`: of the newest draft that it has not met."""

    guest: Guest
    shown: Told
    told: set[tuple[str, int]] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)


class Development:
    """`between_s`: the longest that boards wait between two looks by themselves."""

    def __init__(
        self,
        place: Workspace,
        store: Store,
        folder: Folder,
        shown: Mapping[str, Told],
        guests: Sequence[Guest],
        between_s: int,
    ) -> None:
        """`shown`: by the names of the guests."""
        self._place, self._store, self._folder, self._between_s = place, store, folder, between_s
        self._boards = [_Board(guest, shown[guest.name]) for guest in guests]
        self._lent = {guest.id: guest.lent for guest in guests}
        self._sent: dict[int, Sent] = {}
        self._packed = b""
        self._renewed = 0.0

    def run(self) -> None:
        """Until Ctrl-C, which is raised. Raises OtactlError where the folder cannot be published at first, and UsageError where the
        boards were lent no longer, as after a machine's sleep."""
        self._put()
        try:
            borrowing.require_hub(self._place, self._boards[0].guest.id)
        except OtactlError:
            for lent in self._lent.values():
                lending.let_go(self._store, lent)
            raise
        for board in self._boards:
            board.shown.wait(f"{self._folder.root}: Ctrl-C gives the board back", counts=False)
        save = self._folder.newest()
        self._offer(save)
        while True:
            borrowing.require_lent(self._place, self._store, [board.guest for board in self._boards])
            until = time.monotonic() + _POLL_S
            while (newest := self._folder.newest()).number == save.number and time.monotonic() < until:
                time.sleep(_SAVED_S)
            if newest.number != save.number:
                save = newest
                self._offer(save)
            self._hear()
            self._renew()

    @property
    def tallies(self) -> dict[str, Tally]:
        """By the boards' names."""
        return {board.guest.name: board.tally for board in self._boards}

    # --- a save ----------------------------------------------------------------------------------------------------

    def _offer(self, save: Save) -> None:
        asked = application.Asked(self._folder.root)
        what = _listed(save.changed) or "all files"
        try:
            made = application.make(asked, reads.known(self._place, [], None), ())
            if made.packed == self._packed:
                self._all(f"{what}: nothing that boards get has changed")
                return
            boards = [board.guest.id for board in self._boards]
            base = borrowing.base(self._place, self._store, self._boards[0].guest.lent)
            done = drafting.application(self._place, asked, Draft(base, boards))
        except ReleaseError as error:
            self._all(f"{error}; what ran before runs on", sign=False)
            return
        except OtactlError as error:
            if not self._sent:
                raise
            self._all(f"{what}: {error}; {_NEXT}", sign=False)
            return
        self._packed = made.packed
        self._sent[done.sequence] = Sent(what, done.version, time.time() - (time.monotonic() - save.at))
        self._put(done.sequence)
        for note in done.notes:
            self._all(note)
        self._all(f"{what}: {done.version} is offered, {len(made.files)} files, {len(made.packed)} bytes")
        borrowing.tidy(self._place, self._store, _KEPT)

    def _all(self, line: str, sign: bool | None = None) -> None:
        for board in self._boards:
            board.shown.note(line, sign)

    def _put(self, sequence: int | None = None) -> None:
        """The server offers that draft from now on; None: as before, for longer."""
        until = time.time() + lending.LEASE_S
        for one, lent in self._lent.items():
            self._lent[one] = replace(lent, until=until, sequence=lent.sequence if sequence is None else sequence)
        lending.put(self._store, *self._lent.values())
        self._renewed = time.monotonic()

    def _renew(self) -> None:
        if time.monotonic() - self._renewed > _RENEW_S:
            self._put()

    # --- what boards say ---------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        seen = {one.said.id: one for one in self._store.boards()}
        for board in self._boards:
            if one := seen.get(board.guest.id):
                self._judge(board, one)

    def _judge(self, board: _Board, seen: Seen) -> None:
        said, newest = seen.said, max(self._sent, default=0)
        if said.phase in ON_TRIAL and (sent := self._sent.get(said.sequence)):
            self._say(board, "trial", said.sequence, f"on trial {seen.last_seen - sent.at:.1f} s after the save")
        if (sent := self._sent.get(said.have)) and ("runs", said.have) not in board.told:
            seconds = seen.last_seen - sent.at
            board.tally.seconds.append(seconds)
            self._say(board, "runs", said.have, f"runs, confirmed {seconds:.1f} s after the save", sign=True)
        came_to_nothing = said.phase in ("idle", "writing") and said.reason and said.reason not in PASSING
        if said.phase == "failed":
            raised = lending.raised(self._store, seen.said.id, said.sequence)
            told = why(said.reason, raised)
            self._say(board, "failed", said.sequence, f"{told}; what ran before runs on", sign=False)
        elif said.phase == "held" or said.reason == "on-hold":
            held = f"{why(said.reason)}; what ran before runs on, and this is tried again by itself"
            self._say(board, "held", said.sequence, held, sign=False)
        elif came_to_nothing and seen.offered == newest:
            self._say(board, "refused", newest, f"refused, {why(said.reason)}", sign=False)
        quiet = time.time() - max(seen.last_seen, self._sent[newest].at if newest else 0)
        if not newest or said.phase in ON_TRIAL:
            return
        if quiet > _QUIET_S and seen.offered < newest:
            self._say(board, "quiet", newest, f"the board has not looked yet: {unheard(self._between_s)}")
        elif quiet > _LOST_S and seen.offered == newest and newest not in (said.have, said.sequence):
            gone = "nothing was heard of the board since it was offered that: what broke off there is tried again when it looks"
            self._say(board, "lost", newest, f"{gone}; {unheard(self._between_s)}")

    def _say(self, board: _Board, word: str, sequence: int, line: str, *, sign: bool | None = None) -> None:
        """Once for each draft of this loop."""
        sent = self._sent.get(sequence)
        if sent and (word, sequence) not in board.told:
            board.told.add((word, sequence))
            board.shown.note(f"{sent.what}: {line}", sign)


def why(code: str, raised: str = "") -> str:
    """A code and what it means; what to do next the loop knows. `raised`: with blanks as `_`, as boards say it."""
    what, _ = CODES.get(code, ("", ""))
    fact = f"{code}, {raised.replace('_', ' ')}" if raised else code
    return f"{fact}: {what.rstrip('.')}" if what else fact


def unheard(between_s: int) -> str:
    """When a board looks that nobody asks to."""
    return (
        f"it looks at its start, and where its program calls agent.task() or agent.loop() every {max(between_s // 60, 1)} min at the "
        "most; a reset makes it look now"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def give_back(place: Workspace, store: Store, boards: Sequence[str]) -> dict[str, int]:
    """What each of these boards ran before is offered to it under a new sequence, by their ids, also to one that was given back and
    did not take it. One that has not come back yet goes on being offered that; one that was never offered a draft, or has something
    newer, is let go. Raises ReleaseError, UsageError (as while a rollout runs), RigError, and boards of which that is not so yet stay
    as they are."""
    lent = [one for one in borrowing.outstanding(store) if one.board in boards]
    seen = {one.said.id: one for one in store.boards()}
    have = {board: one.said.have for board, one in seen.items()}
    lent = [one for one in lent if one.back or not lending.let_go(store, one, have.get(one.board, 0))]
    ways: dict[str, tuple[str, bool]] = {}
    until = store.now() + lending.LEASE_S
    for one in lent:
        if not one.back:
            ways[one.board] = borrowing.way_back(place, store, one)
        elif borrowing.declined(seen.get(one.board), one.sequence) or not drafts.path(place, one.sequence).is_file():
            ways[one.board] = one.version, False
        else:
            lending.put(store, replace(one, until=until))
    if ways:
        borrowing.require_no_rollout(place, store)
    for way in sorted(set(ways.values()) - {("", False)}):
        together = [one for one in lent if ways.get(one.board) == way]
        sequence = drafting.again(place, way[0], [one.board for one in together], whole=way[1])
        lending.put(store, *(replace(one, sequence=sequence, until=until, back=True) for one in together))
    if nowhere := [board for board, way in ways.items() if not way[0]]:
        raise ReleaseError(
            f"{', '.join(nowhere)} ran no release of this workspace before: publish what is to run there"
        )
    given = {one.board for one in lent}
    return {one.board: one.sequence for one in lending.every(store) if one.board in given}


def await_back(
    store: Store, given: Mapping[str, int], limit_s: float, tick: Callable[[list[str], float], None]
) -> list[str]:
    """The boards that have not come back within that time, or do not take it. `tick`: gets those that are waited for, and the seconds
    that are left."""
    until = time.monotonic() + limit_s
    while True:
        seen = {one.said.id: one for one in store.boards()}
        out = [board for board, sequence in given.items() if board not in seen or seen[board].said.have < sequence]
        awaited = [board for board in out if not borrowing.declined(seen.get(board), given[board])]
        left = until - time.monotonic()
        if not awaited or left <= 0:
            return out
        tick(awaited, left)
        time.sleep(_POLL_S)
