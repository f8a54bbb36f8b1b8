"""`otactl demo`: one board from nothing to an update that is confirmed and one that is rolled back.

What it shows is checked in the flash image by means that are not the agent's (vboard.flash.otadata, the bytes of the slot),
and any step that did not happen makes the exit status 1.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from vboard.board import Board
from vboard.flash import images
from vboard.flash.otadata import State, active, read_entries, slot_of
from vboard.link.wlan import Network

from otactl.board.link import Link
from otactl.cli import display
from otactl.cli.demo_steps import Step, StepFailed, empty, otactl, require, title, told
from otactl.release import firmware
from otactl.server.server import Server
from otactl.workspace.workspace import Workspace

_SLOW = 700_000  # bytes a second: so that the bar can be seen to move
_APP_SIZE = 1_100_000
_PROGRAM = "# app.py: a program of yours\nprint('app: hello')\n"


def boots(board: Board, slot: str, image: bytes) -> str:
    """What the flash says: otadata's active entry is VALID and names `slot`, which holds `image`; it also runs. Raises StepFailed."""
    table = board.table
    row = table.find(slot)
    otadata = table.otadata
    if row is None or otadata is None:
        raise StepFailed(f"the board has no {slot}")
    entries = read_entries(board.flash, otadata)
    entry = entries[active(*entries)]
    named = table.ota_slots[slot_of(entry.seq, len(table.ota_slots))]
    require(named == row and entry.state == State.VALID, f"otadata boots {slot}, confirmed")
    require(board.flash.read(row.offset, len(image)) == image, f"{slot} holds the published image")
    require(board.slot == slot, f"{slot} runs")
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


def run(folder: Path, user: Path | None) -> list[Step]:
    """The whole story in `folder`. Raises StepFailed, OtactlError, TimeoutError."""
    steps: list[Step] = []

    def step(text: str, action: Callable[[], str]) -> None:
        began = time.monotonic()
        proof = action()
        steps.append(Step(text, time.monotonic() - began, proof))

    chip, (first, second, third) = _images(user)
    files = [folder / f"firmware-{version}.bin" for version in ("1.0.0", "1.1.0", "1.2.0")]
    empty(folder, files[0], user)
    for path, image in zip(files, (first, second, third), strict=True):
        path.write_bytes(image)
    place = folder / "workspace"
    network = Network(bytes_per_s=_SLOW)

    title(f"1  A virtual {chip} board with 1.0.0 in slot ota_0")
    with ExitStack() as opened:
        board = opened.enter_context(Board(folder / "board", chip=chip, app=first, network=network))
        board.power_on()
        board.wait_repl()
        step("board starts", lambda: boots(board, "ota_0", first))
        port = board.port
        display.show(f"serial port {display.short(port)}")

        title("2  A workspace, and the agent on the board")
        otactl("init", "-w", place, "localhost", "--ssid", "virtual", "--password", "password")
        workspace = Workspace.find(place)
        releases = opened.enter_context(Server(workspace.releases, workspace.tls, "127.0.0.1", 0, lambda _: None))
        settings = place / "otactl.toml"
        text = settings.read_text().replace("localhost:8443", f"localhost:{releases.port}")
        settings.write_text(text.replace("deadline_s = 180", "deadline_s = 60\nsettle_s = 2").replace(
            '{ check = "wifi" }', '{ check = "wifi", timeout_s = 6 }'))  # fmt: skip
        otactl("publish", "-w", place, files[0], "--version", "1.0.0")

        def deploy() -> str:
            with Link(str(port)) as link:
                link.put("/app.py", _PROGRAM.encode())
            seen = len(board.text)
            otactl("deploy", "-w", place, port)
            board.wait_text("ota: up-to-date 1.0.0", 20, since=seen)  # its first look: 1.0.0 is what it has
            return "the agent runs"

        step("agent deployed", deploy)

        title("3  Release 1.1.0: download, trial, confirmation")
        otactl("publish", "-w", place, files[1], "--version", "1.1.0")

        def update() -> str:
            seen = len(board.text)
            otactl("update", port)
            board.wait_text("ota: up-to-date 1.1.0", 20, since=seen)  # the boot after the confirmation
            return boots(board, "ota_1", second)

        step("1.1.0 tried and confirmed", update)

        title("4  Release 1.2.0 fails its self-test: its Wi-Fi finds no network")
        otactl("publish", "-w", place, files[2], "--version", "1.2.0")

        def rollback() -> str:
            before = len(board.boots)
            otactl("update", port, expect=1)
            tried = [boot.slot for boot in board.boots[before:]]
            require("ota_0" in tried, "1.2.0 was booted")
            return boots(board, "ota_1", second)

        step("1.2.0 failed, back to 1.1.0", rollback)
        otactl("status", port)
    return steps


def show(folder: Path, user: Path | None) -> int:
    """Tell the story in `folder`, with firmware of the user's or a made-up one; 1 where it did not go as it must."""
    return told(
        lambda: run(folder.resolve(), user),
        "the flash image",
        "what the flash says",
        lambda seconds: f"All of it in {seconds:.0f} s; the board's console is in {folder}/board/console.log",
    )
