"""Releases whose signature is made elsewhere: the private key is not on the machine that publishes."""

import base64
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from otactl.cli.main import main
from otactl.errors import OtactlError
from otactl.release import channels, envelope, pending
from otactl.release.encrypted import Asked
from otactl.release.publish import publish
from otactl.workspace import device_key, keyring, keys
from otactl.workspace.workspace import Workspace

PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]


@pytest.fixture
def hsm(place: Workspace, tmp_path: Path) -> Path:
    """The release key, where the workspace does not have it."""
    away = tmp_path / "hsm.pem"
    place.key_file.rename(away)
    return away


def openssl(key: Path, message: Path, out: Path, options: list[str] = PSS) -> Path:
    command = ["openssl", "dgst", "-sha256", "-sign", key, *options, "-out", out, message]
    subprocess.run(command, check=True, capture_output=True)
    return out


def signed_by_hsm(place: Workspace, hsm: Path, version: str) -> Path:
    return openssl(hsm, place.releases / version / pending.TO_SIGN, hsm.with_name(f"{version}.sig"))


def content(place: Workspace) -> dict[str, bytes]:
    """All files of a workspace but its lock."""
    return {
        str(path.relative_to(place.root)): path.read_bytes()
        for path in place.root.rglob("*")
        if path.is_file() and path.name != ".publishing"
    }


def test_openssl_signs_what_is_prepared_and_boards_would_take_it(place: Workspace, hsm: Path, firmware_file) -> None:
    made = publish(place, [firmware_file()], "1.1.0", payload_only=True)
    assert (made.sequence, made.waits) == (1, 1)
    assert not place.channel_file.exists()
    done = pending.attach(place, "1.1.0", signature=signed_by_hsm(place, hsm, "1.1.0"))
    assert (done.version, done.sequence, done.channel, done.waits) == ("1.1.0", 1, "stable", 0)
    payload = envelope.unseal(place.channel_file.read_bytes(), [keys.load(hsm).public_key()])
    assert (payload["version"], payload["targets"]) == ("1.1.0", made.targets)
    assert (place.releases / "1.1.0" / "release.json").read_bytes() == place.channel_file.read_bytes()
    assert {path.name for path in (place.releases / "1.1.0").iterdir()} == {"esp32.bin", "release.json"}
    assert channels.releases(place)[0].channels == {"stable": 1}


def test_an_encrypted_release_waits_for_its_signature_too(place: Workspace, hsm: Path, firmware_file) -> None:
    device = device_key.keep(place, None, device_key.ECC)
    made = publish(place, [firmware_file()], "1.1.0", payload_only=True, encryption=Asked(public=device.public))
    assert pending.attach(place, "1.1.0", signature=signed_by_hsm(place, hsm, "1.1.0")).waits == 0
    assert envelope.unseal(place.channel_file.read_bytes(), [keys.load(hsm).public_key()])["targets"] == made.targets


def test_the_lines_that_are_told_do_it(capsys, place: Workspace, hsm: Path, firmware_file, monkeypatch) -> None:
    monkeypatch.chdir(place.root)
    words = ["publish", str(firmware_file()), "--version", "1.1.0", "--channel", "beta", "--payload-only"]
    assert main(words) == 0
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if "openssl" in line)
    subprocess.run(shlex.split(line.replace("KEY.pem", str(hsm))), check=True)
    follow_up = re.search(r"next: otactl (.*)", said)
    assert follow_up
    assert main(shlex.split(follow_up[1])) == 0
    assert channels.named(place).keys() == {"beta"}


def test_base64_is_a_signature_too(place: Workspace, hsm: Path, firmware_file) -> None:
    publish(place, [firmware_file()], "1.1.0", payload_only=True)
    file = signed_by_hsm(place, hsm, "1.1.0")
    file.write_bytes(base64.encodebytes(file.read_bytes()))
    assert pending.attach(place, "1.1.0", signature=file).waits == 0


def altered(place: Workspace, hsm: Path, stranger: Path) -> Path:
    file = signed_by_hsm(place, hsm, "1.1.0")
    file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))
    return file


def of_a_stranger(place: Workspace, hsm: Path, stranger: Path) -> Path:
    return openssl(stranger, place.releases / "1.1.0" / pending.TO_SIGN, hsm.with_name("sig"))


def over_the_payload_alone(place: Workspace, hsm: Path, stranger: Path) -> Path:
    return openssl(hsm, place.releases / "1.1.0" / pending.PAYLOAD, hsm.with_name("sig"))


def with_a_long_salt(place: Workspace, hsm: Path, stranger: Path) -> Path:
    long = [*PSS[:2], "-sigopt", "rsa_pss_saltlen:222"]
    return openssl(hsm, place.releases / "1.1.0" / pending.TO_SIGN, hsm.with_name("sig"), long)


def with_another_padding(place: Workspace, hsm: Path, stranger: Path) -> Path:
    return openssl(hsm, place.releases / "1.1.0" / pending.TO_SIGN, hsm.with_name("sig"), [])


def cut(place: Workspace, hsm: Path, stranger: Path) -> Path:
    file = signed_by_hsm(place, hsm, "1.1.0")
    file.write_bytes(file.read_bytes()[:-1])
    return file


def payload_altered_since(place: Workspace, hsm: Path, stranger: Path) -> Path:
    file = signed_by_hsm(place, hsm, "1.1.0")
    payload = place.releases / "1.1.0" / pending.PAYLOAD
    payload.write_bytes(payload.read_bytes().replace(b'"lamp"', b'"bulb"'))
    return file


