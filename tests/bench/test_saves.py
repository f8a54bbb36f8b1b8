"""From a save in `otactl dev --wifi` to the board, step by step. Nothing passes or fails by a time."""

import random
import time
from dataclasses import replace
from statistics import median
from typing import Any

import pytest
import rig as rigs
from desks import Desk, opened
from otactl.release import drafts
from rig import NEW, Rig, started
from vboard.chip import soc

from bench.saves import Timed

SAVES = 5
PATIENCE_S = 20  # read_timeout_s as boards have it by themselves; those of tests have less
LOOP = "import words\nfrom ota import agent\nprint('says', words.hello)\ndef main():\n    agent.loop()\n"
TASK = LOOP.replace("agent.loop()", "asyncio.run(agent.task())").replace("import", "import asyncio\nimport", 1)
CHIP = {"handshake_s": 0.72, "bytes_per_s": 277_000}  # bench/chip.py; join_s and connect_s as ever
SPIRAM: dict[str, Any] = {"heap_kib": 2048, "idf_heap_kib": 2048}
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain times, SPIRAM": (SPIRAM, {}),
    "plain times": ({}, {}),
    "a chip's times, SPIRAM": ({**SPIRAM, "real_time": True}, CHIP),
    "a chip's times": ({"real_time": True}, CHIP),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", ROWS)
def test_saves_at_any_moment(rig: Rig, row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each save comes at some moment after the last one is confirmed; the first, with which the firmware is copied, apart. Then one that
    breaks at its start, and its mend. A board without SPIRAM has no room for asyncio beside all that the first save takes."""
    # a file's reads of some bytes each: this machine's shortest sleep is longer than what a chip takes for them
    monkeypatch.setattr(soc, "READ_KIB_US", 0)
    settings, link = ROWS[row]
    timed, dice = Timed(), random.Random(1)
    place = rig.workspace
    rig.workspace = replace(place, board={**place.board, "read_timeout_s": PATIENCE_S})
    with opened(rig, timed.room) as desk:
        desk.save("app.py", TASK if "SPIRAM" in row else LOOP)
        desk.publish("1.1.0", NEW)
        board = started(rig.board(**settings))
        board.wait_text("ota: up-to-date 1.1.0", 60)
        rigs.configure(board, read_timeout_s=PATIENCE_S)
        for name, value in link.items():
            setattr(rig.network, name, value)
        desk.develop(str(desk.folder))
        desk.wait("is offered")
        board.reset()
        with timed.listening(board):
            desk.wait("all files: runs, confirmed")
            _save(desk, 0, "hello = 0")
            desk.wait(r"words\.py: runs, confirmed")
            found = []
            for number in range(1, SAVES):
                time.sleep(5 + 10 * dice.random())
                at = _save(desk, number, f"hello = {number}")
                desk.wait(r"runs, confirmed")
                found.append(timed.steps(at, _offered(desk)))
            time.sleep(4)
            broken = _save(desk, SAVES, "hello = 1 / 0")
            desk.wait("app-crashed")
            failed = timed.steps(broken, _offered(desk))
            time.sleep(1)
            at = _save(desk, SAVES + 1, "hello = 'mended'")
            desk.wait(r"runs, confirmed")
            mended = timed.steps(at, _offered(desk))
        desk.interrupt()
    print(f"\n{row}: seconds after the save, in the middle and at most")
    for what in found[0]:
        times = [one[what] for one in found if what in one]
        print(f"  {what}: {median(times):.2f} {max(times):.2f}")
    failed.pop("runs", None)  # the old one
    print(f"  one that breaks: {_told(failed)}")
    print(f"  its mend, a second after that was told: {_told(mended)}")


def _save(desk: Desk, number: int, text: str) -> float:
    at = time.time()
    desk.save("words.py", f"{text}\nnumber = {number}")
    return at


def _offered(desk: Desk) -> float:
    """When the newest draft was written."""
    return drafts.path(desk.place, drafts.highest(desk.place)).stat().st_mtime


def _told(steps: dict[str, float]) -> str:
    return ", ".join(f"{what} {seconds:.2f}" for what, seconds in steps.items())
