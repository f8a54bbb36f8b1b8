"""One board for a run of the suite: set up once, brought home before each test, left as it was found."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from faultserver import faults
from faultserver.exchange import Folder
from faultserver.server import Event, FaultServer
from otactl_pytest.reboots import BANNER

from otactl.board import follow
from otactl.board.deploy import deploy
from otactl.board.slots_layout import STATES, named
from otactl.errors import BoardError, RigError, UsageError
from otactl.hil import images, keep, network, program, slots
from otactl.hil.program import Beat
from otactl.hil.releases import Release, Releases
from otactl.hil.setting import Setting
from otactl.hil.slots import Look
from otactl.release import firmware
from otactl.release.variant import variant

if TYPE_CHECKING:
    from otactl_pytest.board import Board

CONFIG = "/etc/ota/config.json"
_REST_S = 240.0  # a download of 1.7 MB, a trial, and the boots between
_GONE_S = 30.0  # a port that went away with a reset
_PUMP_S = 0.2
_WATCHDOG_S = 25  # the least that the agent takes
TRIAL: dict[str, Any] = {"deadline_s": 90, "watchdog_s": _WATCHDOG_S, "settle_s": 1, "checks": []}
ALL_CHECKS = (
    "network",
    "server",
    "gpio",
    "heap",
    "filesystem",
    "import",
    "call",
    "healthy",
)  # so that deploy brings them


class Stage:
    """`home`: the slot that the board was found in, which is never written to; `other`: where an update goes.

    `image`: the firmware that releases are made of; `rest`: what the program said when the board had come to rest.
    """

    def __init__(self, board: "Board", folder: Path, setting: Setting) -> None:
        self.board, self.setting = board, setting
        self.random = Random(setting.seed)
        self.events: list[Event] = []
        self.rest: Beat | None = None
        self.changed: list[str] = []  # what is not as it was found, in the end
        self._folder = folder
        self._open = contextlib.ExitStack()
        self._image_number = setting.seed & 0xFFFF
        self._whole: tuple[str, bytes] | None = None  # the sketch of the other slot, and the image seen whole in it
        self._ready = False

    # --- once a run -----------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Raises BoardError where the board is not fit for it, RigError, UsageError."""
        board = self.board
        if keep.broken_off(board):
            board.console.note("a run before this one was broken off: the board is put back first")
            self._put_back()
        self.found_at = self._require_rest()
        self.home, self.other = self.found_at.running, self.found_at.next
        ways = network.found(board, self.setting)
        self.address = self.setting.address or network.address()
        self.home_size, self.home_digest = images.measure(board, self.home, self.found_at.sizes[self.home])
        self.home_sketch = slots.sketch(board, self.home)
        self.other_sketch = slots.sketch(board, self.other)
        keep.take(board, self.home)
        self._ready = True
        self.chip = board.slots().chip
        self.releases = Releases(self._folder / "workspace", self.address, self.chip)
        self._serve()
        self.config = {**ways, **self._limits(), "trial": {**TRIAL, "checks": [_any(name) for name in ALL_CHECKS]}}
        place = self.releases.told(f"https://{network.in_url(self.address)}:{self.server.port}", self.config)
        self.deployed = deploy(board.link, place)
        for path, data in (("/boot.py", program.boot_py()), ("/app.py", program.app_py())):
            board.link.put(path, data)
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
        tls = self.releases.workspace.tls
        self.server = self._open.enter_context(
            FaultServer(
                Folder(self.releases.workspace.releases),
                tls / "server.pem",
                tls / "server.key",
                host="",
                match="*.bin",
                watch=self.events.append,
            )
        )

    def _firmware(self) -> bytes:
        images.join(self.board)
        if self.setting.firmware:
            found = firmware.for_agent(self.setting.firmware)
            if found.chip != self.chip:
                raise BoardError(
                    f"{self.setting.firmware} is firmware for {found.chip}, {self.board.name} is an {self.chip}"
                )
            return found.app
        return images.fetch(self.board, self.address, self.home_size, self.home_digest)

    def put_back(self) -> None:
        """The board as it was found; `changed` says what is not. Does nothing the second time. Raises BoardError, RigError."""
        self._open.close()
        if not self._ready:
            return
        self._ready = False
        self._put_back()
        if slots.sketch(self.board, self.home) != self.home_sketch:
            self.changed.append(f"{self.home}, which runs, does not hold what it held")
        self.restored = slots.sketch(self.board, self.other) == self.other_sketch
        self.board.restart_program()

    def _put_back(self) -> None:
        board = self.board
        found = keep.kept(board)
        slots.name(board, found.named)
        if slots.look(board).running != found.named:
            board.reset("hard")
        keep.put_back(board)
        self.changed = keep.differences(board, found)
        if (label := slots.look(board).running) != found.named:
            self.changed.append(f"{label} runs, not {found.named}")
        keep.forget(board)

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
        for line in self.lines(timeout):
            beat = program.parse_beat(line)
            if beat and holds(beat):
                return beat
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

    def loopback(self) -> tuple[int, int]:
        """The pins of the feature loopback:OUT-IN. Raises UsageError."""
        said = self.board.feature("loopback") or ""
        out, _, into = said.partition("-")
        if not (out.isdecimal() and into.isdecimal()):
            raise UsageError(f"loopback:{said} of {self.board.name}: write it as loopback:4-5, the output first")
        return int(out), int(into)


def _any(name: str) -> dict[str, Any]:
    """A check with settings that the agent takes; which ones does not matter where it is only installed."""
    settings: dict[str, dict[str, Any]] = {
        "gpio": {"pin": 0, "level": 1},
        "heap": {"free": 1},
        "import": {"module": "app"},
        "call": {"function": "app:selftest"},
    }
    return {"check": name} | settings.get(name, {})
