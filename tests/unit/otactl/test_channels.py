"""Channels: which names which release, and how one comes to name another; boards only ever see sequences rise."""

import json
import shutil

import pytest
from otactl.errors import OtactlError, ReleaseError, UsageError
from otactl.release import channels, ledger
from otactl.release.publish import publish
from otactl.workspace.workspace import Workspace


@pytest.fixture
def line(place: Workspace, firmware_file) -> Workspace:
    """1.0.0 and 1.1.0 in stable, 1.2.0 in beta."""
    for seed, version in enumerate(("1.0.0", "1.1.0")):
        publish(place, [firmware_file(seed=seed)], version)
    publish(place.on("beta"), [firmware_file(seed=2)], "1.2.0")
    return place


def names(place: Workspace, channel: str) -> tuple[str, int]:
    payload = channels.current(place.on(channel)) or {}
    return payload["version"], payload["sequence"]


def state(place: Workspace) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in place.root.rglob("*") if path.is_file()}


def test_a_channel_of_its_own_leaves_the_others_alone(line: Workspace) -> None:
    assert names(line, "stable") == ("1.1.0", 2)
    assert names(line, "beta") == ("1.2.0", 3)


def test_the_list_says_which_channel_names_which(line: Workspace) -> None:
    found = [(one.version, one.sequence, one.channels, one.withdrawn) for one in channels.releases(line)]
    assert found == [
        ("1.0.0", 1, {}, False),
        ("1.1.0", 2, {"stable": 2}, False),
        ("1.2.0", 3, {"beta": 3}, False),
    ]


def test_what_is_newer_is_promoted_as_it_is(line: Workspace) -> None:
    assert channels.promote(line, "1.2.0", "stable") == channels.Move("stable", "1.2.0", 3, "1.1.0", again=False)
    assert names(line, "stable") == ("1.2.0", 3)
    kept = line.releases / "1.2.0" / "release.json"
    assert line.channel_file.read_bytes() == kept.read_bytes()


def test_what_is_older_is_promoted_under_a_new_sequence(line: Workspace) -> None:
    assert channels.promote(line, "1.0.0", "beta") == channels.Move("beta", "1.0.0", 4, "1.2.0", again=True)
    old = ledger.vouched(line, line.releases / "1.0.0" / "release.json") or {}
    new = channels.current(line.on("beta")) or {}
    assert new["targets"] == old["targets"]
    assert new["published"] >= old["published"]
    assert names(line, "beta") == ("1.0.0", 4)


def test_a_new_channel_begins_with_what_it_is_given(line: Workspace) -> None:
    assert channels.promote(line, "1.0.0", "field") == channels.Move("field", "1.0.0", 1, None, again=False)


def test_a_withdrawn_release_gives_way_to_the_one_before_under_a_new_sequence(line: Workspace) -> None:
    assert channels.withdraw(line, "1.1.0") == [channels.Move("stable", "1.0.0", 4, "1.1.0", again=True)]
    assert names(line, "stable") == ("1.0.0", 4)
    assert names(line, "beta") == ("1.2.0", 3)
    assert [one.withdrawn for one in channels.releases(line)] == [False, True, False]


def test_every_channel_that_names_it_gives_it_up_each_under_a_sequence_of_its_own(line: Workspace) -> None:
    channels.promote(line, "1.1.0", "beta")  # 4
    assert {(m.channel, m.version, m.sequence) for m in channels.withdraw(line, "1.1.0")} == {
        ("beta", "1.2.0", 5),
        ("stable", "1.0.0", 6),
    }


def test_only_one_channel_gives_it_up_where_one_is_named(line: Workspace) -> None:
    channels.promote(line, "1.2.0", "stable")
    assert [move.channel for move in channels.withdraw(line, "1.2.0", "stable")] == ["stable"]
    assert names(line, "stable") == ("1.1.0", 4)
    assert names(line, "beta") == ("1.2.0", 3)


