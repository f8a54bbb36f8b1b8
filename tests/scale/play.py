"""What the boards do, one phase after another, and what it costs."""

import asyncio
import os
import ssl
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from otactl.fleet.store import FILE, Store
from otactl.workspace.workspace import Workspace

from scale.boards import Board, Waits
from scale.served import Serving, cpu_s, trusting

_AT_ONCE = 20
_PARTS = {"p50": 0.5, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True, slots=True)
class Asked:
    """How many boards; bytes a second of a board's link; seconds from its last byte to the look that tells of the release;
    seconds over which they begin to update (0: all at once); looks of each before that; made-up boards that look before all
    others, each once."""

    boards: int
    speed: int
    trial: float
    spread: float
    rounds: int
    strangers: int = 0


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase took: seconds by the clock, processor seconds of the server and of the boards, bytes of the server."""

    name: str
    seconds: float
    server_s: float
    boards_s: float
    rss: int


class Measured:
    """Runs phases one after another, and notes what each took."""

    def __init__(self, server: Serving) -> None:
        self.server = server
        self.phases: list[Phase] = []

    async def phase(self, name: str, work: list[Coroutine[Any, Any, Any]]) -> list[Any]:
        began, server, boards = time.monotonic(), self.server.cpu_s(), cpu_s(os.getpid())
        found = await asyncio.gather(*work)
        took = time.monotonic() - began
        self.phases.append(
            Phase(name, took, self.server.cpu_s() - server, cpu_s(os.getpid()) - boards, self.server.rss())
        )
        return found


async def play(asked: Asked, place: Workspace, server: Serving) -> bool:
    """Whether each board has the release that the channel names, and the server knows it."""
    secure, waits, measured = trusting(place), Waits(), Measured(server)
    boards = [
        Board(f"240ac4{n:06x}", server.port, secure, asked.speed, waits, have=1) for n in range(1, asked.boards + 1)
    ]
    idle = server.rss()
    if asked.strangers:
        await _strangers(asked.strangers, place, secure, measured)
    print(f"{asked.boards} boards, {asked.speed:,} B/s each, {os.cpu_count()} cores")

    await measured.phase("all look at the same moment", [one.look() for one in boards])
    _tell("a board waits for a look", waits.looks)
    _tell("  of this for TLS", waits.handshakes)
    waits.looks.clear()
    await measured.phase(f"{asked.rounds} looks each, one after another", [_looks(one, asked.rounds) for one in boards])
    _tell("a board waits for a look", waits.looks)
    waits.looks.clear()
    release = await boards[0].look()
    steps = [_later(n * asked.spread / len(boards), one.update(release, asked.trial)) for n, one in enumerate(boards)]
    await measured.phase("all update and report", steps)
    _tell("a board waits for its image", waits.downloads)
    _tell("a board waits for a look", waits.looks)

    for phase in measured.phases:
        print(
            f"{phase.name}: {phase.seconds:.1f} s; server {phase.server_s:.1f} s of a core, boards {phase.boards_s:.1f} s, "
            f"server's memory {phase.rss / 1e6:.0f} MB"
        )
    looks = measured.phases[-2]
    count = asked.boards * asked.rounds
    print(f"looks a second: {count / looks.seconds:.0f}; {1000 * looks.server_s / count:.1f} ms of a core for each")
    print(f"memory of the server: {idle / 1e6:.0f} MB at the start, {server.rss(most=True) / 1e6:.0f} MB at the most")
    return _judge(place, boards, release["sequence"])


async def _strangers(count: int, place: Workspace, secure: ssl.SSLContext, measured: Measured) -> None:
    """A flood of ids, a few at a time."""
    waits = Waits()

    async def some(first: int) -> None:
        for n in range(first, count, _AT_ONCE):
            await Board(f"made-up-{n}", measured.server.port, secure, 0, waits).look()

    await measured.phase(f"{count} made-up boards look once", [some(first) for first in range(_AT_ONCE)])
    took = measured.phases[-1]
    print(
        f"{count} made-up boards: {1000 * took.server_s / count:.1f} ms of a core for each, server's memory {took.rss / 1e6:.0f} MB, "
        f"{FILE} {(place.root / FILE).stat().st_size / 1e6:.1f} MB, {len(Store(place.root / FILE).boards())} remembered"
    )


async def _looks(board: Board, rounds: int) -> None:
    for _ in range(rounds):
        await board.look()


async def _later(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    await asyncio.sleep(seconds)
    await work


def _tell(what: str, waits: list[float]) -> None:
    ordered = sorted(waits)
    at = {name: ordered[min(len(ordered) - 1, int(len(ordered) * part))] for name, part in _PARTS.items()}
    print(f"{what}: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in at.items()))


def _judge(place: Workspace, boards: list[Board], sequence: int) -> bool:
    """What the server's memory says of them, by the file that it keeps."""
    if not (place.root / FILE).exists():
        print("the server keeps no memory of boards", file=sys.stderr)
        return False
    said = [one.said for one in Store(place.root / FILE).boards()]
    there = sum(one.have == sequence and one.phase == "confirmed" for one in said)
    print(f"the server knows {len(said)} boards, {there} of them on the new release")
    return there == len(boards)
