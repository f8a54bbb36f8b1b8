"""Changes of what boards trust, as the host makes them: the documents, who signs them, and what becomes of releases."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from otactl.cli.main import main
from otactl.errors import ReleaseError, UsageError
from otactl.release import channels, envelope, pending, resign, rotation
from otactl.release.publish import publish
from otactl.workspace import ceremony, keyfiles, keyring, keys, passphrase, trust
from otactl.workspace.trust import Role
from otactl.workspace.workspace import Workspace

Pem = Callable[[str], Path]


@pytest.fixture(scope="session")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys to be copied: to make one takes a quarter of a second."""
    folder = tmp_path_factory.mktemp("pems")
    for name in ("root", "second", "colleague", "new"):
        keys.generate(folder / f"{name}.pem")
    return folder


@pytest.fixture(autouse=True)
def quick_keys(pems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new key of a test is a real one that was made before."""
    made = iter([keys.load(pems / "new.pem")])
    monkeypatch.setattr(keys.rsa, "generate_private_key", lambda **_: next(made))


@pytest.fixture
def pem(pems: Path, tmp_path: Path) -> Pem:
    """pem("root"): such a key on a stick."""

    def stick(name: str) -> Path:
        (tmp_path / "stick").mkdir(exist_ok=True)
        return Path(shutil.copy(pems / f"{name}.pem", tmp_path / "stick" / f"{name}.pem"))

    return stick


def keyid(path: Path) -> str:
    return keys.keyid(keys.load(path).public_key())


@pytest.fixture
def apart(place: Workspace, pem: Pem, firmware_file) -> Workspace:
    """A workspace with 1.0.0, and a root key on a stick (pem("root")): trust document 2."""
    publish(place, [firmware_file()], "1.0.0")
    root = pem("root")
    before = trust.current(place)
    wanted = trust.Trust(
        1,
        place.product,
        {**before.keys, keyid(root): keys.load(root).public_key()},
        Role((keyid(root),)),
        before.release,
    )
    rotation.change(place, before, wanted, [root])
    return place


def documents(place: Workspace) -> list[str]:
    return sorted(path.name for path in trust.folder(place).glob("*"))


def payload_for_boards(place: Workspace) -> dict[str, object]:
    """What a board with the newest document reads in the channel. Raises ReleaseError where it would refuse it."""
    role = keyring.release_role(place)
    data = place.channel_file.read_bytes()
    payload = envelope.unseal(data, list(role.keys.values()))
    signed = [one["keyid"] for one in json.loads(data)["signatures"]]
    if len(set(signed) & set(role.keys)) < role.threshold or set(signed) - set(role.keys):
        raise ReleaseError(f"signed by {signed}")
    return payload


def test_a_root_key_of_its_own_makes_the_other_one_for_releases_alone(place: Workspace, tmp_path: Path) -> None:
    before = keyid(place.key_file)
    done = rotation.new(place, "root", secret=None, out=tmp_path / "root.pem")
    now = trust.current(place)
    assert (now.version, now.root.keyids, now.release.keyids) == (2, (keyid(tmp_path / "root.pem"),), (before,))
    assert (done.missing, done.made) == ({}, tmp_path / "root.pem")
    assert documents(place) == ["2.json"]
    assert [path.name for path in place.trusted.glob("*.pem")] == ["release.pem"]


def test_a_rotation_retires_the_key_that_signed(apart: Workspace, pem: Pem) -> None:
    before = keyid(apart.key_file)
    done = rotation.rotate(apart, None, secret=None, out=None, with_keys=[pem("root")])
    assert done.made == apart.key_file
    now = trust.current(apart)
    assert (now.version, now.root.keyids, now.release.keyids) == (3, (keyid(pem("root")),), (keyid(apart.key_file),))
    assert keyid(apart.trusted / f"release-{before[:8]}.pem") == before  # renamed, and never erased
    payload = payload_for_boards(apart)
    assert (payload["version"], payload["sequence"], payload["trust"]) == ("1.0.0", 1, 3)
    assert {path.relative_to(apart.releases).as_posix() for path in done.releases.anew} == {
        "stable.json",
        "1.0.0/release.json",
    }


def test_a_lone_key_rotates_itself(place: Workspace, firmware_file) -> None:
    publish(place, [firmware_file()], "1.0.0")
    rotation.rotate(place, None, secret=None, out=None)
    now, made = trust.current(place), keyid(place.key_file)
    assert (now.root.keyids, now.release.keyids) == ((made,), (made,))
    assert payload_for_boards(place)["trust"] == 2


def test_what_is_retired_is_not_trusted_again_where_the_document_is_lost(apart: Workspace, pem: Pem) -> None:
    before = keyid(apart.key_file)
    rotation.rotate(apart, None, secret=None, out=None, with_keys=[pem("root")])
    trust.kept(apart).unlink()
    assert before not in trust.current(apart).keys


def test_a_lost_laptop_and_the_stick(apart: Workspace, pem: Pem, tmp_path: Path, firmware_file) -> None:
    lost = keyid(apart.key_file)
    apart.key_file.rename(tmp_path / "thief.pem")
    done = rotation.revoke(apart, lost[:8], secret=None, out=None, with_keys=[pem("root")])
    assert (done.missing, done.made) == ({}, apart.key_file)
    assert trust.current(apart).release.keyids == (keyid(apart.key_file),)
    assert payload_for_boards(apart)["version"] == "1.0.0"
    assert publish(apart, [firmware_file(seed=1)], "1.1.0").sequence == 2
    with pytest.raises(UsageError, match="no key that boards trust"):
        rotation.revoke(apart, lost[:8], secret=None, out=None)


def test_a_release_of_a_thief_gets_no_signature_of_the_new_key(apart: Workspace, pem: Pem) -> None:
    forged = channels.current(apart) | {"sequence": 9, "version": "evil"}  # type: ignore[operator]
    apart.channel_file.write_bytes(envelope.seal(forged, [keys.load(apart.key_file)]))
    done = rotation.rotate(apart, None, secret=None, out=None, with_keys=[pem("root")])
    assert done.releases.strange == (apart.channel_file,)
    with pytest.raises(ReleaseError):
        payload_for_boards(apart)


def test_without_the_stick_it_waits_and_nothing_has_changed_for_boards(apart: Workspace, pem: Pem) -> None:
    before, channel = keyid(apart.key_file), apart.channel_file.read_bytes()
    done = rotation.rotate(apart, None, secret=None, out=None)
    assert {name: role.threshold for name, role in done.missing.items()} == {"before": 1, "own": 1}
    assert (trust.current(apart).version, documents(apart)) == (2, ["2.json"])
    assert (keyid(apart.key_file), apart.channel_file.read_bytes()) == (before, channel)
    with pytest.raises(UsageError, match=r"trust-3\.partial\.json waits"):
        rotation.threshold(apart, "release", 1 + 1, [pem("root")])
    ended = rotation.sign(apart, done.document, [pem("root")])
    assert ended.missing == {}
    assert (keyid(apart.key_file), documents(apart)) == (trust.current(apart).release.keyids[0], ["2.json", "3.json"])
    assert payload_for_boards(apart)["trust"] == 3
    assert not list(apart.trusted.glob("trust-3*"))


def test_two_of_three_sign_in_turn_one_of_them_with_openssl(apart: Workspace, pem: Pem, tmp_path: Path) -> None:
    for name in ("second", "colleague"):
        rotation.add(apart, [keys.load(pem(name)).public_key()], "root", [pem("root")])
    rotation.threshold(apart, "root", 2, [pem("root"), pem("second")])
    done = rotation.rotate(apart, None, secret=None, out=None, with_keys=[pem("second")])
    assert {name: role.threshold for name, role in done.missing.items()} == {"before": 1, "own": 1}
    again = rotation.sign(apart, done.document, [pem("second")])  # twice the same counts once
    assert again.missing == done.missing
    pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
    out, to_sign = tmp_path / "sig", done.document.with_name("trust-6.dsse")
    command = ["openssl", "dgst", "-sha256", "-sign", pem("colleague"), *pss, "-out", out, to_sign]
    subprocess.run(command, check=True, capture_output=True)
    assert rotation.sign(apart, done.document, signature=pending.signature_in(out)).missing == {}
    assert trust.current(apart).version == 6


def test_a_signature_that_no_root_key_made_is_refused(apart: Workspace, pem: Pem) -> None:
    done = rotation.rotate(apart, None, secret=None, out=None)
    before = done.document.read_bytes()
    wrong = keys.sign(keys.load(pem("colleague")), done.document.with_name("trust-3.dsse").read_bytes())
    with pytest.raises(UsageError, match="no root key made that signature"):
        rotation.sign(apart, done.document, signature=wrong)
    assert done.document.read_bytes() == before


def test_signatures_that_are_of_no_use_count_for_nothing_and_reach_no_board(apart: Workspace, pem: Pem) -> None:
    done = rotation.rotate(apart, None, secret=None, out=None)
    raw = json.loads(done.document.read_bytes())
    nothing = raw["payload"][:512]  # 384 bytes of it
    raw["signatures"] = [{"keyid": keyid(pem(name)), "sig": nothing} for name in ("root", "colleague")]
    done.document.write_text(json.dumps(raw))
    assert rotation.sign(apart, done.document).missing == done.missing
    ended = rotation.sign(apart, done.document, [pem("root"), pem("colleague")])
    sealed = json.loads(ended.document.read_bytes())
    assert [one["keyid"] for one in sealed["signatures"]] == [keyid(pem("root"))]
    assert sealed["signatures"][0]["sig"] != nothing


@pytest.mark.parametrize(
    ("alter", "why"),
    [
        (lambda text: text.replace("trust+json", "release+json"), "not a trust document, but a signed"),
        (lambda text: text[:-9], "its JSON is damaged"),
        (lambda text: "{}", "its JSON is damaged"),
    ],
)
def test_what_is_no_trust_document_is_not_signed(apart: Workspace, pem: Pem, alter: Callable[[str], str], why) -> None:
    done = rotation.rotate(apart, None, secret=None, out=None)
    done.document.write_text(alter(done.document.read_text()))
    with pytest.raises(UsageError, match=why):
        rotation.sign(apart, done.document, [pem("root")])
    assert documents(apart) == ["2.json"]


def test_a_document_that_another_one_has_overtaken_is_not_signed(apart: Workspace, pem: Pem) -> None:
    done = rotation.rotate(apart, None, secret=None, out=None)
    kept = done.document.rename(done.document.with_name("kept.json"))
    rotation.add(apart, [keys.load(pem("colleague")).public_key()], "release", [pem("root")])
    with pytest.raises(UsageError, match="is trust document 3, and this workspace has 3"):
        rotation.sign(apart, kept, [pem("root")])


def test_a_release_that_two_have_to_sign_is_not_renewed_by_one(apart: Workspace, pem: Pem) -> None:
    rotation.add(apart, [keys.load(pem("colleague")).public_key()], "release", [pem("root")])
    rotation.threshold(apart, "release", 2, [pem("root")])
    before = apart.channel_file.read_bytes()
    with pytest.raises(UsageError, match="boards ask for 2 signatures, here are 1"):
        channels.renew(apart)
    assert apart.channel_file.read_bytes() == before


def test_a_threshold_of_releases_makes_a_publish_wait(apart: Workspace, pem: Pem, firmware_file) -> None:
    rotation.add(apart, [keys.load(pem("colleague")).public_key()], "release", [pem("root")])
    done = rotation.threshold(apart, "release", 2, [pem("root")])
    assert {path.name for path in done.releases.left} == {"stable.json", "release.json"}
    assert {path.name for path in resign.resign(apart, [pem("colleague")]).anew} == {"stable.json", "release.json"}
    assert payload_for_boards(apart)["version"] == "1.0.0"
    made = publish(apart, [firmware_file(seed=1)], "1.1.0")
    assert (made.waits, payload_for_boards(apart)["version"]) == (1, "1.0.0")
    assert pending.attach(apart, "1.1.0", with_keys=[apart.key_file]).waits == 1  # the same key again
    assert pending.attach(apart, "1.1.0", with_keys=[pem("colleague")]).waits == 0
    assert payload_for_boards(apart)["version"] == "1.1.0"
    assert publish(apart, [firmware_file(seed=2)], "1.2.0", more_keys=[pem("colleague")]).waits == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda place, pem: rotation.threshold(place, "release", 2, [pem("root")]), "2 of 1 key cannot sign"),
        (lambda place, pem: rotation.threshold(place, "release", 1), "is 1 already"),
        (
            lambda place, pem: rotation.revoke(place, keyid(pem("root")), secret=None, out=None),
            "is the only root key: `otactl keys rotate --role root`",
        ),
        (lambda place, pem: rotation.revoke(place, "zz", secret=None, out=None), "is no key that boards trust"),
        (lambda place, pem: rotation.revoke(place, "", secret=None, out=None), "more than one of those"),
        (
            lambda place, pem: rotation.add(place, [keys.load(place.key_file).public_key()], "release"),
            "has that role already",
        ),
        (
            lambda place, pem: rotation.new(place, "root", secret=None, out=pem("second")),
            "is there already, and a key is never overwritten",
        ),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    apart: Workspace, pem: Pem, change: Callable[[Workspace, Pem], object], why: str
) -> None:
    before = {path: path.read_bytes() for path in apart.root.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=why):
        change(apart, pem)
    assert {path: path.read_bytes() for path in apart.root.rglob("*") if path.is_file()} == before


def test_a_new_key_is_not_left_behind_where_the_change_fails(
    apart: Workspace, pem: Pem, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in apart.trusted.iterdir())
    monkeypatch.setattr("sys.stdin", None)
    keys.encrypt(pem("second"), b"secret")
    monkeypatch.setenv(passphrase.VARIABLE, "another")
    with pytest.raises(UsageError, match="wrong passphrase"):
        rotation.rotate(apart, None, secret=None, out=None, with_keys=[pem("root"), locked(pem("second"))])
    assert sorted(path.name for path in apart.trusted.iterdir()) == before


def locked(path: Path) -> Path:
    keys.encrypt(path, b"secret")
    return path


def test_keys_that_sign_and_lie_here_under_another_name_are_named(
    apart: Workspace, pem: Pem, capsys: pytest.CaptureFixture[str]
) -> None:
    rotation.add(apart, [keys.load(pem("colleague")).public_key()], "release", [pem("root")])
    rotation.threshold(apart, "release", 2, [pem("root")])
    where = ["-w", str(apart.root)]

    def advised() -> list[str]:
        capsys.readouterr()
        assert main(["keys", "resign", *where]) == 0
        told = " ".join(capsys.readouterr().out.split())
        return shlex.split(told.partition("`otactl ")[2].partition("`")[0])

    assert advised() == ["keys", "resign", "--with", "KEY", *where]
    other = Path(shutil.copy(pem("colleague"), apart.trusted / "colleague.pem"))
    assert (told := advised()) == ["keys", "resign", "--with", str(other), *where]
    assert main(told) == 0
    assert payload_for_boards(apart)["trust"] == 4


def test_a_change_that_was_broken_off_behind_the_document_is_ended_by_resign(
    apart: Workspace, pem: Pem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(place: Workspace, made: Path | None = None) -> Path | None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(keyfiles, "settle", cut)
        with pytest.raises(KeyboardInterrupt):
            rotation.rotate(apart, None, secret=None, out=None, with_keys=[pem("root")])
    with pytest.raises(ReleaseError):
        payload_for_boards(apart)
    keyfiles.settle(apart)
    assert resign.resign(apart).left == ()
    assert payload_for_boards(apart)["trust"] == 3


def test_where_the_root_keys_are_lost_one_key_starts_over_and_no_other_is_trusted(apart: Workspace) -> None:
    before = keyid(apart.key_file)
    done = rotation.start_over(apart, None)
    now = trust.current(apart)
    assert (now.version, list(now.keys)) == (1, [keyid(apart.key_file)]) != (1, [before])
    assert not trust.folder(apart).exists()
    assert "trust" not in payload_for_boards(apart)
    assert (payload_for_boards(apart)["sequence"], done.releases.left) == (1, ())
    assert keyid(apart.trusted / f"release-{before[:8]}.pem") == before


def test_a_root_key_is_rotated_by_itself(apart: Workspace, pem: Pem, tmp_path: Path) -> None:
    rotation.rotate(apart, "root", secret=None, out=tmp_path / "next.pem", with_keys=[pem("root")])
    now = trust.current(apart)
    assert now.root.keyids == (keyid(tmp_path / "next.pem"),)
    assert now.release.keyids == (keyid(apart.key_file),)


def test_boards_are_told_of_the_newest_document(apart: Workspace) -> None:
    held = json.loads(trust.for_board(trust.current(apart)))
    assert (held["version"], held["release"]["keys"]) == (2, [keyid(apart.key_file)])
    assert ceremony.partial(apart) is None


def test_a_document_that_boards_can_get_is_the_newest_though_the_disk_was_full(
    apart: Workspace, pem: Pem, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = trust.write_atomic

    def full(path: Path, data: bytes, *mode: int) -> None:
        if path == trust.kept(apart):
            raise OSError(28, "No space left on device", str(path))
        write(path, data, *mode)

    monkeypatch.setattr(trust, "write_atomic", full)
    with pytest.raises(OSError, match="No space left"):
        rotation.add(apart, [keys.load(pem("colleague")).public_key()], "release", [pem("root")])
    served = (trust.folder(apart) / "3.json").read_bytes()
    monkeypatch.undo()
    rotation.add(apart, [keys.load(pem("second")).public_key()], "release", [pem("root")])
    assert (trust.folder(apart) / "3.json").read_bytes() == served
    assert trust.verify((trust.folder(apart) / "4.json").read_bytes(), trust.read(served)).version == 4


def test_a_further_root_key_takes_nothing_from_those_that_are_there(place: Workspace, pem: Pem, tmp_path: Path) -> None:
    rotation.add(place, [keys.load(pem("colleague")).public_key()], "both")
    for role in trust.ROLES:
        rotation.threshold(place, role, 2, [pem("colleague")])
    before = trust.current(place).root
    rotation.new(place, "root", secret=None, out=tmp_path / "root.pem", with_keys=[pem("colleague")])
    assert trust.current(place).root == Role((*before.keyids, keyid(tmp_path / "root.pem")), 2)


def test_a_root_key_is_not_written_where_git_takes_it_along(place: Workspace) -> None:
    with pytest.raises(UsageError, match="git takes it along"):
        rotation.new(place, "root", secret=None, out=place.root / "root.pem")
    assert not (place.root / "root.pem").exists()
