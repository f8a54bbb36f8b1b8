"""The page: its files, the stream that keeps it up to date, and what it may do."""

import asyncio
import functools
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from otactl.errors import OtactlError
from otactl.fleet import look, rollout
from otactl.fleet.names import Names
from otactl.fleet.store import Store
from otactl.fleet.table import Row, headline
from otactl.server.files import FILES
from otactl.server.page import export, files, label, slots, told
from otactl.server.page.feed import MOST_VIEWERS, Feed, Snapshot, running
from otactl.server.page.guard import HEADERS, Guard
from otactl.workspace.workspace import Workspace

_PAGES = {"/": "list.html", "/board/{id}": "board.html", "/wall": "wall.html", "/labels": "labels.html"}
_TOKEN_BYTES = 16
_RETRY_MS = 1000
_PATIENCE_S = 60  # for a viewer that takes nothing

_ACTIONS = {"pause": rollout.pause, "resume": rollout.resume, "abort": rollout.give_up}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def new_token() -> str:
    """What lets a person act by the page; a new one for each server."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class Page:
    """Of a workspace whose boards `store` remembers. `token`: lets its bearer act; without it the page is to look at."""

    def __init__(self, place: Workspace, store: Store, token: str) -> None:
        self._place, self._store = place, store
        self._guard = Guard(place, token)
        self._names: Names | None = None
        self._feed: Feed | None = None

    def room(self, app: web.Application) -> None:
        """Adds the page to a server."""
        for path, file in _PAGES.items():
            app.router.add_get(path, self._shown(functools.partial(files.answer, file)))
        app.router.add_get("/page/{file}", self._shown(files.named))
        app.router.add_get("/events", self._shown(self._events))
        app.router.add_get("/api/fleet", self._shown(self._fleet))
        app.router.add_get("/api/board/{id}", self._shown(self._board))
        app.router.add_get("/api/label/{id}.svg", self._shown(self._label))
        app.router.add_get("/api/boards.csv", self._shown(self._csv))
        app.router.add_get("/api/boards.json", self._shown(self._json))
        app.router.add_post("/api/rollout/{action}", self._shown(self._act))
        app.cleanup_ctx.append(self._following)
        app.on_shutdown.append(self._end)

    async def _following(self, _app: web.Application) -> AsyncIterator[None]:
        self._feed = Feed(self._now)
        async with running(self._feed):
            yield

    async def _end(self, _app: web.Application) -> None:
        if self._feed:
            await self._feed.close()

    def _shown(self, handler: Handler) -> Handler:
        """`handler` for those who may look, but where releases/ has a file of that name: boards come first."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path != "/" and (self._place.releases / request.path.lstrip("/")).is_file():
                return await request.app[FILES](request)
            try:
                self._guard.look(request)
                response = await handler(request)
            except web.HTTPException as refused:
                refused.headers.update(HEADERS)
                raise
            except OtactlError as error:
                response = web.json_response({"error": str(error)}, status=500)
            if not response.prepared:
                response.headers.update(HEADERS)
            return response

        return answer

    def _rows(self) -> list[Row]:
        """Raises UsageError."""
        self._names = self._names or Names(self._place.root)
        return look.rows(self._place, self._store, time.time(), self._names)

    def _now(self) -> Snapshot:
        """The fleet; where it cannot be told, why."""
        snapshot: Snapshot = {
            "product": self._place.product,
            "headline": "",
            "trouble": "",
            "rollout": None,
            "boards": [],
        }
        try:
            rows = self._rows()
            view = rollout.current(self._place, self._store)
        except OtactlError as error:
            return snapshot | {"trouble": str(error)}
        boards = [told.board(row) for row in rows]
        return snapshot | {"headline": headline(rows), "rollout": told.rollout(view), "boards": boards}

    async def _fleet(self, _request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._now) | {"now": time.time()})

    async def _json(self, _request: web.Request) -> web.Response:
        boards = (await asyncio.to_thread(self._now))["boards"]
        return web.json_response(boards, headers={"Content-Disposition": 'attachment; filename="boards.json"'})

    async def _csv(self, _request: web.Request) -> web.Response:
        boards = (await asyncio.to_thread(self._now))["boards"]
        name = {"Content-Disposition": 'attachment; filename="boards.csv"'}
        return web.Response(text=export.as_csv(boards), content_type="text/csv", charset="utf-8", headers=name)

    async def _board(self, request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(self._history, request.match_info["id"]))

    def _history(self, wanted: str) -> dict[str, Any]:
        """One board, with its slots and what became of it, the newest first. Raises HTTPNotFound."""
        row = next((one for one in self._rows() if one.id == wanted), None)
        if row is None:
            raise web.HTTPNotFound(text="no board of that id was heard here\n")
        versions = look.versions(self._place, self._store)
        events = [one for _, one in reversed(self._store.events(wanted))]
        drawn = slots.drawn(row.seen_board, versions, events)
        return {
            "board": told.board(row),
            "slots": [told.slot(one) for one in drawn],
            "events": [told.event(one, versions) for one in events],
        }

    async def _label(self, request: web.Request) -> web.Response:
        """A QR code of the board's own page."""
        svg = label.code(self._place.url, request.match_info["id"])
        return web.Response(text=svg, content_type="image/svg+xml")

    async def _act(self, request: web.Request) -> web.Response:
        """Pause a rollout, let it go on, or end it. `?version=`: of the one that is meant, where that matters."""
        self._guard.act(request)
        action = _ACTIONS.get(request.match_info["action"])
        if action is None:
            raise web.HTTPNotFound(text=f"no such action; there are {', '.join(_ACTIONS)}\n")
        try:
            await asyncio.to_thread(action, self._store, request.query.get("version"))
        except OtactlError as error:  # it is in no state for that
            raise web.HTTPConflict(text=f"{error}\n") from None
        return web.json_response({"rollout": told.rollout(rollout.current(self._place, self._store))})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events (WHATWG HTML, 9.2): what Feed.follow() tells."""
        feed = self._feed
        if feed is None or feed.viewers >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(text="too many look at this page\n", headers={"Retry-After": "10"})
        response = web.StreamResponse(headers=HEADERS | {"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            await response.write(f"retry: {_RETRY_MS}\n".encode())
            async for message in feed.follow(request.query.get("board", "")):
                clock = f"event: clock\ndata: {time.time():.0f}\n\n"  # also says that this server is there
                async with asyncio.timeout(_PATIENCE_S):
                    await response.write((clock + (f"data: {message}\n\n" if message else "")).encode())
        except (ConnectionError, TimeoutError):
            pass  # the viewer has gone, or takes nothing
        return response