def test_what_was_withdrawn_is_not_gone_back_to(line: Workspace, firmware_file) -> None:
    channels.withdraw(line, "1.1.0")
    publish(line, [firmware_file(seed=3)], "1.3.0")
    assert channels.withdraw(line, "1.3.0")[0].version == "1.0.0"


def test_what_was_withdrawn_may_be_promoted_again(line: Workspace) -> None:
    channels.withdraw(line, "1.1.0")
    assert channels.promote(line, "1.1.0", "stable").sequence == 5
    assert not channels.release(line, "1.1.0").withdrawn


def test_a_release_after_a_withdrawal_is_newer_than_it(line: Workspace, firmware_file) -> None:
    channels.withdraw(line, "1.1.0")
    assert publish(line, [firmware_file(seed=3)], "1.3.0").sequence == 5


def test_a_workspace_from_before_channels_were_noted_goes_back_as_well(line: Workspace) -> None:
    (line.root / "channels.json").unlink()
    assert channels.withdraw(line, "1.1.0")[0].version == "1.0.0"


def test_what_others_put_into_releases_is_in_nobodys_way(line: Workspace, firmware_file) -> None:
    (line.releases / "notes.json").write_text("{}")
    (line.releases / "1.0.0" / "release.json").write_text("half a rel")
    publish(line, [firmware_file(seed=3)], "1.3.0")
    assert [one.version for one in channels.releases(line)] == ["1.1.0", "1.2.0", "1.3.0"]


def test_a_new_channel_has_the_security_version_that_boards_may_have_seen(line: Workspace, firmware_file) -> None:
    publish(line, [firmware_file(seed=3)], "1.3.0", security_version=2)
    publish(line.on("field"), [firmware_file(seed=4)], "1.4.0")
    assert channels.release(line, "1.4.0").security_version == 2


def raise_security(place: Workspace, make) -> None:
    publish(place, [make(seed=3)], "1.3.0", security_version=2)


@pytest.mark.parametrize(
    ("before", "do", "error", "why"),
    [
        (None, lambda w: channels.withdraw(w, "9"), UsageError, "no release 9"),
        (None, lambda w: channels.withdraw(w, "1.0.0"), UsageError, "not what a channel names"),
        (None, lambda w: channels.withdraw(w, "1.1.0", "beta"), UsageError, "not what beta names"),
        (None, lambda w: channels.withdraw(w, "1.2.0"), ReleaseError, "beta has no release before 1.2.0"),
        (raise_security, lambda w: channels.withdraw(w, "1.3.0"), ReleaseError, "security version 0, stable is at 2"),
        (raise_security, lambda w: channels.promote(w, "1.2.0", "stable"), ReleaseError, "publish a mended release"),
        (None, lambda w: channels.promote(w, "1.1.0", "stable"), UsageError, "names 1.1.0 already"),
        (None, lambda w: channels.promote(w, "9", "stable"), UsageError, "no release 9"),
        (None, lambda w: channels.promote(w, "1.1.0", "../x"), UsageError, "letters, digits"),
        (
            lambda w, _: (w.releases / "1.0.0" / "esp32.bin").unlink(),
            lambda w: channels.withdraw(w, "1.1.0"),
            ReleaseError,
            r"esp32\.bin is missing",
        ),
        (
            lambda w, _: (w.root / "channels.json").write_text("[]"),
            lambda w: channels.withdraw(w, "1.1.0"),
            UsageError,
            r"channels\.json is damaged",
        ),
    ],
)
def test_what_is_refused_changes_nothing(line: Workspace, firmware_file, before, do, error: type, why: str) -> None:
    if before:
        before(line, firmware_file)
    kept = state(line)
    with pytest.raises(error, match=why):
        do(line)
    assert state(line) == kept


def test_a_move_needs_a_key_that_boards_trust(line: Workspace, tmp_path) -> None:
    shutil.copy(line.root / "tls" / "ca.key", line.key_file)
    with pytest.raises(OtactlError, match=r"release\.pem"):
        channels.withdraw(line, "1.1.0")
    assert json.loads(line.channel_file.read_text())
    assert names(line, "stable") == ("1.1.0", 2)
