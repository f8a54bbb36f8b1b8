"""boards.toml as it is written: which keys a board has, what may stand in each, and a save that keeps a person's comments."""

import difflib
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from otactl.errors import UsageError
from otactl.files import write_atomic

NAME = "boards.toml"
RESERVED = ("all", "auto")  # words that mean boards already
_HEAD = "The boards of this workspace: docs/otactl.md lists what may stand here."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}\Z")
_DEVICE = re.compile(r"([auc]|COM)\d+\Z", re.IGNORECASE)  # mpremote's short names, and Windows' own
_SHORT = re.compile(r"([auc])(\d+)\Z")
_SHORT_PREFIX = {"a": "/dev/ttyACM", "u": "/dev/ttyUSB", "c": "COM"}
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_SWITCH = re.compile(r"(uhubctl|http|external):.+\Z|manual\Z")
_PLACES = ("port", "serial", "mac")


def is_device(word: str) -> bool:
    """Whether a word can only be a device string of mpremote's: a path, u0, id:SERIAL, socket://…, auto."""
    return word == "auto" or "/" in word or "\\" in word or ":" in word or bool(_DEVICE.match(word))


def long_form(device: str) -> str:
    """A device string of mpremote's without its abbreviations: u0 and port:/dev/ttyUSB0 are /dev/ttyUSB0."""
    if short := _SHORT.match(device):
        return _SHORT_PREFIX[short[1]] + short[2]
    return device.removeprefix("port:")


def place(device: str) -> str:
    """One string for all names of a device, links to it too as they are now."""
    long = long_form(device)
    return os.path.realpath(long) if os.path.exists(long) else long


def plain_mac(text: str) -> str:
    """An address as boards.toml has it: 24:0a:c4:12:34:56."""
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def is_name(value: Any) -> bool:
    """Whether a board may be called so."""
    return isinstance(value, str) and bool(_NAME.match(value)) and value not in RESERVED and not is_device(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(one) for one in value)


def _is_factor(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 1 <= value < math.inf


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and bool(_MAC.match(plain_mac(value)))


def _is_switch(value: Any) -> bool:
    return isinstance(value, str) and bool(_SWITCH.match(value))


def _is_cohort(value: Any) -> bool:
    return isinstance(value, str) and bool(_NAME.match(value))


KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {  # key -> whether a value is right, and what is right
    "name": (is_name, "a name: letters, digits and ._- only, 32 at the most, neither a device nor all or auto"),
    "port": (_is_text, "a device as mpremote takes it, such as /dev/ttyUSB0"),
    "serial": (_is_text, "the serial number of its USB (`mpremote connect list` shows it)"),
    "mac": (_is_address, "the chip's address, such as 24:0a:c4:12:34:56"),
    "chip": (_is_text, "the chip as esptool spells it, such as esp32s3"),
    "tags": (_are_words, "a list of words"),
    "features": (_are_words, 'a list of words, such as ["wifi", "loopback:4-5"]'),
    "power": (_is_switch, "uhubctl:PLACE, http:ON_URL OFF_URL, external:COMMAND, or manual"),
    "slow": (_is_factor, "a number of 1 or more"),
    "cohort": (_is_cohort, "a word: letters, digits and ._- only, 32 at the most"),
}


def read(path: Path) -> tomlkit.TOMLDocument:
    """The document; one with a first line for people where there is no file. Raises UsageError."""
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fresh = tomlkit.document()
        fresh.add(tomlkit.comment(_HEAD))
        return fresh
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except (ValueError, TOMLKitError) as error:  # not UTF-8, or not TOML
        raise UsageError(f"{path}: {error}") from None


def rows(document: tomlkit.TOMLDocument, path: Path) -> list[dict[str, Any]]:
    """The checked [[board]] tables, as plain Python. Raises UsageError that names the board and the key."""
    raw = document.unwrap()
    for key in raw:
        if key != "board":
            raise UsageError(f"{path}: unknown key {key!r}: each board is a table of its own, [[board]]")
    found = raw.get("board", [])
    if not (isinstance(found, list) and all(isinstance(row, dict) for row in found)):
        raise UsageError(f"{path}: [board] has one pair of brackets: each board is a table of its own, [[board]]")
    for number, row in enumerate(found, 1):
        check(row, f"{path}: board {row.get('name') or number}")
    return found


def check(row: dict[str, Any], where: str) -> None:
    """Raises UsageError where a board's table has an unknown key or a wrong value, or lacks one it needs."""
    for key, value in row.items():
        if key not in KEYS:
            raise UsageError(f"{where}: {_unknown(key)}")
        right, what = KEYS[key]
        if not right(value):
            raise UsageError(f"{where}: {key} = {value!r} must be {what}")
    if "name" not in row:
        raise UsageError(f"{where}: name is missing")
    if not any(key in row for key in _PLACES):
        raise UsageError(f"{where}: where is it? port, serial or mac is missing")
    if "port" in row and "serial" in row:
        raise UsageError(f"{where}: port and serial may name two boards: keep one of them")


def _unknown(key: str) -> str:
    close = difflib.get_close_matches(key, KEYS, 1)
    advice = f"is it {close[0]}?" if close else "remove it"
    return f"unknown key {key!r} (known: {', '.join(KEYS)}): {advice}"


def put(document: tomlkit.TOMLDocument, row: dict[str, Any]) -> None:
    """Bring the table of the board of that name up to date, or add one; all else stays as a person wrote it."""
    if not document.get("board"):
        document.pop("board", None)
        document.add("board", tomlkit.aot())
    tables: Any = document["board"]
    table = next((one for one in tables if one.get("name") == row["name"]), None)
    if table is None:
        table = tomlkit.table()
        tables.append(table)
    for key in KEYS:
        if key not in row:
            table.pop(key, None)
        elif table.get(key) != row[key]:
            table[key] = row[key]


def write(document: tomlkit.TOMLDocument, path: Path) -> None:
    """Raises OSError with the path."""
    write_atomic(path, tomlkit.dumps(document).encode())
