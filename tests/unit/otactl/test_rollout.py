"""A rollout, as boards see it: what each is answered with, by what the others have said. Time is the test's own."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import shared
from otactl.errors import ReleaseError, UsageError
from otactl.fleet import look, offer, rollout
from otactl.fleet.checkin import CheckIn
from otactl.fleet.known import known_boards
from otactl.fleet.machine import BY_HAND
from otactl.fleet.plan import steps
from otactl.fleet.rollout_tables import MOST_UNKNOWN, reading
from otactl.fleet.store import FILE, Store
from otactl.release import channels
from otactl.release.publish import publish
from otactl.workspace.workspace import Workspace
from vboard.flash.images import build_app

HOUR = 3600
OLD, NEW = 1, 2  # sequences
ALL = [f"b{number}" for number in range(8)]


@dataclass
class Fleet:
    """Boards that look at a channel. `cohorts`: of those that have one; `now`: seconds."""

    place: Workspace
    store: Store
    cohorts: dict[str, str] = field(default_factory=dict)
    now: float = 1e9

    def says(self, board: str, have: int = OLD, phase: str = "idle", sequence: int = 0, reason: str = "") -> int:
        """A look; the sequence of the release that it is answered with."""
        said = CheckIn(board, "lamp", have, phase, sequence, reason)
        path = offer.envelope_for(self.place, self.store, said, self.cohorts.get(board, "default"))
        sequence, _ = look.named_in(path)
        self.store.heard(said, "127.0.0.1", sequence)
        return sequence

    def confirms(self, board: str, sequence: int = NEW) -> int:
        return self.says(board, sequence, "confirmed", sequence)

    def rolls_back(self, board: str, reason: str = "check-wifi") -> int:
        return self.says(board, OLD, "failed", NEW, reason)

    def start(self, version: str = "1.1.0", cohorts: str | None = None, percents: str | None = None, **more) -> None:
        asked = rollout.Asked(steps(cohorts, percents), **more)
        known = {
            board: self.cohorts.get(board, cohort) for board, cohort in known_boards(self.place, self.store).items()
        }
        rollout.start(self.place, self.store, version, asked, known)

    def view(self) -> rollout.View:
        found = rollout.current(self.place, self.store)
        assert found is not None
        return found

    def boards(self, stage: int) -> list[str]:
        """Those that a stage adds."""
        with reading(self.store) as tables:
            found = tables.last()
            assert found is not None
            return [one.board for one in tables.marks(found) if one.stage == stage]

    def named(self) -> str:
        return (channels.current(self.place) or {})["version"]


@pytest.fixture(scope="module")
def published(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.0.0 in stable; 1.1.0 and 1.2.0 that no channel names; eight boards that run 1.0.0 and have looked once."""

    def make(at: Path) -> None:
        shutil.copytree(made, at, dirs_exist_ok=True)
        place = Workspace.find(at)
        for number, version in enumerate(("1.0.0", "1.1.0", "1.2.0")):
            image = at / "image.bin"
            image.write_bytes(build_app("esp32", seed=number, size=20_000))
            publish(place, [image], version, named=number == 0)
        fleet = Fleet(place, Store(at / FILE, lambda: fleet.now))
        assert {fleet.says(board) for board in ALL} == {OLD}

    return shared.made(tmp_path_factory, "rollout", make)


@pytest.fixture
def fleet(published: Path, tmp_path: Path) -> Fleet:
    shutil.copytree(published, tmp_path / "workspace")
    place = Workspace.find(tmp_path / "workspace")
    made = Fleet(place, Store(place.root / FILE, lambda: made.now))
    made.now += 1
    return made


# --- who gets it -------------------------------------------------------------------------------------------------------------


