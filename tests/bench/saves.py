"""Where the time goes from a save in `otactl dev --wifi` until the board runs it: each step at the moment when the server, the
board's console or a file shows it."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler
from vboard.board import Board

# what the board says, in this order
SAYS = {
    "asks for its files": "",
    "has it, switches": r"ota: switch ",
    "on trial": r"ota: trial ",
    "heard on trial": r"ota: check server ok",
    "runs": r"^says ",
    "confirmed": r"ota: confirmed ",
    "the old one is back": r"ota: failed ",
}


@dataclass
class Asked:
    """A request of the board's. `came`, `answered`: by time.time()."""

    path: str
    came: float
    answered: float = 0.0


@dataclass
class Timed:
    """What happened when, by time.time()."""

    requests: list[Asked] = field(default_factory=list)
    lines: list[tuple[float, str]] = field(default_factory=list)

    def room(self, app: web.Application) -> None:
        """For a server, before its hub."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            asked = Asked(request.path, time.time())
            self.requests.append(asked)
            try:
                return await handler(request)
            finally:
                asked.answered = time.time()

        app.middlewares.append(note)

    @contextmanager
    def listening(self, board: Board) -> Iterator[None]:
        """Note each line of its console as it comes."""
        over = threading.Event()

        def listen() -> None:
            seen = len(board.text)
            while not over.wait(0.003):
                whole = board.text.rfind("\n") + 1
                if whole > seen:
                    self.lines += [(time.time(), line) for line in board.text[seen:whole].splitlines()]
                    seen = whole

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def steps(self, saved: float, offered: float) -> dict[str, float]:
        """Seconds after the save: when it was offered, and what came of that, in order."""
        files = [one for one in self.requests if one.came > saved and one.path.endswith("app.cpio")]
        found = {"offered": offered - saved}
        if files:
            looked = [one for one in self.requests if one.came < files[0].came and one.path.endswith(".json")][-1]
            found["its look comes"] = looked.came - saved
            found["its look is answered"] = looked.answered - saved
            found["asks for its files"] = files[0].came - saved
        for what, pattern in SAYS.items():
            at = [when for when, line in self.lines if when > saved and pattern and re.search(pattern, line)]
            if at:
                found[what] = at[0] - saved
        return found
