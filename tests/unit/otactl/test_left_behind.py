"""No board is left behind by a loan: it comes back to what is good for it, a second way is there, and a loan ends by itself."""

import re
import threading
import time
import urllib.request
from collections.abc import Callable

import pytest
from lessons import HOUR, MINUTE, A, B, Site, payload
from otactl.cli.main import main
from otactl.errors import ReleaseError, UsageError
from otactl.fleet import approval, borrowing, developing, lending, loans, rollout
from otactl.fleet.plan import steps
from otactl.release import channels, drafts

FAILED = "phase=failed;seq={};why=app-crashed"


def back(site: Site, sequence: int) -> tuple[str, list[str]]:
    """What a board comes back to: the version, and the kinds of its parts."""
    found = payload(drafts.path(site.place, sequence).read_bytes())
    return found["version"], [one["kind"] for one in found["targets"]]


def named(site: Site) -> None:
    (site.place.root / "boards.csv").write_text(f"{A},desk-1\n{B},desk-2\n")


def test_a_release_that_a_board_went_back_from_does_not_come_to_it_under_another_number(site: Site) -> None:
    assert site.publish("1.1.0") == 2
    site.looks(A, 1, FAILED.format(2))
    assert site.borrow(A) == ["1.0.0"]
    site.save("one", A)
    site.looks(A, 3, "phase=confirmed;seq=3")
    with site.store.transaction() as db:  # as 200 saves do
        db.execute("DELETE FROM events")
    assert developing.give_back(site.place, site.store, [A]) == {A: 4}
    assert back(site, 4) == ("1.0.0", ["application"])
    assert [site.looks(board, have)[0] for board, have in ((A, 3), (A, 4), (B, 1))] == [4, 4, 2]
    assert site.publish("1.2.0") == 5
    assert site.looks(A, 4)[0] == 5


def test_a_release_that_met_a_network_that_was_down_is_what_a_board_comes_back_to(site: Site) -> None:
    site.publish("1.1.0")
    site.looks(A, 1, "phase=held;seq=2;why=check-wifi")
    site.borrow(A)
    site.save("one", A)
    site.looks(A, 3, "phase=confirmed;seq=3")
    assert developing.give_back(site.place, site.store, [A]) == {A: 4}
    assert back(site, 4)[0] == "1.1.0"


def test_what_it_has_confirmed_since_may_come_again(site: Site) -> None:
    assert site.publish("1.1.0") == 2
    site.looks(A, 1, FAILED.format(2))
    site.looks(A, 1, "phase=trial;seq=2")
    site.looks(A, 2, "phase=confirmed;seq=2")
    assert site.borrow(A) == ["1.1.0"]
    site.save("one", A)
    assert channels.promote(site.place, "1.1.0", "stable", again=True).sequence == 4
    developing.give_back(site.place, site.store, [A])
    assert back(site, 5)[0] == "1.1.0"


def test_a_board_that_fails_what_it_comes_back_to_is_told_at_once_and_has_a_second_way(
    site: Site, firmware_file
) -> None:
    site.borrow(A)
    site.save("one", A)
    site.looks(A, 2, "phase=confirmed;seq=2")
    site.publish("1.1.0", [firmware_file(seed=2)])
    given = developing.give_back(site.place, site.store, [A])
    assert (given, back(site, 4)) == ({A: 4}, ("1.1.0", ["firmware", "application"]))
    site.now += HOUR
    assert developing.give_back(site.place, site.store, [A]) == given  # it has not looked yet
    assert site.looks(A, 2) == (4, "2")
    site.looks(A, 2, "phase=held;seq=4;why=check-wifi")
    assert developing.give_back(site.place, site.store, [A]) == given  # it tries again by itself
    assert loans.states(site.store) == {A: "returning"}
    site.looks(A, 2, FAILED.format(4))
    assert developing.await_back(site.store, given, 1000, lambda *_: pytest.fail("it waits for nothing")) == [A]
    assert developing.give_back(site.place, site.store, [A]) == {A: 5}
    assert back(site, 5) == ("1.0.0", ["application"])
    assert site.looks(A, 2)[0] == 5
    site.looks(A, 5, "phase=confirmed;seq=5")
    assert developing.give_back(site.place, site.store, [A]) == {}
    assert (site.looks(A, 5)[0], loans.states(site.store)) == (5, {})


