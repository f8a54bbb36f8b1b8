"""host/otactl/workspace/trust.py and release/resign.py: documents, half signed and whole, and what is signed anew."""

import json
from pathlib import Path

import pytest
from otactl.errors import ReleaseError, UsageError
from otactl.release import envelope, ledger
from otactl.release.resign import resign
from otactl.workspace import keyfiles, keys, trust
from otactl.workspace.create import create
from otactl.workspace.workspace import Workspace
from trusting import Ring


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return create(tmp_path / "w", product="demo", names=["releases.test"])


@pytest.fixture
def ring(place: Workspace) -> Ring:
    """`a` is the workspace's key."""
    return Ring(a=keys.load(place.key_file))


def test_two_people_sign_one_after_the_other(place: Workspace, ring: Ring) -> None:
    before, document = trust.current(place), ring.document(2, "br", "b", 2)
    half = trust.sign(document, [ring["a"], ring["b"]])
    assert trust.missing(half, before) == {"own": ring.role("r")}
    with pytest.raises(ReleaseError, match=r"lacks 1 more signature.*own root keys"):
        trust.publish(place, half)
    assert trust.load(place) is None
    whole = trust.sign(document, [ring["r"]], half)
    assert trust.missing(whole, before) == {}
    assert trust.publish(place, whole) == document == trust.load(place)
    assert (trust.folder(place) / "2.json").read_bytes() == whole


NEXT = {
    "a key twice": {"root": trust.Role(("k", "k"))},
    "a key that is not there": {"release": trust.Role(("00" * 32,))},
    "no key": {"root": trust.Role(())},
    "CA certificates that are none": {"ca": "nothing"},
}


@pytest.mark.parametrize("name", NEXT)
def test_document_that_boards_would_refuse_is_not_made(name: str, place: Workspace) -> None:
    with pytest.raises(UsageError, match="trust document 2"):
        trust.current(place).next_version(**NEXT[name])


def test_releases_are_signed_anew_under_their_sequence(place: Workspace, ring: Ring) -> None:
    payload = {"schema": 1, "version": "1.0.0", "sequence": 7, "security_version": 0, "published": "x", "targets": []}
    folder = place.releases / "1.0.0"
    folder.mkdir()
    ledger.note(place, envelope.encoded(payload))
    stranger = place.releases / "theirs.json"
    stranger.write_bytes(envelope.seal(payload, [ring["x"]]))
    for path in (folder / "release.json", place.channel_file):
        path.write_bytes(envelope.seal(payload, [ring["a"]]))
    before = trust.current(place)
    keyfiles.new(place)
    new = keys.load(place.key_file)
    mine = trust.Role((keys.keyid(new.public_key()),))
    document = before.next_version(keys={mine.keyids[0]: new.public_key()}, root=mine, release=mine)
    trust.publish(place, trust.seal(document, before, [ring["a"], new]), before)
    kept = stranger.read_bytes()
    assert resign(place).anew == (folder / "release.json", place.channel_file)
    assert envelope.unseal(place.channel_file.read_bytes(), [new.public_key()]) == payload | {"trust": 2}
    names = [one["keyid"] for one in json.loads(place.channel_file.read_bytes())["signatures"]]
    assert names == list(mine.keyids)  # the retired key's is dropped
    assert stranger.read_bytes() == kept
    assert resign(place).anew == ()
