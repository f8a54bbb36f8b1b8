"""A board's stay in the suite: set up once, left as it was found."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faultserver.exchange import Folder
from faultserver.server import Event, FaultServer
from otactl_pytest import redact

from otactl.board import agent, follow
from otactl.board.deploy import AGENT, deploy
from otactl.board.slots_repl import ReplSource
from otactl.errors import BoardError
from otactl.hil import images, keep, network, program, slots
from otactl.hil.keep import Found
from otactl.hil.releases import Releases
from otactl.hil.setting import Setting
from otactl.hil.slots import Look
from otactl.release import firmware
from otactl.workspace.workspace import Workspace

if TYPE_CHECKING:
    from otactl_pytest.board import Board

_WATCHDOG_S = 25  # the least that the agent takes
TRIAL: dict[str, Any] = {"deadline_s": 90, "watchdog_s": _WATCHDOG_S, "settle_s": 1, "checks": []}
_SETTINGS: dict[
    str, dict[str, Any]
] = {  # all checks, so that deploy brings them; what they ask does not matter for that
    "network": {},
    "server": {},
    "gpio": {"pin": 0, "level": 1},
    "heap": {"free": 1},
    "filesystem": {},
    "import": {"module": "app"},
    "call": {"function": "app:selftest"},
    "healthy": {},
}


class Site:
    """`home`: the slot that the board was found in, which is never written to; `other`: where an update goes.

    `image`: the firmware that releases are made of. `notes`: what a person should know besides; `facts`: what the board is.
    """

    home = other = address = home_digest = ""
    home_size = 0

    def __init__(self, board: "Board", folder: Path, setting: Setting) -> None:
        self.board, self.setting = board, setting
        self.events: list[Event] = []  # what the server was asked
        self.notes: list[str] = []
        self.facts: dict[str, Any] = {"device": board.device}
        self._folder = folder
        self._open = contextlib.ExitStack()
        self._moved = False  # whether the board's own files are put aside
        self._content = b""  # of the other slot, where it is to be put back

    def set_up(self) -> None:
        """Raises BoardError where the board is not fit for it, RigError, UsageError."""
        board = self.board
        if keep.broken_off(board):
            self.notes.append("a run before this one was broken off; the board was put back first")
            found, changed = self._restore()
            self.notes += changed
            if slots.sketch(board, found.other[0]) != found.other[1]:
                self.notes.append(f"{found.other[0]} does not hold what it held before that run")
        self.found_at = self._require_rest()
        self.home, self.other = self.found_at.running, self.found_at.next
        ways = network.found(board, self.setting)
        redact.register_from(ways)
        self.address = network.usable(self.setting.address or network.address())
        self._remember()
        self.chip = board.slots().chip
        self.releases = Releases(self._folder / "workspace", self.address, self.chip)
        self._serve()
        self.config = {**ways, **self._limits()}
        checks = [{"check": name} | settings for name, settings in _SETTINGS.items()]
        place = self.releases.told(
            f"https://{self.address}:{self.server.port}", self.config | {"trial": TRIAL | {"checks": checks}}
        )
        programs = {"/boot.py": program.boot_py(), "/app.py": program.app_py()}
        self._moved = True  # from the first of them on
        keep.take(board, self.home, (self.other, self._other_sketch), self._agent(place) | programs)
        self.deployed = deploy(board.link, place, replace_keys=True)
        for path, data in programs.items():
            board.link.put(path, data)
        status = follow.status(board.link)
        self.facts |= {key: status[key] for key in ("chip", "build", "micropython", "running")}
        self.image = self._firmware()

    def _require_rest(self) -> Look:
        seen = slots.look(self.board)
        label, state = seen.named
        if state in ("new", "pending"):
            raise BoardError(
                f"{self.board.name} tries a release ({label} is {state}): let that end first (`otactl confirm`)"
            )
        if label != seen.running:
            raise BoardError(f"otadata of {self.board.name} names {label}, and {seen.running} runs: see `otactl slots`")
        return seen

    def _remember(self) -> None:
        """What lies in both slots, as far as the end is held against it."""
        board, part = self.board, self.found_at.sizes
        self.home_size, self.home_digest = images.measure(board, self.home, part[self.home])
        self.home_sketch = slots.sketch(board, self.home)
        self._other_sketch = slots.sketch(board, self.other)
        if self.setting.restore_slot:
            board.console.note(f"{self.other} is read, {part[self.other]} bytes")
            source = ReplSource(board.link)
            self._content = source.read(self._offset(source), part[self.other])

    def _offset(self, source: ReplSource) -> int:
        return next(part.offset for part in source.parts() if part.name == self.other)

    def _agent(self, place: Workspace) -> dict[str, bytes]:
        """The files that deploy is going to have on the board, but for those that are the workspace's own."""
        files = agent.compiled(place.board_config())
        reads = self.board.link.value("getattr(sys.implementation, '_mpy', 0) & 0xff", "import sys")
        if agent.mpy_version(files) != reads:
            files = agent.sources(place.board_config())
        return {f"{AGENT}/{name}": data for name, data in files.items()} | {"/main.py": agent.hook("main.py").encode()}

    def _limits(self) -> dict[str, Any]:
        slow = self.board.slow
        return {
            "ntp_host": None,  # the release server tells the time: nothing outside of this rig is asked
            "connect_timeout_s": 5 * slow,
            "read_timeout_s": 5 * slow,
            "join_timeout_s": 20 * slow,
            "tries": 3,
            "start_timeout_s": 600,  # a download is part of the look at the program's start
        }

    def _serve(self) -> None:
        place = self.releases.workspace
        self.server = self._open.enter_context(
            FaultServer(
                Folder(place.releases),
                place.tls / "server.pem",
                place.tls / "server.key",
                host="",
                match="*.bin",
                watch=self.events.append,
            )
        )

    def _firmware(self) -> bytes:
        self.board.fresh()  # what came before has left little memory for a network and a block
        images.join(self.board)
        if not self.setting.firmware:
            return images.fetch(self.board, self.address, self.home_size, self.home_digest)
        found = firmware.for_agent(self.setting.firmware)
        if found.chip != self.chip:
            raise BoardError(
                f"{self.setting.firmware} is firmware for {found.chip}, {self.board.name} is an {self.chip}"
            )
        return found.app

    # --- the end ----------------------------------------------------------------------------------------------------

    def put_back(self) -> list[str]:
        """The board as it was found; what is not so, in words. Does nothing once it was done to the end.

        Raises BoardError, RigError.
        """
        self._open.close()
        if not self._moved:
            return []
        self.board.open()
        self.board.link.let_go()  # a call that Ctrl-C broke off may run on: the prompt is where it is taken anew
        changed = self._restore()[1] if keep.broken_off(self.board) else []
        if slots.sketch(self.board, self.home) != self.home_sketch:
            changed.append(f"{self.home}, which runs, does not hold what it held")
        changed += self._restore_other()
        self._moved = False
        self.board.run_program()
        return changed

    def _restore(self) -> tuple[Found, list[str]]:
        """Files, record and slot, by what the board's own manifest says; and what is another even so."""
        board = self.board
        found = keep.kept(board)
        slots.name(board, found.named)
        if slots.look(board).running != found.named:
            board.reset("hard")
        keep.put_back(board)
        changed = keep.differences(board, found)
        if (label := slots.look(board).running) != found.named:
            changed.append(f"{label} runs, not {found.named}")
        keep.forget(board)
        return found, changed

    def _restore_other(self) -> list[str]:
        if slots.sketch(self.board, self.other) == self._other_sketch:
            return []
        if not self._content:
            self.notes.append(
                f"{self.other}, which does not run, holds an image of the suite now, and not what it held "
                "(--restore-slot puts that back)"
            )
            return []
        self.board.console.note(f"{self.other} is written back")
        source = ReplSource(self.board.link)
        source.write(self._offset(source), self._content)
        same = slots.sketch(self.board, self.other) == self._other_sketch
        return [] if same else [f"{self.other} does not take back what it held"]
