"""Broken connections, and resuming in the same run: over the project's server with a connection that is cut."""

from collections import Counter
from dataclasses import replace

import pytest
from rig import Rig, boots, image, nvs, otadata, recorded, slot_bytes, started, status, touched
from vboard.board import Board
from vboard.flash.nor import Operation, PowerLost
from vboard.flash.otadata import State, active

BIG = image(5, size=600 << 10)


def _downloading(rig: Rig, until: str) -> tuple[Board, int]:
    """A board in mid-download, slowly, and what its console had said before. `until`: first digits of the bytes done."""
    board = started(rig.board())
    rig.publish("1.1.0", BIG)
    rig.network.bytes_per_s = 400_000
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: download {until}", 30, since=seen)
    return board, seen


def _switchless(rig: Rig) -> tuple[Board, int]:
    """A board that is off: power went between the erase and the program of the new otadata entry."""
    board = started(rig.board())
    rig.publish("1.1.0", BIG)
    row = board.table.otadata
    assert row

    def cut(op: Operation, _: bytes | None) -> None:
        if op.kind == "program" and op.address == row.offset + 4096:
            board.flash.before = None
            raise PowerLost

    board.flash.before = cut
    seen = len(board.text)
    board.reset()
    board.wait(lambda: board.flash.before is None and board.soc is None, 40, "power cut")
    return board, seen


def test_wifi_lost_in_mid_download_resumes_from_the_byte_where_it_broke(rig: Rig) -> None:
    board, seen = _downloading(rig, "21")  # 200,000 bytes and more
    rig.network.bytes_per_s = None
    board.drop_wifi(0.5)
    board.wait_text("ota: up-to-date 1.1.0", 60, since=seen)
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(BIG)) == BIG
    parts = [t for t in rig.transfers if t.path.endswith("esp32.bin") and t.status == 206]
    assert parts and parts[-1].start >= 196_608
    assert parts[-1].done == len(BIG)


def test_reset_in_mid_download_goes_on_from_the_journal(rig: Rig) -> None:
    board, seen = _downloading(rig, "31")
    rig.network.bytes_per_s = None
    board.power_off()
    begun = len(board.flash.trace)
    board.power_on()
    board.wait_text("ota: up-to-date 1.1.0", 60, since=seen)
    assert slot_bytes(board, "ota_1", len(BIG)) == BIG
    resumed = [t for t in rig.transfers if t.path.endswith("esp32.bin") and t.start]
    assert len(resumed) == 1
    assert resumed[0].start % 4096 == 0
    assert resumed[0].start >= 300_000 - 65536 - 4096
    # what came after the note reads right, and may be half written: it is erased and written again
    slot = board.table.find("ota_1")
    assert slot
    first = f"{slot.offset + resumed[0].start:#x}"
    assert touched(board, "ota_1", begun)[:2] == [f"erase {first}", f"program {first}"]


def test_switch_lost_to_power_is_repeated_without_a_download(rig: Rig) -> None:
    board, _ = _switchless(rig)
    fetched = len(rig.transfers)
    board.power_on()
    board.wait_text("ota: up-to-date 1.1.0", 40)
    assert boots(board) == ("ota_1", State.VALID)
    assert not [t for t in rig.transfers[fetched:] if t.path.endswith(".bin")]


def _damage(board: Board, at: int) -> None:
    """Bits fall at byte `at` of what has come."""
    row = board.table.find("ota_1")
    assert row
    board.flash.program(row.offset + at, bytes(16), actor="host")


def _starts(rig: Rig) -> list[int]:
    """Where the answers with the image began."""
    return [t.start for t in rig.transfers if t.path.endswith("esp32.bin")]


def test_damage_to_what_was_downloaded_is_mended_in_the_same_pass(rig: Rig) -> None:
    """All of it comes once more, and no sector is written but the one that is damaged."""
    board, seen = _downloading(rig, "31")
    rig.network.bytes_per_s = None
    board.power_off()
    _damage(board, 100_000)
    begun = len(board.flash.trace)
    board.power_on()
    board.wait_text("ota: up-to-date 1.1.0", 60, since=seen)
    assert "ota: again hash-mismatch 1.1.0" in board.text[seen:]
    assert "ota: error" not in board.text[seen:]
    assert slot_bytes(board, "ota_1", len(BIG)) == BIG
    first, resumed, again = _starts(rig)
    assert first == again == 0 < resumed
    row = board.table.find("ota_1")
    assert row
    sector = f"{row.offset + 100_000 // 4096 * 4096:#x}"
    below = [what for what in touched(board, "ota_1", begun) if int(what.split()[1], 16) < row.offset + resumed]
    assert below == [f"erase {sector}", f"program {sector}"]


