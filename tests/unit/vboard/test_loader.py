"""The parts of the ROM loader that real esptool does not press hard enough."""

import struct
from pathlib import Path

import pytest
from vboard.chips import CHIPS
from vboard.flash.nor import Flash
from vboard.loader import slip
from vboard.loader.commands import Commands, Refused
from vboard.loader.download import Download
from vboard.loader.lines import Lines
from vboard.loader.loader import SYNC_FRAME

MIB = 1 << 20
PACKETS = (b"\x00", b"\xc0", b"\xdb", b"\xdb\xdc\xc0\xdd", bytes(range(256)))


@pytest.mark.parametrize("size", [1, 2, 7, 4096])
def test_frames_come_whole_however_they_are_cut(size: int) -> None:
    line = b"noise" + b"".join(map(slip.encode, PACKETS))
    decoder = slip.Decoder()
    out = [packet for at in range(0, len(line), size) for packet in decoder.feed(line[at : at + size])]
    assert out == list(PACKETS)


def test_frame_without_an_end_does_not_grow_for_ever() -> None:
    decoder = slip.Decoder()
    assert not list(decoder.feed(b"\xc0" + b"x" * 0x10001))
    assert list(decoder.feed(slip.encode(b"after"))) == [b"after"]


UP, HELD, BOTH, BOOT = (False, False), (False, True), (True, True), (True, False)  # DTR, RTS


@pytest.mark.parametrize(
    ("name", "levels", "events"),
    [
        ("a host opens the port and closes it", (UP, BOOT, BOTH, UP), []),
        ("esptool's classic reset", (UP, HELD, BOTH, BOOT, UP), ["hold", "download"]),
        ("esptool's tight reset", (UP, BOTH, HELD, BOOT, UP), ["hold", "download"]),
        ("esptool's hard reset", (UP, HELD, UP), ["hold", "run"]),
        ("mpremote opens with both, lets RTS go last", (BOTH, HELD, UP), ["hold", "run"]),
        ("boot button alone", (BOOT, UP), []),
    ],
)
def test_modem_lines(name: str, levels: tuple[tuple[bool, bool], ...], events: list[str]) -> None:
    lines = Lines()
    came = [lines.set(dtr=dtr, rts=rts) for dtr, rts in levels]
    assert [event for event in came if event] == events, name


@pytest.fixture
def flash(tmp_path: Path) -> Flash:
    return Flash(tmp_path / "flash.bin", 4 * MIB)


@pytest.fixture
def commands(flash: Flash) -> Commands:
    return Commands(CHIPS["esp32"], flash, bytes(6))


def block(data: bytes, checksum: int | None = None) -> tuple[bytes, int]:
    reckoned = 0xEF
    for byte in data:
        reckoned ^= byte
    return struct.pack("<IIII", len(data), 0, 0, 0) + data, reckoned if checksum is None else checksum


BEGIN, DATA, END, ATTACH, PARAMS, ERASE, UNPACK, PACKED = 0x02, 0x03, 0x04, 0x0D, 0x0B, 0xD1, 0x10, 0x11


def begin(start: int, size: int) -> bytes:
    return struct.pack("<IIII", size, 1, 0x400, start)


@pytest.mark.parametrize(
    ("name", "code", "steps"),
    [
        ("flash not attached", 0x06, [(BEGIN, begin(0, 16), 0)]),
        ("behind the 2 MiB that the ROM knows of", 0x06, [(ATTACH, bytes(8), 0), (BEGIN, begin(3 * MIB, 16), 0)]),
        ("data without a beginning", 0x06, [(DATA, *block(b"data"))]),
        ("garbled data", 0x07, [(ATTACH, bytes(8), 0), (BEGIN, begin(0, 16), 0), (DATA, *block(b"data", 0))]),
        ("data cut short", 0x07, [(DATA, struct.pack("<IIII", 9, 0, 0, 0) + b"data", 0)]),
        ("no zlib stream", 0x0B, [(ATTACH, bytes(8), 0), (UNPACK, begin(0, 16), 0), (PACKED, *block(b"data"))]),
        ("a command of the stub's", 0x05, [(ERASE, struct.pack("<II", 0, 4096), 0)]),
        ("no arguments", 0x05, [(BEGIN, b"", 0)]),
        ("a jump into RAM where nothing is", 0x06, [(0x06, struct.pack("<II", 0, 0x40080000), 0)]),
    ],
)
def test_rom_refuses(commands: Commands, name: str, code: int, steps: list[tuple[int, bytes, int]]) -> None:
    for step in steps[:-1]:
        commands.run(*step)
    with pytest.raises(Refused) as refused:
        commands.run(*steps[-1])
    assert refused.value.code == code, name


def test_a_write_erases_its_own_sectors_only(commands: Commands, flash: Flash) -> None:
    flash.force(0, bytes(0x5000))
    commands.run(ATTACH, bytes(8), 0)
    commands.run(BEGIN, begin(0x1000, 0x1001), 0)
    commands.run(DATA, *block(b"\x55" * 0x1001))
    assert flash.read(0, 0x1000) == bytes(0x1000)
    assert flash.read(0x1000, 0x1001) == b"\x55" * 0x1001
    assert flash.read(0x2001, 0xFFF) == b"\xff" * 0xFFF
    assert flash.read(0x3000, 0x2000) == bytes(0x2000)


def test_sync_is_heard_in_pieces_and_other_typing_is_not(flash: Flash) -> None:
    download = Download(CHIPS["esp32"], flash, bytes(6), lambda data: None)
    assert not download.is_called(b"print('hello')\r" * 1000)
    assert not download.is_called(SYNC_FRAME[:20])
    assert download.is_called(SYNC_FRAME[20:])
