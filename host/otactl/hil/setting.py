"""What a person says about one run of the suite on one board."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Setting:
    """`seed` chooses where downloads are cut, and the images. `address`: what boards call this machine, "" to find out.
    `firmware`: a file to make releases of, in place of what the board runs. `ssid`, `password`: in place of the network that
    the board is configured for. `restore_slot`: put the other slot's content back in the end."""

    seed: int = 1
    address: str = ""
    firmware: Path | None = None
    ssid: str = ""
    password: str = ""
    restore_slot: bool = False