@pytest.mark.parametrize("switched", [False, True], ids=["in mid-download", "at the switch"])
def test_power_cut_while_it_comes_once_more_leaves_nothing_that_is_believed(switched: bool, rig: Rig) -> None:
    """The sector that was written last reads right, and may be half written: the note of before is gone by then."""
    board, seen = _switchless(rig) if switched else _downloading(rig, "31")
    rig.network.bytes_per_s = None
    if not switched:
        board.power_off()
    _damage(board, 20_000)
    row = board.table.find("ota_1")
    assert row
    mended = []

    def cut(op: Operation, _: bytes | None) -> None:
        if mended:
            board.flash.before = None
            raise PowerLost
        if (op.kind, op.address) == ("program", row.offset + 16384):
            mended.append(op)

    board.flash.before = cut
    board.power_on()
    board.wait(lambda: board.flash.before is None and board.soc is None, 40, "power cut")
    assert slot_bytes(board, "ota_1", len(BIG)) == BIG
    begun = len(board.flash.trace)
    board.power_on()
    board.wait_text("ota: up-to-date 1.1.0", 60, since=seen)
    erased = {what for what in touched(board, "ota_1", begun) if what.startswith("erase")}
    assert erased >= {f"erase {row.offset + block:#x}" for block in range(0, len(BIG), 65536)}
    assert slot_bytes(board, "ota_1", len(BIG)) == BIG


@pytest.mark.parametrize(("times", "ends"), [(1, "up-to-date 1.1.0"), (2, "error read-back ota_1")])
def test_flash_that_does_not_hold_a_bit(times: int, ends: str, rig: Rig) -> None:
    """Once: what comes again holds. Always: the flash's fault (P6), by what comes again, and the signed image never boots."""
    board = started(rig.board())
    rig.publish("1.1.0", BIG)
    board.wait_text("app: runs", 20)
    row = board.table.find("ota_1")
    assert row
    cell, lost = row.offset + 300_000, []

    def lose(op: Operation, _: bytes | None) -> None:
        fresh = board.flash.read(cell, 1) == BIG[300_000:300_001]
        if fresh and op.address != cell // 4096 * 4096 and len(lost) < times:
            board.flash.force(cell, bytes([BIG[300_000] ^ 1]))
            lost.append(op)

    board.flash.before = lose
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: {ends}", 60, since=seen)
    board.flash.before = None
    assert len(lost) == times
    assert _starts(rig) == [0, 0]
    job = status(board)["job"]
    assert (job["phase"], job["reason"]) == (("confirmed", None) if times == 1 else ("failed", "read-back"))
    assert recorded(nvs(board), "job")["spoiled"] == times - 1
    assert status(board)["failed"] == []


def test_release_published_meanwhile_replaces_the_job(rig: Rig) -> None:
    board, seen = _downloading(rig, "31")
    board.power_off()
    rig.network.bytes_per_s = None
    newer = image(6, size=500 << 10)
    rig.publish("1.2.0", newer)
    board.wait(lambda: any(t.path == "1.1.0/esp32.bin" for t in rig.transfers), 10, "the server to notice")
    fetched = len(rig.transfers)
    board.power_on()
    board.wait_text("ota: up-to-date 1.2.0", 60, since=seen)
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(newer)) == newer
    images = [t for t in rig.transfers[fetched:] if t.path.endswith("esp32.bin")]
    assert [(t.path, t.start, t.done) for t in images] == [("1.2.0/esp32.bin", 0, len(newer))]


