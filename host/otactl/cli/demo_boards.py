"""What the demos with eight boards share: the boards, the releases, and what flash has to say at the end of each part.

The boards are virtual, each with its own flash and MicroPython. 1.1.0 crashes on its trial; 1.1.1 is its successor."""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from vboard import factory
from vboard.board import Board
from vboard.flash import images
from vboard.link.wlan import Network

from otactl.board.deploy import deploy
from otactl.board.link import Link
from otactl.cli import display
from otactl.cli.demo import boots
from otactl.cli.demo_steps import Step, empty, otactl, require
from otactl.workspace.workspace import SETTINGS, Workspace

BOARDS, CANARY = 8, 2  # of these, `CANARY` get a release first
_SPEED = 60_000  # bytes a second of each board's link: so that a download can be seen
_APP_SIZE = 200_000
_PROGRAM = b"""from ota import agent
def main():
    agent.loop()
"""
_SETTINGS = {
    "deadline_s = 180": "deadline_s = 60\nsettle_s = 2",
    '{ check = "wifi" }': '{ check = "wifi", timeout_s = 6 }',
    "[board.trial]": "[board]\ninterval_s = 5\njitter_s = 0\n\n[board.trial]",
}


class Told(list[Step]):
    """The steps of a story, as they are done."""

    def step(self, text: str, action: Callable[[], str]) -> None:
        """Do one; what `action` returns is its proof, what it raises ends the story."""
        began = time.monotonic()
        proof = action()
        self.append(Step(text, time.monotonic() - began, proof))


@dataclass(slots=True)
class Classroom:
    """The boards, and the workspace that they belong to, in an empty `folder`. `images`: by version."""

    folder: Path
    images: dict[str, bytes]
    boards: list[Board] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """Of the workspace."""
        return self.folder / "workspace"

    def place(self) -> Workspace:
        return Workspace.find(self.root)

    def file(self, version: str) -> Path:
        return self.folder / f"firmware-{version}.bin"

    def home(self, number: int) -> Path:
        return self.folder / name(number)

    def mac(self, number: int) -> str:
        """A virtual board's address belongs to its folder."""
        return factory.mac(self.home(number)).hex(":")

    def settle(self, port: int) -> None:
        """Where the server is, and less patience than a school needs."""
        settings = self.root / SETTINGS
        text = settings.read_text().replace("localhost:8443", f"localhost:{port}")
        for before, after in _SETTINGS.items():
            text = text.replace(before, after)
        settings.write_text(text)

    def deploy(self, opened: ExitStack) -> str:
        """The agent on one board, whose flash the others get; each has an address, a name and a link of its own. All stay off."""
        first = self._board(1, opened)
        first.power_on()
        first.wait_repl()
        with Link(str(first.port)) as link:
            link.enter_repl()
            deploy(link, self.place())
            link.put("/app.py", _PROGRAM)
        first.power_off()
        display.done(f"the agent is on {name(1)}, whose flash the others get")
        for number in range(2, BOARDS + 1):
            self.home(number).mkdir()
            shutil.copy(self.home(1) / "flash.bin", self.home(number) / "flash.bin")
            self._board(number, opened)
        return "the agent runs"

    def _board(self, number: int, opened: ExitStack) -> Board:
        network = Network(bytes_per_s=_SPEED)
        board = opened.enter_context(Board(self.home(number), chip="esp32", app=self.images["1.0.0"], network=network))
        self.boards.append(board)
        return board

    # --- what flash says ----------------------------------------------------------------------------------------------

    def halted(self) -> str:
        """The canaries have tried a release, and no other board has. Raises StepFailed."""
        tried = [board for board in self.boards if "ota_1" in [boot.slot for boot in board.boots]]
        require(tried == self.boards[:CANARY], "the canaries tried it, and no other board")
        for board in self.boards:
            boots(board, "ota_0", self.images["1.0.0"])
        return f"{CANARY} tried it, all {BOARDS} boot 1.0.0"

    def all_have(self, version: str, slot: str) -> str:
        """All boards boot it, from that slot. Raises StepFailed."""
        for board in self.boards:
            boots(board, slot, self.images[version])
        return f"all {BOARDS}: {slot} VALID, byte for byte"


def classroom(folder: Path) -> Classroom:
    """A workspace in an emptied folder, and the firmware of three releases; no board yet. Raises StepFailed."""
    says: dict[str, dict[str, object]] = {"1.0.0": {}, "1.1.0": {"panic": True}, "1.1.1": {}}
    made = Classroom(
        folder,
        {
            version: images.with_behaviour(
                images.build_app("esp32", size=_APP_SIZE, seed=seed), release=version, **behaviour
            )
            for seed, (version, behaviour) in enumerate(says.items())
        },
    )
    empty(folder, made.file("1.0.0"), None)
    for version, image in made.images.items():
        made.file(version).write_bytes(image)
    return made


def begin(made: Classroom) -> None:
    """The workspace."""
    otactl("init", "-w", made.root, "localhost", "--ssid", "virtual", "--password", "password")


def name(number: int) -> str:
    """Of a board, from 1."""
    return f"desk-{number}"


def group(number: int) -> str:
    """Its cohort, or an engine's group."""
    return "canary" if number <= CANARY else "class"
