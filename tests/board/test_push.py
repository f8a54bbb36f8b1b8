"""An update by cable, judged by what is in flash and what boots; what is refused is refused as over the network."""

import json
from pathlib import Path
from typing import Any

import apps
import cable
import pytest
import rig as rigs
from cable import newest, pushed
from cryptography.hazmat.primitives.asymmetric import rsa
from near import near
from otactl.board import agent, copying
from otactl.board import push as pushing
from otactl.board.follow import Event
from otactl.board.link import Link
from otactl.board.push import push
from otactl.cli.main import main
from otactl.errors import ReleaseError
from otactl.release import archive
from otactl.release.delta.offer import Asked
from otactl.release.offer import Offer
from otactl.workspace.roster import Entry, Roster
from otactl.workspace.workspace import Workspace
from rig import NEW, OLD, Rig, boots, image, slot_bytes
from vboard.board import Board
from vboard.flash import images
from vboard.flash.otadata import State

WORDY = cable.wordy(80 << 10)


@pytest.fixture
def cabled(rig: Rig) -> Board:
    return cable.cabled(rig)


@pytest.mark.parametrize(("raw", "build"), [(False, ""), (True, ""), (True, "no deflate")])
def test_board_without_a_network_takes_a_release_by_its_cable(
    rig: Rig, cabled: Board, raw: bool, build: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.publish("1.1.0", WORDY)
    if build:
        code = agent.cable()
        assert code.count("import deflate\n") == 1
        monkeypatch.setattr(agent, "cable", lambda: code.replace("import deflate\n", "import not_in_this_build\n"))
    done = pushed(cabled, newest(rig), raw=raw and not build)
    assert (done.outcome.name, done.outcome.version) == ("confirmed", "1.1.0")
    assert boots(cabled) == ("ota_1", State.VALID)
    assert slot_bytes(cabled, "ota_1", len(WORDY)) == WORDY
    assert (done.start, done.sent) == (0, len(WORDY))
    assert done.wire > len(WORDY) if raw else done.wire < len(WORDY) // 2
    assert not rig.transfers  # nothing of it came over the network


def test_release_that_fails_its_trial_is_rolled_back_and_not_taken_again(rig: Rig, cabled: Board) -> None:
    rig.publish("1.1.0", image(2, panic=True))
    done = pushed(cabled, newest(rig))
    assert (done.outcome.name, done.outcome.reason) == ("rolled-back", "trial-crash")
    assert boots(cabled) == ("ota_0", State.VALID)
    again = pushed(cabled, newest(rig))
    assert (again.outcome.name, again.outcome.reason, again.sent) == ("refused", "failed-before", 0)


STRANGER = rsa.generate_private_key(65537, 3072)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "signed by a stranger": ({"sign": STRANGER}, "unknown-key"),
    "for another chip": ({"target__chip": "esp32s3"}, "no-target"),
    "of another product": ({"product": "toaster"}, "wrong-product"),
    "larger than the slot": ({"target__size": 0x1B0001}, "too-big"),
    "whose file is an image of another chip": ({"data": images.build_app("esp32s3", size=20000)}, "wrong-chip"),
    "with a lower sequence": ({"sequence": 1}, "older"),
    "with a lower security version": ({"security_version": 0}, "security-version"),
}


def test_what_the_network_is_refused_the_cable_is_refused(rig: Rig, cabled: Board) -> None:
    """P1, P7, P8: by the codes of test_refusals.py, and nothing of the slot was touched."""
    rig.publish("1.1.0", NEW, security_version=1)
    assert pushed(cabled, newest(rig)).outcome.name == "confirmed"
    before, codes = len(cabled.flash.trace), {}
    with Link(str(cabled.port)) as link:
        for name, (changes, _) in REFUSED.items():
            payload = rig.forge(**{"security_version": 1, **changes})
            sealed = rig.workspace.channel_file.read_bytes()
            offered = Offer("6.6.6", sealed, payload["targets"], rig.workspace.releases)
            codes[name] = push(link, offered, lambda _: None).outcome.reason
            link.enter_repl()
    assert codes == {name: code for name, (_, code) in REFUSED.items()}
    assert not rigs.touched(cabled, "ota_0", before)
    assert boots(cabled) == ("ota_1", State.VALID)


