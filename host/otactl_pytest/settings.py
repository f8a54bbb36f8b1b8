"""The plugin's options and the marker. Nothing else is imported here: every pytest session pays for it."""

from itertools import pairwise
from pathlib import Path

import pytest

WAIT_S = 300.0
_SAID_AGAIN = (
    "--boards-file",
    "--board-slow",
    "--board-chip",
    "--board-micropython",
    "--board-feature",
    "--board-power",
    "--board-reflash",
    "--board-host",
)
_WITH_A_VALUE = frozenset({"--board", "--board-tag", "--board-wait", "--board-log", *_SAID_AGAIN})


def add(parser: pytest.Parser) -> None:
    group = parser.getgroup("board", "boards with MicroPython (micropython-ota-agent)")
    group.addoption(
        "--board",
        action="append",
        default=[],
        metavar="DEVICE",
        help="An mpremote device, a name of boards.toml, or virtual[:CHIP] (default); repeated: a pool of boards.",
    )
    group.addoption(
        "--boards-file", type=Path, metavar="FILE", help="(default: boards.toml beside the project's pytest settings)"
    )
    group.addoption(
        "--board-tag", action="append", default=[], metavar="TAG", help="The boards of boards.toml with that tag."
    )
    group.addoption(
        "--board-wait", type=float, default=WAIT_S, metavar="S", help=f"For a free board (default: {WAIT_S:g})."
    )
    group.addoption("--board-slow", type=float, metavar="N", help="The board or its link is N times slower than usual.")
    group.addoption("--board-chip", default="", metavar="CHIP", help="End at once where the board has another chip.")
    group.addoption(
        "--board-micropython", default="", metavar="GLOB", help="End at once where it runs another version (1.26.*)."
    )
    group.addoption(
        "--board-feature", action="append", default=[], metavar="WORD", help="What the board has, for board_needs."
    )
    group.addoption(
        "--board-power", default="", metavar="SPEC", help="uhubctl:HUB.PORT, http:ON_URL OFF_URL, external:CMD, manual."
    )
    group.addoption(
        "--board-reflash", type=Path, metavar="FILE", help="A whole flash to write back where nothing else helps."
    )
    group.addoption(
        "--board-backup", action="store_true", help="Read the whole flash at the start, to write that back."
    )
    group.addoption(
        "--board-host", default="", metavar="NAME", help="What boards call this machine (default: its address)."
    )
    group.addoption(
        "--board-log", type=Path, metavar="DIR", help="Keep a folder for each test: console, status, command."
    )


MARKERS = (
    "board_needs(*features): skip the test where the board lacks one of them (wifi, power, loopback, words of your own)",
)


def boards_file(config: pytest.Config) -> Path:
    given: Path | None = config.getoption("--boards-file")
    return given or config.rootpath / "boards.toml"


def words(config: pytest.Config) -> list[str]:
    """What `--board` was given, all of it; with a tag and no board, none."""
    given: list[str] = config.getoption("--board")
    return given or ([] if config.getoption("--board-tag") else ["virtual"])


def boards_options(config: pytest.Config) -> list[str]:
    """What else than `--board` the command line said of the board, to say it again."""
    said: list[str] = []
    for name in _SAID_AGAIN:
        value = config.getoption(name)
        for one in value if isinstance(value, list) else [value] if value else []:
            said.append(f"{name}={one}")
    return said


def require_one_word(config: pytest.Config) -> None:
    """Raises pytest.UsageError for `--board /dev/ttyUSB0` in two words.

    Before any plugin is there pytest looks for the project's settings, and takes each word that is a path for a folder of
    tests: it would look in /dev.
    """
    given = [str(word) for word in config.invocation_params.args]
    for option, value in pairwise(given):
        if option in _WITH_A_VALUE and Path(value).exists():
            raise pytest.UsageError(
                f"write {option}={value} in one word: pytest takes a path that stands alone for a folder of tests, and "
                "does not find the project's settings then"
            )
