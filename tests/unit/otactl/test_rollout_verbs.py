"""`otactl rollout` and `otactl publish --no-channel` as a person, and as a script, meets them."""

import json

import pytest
from otactl.cli.main import main
from otactl.fleet import offer
from otactl.fleet.checkin import CheckIn
from otactl.fleet.store import FILE, Store
from otactl.release import channels
from otactl.release.publish import publish
from otactl.workspace.workspace import Workspace


@pytest.fixture
def line(place: Workspace, firmware_file) -> Workspace:
    """1.0.0 in stable, 1.1.0 in none; kitchen is a canary, and has looked."""
    for seed, version in enumerate(("1.0.0", "1.1.0")):
        publish(place, [firmware_file(seed=seed)], version, named=not seed)
    (place.root / "boards.csv").write_text("24:0a:c4:00:00:01,kitchen,canary\n24:0a:c4:00:00:02,hall\n")
    return place


def otactl(capsys, place: Workspace, *words: object) -> tuple[int, str, str]:
    code = main([*map(str, words), "-w", str(place.root)])
    said = capsys.readouterr()
    return code, said.out, said.err


def look(place: Workspace, board: str, cohort: str, **said) -> None:
    offer.envelope_for(place, Store(place.root / FILE), CheckIn(board, **said), cohort)


@pytest.mark.parametrize("verb", ["start", "status", "next", "pause", "resume", "abort"])
def test_each_has_help_with_an_example(capsys, verb: str) -> None:
    assert main(["rollout", verb, "--help"]) == 0
    assert f"example: otactl rollout {verb}" in " ".join(capsys.readouterr().out.split())


def test_a_rollout_from_its_start_to_its_end(capsys, line: Workspace) -> None:
    code, out, _ = otactl(capsys, line, "rollout", "start", "1.1.0", "--to", "canary", "--soak", "0s")
    assert code == 0
    assert "1.1.0 (sequence 2) goes to canary of stable now" in out
    assert "1.1.0 instead of 1.0.0 in stable: running" in out
    rows = [row.split() for row in out.splitlines()]
    assert ["canary", "running", "1", "0", "0", "0"] in rows
    assert ["100", "%", "waits", "1", "0", "0", "0"] in rows
    look(line, "240ac4000001", "canary")
    assert "  waits for kitchen to confirm" in otactl(capsys, line, "rollout")[1]
    look(line, "240ac4000001", "canary", have=2, phase="confirmed", sequence=2)
    code, out, _ = otactl(capsys, line, "rollout", "next")
    assert (code, out.splitlines()[0]) == (0, "✓ stable names 1.1.0 now")
    assert (channels.current(line) or {})["version"] == "1.1.0"


def test_what_stopped_it_is_told_with_the_boards_names(capsys, line: Workspace) -> None:
    otactl(capsys, line, "rollout", "start", "1.1.0", "--halt-at", "1")
    look(line, "240ac4000002", "default", have=1, phase="failed", sequence=2, reason="check-wifi")
    out = otactl(capsys, line, "rollout")[1]
    assert "1.1.0 instead of 1.0.0 in stable: halted" in out
    assert "  hall (check-wifi) rolled it back" in out
    code, _, err = otactl(capsys, line, "rollout", "resume")
    assert (code, "publish a mended release and start that" in err) == (2, True)


def test_for_scripts(capsys, line: Workspace) -> None:
    assert json.loads(otactl(capsys, line, "rollout", "status", "--json")[1]) == {"rollout": None}
    made = json.loads(otactl(capsys, line, "rollout", "start", "1.1.0", "--percent", "10,50", "--json")[1])["rollout"]
    assert (made["state"], [one["percent"] for one in made["stages"]]) == ("running", [10, 50, 100])
    assert json.loads(otactl(capsys, line, "rollout", "pause", "--json")[1])["rollout"]["state"] == "paused"
    assert json.loads(otactl(capsys, line, "rollout", "resume", "--json")[1])["rollout"]["state"] == "running"
    assert json.loads(otactl(capsys, line, "rollout", "abort", "--json")[1])["rollout"]["state"] == "aborted"


