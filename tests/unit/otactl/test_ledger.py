"""What somebody else has put into releases/, by a key that he had or by the server alone, is never signed by a key that he
has not."""

import contextlib
import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from otactl.errors import OtactlError, ReleaseError
from otactl.release import channels, envelope, ledger, pending, resign, rotation
from otactl.release.publish import publish
from otactl.workspace import keyring, keys
from otactl.workspace.workspace import Workspace
from vboard.flash.images import build_app

EVIL = build_app("esp32", seed=666, size=20_000)
DIGEST = sha256(EVIL).hexdigest()


@pytest.fixture(scope="session")
def root_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stick") / "root.pem"
    keys.generate(path)
    return path


@pytest.fixture(scope="session")
def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=keys.EXPONENT, key_size=keys.BITS)


@pytest.fixture(autouse=True)
def quick_key(new_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new key of a test is a real one that was made before."""
    monkeypatch.setattr(keys.rsa, "generate_private_key", lambda **_: new_key)


@pytest.fixture
def line(place: Workspace, firmware_file, root_key: Path, tmp_path: Path) -> Workspace:
    """A workspace with 1.0.0 and 1.1.0, which expires, and a root key of its own on a stick."""
    publish(place, [firmware_file(seed=1)], "1.0.0")
    publish(place, [firmware_file(seed=2)], "1.1.0", expires="30d")
    stick = Path(shutil.copy(root_key, tmp_path / "root.pem"))
    rotation.add(place, [keys.load(stick).public_key()], "root")
    return place


def evil(payload: dict[str, Any], version: str, sequence: int) -> dict[str, Any]:
    target = payload["targets"][0] | {"sha256": DIGEST, "size": len(EVIL)}
    return payload | {"version": version, "sequence": sequence, "targets": [target]}


def put(place: Workspace, where: str, sequence: int, version: str = "1.1.0") -> None:
    """The thief's release in place of ours, by the key that he has stolen, and his image."""
    thief = keys.load(place.key_file)
    payload = evil(channels.current(place) or {}, version, sequence)
    path = place.releases / where
    path.write_bytes(envelope.seal(payload, [thief]))
    (place.releases / payload["targets"][0]["url"]).write_bytes(EVIL)


THEIRS: dict[str, Callable[[Workspace], None]] = {
    "the channel, a sequence of ours": lambda at: put(at, "stable.json", 2),
    "the channel, a later sequence": lambda at: put(at, "stable.json", 9),
    "the channel, the last of all sequences": lambda at: put(at, "stable.json", 0x7FFFFFFF),
    "a release's own file": lambda at: put(at, "1.1.0/release.json", 2),
    "a release's own file, a later sequence": lambda at: put(at, "1.0.0/release.json", 9, "1.0.0"),
    "a new release": lambda at: ((at.releases / "2.0").mkdir(), put(at, "2.0/release.json", 3, "2.0"))[0],
    "a channel of his own": lambda at: put(at, "beta.json", 2),
}
VERBS: dict[str, Callable[[Workspace], object]] = {
    "resign": resign.resign,
    "renew": channels.renew,
    "withdraw": lambda at: channels.withdraw(at, "1.1.0"),
    "promote": lambda at: channels.promote(at, "1.1.0", "field"),
    "promote what is his": lambda at: channels.promote(at, "2.0", "field"),
}


def vouched_for(place: Workspace) -> list[str]:
    """The files that name his image and that boards would take now."""
    role = keyring.release_role(place)
    found = []
    for path in ledger.signed_files(place):
        with contextlib.suppress(ReleaseError):
            payload = envelope.unseal(path.read_bytes(), list(role.keys.values()))
            found += [path.name for target in payload["targets"] if target["sha256"] == DIGEST]
    return found


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("theirs", THEIRS)
def test_what_a_thief_signed_is_not_signed_by_the_key_that_took_the_place_of_the_stolen_one(
    theirs: str, verb: str, line: Workspace, firmware_file
) -> None:
    THEIRS[theirs](line)
    stolen = keyring.signing(line)
    done = rotation.revoke(line, stolen, secret=None, out=None, with_keys=[line.root.parent / "root.pem"])
    assert done.releases.strange
    with contextlib.suppress(OtactlError):
        VERBS[verb](line)
    assert vouched_for(line) == []


def test_the_last_of_all_sequences_by_a_thief_keeps_nobody_from_publishing(line: Workspace, firmware_file) -> None:
    put(line, "stable.json", 0x7FFFFFFF)
    rotation.revoke(line, keyring.signing(line), secret=None, out=None, with_keys=[line.root.parent / "root.pem"])
    with pytest.raises(ReleaseError, match="not what was published here"):
        publish(line, [firmware_file(seed=3)], "1.2.0")
    line.channel_file.unlink()
    assert publish(line, [firmware_file(seed=3)], "1.2.0").sequence == 3


def test_one_of_two_thieves_gets_no_second_signature(line: Workspace, stranger: Path) -> None:
    stick = line.root.parent / "root.pem"
    rotation.add(line, [keys.load(stranger).public_key()], "release", [stick])
    rotation.threshold(line, "release", 2, [stick])
    resign.resign(line, [stranger])
    put(line, "stable.json", 2)
    rotation.add(line, [keys.load(stick).public_key()], "release", [stick])
    resign.resign(line, [stranger])
    role = keyring.release_role(line)
    raw = json.loads(line.channel_file.read_bytes())
    assert DIGEST in str(envelope.unseal(line.channel_file.read_bytes(), list(role.keys.values())))
    assert len(raw["signatures"]) == 1  # his own


def test_a_release_that_waits_is_signed_as_it_was_made(place: Workspace, firmware_file) -> None:
    publish(place, [firmware_file(seed=1)], "1.0.0", payload_only=True)
    folder = place.releases / "1.0.0"
    altered = evil(json.loads((folder / "payload.json").read_bytes()), "1.0.0", 1)
    (folder / "payload.json").write_bytes(envelope.encoded(altered))
    (folder / "esp32.bin").write_bytes(EVIL)
    with pytest.raises(ReleaseError, match="not what was published here under sequence 1"):
        pending.attach(place, "1.0.0", with_keys=[place.key_file])
    assert vouched_for(place) == []


def test_a_workspace_of_before_knows_what_the_keys_of_that_day_have_signed(line: Workspace) -> None:
    (line.root / "published.json").unlink()
    rotation.rotate(line, "release", secret=None, out=None, with_keys=[line.root.parent / "root.pem"])
    assert resign.resign(line).strange == ()
    assert (channels.current(line) or {})["version"] == "1.1.0"


def test_a_ledger_that_is_damaged_is_named_and_nothing_is_signed(line: Workspace) -> None:
    (line.root / "published.json").write_text("[")
    kept = line.channel_file.read_bytes()
    with pytest.raises(OtactlError, match=r"published\.json is damaged"):
        rotation.rotate(line, "release", secret=None, out=None, with_keys=[line.root.parent / "root.pem"])
    assert line.channel_file.read_bytes() == kept