def test_boards_of_the_first_stage_get_it_and_the_rest_what_they_had(fleet: Fleet) -> None:
    fleet.start(percents="50")
    first = fleet.boards(0)
    assert 0 < len(first) < 8
    assert {board for board in ALL if fleet.says(board) == NEW} == set(first)
    assert fleet.named() == "1.0.0"  # a server without this memory serves the old one


def test_a_cohort_gets_it_first_and_nobody_else(fleet: Fleet) -> None:
    fleet.cohorts = {"b1": "canary", "b2": "lab"}
    fleet.start(cohorts="canary,lab")
    assert [board for board in ALL if fleet.says(board) == NEW] == ["b1"]
    fleet.confirms("b1")
    fleet.now += HOUR
    assert [board for board in ALL[2:] if fleet.says(board) == NEW] == ["b2"]


def test_a_stranger_is_in_the_last_stage_of_cohorts(fleet: Fleet) -> None:
    fleet.cohorts = {"b1": "canary"}
    fleet.start(cohorts="canary")
    assert fleet.says("stranger") == OLD


def test_what_boards_get_is_what_the_channel_names_at_the_end(fleet: Fleet) -> None:
    fleet.start(soak=0)
    offered = offer.envelope_for(fleet.place, fleet.store, CheckIn("b0"), "default").read_bytes()
    for board in ALL:
        fleet.says(board)
        fleet.confirms(board)
    assert fleet.view().state == "done"
    assert fleet.place.channel_file.read_bytes() == offered


def test_an_older_release_is_offered_under_the_sequence_that_the_channel_names_at_the_end(fleet: Fleet) -> None:
    channels.promote(fleet.place, "1.2.0", "stable")
    fleet.start("1.1.0", soak=0)
    assert fleet.says("b0", 3) == 4  # sealed anew
    assert channels.prepare(fleet.place, "1.0.0")[0].sequence == 5  # that one is given out
    fleet.confirms("b0", 4)
    assert (fleet.view().state, fleet.named()) == ("done", "1.1.0")
    assert look.named_in(fleet.place.channel_file)[0] == 4


def test_a_board_that_has_it_is_offered_no_older_one(fleet: Fleet) -> None:
    fleet.cohorts = {"b1": "canary"}
    fleet.start(cohorts="canary")
    assert fleet.says("b5", NEW, "confirmed", NEW) == NEW  # by cable
    rollout.abort(fleet.place, fleet.store)
    assert fleet.says("b5", NEW, "confirmed", NEW) == NEW
    fleet.start("1.2.0", cohorts="canary")
    assert fleet.says("b5", NEW, "confirmed", NEW) == NEW
    assert fleet.says("b1") == 3


def test_a_board_that_rolled_it_back_is_not_alarmed_by_an_older_one(fleet: Fleet) -> None:
    fleet.start(halt_at=1)
    assert fleet.rolls_back("b5") == NEW  # it answers failed-before
    rollout.abort(fleet.place, fleet.store)
    assert fleet.rolls_back("b5") == NEW
    assert fleet.says("b6") == OLD


# --- when a stage is over ----------------------------------------------------------------------------------------------------


def stages(fleet: Fleet) -> list[tuple[str, int, int, int]]:
    return [(one.state, one.given, one.confirmed, one.rolled_back) for one in fleet.view().stages]


@pytest.fixture
def canary(fleet: Fleet) -> Fleet:
    """1.1.0 goes to b0, b1, b2, which were given it; then to everyone."""
    fleet.cohorts = dict.fromkeys(("b0", "b1", "b2"), "canary")
    fleet.start(cohorts="canary", halt_at=2)
    for board in ("b0", "b1", "b2"):
        assert fleet.says(board) == NEW
    return fleet


def test_a_stage_waits_for_its_time(canary: Fleet) -> None:
    for board in ("b0", "b1", "b2"):
        canary.confirms(board)
    assert canary.view().state == "soaking"
    assert canary.view().why == "soaks for 60 min more"
    canary.now += HOUR - 1
    assert canary.says("b5") == OLD
    canary.now += 1
    assert canary.says("b5") == NEW
    assert stages(canary) == [("over", 3, 3, 0), ("running", 1, 0, 0)]


