"""What is measured: one row for each update. A further way to send an image (a delta, say) is a further row, with what makes
its release and its board."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from otactl.release import firmware
from rig import image, rebuilt
from vboard.flash.images import build_app

SIZE = 1_672_976  # of ESP32_GENERIC v1.26.1
# As the agent was before it compared: every sector erased by itself, and written.
SECTOR_BY_SECTOR = """
from ota.install import sectors
sectors.Sectors._holds = lambda self, at: False
sectors.Sectors._erase = lambda self, at: None
"""


class Images:
    """Images to update from and to, made when they are asked for. `folder`: real firmware, or where it would be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def are_real(self) -> bool:
        return self._folder.is_dir()

    def _real(self, name: str, seed: int) -> bytes:
        if not self.are_real:
            return image(seed, "esp32s3", SIZE)
        return firmware.load(self._folder / name).app

    @cached_property
    def old(self) -> bytes:
        return self._real("ESP32_GENERIC_S3-20250809-v1.26.0.bin", 31)

    @cached_property
    def new(self) -> bytes:
        return self._real("ESP32_GENERIC_S3-20250911-v1.26.1.bin", 32)

    @cached_property
    def older(self) -> bytes:
        """What the slot holds on a board that runs `old`, and is no kin of it: built with another ESP-IDF, as v1.25.0 was."""
        return build_app("esp32s3", size=SIZE, seed=33, idf="v5.4")

    @cached_property
    def near(self) -> bytes:
        """`new` with a third of its sectors changed: every other one in eight blocks, and all of four, as a rebuild of an
        application that is frozen in leaves two thirds."""
        some = [16 * block + n for block in range(1, 17, 2) for n in range(0, 16, 2)]
        whole = [16 * block + n for block in (19, 20, 21, 22) for n in range(16)]
        return rebuilt(self.new, *some, *whole)

    @cached_property
    def constant(self) -> bytes:
        """`new` with another constant."""
        return rebuilt(self.new, 7)

    @cached_property
    def before(self) -> bytes:
        """`new` with yet another constant, of the build before."""
        return rebuilt(self.new, 9)


@dataclass(frozen=True)
class Case:
    """`there`: what the slot holds when the update comes, None for nothing; `to`: what comes. `plain`: by the updater of
    plain.py. `patch`: lines that run on the board first. `runs`: what runs, None for any. `takes`: of the configuration, deltas or
    compressed. `stock`: on an ESP32 without SPIRAM, which has no room to keep a connection."""

    name: str
    there: Callable[[Images], bytes] | None
    to: Callable[[Images], bytes]
    plain: bool = False
    patch: str = ""
    runs: Callable[[Images], bytes] | None = None
    takes: str = ""
    stock: bool = False


REFERENCE = "plain updater"
CASES = (
    Case(REFERENCE, lambda i: i.old, lambda i: i.new, plain=True),
    Case("sector by sector", lambda i: i.old, lambda i: i.new, patch=SECTOR_BY_SECTOR, stock=True),
    Case("whole image", lambda i: i.old, lambda i: i.new),
    Case("whole image, no SPIRAM", lambda i: i.old, lambda i: i.new, stock=True),
    Case("to an empty slot", None, lambda i: i.new),
    Case("a third changed", lambda i: i.near, lambda i: i.new),
    Case("one constant", lambda i: i.constant, lambda i: i.new),
    Case("the same again", lambda i: i.new, lambda i: i.new),
    Case("compressed", lambda i: i.old, lambda i: i.new, takes="compressed"),
    Case("delta, patch release", lambda i: i.older, lambda i: i.new, runs=lambda i: i.old, takes="deltas"),
    Case(
        "delta, patch release, no SPIRAM",
        lambda i: i.older,
        lambda i: i.new,
        runs=lambda i: i.old,
        takes="deltas",
        stock=True,
    ),
    Case("delta, a third changed", lambda i: i.older, lambda i: i.new, runs=lambda i: i.near, takes="deltas"),
    Case("delta, one constant", lambda i: i.before, lambda i: i.new, runs=lambda i: i.constant, takes="deltas"),
    Case(
        "delta, one constant, no SPIRAM",
        lambda i: i.before,
        lambda i: i.new,
        runs=lambda i: i.constant,
        takes="deltas",
        stock=True,
    ),
    Case("delta, the same again", lambda i: i.new, lambda i: i.new, runs=lambda i: i.old, takes="deltas"),
)
