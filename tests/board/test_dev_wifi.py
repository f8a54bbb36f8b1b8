"""`otactl dev --wifi` on virtual boards with the project's own server: saves come as signed releases, and Ctrl-C brings back what ran.

Judged by what each board's flash holds, and by what its program says. The boards look once an hour: sooner only as they are asked to."""

from collections.abc import Iterator
from pathlib import Path

import apps
import pytest
from aiohttp import web
from desks import Desk, name, opened
from otactl.release import drafts
from rig import NEW, Rig, boots, started, touched
from vboard.board import Board
from vboard.flash.otadata import State


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    with opened(rig) as made:
        yield made


def looks(board: Board, until: str) -> None:
    seen = len(board.text)
    board.reset()
    board.wait_text(until, 60, since=seen)


@pytest.mark.timeout(300)
def test_saves_run_a_broken_one_goes_back_and_ctrl_c_brings_back_what_ran(desk: Desk) -> None:
    desk.publish("1.1.0", NEW)
    board = started(desk.rig.board())
    board.wait_text("ota: up-to-date 1.1.0", 60)
    name(desk, 0)
    lesson = apps.trees(board)["ota_1"]

    desk.save("words.py", "hello = 'one'")
    desk.develop(str(desk.folder), "desk-0")
    desk.wait("desk-0: its first look is awaited")
    desk.wait(r"all files: 1\.1\.0\+dev\.3 is offered")
    looks(board, "says one")  # from here on nobody touches the board
    desk.wait(r"all files: on trial \d+\.\d s after the save")
    desk.wait(r"all files: runs, confirmed \d+\.\d s after the save")
    written = len(board.flash.trace)
    desk.save("words.py", "x = 1\nhello = = 'two'")
    desk.wait(r"words\.py, line 2: SyntaxError: invalid syntax; what ran before runs on")
    desk.save("words.py", "hello = 1 / 0")
    desk.wait(r"words\.py: app-crashed, ZeroDivisionError\('divide by zero',\): .*; what ran before runs on")
    assert (boots(board), desk.offered("240ac4000001")) == (("ota_0", State.VALID), "1.1.0")
    desk.save("words.py", "hello = 'three'")
    desk.wait(r"words\.py: runs, confirmed")
    board.wait_text("says three", 20)

    desk.interrupt()
    desk.wait("desk-0: 1.1.0 is offered again")
    desk.wait("desk-0: given back, it runs 1.1.0")
    assert desk.ended(20) == 0
    slot, state = boots(board)
    assert (apps.trees(board)[slot], state) == (lesson, State.VALID)
    assert [touched(board, one, written) for one in ("ota_0", "ota_1")] == [[], []]  # its firmware was there already
    assert drafts.sequences(desk.place) == [6]
    assert sorted(path.name for path in desk.place.releases.iterdir()) == ["1.0.0", "1.1.0", "stable.json"]
    looks(board, "ota: up-to-date 1.1.0")


GOES_ON = """import asyncio, time, words
from ota import agent
print('says', words.hello)
async def ticks():
    last = time.ticks_ms()
    while True:
        await asyncio.sleep_ms(10)
        now = time.ticks_ms()
        if time.ticks_diff(now, last) > 1300:  # a second, and what a busy test machine adds
            print('was stopped')
        last = now
async def both():
    asyncio.create_task(ticks())
    await agent.task()
def main():
    asyncio.run(both())
"""


def spiram(desk: Desk, program: str) -> Board:
    """A board with the memory of one with SPIRAM, which runs `program`."""
    desk.save("app.py", program)
    desk.publish("1.1.0", NEW)
    board = started(desk.rig.board(heap_kib=2048, idf_heap_kib=2048))
    board.wait_text("ota: up-to-date 1.1.0", 60)
    return board


@pytest.mark.timeout(200)
def test_a_board_whose_look_waits_goes_on_and_has_the_save_as_its_answer(desk: Desk) -> None:
    board = spiram(desk, GOES_ON)
    desk.develop(str(desk.folder))
    desk.wait("is offered")
    looks(board, r"says lesson")
    desk.wait("all files: runs, confirmed")
    board.wait(lambda: len(desk.hub.held) == 1, 30, "a look to be held")
    desk.save("words.py", "hello = 'one'")
    desk.wait(r"words\.py: runs, confirmed")
    board.wait_text("says one", 20)
    assert "was stopped" not in board.text


CHECKS = """import time, words
from ota import agent
print('says', words.hello)
def main():
    while True:
        time.sleep(2)
        try:
            print('looked', agent.check())
        except Exception as e:
            print('looked', e)
"""


@pytest.mark.timeout(200)
def test_a_program_that_looks_by_itself_does_not_stand_still_for_a_save(desk: Desk) -> None:
    board = spiram(desk, CHECKS)
    desk.hub.held.longest_s = 3600
    desk.develop(str(desk.folder))
    desk.wait("is offered")
    desk.wait("runs, confirmed")  # it is what ran before
    seen = len(board.text)
    board.wait(lambda: board.text[seen:].count("looked") > 5, 60, "five looks")
    assert "looked stalled" not in board.text[seen:]
    assert len(desk.hub.held) == 0


class Spoiler:
    """Answers for the files of saves as `how` says: wrong, cut, or "" as the server has them."""

    def __init__(self, releases: Path) -> None:
        self.releases, self.how, self.asked = releases, "", 0

    def room(self, app: web.Application) -> None:
        @web.middleware
        async def spoil(request: web.Request, handler) -> web.StreamResponse:
            if not self.how or not request.path.endswith(".cpio"):
                return await handler(request)
            self.asked += 1
            if self.how == "cut":
                assert request.transport
                request.transport.close()
            size = (self.releases / request.path[1:]).stat().st_size
            return web.Response(body=b"0" * size)

        app.middlewares.append(spoil)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("how", "said"), [("wrong", "refused, bad-archive"), ("cut", "is offered")])
def test_after_a_save_that_comes_broken_the_next_one_is_seen_soon(rig: Rig, how: str, said: str) -> None:
    spoiler = Spoiler(rig.workspace.releases)
    with opened(rig, spoiler.room) as desk:
        desk.publish("1.1.0", NEW)
        board = started(desk.rig.board())
        board.wait_text("ota: up-to-date 1.1.0", 60)
        desk.develop(str(desk.folder))
        desk.wait("is offered")
        looks(board, "says lesson")
        desk.wait("runs, confirmed")
        board.wait_text("ota: up-to-date", 60, since=len(board.text))  # the program's own look
        spoiler.how = how
        desk.save("words.py", "hello = 'one'")
        desk.wait(said)
        tries = 3 if how == "cut" else 1
        board.wait(lambda: spoiler.asked >= tries, 60, "the save to be asked for")
        board.wait_text("ota: error", 60)
        spoiler.how = ""
        desk.save("words.py", "hello = 'two'")
        desk.wait(r"words\.py: runs, confirmed")
        board.wait_text("says two", 20)
