"""Looks that are not answered yet: of boards on which somebody develops, who have nothing new until the next save.

A held look is a connection that stays open, on the board too, and its client waits with it. So few are held, none for long, none
that has not come because this server had asked for it, and none for which a program stands still: the board says so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from otactl.fleet import lending
from otactl.fleet.checkin import ON_TRIAL, CheckIn
from otactl.fleet.lending import Lent

LONGEST_S = 10.0
_READ_S = 20  # that a board waits for an answer (device/ota/config.py), where otactl.toml says nothing
_MOST = 64  # at once: each is an open connection
# of memory free, by the board's own word: what the agent wants before it keeps a connection (device/ota/net/connection.py). No chip
# without SPIRAM has that beside its Wi-Fi but for the largest; the others' programs would miss TLS's buffers all the time.
_HEAP = 180_000
_EVERY_S = 0.1  # between two looks at who is lent
_SOONEST_S = 0.75 * lending.SOON_S  # between two looks; what comes sooner came by itself
_STILL_S = 1.5  # by which a board's uptime and the clock here may differ, in whole seconds as it is told

Read = Callable[[], Awaitable[dict[str, Lent]]]


@dataclass(slots=True)
class _Last:
    """A look: when it came, and for how long the board had been up then."""

    came: float
    uptime: int


@dataclass(slots=True)
class _Place:
    """A look that is held. `lent`: as it was when it came; `over`: it is to be answered."""

    request: web.Request
    lent: Lent
    over: asyncio.Event


class Held:
    """`read`: gives all who are lent, by their boards. `now`: seconds since 1970. `answer_s`: what boards wait for an answer, None: as
    they do by themselves. `longest_s`: how long a look waits at the most."""

    def __init__(self, read: Read, now: Callable[[], float], answer_s: float | None = None) -> None:
        self._read, self._now = read, now
        self.longest_s = min(LONGEST_S, (answer_s or _READ_S) / 2)
        self._places: dict[str, _Place] = {}
        self._last: dict[str, _Last] = {}  # of boards that are lent
        self._left: set[str] = set()  # boards that hung up on a held look: they may wait less than is thought
        self._watch: asyncio.Task[None] | None = None
        self._ended = False

    def __len__(self) -> int:
        return len(self._places)

    async def until_news(self, request: web.Request, said: CheckIn, lent: Lent | None, offered: int) -> bool:
        """Wait where nothing is to be had for this board: until a save, the end of the loan, of the time, or of this server.
        `offered`: the sequence that it would be answered with. Whether it waited, and is still there."""
        if earlier := self._places.get(said.id):  # one place a board: it looks again, so nobody waits for that answer
            earlier.over.set()
        last = self._last.pop(said.id, None)
        if not lent:
            self._left.discard(said.id)
            return False
        seconds = None
        if said.uptime is not None:
            self._last[said.id] = this = _Last(self._now(), said.uptime)
            seconds = _between(last, this)
        if seconds is None:
            self._left.discard(said.id)  # it has started anew, which cut the connection
        if seconds is None or seconds < _SOONEST_S or not self._may_wait(said, lent, offered):
            return False
        place = self._places[said.id] = _Place(request, lent, asyncio.Event())
        if not self._watch:
            self._watch = asyncio.get_running_loop().create_task(self._watching())
        try:
            async with asyncio.timeout(self.longest_s):
                await place.over.wait()
        except TimeoutError:
            pass
        finally:
            if self._places.get(said.id) is place:
                del self._places[said.id]
        gone = _gone(request)
        if gone and not self._ended:
            self._left.add(said.id)
        return not gone

    async def end(self, _: object = None) -> None:
        """All are answered, and none is held from now on."""
        self._ended = True
        for place in self._places.values():
            place.over.set()
        if self._watch:
            self._watch.cancel()

    def _may_wait(self, said: CheckIn, lent: Lent, offered: int) -> bool:
        if self._ended or len(self._places) >= _MOST or said.id in self._left:
            return False
        failed = said.phase == "failed" and said.sequence == offered  # `failed-before`
        nothing_new = offered <= said.have or failed
        roomy = said.heap is not None and said.heap >= _HEAP
        developed_on = said.phase not in ON_TRIAL and lending.soon(lent, self._now()) > 0
        able = said.waits and roomy
        return able and nothing_new and developed_on

    async def _watching(self) -> None:
        """While looks are held."""
        try:
            while self._places:
                lends, now = await self._read(), self._now()
                for board, place in self._places.items():
                    lent = lends.get(board)
                    same = lent and (lent.sequence, lent.back) == (place.lent.sequence, place.lent.back)
                    if not same or not lending.soon(lent, now) or _gone(place.request):
                        place.over.set()  # where nobody can say who is lent, all
                await asyncio.sleep(_EVERY_S)
        finally:
            self._watch = None


def _between(last: _Last | None, this: _Last) -> float | None:
    """Seconds between two looks of a board; None where it has started meanwhile, so that a program may wait for its start."""
    seconds = this.came - last.came if last else 0.0
    return seconds if last and abs(this.uptime - last.uptime - seconds) <= _STILL_S else None


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
