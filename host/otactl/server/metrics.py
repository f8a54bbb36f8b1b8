"""/metrics of the server: what it counts itself, and a look at the fleet, both asked for by Prometheus."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from otactl.fleet import metrics
from otactl.fleet.table import Row
from otactl.server.files import Transfer, Watch

PATH = "/metrics"


class Metrics:
    """`rows`: the fleet as it is now, read anew at each question, in a thread: a large one takes a while."""

    def __init__(self, rows: Callable[[], list[Row]]) -> None:
        self._rows = rows
        self.counts = metrics.Counts()

    def room(self, app: web.Application) -> None:
        """Counts what is answered, and answers at PATH."""
        app.middlewares.append(self._count)
        app.router.add_get(PATH, self._answer)

    def watching(self, watch: Watch) -> Watch:
        """`watch`, and what boards take is counted on the way to it."""

        def both(transfer: Transfer) -> None:
            self._took(transfer)
            watch(transfer)

        return both

    def _took(self, transfer: Transfer) -> None:
        if transfer.why:
            self.counts.handshakes_failed += 1
        elif transfer.over and transfer.status in (200, 206) and not _is_look(transfer.path):
            self.counts.taken += transfer.done - transfer.start
            self.counts.downloads["whole" if transfer.done == transfer.size else "cut"] += 1

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        what = "look" if _is_look(request.path) else "file"
        try:
            response = await handler(request)
        except web.HTTPException as refused:
            self.counts.answers[what, refused.status] += 1
            raise
        if request.path != PATH:
            self.counts.answers[what, response.status] += 1
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        rows = await asyncio.to_thread(self._rows)
        text = metrics.page(rows, self.counts)
        return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})


def _is_look(path: str) -> bool:
    """A channel's file lies in no folder."""
    return path.endswith(".json") and "/" not in path.strip("/")