def test_altered_release_is_refused(rig: Rig, cabled: Board) -> None:
    rig.publish("1.1.0", NEW)
    good = newest(rig)
    other = json.loads((rig.workspace.releases / "1.0.0" / "release.json").read_bytes())
    altered = json.dumps(json.loads(good.envelope) | {"signatures": other["signatures"]}).encode()
    done = pushed(cabled, Offer("1.1.0", altered, good.targets, good.releases))
    assert (done.outcome.name, done.outcome.reason, done.sent) == ("refused", "bad-signature", 0)
    assert not rigs.touched(cabled, "ota_1")


def test_image_that_is_not_what_was_signed_is_not_sent(rig: Rig, cabled: Board) -> None:
    rig.publish("1.1.0", NEW)
    (rig.workspace.releases / "1.1.0" / "esp32.bin").write_bytes(OLD)
    with pytest.raises(ReleaseError, match=r"not what 1\.1\.0 was signed with"):
        pushed(cabled, newest(rig))
    assert not rigs.touched(cabled, "ota_1")


def test_trial_that_asks_for_a_network_which_is_not_configured_is_told_before(rig: Rig) -> None:
    asks = {**rigs.TRIAL, "deadline_s": 10, "checks": [{"check": "server", "timeout_s": 1}]}
    board = cable.cabled(rig, {"trial": asks})
    rig.publish("1.1.0", NEW)
    seen: list[Event] = []
    done = pushed(board, newest(rig), seen.append)
    assert seen[0].name == "warning" and "trial.checks" in seen[0].facts[0]
    assert (done.outcome.name, done.outcome.reason) == ("rolled-back", "check-server")  # it was not weakened


# --- memory ----------------------------------------------------------------------------------

PEAK = """
import gc
from ota import agent
from ota import release
from ota.install import job, pipeline, sectors, source, update
from ota.release import envelope, keys, policy
release.let_go("envelope", "signature", "keys", "policy")  # their names are there for good
del envelope, keys, policy
gc.collect()
_base, _most = gc.mem_alloc(), [0]
def _progress(phase, done, total):
    gc.collect()
    _most[0] = max(_most[0], gc.mem_alloc() - _base)
    if done == total:
        print("ota: heap", phase, _most[0])
_told(push, {envelope!r}, {how!r}, _progress)
"""
EACH = """
import gc
from ota import agent
_seen = []
def _progress(phase, done, total):
    if phase == "download":
        if not _seen:
            gc.collect()
            gc.disable()
        _seen.append(gc.mem_alloc())
        if done == total:
            gc.enable()
            print("ota: heap", (_seen[-1] - _seen[0]) // (len(_seen) - 1))
_told(push, {envelope!r}, {how!r}, _progress)
"""


def heap_told(board: Board, offered: Offer) -> list[int]:
    seen: list[Event] = []
    done = pushed(board, offered, seen.append).outcome
    assert done.name == "confirmed", done
    return [int(event.facts[-1]) for event in seen if event.name == "heap"]


