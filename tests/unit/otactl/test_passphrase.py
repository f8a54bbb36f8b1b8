"""Encrypted keys: where a passphrase comes from, and that it is told nowhere."""

import contextlib
import io
import os
import pty
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import running
from otactl.cli.main import main
from otactl.errors import UsageError
from otactl.release.publish import publish
from otactl.workspace import keyring, keys, passphrase
from otactl.workspace.workspace import Workspace

SECRET, OTHER = "correct horse", "battery staple"


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever make test was called from, nobody is asked; and nothing is left of the test before."""
    monkeypatch.delenv(passphrase.VARIABLE, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    passphrase.use_file(None)


@pytest.fixture
def locked(place: Workspace) -> Workspace:
    """A workspace whose key is encrypted with SECRET."""
    keys.encrypt(place.key_file, SECRET.encode())
    return place


def told(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(text)
    return path


def test_openssl_opens_it_and_nobody_else_reads_it(locked: Workspace) -> None:
    data = locked.key_file.read_bytes()
    assert data.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")  # PKCS 8
    assert stat.S_IMODE(locked.key_file.stat().st_mode) == 0o600
    command = ["openssl", "pkey", "-in", locked.key_file, "-noout", "-passin"]
    assert subprocess.run([*command, f"pass:{SECRET}"], capture_output=True, check=False).returncode == 0
    assert subprocess.run([*command, f"pass:{OTHER}"], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nsecond line"])
def test_a_file_holds_it_in_its_first_line(locked: Workspace, firmware_file, tmp_path: Path, ending: str) -> None:
    passphrase.use_file(told(tmp_path, SECRET + ending))
    assert publish(locked, [firmware_file()], "1.0.0").sequence == 1


def test_the_environment_holds_it(locked: Workspace, firmware_file, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(passphrase.VARIABLE, SECRET)
    assert publish(locked, [firmware_file()], "1.0.0").sequence == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "needs a passphrase, and here is no terminal"),
        (OTHER, r"wrong passphrase for .*release\.pem"),
        (SECRET + " ", r"wrong passphrase for .*release\.pem"),
        ("", "empty or too long"),
        ("x" * 1001, "empty or too long"),
    ],
)
def test_without_it_nothing_is_signed_and_the_error_does_not_tell_it(
    capsys, locked: Workspace, firmware_file, tmp_path: Path, given: str | None, why: str
) -> None:
    words = ["publish", str(firmware_file()), "--version", "1.0.0", "-w", str(locked.root)]
    words += [] if given is None else ["--passphrase-file", str(told(tmp_path, given))]
    assert main(words) == 2
    said = "".join(capsys.readouterr())
    with pytest.raises(UsageError, match=why):
        raise UsageError(said)
    assert not given or given not in said
    assert list(locked.releases.iterdir()) == []
    assert not (locked.root / "sequence").exists()


def test_keys_are_listed_and_deployed_without_it(capsys, locked: Workspace) -> None:
    assert main(["keys", "list", "-w", str(locked.root)]) == 0
    assert [one.signs for one in keyring.held(locked)] == [True]
    keyring.check_signer(locked)
    assert "passphrase" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("before", "words", "after"),
    [
        (None, ["--new-passphrase-file", "new"], OTHER),
        (SECRET, ["--new-passphrase-file", "new"], OTHER),
        (SECRET, ["--remove"], None),
    ],
    ids=["set", "changed", "removed"],
)
def test_a_passphrase_is_set_changed_and_removed(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None, words: list[str], after
) -> None:
    name = keys.keyid(keys.load(place.key_file).public_key())
    if before:
        keys.encrypt(place.key_file, before.encode())
        monkeypatch.setenv(passphrase.VARIABLE, before)
    (tmp_path / "new").write_text(OTHER)
    monkeypatch.chdir(tmp_path)
    assert main(["keys", "passphrase", str(place.key_file), *words]) == 0
    assert keys.is_encrypted(place.key_file) is bool(after)
    monkeypatch.setenv(passphrase.VARIABLE, after or "unused")
    assert keys.keyid(keys.load(place.key_file).public_key()) == name


NO_KEYS = {
    "a text": (b"notes\n", "`otactl keys list` shows"),
    "a public key": (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "it is a public one"),
    "a damaged key": (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "`otactl keys list` shows"),
}


@pytest.mark.parametrize(("data", "then"), NO_KEYS.values(), ids=NO_KEYS)
def test_what_is_no_key_gets_no_passphrase_and_one_line_says_what_to_name(
    data: bytes, then: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.pem"
    path.write_bytes(data)
    assert main(["keys", "passphrase", str(path)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"{path} is not a PEM private key: {then}" in said
    assert "OpenSSL" not in said and "http" not in said  # the library's own words are no next step
    assert path.read_bytes() == data


def test_a_wrong_passphrase_changes_none(locked: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = locked.key_file.read_bytes()
    monkeypatch.setenv(passphrase.VARIABLE, OTHER)
    assert main(["keys", "passphrase", str(locked.key_file), "--remove"]) == 2
    assert locked.key_file.read_bytes() == before


def asked(answer: str, *words: object) -> tuple[int, str]:
    """Exit code and all that a terminal shows of a command that asks, and is given `answer`."""
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)  # what opens it first, in a session of its own, has it for its terminal
    line = shlex.join([sys.executable, "-m", "otactl", *map(str, words)]) + f" <{name} >{name} 2>&1"
    said = b""
    with subprocess.Popen(["sh", "-c", f"exec {line}"], env=running.environment(), start_new_session=True) as run:
        while b": " not in said:
            said += os.read(ours, 65536)
        listed = subprocess.run(["ps", "-wwo", "args", "-p", str(run.pid)], capture_output=True, text=True, check=True)
        os.write(ours, answer.encode() + b"\n")
        os.close(theirs)
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(ours, 65536):
                said += data
    os.close(ours)
    return run.returncode, said.decode() + listed.stdout


def test_a_terminal_is_asked_and_shows_nothing_of_it(locked: Workspace, firmware_file) -> None:
    code, said = asked(SECRET, "publish", firmware_file(), "--version", "1.0.0", "-w", locked.root)
    assert (code, locked.channel_file.exists()) == (0, True), said
    assert "passphrase of" in said
    assert SECRET not in said


def test_init_encrypts_the_key_that_it_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(passphrase.VARIABLE, SECRET)
    assert main(["init", "lamp.local", "--passphrase", "-w", str(tmp_path / "lamp")]) == 0
    place = Workspace.find(tmp_path / "lamp")
    assert keys.is_encrypted(place.key_file)
    assert keyring.signer(place)