def test_same_image_under_a_newer_release_goes_on_under_the_newer_name(rig: Rig) -> None:
    board, seen = _downloading(rig, "31")
    board.power_off()
    rig.network.bytes_per_s = None
    rig.publish("1.2.0", BIG)
    board.wait(lambda: any(t.path == "1.1.0/esp32.bin" for t in rig.transfers), 10, "the server to notice")
    fetched = len(rig.transfers)
    board.power_on()
    board.wait_text("ota: up-to-date 1.2.0", 60, since=seen)
    images = [t for t in rig.transfers[fetched:] if t.path.endswith("esp32.bin")]
    assert [(t.path, t.start > 0, t.done) for t in images] == [("1.2.0/esp32.bin", True, len(BIG))]
    installed = status(board)["installed"]
    assert (installed["version"], installed["sequence"]) == ("1.2.0", 3)


def test_torn_state_of_a_confirmed_release_is_written_anew(rig: Rig) -> None:
    """Power in the middle of a confirmation's write, the second time it happens: the record has the job as done."""
    board = started(rig.board())
    board.wait_text("app: runs", 20)
    board.power_off()
    row, entries = board.table.otadata, otadata(board)
    assert row
    at = active(*entries)
    torn = replace(entries[at], state=0x00FF2702)
    board.flash.force(row.offset + 4096 * at, torn.to_bytes())
    seen = len(board.text)
    board.power_on()
    board.wait_text("app: runs", 20, since=seen)
    assert boots(board) == ("ota_0", State.VALID)
    assert len(touched(board, "otadata")) == 2
    assert status(board)["slots"][0]["state"] == "valid"


# bytes in the entry that is free, but for its first word; bytes further on; one entry free before one that is used up
@pytest.mark.parametrize(("entry", "table"), [(0, None), (2, None), (None, 1), (None, 4)])
def test_record_over_what_torn_writes_left_holds(rig: Rig, entry: int | None, table: int | None) -> None:
    """Numbers of the entries from the first free one on. ESP-IDF would write there, and say that all is well."""
    board = started(rig.board())
    board.wait_text("app: runs", 20)
    board.power_off()
    row = board.table.find("nvs")
    assert row
    page = board.flash.read(row.offset, 4096)
    free = max(n for n in range(126) if page[64 + 32 * n : 96 + 32 * n] != b"\xff" * 32) + 1
    if entry is not None:
        first = 0 if entry else 4
        board.flash.program(row.offset + 64 + 32 * (free + entry) + first, bytes(20), actor="host")
    if table is not None:
        used = free + table
        board.flash.program(row.offset + 32 + used // 4, bytes([0xFF & ~(3 << used % 4 * 2)]), actor="host")
    rig.workspace.channel_file.unlink()
    seen = len(board.text)
    board.power_on()
    board.wait_text("ota: error http-status 404", 20, since=seen)
    board.wait_text("app: runs", 20, since=seen)
    board.power_off()
    assert recorded(nvs(board), "state")["refused"] == ["http-status", "404"]


def test_wear_of_an_update_is_bounded(rig: Rig) -> None:
    """Erases and programs of one update of 600 KiB, by who makes them and where; printed for docs/reliability.md."""
    board = started(rig.board())
    rig.publish("1.1.0", BIG)
    board.wait_text("app: runs", 20)
    seen, begun = len(board.text), len(board.flash.trace)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 60, since=seen)
    counted: Counter[tuple[str, str]] = Counter()
    for op in board.flash.trace[begun:]:
        row = next(r for r in board.table.rows if r.offset <= op.address < r.offset + r.size)
        counted[row.label, op.kind] += 1
    print(f"\nwear of an update of {len(BIG) >> 10} KiB: {dict(counted)}")
    sectors, notes = -(-len(BIG) // 4096), len(BIG) // 65536
    assert counted["ota_1", "program"] == sectors
    assert counted["ota_1", "erase"] == -(-sectors // 16)  # by blocks of 64 KiB
    assert counted["ota_0", "erase"] == counted["ota_0", "program"] == 0
    # set_boot, NEW to PENDING_VERIFY, and the confirmation
    assert counted["otadata", "erase"] == counted["otadata", "program"] == 3
    # a note of the offset is one entry: the entry, the bit that makes it count, the bit that ends the last one
    # the documents of the record, among them once what was heard
    assert counted["nvs", "program"] <= 84 + 3 * notes
    assert counted["nvs", "erase"] <= 1
    assert counted["vfs", "erase"] == counted["vfs", "program"] == 0