def test_what_passes_by_the_release_of_the_channel_says_so(site: Site) -> None:
    site.borrow(A)
    site.save("one", A)
    site.publish("1.1.0")
    developing.give_back(site.place, site.store, [A])

    def passed() -> str:
        lent = lending.of(site.store, A)
        assert lent
        return borrowing.passed_by(site.place, site.store, lent)

    assert passed() == ""
    site.looks(A, 2, "phase=idle;seq=4;why=no-target")
    assert developing.give_back(site.place, site.store, [A]) == {A: 5}
    assert (back(site, 5)[0], passed()) == ("1.0.0", "what it ran at first passes 1.1.0 by")
    site.publish("1.2.0")
    assert passed() == ""  # it comes to that


def test_a_board_that_ran_nothing_before_is_told_of_and_others_come_back(site: Site) -> None:
    for board in (A, B):
        site.looks(board, 0)
    site.borrow(A, B)
    for board, version in ((A, ""), (B, "1.0.0")):
        lending.put(site.store, lending.Lent(board, 0, site.now, version, 0, back=False))
    site.save("one", A, B)
    site.publish("1.1.0")
    given = developing.give_back(site.place, site.store, [A, B])
    for board in (A, B):
        site.looks(board, 2, FAILED.format(given[board]))
    with pytest.raises(ReleaseError, match=f"^{A} ran no release of this workspace before"):
        developing.give_back(site.place, site.store, [A, B])
    assert [site.looks(board, 2)[0] for board in (A, B)] == [4, 5]


def test_a_loan_that_nobody_ends_is_over_once_the_channel_goes_on(site: Site) -> None:
    site.borrow(A, B)
    site.save("one", A, B)
    site.publish("1.1.0")
    site.now += 5 * MINUTE + 1
    assert loans.states(site.store) == {A: "silent", B: "silent"}
    site.now += HOUR - 1
    assert site.looks(A, 2) == (2, None)  # somebody may come back to it
    site.now += 1
    assert site.looks(A, 2)[0] == 3
    assert [one.board for one in lending.every(site.store)] == [B]
    site.now -= HOUR
    lending.put(site.store, lending.Lent(A, 2, site.now + 5 * MINUTE, "1.0.0", 1, back=False))  # it wakes up
    assert site.looks(A, 3) == (3, "2")


def test_what_is_left_stays_until_the_channel_has_something_newer_and_stops_no_rollout(site: Site) -> None:
    site.borrow(A)
    site.save("one", A)
    site.now += 5 * MINUTE + HOUR + 1
    assert site.looks(A, 2)[0] == 2  # 1 would be `replayed`
    assert loans.states(site.store) == {A: "silent"}
    site.publish("1.1.0", named=False)
    rollout.start(site.place, site.store, "1.1.0", rollout.Asked(steps(None, "100")), {A: "default", B: "default"})
    assert site.looks(A, 2)[0] == 3


def test_a_loan_is_no_way_round_a_press(site: Site) -> None:
    named(site)
    approval.hold(site.store, True)
    site.looks(A, 1)
    site.borrow(A)
    site.save("one", A)
    site.publish("1.1.0")
    site.looks(A, 2)
    assert developing.give_back(site.place, site.store, [A]) == {A: 4}
    assert back(site, 4)[0] == "1.0.0"
    assert site.looks(B, 1)[0] == 1
    with pytest.raises(UsageError, match=r"1\.1\.0 waits for a press of desk-2's button"):
        borrowing.borrow(site.place, site.store, {B: "desk-2"})
    approval.want(site.store, B)
    site.borrow(B)
    site.save("two", B)
    assert developing.give_back(site.place, site.store, [B]) == {B: 6}
    assert back(site, 6)[0] == "1.1.0"


@pytest.mark.parametrize("given_back", [True, False])
def test_what_somebody_developed_there_waits_for_a_press_as_a_release_does(site: Site, given_back: bool) -> None:
    named(site)
    approval.hold(site.store, True)
    site.borrow(A)
    has = site.save("one", A)
    if given_back:
        has = developing.give_back(site.place, site.store, [A])[A]
    site.looks(A, has, f"phase=confirmed;seq={has}")
    newest = site.publish("1.1.0")
    site.now += 5 * MINUTE + HOUR + 1
    assert (site.looks(A, has)[0], site.looks(B, 1)[0]) == (has, 1)
    assert approval.want(site.store, A) == newest
    assert (site.looks(A, has)[0], lending.every(site.store)) == (newest, [])