def test_a_stage_waits_for_all_that_were_given_it(canary: Fleet) -> None:
    canary.confirms("b0")
    canary.confirms("b1")
    canary.now += 10 * HOUR
    assert canary.says("b5") == OLD
    assert canary.view().why == "waits for b2 to confirm"


def test_silence_is_no_evidence(fleet: Fleet) -> None:
    fleet.cohorts = {"b1": "canary"}
    fleet.start(cohorts="canary")
    fleet.now += 10 * HOUR
    assert fleet.says("b5") == OLD
    assert fleet.view().why == "none of its boards has looked since"


def test_each_stage_has_a_window_of_its_own(canary: Fleet) -> None:
    for board in ("b0", "b1", "b2"):
        canary.confirms(board)
    canary.now += 10 * HOUR
    assert canary.says("b5") == NEW
    canary.confirms("b5")
    assert (canary.view().stage, canary.view().state) == (1, "soaking")  # the last stage began just now
    assert canary.named() == "1.0.0"


def test_the_word_of_a_board_has_to_stand_as_long_as_it_takes_to_look_again(canary: Fleet) -> None:
    canary.now += 10 * HOUR
    for board in ("b0", "b1", "b2"):
        canary.confirms(board)
    canary.now += HOUR - 1
    assert canary.says("b5") == OLD
    assert canary.view().why == "soaks for 1 s more"
    canary.now += 1
    assert canary.says("b5") == NEW


def test_a_share_without_a_board_ends_with_its_time(fleet: Fleet) -> None:
    fleet.cohorts = dict.fromkeys(ALL, "canary")
    fleet.start(cohorts="canary")
    for board in ALL:
        fleet.says(board)
        fleet.confirms(board)
    for state in ("soaking", "done"):
        fleet.now += HOUR
        fleet.confirms("b0")
        assert (fleet.view().stage, fleet.view().state) == (1, state)


def test_a_cohort_without_a_board_waits_for_a_person(fleet: Fleet) -> None:
    """Its name may be misspelt, and those that were meant have not tried it."""
    fleet.cohorts = {"b0": "canary"}
    fleet.start(cohorts="canary,labb")
    fleet.says("b0")
    fleet.confirms("b0")
    fleet.now += HOUR
    assert fleet.says("b5") == OLD
    assert fleet.view().stage == 1
    fleet.now += 10 * HOUR
    assert fleet.says("b5") == OLD
    assert fleet.view().why == "no known board is in this stage: `otactl rollout next` goes on"
    rollout.go_on(fleet.place, fleet.store)
    assert fleet.says("b5") == NEW


def test_as_many_as_were_asked_for_are_enough(fleet: Fleet) -> None:
    fleet.cohorts = dict.fromkeys(("b0", "b1", "b2"), "canary")
    fleet.start(cohorts="canary", least=2, soak=0)
    for board in ("b0", "b1", "b2"):
        fleet.says(board)
    fleet.confirms("b0")
    assert fleet.view().stage == 0
    fleet.confirms("b1")
    assert fleet.view().stage == 1


def test_by_hand_a_stage_waits_for_a_person(fleet: Fleet) -> None:
    fleet.cohorts = {"b0": "canary"}
    fleet.start(cohorts="canary", soak=0, mode=BY_HAND)
    fleet.says("b0")
    fleet.confirms("b0")
    assert fleet.says("b5") == OLD
    assert rollout.go_on(fleet.place, fleet.store).stage == 1
    assert fleet.says("b5") == NEW
    assert rollout.go_on(fleet.place, fleet.store).state == "done"
    assert fleet.named() == "1.1.0"


# --- what stops it -----------------------------------------------------------------------------------------------------------


