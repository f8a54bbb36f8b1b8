"""The development loop over the network, as it runs: what it tells of its boards, and when it lets go of them by itself."""

import time
from collections.abc import Callable

import pytest
from lessons import HOUR, MINUTE, A, Site
from otactl.board.dev.folder import Folder
from otactl.errors import UsageError
from otactl.fleet import borrowing, developing, lending, rollout
from otactl.fleet.developing import Development
from otactl.fleet.plan import steps
from otactl.release import drafts
from otactl.workspace.workspace import Workspace


class Ended(Exception):
    """In place of Ctrl-C."""


class Screen:
    """What is shown of board A. `offered`: what happens at the first draft; the first line after it that has `until` ends the loop."""

    def __init__(self, offered: Callable[[], object], until: str) -> None:
        self.lines: list[str] = []
        self._offered, self._until = offered, until

    def note(self, line: str, sign: bool | None = None) -> None:
        self.lines.append(line)
        if len(self.lines) == 1:
            self._offered()
        elif self._until in line:
            raise Ended

    def wait(self, what: str, *, counts: bool = True) -> None:
        pass


def loop(site: Site, screen: Screen) -> Development:
    settings = site.place.root / "otactl.toml"
    settings.write_text(settings.read_text().replace("https://127.0.0.1:8443", f"http://127.0.0.1:{site.port}"))
    place = Workspace.find(site.place.root)
    site.program("one")
    guests = borrowing.borrow(place, site.store, {A: "desk-1"})
    return Development(place, site.store, Folder(site.root), {"desk-1": screen}, guests, 60)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("said", ["phase=held;seq=2;why=check-wifi", "phase=idle;seq=2;why=on-hold"])
def test_a_save_that_met_a_network_that_was_down_is_told_to_be_tried_again(site: Site, said: str) -> None:
    screen = Screen(lambda: site.looks(A, 1, said), "tried again")
    with pytest.raises(Ended):
        loop(site, screen).run()
    assert screen.lines[-1].startswith(f"all files: {said.rpartition('=')[2]}: ")
    assert "refused" not in screen.lines[-1]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("phase", ["idle", "writing"])  # the other: its image was in place already
def test_a_save_that_breaks_before_its_switch_is_told_with_the_reason(site: Site, phase: str) -> None:
    screen = Screen(lambda: site.looks(A, 1, f"phase={phase};seq=2;why=bad-archive"), "bad-archive")
    with pytest.raises(Ended):
        loop(site, screen).run()
    assert screen.lines[-1].startswith("all files: refused, bad-archive: ")


@pytest.mark.timeout(30)
def test_a_board_that_has_been_silent_since_it_was_offered_a_save_is_told_of(site: Site, monkeypatch) -> None:
    """As one whose download broke off, and which looks again by its interval."""
    monkeypatch.setattr(developing, "_LOST_S", 0.5)
    screen = Screen(lambda: site.looks(A, 1), "nothing was heard of the board")
    with pytest.raises(Ended):
        loop(site, screen).run()
    assert "a reset makes it look now" in screen.lines[-1]


def _nobody_was_here(site: Site) -> None:
    site.now += 5 * MINUTE + HOUR + 1


def _the_channel_went_on(site: Site) -> None:
    _nobody_was_here(site)
    site.publish("1.1.0")
    assert site.looks(A, 2)[0] == 3


def _a_cable_put_something_newer_there(site: Site) -> None:
    site.looks(A, 3)


def _a_rollout_began(site: Site) -> None:
    _nobody_was_here(site)
    site.publish("1.1.0", named=False)
    rollout.start(site.place, site.store, "1.1.0", rollout.Asked(steps(None, "100")), {A: "default"})


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("meanwhile", "why", "given"),
    [
        (_nobody_was_here, "the loan of desk-1 is over", 1),
        (_the_channel_went_on, "desk-1 has gone on to something newer", 0),
        (_a_cable_put_something_newer_there, "desk-1 has gone on to something newer", 0),
        (_a_rollout_began, r"1\.1\.0 is being rolled out", None),
    ],
)
def test_a_loop_that_wakes_takes_no_board_past_a_release(
    site: Site, meanwhile: Callable[[Site], None], why: str, given: int | None
) -> None:
    """`given`: to so many boards something is offered at its end; None: that is refused."""
    site.now = time.time()

    def sleeps() -> None:
        site.looks(A, 2, "phase=confirmed;seq=2")
        meanwhile(site)
        site.program("two")

    with pytest.raises(UsageError, match=why):
        loop(site, Screen(sleeps, "is offered")).run()
    assert drafts.highest(site.place) == 2
    if given is None:
        with pytest.raises(UsageError, match=why):
            developing.give_back(site.place, site.store, [A])
    else:
        assert len(developing.give_back(site.place, site.store, [A])) == given
        assert lending.under_way(site.store) == []
