"""One board for a run of the suite, as a test sees it: brought home first, then it does things and comes to rest."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from faultserver import faults
from faultserver.server import Event
from otactl_pytest.reboots import BANNER

from otactl.board import follow
from otactl.board.deploy import AGENT
from otactl.board.slots_layout import STATES, named
from otactl.errors import BoardError, RigError, UsageError
from otactl.hil import images, keep, network, program, slots
from otactl.hil.program import Beat
from otactl.hil.releases import Release
from otactl.hil.setting import Setting
from otactl.hil.site import TRIAL, Site
from otactl.release.variant import variant

if TYPE_CHECKING:
    from otactl_pytest.board import Board

CONFIG = "/etc/ota/config.json"
_REST_S = 240.0  # a download of 1.7 MB, a trial, and the boots between
_GONE_S = 30.0  # a port that went away with a reset
_PUMP_S = 0.2
_PROMPT = 'Type "help()" for more information.'  # the end of the friendly prompt's banner


class Stage(Site):
    """`rest`: what the program said when the board had come to rest; `before`: the sketch of the other slot at the
    test's beginning."""

    def __init__(self, board: "Board", folder: Path, setting: Setting) -> None:
        super().__init__(board, folder, setting)
        self.random = Random(setting.seed)
        self.rest: Beat | None = None
        self.before = ""
        self._image_number = setting.seed & 0xFFFF
        self._whole: tuple[str, bytes] | None = None  # the sketch of the other slot, and the image seen whole in it
        self._begun = 0

    # --- before each test -----------------------------------------------------------------------------------------

    def go_home(self) -> None:
        """The home slot runs, confirmed; the agent knows of no release, and the journal is empty. At the prompt."""
        board = self.board
        self.server.script([])
        slots.name(board, self.home)
        keep.fresh_record(board)
        if slots.look(board).running != self.home:
            board.reset("hard")
        board.fresh()
        board.link.run(f"import os\nif 'boots' in os.listdir({program.FOLDER!r}): os.remove({program.JOURNAL!r})")
        self.releases.new_channel()
        self.plan()
        self.before = slots.sketch(board, self.other)
        self.events.clear()
        self.rest = None
        self._begun = len(board.console.lines)

    def plan(self, do: str = "", *, slot: str = "", pins: tuple[tuple[int, int], ...] = (), **trial: Any) -> None:
        """What the program does in `slot` (the other one unless given), and settings of the trial, checks among them."""
        board = self.board
        board.to_prompt()
        board.link.put(program.PLAN, program.plan(slot or self.other, do, pins))
        config = {"url": self.releases.workspace.channel_url, "product": self.releases.workspace.product, **self.config}
        board.link.put(CONFIG, network.as_json(config | {"trial": TRIAL | trial}))

    def new_image(self) -> bytes:
        """The firmware as an image that no slot holds. Raises ReleaseError."""
        self._image_number += 1
        return variant(self.image, self._image_number, chip=self.chip)

    def publish(self, *, download: bool = True) -> Release:
        """A sound release. Without `download` of the image that the other slot holds already, if a test has put one there,
        and the agent knows that it is whole: what comes after the download is what is tried."""
        if download or self._whole is None or self._whole[0] != self.before:
            return self.releases.publish(self.new_image())
        release = self.releases.publish(self._whole[1])
        self._tell_whole(release)
        return release

    def _tell_whole(self, release: Release) -> None:
        """As after a download whose last byte is in flash, by the agent's own record."""
        facts = {"version": "0", "sequence": 0, "security_version": 0, "size": len(release.image)}
        facts["sha256"] = images.sha256(release.image).hexdigest()
        self.board.to_prompt()
        self.board.link.run(
            "from ota.boot import record, slots\n_s, _r = slots.Slots(), record.load()\n"
            f"_r.begin({facts!r}, _s.next, _s.running)\n_r.progress({len(release.image)})"
        )

    def holds(self, image: bytes) -> bool:
        """Whether that whole image lies in the other slot."""
        good = slots.digest(self.board, self.other, len(image)) == images.sha256(image).hexdigest()
        self._whole = (slots.sketch(self.board, self.other), image) if good else None
        return good

    def script(self, *steps: str, match: str = "*.bin") -> None:
        """What goes wrong with the next requests, as docs/faults.md has it; `match`: the paths it is for."""
        self.server.match = match
        self.server.script([faults.parse(step) for step in steps])

    # --- what runs ------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """A hard reset: the program starts, and with it the agent's look for an update."""
        self.board.reset("hard")

    def pull_reset(self) -> None:
        """A reset that nothing on the board has a say in, where the port has the lines for it, or there is a power switch;
        else by Ctrl-C and machine.reset()."""
        ways = ("lines", *(["power"] if self.board.power else []), "hard")
        for way in ways:
            try:
                self.board.reset(way)
                return
            except RigError:  # a terminal has no lines
                if way == ways[-1]:
                    raise

    def settle(self, timeout: float = _REST_S) -> Beat:
        """Until the program runs in a slot that is confirmed. Raises BoardError, RigError."""
        self.rest = self._until(self._rests, timeout, "come to rest")
        return self.rest

    def _rests(self, beat: Beat) -> bool:
        state = "none" if beat.slot == self.found_at.factory else "valid"
        return slots.named_by(beat.otadata, self.found_at.slots, self.found_at.factory) == (beat.slot, state)

    def until_tried(self, timeout: float = _REST_S) -> None:
        """Until the program runs in the other slot, which is on trial. Raises BoardError, RigError."""
        beat = self._until(lambda beat: beat.slot == self.other or self._rests(beat), timeout, f"start {self.other}")
        if beat.slot != self.other or self._rests(beat):
            raise BoardError(f"{self.board.name} came to rest in {beat.slot}: no trial in {self.other} was seen")

    def _until(self, holds: Callable[[Beat], bool], timeout: float, what: str) -> Beat:
        """The first word of the program that `holds` takes."""
        last = ""
        for line in self.lines(timeout):
            beat = program.parse_beat(line)
            if beat and holds(beat):
                return beat
            if _PROMPT in line:
                raise BoardError(f"the suite's program ended on {self.board.name}, and the prompt waits: {last}")
            last = line if line.strip() and not line.startswith("MicroPython v") else last
        raise BoardError(f"{self.board.name} did not {what} within {timeout * self.board.slow:g} s")

    def wait(self, text: str, timeout: float = _REST_S) -> None:
        """Until a line of the console has `text` in it. Raises BoardError, RigError."""
        if not any(text in line for line in self.lines(timeout)):
            raise BoardError(f"{self.board.name} did not say {text!r} within {timeout * self.board.slow:g} s")

    def lines(self, timeout: float) -> Iterator[str]:
        """Lines of the console, through resets, until the time is over. Raises RigError for a port that stays away."""
        link = self.board.link
        link.let_go()
        until = time.monotonic() + timeout * self.board.slow
        gone = None
        while (now := time.monotonic()) < until:
            gone = (gone or now) if link.gone else None
            if gone and now - gone > _GONE_S * self.board.slow:
                raise RigError(f"the port of {self.board.name} has not come back for {_GONE_S * self.board.slow:g} s")
            line = link.line(_PUMP_S)
            if line is not None:
                yield line

    def banners(self) -> int | None:
        """Resets that the ROM told of on the console since the test began; None where the port went away meanwhile."""
        if self.board.link.reopened or self.board.link.gone:
            return None
        return sum(bool(BANNER.match(line.text + "\n")) for line in self.board.console.lines[self._begun :])

    # --- who did it -----------------------------------------------------------------------------------------------

    def requests(self, release: Release) -> list[Event]:
        """The requests for a release's file, once none is open any more."""
        self.server.settle()
        return [event for event in self.events if event.request.endswith(release.path)]

    def state_of(self, slot: str) -> str:
        """What otadata says of a slot, by the entry that is about it."""
        seen = slots.look(self.board)
        about = [e for e in seen.otadata if not e.blank and seen.slots[named(e, len(seen.slots))] == slot]
        return STATES.get(max(about, key=lambda e: e.seq).state, "undefined") if about else "none"

    def status(self) -> dict[str, Any]:
        """agent.status()"""
        self.board.to_prompt()
        return follow.status(self.board.link)

    def agent_file(self, module: str) -> str:
        """The path on the board of a module of the agent's, .mpy or .py."""
        self.board.to_prompt()
        names = self.board.link.value(f"os.listdir({AGENT!r})", "import os")
        return f"{AGENT}/" + next(str(name) for name in names if name.partition(".")[0] == module)

    def loopback(self) -> tuple[int, int]:
        """The pins of the feature loopback:OUT-IN. Raises UsageError."""
        said = self.board.feature("loopback") or ""
        out, _, into = said.partition("-")
        if not (out.isdecimal() and into.isdecimal()):
            raise UsageError(f"loopback:{said} of {self.board.name}: write it as loopback:4-5, the output first")
        return int(out), int(into)
