"""The server's ear: boards say who they are in the requests that they make anyway, and are answered with what they are offered.

A board that says nothing, or to whom the memory has no answer, gets the channel's file as from any server."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from otactl.errors import OtactlError, UsageError
from otactl.fleet import approval, lending, look, offer
from otactl.fleet.checkin import HEADER, CheckIn, parse
from otactl.fleet.lending import Lent
from otactl.fleet.names import Names, is_named
from otactl.fleet.store import Store
from otactl.server.files import FILE, TAKEN, Transfer
from otactl.server.held import Held
from otactl.workspace.workspace import Workspace

_PAUSE_S = 1.0  # between two notes of how far a board is
_SOON = web.RequestKey("SOON", int)  # seconds until the board's next look, where it is asked to look soon


class Hub:
    """Of a workspace that is served. `held`: looks that wait for a save. `tell` gets a line where something is wrong with its files."""

    def __init__(self, place: Workspace, store: Store, tell: Callable[[str], None] = lambda line: None) -> None:
        """Raises UsageError where boards.toml or boards.csv is damaged."""
        self._place, self._store, self._tell = place, store, tell
        self._names = Names(place.root)
        self._noted: dict[str, float] = {}  # board -> when its progress was written
        self._lends: dict[str, Lent] = {}  # by board, as of its last look
        self._told = ""
        # one thread: sqlite has one writer, and nobody who downloads waits for it
        self._worker = ThreadPoolExecutor(1, "otactl-hub")
        answer_s = place.board.get("read_timeout_s")  # boards refuse one that is no number
        self.held = Held(self._every, store.now, answer_s if isinstance(answer_s, int | float) else None)

    def room(self, app: web.Application) -> None:
        """What a Server takes in `rooms`."""

        @web.middleware
        async def hear(request: web.Request, handler: Handler) -> web.StreamResponse:
            said = parse(request.headers.get(HEADER, ""))
            if said and request.method == "GET":
                await self._heard(request, said)
            elif said:  # a HEAD of who is no board: whether this server knows of a loan
                with contextlib.suppress(OtactlError):
                    await asyncio.get_running_loop().run_in_executor(self._worker, self._lent, said.id)
            if said:
                request[_SOON] = lending.soon(self._lends.get(said.id), self._store.now())
            return await handler(request)

        async def hasten(request: web.Request, response: web.StreamResponse) -> None:
            if soon := request.get(_SOON):
                response.headers[lending.HEADER] = str(soon)

        app.middlewares.append(hear)
        app.on_response_prepare.append(hasten)
        app.on_shutdown.append(self.held.end)

    async def _heard(self, request: web.Request, said: CheckIn) -> None:
        peer, channel = request.remote or "", self._channel(request.path)
        if channel:
            loop = asyncio.get_running_loop()
            path, offered = await loop.run_in_executor(self._worker, self._answer, said, peer, channel)
            if await self.held.until_news(request, said, self._lends.get(said.id), offered):
                path, _ = await loop.run_in_executor(self._worker, self._answer, said, peer, channel)
            if path:
                request[FILE] = path
        elif not request.path.endswith(".json"):
            request[TAKEN] = lambda transfer: self._taken(said.id, transfer)

    def _channel(self, path: str) -> Workspace | None:
        """The workspace on the channel whose file is at `path`; None where that is no channel."""
        name = path[1:].removesuffix(".json")
        if path != f"/{name}.json":
            return None
        try:
            found = self._place.on(name)
        except UsageError:
            return None
        return found if name == self._place.channel or found.channel_file.is_file() else None

    def _answer(self, said: CheckIn, peer: str, channel: Workspace) -> tuple[Path | None, int]:
        """What a board is answered with, and its sequence."""
        sequence = 0
        try:
            lent = self._lent(said.id)
            if lent:
                lending.note_raised(self._store, said)
            path = lending.instead(channel, self._store, lent, said.have)
            if path is None:  # what a board says on which somebody develops counts in no rollout
                path = lending.not_below(channel, self._store, lent, self._usual(channel, said))
            sequence, version = look.named_in(path)
            if sequence:
                look.keep(self._store, sequence, version)
            self._store.heard(said, peer, sequence)
            elsewhere = channel.channel if channel.channel != self._place.channel else ""
            lending.note_channel(self._store, said.id, elsewhere)
            trouble = "; ".join(self._names.trouble.values())
        except OtactlError as error:  # boards get their updates all the same
            path, trouble = None, str(error)
        if trouble != self._told:
            self._told = trouble
            if trouble:
                self._tell(trouble)
        return path, sequence

    def _usual(self, channel: Workspace, said: CheckIn) -> Path:
        """What a board gets on which nobody develops."""
        name, cohort = self._names.of(said.id)
        path = offer.envelope_for(channel, self._store, said, cohort)
        return approval.offered(channel, self._store, said, path, named=is_named(said.id, name, cohort))

    def _lent(self, board: str) -> Lent | None:
        """Whether somebody develops on it now, or has. Raises UsageError."""
        lent = lending.of(self._store, board)
        if lent:
            self._lends[board] = lent
        else:
            self._lends.pop(board, None)
        return lent

    async def _every(self) -> dict[str, Lent]:
        """All who are lent, by their boards; none where the memory does not say."""
        with contextlib.suppress(OtactlError):
            lends = await asyncio.get_running_loop().run_in_executor(self._worker, lending.every, self._store)
            return {one.board: one for one in lends}
        return {}

    def _taken(self, board: str, transfer: Transfer) -> None:
        now = time.monotonic()
        soon = now - self._noted.get(board, -_PAUSE_S) < _PAUSE_S
        if not transfer.size or (soon and not transfer.over):
            return
        self._noted[board] = now
        if transfer.over:
            self._noted.pop(board)
        self._worker.submit(self._note, board, transfer.done, transfer.size)

    def _note(self, board: str, done: int, size: int) -> None:
        try:
            self._store.progress(board, done, size)
        except OtactlError as error:
            self._tell(str(error))
