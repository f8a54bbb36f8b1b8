"""The scenarios on boards with a factory app and two slots, and with three slots."""

from powercut.boards import Boards
from powercut.scenario import Scenario, row
from powercut.two import spoilt

_FACTORY, _THREE = "factory-ota", "three"


def factory_first(boards: Boards) -> Scenario:
    return Scenario(
        "factory-first",
        "the first update of a board that runs its factory app, to ota_0; its self-test passes",
        boards.place("1.0.0", "1.1.0"),
        boards.rested(_FACTORY, "1.0.0"),
        boards.table(_FACTORY),
        ends="1.1.0",
        ends_in="ota_0",
        left="1.0.0",
        target="ota_0",
    )


def factory_failing(boards: Boards) -> Scenario:
    return Scenario(
        "factory-failing",
        "a release whose self-test fails, from the factory app: the board goes back to that",
        boards.place("1.0.0", "6.6.6"),
        boards.rested(_FACTORY, "1.0.0"),
        boards.table(_FACTORY),
        ends="1.0.0",
        ends_in="factory",
        left="6.6.6",
        target="ota_0",
        failed=((2,),),
    )


def factory_rollback(boards: Boards) -> Scenario:
    """Both sectors of otadata are in use, and what one of them names has failed: going back erases both."""
    return Scenario(
        "factory-rollback",
        "agent.rollback() from ota_0 to the factory app; a release that failed lies in ota_1",
        boards.place("1.0.0", "1.1.0", "6.6.6"),
        boards.wishing(_FACTORY, "1.0.0", "1.1.0", "6.6.6"),
        boards.table(_FACTORY),
        ends="1.0.0",
        ends_in="factory",
        left="1.1.0",
        target=None,
        failed=((3, 2),),
    )


def three_third(boards: Boards) -> Scenario:
    return Scenario(
        "three-third",
        "the third release of a board, from ota_1 to ota_2; the first one stays in ota_0",
        boards.place("1.0.0", "1.1.0", "1.2.0"),
        boards.rested(_THREE, "1.0.0", "1.1.0"),
        boards.table(_THREE),
        ends="1.2.0",
        ends_in="ota_2",
        left="1.1.0",
        target="ota_2",
    )


def three_failing(boards: Boards) -> Scenario:
    return Scenario(
        "three-failing",
        "a release whose self-test fails in ota_2: the board goes back to ota_1",
        boards.place("1.0.0", "1.1.0", "6.6.6"),
        boards.rested(_THREE, "1.0.0", "1.1.0"),
        boards.table(_THREE),
        ends="1.1.0",
        ends_in="ota_1",
        left="6.6.6",
        target="ota_2",
        failed=((3,),),
    )


def three_rollback(boards: Boards) -> Scenario:
    return Scenario(
        "three-rollback",
        "agent.rollback() from ota_1 to ota_0; ota_2, which is next, is empty",
        boards.place("1.0.0", "1.1.0"),
        boards.wishing(_THREE, "1.0.0", "1.1.0"),
        boards.table(_THREE),
        ends="1.0.0",
        ends_in="ota_0",
        left="1.1.0",
        target=None,
        failed=((2,),),
    )


def three_rollback_past(boards: Boards) -> Scenario:
    return Scenario(
        "three-rollback-past",
        "agent.rollback() from ota_1 to ota_0; a release that failed lies in ota_2, which is next",
        boards.place("1.0.0", "1.1.0", "6.6.6"),
        boards.wishing(_THREE, "1.0.0", "1.1.0", "6.6.6"),
        boards.table(_THREE),
        ends="1.0.0",
        ends_in="ota_0",
        left="1.1.0",
        target=None,
        failed=((3, 2),),
    )


def three_damaged(boards: Boards) -> Scenario:
    """From slot 0 the bootloader goes up: to ota_1, which is older than what ran."""
    place = boards.place("1.0.0", "1.1.0", "1.2.0", "1.3.0")
    return Scenario(
        "three-damaged",
        "the new image in ota_0 loses a bit after the switch: the bootloader starts ota_1, the board goes back to ota_2",
        place,
        spoilt(boards.rested(_THREE, "1.0.0", "1.1.0", "1.2.0"), place, row(boards.table(_THREE), "ota_0")),
        boards.table(_THREE),
        ends="1.2.0",
        ends_in="ota_2",
        left="1.3.0",
        target="ota_0",
        passing="1.1.0",
        failed=((4,), ()),
        either=True,
    )


MAKERS = (
    factory_first,
    factory_failing,
    factory_rollback,
    three_third,
    three_failing,
    three_rollback,
    three_rollback_past,
    three_damaged,
)