def test_two_that_roll_back_stop_it_and_the_rest_is_untouched(canary: Fleet) -> None:
    canary.confirms("b2")
    canary.rolls_back("b0")
    assert canary.view().state == "running"
    assert canary.rolls_back("b1", "deadline") == NEW  # which it knows, and does not try again
    assert canary.view().state == "halted"
    assert canary.view().why == "b0 (check-wifi), b1 (deadline) rolled it back"
    canary.now += 10 * HOUR
    assert {canary.says(board) for board in ALL[3:]} == {OLD}
    assert canary.confirms("b2") == NEW  # keeps it
    assert canary.named() == "1.0.0"


def test_once_it_has_stopped_a_board_that_has_not_tried_it_does_not_get_it(canary: Fleet) -> None:
    canary.rolls_back("b0")
    assert canary.says("b2") == NEW
    canary.rolls_back("b1")
    assert canary.says("b2") == OLD


def test_a_board_counts_once(canary: Fleet) -> None:
    for _ in range(3):
        canary.rolls_back("b0")
    assert canary.view().state == "running"


@pytest.mark.parametrize("reason", ["on-hold", "dns", "stalled", "wifi-failed", "flash-write"])
def test_what_is_not_the_releases_fault_stops_nothing(canary: Fleet, reason: str) -> None:
    for board in ("b0", "b1", "b2"):
        canary.rolls_back(board, reason)
    assert stages(canary)[0] == ("running", 3, 0, 0)


def test_trials_that_met_a_network_that_was_down_stop_nothing_and_confirm_nothing(canary: Fleet) -> None:
    """P6: an access point that was off says nothing of the release."""
    for board in ("b0", "b1", "b2"):
        canary.says(board, OLD, "held", NEW, "check-wifi")
    canary.confirms("b2")
    canary.now += 10 * HOUR
    assert canary.says("b5") == OLD
    assert stages(canary)[0] == ("running", 3, 1, 0)
    assert canary.view().stages[0].held == 2
    assert canary.view().why == "waits for b0 (tries again: check-wifi), b1 (tries again: check-wifi) to confirm"
    assert canary.says("b0", OLD, "idle", NEW, "on-hold") == NEW  # which it needs for that
    canary.confirms("b0")
    canary.rolls_back("b1", "deadline")
    assert stages(canary)[0] == ("soaking", 3, 2, 1)
    assert canary.view().stages[0].held == 0


def test_a_board_that_tries_it_again_does_not_get_it_once_it_has_stopped(canary: Fleet) -> None:
    canary.says("b2", OLD, "held", NEW, "check-server")
    canary.rolls_back("b0")
    canary.rolls_back("b1")
    assert canary.says("b2", OLD, "held", NEW, "check-server") == OLD


def test_a_board_that_had_confirmed_does_not_try_it_again(canary: Fleet) -> None:
    canary.confirms("b0")
    canary.says("b0", OLD, "held", NEW, "check-wifi")
    canary.says("b0", NEW, "held", NEW, "check-wifi")
    canary.confirms("b0")
    assert stages(canary)[0] == ("running", 3, 0, 0)
    assert canary.view().why == "b0 had confirmed, and then ran another release: look at it, or `otactl rollout next`"


def test_what_was_rolled_back_stays_so(canary: Fleet) -> None:
    canary.rolls_back("b0")
    canary.confirms("b0")
    assert stages(canary)[0] == ("running", 3, 0, 1)


def test_another_releases_failure_stops_nothing(canary: Fleet) -> None:
    for board in ("b0", "b1", "b2"):
        canary.says(board, OLD, "failed", OLD, "deadline")
    assert canary.view().state == "running"


