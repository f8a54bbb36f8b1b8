"""What has changed, for all who look at the page: the store is asked once a second at the most, whoever many they are, and never
while nobody looks."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

POLL_S = 1.0
BEAT_S = 15.0  # a word where nothing changes, so that a viewer that has gone is noticed
MOST_VIEWERS = 200

# {"boards": [{"id": …, …}], …}: a fleet at one moment. What is beside the boards is sent whole where any of it has changed.
Snapshot = dict[str, Any]
_log = logging.getLogger("aiohttp.server")


class Feed:
    """`read`: gives the fleet as it is now; it is called in a thread."""

    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self._read = read
        self._revision = 0
        self._rest: Snapshot = {}
        self._rest_since = 0
        self._whole_since = 0  # who knows less gets everything: a board has gone
        self._rows: dict[str, Any] = {}
        self._since: dict[str, int] = {}  # the revision that a row is as it is since
        self._messages: dict[tuple[int, str], str] = {}  # made for this revision
        self._turn = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._is_over = False
        self.viewers = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wanted.wait()
            try:
                self.take(await asyncio.to_thread(self._read))
            except Exception:  # a fault of ours: the page stands still, and the next turn may do better
                _log.exception("the page could not be brought up to date")
            async with self._turn:
                self._turn.notify_all()
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """Every follow() ends."""
        self._is_over = True
        async with self._turn:
            self._turn.notify_all()

    def take(self, snapshot: Snapshot) -> None:
        """The fleet is so now."""
        rows = {row["id"]: row for row in snapshot["boards"]}
        rest = {name: value for name, value in snapshot.items() if name != "boards"}
        changed = [board for board, row in rows.items() if self._rows.get(board) != row]
        has_gone = not self._rows.keys() <= rows.keys()
        if self._revision and not (changed or has_gone or rest != self._rest):
            return
        self._revision += 1
        self._messages.clear()
        if rest != self._rest:
            self._rest_since = self._revision
        if has_gone:
            self._whole_since = self._revision
        self._since = {board: self._since.get(board, 0) for board in rows} | dict.fromkeys(changed, self._revision)
        self._rows, self._rest = rows, rest

    async def follow(self, board: str = "") -> AsyncIterator[str]:
        """JSON: the whole fleet first (`"whole": true`), then what has changed since; "" now and then where nothing has.
        `board`: only that one's row."""
        self.viewers += 1
        self._wanted.set()
        try:
            seen = 0
            while not self._is_over:
                if seen < self._revision:
                    message, seen = self._message(seen, board), self._revision
                    yield message
                    continue
                async with self._turn:
                    try:
                        await asyncio.wait_for(self._turn.wait(), BEAT_S)
                    except TimeoutError:
                        yield ""
        finally:
            self.viewers -= 1
            if not self.viewers:
                self._wanted.clear()

    def _message(self, seen: int, board: str) -> str:
        key = seen, board
        if key not in self._messages:
            self._messages[key] = json.dumps(self._news(seen, board), separators=(",", ":"))
        return self._messages[key]

    def _news(self, seen: int, board: str) -> Snapshot:
        whole = seen < max(1, self._whole_since)
        rows = [
            row for id_, row in self._rows.items() if (whole or self._since[id_] > seen) and (not board or id_ == board)
        ]
        rest = self._rest if whole or self._rest_since > seen else {}
        return {"whole": whole, **rest, "boards": rows}


@contextlib.asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[None]:
    """`feed` runs for as long as this lasts."""
    task = asyncio.create_task(feed.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