def test_a_rollout_in_another_channel_is_what_the_verbs_mean(capsys, line: Workspace) -> None:
    channels.promote(line, "1.0.0", "beta")
    otactl(capsys, line, "rollout", "start", "1.1.0", "--channel", "beta")
    assert "1.1.0 instead of 1.0.0 in beta: running" in otactl(capsys, line, "rollout")[1]
    assert "1.1.0 instead of 1.0.0 in beta: paused" in otactl(capsys, line, "rollout", "pause")[1]


def test_a_cohort_that_no_board_is_in_is_said(capsys, line: Workspace) -> None:
    _, out, _ = otactl(capsys, line, "rollout", "start", "1.1.0", "--to", "cannary")
    said = " ".join(out.split())
    assert "is in the cohort cannary, so its stage waits for `otactl rollout next -w" in said


def test_a_stage_lasts_as_long_as_boards_take_to_look_twice(capsys, line: Workspace) -> None:
    _, out, _ = otactl(capsys, line, "rollout", "start", "1.1.0", "--json")
    assert json.loads(out)["rollout"]["soak"] == 2 * 4200
    otactl(capsys, line, "rollout", "abort")
    _, out, _ = otactl(capsys, line, "rollout", "start", "1.1.0", "--soak", "10m")
    assert "boards look every 70 min: those that do not within --soak" in out


def test_channels_as_cohorts(capsys, line: Workspace) -> None:
    _, out, _ = otactl(capsys, line, "rollout", "start", "1.1.0", "--static", "--to", "canary")
    assert "1.1.0 (sequence 2) goes to canary now" in out
    assert [row.split() for row in out.splitlines()][-4:-1] == [
        ["channel", "state"],
        ["canary", "running"],
        ["stable", "waits"],
    ]
    assert otactl(capsys, line, "rollout", "next")[1].startswith("✓ stable names 1.1.0 now")


@pytest.mark.parametrize(
    "words",
    [
        ["start"],
        ["start", "1.1.0", "--soak", "soon"],
        ["start", "1.1.0", "--halt-at", "0"],
        ["start", "1.1.0", "--percent", "50,10"],
        ["start", "1.1.0", "--static", "--by-hand", "--to", "canary"],
        ["start", "9.9.9"],
        ["pause"],
        ["next"],
        ["abort"],
    ],
)
def test_wrong_words_are_2_and_begin_nothing(capsys, line: Workspace, words: list[str]) -> None:
    code, _, err = otactl(capsys, line, "rollout", *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "no rollout yet" in otactl(capsys, line, "rollout")[1]


def test_what_is_published_for_a_rollout_is_in_no_channel(capsys, line: Workspace, firmware_file) -> None:
    image = firmware_file(seed=7)
    code, out, _ = otactl(capsys, line, "publish", image, "--version", "1.2.0", "--no-channel")
    assert code == 0
    assert "otactl rollout start 1.2.0 --percent 10,50,100" in out
    assert (channels.current(line) or {})["version"] == "1.0.0"
    assert otactl(capsys, line, "rollout", "start", "1.2.0")[0] == 0


def test_while_a_rollout_runs_publish_moves_no_channel_under_it(capsys, line: Workspace, firmware_file) -> None:
    image = firmware_file(seed=7)
    otactl(capsys, line, "rollout", "start", "1.1.0")
    code, _, err = otactl(capsys, line, "publish", image, "--version", "1.2.0")
    assert (code, "publish it with --no-channel" in err) == (2, True)
    assert not (line.releases / "1.2.0").exists()
    assert otactl(capsys, line, "publish", image, "--version", "1.2.0", "--channel", "beta")[0] == 0
    otactl(capsys, line, "rollout", "abort")
    assert otactl(capsys, line, "publish", image, "--version", "1.3.0")[0] == 0


def test_what_waits_for_a_signature_goes_to_a_channel(capsys, line: Workspace, firmware_file) -> None:
    words = ("publish", firmware_file(seed=7), "--version", "1.2.0", "--no-channel", "--payload-only")
    assert otactl(capsys, line, *words)[0] == 2
