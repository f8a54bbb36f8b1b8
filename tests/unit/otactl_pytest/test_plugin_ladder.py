"""The ladder: from the mildest means on, each tried and noted, until the preflight holds. And what the preflight asks."""

from dataclasses import dataclass

import pytest
from otactl.errors import BoardError, RigError
from otactl_pytest import ladder, preflight
from otactl_pytest.board import Board
from otactl_pytest.ladder import Means, Rung
from otactl_pytest.preflight import Expected, Found, WrongTarget

FOUND = Found("esp32", "24:0a:c4:12:34:56", "1.26.1", "ESP32_GENERIC", 2, True, "ota_0")


def climbed(helps: str, *, fails: tuple[str, ...] = (), raises: type[Exception] = RigError) -> tuple[list[str], str]:
    """The rungs that were climbed on a board that only `helps` brings back, and the notes or the error."""
    board = Board("/dev/null", name="desk")
    done: list[str] = []

    def rung(name: str) -> Rung:
        def climb(_: Board, __: Means) -> None:
            done.append(name)
            if name in fails:
                raise RigError(f"no {name}")

        return Rung(name, climb, 1.0)

    def holds(within_s: float) -> None:
        if done[-1] != helps:
            raise raises("silent")

    try:
        ladder.climb(board, holds, Means(), tuple(rung(one.name) for one in ladder.RUNGS))
    except RigError as error:
        return done, str(error)
    return done, "\n".join(line.text for line in board.console.lines)


def test_the_rungs_go_from_the_mildest_to_the_hardest() -> None:
    assert [rung.name for rung in ladder.RUNGS] == [
        "Ctrl-C",
        "soft reset",
        "port opened anew",
        "reset by DTR and RTS",
        "power cycle",
        "reflash",
    ]


def test_it_is_climbed_no_higher_than_needed_and_each_rung_is_noted() -> None:
    done, notes = climbed("reset by DTR and RTS", fails=("soft reset",))
    assert done == ["Ctrl-C", "soft reset", "port opened anew", "reset by DTR and RTS"]
    assert notes.splitlines() == [
        "ladder: Ctrl-C: silent",
        "ladder: soft reset: no soft reset",
        "ladder: port opened anew: silent",
        "ladder: reset by DTR and RTS: the board is back",
    ]


def test_a_board_that_answers_with_an_error_is_climbed_for_too() -> None:
    assert climbed("soft reset", raises=BoardError)[0] == ["Ctrl-C", "soft reset"]


def test_where_nothing_helps_all_that_was_tried_is_told() -> None:
    done, error = climbed("nothing")
    assert len(done) == len(ladder.RUNGS)
    assert error.startswith("desk does not come back (Ctrl-C: silent; soft reset: silent;")


def test_another_board_at_the_port_ends_it_at_once() -> None:
    assert climbed("nothing", raises=WrongTarget) == (["Ctrl-C"], "silent")


@pytest.mark.parametrize("rung", [one for one in ladder.RUNGS if one.name in ("power cycle", "reflash")])
def test_a_rung_without_its_means_says_which_option_gives_them(rung: Rung) -> None:
    with pytest.raises(RigError, match=r"\(--board-(power|reflash)\)"):
        rung.climb(Board("/dev/null"), Means())


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        (Expected(), []),
        (Expected("esp32", "24:0A:C4:12:34:56", "1.26.*", "ESP32_*", 2, True), []),
        (Expected("ESP32", "24-0a-c4-12-34-56"), []),
        (Expected(chip="ESP32-C3"), ["is an esp32, not an ESP32-C3"]),
        (Expected(chip="esp32c3"), ["is an esp32, not an esp32c3"]),
        (Expected(mac="24:0a:c4:00:00:00"), ["has the address 24:0a:c4:12:34:56, not 24:0a:c4:00:00:00"]),
        (Expected(micropython="1.27.*"), ["runs MicroPython 1.26.1, not 1.27.*"]),
        (Expected(build="*-OTA"), ["runs the build ESP32_GENERIC, not *-OTA"]),
        (Expected(slots=3), ["has 2 OTA slots, not 3"]),
        (
            Expected(chip="esp32s3", slots=3),
            ["is an esp32, not an esp32s3", "has 2 OTA slots, not 3"],
        ),
    ],
)
def test_what_is_not_as_it_was_meant(expected: Expected, says: list[str]) -> None:
    assert preflight.differences(FOUND, expected) == says


@dataclass
class Loader:
    """What RomSource tells of a board that is silent otherwise."""

    chip: str = "esp32"
    mac: str = "24:0a:c4:12:34:56"
    locked: str = ""


@pytest.mark.parametrize(
    ("loader", "expected", "error", "says"),
    [
        (Loader(), Expected("esp32c3"), WrongTarget, "loader is that of an esp32, not of an esp32c3"),
        (Loader(), Expected(mac="24:0a:c4:00:00:00"), WrongTarget, "loader says 24:0a:c4:12:34:56, not 24:0a:c4:00"),
        (
            Loader(locked="its flash is encrypted"),
            Expected(),
            RigError,
            "encrypted: it would not start what is written",
        ),
    ],
    ids=["chip", "address", "locked"],
)
def test_nothing_is_flashed_to_another_board_or_a_locked_one(
    loader: Loader, expected: Expected, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        ladder.require_ours(loader, expected)


def test_an_agent_that_is_missing_is_told_with_what_to_do() -> None:
    bare = Found("esp32", "", "1.26.1", "", 2, False, "ota_0")
    assert preflight.differences(bare, Expected(agent=True)) == ["has no agent: `otactl deploy`"]