def test_after_a_halt_the_successor_goes_through(canary: Fleet) -> None:
    canary.rolls_back("b0")
    canary.rolls_back("b1")
    canary.start("1.2.0", percents="100", soak=0)
    for board in ALL:
        assert canary.says(board, OLD, "failed", NEW, "deadline") == 3
    for board in ALL:
        canary.confirms(board, 3)
    assert canary.view().state == "done"
    assert canary.named() == "1.2.0"
    with canary.store.reading() as db:
        ended = db.execute("SELECT version, state, why FROM rollouts ORDER BY number").fetchall()
    assert ended[0] == ("1.1.0", "aborted", "1.2.0 is its successor")


# --- what a person does ------------------------------------------------------------------------------------------------------


def test_while_it_is_paused_no_further_board_gets_it(canary: Fleet) -> None:
    canary.cohorts["b3"] = "canary"
    canary.confirms("b0")
    rollout.pause(canary.store)
    canary.now += 10 * HOUR
    assert canary.says("b3") == OLD
    assert canary.says("b1") == NEW  # was given it before
    assert canary.confirms("b0") == NEW
    canary.confirms("b1")
    canary.confirms("b2")
    assert canary.view().state == "paused"  # beats raise
    rollout.resume(canary.store)
    canary.says("b5")
    assert canary.view().state == "soaking"  # from the start
    canary.now += HOUR
    assert canary.says("b5") == NEW


def test_a_paused_one_stops_for_good_where_boards_roll_back(canary: Fleet) -> None:
    rollout.pause(canary.store)
    canary.rolls_back("b0")
    canary.rolls_back("b1")
    assert canary.view().state == "halted"


def test_after_abort_all_get_what_the_channel_named(canary: Fleet) -> None:
    rollout.abort(canary.place, canary.store)
    assert {canary.says(board) for board in ALL} == {OLD}
    assert canary.view().state == "aborted"


def test_who_aborts_from_afar_says_which(canary: Fleet) -> None:
    with pytest.raises(UsageError, match=r"the rollout of 1\.0\.9 is over: now it is 1\.1\.0 that is running"):
        rollout.give_up(canary.store, "1.0.9")
    assert rollout.give_up(canary.store, "1.1.0").state == "aborted"
    assert {canary.says(board) for board in ALL} == {OLD}
    with pytest.raises(UsageError, match="is aborted"):
        rollout.give_up(canary.store, "1.1.0")


def test_after_abort_back_boards_that_have_it_get_the_one_before_as_a_newer_one(canary: Fleet) -> None:
    canary.confirms("b0")
    rollout.abort(canary.place, canary.store, back=True)
    assert canary.named() == "1.0.0"
    assert canary.confirms("b0") == 4  # 3 is 1.2.0's
    assert canary.says("b5") == 4
    assert canary.view().state == "aborted"


def test_a_second_one_is_refused_while_one_runs(canary: Fleet) -> None:
    with pytest.raises(UsageError, match=r"1\.1\.0 is being rolled out to stable \(running\): `otactl rollout abort`"):
        canary.start("1.2.0")
    assert canary.view().version == "1.1.0"


def test_what_stopped_in_one_channel_is_not_ended_by_another(canary: Fleet) -> None:
    canary.rolls_back("b0")
    canary.rolls_back("b1")
    channels.promote(canary.place, "1.0.0", "beta")
    asked = rollout.Asked(steps(None, None))
    with pytest.raises(UsageError, match=r"is being rolled out to stable \(halted\)"):
        rollout.start(canary.place.on("beta"), canary.store, "1.2.0", asked, {})


def test_what_the_channel_names_is_not_rolled_out(fleet: Fleet) -> None:
    with pytest.raises(UsageError, match=r"names 1\.0\.0 already"):
        fleet.start("1.0.0")
    with pytest.raises(UsageError, match="no release 9"):
        fleet.start("9")


def test_a_channel_that_another_hand_moves_on_ends_it(canary: Fleet) -> None:
    channels.promote(canary.place, "1.2.0", "stable")
    assert canary.says("b0") == 3
    assert canary.view().state == "aborted"
    assert canary.view().why == "stable names a later release, by another hand"


