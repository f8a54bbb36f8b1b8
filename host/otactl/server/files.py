"""The files of releases/ over HTTP, with Range and If-Range, and a word on each download.

aiohttp's own FileResponse knows If-Range with dates only, and tells nobody how far it is; a tag of
the content is what lets a board go on with a download at another server.
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from io import BufferedReader
from pathlib import Path

from aiohttp import web

from otactl.server.sending import CHUNK, send


@dataclass(frozen=True, slots=True)
class Transfer:
    """Progress of one answer; `start`, `done` and `size` count bytes from the file's start.

    `done` is what the board has taken, `seconds` when it had the last of it. `why`: in words, where TLS came to nothing
    and nobody asked for anything (`status` 0).
    """

    peer: str
    path: str
    status: int
    start: int
    done: int
    size: int
    seconds: float
    over: bool
    why: str = ""


Watch = Callable[[Transfer], None]
# Of a request, where a room has set them: another file to answer with (Path), and a Watch for this one answer.
FILE = web.RequestKey("FILE", Path)
TAKEN = web.RequestKey[Watch]("TAKEN")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Room = Callable[[web.Application], None]
FILES: web.AppKey[Handler] = web.AppKey("files")  # what answers with a file, for rooms whose path is one


def application(releases: Path, watch: Watch, rooms: Iterable[Room] = ()) -> web.Application:
    """The server without its socket; `watch` is called as a board takes bytes, and for refusals. `rooms`: what else it offers;
    each adds its routes, which come before the files, and may add middleware."""
    app = web.Application()
    app[FILES] = _Files(releases.resolve(), watch).answer
    for room in rooms:
        room(app)
    app.router.add_get("/{path:.*}", app[FILES])
    return app


class _Files:
    def __init__(self, root: Path, watch: Watch) -> None:
        self._root = root
        self._watch = watch
        self._etags: dict[tuple[Path, int, int], str] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """GET and HEAD of one file."""
        file = self._open(request)
        with file:
            # of what is open: the channel may be replaced by a newer one at any moment
            found = os.fstat(file.fileno())
            etag = self._etag(file, found)
            if etag in [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]:
                self._told(request, 304, found.st_size)
                raise web.HTTPNotModified(headers={"ETag": etag})
            return await self._send(request, file, found.st_size, etag)

    def _open(self, request: web.Request) -> BufferedReader:
        if instead := request.get(FILE):
            return self._open_instead(request, instead)
        wanted = request.path.removeprefix("/")
        hidden = any(part.startswith(".") for part in wanted.split("/"))
        try:
            path = (self._root / wanted).resolve()
            if hidden or not path.is_relative_to(self._root):
                raise FileNotFoundError
            return path.open("rb")
        except (OSError, ValueError):  # a folder, a NUL byte, a name too long: not there either
            self._told(request, 404, 0)
            raise web.HTTPNotFound(text="no such release file\n") from None

    def _open_instead(self, request: web.Request, path: Path) -> BufferedReader:
        try:
            return path.open("rb")
        except OSError:
            self._told(request, 404, 0)
            raise web.HTTPNotFound(text="no such release file\n") from None

    def _etag(self, file: BufferedReader, found: os.stat_result) -> str:
        key = (Path(file.name), found.st_mtime_ns, found.st_size)
        if key not in self._etags:
            self._etags[key] = f'"{file_digest(file, "sha256").hexdigest()[:32]}"'
        return self._etags[key]

    async def _send(self, request: web.Request, file: BufferedReader, size: int, etag: str) -> web.StreamResponse:
        try:
            first, last = _range(request, size, etag)
        except web.HTTPRequestRangeNotSatisfiable:
            self._told(request, 416, size)
            raise
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
        headers["Content-Length"] = str(last - first)
        partial = last - first < size
        if partial:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
        response = web.StreamResponse(status=206 if partial else 200, headers=headers)
        text = request.path.endswith(".json")
        response.content_type = "application/json" if text else "application/octet-stream"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        peer, name = request.remote or "?", request.path.lstrip("/")
        taken, seconds = 0, 0.0
        taken_by: Watch | None = request.get(TAKEN)

        def report(now: int, after: float, over: bool = False) -> None:
            nonlocal taken, seconds
            taken, seconds = now, after
            transfer = Transfer(peer, name, response.status, first, first + now, size, after, over)
            self._watch(transfer)
            if taken_by:
                taken_by(transfer)

        file.seek(first)
        try:
            await send(request, response, _chunks(file, last - first), report)
        finally:
            report(taken, seconds, over=True)
        return response

    def _told(self, request: web.Request, status: int, size: int) -> None:
        peer, name = request.remote or "?", request.path.lstrip("/")
        self._watch(Transfer(peer, name, status, 0, 0, size, 0.0, over=True))


def _chunks(file: BufferedReader, left: int) -> Iterator[bytes]:
    while left and (chunk := file.read(min(CHUNK, left))):
        left -= len(chunk)
        yield chunk


def _range(request: web.Request, size: int, etag: str) -> tuple[int, int]:
    """(first, past the last) byte to send: of the whole file where If-Range names another one.

    Raises HTTPRequestRangeNotSatisfiable.
    """
    if_range = request.headers.get("If-Range")
    if "Range" not in request.headers or if_range not in (None, etag):
        return 0, size
    try:
        wanted = request.http_range
    except ValueError:
        return 0, size  # several ranges, or another unit: the whole file is a right answer
    first = wanted.start or 0
    if first < 0:
        first = max(0, size + first)
    last = size if wanted.stop is None else min(wanted.stop, size)
    if first >= last:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return first, last
