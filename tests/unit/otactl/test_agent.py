"""The agent's sources as many boards ask for them at once."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest
from otactl.board import agent, single


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Another thread takes over at each collection of garbage, also in the middle of what is otherwise one step."""

    def give_way(*_: object) -> None:
        time.sleep(0.0001)

    gc.callbacks.append(give_way)
    yield
    gc.callbacks.remove(give_way)


@pytest.mark.usefixtures("busy_threads")
def test_code_for_the_cable_is_made_for_several_boards_at_once() -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(agent.cable())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [agent.cable()] * 6


@pytest.mark.parametrize(("config", "installed"), [({}, True), ({"checkin": True}, True), ({"checkin": False}, False)])
def test_a_board_that_says_nothing_of_itself_has_no_code_for_it(config: dict[str, bool], installed: bool) -> None:
    assert ("net/checkin.py" in agent.sources(config)) is installed
    assert ("net/checkin.py" in single.sources("esp32", config)) is installed
    assert "single/ask.py" in single.sources("esp8266", config)
