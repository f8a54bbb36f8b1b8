"""The agent's parsers in MicroPython, on a board's heap: seeds, and what a fixed random changes in them, against CPython.
tests/unit/device/test_parsers.py has more inputs, `make fuzz` many more, on a board too."""

from collections.abc import Iterator

import pytest
from fuzz import loading, onboard

NAMES = list(loading.load().PARSERS)
CHANGED = 200


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[onboard.FuzzedBoard]:
    with onboard.fuzzed_board(tmp_path_factory.mktemp("fuzzed"), NAMES) as made:
        yield made


def test_board_comes_to_what_cpython_comes_to_and_no_byte_is_left_behind(board: onboard.FuzzedBoard) -> None:
    """No exception without a code, no hang, no growth (P9, P10)."""
    seeds = [(name, data) for name in NAMES for data in loading.seeds(name)]
    inputs = seeds + list(onboard.mutated(seeds, CHANGED, 5))
    for batch in onboard.batches(inputs, NAMES):
        found = onboard.differences(board, batch)
        assert not found, "\n".join(map(str, found[:5]))
        assert board.grown() <= 0  # a dictionary that a module comes into and leaves may be smaller the next time


def test_fault_of_a_parser_on_the_board_is_seen(board: onboard.FuzzedBoard) -> None:
    """A parser that raises what it may not, one that errs, and one that keeps what it reads."""
    good = ("date", b"Tue, 24 Nov 2026 15:46:00 GMT")
    assert onboard.differences(board, [good]) == []
    for fault in ("[][1]", "1", "kept.append(data)"):
        board.run(f"kept = []\nwas = parsers.PARSERS['date']\nparsers.PARSERS['date'] = lambda data: {fault}")
        assert [one.name for one in onboard.differences(board, [good])] == ["date"], fault
        assert (board.grown() > 0) == ("append" in fault)
        board.run("parsers.PARSERS['date'] = was")
