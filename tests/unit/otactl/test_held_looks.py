"""Looks of boards on which somebody develops, which the server answers at the next save. Over plain HTTP, as boards ask."""

import contextlib
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from lessons import MINUTE, A, B, Site
from otactl.fleet import developing, lending
from otactl.server import held
from otactl.server.hub import Hub
from otactl.server.server import Server

ROOM = 2_000_000  # bytes that a board with SPIRAM has free


class Look(threading.Thread):
    """A board's look, under way."""

    def __init__(
        self, site: Site, board: str, have: int, up: int, *, heap: int = ROOM, phase: str = "phase=confirmed"
    ) -> None:
        super().__init__(daemon=True)
        self._ask = lambda: site.looks(board, have, f"{phase};up={up};heap={heap};wait=1")
        self.answer: tuple[int, str | None] | None = None
        self.start()

    def run(self) -> None:
        self.answer = self._ask()

    def answered(self) -> tuple[int, str | None] | None:
        self.join(20)
        return self.answer


def until(met: Callable[[], bool]) -> None:
    for _ in range(2000):
        if met():
            return
        time.sleep(0.01)
    raise AssertionError


def waiting(site: Site, board: str, have: int, **more) -> Look:
    """A board that looks for the second time, as it was asked to, and is held."""
    before = held_now(site)
    look = asked(site, board, have, **more)
    until(lambda: held_now(site) > before or not look.is_alive())
    return look


def asked(site: Site, board: str, have: int, **more) -> Look:
    """A board that looks for the second time, as it was asked to."""
    assert Look(site, board, have, 60, **more).answered() is not None
    site.now += 3
    return Look(site, board, have, 63, **more)


def held_now(site: Site) -> int:
    assert site.hub
    return len(site.hub.held)


def patient(site: Site) -> None:
    """What is answered now is not, because it has waited long enough."""
    assert site.hub
    site.hub.held.longest_s = 3600


@pytest.mark.timeout(60)
def test_a_save_is_the_answer_to_a_look_that_waits_for_it(site: Site) -> None:
    patient(site)
    site.borrow(A, B)
    looks = [waiting(site, board, 1) for board in (A, B)]
    assert [look.answer for look in looks] == [None, None]
    assert site.save("one", A, B) == 2
    assert [look.answered() for look in looks] == [(2, "2"), (2, "2")]
    assert (held_now(site), [seen.offered for seen in site.store.boards()]) == (0, [2, 2])


@pytest.mark.timeout(60)
def test_the_save_after_one_that_failed_its_trial_is_the_answer(site: Site) -> None:
    patient(site)
    site.borrow(A)
    site.save("one", A)
    look = waiting(site, A, 1, phase="phase=failed;seq=2;why=app-crashed")
    assert site.save("two", A) == 3
    assert look.answered() == (3, "2")


@pytest.mark.timeout(60)
def test_a_look_that_waits_is_answered_when_the_board_is_given_back(site: Site) -> None:
    patient(site)
    site.borrow(A)
    site.save("one", A)
    look = waiting(site, A, 2)
    developing.give_back(site.place, site.store, [A])
    assert look.answered() == (3, "2")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("over", ["let go", "silent for five minutes"])
def test_a_look_that_waits_is_answered_when_the_loan_is_over(site: Site, over: str) -> None:
    patient(site)
    site.borrow(A)
    look = waiting(site, A, 1)
    if over == "let go":
        lending.drop(site.store, A)
    else:
        site.now += 5 * MINUTE
    assert look.answered() == (1, None)


@pytest.mark.timeout(60)
def test_a_look_does_not_wait_for_ever(site: Site) -> None:
    site.borrow(A)
    assert waiting(site, A, 1).answered() == (1, "2")


@pytest.mark.timeout(60)
def test_a_server_that_ends_answers_those_that_wait(site: Site) -> None:
    site.borrow(A)
    site.hub = Hub(site.place, site.store)
    patient(site)
    with Server(site.place.releases, None, "127.0.0.1", 0, lambda _: None, rooms=[site.hub.room]) as server:
        site.port = server.port
        look = waiting(site, A, 1)
        assert held_now(site) == 1
    assert look.answered() == (1, "2")


def test_who_is_not_lent_is_answered_at_once(site: Site) -> None:
    site.borrow(A)
    assert asked(site, B, 1).answered() == (1, None)
    assert held_now(site) == 0


