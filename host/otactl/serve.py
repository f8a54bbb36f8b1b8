"""Serve releases/ over HTTPS: static files with Range and If-Range, and a word on what each board fetches."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from otactl.errors import RigError, UsageError

_CHUNK = 16384


@dataclass(frozen=True, slots=True)
class Transfer:
    """Progress of one answer. `start`: where in the file it begins; `done` and `size` count from the file's start."""

    peer: str
    path: str
    status: int
    start: int
    done: int
    size: int
    seconds: float
    over: bool


Watch = Callable[[Transfer], None]


def application(releases: Path, watch: Watch) -> web.Application:
    """The server without its socket; `watch` is called for every chunk."""
    app = web.Application()
    app.router.add_get("/{path:.*}", _handler(releases.resolve(), watch))
    return app


def _handler(root: Path, watch: Watch) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    etags: dict[tuple[Path, int, int], str] = {}

    def etag_of(path: Path) -> str:
        # Of the content: a copy of releases/ on another server answers a resumed download with the same one.
        found = path.stat()
        key = (path, found.st_mtime_ns, found.st_size)
        if key not in etags:
            etags[key] = f'"{sha256(path.read_bytes()).hexdigest()[:32]}"'
        return etags[key]

    async def handle(request: web.Request) -> web.StreamResponse:
        path = (root / request.match_info["path"]).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            watch(Transfer(request.remote or "?", request.path, 404, 0, 0, 0, 0.0, True))
            raise web.HTTPNotFound(text="no such release file\n")
        size = path.stat().st_size
        etag = etag_of(path)
        first, last = _range(request, size, etag)
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Length": str(last - first)}
        headers["Cache-Control"] = "no-cache"
        partial = last - first < size
        if partial:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
        response = web.StreamResponse(status=206 if partial else 200, headers=headers)
        response.content_type = "application/json" if path.suffix == ".json" else "application/octet-stream"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        began = time.monotonic()

        def report(done: int, over: bool) -> None:
            spent = time.monotonic() - began
            name = str(path.relative_to(root))
            watch(Transfer(request.remote or "?", name, response.status, first, done, size, spent, over))

        at = first
        try:
            with path.open("rb") as file:
                file.seek(first)
                while at < last:
                    chunk = file.read(min(_CHUNK, last - at))
                    await response.write(chunk)
                    at += len(chunk)
                    report(at, False)
        finally:
            report(at, True)
        return response

    return handle


def _range(request: web.Request, size: int, etag: str) -> tuple[int, int]:
    """(first, past the last) byte to send. Raises 416. If-Range with another file's tag: the whole file."""
    if_range = request.headers.get("If-Range")
    if "Range" not in request.headers or if_range not in (None, etag):
        return 0, size
    try:
        wanted = request.http_range
    except ValueError:
        return 0, size  # several ranges, or another unit: the whole file is a right answer
    first, stop = wanted.start or 0, wanted.stop
    if first < 0:
        first = max(0, size + first)
    last = size if stop is None else min(stop, size)
    if first >= last:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return first, last


def context(tls: Path) -> ssl.SSLContext:
    """Raises UsageError where the workspace's certificate is missing."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        made.load_cert_chain(tls / "server.pem", tls / "server.key")
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"no usable server certificate in {tls} ({error}): `otactl init --renew`") from None
    return made


class Server:
    """A running server; `port` is known once it is started (0 asks for a free one)."""

    def __init__(self, releases: Path, tls: Path | None, host: str, port: int, watch: Watch) -> None:
        self._app = application(releases, watch)
        self._context = context(tls) if tls else None
        self._host, self.port = host, port

    async def start(self) -> None:
        """Raises RigError where the port cannot be had."""
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port, ssl_context=self._context)
        try:
            await site.start()
        except OSError as error:
            raise RigError(f"cannot listen on port {self.port}: {error.strerror}; try --port") from None
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    def run(self, started: Callable[[int], None]) -> None:
        """Serve until Ctrl-C."""

        async def forever() -> None:
            await self.start()
            started(self.port)
            try:
                await asyncio.Event().wait()
            finally:
                await self.stop()

        try:
            asyncio.run(forever())
        except KeyboardInterrupt:
            pass