def test_a_release_that_a_board_went_back_from_waits_for_no_press_there(site: Site) -> None:
    named(site)
    site.publish("1.1.0")
    site.looks(A, 1, FAILED.format(2))
    approval.hold(site.store, True)
    assert site.borrow(A) == ["1.0.0"]


def _of_another_channel(site: Site) -> None:
    channels.promote(site.place, "1.0.0", "beta")
    site.looks(A, 1, channel="beta")
    site.borrow(B)
    site.borrow(A)


def _with_other_bases(site: Site) -> None:
    site.publish("1.1.0")
    site.looks(A, 1, FAILED.format(2))
    site.borrow(A, B)


def _esp8266(site: Site) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{site.port}/stable.json")
    request.add_header("Ota-Board", f"id={A};have=1;phase=confirmed;seq=1;why=")
    urllib.request.urlopen(request, timeout=20).close()
    site.borrow(A)


@pytest.mark.parametrize(
    ("does", "why"),
    [
        (_of_another_channel, f"{A} looks at the channel beta"),
        (_with_other_bases, rf"several releases \({A}: 1.0.0; {B}: 1.1.0\)"),
        (_esp8266, f"{A} is an ESP8266"),
    ],
)
def test_it_is_not_lent(site: Site, does: Callable[[Site], None], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        does(site)
    assert lending.of(site.store, A) is None


def test_a_board_that_is_of_this_channel_again_is_lent(site: Site) -> None:
    channels.promote(site.place, "1.0.0", "beta")
    site.looks(A, 1, channel="beta")
    site.looks(A, 1)
    assert site.borrow(A) == ["1.0.0"]


def test_people_read_which_boards_are_lent(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    named(site)
    words = ["-w", str(site.place.root)]
    site.now = time.time()
    site.borrow(A, B)
    site.save("one", A, B)
    developing.give_back(site.place, site.store, [B])
    assert main(["boards", "--seen", *words]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch("lent to `otactl dev --wifi.*`: desk-1", lines[0])
    assert lines[1] == "given back, and not come back yet; a reset makes them look: desk-2"
    assert main(["publish", "--app", str(site.root), "--version", "1.1.0", *words]) == 0
    assert "! desk-1: lent to `otactl dev --wifi" in capsys.readouterr().out
    site.looks(B, 1)
    site.now -= 6 * MINUTE
    site.save("two", A)  # and nobody since
    assert main(["boards", "--seen", *words]) == 0
    assert re.search(
        r"^lent to a `dev --wifi` that is silent; .* gives back: desk-1$", capsys.readouterr().out, re.MULTILINE
    )
    assert main(["releases", "withdraw", "1.1.0", *words]) == 0
    assert "! desk-1: lent to `otactl dev --wifi" in capsys.readouterr().out


@pytest.mark.parametrize(("url", "warns"), [("http://127.0.0.1:9", True), ("https://127.0.0.1:9", False)])
def test_plain_http_is_warned_of(site: Site, url: str, warns: bool, capsys: pytest.CaptureFixture[str]) -> None:
    settings = site.place.root / "otactl.toml"
    settings.write_text(settings.read_text().replace("https://127.0.0.1:8443", url))
    site.program("one")
    assert main(["dev", str(site.root), A, "--wifi", "-w", str(site.place.root)]) == 3  # no server is there
    assert (f"! {url} is no https" in capsys.readouterr().out) == warns


@pytest.mark.timeout(30)
def test_a_command_gives_back_what_went_wrong_and_says_where_that_fails_too(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.borrow(A)
    site.save("one", A)
    developing.give_back(site.place, site.store, [A])
    site.looks(A, 2, FAILED.format(3))

    def board() -> None:
        while site.looks(A, 2, FAILED.format(3))[0] == 3:
            time.sleep(0.05)
        site.looks(A, 2, FAILED.format(4))

    looking = threading.Thread(target=board)
    looking.start()
    assert main(["dev", "--wifi", "--back", "-w", str(site.place.root)]) == 1
    looking.join()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{A}: 1.0.0 is offered again, as sequence 4"
    assert lines[1].startswith(f"✗ {A} does not take 1.0.0: app-crashed: ")