@pytest.mark.parametrize(
    ("why", "first", "then"),
    [
        ("the program waits for its start", "up=60;heap=2000000;wait=1", "up=1;heap=2000000;wait=1"),
        ("a board without SPIRAM", "up=60;heap=120000;wait=1", "up=63;heap=120000;wait=1"),
        ("an ESP8266", "up=60", "up=63"),
        ("the program looks by itself", "up=63;heap=2000000;wait=1", "up=63;heap=2000000;wait=1"),
        ("the program calls agent.check()", "up=60;heap=2000000", "up=63;heap=2000000"),
        ("a trial is on", "up=60;heap=2000000;wait=1", "up=63;heap=2000000;wait=1;phase=trial;seq=2"),
    ],
)
def test_who_cannot_wait_is_answered_at_once(site: Site, why: str, first: str, then: str) -> None:
    site.borrow(A)
    site.looks(A, 1, first)
    site.now += 0 if "itself" in why else 3
    answers: list[tuple[int, str | None]] = []
    look = threading.Thread(target=lambda: answers.append(site.looks(A, 1, then)), daemon=True)
    look.start()
    until(lambda: bool(answers) or held_now(site) > 0)
    assert held_now(site) == 0, why
    assert answers == [(1, "2")]


@contextmanager
def open_look(site: Site, board: str, up: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", site.port)) as sock:
        said = f"id={board};product=lamp;have=1;phase=idle;up={up};heap={ROOM};wait=1"
        sock.sendall(f"GET /stable.json HTTP/1.1\r\nHost: here\r\nOta-Board: {said}\r\n\r\n".encode())
        yield sock


def hung_up(site: Site) -> None:
    """A board on loan, up for 63 s, has gone while its look was held."""
    patient(site)
    site.borrow(A)
    site.looks(A, 1, f"up=60;heap={ROOM};wait=1")
    site.now += 3
    with open_look(site, A, 63):
        until(lambda: held_now(site) == 1)
    until(lambda: held_now(site) == 0)


def test_a_client_that_goes_away_frees_its_place_and_is_not_held_again(site: Site) -> None:
    hung_up(site)
    site.now += 3
    assert Look(site, A, 1, 66).answered() == (1, "2")


def test_a_board_whose_look_was_cut_by_its_reset_is_held_again(site: Site) -> None:
    hung_up(site)
    site.now += 9
    site.looks(A, 1, f"up=1;heap={ROOM};wait=1")
    site.now += 3
    with open_look(site, A, 4):
        until(lambda: held_now(site) == 1)


def test_a_board_has_one_place(site: Site) -> None:
    patient(site)
    site.borrow(A)
    site.looks(A, 1, f"up=60;heap={ROOM};wait=1")
    site.now += 3
    with open_look(site, A, 63) as first:
        until(lambda: held_now(site) == 1)
        site.now += 3
        with open_look(site, A, 66):
            assert first.recv(12) == b"HTTP/1.1 200"
            assert held_now(site) == 1


@pytest.mark.timeout(60)
def test_many_that_wait_keep_nobody_else_waiting(site: Site, monkeypatch) -> None:
    """So many have a place; others are answered at once, and who is not lent, and who downloads."""
    monkeypatch.setattr(held, "_MOST", 20)
    boards = [f"240ac40001{number:02x}" for number in range(24)]
    for board in boards:
        site.looks(board, 1)
    until_s = site.now + 5 * MINUTE
    lending.put(site.store, *(lending.Lent(board, 0, until_s, "1.0.0", 1, back=False) for board in boards))
    for board in boards:
        site.looks(board, 1, f"up=60;heap={ROOM};wait=1")
    site.now += 3
    with contextlib.ExitStack() as opened:
        for board in boards[:20]:
            opened.enter_context(open_look(site, board, 63))
        until(lambda: held_now(site) == 20)
        assert [site.looks(board, 1, f"up=63;heap={ROOM};wait=1") for board in boards[20:]] == [(1, "2")] * 4
        assert site.looks(B, 1) == (1, None)
        files = next(site.place.releases.glob("1.0.0/app.cpio"))
        with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/1.0.0/app.cpio", timeout=20) as answer:
            assert answer.read() == files.read_bytes()
        assert held_now(site) == 20


def test_boards_that_wait_less_for_an_answer_get_it_in_half_of_that(site: Site) -> None:
    assert site.hub and site.hub.held.longest_s == held.LONGEST_S == 10
    place = replace(site.place, board={"read_timeout_s": 2})
    assert Hub(place, site.store).held.longest_s == 1
