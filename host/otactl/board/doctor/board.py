"""The board as it was flashed: firmware, flash, partition table, slots, bootloader."""

import shlex

from otactl.board.doctor.case import Case
from otactl.board.doctor.findings import Finding, apart, bad, ok, skipped, warn
from otactl.board.slots_layout import ABORTED, NEW, PENDING, Entry, Part, active, named
from otactl.errors import OtactlError
from otactl.release import channels, targets
from otactl.release.firmware import CHIPS
from otactl.words import counted

_OLDEST = (1, 23)
# (chip, from version, to before version): what is known, with its report
_KNOWN = {
    (
        "esp32c3",
        (1, 23),
        (1, 24),
    ): "machine.Timer(-1) crashes the chip: use Timer(0) in your program (micropython#9674)",
    ("esp32c6", (1, 24), (1, 25)): "machine.Timer(3) never fires: use another one (micropython#16438)",
}
_BASES = {"esp32": 1, "esp32s2": 1, "esp32p4": 2, "esp32c5": 2}  # chip: which of the three bases; the others 0
_BOOTLOADER_WORD = (
    32  # bytes before esp_bootloader_desc_t: image header and the first segment's (ESP-IDF 5.1 and newer)
)
_ROLLBACK_SINCE = "MicroPython 1.21"


def chip(case: Case) -> str:
    """As esptool spells it; empty where the board does not tell."""
    parts = case.facts.get("parts")
    if not parts:
        return ""
    head = bytes.fromhex(parts["image"])
    return CHIPS.get(head[12] | head[13] << 8, "")


def parts(case: Case) -> list[Part]:
    """The partitions, by their place."""
    rows = (case.facts.get("parts") or {}).get("rows", [])
    found = [Part(name, kind, subtype, offset, size) for kind, subtype, offset, size, name in rows]
    return sorted(found, key=lambda part: part.offset)


def _slots(case: Case) -> list[Part]:
    """The OTA slots as otadata counts them: by subtype, up to the first gap."""
    found = {part.number: part for part in parts(case) if part.is_slot}
    return [found[number] for number in range(len(found)) if number in found]


def micropython(case: Case) -> Finding:
    version, built = case.facts["version"], case.facts["build"] or case.facts["machine"]
    said = f"{'.'.join(map(str, version))} ({built})"
    if case.facts["platform"] == "esp8266":
        return apart("MicroPython", f"{said}: application releases alone, which `{case.on_board('status')}` tells of")
    if case.facts["platform"] != "esp32" or not case.facts["parts"]:
        return bad(f"MicroPython {said} is no ESP32: this board has no slots to update", "mpremote connect list")
    if tuple(version[:2]) < _OLDEST:
        return bad(
            f"{said} is too old: the agent needs 1.23 or newer, which `otactl provision` flashes by cable",
            f"otactl slots backup {shlex.quote(case.name or case.device)} board.bin",
        )
    for (which, first, before), what in _KNOWN.items():
        if chip(case) == which and first <= tuple(version[:2]) < before:
            return warn(f"{said}: {what}", case.publish)
    return ok(said)


def flash(case: Case) -> Finding:
    """ESP-IDF's error 0x104: the table goes beyond the flash."""
    size = case.facts["flash_size"]
    if size is None:
        return skipped("this firmware does not tell its size")
    table = [part for part in parts(case) if part.name != "vfs"]  # MicroPython makes that one to measure
    end = max((part.offset + part.size for part in table), default=0)
    if end > size:
        return bad(
            f"the flash has {size >> 20} MiB, the partition table goes up to {end:#x}: operations there fail with 0x104; "
            "flash with --flash-size detect, or a table that fits",
            case.on_board("slots"),
        )
    return ok(f"{size >> 20} MiB, the table ends at {end:#x}")


def table(case: Case) -> Finding:
    slots, found = _slots(case), parts(case)
    if len(slots) < 2 or not any(part.is_otadata for part in found):
        count = counted(len(slots), "OTA slot")
        otadata = "" if any(part.is_otadata for part in found) else " and no otadata"
        return apart(
            "table",
            f"{count}{otadata}: application releases alone, which `{case.on_board('status')}` tells of; for MicroPython too "
            "`otactl provision` gives it two slots, by cable",
        )
    if not any(part.kind == "nvs" for part in found):
        return bad(
            "the table has no nvs partition, where the agent keeps its record", case.on_board("slots"), code="record"
        )
    return ok(f"{len(slots)} slots: {', '.join(f'{slot.name} {slot.size:#x}' for slot in slots)}")


def slots(case: Case) -> Finding:
    smallest = min(slot.size for slot in _slots(case))
    if case.place is None:
        return ok(f"an image may have {smallest} bytes; what is published is not known here")
    try:
        release = channels.current(case.place)
    except OtactlError:
        return skipped("published first")
    images = targets.firmwares((release or {}).get("targets", []))
    sizes = [target["size"] for target in images if target.get("chip") == chip(case)]
    if not release or not sizes:
        return ok(f"an image may have {smallest} bytes; nothing is published for {chip(case)}")
    left = smallest - max(sizes)
    said = f"{release['version']} has {max(sizes)} bytes, a slot {smallest}"
    if left < 0:
        return bad(
            f"{said}: publish a smaller build, or make larger slots, by `otactl provision` with that firmware",
            case.publish,
            code="too-big",
        )
    if left < smallest // 50:
        return warn(f"{said}: {left} are left, the next MicroPython may not fit", case.on_board("slots"))
    return ok(f"{said}: {left} are left")


def bootloader(case: Case) -> Finding:
    """Only the bootloader writes `pending` and `aborted`; one that cannot roll back starts what is `new` and leaves it so."""
    found = case.facts["parts"]
    first, second = (Entry.parse(bytes.fromhex(text)) for text in found["otadata"])
    now = active((first, second))
    if now is not None:
        entry = (first, second)[now]
        slot = _slots(case)[named(entry, len(_slots(case)))]
        if entry.state == NEW and slot.name == found["running"]:
            return bad(
                f"it started {slot.name} and left it `new`: it cannot roll back; `otactl provision` brings the bootloader "
                f"of {_ROLLBACK_SINCE} or newer, by cable",
                case.provision,
            )
    if any(entry.state in (PENDING, ABORTED) for entry in (first, second)):
        return ok("it rolls back: otadata shows that it has had a release on trial")
    word = _bootloader_word(case)
    if word:
        return ok(f"of {word}; MicroPython's of that age roll back")
    return skipped(
        "it cannot be told: no trial is in otadata, and a bootloader of ESP-IDF 5.0 or older does not name itself; "
        f"one from before {_ROLLBACK_SINCE} cannot roll back"
    )


def _bootloader_word(case: Case) -> str:
    """What esp_bootloader_desc_t says: ESP-IDF's version and the date of the build; empty where there is none."""
    text = case.facts["bootloader"][_BASES.get(chip(case), 0)]
    if not text:
        return ""
    data = bytes.fromhex(text)
    if data[0] != 0xE9 or data[_BOOTLOADER_WORD] != 0x50:
        return ""
    idf, date = (data[at : at + size].split(b"\0")[0].decode("latin-1") for at, size in ((40, 32), (72, 24)))
    return f"ESP-IDF {idf}, {' '.join(date.split())}" if idf.startswith("v") and date.isprintable() else ""
