"""Boards that somebody develops on: what they, and no others, are answered with, and what becomes of it. Over plain HTTP, as boards ask."""

import json
import re
import time
from collections.abc import Callable

import pytest
from lessons import MINUTE, A, B, Site, payload
from otactl.board.dev.folder import Folder
from otactl.errors import RigError, UsageError
from otactl.fleet import borrowing, developing, lending, look, rollout
from otactl.fleet.plan import steps
from otactl.release import channels, drafts
from otactl.release.drafts import Draft
from otactl.release.publish import publish
from otactl.server.server import Server
from otactl.workspace.workspace import Workspace


def test_a_draft_is_for_the_boards_that_were_lent_alone(site: Site) -> None:
    assert site.borrow(A) == ["1.0.0"]
    assert site.looks(A, 1) == (1, "2")
    assert site.save("one", A) == 2
    assert (site.looks(A, 1), site.looks(B, 1)) == ((2, "2"), (1, None))
    assert [target["boards"] for target in payload(drafts.path(site.place, 2).read_bytes())["targets"]] == [[A]]
    assert site.save("two", A) == 3
    assert site.looks(A, 2) == (3, "2")
    site.now += 5 * MINUTE  # nobody has asked for it since
    assert site.looks(A, 3) == (3, None)
    assert [one.version for one in channels.releases(site.place)] == ["1.0.0"]


def test_boards_are_named_by_tag_name_or_address_and_all_of_them_get_the_draft(site: Site) -> None:
    (site.place.root / "boards.toml").write_text(f'[[board]]\nname = "desk-1"\nmac = "{A}"\ntags = ["class"]\n')
    (site.place.root / "boards.csv").write_text(f"{B},desk-2\n")
    for words, tags, found in [
        ([], ["class"], {A: "desk-1"}),
        (["all"], [], {A: "desk-1"}),
        (["desk-2"], ["class"], {B: "desk-2", A: "desk-1"}),
        (["24:0A:C4:00:00:02"], [], {B: "desk-2"}),
    ]:
        assert borrowing.chosen(site.place, site.store, words, tags) == found
    site.borrow(A, B)
    assert site.save("one", A, B) == 2
    assert [site.looks(board, 1) for board in (A, B)] == [(2, "2"), (2, "2")]
    assert developing.give_back(site.place, site.store, [A, B]) == {A: 3, B: 3}


def test_a_head_tells_of_a_loan_and_makes_no_board(site: Site) -> None:
    site.borrow(A)
    assert site.looks(A, 9, method="HEAD") == (0, "2")
    assert site.looks("240ac4000003", 9, method="HEAD") == (0, None)
    assert [(seen.said.id, seen.said.have) for seen in site.store.boards()] == [(A, 1), (B, 1)]


def test_what_ran_before_comes_again_above_all_and_the_next_release_above_that(site: Site) -> None:
    site.borrow(A)
    site.save("one", A)
    assert developing.give_back(site.place, site.store, [A]) == {A: 3}
    back = payload(drafts.path(site.place, 3).read_bytes())
    before = payload((site.place.releases / "1.0.0" / "release.json").read_bytes())
    application = next(target for target in before["targets"] if target["kind"] == "application")
    assert (back["version"], back["targets"]) == ("1.0.0", [application | {"boards": [A]}])
    assert (channels.current(site.place) or {})["sequence"] == 1
    assert (site.looks(A, 2)[0], site.looks(A, 3)[0], site.looks(B, 1)[0]) == (3, 3, 1)  # 1 would be `replayed`
    assert site.publish("1.1.0") == 4
    assert (site.looks(A, 3)[0], site.looks(B, 1)[0]) == (4, 4)
    assert site.looks(A, 4) == (4, None)
    assert lending.every(site.store) == []


def test_a_release_that_came_meanwhile_is_what_boards_come_back_to(site: Site, firmware_file) -> None:
    site.borrow(A)
    site.save("one", A)
    assert site.publish("1.1.0", [firmware_file(seed=2)]) == 3
    assert site.looks(A, 2)[0] == 2  # somebody is at work there
    assert developing.give_back(site.place, site.store, [A]) == {A: 4}
    back = payload(drafts.path(site.place, 4).read_bytes())
    assert (back["version"], [one["kind"] for one in back["targets"]]) == ("1.1.0", ["firmware", "application"])


def test_an_older_release_that_a_channel_comes_to_is_above_drafts(site: Site) -> None:
    assert site.publish("1.1.0", named=False) == 2
    site.borrow(A)
    assert site.save("one", A) == 3
    developing.give_back(site.place, site.store, [A])
    assert channels.promote(site.place, "1.1.0", "stable").sequence == 5
    assert site.looks(A, 4)[0] == 5


def test_a_loop_that_was_killed_has_left_what_the_next_one_needs(site: Site) -> None:
    site.borrow(A)
    site.save("one", A)
    site.looks(A, 2, "phase=confirmed;seq=2")
    assert site.borrow(A) == ["1.0.0"]
    assert site.looks(A, 2)[0] == 2
    assert developing.give_back(site.place, site.store, [A]) == {A: 3}


def test_a_board_that_has_something_newer_than_a_killed_loop_left_comes_back_to_that(site: Site) -> None:
    site.borrow(A)
    site.save("one", A)
    assert site.publish("1.1.0") == 3
    site.looks(A, 3, "phase=confirmed;seq=3")
    assert site.borrow(A) == ["1.1.0"]
    assert developing.give_back(site.place, site.store, [A]) == {}


