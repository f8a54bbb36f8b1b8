"""Names for boards: from a CSV file by their addresses or in the order they come, kept in the workspace's boards.toml."""

import csv
import threading
from dataclasses import replace
from pathlib import Path

from serial.tools import list_ports

from otactl.board import ports
from otactl.errors import UsageError
from otactl.words import reason
from otactl.workspace import roster_file
from otactl.workspace.roster import Entry, Roster

_HEADS = ("name", "mac", "address")


class Names:
    """Hands names out, each to one board. Several threads may ask at once."""

    def __init__(self, root: Path, *, name: str = "", listed: Path | None = None) -> None:
        """`root`: of the workspace. `name`: for the one board that comes. `listed`: a CSV file of names, or of addresses
        and names.

        Raises UsageError, also where a name is another board's already.
        """
        self._lock = threading.Lock()
        self._roster = Roster.load(root)
        self._by_mac, self._free = _read(listed) if listed else ({}, [])
        self._wanted = name
        self._given = {entry.mac: entry.name for entry in self._roster.entries if entry.mac}

    def for_board(self, mac: str) -> str:
        """The board's name: the one that was given, else of boards.toml, else by its address, else the next that is
        free; "" where there is none.

        Raises UsageError where the one that was given is another board's.
        """
        with self._lock:
            owners = {name: address for address, name in self._given.items()}
            if self._wanted:
                if owners.get(self._wanted, mac) != mac:
                    raise UsageError(
                        f"{self._wanted} is {owners[self._wanted]} in {self._roster.path}: take another name"
                    )
                self._given[mac] = self._wanted
            elif mac not in self._given:
                name = self._by_mac.get(mac) or next((one for one in self._free if one not in owners), "")
                self._given |= {mac: name} if name else {}
            return self._given.get(mac, "")

    @property
    def path(self) -> Path:
        """The boards.toml that they are written to."""
        return self._roster.path

    @property
    def left(self) -> list[str]:
        """The names of the CSV file that no board has."""
        with self._lock:
            return sorted({*self._by_mac.values(), *self._free} - set(self._given.values()))

    def note(self, name: str, mac: str, chip: str, device: str) -> None:
        """Write a board that is provisioned into boards.toml; what is known of it stays. Raises UsageError, OSError."""
        with self._lock:
            others = {entry.device for entry in self._roster.entries if entry.name != name}
            place = lasting(device, mac)
            entry = Entry(name, f"mac:{mac}" if place in others else place, chip, mac)
            known = next((one for one in self._roster.entries if one.name == name), None)
            self._roster.add(replace(known, mac=mac, chip=chip) if known else entry)
            self._roster.save()


def lasting(device: str, mac: str) -> str:
    """The device string by which a board is found again: its own USB's serial number, else its address, which is looked
    for at each port; a port that is none of the system's USB ports (a rig's own name for one) stays."""
    if device.startswith("id:"):
        return device
    paths = ports.candidates(device)
    if paths and (serial := ports.usb_serial(paths[0])):
        return f"id:{serial}"
    usb = {port.device for port in list_ports.comports() if port.vid is not None}
    if device == "auto" or str(Path(device).resolve()) in usb:
        return f"mac:{mac}"
    return str(Path(device).absolute()) if Path(device).exists() else device


def _read(path: Path) -> tuple[dict[str, str], list[str]]:
    """(names by address, names in their order). Raises UsageError with the line."""
    by_mac: dict[str, str] = {}
    free: list[str] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {reason(error)}") from None
    for number, cells in enumerate(csv.reader(text.splitlines()), 1):
        words = [cell.strip() for cell in cells if cell.strip()]
        if _names_none(words, number):
            continue
        macs = [roster_file.plain_mac(word) for word in words if _is_mac(word)]
        names = [word for word in words if not _is_mac(word)]
        where = f"{path}, line {number}"
        if len(names) != 1 or len(macs) > 1:
            raise UsageError(f"{where}: a name, or an address (24:0a:c4:12:34:56) and a name")
        roster_file.check({"name": names[0], "mac": (macs or ["00:00:00:00:00:00"])[0]}, where)
        if names[0] in by_mac.values() or names[0] in free:
            raise UsageError(f"{where}: {names[0]} is there twice")
        if macs:
            by_mac[macs[0]] = names[0]
        else:
            free.append(names[0])
    return by_mac, free


def _names_none(words: list[str], number: int) -> bool:
    """Whether a line is blank, for people, or the heading that a spreadsheet writes."""
    if not words or words[0].startswith("#"):
        return True
    return number == 1 and words[0].lower() in _HEADS


def _is_mac(word: str) -> bool:
    digits = word.replace(":", "").replace("-", "")
    return len(digits) == 12 and all(c in "0123456789abcdefABCDEF" for c in digits)
