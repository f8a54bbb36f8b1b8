"""What a board says and what otactl makes of it: consoles as they come, on a scripted port."""

import time

import pytest
import scripted
import serial
from otactl.board import follow as boards
from otactl.board.follow import Event, Outcome
from otactl.board.link import Link
from otactl.errors import BoardError, RigError

BEFORE = b'{"ok": {"deadline_s": 60, "id": "01", "failed": [], "boot.py": true, "main.py": true}}\r\n\x04\x04>'
DOWNLOAD = b"ota: release 1.1.0 4096 bytes from 0\r\nota: download 2048/4096\r\n"
TRIAL = b"\r\nrst:0xc\r\nota: trial 1.1.0 in ota_1\r\nota: check wifi ok\r\n"


def answering(console: bytes, *, trial: bool = False):
    """A deployed board: the questions before the verb, then `console` for the verb itself."""

    def answer(program: bytes) -> bytes:
        if b"_try(_before)" in program:
            return BEFORE
        if b"_try(agent.status)" in program:
            said = b"true" if trial else b"false"
            return b'{"ok": {"trial": ' + said + b"}}\r\n\x04\x04>"
        if b"_try(_id)" in program:
            return b'{"ok": "01"}\r\n\x04\x04>'
        return console

    return scripted.on_terminal(scripted.well(answer))


def follow(verb, console: bytes, **more: bool) -> tuple[Outcome, list[Event]]:
    seen: list[Event] = []
    with answering(console, **more) as device, Link(device) as link:
        return verb(link, seen.append), seen


@pytest.mark.parametrize(
    ("console", "outcome"),
    [
        (DOWNLOAD + TRIAL + b"ota: confirmed 1.1.0\r\n", Outcome("confirmed", "1.1.0")),
        (
            DOWNLOAD + TRIAL + b"ota: failed 1.1.0 check-wifi timeout\r\nrst\r\n"
            b"ota: rolled-back 1.1.0 check-wifi not found\r\n",
            Outcome("rolled-back", "1.1.0", "check-wifi", "not found"),
        ),
        (
            b"ota: refused bad-signature 0123\r\n\x04\x04>",
            Outcome("refused", "", "bad-signature", "0123"),
        ),
        (b"ota: refused up-to-date 1.1.0\r\n\x04\x04>", Outcome("up-to-date", "1.1.0")),
        (b"ota: refused dns \r\n\x04\x04>", Outcome("refused", "", "dns")),
        (b">>> ota: confirmed 1.1.0\r\n", Outcome("confirmed", "1.1.0")),
        (b"\xff\xfe\x00junk\r\nota: confirmed 1.1.0\r\n", Outcome("confirmed", "1.1.0")),
        (b"ota: rolled-back\r\n", Outcome("rolled-back", "")),
    ],
)
def test_the_last_word_is_the_outcome(console: bytes, outcome: Outcome) -> None:
    assert follow(boards.update, console)[0] == outcome


@pytest.mark.parametrize("word", [b"dns ", b"up-to-date 1.1.0"])
def test_a_board_that_refused_runs_its_program_again_however_slowly_it_speaks(
    monkeypatch: pytest.MonkeyPatch, word: bytes
) -> None:
    waiting = serial.Serial.in_waiting.fget
    monkeypatch.setattr(serial.Serial, "in_waiting", property(lambda port: min(waiting(port), 1)))
    heard = bytearray()

    def answer(program: bytes) -> bytes:
        del heard[:]
        asked = b"_try(_before)" in program
        return BEFORE if asked else b"ota: refused " + word + b"\r\n\x04\x04>"

    well = scripted.well(answer)

    def script(data: bytes, send: scripted.Send) -> None:
        heard.extend(data)
        well(data, send)

    with scripted.on_terminal(script) as device:
        with Link(device) as link:
            boards.update(link, lambda _: None)
        time.sleep(0.2)
    assert heard.endswith(b"\x02\x04")  # the friendly prompt, and its soft reset