def image_altered_since(place: Workspace, hsm: Path, stranger: Path) -> Path:
    (place.releases / "1.1.0" / "esp32.bin").write_bytes(b"other")
    return signed_by_hsm(place, hsm, "1.1.0")


def newer_published_since(place: Workspace, hsm: Path, stranger: Path) -> Path:
    image = place.releases / "1.1.0" / "esp32.bin"
    publish(place, [image], "1.2.0", payload_only=True)
    pending.attach(place, "1.2.0", signature=signed_by_hsm(place, hsm, "1.2.0"))
    return signed_by_hsm(place, hsm, "1.1.0")


@pytest.mark.parametrize(
    ("situation", "why"),
    [
        (altered, "is no signature of 1.1.0"),
        (of_a_stranger, "is no signature of 1.1.0"),
        (over_the_payload_alone, "is no signature of 1.1.0"),
        (with_a_long_salt, "a salt of 32 bytes"),
        (with_another_padding, "is no signature of 1.1.0"),
        (cut, "384 bytes as they are, or as base64; it has 383"),
        (payload_altered_since, "not what was published here"),
        (image_altered_since, "not what 1.1.0 was prepared with"),
        (newer_published_since, r"stable names 1\.2\.0 .*publish the firmware of 1\.1\.0 again"),
    ],
)
def test_what_boards_would_refuse_is_not_attached_and_changes_nothing(
    place: Workspace,
    hsm: Path,
    stranger: Path,
    firmware_file,
    situation: Callable[[Workspace, Path, Path], Path],
    why: str,
) -> None:
    publish(place, [firmware_file()], "1.1.0", payload_only=True)
    file = situation(place, hsm, stranger)
    before = content(place)
    with pytest.raises(OtactlError, match=why):
        pending.attach(place, "1.1.0", signature=file)
    assert content(place) == before


def test_the_key_that_made_it_may_be_named(place: Workspace, hsm: Path, stranger: Path, firmware_file) -> None:
    publish(place, [firmware_file()], "1.1.0", payload_only=True)
    theirs = of_a_stranger(place, hsm, stranger)
    with pytest.raises(OtactlError, match="boards are not told to trust"):
        pending.attach(place, "1.1.0", signature=theirs, by=stranger)
    ours = signed_by_hsm(place, hsm, "1.1.0")
    with pytest.raises(OtactlError, match="is no signature of"):
        pending.attach(place, "1.1.0", signature=ours, by=stranger)
    assert pending.attach(place, "1.1.0", signature=ours, by=keys.public_file(place.key_file)).waits == 0


def test_the_sequence_stays_taken_and_another_publish_is_told(place: Workspace, firmware_file) -> None:
    publish(place, [firmware_file()], "1.1.0", payload_only=True)
    made = publish(place, [firmware_file()], "1.2.0")
    assert made.sequence == 2
    assert [note for note in made.notes if "1.1.0 (sequence 1) still waits for its signature" in note]


def test_a_version_that_waits_is_not_prepared_twice(place: Workspace, firmware_file) -> None:
    publish(place, [firmware_file()], "1.1.0", payload_only=True)
    before = content(place)
    with pytest.raises(OtactlError, match=r"1\.1\.0 waits for its signature already"):
        publish(place, [firmware_file(seed=1)], "1.1.0")
    assert content(place) == before


def test_what_waits_is_listed(capsys, place: Workspace, firmware_file) -> None:
    publish(place, [firmware_file()], "1.1.0", payload_only=True)
    assert main(["releases", "list", "-w", str(place.root)]) == 0
    assert "! 1.1.0 (sequence 1) waits for its signature: `otactl attach-signature 1.1.0" in capsys.readouterr().out
    assert main(["releases", "list", "--json", "-w", str(place.root)]) == 0
    assert json.loads(capsys.readouterr().out)["pending"] == [{"version": "1.1.0", "sequence": 1}]


def test_a_signature_twice_is_told(place: Workspace, hsm: Path, firmware_file) -> None:
    publish(place, [firmware_file()], "1.1.0", payload_only=True)
    file = signed_by_hsm(place, hsm, "1.1.0")
    pending.attach(place, "1.1.0", signature=file)
    with pytest.raises(OtactlError, match=r"has its signatures already: `otactl releases promote 1\.1\.0 --to stable`"):
        pending.attach(place, "1.1.0", signature=file)
    with pytest.raises(OtactlError, match=r"no release 9 waits"):
        pending.attach(place, "9", signature=file)


def test_a_key_that_may_sign_no_release_is_told(place: Workspace, stranger: Path, firmware_file) -> None:
    before = content(place)
    with pytest.raises(OtactlError, match=r"boards do not trust .*release\.pem for releases"):
        publish(place, [firmware_file()], "1.1.0", more_keys=[stranger])
    assert content(place) == before


def test_the_key_on_a_stick_signs_in_place(place: Workspace, hsm: Path, firmware_file) -> None:
    publish(place, [firmware_file()], "1.1.0", payload_only=True)
    assert pending.attach(place, "1.1.0", with_keys=[hsm]).waits == 0
    assert publish(place, [firmware_file()], "1.2.0", more_keys=[hsm]).waits == 0
    assert [one.version for one in channels.releases(place)] == ["1.1.0", "1.2.0"]
    assert keyring.signers(place, [hsm])
