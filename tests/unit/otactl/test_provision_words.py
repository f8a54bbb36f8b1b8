"""What `otactl provision` says where it does not begin: which file, which board, which flash."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from otactl.board import slots_rom
from otactl.board.provision import run
from otactl.board.provision.which import Firmwares
from otactl.board.slots_source import FileSource
from otactl.cli.main import main
from otactl.errors import BoardError, RigError, UsageError
from vboard.flash import bootimage
from vboard.flash.images import build_app
from vboard.flash.table import LAYOUTS


def build(place: Path, name: str, version: str) -> None:
    """A full-flash file of that MicroPython."""
    data = bytearray(b"\xff" * 0xF000)
    bootloader = bootimage.build("esp32", 4 << 20)
    data[: len(bootloader)] = bootloader
    data[0x7000:0x8000] = LAYOUTS["factory"].to_bytes().ljust(0x1000, b"\xff")
    words = f"MicroPython v{version} on 2026-01-01"
    (place / name).write_bytes(data + build_app("esp32", filled=words.encode() + b"\0"))


def test_the_newest_build_in_the_folder_is_taken_and_of_two_that_are_equal_none(tmp_path: Path) -> None:
    build(tmp_path, "ESP32_GENERIC-v1.25.0.bin", "1.25.0")
    build(tmp_path, "ESP32_GENERIC-v1.26.1.bin", "1.26.1")
    assert Firmwares(None, tmp_path).for_chip("esp32").firmware.micropython == "1.26.1"
    build(tmp_path, "ESP32_GENERIC-UNICORE-v1.26.1.bin", "1.26.1")
    with pytest.raises(
        UsageError, match=r"UNICORE-v1.26.1.bin, ESP32_GENERIC-v1.26.1.bin in .* name one with --firmware"
    ):
        Firmwares(None, tmp_path).for_chip("esp32")


@pytest.mark.parametrize(
    ("code", "size"), [(0x16, 4 << 20), (0x18, 16 << 20), (0x20, 64 << 20), (0x37, 8 << 20), (0x3A, 64 << 20)]
)
def test_a_flash_says_its_size(code: int, size: int) -> None:
    assert slots_rom._flash_size(SimpleNamespace(flash_id=lambda: code << 16 | 0x4020)) == size


@pytest.mark.parametrize("identity", [0xFFFFFF, 0, 0x1D4020, 0x314020])
def test_a_flash_that_does_not_answer_or_says_what_no_flash_does_is_none(identity: int) -> None:
    with pytest.raises(BoardError, match="does not tell its size"):
        slots_rom._flash_size(SimpleNamespace(flash_id=lambda: identity))


class Protected(FileSource):
    """It takes an erase, and does nothing."""

    def erase(self, offset: int, size: int) -> None:
        pass


def test_an_erase_that_erased_nothing_is_no_success() -> None:
    step = run.Step("otadata", 0x1000, b"\xff" * 0x1000)
    plan: Any = SimpleNamespace(steps=(step,))
    with pytest.raises(RigError, match="otadata at 0x1000 is not blank after its erase: is the flash protected"):
        run.run(Protected(bytes(0x4000), "flash"), plan)


class Smaller(FileSource):
    """A flash that says four times what it has: addresses beyond its end begin anew."""

    def __init__(self, size: int) -> None:
        super().__init__(b"", "flash")
        self.flash_size, self.cells = 4 * size, bytearray(b"\xff" * size)

    def read(self, offset: int, size: int) -> bytes:
        at = offset % len(self.cells)
        return bytes(self.cells[at : at + size])

    def write(self, offset: int, data: bytes) -> None:
        at = offset % len(self.cells)
        self.cells[at : at + len(data)] = data

    def erase(self, offset: int, size: int) -> None:
        self.write(offset, b"\xff" * size)


def test_a_flash_that_is_smaller_than_it_says_is_found_out() -> None:
    steps = (run.Step("the app", 0x10000, b"app"), run.Step("ota_1", 0x50000, b"\xff" * 0x1000))
    plan: Any = SimpleNamespace(steps=steps)
    with pytest.raises(RigError, match="the app at 0x10000 is not there any more: a later step has written over it"):
        run.run(Smaller(0x40000), plan)
    assert run.run(Smaller(0x80000), plan) == 3


def test_which_of_several_boards_is_flashed_is_not_left_to_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("otactl.board.ports.on_usb", lambda: {"/dev/ttyUSB0": "a", "/dev/ttyUSB1": "b"})
    assert main(["provision", "--no-deploy", "--yes", "--json"]) == 2
    said = json.loads(capsys.readouterr().out or "{}") or {}
    assert "2 boards may be meant (/dev/ttyUSB0, /dev/ttyUSB1): name the one" in json.dumps(said)
