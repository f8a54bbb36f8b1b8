"""What the tests of `otactl provision` are built from: full-flash files with made-up images, boards, the command."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rig as rigs
from esptool.loader import ESPLoader
from otactl.cli.main import main
from vboard.board import Board
from vboard.chips import CHIPS
from vboard.flash import bootimage, images
from vboard.flash.nor import Operation, PowerLost
from vboard.flash.table import LAYOUTS

PROGRAM = b"print('mine')\n" * 700
FILES = {
    "/app.py": PROGRAM,
    "/lib/mine.py": b"",
    "/lib/deep/data.bin": bytes(range(256)) * 20,
    "/boot.py": b"import os\n",
    "/gr\u00fc\x85\u00dfe.txt": b"hallo",  # with what Python takes for the end of a line
}


def stock_file(place: Path, chip: str, seed: int = 1) -> Path:
    """A full-flash file as micropython.org has it, with made-up images: bootloader, factory table, app."""
    start = CHIPS[chip].bootloader_offset
    data = bytearray(b"\xff" * (0x10000 - start))
    bootloader = bootimage.build(chip, 4 << 20)
    data[: len(bootloader)] = bootloader
    data[0x8000 - start : 0x9000 - start] = LAYOUTS["factory"].to_bytes()
    path = place / f"{chip}-{seed}.bin"
    path.write_bytes(data + images.with_behaviour(rigs.image(seed, chip), micropython="1.26.1"))
    return path


def otactl(capsys: pytest.CaptureFixture[str], *words: Any, code: int = 0) -> str:
    ended = main([str(word) for word in words])
    said = capsys.readouterr()
    assert ended == code, said.out + said.err
    return said.out + said.err


@contextmanager
def stocked(place: Path) -> Iterator[Board]:
    """An ESP32 with the stock table and files of a person's."""
    with Board(place / "stock", full_flash=stock_file(place, "esp32").read_bytes()) as board:
        board.power_on()
        board.wait_repl()
        with rigs.repl(board) as link:
            for folder in ("/lib", "/lib/deep"):
                link.make_folder(folder)
            for path, data in FILES.items():
                link.put(path, data)
        yield board


def held(board: Board) -> dict[str, bytes]:
    """The board's files, as its own MicroPython reads them."""
    with rigs.repl(board) as link:
        found = link.value(
            f"[__import__('binascii').b2a_base64(open(p, 'rb').read()).decode() for p in {list(FILES)!r}]",
            timeout_s=30,
        )
    return {path: base64.b64decode(text) for path, text in zip(FILES, found, strict=True)}


def cut_at(board: Board, first: int, last: int, kind: str, skip: int) -> list[int]:
    """Power goes before an operation between two addresses, once `skip` of them are through. Gives where that was."""
    went: list[int] = []

    def before(operation: Operation, data: bytes | None) -> None:
        nonlocal skip
        there = first <= operation.address < last and operation.kind == kind
        if went or not there:
            return
        skip -= 1
        if skip < 0:
            went.append(operation.address)
            raise PowerLost

    board.flash.before = before
    return went


_GONE_S = 1.5


def do_not_wait_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """esptool waits up to six seconds, three times, for an answer of a board that has lost its power."""
    command = ESPLoader.command

    def impatient(loader: ESPLoader, *words: Any, timeout: float = _GONE_S, **more: Any) -> Any:
        return command(loader, *words, timeout=min(timeout, _GONE_S), **more)

    monkeypatch.setattr("esptool.loader.WRITE_BLOCK_ATTEMPTS", 1)
    monkeypatch.setattr(ESPLoader, "command", impatient)
