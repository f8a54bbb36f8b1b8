"""What a slot's sectors take of an image: erases and programs as the flash counts them, beside the bytes that lie there."""

from dataclasses import dataclass

import pytest
import rig as rigs
from rig import NEW, Rig, boots, slot_bytes, started, status, touched
from vboard.board import Board
from vboard.chip.idf import IdfError
from vboard.flash.otadata import State

SECTOR, BLOCK = 4096, 65536
# The agent's own code writes sectors into ota_1: each is its number plus one, all through.
WRITE = """
from esp32 import Partition
from ota.install.sectors import Sectors
slot = Partition.find(Partition.TYPE_APP, label="ota_1")[0]
view = memoryview(bytearray(4096))
sectors = Sectors(slot, {size}, view, {torn}, {mended}, [0, 0, 0])
for at in range({torn}, {size}, 4096):
    view[:] = bytes([at // 4096 + 1]) * 4096
    sectors.write(at)
print("WEAR", *sectors.wear)
"""


@dataclass(frozen=True)
class Row:
    """`changed`: sectors of the slot that hold something else at first. `wear`: sectors left as they were, sectors erased,
    blocks erased. Sectors are written from `torn` on, and what is before `mended` cannot be believed. `idf`: it is not
    that of the image, where an app image has the version of its ESP-IDF."""

    changed: tuple[int, ...]
    wear: tuple[int, int, int]
    torn: int = 0
    mended: int = 0
    sectors: int = 48
    idf: bool = False


ROWS = {
    "nothing differs": Row((), (48, 0, 0)),
    "one sector differs": Row((20,), (47, 1, 0)),
    "all differs": Row(tuple(range(48)), (0, 16, 2)),
    "five of a block, and the next begins otherwise": Row((1, 2, 3, 4, 5, 16), (42, 6, 0)),
    "six of a block, and the next begins otherwise": Row((1, 2, 3, 4, 5, 6, 16), (26, 6, 1)),
    "six of a block, and the next begins the same": Row((1, 2, 3, 4, 5, 6, 17, 18), (40, 8, 0)),
    "six are left of the last block": Row(tuple(range(38)), (0, 16, 2), sectors=38),
    "five are left of the last block": Row(tuple(range(37)), (0, 21, 1), sectors=37),
    "one of another ESP-IDF lies there": Row((0, 17), (31, 1, 1), idf=True),
    "power went after a note": Row((), (16, 0, 1), torn=BLOCK, mended=2 * BLOCK),
    "power went after a note within a block": Row((), (16, 12, 1), torn=4 * SECTOR, mended=20 * SECTOR),
    "power went before any note": Row((), (0, 0, 3), mended=48 * SECTOR),
}


def written(board: Board, row: Row) -> tuple[tuple[int, ...], list[tuple[str, int]]]:
    """What the agent counts, and kind and size of each operation of the flash; what lies there is right then."""
    slot = board.table.find("ota_1")
    assert slot
    right = b"".join(bytes([n + 1]) * SECTOR for n in range(row.sectors))
    board.flash.force(slot.offset, right)
    for n in row.changed:  # by its last byte
        board.flash.force(slot.offset + (n + 1) * SECTOR - 1, b"\0")
    if row.idf:
        board.flash.force(slot.offset + 175, b"\0")
    board.flash.trace.clear()
    size = row.sectors * SECTOR
    said = rigs.ask(board, WRITE.format(size=size, torn=row.torn, mended=row.mended))
    assert slot_bytes(board, "ota_1", size) == right
    wear = tuple(int(word) for word in said.rpartition("WEAR ")[2].split())
    return wear, [(op.kind, op.size) for op in board.flash.trace if slot.offset <= op.address < slot.end]


def operations(row: Row) -> dict[tuple[str, int], int]:
    """Every sector that is not left is programmed once; there are no other operations than the erases that are counted."""
    left, erased, blocks = row.wear
    programs = row.sectors - row.torn // SECTOR - left
    return {("erase", SECTOR): erased, ("erase", BLOCK): blocks, ("program", SECTOR): programs}


def test_sectors_that_change_are_erased_alone_or_at_once_and_others_not(rig: Rig) -> None:
    board = started(rig.board())
    seen = {name: written(board, row) for name, row in ROWS.items()}
    assert {name: wear for name, (wear, _) in seen.items()} == {name: row.wear for name, row in ROWS.items()}
    for name, row in ROWS.items():
        wanted = operations(row)
        assert {what: seen[name][1].count(what) for what in wanted} == wanted, name
        assert len(seen[name][1]) == sum(wanted.values()), name


def test_block_whose_erase_does_not_take_goes_sector_by_sector(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    board = started(rig.board())
    with rigs.repl(board):
        assert board.soc

        def refuse(*_: object, **__: object) -> None:
            raise IdfError(-258, "ESP_ERR_INVALID_ARG")

        monkeypatch.setattr(board.soc.storage, "write_from_nowhere", refuse)
    assert written(board, Row(tuple(range(48)), (0, 48, 0)))[0] == (0, 48, 0)


def test_image_that_the_slot_holds_already_costs_no_erase(rig: Rig) -> None:
    board = started(rig.board())
    slot = board.table.find("ota_1")
    assert slot
    board.flash.force(slot.offset, NEW)
    rig.publish("1.1.0", NEW)
    begun, seen = len(board.flash.trace), len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40, since=seen)
    assert boots(board) == ("ota_1", State.VALID)
    assert not touched(board, "ota_1", since=begun)
    assert status(board)["job"]["wear"] == [len(NEW) // SECTOR + 1, 0, 0]
    assert [t.path for t in rig.transfers if t.path.endswith(".bin")] == ["1.1.0/esp32.bin"]