def test_a_board_that_was_offered_nothing_is_let_go_as_it_was(site: Site) -> None:
    site.borrow(A, B)
    site.save("one", A)
    assert developing.give_back(site.place, site.store, [A, B]) == {A: 3}
    assert [one.board for one in lending.every(site.store)] == [A]
    site.looks(A, 3, "phase=confirmed;seq=3")
    site.borrow(A)
    assert site.looks(A, 3)[0] == 3
    assert developing.give_back(site.place, site.store, [A]) == {}
    assert site.looks(A, 3) == (3, None)


def test_what_a_program_raised_is_kept_for_who_develops(site: Site) -> None:
    said = "phase=failed;seq=2;why=app-crashed;what=OSError(28,)"
    site.looks(B, 1, said)
    site.borrow(A)
    site.save("one", A)
    site.looks(A, 1, said)
    assert [lending.raised(site.store, board, 2) for board in (A, B)] == ["OSError(28,)", ""]


def test_only_drafts_that_boards_name_are_kept(site: Site) -> None:
    site.borrow(A)
    made = []
    for number in range(5):
        made.append(site.save(f"# {number}", A))
        assert site.looks(A, 1)[0] == made[-1]
    theirs = site.place.releases / "1.0.0+dev.99"
    theirs.mkdir()
    (theirs / "release.json").write_text("{}")
    site.looks(A, made[1])
    assert borrowing.tidy(site.place, site.store, 1) == 2
    assert drafts.sequences(site.place) == [made[1], made[4]]
    left = {path.name for path in site.place.releases.iterdir()}
    assert left == {"stable.json", "1.0.0", f"1.0.0+dev.{made[1]}", f"1.0.0+dev.{made[4]}", theirs.name}
    assert sorted(look.versions(site.place, site.store)) == [1, made[1], made[4]]
    kept = json.loads((site.place.root / "published.json").read_text())
    assert sorted(map(int, kept)) == [1, made[1], made[4]]
    assert site.publish("1.1.0") == made[4] + 1


def test_what_a_workspace_writes_is_no_save_of_the_program_in_it(site: Site) -> None:
    root = site.place.root
    (root / "app.py").write_text("print(1)")
    watched = Folder(root)
    site.borrow(A)
    site.save("one", A)
    time.sleep(0.3)
    watched.newest()
    time.sleep(0.3)
    assert (watched.newest().number, list(watched.newest().files)) == (1, ["app.py"])


@pytest.mark.parametrize(
    ("base", "sequence", "version"),
    [
        ("1.4.0", 17, "1.4.0+dev.17"),
        ("1.4.0+lab", 17, "1.4.0+lab.dev.17"),
        ("a-version-of-thirty-two-letters-", 17, "dev.17"),
    ],
)
def test_a_draft_is_named_by_what_it_comes_after(base: str, sequence: int, version: str) -> None:
    assert Draft(base, [A]).version(sequence) == version
    assert (drafts.sequence_in(version), drafts.sequence_in(base)) == (sequence, 0)


def _chosen(site: Site, *words: str) -> None:
    borrowing.chosen(site.place, site.store, words, [])


def _nameless(site: Site) -> None:
    (site.place.root / "boards.toml").write_text('[[board]]\nname = "desk"\nport = "/dev/ttyUSB0"\n')
    _chosen(site, "desk")


def _by_cable(site: Site) -> None:
    site.looks(A, 0)
    site.place.channel_file.unlink()
    site.borrow(A)


def _without_application(site: Site) -> None:
    publish(site.place, [site.place.releases / "1.0.0" / "esp32.bin"], "1.1.0")
    site.borrow(A)


def _start(site: Site) -> None:
    site.publish("1.1.0", named=False)
    rollout.start(site.place, site.store, "1.1.0", rollout.Asked(steps(None, "50")), {A: "default", B: "default"})


def _while_a_rollout_runs(site: Site) -> None:
    _start(site)
    site.borrow(A)


def _rollout_meanwhile(site: Site) -> None:
    site.borrow(A)
    _start(site)


def _without_a_key(site: Site) -> None:
    site.borrow(A)
    site.place.key_file.unlink()
    site.save("one", A)


@pytest.mark.parametrize(
    ("does", "why"),
    [
        (lambda site: _chosen(site, "desk-07"), "desk-07 has never looked at this server"),
        (_chosen, f"name the boards: those that have looked at this server are {A}, {B}"),
        (_nameless, "does not say the mac of desk"),
        (_by_cable, f"{A} runs no release of this workspace"),
        (_without_application, f"{A} could not be given back, as 1.1.0 has no application"),
        (_while_a_rollout_runs, "1.1.0 is being rolled out to stable"),
        (_rollout_meanwhile, f"somebody develops on {A}"),
        (_without_a_key, "release.pem"),
    ],
)
def test_it_is_refused(site: Site, does: Callable[[Site], None], why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        does(site)
    assert drafts.sequences(site.place) == []


@pytest.mark.parametrize("hub", [True, False])
def test_a_server_that_is_no_hub_of_this_workspace_is_told(site: Site, hub: bool) -> None:
    with Server(site.place.releases, None, "127.0.0.1", 0, lambda _: None) as plain:
        settings = site.place.root / "otactl.toml"
        port = site.port if hub else plain.port
        settings.write_text(settings.read_text().replace("https://127.0.0.1:8443", f"http://127.0.0.1:{port}"))
        place = Workspace.find(site.place.root)
        site.borrow(A)
        if hub:
            borrowing.require_hub(place, A)
            return
        with pytest.raises(RigError, match="does not know of this"):
            borrowing.require_hub(place, A)
    with pytest.raises(RigError, match=f"no server at {place.channel_url}"):
        borrowing.require_hub(place, A)
