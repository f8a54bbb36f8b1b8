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
        self._found: dict[str, list[FullFlash]] | None = None

    def for_chip(self, chip: str) -> FullFlash:
        """The named file, or the newest of the folder's that is for `chip`.

        Raises UsageError that says what to get, or which ones are equally new.
        """
        if self._named:
            return self._named
        if self._found is None:
            self._found = _newest(self._folder)
        if chip not in self._found:
            raise UsageError(
                f"no firmware for this {chip}: get {to_get(chip)}, and name it with --firmware or put it into "
                f"{self._folder}"
            )
        newest, *others = self._found[chip]
        if others:
            names = ", ".join(Path(one.name).name for one in (newest, *others))
            raise UsageError(f"{names} in {self._folder} are for {chip} and of one version: name one with --firmware")
        return newest


def _newest(folder: Path) -> dict[str, list[FullFlash]]:
    """By chip, of the full-flash files in a folder; what else lies there is passed over. More than one where their
    versions are equal: of a chip with octal PSRAM, or on one core, there are other builds."""
    found: dict[str, list[FullFlash]] = {}
    for path in sorted(folder.glob("*.bin")):
        try:
            one = fullflash.load(path)
        except ReleaseError:
            continue
        known = found.setdefault(one.chip, [])
        if not known or _age(one) > _age(known[0]):
            found[one.chip] = [one]
        elif _age(one) == _age(known[0]):
            known.append(one)
    return found


def _age(one: FullFlash) -> tuple[int, ...]:
    return tuple(map(int, one.firmware.micropython.split("."))) if one.firmware.micropython else ()
