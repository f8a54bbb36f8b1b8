"""Runs a virtual board from a state of its flash until its program says how things stand, and notes what happened."""

import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from otactl.server.files import Transfer
from otactl.server.server import Server
from otactl.workspace.workspace import Workspace
from rig import ADDRESS, HOST, PORT
from vboard.board import Board, Boot
from vboard.chip.kept import HARD
from vboard.flash.nor import Flash, Operation, PowerLost
from vboard.link.wlan import Network

from powercut.cuts import Step

SAYS = "STATUS "  # the program's line with agent.status() as JSON
MOST_BOOTS = 12
PATIENCE_S = 60.0

Fault = Callable[[Flash, Operation], None]


@dataclass(frozen=True, slots=True)
class Key:
    """What the course of a boot depends on: the flash, why the chip starts, whether its clock goes right."""

    flash: bytes
    cause: int
    clock: bool


@dataclass(frozen=True, slots=True)
class Booted:
    """One boot: the slot that ran (None: nothing), and the flash when the bootloader had chosen."""

    cause: int
    slot: str | None
    step: int  # operations before it


@dataclass
class Run:
    """What was seen from power-on until the program spoke, or until the flash was as in a run before."""

    start: bytes
    steps: list[Step] = field(default_factory=list)
    boots: list[Booted] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    fetched: list[tuple[int, int]] = field(default_factory=list)  # (first byte, end) of image bytes sent
    status: dict[str, object] | None = None  # of the last boot
    known: Key | None = None  # reached here: how it goes on has been seen
    trouble: str = ""  # what the run broke off with
    end: bytes = b""
    console: str = ""


class Stage:
    """A release server and its network, for one board after the other."""

    def __init__(self, releases: Workspace) -> None:
        self._open = ExitStack()
        self._folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="powercut-")))
        self._fetched: list[tuple[int, int]] = []
        server = Server(releases.releases, releases.tls, "127.0.0.1", 0, self._watch)
        port = self._open.enter_context(server).port
        self.network = Network(hosts={HOST: ADDRESS}, join_s=0.0)
        self.network.routes[ADDRESS, PORT] = ("127.0.0.1", port)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    def _watch(self, transfer: Transfer) -> None:
        if transfer.over and transfer.path.endswith(".bin"):
            self._fetched.append((transfer.start, transfer.done))

    def run(
        self,
        flash: bytes,
        *,
        done: Callable[[dict[str, object]], bool],
        known: Callable[[Key], bool] = lambda _: False,
        fault: Fault | None = None,
    ) -> Run:
        """Power on with `flash`, until the program says what `done` takes for the end.

        A program that speaks before the end is reset, as its own poll would go on later.
        `known`: states from which the way on need not be run again. `fault`: what is wrong with
        the flash chip, called before each operation.
        """
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        (folder / "flash.bin").write_bytes(flash)
        run = Run(flash)
        self._fetched.clear()
        with Board(folder, network=self.network, idf_heap_kib=400) as board:  # memory is no part of this
            _Watcher(board, run, known, fault)
            seen = 0
            board.power_on()
            try:
                while True:
                    seen = _until_it_speaks(board, run, seen)
                    if run.known or run.trouble or not run.status or done(run.status):
                        break
                    board.reset(HARD)
            except TimeoutError as late:
                run.trouble = f"no word from the program: {str(late)[-600:]}"
            board.power_off()
            # the flash of a run is megabytes: no cycle may keep it
            board.before_boot = board.on_boot = board.flash.before = None
            run.console = board.text
            run.end = board.flash.read(0, board.flash.size)
        run.fetched = list(self._fetched)
        shutil.rmtree(folder)
        return run


class _Watcher:
    """Takes notes on the board's own thread."""

    def __init__(self, board: Board, run: Run, known: Callable[[Key], bool], fault: Fault | None) -> None:
        self._board, self._run, self._known, self._fault = board, run, known, fault
        board.before_boot, board.on_boot = self._starts, self._booted
        board.flash.before = self._operation

    def _operation(self, operation: Operation, data: bytes | None) -> None:
        if operation.actor != "host" and self._fault:
            self._fault(self._board.flash, operation)
        self._run.steps.append(Step(operation, data, len(self._run.boots)))

    def _starts(self, cause: int) -> None:
        flash = self._board.flash
        digest = sha256(flash.read(0, flash.size)).digest()
        key = Key(digest, cause, self._board.rtc.now().year > 2024)
        if self._run.boots and self._known(key):
            self._run.known = key
            raise PowerLost
        self._run.keys.append(key)

    def _booted(self, boot: Boot) -> None:
        self._run.boots.append(Booted(boot.cause, boot.slot, len(self._run.steps)))
        if boot.slot is None or len(self._run.boots) > MOST_BOOTS:
            self._run.trouble = "nothing boots" if boot.slot is None else "it never settles"
            raise PowerLost


def _until_it_speaks(board: Board, run: Run, seen: int) -> int:
    """Wait for the program's next whole line; gives where it ends."""

    def spoke() -> bool:
        at = board.text.find(SAYS, seen)
        return bool(run.known or run.trouble) or (at >= 0 and board.text.find("\n", at) >= 0)

    board.wait(spoke, PATIENCE_S, "status")
    if run.known or run.trouble:
        return seen
    at = board.text.find(SAYS, seen)
    end = board.text.find("\n", at)
    run.status = json.loads(board.text[at + len(SAYS) : end])
    return end
