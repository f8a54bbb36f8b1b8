"""What is shown reads as a sentence: numbers have their words, nothing is told that was not, and each line fits."""

import collections.abc
import datetime
import socket

import pytest
from otactl.board.follow import Event
from otactl.cli import boards, display, many
from otactl.cli.main import main
from otactl.release import expiry
from otactl.words import counted, reason
from rich.console import Console

COLUMNS = 80


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """What is shown, as a terminal of 80 columns has it."""
    made = Console(force_terminal=True, width=COLUMNS, record=True, highlight=False, color_system=None)
    monkeypatch.setattr(display._screen, "console", made)
    return made


def shown(terminal: Console) -> list[str]:
    return [line.rstrip() for line in terminal.export_text().splitlines()]


@pytest.mark.parametrize(
    ("number", "wanted"), [(0, "0 entries"), (1, "1 entry"), (2, "2 entries")], ids=["none", "one", "two"]
)
def test_a_number_has_its_word(number: int, wanted: str) -> None:
    assert counted(number, "entry", "entries") == wanted
    assert counted(number, "file") == (f"{number} file" if number == 1 else f"{number} files")


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (FileNotFoundError(2, "No such file or directory", "boards.csv"), "No such file or directory"),
        (ValueError("no UTF-8"), "no UTF-8"),
        (OSError("of no number"), "of no number"),
        (RuntimeError("read failed: [Errno 5] Input/output error"), "read failed: Input/output error"),
    ],
    ids=["of-a-file", "no-system-error", "no-number", "passed-on"],
)
def test_what_the_system_says_has_no_number_and_no_second_name(error: Exception, wanted: str) -> None:
    assert reason(error) == wanted


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["serve", "--port", "{taken}", "--host", "127.0.0.1"],
            "otactl: cannot listen on 127.0.0.1 port {taken}: address already in use; try --port or --host\n",
        ),
        (["provision", "/dev/null", "--names", "gone"], "otactl: gone: No such file or directory\n"),
    ],
    ids=["port", "names"],
)
def test_an_error_of_the_systems_is_told_in_words(capsys, place, words: list[str], said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = listening.getsockname()[1]
        assert main([*(word.format(taken=taken) for word in words), "-w", str(place.root)]) in (2, 3)
    assert capsys.readouterr().err == said.format(taken=taken)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["engine", "status"],
            "no engine answers at https://127.0.0.1:1 (Connection refused): does it run, and is [engine] url",
        ),
        (["ca", "fetch", "127.0.0.1:1"], "127.0.0.1:1 does not show its certificate: Connection refused\n"),
        (
            ["slots", "show", "--esptool", "socket://127.0.0.1:1"],
            "socket://127.0.0.1:1: it does not open; is that serv",
        ),
    ],
    ids=["engine", "ca", "port"],
)
def test_who_does_not_answer_is_told_in_words(capsys, monkeypatch, place, words: list[str], said: str) -> None:
    monkeypatch.setenv("OTACTL_ENGINE_PASSWORD", "secret")
    with (place.root / "otactl.toml").open("a") as settings:
        settings.write('\n[engine]\nurl = "https://127.0.0.1:1"\nuser = "operator"\n')
    assert main([*words, "-w", str(place.root)]) == 3
    assert said in capsys.readouterr().err


def test_what_is_told_beside_the_next_thing_can_be_typed_as_well(capsys, place) -> None:
    assert (
        main(["publish", "--data", "model=" + __file__, "--version", "1", "--no-channel", "-w", str(place.root)]) == 0
    )
    assert f"# or `otactl releases promote -w {place.root}`" in capsys.readouterr().out


@pytest.mark.parametrize("family", ["releases", "keys", "ca"])
def test_a_family_without_a_verb_lists(capsys, place, family: str) -> None:
    assert main([family, "list", "-w", str(place.root)]) == 0
    listed = capsys.readouterr().out
    assert main([family, "-w", str(place.root)]) == 0
    assert capsys.readouterr().out == listed


@pytest.mark.parametrize(
    ("wear", "wanted"),
    [
        ("0 0 0", "  slot: nothing had to be written"),
        ("416 0 1", "  slot: 416 sectors right already, 1 block of 16 erased"),
        ("0 1 0", "  slot: 1 sector erased"),
        ("1 16 16", "  slot: 1 sector right already, 16 sectors erased, 16 blocks of 16 erased"),
        ("0 0 2x", "  wear 0 0 2x"),  # garbled on the cable
    ],
    ids=["nothing", "one-block", "one-sector", "each", "garbled"],
)
def test_what_a_slot_took_is_told_without_what_it_did_not(terminal: Console, wear: str, wanted: str) -> None:
    boards.BoardWatch(display.Bars())(Event("wear", wear.split()))
    assert shown(terminal) == [wanted]