def test_a_channel_that_another_hand_lets_name_it_completes_it(canary: Fleet) -> None:
    channels.promote(canary.place, "1.1.0", "stable")
    assert canary.says("b7") == NEW
    assert canary.view().state == "done"


def test_without_the_envelope_boards_get_what_the_channel_names(canary: Fleet) -> None:
    (canary.place.root / rollout.FOLDER / f"{NEW}.json").unlink()
    assert canary.says("b0") == OLD


def test_an_envelope_of_somebody_else_is_not_let_into_the_channel(fleet: Fleet) -> None:
    fleet.start(soak=0)
    envelope = fleet.place.root / rollout.FOLDER / f"{NEW}.json"
    envelope.write_bytes((fleet.place.releases / "1.2.0" / "release.json").read_bytes())
    with pytest.raises(ReleaseError, match=r"is not the envelope of 1\.1\.0"):
        rollout.go_on(fleet.place, fleet.store)
    assert fleet.named() == "1.0.0"


def test_the_memory_lost_is_the_old_release(canary: Fleet) -> None:
    for path in canary.place.root.glob(f"{FILE}*"):
        path.unlink()
    canary.store = Store(canary.place.root / FILE, lambda: canary.now)
    assert canary.says("b0") == OLD


# --- what a forger can do ----------------------------------------------------------------------------------------------------


def test_made_up_boards_that_confirm_let_nothing_go_on(fleet: Fleet) -> None:
    fleet.start(percents="50", soak=0)
    for number in range(50):
        fleet.confirms(f"forged{number}")
    assert fleet.view().stage == 0
    assert sum(one.confirmed for one in fleet.view().stages) > 0  # shown, and not counted


def test_made_up_boards_that_roll_back_stop_it(fleet: Fleet) -> None:
    fleet.start()
    fleet.rolls_back("forged1")
    fleet.rolls_back("forged2")
    assert fleet.view().state == "halted"


def test_a_board_that_contradicts_who_speaks_for_it_counts_no_more(canary: Fleet) -> None:
    for board in ("b0", "b1", "b2"):
        canary.confirms(board)  # said by another
    canary.says("b1")  # its own look
    canary.confirms("b1")
    canary.now += 10 * HOUR
    assert canary.says("b5") == OLD
    assert canary.view().why == "b1 had confirmed, and then ran another release: look at it, or `otactl rollout next`"


def test_who_speaks_for_boards_at_the_last_moment_does_not_end_the_stage(canary: Fleet) -> None:
    canary.now += HOUR - 1
    for board in ("b0", "b1", "b2"):
        canary.confirms(board)  # said by another
    canary.now += HOUR - 1
    canary.says("b1")  # its own look, as often as boards do
    canary.now += 10 * HOUR
    assert canary.says("b5") == OLD


def test_what_is_claimed_by_a_board_in_a_later_stage_stops_nothing(canary: Fleet) -> None:
    canary.rolls_back("b5")
    canary.rolls_back("b6")
    assert canary.view().state == "running"


def test_the_boards_of_old_rollouts_are_forgotten(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otactl.fleet.rollout_tables.KEPT", 2)
    for _ in range(4):
        fleet.start()
        rollout.abort(fleet.place, fleet.store)
    with fleet.store.reading() as db:
        assert db.execute("SELECT DISTINCT rollout FROM rollout_boards").fetchall() == [(3,), (4,)]


def test_strangers_fill_no_table(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_UNKNOWN == 1000
    monkeypatch.setattr("otactl.fleet.rollout_tables.MOST_UNKNOWN", 5)
    fleet.start()
    for number in range(9):
        fleet.says(f"forged{number}")
    assert fleet.view().stages[0].given == 5
    fleet.rolls_back("b0")
    fleet.rolls_back("b1")  # who was known is heard all the same
    assert fleet.view().state == "halted"
