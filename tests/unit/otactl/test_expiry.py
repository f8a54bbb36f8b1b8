"""Releases that expire: what --expires means, who is warned, and what gives one its time anew."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from otactl.board.doctor import workspace as rows
from otactl.board.doctor.case import Case
from otactl.board.doctor.findings import Verdict
from otactl.cli.boards import _heard
from otactl.cli.main import main
from otactl.errors import ReleaseError, UsageError
from otactl.release import channels, envelope, expiry, ledger, offer
from otactl.release.publish import publish
from otactl.workspace import keys
from otactl.workspace.workspace import Workspace
from vboard.flash.images import build_app

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("30d", "2026-12-24T12:00:00Z"),
        ("12h", "2026-11-25T00:00:00Z"),
        ("2w", "2026-12-08T12:00:00Z"),
        ("2026-11-24", "2026-11-25T00:00:00Z"),  # to that day's end
        ("2027-03-31T06:00:00Z", "2027-03-31T06:00:00Z"),
        ("never", None),
    ],
)
def test_what_expires_may_be(given: str, meant: str | None) -> None:
    assert expiry.asked(given, NOW) == meant


@pytest.mark.parametrize(
    "given", ["", "30", "30m", "-3d", "0d", "soon", "2026-11-23", "2026-02-30", "99999w", "2100-01-01"]
)
def test_what_expires_may_not_be(given: str) -> None:
    with pytest.raises(UsageError, match="--expires"):
        expiry.asked(given, NOW)


def lasts(since: str, until: str | None) -> dict[str, Any]:
    return {"version": "1.2.0", "published": since} | ({"expires": until} if until else {})


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (lasts("2026-11-01T00:00:00Z", None), ""),
        (lasts("2026-11-24T00:00:00Z", "2026-12-24T00:00:00Z"), ""),
        (lasts("2026-11-01T12:00:00Z", "2026-12-01T12:00:00Z"), ""),  # a week is left
        (lasts("2026-11-01T12:00:00Z", "2026-12-01T11:59:59Z"), "1.2.0 expires in 6 days"),
        (lasts("2026-11-24T00:00:00Z", "2026-11-24T17:00:00Z"), ""),  # of a short time the last quarter
        (lasts("2026-11-24T00:00:00Z", "2026-11-24T15:00:00Z"), "1.2.0 expires in 3 hours"),
        (lasts("2026-11-01T00:00:00Z", "2026-11-24T12:00:00Z"), "1.2.0 has expired (2026-11-24T12:00:00Z)"),
        (lasts("2026-11-01T00:00:00Z", "soon"), "1.2.0 has expired (soon)"),
    ],
)
def test_who_serves_it_is_warned_in_time(payload: dict[str, Any], said: str) -> None:
    assert expiry.advice(payload, NOW).partition(": boards")[0] == said


def channel(place: Workspace) -> dict[str, Any]:
    return channels.current(place) or {}


def age(place: Workspace, path: Any, days: int) -> None:
    """The release in a file was signed so long ago."""
    payload = ledger.vouched(place, path) or {}
    for name in ("published", "expires"):
        moment = expiry.read(payload.get(name))
        if moment:
            payload[name] = expiry.text(moment - timedelta(days=days))
    path.write_bytes(envelope.seal(payload, [keys.load(place.key_file)]))


def span(payload: dict[str, Any]) -> timedelta:
    since, until = expiry.read(payload["published"]), expiry.read(payload["expires"])
    assert since and until
    return until - since


@pytest.fixture
def monthly(place: Workspace, firmware_file) -> Workspace:
    """1.0.0 in stable, good for 30 days, and published 31 days ago."""
    publish(place, [firmware_file()], "1.0.0", expires="30d")
    age(place, place.channel_file, 31)
    age(place, place.releases / "1.0.0" / "release.json", 31)
    return place


def test_a_release_says_when_it_expires_and_not_unless_it_is_asked_to(place: Workspace, firmware_file) -> None:
    publish(place, [firmware_file()], "1.0.0")
    assert "expires" not in channel(place)
    assert publish(place, [firmware_file()], "1.1.0", expires="30d").expires == channel(place)["expires"]
    assert span(channel(place)) == timedelta(days=30)
    notes = publish(place, [firmware_file()], "1.2.0").notes
    assert notes == ["1.1.0 expires, this one never does: `otactl releases renew --expires 30d` changes that"]


def test_renewed_it_lasts_as_long_as_before_under_its_sequence(monthly: Workspace) -> None:
    before = channel(monthly)
    done = channels.renew(monthly)
    after = channel(monthly)
    assert (done.version, done.sequence, done.expires) == ("1.0.0", 1, after["expires"])
    assert span(after) == timedelta(days=30)
    assert after["published"] > before["published"]
    same = {"published": "", "expires": ""}
    assert after | same == before | same


def test_renewed_it_may_last_longer_or_for_ever(monthly: Workspace) -> None:
    channels.renew(monthly, "60d")
    assert timedelta(days=59) < span(channel(monthly)) <= timedelta(days=60)
    channels.renew(monthly, "never")
    assert "expires" not in channel(monthly)


def test_renewed_twice_in_a_second_and_by_a_clock_that_is_behind_it_is_later_each_time(monthly: Workspace) -> None:
    age(monthly, monthly.channel_file, -62)  # signed a month ahead
    seen = [channel(monthly)["published"]]
    for _ in range(2):
        channels.renew(monthly, "90d")
        seen.append(channel(monthly)["published"])
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("spoil", "error", "why"),
    [
        (lambda place: place.channel_file.unlink(), UsageError, "names no release yet"),
        (lambda place: (place.releases / "1.0.0" / "esp32.bin").unlink(), ReleaseError, "missing"),
    ],
)
def test_what_is_not_there_is_not_renewed(monthly: Workspace, spoil, error: type, why: str) -> None:
    spoil(monthly)
    with pytest.raises(error, match=why):
        channels.renew(monthly)


def test_promoted_it_gets_its_time_anew_under_its_sequence(monthly: Workspace) -> None:
    move = channels.promote(monthly, "1.0.0", "field")
    assert move == channels.Move("field", "1.0.0", 1, None, again=False)
    assert span(channel(monthly.on("field"))) == timedelta(days=30)
    assert not expiry.is_past(channel(monthly.on("field")), datetime.now(UTC))


def test_what_was_withdrawn_gives_way_to_one_that_has_not_expired(monthly: Workspace, firmware_file) -> None:
    publish(monthly, [firmware_file(seed=1)], "1.1.0")
    channels.withdraw(monthly, "1.1.0")
    assert (channel(monthly)["version"], channel(monthly)["sequence"]) == ("1.0.0", 3)
    assert not expiry.is_past(channel(monthly), datetime.now(UTC))


def test_pushed_is_the_one_that_was_signed_last(monthly: Workspace, firmware_file) -> None:
    channels.renew(monthly)
    assert offer.of_file(monthly, firmware_file()).envelope == monthly.channel_file.read_bytes()


def test_doctor_says_so_before_and_after(monthly: Workspace) -> None:
    def found(days: int) -> tuple[Verdict, str, str]:
        case = Case("auto", datetime.now(UTC) + timedelta(days=days), "", monthly.root, monthly)
        said = rows.published(case)
        return said.verdict, said.code, said.then

    channels.renew(monthly)
    renew = f"otactl releases renew -w {monthly.root}"
    assert found(0)[0] is Verdict.OK
    assert found(25) == (Verdict.WARN, "", renew)
    assert found(31) == (Verdict.BAD, "expired", renew)


def test_command_renews_and_the_list_warns_until_then(monthly: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["-w", str(monthly.root)]
    assert main(["releases", "list", *where]) == 0
    said = capsys.readouterr()
    assert "stable: 1.0.0 has expired" in said.out + said.err
    assert main(["releases", "renew", "--expires", "2w", "--json", *where]) == 0
    told = json.loads(capsys.readouterr().out)
    assert channels.release(monthly, "1.0.0").expires == told["expires"]  # though its own file is from before
    assert told == {"channel": "stable", "version": "1.0.0", "sequence": 1, "expires": channel(monthly)["expires"]}
    assert main(["releases", "list", *where]) == 0
    said = capsys.readouterr()
    assert "expired" not in said.out + said.err


@pytest.mark.parametrize(("own", "warned"), [(2, True), (3, False), (4, False)])
def test_an_image_whose_secure_version_is_below_the_newest_releases_is_told_of(
    place: Workspace, tmp_path, own: int, warned: bool
) -> None:
    for number, version in ((3, "1.0.0"), (own, "1.1.0")):
        path = tmp_path / f"{version}.bin"
        path.write_bytes(build_app("esp32", secure_version=number))
        notes = publish(place, [path], version).notes
    told = "1.1.0.bin: the image's own secure_version is 2, that of 1.0.0 is 3: boards that run it refuse this one"
    assert notes == ([told] if warned else [])


@pytest.mark.parametrize(
    ("sequence", "at", "line"),
    [
        (3, "2026-11-24T00:00:00Z", "heard 1.2.0 of 2026-11-20, today"),
        (4, "2026-11-23T00:00:00Z", "heard 1.3.0 of 2026-11-20, 1 day ago"),
        (5, "2026-11-21T00:00:00Z", "heard sequence 5 of 2026-11-20, 3 days ago"),
    ],
)
def test_status_says_what_the_board_has_heard(sequence: int, at: str, line: str) -> None:
    def seconds(text: str) -> int:
        return int((datetime.fromisoformat(text) - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds())

    heard = {"sequence": sequence, "published": seconds("2026-11-20T00:00:00Z"), "at": seconds(at)}
    found = {"job": {"sequence": 4, "version": "1.3.0"}, "installed": {"sequence": 3, "version": "1.2.0"}}
    assert _heard(found, heard, NOW) == line
