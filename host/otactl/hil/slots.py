"""Slots and otadata of a running board, read and set without the agent: what verdicts go by."""

from binascii import unhexlify
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otactl.board.slots_layout import STATES, VALID, Entry, active, named, switched
from otactl.board.snippets import OTADATA
from otactl.errors import BoardError

if TYPE_CHECKING:
    from otactl_pytest.board import Board

_LONG_S = 60.0  # the hash of a slot: four seconds on a chip
_FACTORY, _OTA_0 = 0x00, 0x10

_CALLS = (
    OTADATA
    + """
import hashlib
def _apps():
    return [list(p.info())[1:5] for p in Partition.find(Partition.TYPE_APP)]
def _slot(name):
    return [p for p in Partition.find(Partition.TYPE_APP) if p.info()[4] == name][0]
def _running():
    return Partition(Partition.RUNNING).info()[4]
def _hash(name, size):
    slot, h, buf, done = _slot(name), hashlib.sha256(), bytearray(4096), 0
    while done < size:
        part = memoryview(buf)[:min(4096, size - done)]
        slot.readblocks(0, part, done)
        h.update(part)
        done += len(part)
    return hexlify(h.digest()).decode()
def _sketch(name):
    slot, h, buf = _slot(name), hashlib.sha256(), bytearray(128)  # an image's mark of variants is among the first
    for block in range(slot.info()[3] // 4096):
        slot.readblocks(block, buf)
        h.update(buf)
    return hexlify(h.digest()).decode()
"""
)
_SET = """
_o = Partition.find(Partition.TYPE_DATA, subtype=0)[0]
def _set(sector, head):
    block = bytearray(b"\\xff" * 4096)
    block[:32] = head
    _o.writeblocks(sector, block)
def _erase():
    for sector in (0, 1):
        _o.ioctl(6, sector)
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What lies where. `slots`: the OTA slots by number; `factory`: its name, "" where there is none; `sizes`: bytes."""

    running: str
    slots: tuple[str, ...]
    factory: str
    sizes: dict[str, int]
    otadata: tuple[Entry, ...]

    @property
    def named(self) -> tuple[str, str]:
        """The slot that otadata names, and its state: `none` where no entry names one."""
        return named_by(self.otadata, self.slots, self.factory)

    @property
    def next(self) -> str:
        """Where an update goes, as esp_ota_get_next_update_partition() has it."""
        if self.running not in self.slots:
            return self.slots[0]
        return self.slots[(self.slots.index(self.running) + 1) % len(self.slots)]


def named_by(otadata: tuple[Entry, ...], slots: tuple[str, ...], factory: str) -> tuple[str, str]:
    """The slot that two entries name among `slots`, and its state; the factory app, or the first, where they name none."""
    index = active((otadata[0], otadata[1])) if len(otadata) == 2 else None
    if index is None:
        return factory or slots[0], "none"
    entry = otadata[index]
    return slots[named(entry, len(slots))], STATES.get(entry.state, "undefined")


def look(board: "Board") -> Look:
    """Raises BoardError where the table has no two OTA slots, RigError."""
    board.to_prompt()
    apps, running, entries = board.link.value("[_apps(), _running(), _otadata()]", _CALLS)
    by_subtype = {subtype: name for subtype, _, _, name in apps}
    slots: list[str] = []
    while _OTA_0 + len(slots) in by_subtype:
        slots.append(by_subtype[_OTA_0 + len(slots)])
    if len(slots) < 2 or len(entries) != 2:
        raise BoardError(
            f"no-ota-slots: the partition table of {board.name} has {len(slots)} OTA slots, an update needs two: "
            "`otactl provision` makes them",
            code="no-ota-slots",
        )
    sizes = {name: size for _, _, size, name in apps}
    otadata = tuple(Entry.parse(unhexlify(text)) for text in entries)
    return Look(running, tuple(slots), by_subtype.get(_FACTORY, ""), sizes, otadata)


def digest(board: "Board", slot: str, size: int) -> str:
    """SHA-256 of the first `size` bytes of a slot, in hex. Raises BoardError, RigError."""
    board.to_prompt()
    return str(board.link.value(f"_hash({slot!r}, {size})", _CALLS, timeout_s=_LONG_S))


def sketch(board: "Board", slot: str) -> str:
    """One word for the beginnings of all sectors of a slot: another one where anything was erased or written."""
    board.to_prompt()
    return str(board.link.value(f"_sketch({slot!r})", _CALLS, timeout_s=_LONG_S))


def name(board: "Board", label: str) -> None:
    """Let otadata name `label` as confirmed, without the chip's set_boot(), which would put it on trial.

    A reset is the caller's. Raises BoardError, RigError.
    """
    seen = look(board)
    if seen.named == (label, "valid") or (label == seen.factory and seen.named == (label, "none")):
        return
    if label == seen.factory:
        board.link.run(f"{_CALLS}{_SET}\n_erase()")
        return
    index, entry = switched((seen.otadata[0], seen.otadata[1]), seen.slots.index(label), len(seen.slots))
    head = Entry(entry.seq, VALID, True, entry.label).encoded()
    board.link.run(f"{_CALLS}{_SET}\n_set({index}, {head!r})")
    if look(board).named != (label, "valid"):
        raise BoardError(f"otadata of {board.name} does not take that {label} is to start: is its flash worn?")