def test_every_event_is_passed_on() -> None:
    _, seen = follow(boards.update, DOWNLOAD + TRIAL + b"ota: confirmed 1.1.0\r\n")
    assert [event.name for event in seen] == [
        "release",
        "download",
        "trial",
        "check",
        "confirmed",
    ]
    assert seen[1] == Event("download", ["2048/4096"])


def test_a_rollback_is_followed_through_the_old_release_s_trial() -> None:
    console = b"ota: rollback 1.0.0\r\nota: trial 1.0.0 in ota_0\r\nota: confirmed 1.0.0\r\n"
    assert follow(boards.rollback, console)[0] == Outcome("confirmed", "1.0.0")


def test_an_agent_that_breaks_is_told_with_its_last_line() -> None:
    console = DOWNLOAD + b"\x04Traceback\r\nMemoryError: allocation failed\r\n\x04>"
    with pytest.raises(BoardError, match="broke: MemoryError: allocation failed"):
        follow(boards.update, console)


def test_a_board_that_falls_silent_is_given_up_even_if_its_program_chats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boards, "_SLACK_S", -59.5)  # half a second after a deadline of 60 s
    for console in (DOWNLOAD, DOWNLOAD + b"app: tick\r\n" * 100_000):
        with pytest.raises(RigError, match=r"told nothing for 0\.5 s"):
            follow(boards.update, console)


def test_a_board_already_on_trial_is_followed() -> None:
    asked = [0]

    def answer(program: bytes) -> bytes:
        if b"_try(_before)" in program:
            return BEFORE
        asked[0] += 1
        return b"ota: refused unconfirmed ota_1\r\n\x04\x04>"

    well = scripted.well(answer)

    def script(data: bytes, send: scripted.Send) -> None:
        if asked[0] and data.endswith(b"\x04") and b"A\x01" not in data:
            send(b"MPY: soft reboot\r\n" + TRIAL + b"ota: confirmed 1.1.0\r\n")
        else:
            well(data, send)

    with scripted.on_terminal(script) as device, Link(device) as link:
        assert boards.update(link, lambda _: None) == Outcome("confirmed", "1.1.0")


def test_confirming_ends_a_trial() -> None:
    console = b"ota: confirmed 1.1.0\r\n"
    assert follow(boards.confirm, console, trial=True)[0] == Outcome("confirmed", "1.1.0")


def test_a_trial_is_confirmed_also_where_the_configuration_is_wrong() -> None:
    def answer(program: bytes) -> bytes:
        if b"_try(_before)" in program:
            return b'{"code": "config-invalid", "detail": "url"}\r\n\x04\x04>'
        if b"_try(agent.status)" in program:
            return b'{"ok": {"trial": true}}\r\n\x04\x04>'
        return b'{"ok": "01"}\r\n\x04\x04>' if b"_try(_id)" in program else b"ota: confirmed 1.1.0\r\n"

    with scripted.on_terminal(scripted.well(answer)) as device, Link(device) as link:
        assert boards.confirm(link, lambda _: None) == Outcome("confirmed", "1.1.0")


def test_without_a_trial_there_is_nothing_to_confirm() -> None:
    with pytest.raises(BoardError, match="not-on-trial: There is no trial"):
        follow(boards.confirm, b"", trial=False)


@pytest.mark.parametrize("verb", [boards.update, boards.rollback, boards.confirm])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"\x04RuntimeError: no agent: no module named 'ota'\r\n\x04>", "otactl deploy"),
        (
            b'{"code": "config-invalid", "detail": "url"}\r\n\x04\x04>',
            r"config-invalid \(url\): The board's configuration",
        ),
    ],
)
def test_a_board_that_cannot_start_says_why(verb, answer: bytes, why: str) -> None:
    refused = pytest.raises(BoardError, match=why)
    script = scripted.well(lambda _: answer)
    with scripted.on_terminal(script) as device, Link(device) as link, refused:
        verb(link, lambda _: None)