def test_working_memory_is_bounded_and_does_not_grow_with_the_image(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: 16 KiB and the block above the loaded modules, deflate's window among them; on a heap smaller than a chip's."""
    board, peaks = cable.cabled(rig, heap_kib=158), []
    monkeypatch.setattr(pushing, "_PUSH", PEAK)
    # The first two go over slots that the record knows nothing of, which takes 1 KiB more.
    for version, size in (("1.1.0", 32 << 10), ("1.2.0", 34 << 10), ("1.2.1", 48 << 10), ("1.2.2", 150 << 10)):
        rig.publish(version, cable.wordy(size))
        peaks.append(max(heap_told(board, newest(rig))))
    monkeypatch.setattr(pushing, "_PUSH", EACH)
    rig.publish("1.3.0", WORDY)
    (each,) = heap_told(board, newest(rig))
    print(
        f"\nP9: push takes {max(peaks)} B of the heap above the modules; a block leaves {each} B until the next collection"
    )
    assert max(peaks) <= (16 << 10) + 4096
    assert abs(peaks[3] - peaks[2]) < 1024  # the collector takes a word on the stack for the address of what is gone
    assert each <= 1024  # two frames: what asks for them, their heads and sums, memoryviews


# --- the command -----------------------------------------------------------------------------


def test_command_makes_a_release_of_a_file_that_no_channel_names(
    rig: Rig, cabled: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "firmware.bin"
    file.write_bytes(WORDY)
    words = ["push", "-w", str(rig.workspace.root), str(cabled.port), str(file)]
    assert main([*words, "--json", "--compare"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["version"]) == ("confirmed", "push-2")
    assert told["push"]["sent"] == len(WORDY)
    assert 0 < told["mpremote_cp"]["size"] <= len(WORDY)
    assert boots(cabled) == ("ota_1", State.VALID)
    assert slot_bytes(cabled, "ota_1", len(WORDY)) == WORDY
    assert newest(rig).version == "1.0.0"
    assert ".otactl-copy" not in rigs.ask(cabled, "import os\nprint(os.listdir('/'))")
    assert main(words) == 0  # the same file is the same release
    assert "push-2 is what the board has" in capsys.readouterr().out


def test_several_boards_get_the_one_release_that_is_made(
    rig: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "firmware.bin"
    file.write_bytes(WORDY)
    known = Roster.load(rig.workspace.root)
    boards = {name: cable.cabled(rig) for name in ("desk-0", "desk-1")}
    for name, board in boards.items():
        known.add(Entry(name, str(board.port), tags=("wired",)))
    known.save()
    words = ["push", "-w", str(rig.workspace.root), "--tag", "wired", str(file)]
    assert main([*words, "--compare"]) == 2
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["boards"]
    assert [(name, one["version"], one["push"]["sent"]) for name, one in told.items()] == [
        (name, "push-2", len(WORDY)) for name in boards
    ]
    assert [boots(board) for board in boards.values()] == [("ota_1", State.VALID)] * 2


def test_copy_that_is_interrupted_leaves_no_file_on_the_board(cabled: Board) -> None:
    def moved(done: int, _: int) -> None:
        if done > 1000:
            raise KeyboardInterrupt

    with rigs.repl(cabled) as link:
        with pytest.raises(KeyboardInterrupt):
            copying.measure(link, WORDY, moved)
        assert link.value("os.listdir('/')", "import os").count(".otactl-copy") == 0


def test_command_says_why_a_release_is_refused(rig: Rig, cabled: Board, capsys: pytest.CaptureFixture[str]) -> None:
    rig.publish("1.1.0", NEW, build="SOMETHING_ELSE")
    assert main(["push", "-w", str(rig.workspace.root), str(cabled.port)]) == 1
    assert "no-target (esp32 ESP32_GENERIC): The release has nothing for this chip" in capsys.readouterr().out


def test_application_comes_by_cable_alone_and_with_firmware(
    rig: Rig, cabled: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    """A release made of a folder goes the way of any other: trial, and the way back."""
    lesson = rig.root / "lesson"
    lesson.mkdir()
    words = ["push", "-w", str(rig.workspace.root), "--app", str(lesson), "--json", str(cabled.port)]
    for text, version, firmware, slot in (
        ("print('app: one')", "push-2", None, "ota_1"),
        ("print('app: two')", "push-3", NEW, "ota_0"),
        ("1 / 0", "push-4", None, "ota_0"),
    ):
        (lesson / "app.py").write_text(text)
        (rig.root / "new.bin").write_bytes(firmware or b"")
        code = main([*words, *([str(rig.root / "new.bin")] if firmware else [])])
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (code, told["version"], told["reason"]) == (
            (0, version, "") if text != "1 / 0" else (1, version, "app-crashed")
        )
        assert boots(cabled) == (slot, State.VALID)
    assert slot_bytes(cabled, "ota_0", len(NEW)) == NEW
    packed = {n: archive.unpack((rig.workspace.releases / f"push-{n}" / "app.cpio").read_bytes()) for n in (2, 3, 4)}
    assert apps.trees(cabled) == {"ota_0": packed[3], "ota_1": packed[4]}
    assert not rig.transfers


# --- deltas ------------------------------------------------------------------------------------


@pytest.fixture
def willing(rig: Rig) -> Board:
    """A board that takes deltas, in a workspace that makes them, from OLD."""
    settings = rig.workspace.root / "otactl.toml"
    settings.write_text(settings.read_text().replace("[board]\n", "[board]\ndeltas = true\n", 1))
    rig.workspace = Workspace.find(rig.workspace.root)
    board = cable.cabled(rig)
    rigs.configure(board, deltas=True)
    return board


def test_delta_comes_by_cable_where_its_base_runs(rig: Rig, willing: Board) -> None:
    """Then a stranger's image, which comes whole."""
    for version, app, slot, delta in (("1.1.0", near(OLD, 1), "ota_1", True), ("1.2.0", image(9), "ota_0", False)):
        rig.publish(version, app, deltas=Asked())
        done = pushed(willing, newest(rig))
        assert (done.outcome.name, done.outcome.version, done.delta) == ("confirmed", version, delta)
        assert slot_bytes(willing, slot, len(app)) == app
        assert boots(willing) == (slot, State.VALID)
        assert (done.wire < len(OLD) // 8) is delta
    assert not rig.transfers


def test_delta_that_is_broken_off_begins_again_and_goes_on_in_flash(rig: Rig, willing: Board) -> None:
    base = image(1, size=240 << 10)
    row = willing.table.find("ota_0")
    assert row
    willing.flash.force(row.offset, base)  # the record does not know it
    (rig.root / "base.bin").write_bytes(base)
    app = near(base, 1, changes=20_000)
    rig.publish("1.1.0", app, deltas=Asked([rig.root / "base.bin"]))

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pushed(willing, newest(rig), cable.at(40_000, stop))
    job = rigs.status(willing)["job"]
    assert (job["phase"], job["offset"] > 0) == ("writing", True)  # no whole image was begun in its place
    before = len(willing.flash.trace)
    done = pushed(willing, newest(rig))
    assert (done.outcome.name, done.delta) == ("confirmed", True)
    assert slot_bytes(willing, "ota_1", len(app)) == app
    row = willing.table.find("ota_1")
    assert row
    erased = [op for op in willing.flash.trace[before:] if op.kind == "erase" and row.offset <= op.address < row.end]
    assert min(op.address for op in erased) > row.offset


def test_delta_that_is_not_what_was_signed_is_not_sent(rig: Rig, willing: Board) -> None:
    made = rig.publish("1.1.0", near(OLD, 1), deltas=Asked())
    path = rig.workspace.releases / made.targets[0]["deltas"][0]["url"]
    data = path.read_bytes()
    for damaged in (data[:-1], data + b"\0", data[:300] + bytes([data[300] ^ 1]) + data[301:], b""):
        path.write_bytes(damaged)
        with pytest.raises(ReleaseError, match=r"delta is missing or not what 1\.1\.0 was signed with"):
            newest(rig).image(f"https://{rigs.HOST}/1.1.0/{path.name}")
    with pytest.raises(ReleaseError):
        pushed(willing, newest(rig))
    assert not rigs.touched(willing, "ota_1")
