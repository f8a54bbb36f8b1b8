"""README's five commands, as they stand there, from a blank chip to its first confirmed update."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rig as rigs
from vboard.board import Board
from vboard.flash import bootimage, images
from vboard.flash.otadata import State
from vboard.flash.table import LAYOUTS
from vboard.link.wlan import Network

README = Path(__file__).resolve().parents[2] / "README.md"
VERBS = ["init", "provision", "publish", "serve", "update"]
START = 0x1000  # where a full-flash file for an ESP32 begins
LIMIT_S = 90


def stock_file(path: Path, seed: int) -> bytes:
    """A full-flash file as micropython.org has it, with made-up images; gives its app."""
    app = images.with_behaviour(rigs.image(seed, "esp32"), micropython="1.26.1")
    whole = bytearray(b"\xff" * (0x10000 - START))
    for at, part in ((START, bootimage.build("esp32", 4 << 20)), (0x8000, LAYOUTS["factory"].to_bytes())):
        whole[at - START : at - START + len(part)] = part
    path.write_bytes(whole + app)
    return app


def commands() -> list[list[str]]:
    block = re.search(r"```\n(otactl init .*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    return [shlex.split(line) for line in block[1].splitlines()]


@contextmanager
def served(words: list[str], folder: Path) -> Iterator[None]:
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout and "https://" in server.stdout.readline()
        try:
            yield
        finally:
            server.terminate()


def test_five_commands_bring_a_blank_chip_to_its_first_confirmed_update(tmp_path: Path) -> None:
    stock_file(tmp_path / "ESP32_GENERIC-20250911-v1.26.1.bin", 1)
    newer = stock_file(tmp_path / "NEWER_FIRMWARE.bin", 2)
    network = Network(access_points={"MyNetwork": "MyPassword"})
    with Board(tmp_path / "board", blank=True, network=network) as board:
        board.power_on()
        lines = commands()
        assert [words[1] for words in lines] == VERBS
        lines[0] += [
            "localhost",
            "--port",
            str(rigs.free_port()),
        ]  # of the address of a machine in a test nothing is known
        init, provision, publish, serve, update = (
            [
                sys.executable,
                "-m",
                "otactl",
                *(str(board.port) if word == "/dev/ttyUSB0" else word for word in words[1:]),
            ]
            for words in lines
        )
        for words in (init, provision, publish):
            subprocess.run(words, cwd=tmp_path, check=True, timeout=LIMIT_S)
        with served(serve, tmp_path):
            subprocess.run(update, cwd=tmp_path, check=True, timeout=LIMIT_S)
        assert rigs.boots(board) == ("ota_1", State.VALID)
        assert rigs.slot_bytes(board, "ota_1", len(newer)) == newer
