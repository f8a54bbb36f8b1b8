"""ESP-IDF's CSV form of a partition table: Name, Type, SubType, Offset, Size, Flags.

Source: ESP-IDF partition_table/gen_esp32part.py and docs/en/api-guides/partition-tables.rst.
"""

from vboard.flash.partition import (
    ENCRYPTED,
    FACTORY,
    FAT,
    NVS,
    OTA_0,
    OTADATA,
    READONLY,
    TEST,
    TYPE_APP,
    TYPE_DATA,
    Row,
    TableError,
    alignment,
)

_TYPES = {"app": TYPE_APP, "data": TYPE_DATA, "bootloader": 0x02, "partition_table": 0x03}
_SUBTYPES = {
    TYPE_APP: {
        "factory": FACTORY,
        **{f"ota_{slot}": OTA_0 + slot for slot in range(16)},
        "test": TEST,
    },
    TYPE_DATA: {
        "ota": OTADATA,
        "phy": 0x01,
        "nvs": NVS,
        "coredump": 0x03,
        "nvs_keys": 0x04,
        "efuse": 0x05,
        "undefined": 0x06,
        "esphttpd": 0x80,
        "fat": FAT,
        "spiffs": 0x82,
        "littlefs": 0x83,
    },
}
_FLAGS = {"encrypted": ENCRYPTED, "readonly": READONLY}
_UNITS = {"k": 1 << 10, "m": 1 << 20}


def parse(text: str, start: int) -> list[Row]:
    """The rows of `text`; a blank offset follows the row before, the first row's follows `start`.

    Raises TableError(csv) with the number of a line that cannot be read.
    """
    rows: list[Row] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#")[0].strip()
        if not line:
            continue
        try:
            row = _row(line, rows[-1].end if rows else start)
        except ValueError as error:
            raise TableError("csv", f"line {number}: {error}") from None
        rows.append(row)
    return rows


def _row(line: str, end: int) -> Row:
    cells = [cell.strip() for cell in line.split(",")]
    label, kind_text, subtype_text, offset_text, size_text, flags_text = (cells + [""] * 6)[:6]
    kind = _number(kind_text, _TYPES)
    if not subtype_text and kind != TYPE_APP:
        subtype_text = "0x06"  # "undefined", whatever the type
    subtype = _number(subtype_text, _SUBTYPES.get(kind, {}))
    for number in (kind, subtype):
        if number not in range(0x100):
            raise ValueError(f"{number} is no type or subtype: 0 to 255")
    align = alignment(kind)
    offset = _number(offset_text) if offset_text else -(-end // align) * align
    flags = 0
    for flag in filter(None, flags_text.split(":")):
        if flag not in _FLAGS:
            raise ValueError(f"unknown flag {flag!r}: one of {', '.join(_FLAGS)}")
        flags |= _FLAGS[flag]
    return Row(kind, subtype, offset, _number(size_text), label, flags)


def _number(text: str, names: dict[str, int] | None = None) -> int:
    if names and text in names:
        return names[text]
    digits, unit = (text[:-1], _UNITS[text[-1].lower()]) if text[-1:].lower() in _UNITS else (text, 1)
    try:
        return int(digits, 0) * unit
    except ValueError:
        known = f": a number, or one of {', '.join(names)}" if names else " is not a number"
        raise ValueError(f"{text!r}{known}") from None
