"""`otactl demo`: one board from nothing to an update that is confirmed and one that is rolled back.

What it shows is checked in the flash image by means that are not the agent's (vboard.flash.otadata, the bytes of the slot),
and any step that did not happen makes the exit status 1.
"""

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table as Rows
from rich.text import Text
from vboard.board import Board
from vboard.flash import images
from vboard.flash.otadata import State, active, read_entries, slot_of
from vboard.link.wlan import Network

from otactl.board.link import Link
from otactl.cli import display
from otactl.cli import run as cli
from otactl.release import firmware
from otactl.server.server import Server
from otactl.workspace.workspace import Workspace

_SLOW = 700_000  # bytes a second: so that the bar can be seen to move
_APP_SIZE = 1_100_000
_PROGRAM = "# app.py: a program of yours\nprint('app: hello')\n"


class StepFailed(Exception):
    """A step of the demo did not happen."""


@dataclass(frozen=True, slots=True)
class Step:
    text: str
    seconds: float
    proof: str


def _title(text: str) -> None:
    display.show(Text(f"\n{text}", "bold"))


def _otactl(*words: str | Path, expect: int = 0) -> None:
    line = [str(display.short(word) if isinstance(word, Path) else word) for word in words]
    display.show(Text.assemble(("$ ", "dim"), (f"otactl {' '.join(line)}", "bold")))
    with display.without_hints():
        code = cli.run(line)
    if code != expect:
        raise StepFailed(f"otactl {line[0]} ended with {code}, not {expect}")


def _require(truth: bool, what: str) -> str:
    if not truth:
        raise StepFailed(f"not so: {what}")
    return what


def _boots(board: Board, slot: str, image: bytes) -> str:
    """What the flash says: otadata's active entry is VALID and names `slot`, which holds `image`; it also runs."""
    table = board.table
    row = table.find(slot)
    otadata = table.otadata
    if row is None or otadata is None:
        raise StepFailed(f"the board has no {slot}")
    entries = read_entries(board.flash, otadata)
    entry = entries[active(*entries)]
    named = table.ota_slots[slot_of(entry.seq, len(table.ota_slots))]
    _require(named == row and entry.state == State.VALID, f"otadata boots {slot}, confirmed")
    _require(board.flash.read(row.offset, len(image)) == image, f"{slot} holds the published image")
    _require(board.slot == slot, f"{slot} runs")
    return f"{slot} VALID, image byte for byte"


def _images(user: Path | None) -> tuple[str, list[bytes]]:
    """The chip, and the images of 1.0.0, 1.1.0 and of 1.2.0, whose radio finds no network."""
    if user is None:
        chip = "esp32"
        base = [images.build_app(chip, size=_APP_SIZE, seed=seed) for seed in (1, 2, 3)]
    else:
        found = firmware.load(user)
        if found.note:
            display.show(f"{user.name}: {found.note}")
        chip, base = found.chip, [found.app] * 3
    says: list[dict[str, object]] = [
        {"release": "1.0.0"},
        {"release": "1.1.0"},
        {"release": "1.2.0", "no_wifi": True},
    ]
    return chip, [images.with_behaviour(image, **facts) for image, facts in zip(base, says, strict=True)]


def _empty(folder: Path, mark: Path, user: Path | None) -> None:
    """Take away what the last demo left, and nothing else. `mark`: its first file."""
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise StepFailed(f"{folder} has files that are no demo's, and would be emptied: choose another --folder")
    if user and user.resolve().is_relative_to(folder):
        raise StepFailed(f"{folder} is emptied first: move {user.name} out of it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def run(folder: Path, user: Path | None) -> list[Step]:
    """The whole story in `folder`. Raises StepFailed, OtactlError, TimeoutError."""
    steps: list[Step] = []

    def step(text: str, action: Callable[[], str]) -> None:
        began = time.monotonic()
        proof = action()
        steps.append(Step(text, time.monotonic() - began, proof))

    chip, (first, second, third) = _images(user)
    files = [folder / f"firmware-{version}.bin" for version in ("1.0.0", "1.1.0", "1.2.0")]
    _empty(folder, files[0], user)
    for path, image in zip(files, (first, second, third), strict=True):
        path.write_bytes(image)
    place = folder / "workspace"
    network = Network(bytes_per_s=_SLOW)

    _title(f"1  A virtual {chip} board with 1.0.0 in slot ota_0")
    with ExitStack() as opened:
        board = opened.enter_context(Board(folder / "board", chip=chip, app=first, network=network))
        board.power_on()
        board.wait_repl()
        step("board starts", lambda: _boots(board, "ota_0", first))
        port = board.port
        display.show(f"serial port {display.short(port)}")

        _title("2  A workspace, and the agent on the board")
        _otactl("init", "-w", place, "localhost", "--ssid", "virtual", "--password", "password")
        workspace = Workspace.find(place)
        releases = opened.enter_context(Server(workspace.releases, workspace.tls, "127.0.0.1", 0, lambda _: None))
        settings = place / "otactl.toml"
        text = settings.read_text().replace("localhost:8443", f"localhost:{releases.port}")
        settings.write_text(text.replace("deadline_s = 180", "deadline_s = 60\nsettle_s = 2").replace(
            '{ check = "wifi" }', '{ check = "wifi", timeout_s = 6 }'))  # fmt: skip
        _otactl("publish", "-w", place, files[0], "--version", "1.0.0")

        def deploy() -> str:
            with Link(str(port)) as link:
                link.put("/app.py", _PROGRAM.encode())
            seen = len(board.text)
            _otactl("deploy", "-w", place, port)
            board.wait_text("ota: up-to-date 1.0.0", 20, since=seen)  # its first look: 1.0.0 is what it has
            return "the agent runs"

        step("agent deployed", deploy)

        _title("3  Release 1.1.0: download, trial, confirmation")
        _otactl("publish", "-w", place, files[1], "--version", "1.1.0")

        def update() -> str:
            seen = len(board.text)
            _otactl("update", port)
            board.wait_text("ota: up-to-date 1.1.0", 20, since=seen)  # the boot after the confirmation
            return _boots(board, "ota_1", second)

        step("1.1.0 tried and confirmed", update)

        _title("4  Release 1.2.0 fails its self-test: its Wi-Fi finds no network")
        _otactl("publish", "-w", place, files[2], "--version", "1.2.0")

        def rollback() -> str:
            boots = len(board.boots)
            _otactl("update", port, expect=1)
            tried = [boot.slot for boot in board.boots[boots:]]
            _require("ota_0" in tried, "1.2.0 was booted")
            return _boots(board, "ota_1", second)

        step("1.2.0 failed, back to 1.1.0", rollback)
        _otactl("status", port)
    return steps


def show(folder: Path, user: Path | None) -> int:
    """Tell the story in `folder`, with firmware of the user's or a made-up one; 1 where it did not go as it must."""
    began = time.monotonic()
    try:
        steps = run(folder.resolve(), user)
    except (StepFailed, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    _title("What happened, judged from the flash image")
    rows = Rows(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("  step", "seconds", "what the flash says"):
        rows.add_column(column, justify="right" if column == "seconds" else "left")
    for one in steps:
        rows.add_row(Text.assemble(("✓ ", "bold green"), one.text), f"{one.seconds:.1f}", one.proof)
    display.show_table(rows)
    display.show(f"All of it in {time.monotonic() - began:.0f} s; the board's console is in {folder}/board/console.log")
    return 0
