"""Tests with many rows, of which `make test` runs a fixed, seeded slice; `make matrices` runs them all.

A test that is named by its id, to replay it, runs whether its row is in the slice or not.
"""

import os
import random

import pytest

SEED = 20261126
FOLDERS = ("tests/board/", "tests/attacks/")  # of tests with a virtual board
MANY = 4  # rows: of such tests with so many or more a quarter is run, two at the least, or as many as stand here
KEPT = {  # a table of another folder is sliced where it stands here
    "tests/board/test_application.py::test_bad_archive": 3,
    "tests/board/test_application.py::test_both_go_back_where_the_application": 2,
    "tests/board/test_application.py::test_archive_comes_whole_though_it_is": 1,
    "tests/board/test_application_layouts.py::test_applications_with": 2,
    "tests/board/test_faults.py::test_fault": 8,
    "tests/board/test_application_trials.py::test_both_are_back_where_the_application": 1,
    "tests/board/test_refusals.py::test_release_is_refused": 5,
    "tests/board/test_chips.py::test_update_failed_trial_and_rollback": 1,
    "tests/board/test_powercut.py::test_board_survives_a_power_cut_at": 3,  # make powercut has every state of each
    "tests/board/test_powercut.py::test_agent_with_a_known_fault_is_caught": 1,
    "tests/board/test_encrypted.py::test_download_goes_on_where_it_broke": 2,
    "tests/board/test_hangs.py::test_trial_that_goes_wrong_ends_in_the_old_release": 1,
    "tests/attacks/test_answers.py::test_answer": 14,
    "tests/attacks/test_page.py::test_attack_of_another_file_is_there": 99,  # a board has no part in it
    "tests/attacks/test_releases.py::test_release": 18,
    "tests/board/test_deltas.py::test_delta_that_breaks": 2,
    "tests/board/test_deltas.py::test_board_takes_a_compressed_image_where_it_is_told_to": 1,
    "tests/board/test_kept_connection.py::test_server_that_keeps_the_connection": 3,
    "tests/board/test_unchanged.py::test_look_is_whole_after": 3,
    "tests/board/test_esptool.py::test_board_boots_what_esptool_wrote": 2,
    "tests/board/test_single.py::test_what_fails_its_trial_gives_way_to_what_was_confirmed": 1,
    "tests/board/test_single_verbs.py::test_verbs": 1,
    "tests/board/test_esp8266.py::test_resets": 1,
    # thousands of pairs of cuts, and all a sample
    "tests/unit/device/test_record.py::test_record_holds_after_two_torn_writes": 4,
}


def _name(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def is_whole(config: pytest.Config) -> bool:
    return os.environ.get("MATRICES") == "all" or any("::" in arg for arg in config.args)


def sliced(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """What is run, and what is left out; the same in every process of a session."""
    tables: dict[str, list[str]] = {}
    for item in items:
        if item.nodeid.startswith(FOLDERS) or _name(item) in KEPT:
            tables.setdefault(_name(item), []).append(item.nodeid)
    left_out: set[str] = set()
    for name, rows in tables.items():
        kept = KEPT.get(name, max(2, len(rows) // 4)) if len(rows) >= MANY else len(rows)
        left_out |= set(rows) - set(random.Random(f"{SEED}/{name}").sample(sorted(rows), min(kept, len(rows))))
    run = [item for item in items if item.nodeid not in left_out]
    return run, [item for item in items if item.nodeid in left_out]


def told() -> str:
    """What a person is told of it, where a session ran slices."""
    return f"of the longer tables, most of tests/board and tests/attacks, a slice is run (seed {SEED}): make matrices runs all rows"
