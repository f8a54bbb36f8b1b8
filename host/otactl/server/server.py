"""Serve releases/ over HTTPS, in the foreground or from a thread."""

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from otactl.errors import RigError, UsageError
from otactl.server.door import Door
from otactl.server.files import Room, Transfer, Watch, application
from otactl.words import reason

_LONGEST_WAIT_S = 0.5


def context(tls: Path, clients: bytes = b"") -> ssl.SSLContext:
    """`clients`: PEM of the CAs of which a client has to show a certificate; none: nobody is asked for one.

    Raises UsageError where the workspace's certificate is missing or does not fit its key.
    """
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        made.load_cert_chain(tls / "server.pem", tls / "server.key")
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"no usable server certificate in {tls} ({reason(error)}): `otactl init --renew`") from None
    if clients:
        made.load_verify_locations(cadata=clients.decode())
        made.verify_mode = ssl.CERT_REQUIRED
    return made


class _NotHttp(logging.Filter):
    """What aiohttp logs with a traceback for anyone's bad request is a line for `watch`."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.exc_info or not isinstance(record.exc_info[1], HttpProcessingError):
            return True
        peer = str(record.args[0]) if isinstance(record.args, tuple) and record.args else "?"
        self._watch(Transfer(peer, "", 400, 0, 0, 0, 0.0, over=True))
        return False


class Server:
    """A running server; `port` is known once it is started (0 asks for a free one)."""

    def __init__(
        self,
        releases: Path,
        tls: Path | None,
        host: str,
        port: int,
        watch: Watch,
        *,
        clients: bytes = b"",
        rooms: Iterable[Room] = (),
    ) -> None:
        """`clients`: as context() has it; `rooms`: as application()."""
        self._app = application(releases, watch, rooms)
        self._log = logging.Logger("otactl.serve")  # noqa: LOG001 - this server has a watch of its own
        self._log.parent = logging.getLogger("aiohttp")
        self._log.addFilter(_NotHttp(watch))
        self._context = context(tls, clients) if tls else None
        self._host, self.port = host, port
        self._watch = watch
        self._opening: set[asyncio.Task[None]] = set()  # TLS handshakes

    async def start(self) -> None:
        """Raises RigError where the port cannot be had."""
        self._runner = web.AppRunner(self._app, access_log=None, logger=self._log, shutdown_timeout=1)
        await self._runner.setup()
        try:
            self._listening = await asyncio.get_running_loop().create_server(self._protocol, self._host, self.port)
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            why = reason(error).rpartition(": ")[2]  # before it asyncio says which address, once more
            raise RigError(f"cannot listen on {self._host} port {self.port}: {why}; try --port or --host") from None
        self.port = self._listening.sockets[0].getsockname()[1]

    def _protocol(self) -> asyncio.Protocol:
        make = cast(Callable[[], asyncio.Protocol], self._runner.server)
        return Door(self._context, make, self._no_tls, self._opening) if self._context else make()

    def _no_tls(self, peer: str, why: str) -> None:
        self._watch(Transfer(peer, "", 0, 0, 0, 0, 0.0, over=True, why=why))

    async def stop(self) -> None:
        self._listening.close()
        for task in [*self._opening]:
            task.cancel()
        await self._runner.cleanup()

    def __enter__(self) -> Self:
        """Serve from a thread of its own, for as long as the `with` lasts."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="otactl-serve", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.start(), self._loop).result()
        except BaseException:
            self._end_thread()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.stop(), self._loop).result()
        self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, started: Callable[[int], None]) -> None:
        """Serve until Ctrl-C."""

        async def forever() -> None:
            await self.start()
            try:  # a signal may come while `started` writes
                started(self.port)
                while True:  # a signal that comes just before the loop begins to wait does not wake it
                    await asyncio.sleep(_LONGEST_WAIT_S)
            finally:
                await self.stop()

        try:
            asyncio.run(forever())
        except KeyboardInterrupt:
            pass
