"""Which .mpy files the boards read that a release is for: by the firmware in it, or the newest that was published."""

from collections.abc import Sequence
from dataclasses import dataclass

from otactl.release import channels, firmware, targets
from otactl.release.firmware import Firmware
from otactl.workspace.workspace import Workspace

VERSION = 6  # of .mpy, from MicroPython 1.19 on (docs, "MicroPython .mpy files")
_LAST_KNOWN = (1, 29)  # the newest MicroPython that this was looked up for


@dataclass(frozen=True, slots=True)
class Reads:
    """`version`: of .mpy; None where nothing says. `why`: for the person."""

    version: int | None
    why: str


def known(place: Workspace, loaded: Sequence[Firmware], asked: int | None) -> Reads:
    """For a release with `loaded`; where that is none, by the newest firmware in releases/. `asked`: by the person."""
    if asked is not None:
        return Reads(asked, "as --mpy says")
    found = [(one.micropython, "the firmware beside it") for one in loaded if one.micropython]
    if not loaded:
        found = _published(place)
    versions = {_read_by(version) for version, _ in found}
    if not found or versions == {None}:
        return Reads(None, "nothing here says which MicroPython the boards run")
    version, where = found[0]
    return Reads(min(one for one in versions if one), f"as MicroPython {version} reads it, {where}")


def _read_by(micropython: str) -> int | None:
    return VERSION if tuple(map(int, micropython.split(".")))[:2] <= _LAST_KNOWN else None


def _published(place: Workspace) -> list[tuple[str, str]]:
    """The MicroPython of the newest release that has a firmware which can be read here."""
    for release in reversed(channels.releases(place)):
        for target in targets.firmwares(release.targets):
            path = place.releases / str(target["url"])
            if "encryption" not in target and path.is_file():
                version = firmware.micropython(path.read_bytes())
                if version:
                    return [(version, f"the firmware of {release.version}")]
    return []
