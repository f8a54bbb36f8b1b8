"""What lies in the flash of the board that is attacked, read from outside, and what an attack may have changed of it."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import rig as rigs
from powercut.flash import files
from vboard.board import Board
from vboard.flash.nor import BLOCK, Flash
from vboard.flash.nvs import Nvs, NvsError

# What a look may end in that has heard its release: one that is signed, for this board, and news.
_HEARD = ("up-to-date", "older", "bad-release", "too-big", "encryption", "encryption-key")


@dataclass(frozen=True)
class Flashed:
    """SHA-256 of each slot and of otadata, the record, and whom the board trusts: keys, CA certificates and its own."""

    slots: dict[str, str]
    otadata: str
    job: dict[str, Any]
    state: dict[str, Any]
    numbers: dict[str, int]
    trusted: dict[str, bytes]


def flashed(board: Board, copy: Path) -> Flashed:
    """`copy`: a file for NVS, as to mount it may change it."""
    table, read = board.table, board.flash.read
    otadata, nvs = table.otadata, table.find("nvs")
    assert otadata and nvs
    copy.write_bytes(read(nvs.offset, nvs.size).ljust(BLOCK, b"\xff"))
    store = Nvs(Flash(copy, BLOCK), 0, nvs.size)
    kept = files(table, read(0, board.flash.size))
    return Flashed(
        {slot.label: sha256(read(slot.offset, slot.size)).hexdigest() for slot in table.ota_slots},
        sha256(read(otadata.offset, otadata.size)).hexdigest(),
        rigs.recorded(store, "job"),
        rigs.recorded(store, "state"),
        {key: _number(store, key) for key in ("offset", "proven")},
        {path: data for path, data in kept.items() if path.startswith("etc/ota/")},
    )


def _number(store: Nvs, key: str) -> int:
    try:
        return store.get_i32(store.namespace("ota"), key)
    except NvsError:  # never written
        return 0


def unchanged(before: Flashed, after: Flashed, running: str, code: str, reaches: str) -> None:
    """A look that ended in `code` has changed no more than one does that has come as far as `reaches` (bench.Row)."""
    assert after.otadata == before.otadata
    assert after.slots[running] == before.slots[running]
    assert after.trusted == before.trusted
    said = [] if code == "up-to-date" else [code]
    assert (after.state["refused"] or [])[:1] == said
    others = {"refused", "heard"} if reaches != "look" or code in _HEARD else {"refused"}
    assert _without(others, after.state) == _without(others, before.state)
    assert after.numbers["proven"] == before.numbers["proven"]
    if reaches != "slot":
        assert after.slots == before.slots
    if reaches == "look":
        assert (after.job, after.numbers) == (before.job, before.numbers)
    else:
        assert after.job["phase"] in ("writing", "failed")


def _without(names: set[str], state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key not in names}
