"""Which firmware file a chip takes: the one that is named, or one that lies in the workspace's firmware/ folder."""

from pathlib import Path

from otactl.errors import ReleaseError, UsageError
from otactl.release import fullflash
from otactl.release.fullflash import FullFlash

FOLDER = "firmware"
_PAGE = "https://micropython.org/download/{name}/"


def board_name(chip: str) -> str:
    """MicroPython's name for a board with that chip and nothing special: ESP32_GENERIC_S3."""
    return "ESP32_GENERIC" + ("_" + chip.removeprefix("esp32").upper() if chip != "esp32" else "")


def to_get(chip: str) -> str:
    """In words, the file to download for a chip."""
    name = board_name(chip)
    return f"{name}-DATE-VERSION.bin, 1.23 or newer, from {_PAGE.format(name=name)}"


class Firmwares:
    """The file that is named, or those of a folder, each read once."""

    def __init__(self, named: Path | None, folder: Path) -> None:
        """`named`: the one file to take, for any board. Raises ReleaseError where that is none to take."""
        self._named = fullflash.load(named) if named else None
        self._folder = folder
        self._found: dict[str, FullFlash] | None = None

    def for_chip(self, chip: str) -> FullFlash:
        """The named file, or the newest of the folder's that is for `chip`. Raises UsageError that says what to get."""
        if self._named:
            return self._named
        if self._found is None:
            self._found = _newest(self._folder)
        if chip not in self._found:
            raise UsageError(
                f"no firmware for this {chip}: get {to_get(chip)}, and name it with --firmware or put it into "
                f"{self._folder}"
            )
        return self._found[chip]


def _newest(folder: Path) -> dict[str, FullFlash]:
    """By chip, of the full-flash files in a folder; what else lies there is passed over."""
    found: dict[str, FullFlash] = {}
    for path in sorted(folder.glob("*.bin")):
        try:
            one = fullflash.load(path)
        except ReleaseError:
            continue
        if one.chip not in found or _age(one) >= _age(found[one.chip]):
            found[one.chip] = one
    return found


def _age(one: FullFlash) -> tuple[int, ...]:
    return tuple(map(int, one.firmware.micropython.split("."))) if one.firmware.micropython else ()
