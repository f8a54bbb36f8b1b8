"""device/ota/boot/decision.py: what the last boot left, and what follows, as one table."""

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

DEVICE = Path(__file__).resolve().parents[3] / "device"
Decide = Callable[[str, str, str, str, str], str]

AT = ("boot", "fallen")
ENTRIES = ("new", "pending", "valid", "invalid", "aborted", "undefined", "none")
PHASES = ("idle", "writing", "ready", "trial", "confirmed", "failed")
SLOTS = ("here", "named", "back", "over", "away")
ENDS = ("watchdog", "soft", "hard", "known", "failed", "spent", "again", "power", "lost")


@pytest.fixture
def decide(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decide]:
    package = ModuleType("ota")
    package.__path__ = [str(DEVICE / "ota")]
    monkeypatch.setitem(sys.modules, "ota", package)
    yield importlib.import_module("ota.boot.decision").decide
    for name in [name for name in sys.modules if name.startswith("ota.")]:
        sys.modules.pop(name)


ROWS = {
    "nothing happened": ("boot", "valid", "confirmed", "here", "hard", "rest"),
    "a new board": ("boot", "valid", "idle", "away", "lost", "rest"),
    "factory app, nothing happened": ("boot", "none", "idle", "away", "lost", "rest"),
    "the first boot of a release": ("boot", "pending", "ready", "here", "hard", "trial"),
    "the same, under a bootloader without rollback": ("boot", "new", "ready", "here", "hard", "trial"),
    "a rollback to the factory app": ("boot", "none", "ready", "here", "hard", "trial"),
    "the release restarts itself on trial": ("boot", "pending", "trial", "here", "soft", "trial"),
    "it wakes from deep sleep on trial": ("boot", "pending", "trial", "here", "hard", "trial"),
    "power tore the state of a release on trial": ("boot", "undefined", "trial", "here", "hard", "trial"),
    "confirmed, and power went before the record": ("boot", "valid", "trial", "here", "hard", "confirmed"),
    "the watchdog bit on trial, the bootloader went back": ("boot", "valid", "trial", "away", "failed", "fail"),
    "the same, where no bootloader goes back": ("boot", "new", "trial", "here", "watchdog", "bitten"),
    "the same, of the factory app": ("boot", "none", "trial", "here", "watchdog", "bitten"),
    "power ended the trial": ("boot", "valid", "trial", "away", "power", "retry"),
    "power ended the last of its trials": ("boot", "valid", "trial", "away", "spent", "fail"),
    "power took the switch": ("boot", "valid", "ready", "away", "lost", "rest"),
    "power took the switch of a rollback": ("boot", "valid", "ready", "away", "again", "switch"),
    "power went between the two writes of a failure": ("boot", "valid", "trial", "away", "known", "fail"),
    "failed, and back by hand": ("boot", "pending", "failed", "back", "hard", "accept"),
    "failed, back by hand to the factory app": ("boot", "none", "failed", "back", "hard", "accept"),
    "failed, and told": ("boot", "valid", "failed", "away", "known", "rest"),
    "failed, and it runs again: torn": ("boot", "pending", "failed", "here", "hard", "reset"),
    "failed, and nothing went back": ("boot", "new", "failed", "here", "hard", "leave"),
    "failed, its state torn": ("boot", "undefined", "failed", "here", "hard", "leave"),
    "failed, but all there is: kept": ("boot", "valid", "failed", "over", "hard", "rest"),
    "another program switched": ("boot", "pending", "confirmed", "away", "lost", "stranger"),
    "another program switched back to the job's slot": ("boot", "pending", "confirmed", "here", "hard", "stranger"),
    "another program switched to where a release failed": ("boot", "pending", "failed", "over", "hard", "stranger"),
    "the same, its state torn": ("boot", "undefined", "failed", "over", "hard", "stranger"),
    "the new image is damaged": ("fallen", "pending", "ready", "named", "hard", "damaged"),
    "a confirmed image rots": ("fallen", "valid", "confirmed", "named", "hard", "reclaim"),
    "a switch waits for its reset": ("fallen", "new", "ready", "named", "soft", "reset"),
    "somebody else's image is damaged": ("fallen", "pending", "idle", "away", "lost", "reset"),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_situation_leads_to(row: tuple[str, ...], decide: Decide) -> None:
    *seen, action = row
    assert decide(*seen) == action  # type: ignore[arg-type]


def every() -> Iterator[tuple[str, str, str, str, str]]:
    return itertools.product(AT, ENTRIES, PHASES, SLOTS, ENDS)


def test_nothing_of_another_slot_is_put_on_trial_or_confirmed_as_the_job_s(decide: Decide) -> None:
    for at, entry, phase, slot, end in every():
        action = decide(at, entry, phase, slot, end)
        if action in ("trial", "confirmed", "bitten", "leave"):
            assert (at, slot) == ("boot", "here"), (at, entry, phase, slot, end)
        if action == "confirmed":
            assert phase == "trial", "P4: only what was on trial"
            assert entry not in ("new", "pending", "undefined", "none")


def test_unconfirmed_image_never_rests(decide: Decide) -> None:
    """P4, and P6: what otadata calls unconfirmed is tried, left or taken back, whatever the record says."""
    for seen in every():
        if seen[0] == "boot" and seen[1] in ("new", "pending") and seen[3] != "back":
            assert decide(*seen) in ("trial", "stranger", "reset", "leave", "bitten", "fail", "switch", "retry"), seen


def test_reset_is_only_asked_for_where_the_bootloader_changes_something(decide: Decide) -> None:
    """No endless reset: the next boot finds another entry."""
    for seen in every():
        if decide(*seen) == "reset":
            assert seen[1] == "pending" or (seen[0], seen[1], seen[4]) == ("fallen", "new", "soft"), seen
