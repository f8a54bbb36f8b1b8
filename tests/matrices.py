"""Tests with many rows, of which `make test` runs a fixed, seeded slice; `make matrices` runs them all.

A test that is named by its id, to replay it, runs whether its row is in the slice or not.
"""

import os
import random

import pytest

SEED = 20261126
KEPT = {  # rows of each in `make test`
    "tests/board/test_faults.py::test_fault": 22,
    "tests/board/test_doctor.py::test_the_fault_is_the_one_bad_row": 9,
    "tests/board/test_refusals.py::test_release_is_refused": 9,
    "tests/board/test_refusals.py::test_server_that": 5,
    "tests/board/test_chips.py::test_update_failed_trial_and_rollback": 4,
    "tests/board/test_powercut.py::test_agent_with_a_known_fault_is_caught": 5,
    "tests/board/test_application_first.py::test_asyncio_program_goes_on_while_the_agent_waits": 3,
    "tests/board/test_hangs.py::test_trial_that_goes_wrong_ends_in_the_old_release": 4,
    "tests/board/test_layouts.py::test_failed_trial_goes_back_where_nvs_is_full": 2,
    "tests/board/test_layouts.py::test_failed_trial_goes_back_to_the_slot_that_it_came_from": 2,
    "tests/board/test_esptool.py::test_board_boots_what_esptool_wrote": 6,
    "tests/board/test_diagnostics.py::test_failing_check_rolls_back_and_says_which": 4,
}


def _name(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def is_whole(config: pytest.Config) -> bool:
    return os.environ.get("MATRICES") == "all" or any("::" in arg for arg in config.args)


def sliced(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """What is run, and what is left out; the same in every process of a session."""
    left_out: set[str] = set()
    for name, kept in KEPT.items():
        rows = sorted(item.nodeid for item in items if _name(item) == name)
        left_out |= set(rows) - set(random.Random(f"{SEED}/{name}").sample(rows, min(kept, len(rows))))
    run = [item for item in items if item.nodeid not in left_out]
    return run, [item for item in items if item.nodeid in left_out]


def told() -> str:
    """What a person is told of it, where a session ran slices."""
    return f"{len(KEPT)} longer tables are run in slices (tests/matrices.py, seed {SEED}): make matrices runs all rows"