def test_a_warning_of_this_computers_is_no_event_of_the_boards(terminal: Console) -> None:
    boards.BoardWatch(display.Bars())(Event("warning", ["boot.py does not call the agent"]))
    assert shown(terminal) == ["warning: boot.py does not call the agent"]


PATH = "/home/me/" + "a-folder-of-a-long-name/" * 5 + "board.log"


@pytest.mark.parametrize(
    "show",
    [
        lambda: display.done(f"kept in {PATH}"),
        lambda: display.show(f"  kept in {PATH}"),
        lambda: display.show_named("desk-01", f"kept in {PATH}"),
        lambda: display.show_named("desk-01", f"kept in {PATH}", True),
        lambda: display.show_table(many._table({"desk-01": many.Ending(False, "failed", "1.0", f"kept in {PATH}")})),
        lambda: display.follow_up(f"publish {PATH}", "then serve"),
    ],
    ids=["verdict", "line", "of-one-of-many", "its-verdict", "table", "next"],
)
def test_a_path_that_is_wider_than_the_terminal_is_shown_whole(
    terminal: Console, show: collections.abc.Callable[[], None]
) -> None:
    show()
    assert PATH in "".join(word for line in shown(terminal) for word in line.split())


STATUS = {
    "chip": "esp32",
    "build": None,
    "micropython": "1.26.1",
    "running": "ota_0",
    "boot": "ota_0",
    "next": "ota_1",
    "trial": False,
    "slots": [],
    "installed": {"version": "1.0.0", "sequence": 1},
    "job": {
        "phase": "failed",
        "version": "1.1.0",
        "sequence": 2,
        "reason": "deadline",
        "detail": "",
        "wear": [0, 0, 1],
    },
    "heard": {"sequence": 1, "published": 0, "at": 0},
}


def test_what_is_told_of_a_job_stands_together(terminal: Console) -> None:
    boards.show_status(STATUS)
    told = shown(terminal)
    at = told.index("last job: failed 1.1.0")
    assert told[at + 1] == "  slot: 1 block of 16 erased"
    assert told[at + 2].startswith("✗ deadline: ")
    assert told[-1].startswith("heard 1.0.0 of 2000-01-01, ")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("serve", ["  next: otactl serve  # boards take it at their next look"]),
        (
            "publish -w a-folder/of/mine NEWER.bin --version 1.0.0",
            [
                "  next: otactl publish -w a-folder/of/mine NEWER.bin --version 1.0.0",
                "    # boards take it at their next look",
            ],
        ),
    ],
    ids=["fits", "does-not"],
)
def test_the_next_thing_to_type_is_not_cut_by_what_is_said_of_it(
    terminal: Console, words: str, wanted: list[str]
) -> None:
    display.follow_up(words, "boards take it at their next look")
    assert shown(terminal) == wanted


@pytest.mark.parametrize(
    ("hours", "wanted"),
    [(1, "1 hour"), (2, "2 hours"), (49, "2 days")],
)
def test_a_release_that_expires_says_when(hours: int, wanted: str) -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    ends = now + datetime.timedelta(hours=hours, minutes=1)
    began = ends - datetime.timedelta(days=60)
    dates = {"published": began, "expires": ends}
    said = expiry.advice({"version": "1.0.0"} | {name: expiry.text(at) for name, at in dates.items()}, now)
    assert said.startswith(f"1.0.0 expires in {wanted}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["publish", "-w", "{place}", "--version", "1", "--data", "model=gone"], "gone: No such file"),
        (["dev", "gone", "/dev/null"], "gone: there is no such folder"),
        (["slots", "read", "/dev/null", "ota_1", "gone/slot.bin"], "gone: there is no such folder"),
        (["slots", "read", "/dev/null", "ota_1", "{place}"], "is a folder: name a file"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_a_path_that_cannot_be_used_is_wrong_usage_and_told_before_any_board_is_asked(
    capsys, place, words: list[str], said: str
) -> None:
    assert main([word.format(place=place.root) for word in words]) == 2
    assert said in capsys.readouterr().err
