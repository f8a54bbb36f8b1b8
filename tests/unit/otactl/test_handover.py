"""`otactl ca …` and the trust documents that bring boards what it changes; boards that take them: board/test_ca_story.py."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from chains import public_ca
from otactl.cli.main import main
from otactl.errors import UsageError
from otactl.release import handover, rotation
from otactl.workspace import authorities, ceremony, issuing, keys, trust
from otactl.workspace.trust import Role
from otactl.workspace.workspace import Workspace

ROOT = public_ca("Public Root G1").certificate
Told = pytest.CaptureFixture[str]


@pytest.fixture(scope="session")
def stick_pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stick") / "root.pem"
    keys.generate(path)
    return path


@pytest.fixture
def stick(stick_pem: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(stick_pem, tmp_path / "root.pem"))


@pytest.fixture
def apart(place: Workspace, stick: Path) -> Workspace:
    """A workspace whose root key is on a stick: trust document 2."""
    before, key = trust.current(place), keys.load(stick).public_key()
    root = Role((keys.keyid(key),))
    rotation.change(place, before, replace(before, keys={**before.keys, root.keyids[0]: key}, root=root), [stick])
    return place


def ca(place: Workspace, *words: object) -> int:
    return main(["ca", *map(str, words), "-w", str(place.root)])


def brought(place: Workspace) -> list[str]:
    """The CA certificates of the newest document, by their fingerprints."""
    ca = trust.current(place).ca
    return [issuing.fingerprint(one) for one in issuing.x509.load_pem_x509_certificates(ca.encode())] if ca else []


def held(place: Workspace) -> list[str]:
    return [one.fingerprint for one in authorities.held(place)]


def test_each_change_is_the_next_document_and_no_change_is_none(place: Workspace) -> None:
    first = held(place)
    assert ca(place, "publish") == 0  # what a deployment may have brought otherwise
    assert (trust.current(place).version, brought(place)) == (2, first)
    assert ca(place, "new") == 0
    assert (trust.current(place).version, brought(place)) == (3, held(place))
    assert len(held(place)) == 2
    assert ca(place, "switch") == 0  # boards have both
    assert ca(place, "publish") == 0
    assert trust.current(place).version == 3
    former = next(one.name for one in authorities.held(place) if one.kind == "former")
    assert ca(place, "remove", former) == 0
    assert (trust.current(place).version, brought(place)) == (4, held(place))
    assert len(held(place)) == 1 and held(place) != first
    handover.keep_root(place, ROOT)
    assert (trust.current(place).version, brought(place)) == (5, held(place))
    handover.keep_root(place, ROOT)
    assert trust.current(place).version == 5


def test_documents_of_keys_in_between_do_not_hide_what_boards_have(place: Workspace, stick: Path) -> None:
    handover.begin(place)
    rotation.add(place, [keys.load(stick).public_key()], "release")
    assert not brought(place)  # they keep the CAs that they have
    assert handover.publish(place) == handover.Handed()


def test_what_somebody_has_put_among_the_documents_is_not_what_boards_have(place: Workspace) -> None:
    """Who has the server and no key must not bring it about that a new CA reaches no board."""
    assert ca(place, "publish") == 0
    had = trust.current(place).ca
    authorities.begin(place)  # as `ca new` that was broken off
    forged = replace(trust.current(place), version=9, ca=authorities.bundle(place).decode())
    (trust.folder(place) / "9.json").write_bytes(trust.sign(forged, []))
    (trust.folder(place) / "2.json").unlink()  # what it has brought is kept here
    assert trust.newest_ca(place) == had
    assert ca(place, "publish") == 0
    assert (trust.current(place).version, brought(place)) == (3, held(place))


def without_keys(place: Workspace) -> Workspace:
    for path in place.trusted.iterdir():
        path.unlink()
    return place


def crowded(place: Workspace) -> Workspace:
    for number in range(8):
        authorities.keep_root(place, public_ca(f"Root {number}").certificate)
    return place


BY_CABLE: dict[str, tuple[Callable[[Workspace], Workspace], str]] = {
    "no key is here": (without_keys, "no root key is here"),
    "boards take no documents": (lambda one: replace(one, board={**one.board, "trust": False}), "trust = false"),
    "the CAs are too many": (crowded, "bytes, and boards read 8192"),
}


@pytest.mark.parametrize(("prepare", "why"), BY_CABLE.values(), ids=BY_CABLE)
def test_new_ca_goes_by_cable_where(place: Workspace, prepare: Callable[[Workspace], Workspace], why: str) -> None:
    made, handed = handover.begin(prepare(place))
    assert handed.document is None
    assert why in handed.why
    assert made.fingerprint in held(place)
    assert not trust.folder(place).exists()


def test_new_ca_waits_for_the_root_key_and_the_next_change_for_it(apart: Workspace, stick: Path, capsys: Told) -> None:
    assert ca(apart, "new", "--json") == 0
    document = json.loads(capsys.readouterr().out)["trust"]
    assert document["version"] == 3
    assert document["missing"]
    waits = ceremony.partial(apart)
    before = held(apart)
    for words in (["fetch", "127.0.0.1:1"], ["new"], ["remove", "next"], ["publish"]):
        assert ca(apart, *words) in (2, 3)
    assert held(apart) == before
    assert main(["keys", "sign", str(waits), "--with", str(stick), "-w", str(apart.root)]) == 0
    told = capsys.readouterr().out
    for fingerprint in before:  # who signs sees what boards will know a server by
        assert fingerprint[:16] in told
    assert brought(apart) == before


def test_document_that_was_thrown_away_is_made_again(apart: Workspace, stick: Path) -> None:
    handover.begin(apart)
    waits = ceremony.partial(apart)
    assert waits
    waits.unlink()
    assert ca(apart, "publish", "--with", stick) == 0
    assert brought(apart) == held(apart)
    assert len(held(apart)) == 2


def test_key_that_cannot_be_read_leaves_all_as_it_was(apart: Workspace, tmp_path: Path) -> None:
    before = held(apart)
    for change in (handover.begin, lambda place, more: handover.keep_root(place, ROOT, more)):
        with pytest.raises(UsageError):
            change(apart, [tmp_path / "no.pem"])
    handover_files = [path for path in apart.tls.rglob("*") if path.is_file()]
    assert held(apart) == before
    assert not [path for path in handover_files if path.parent.name in ("next", "roots")]


def test_public_root_is_taken_from_boards_on_their_owner_s_word_alone(place: Workspace, capsys: Told) -> None:
    kept, _ = handover.keep_root(place, ROOT)
    assert ca(place, "remove", kept.name) == 2
    assert "take a cable" in " ".join(capsys.readouterr().err.split())
    assert brought(place) == held(place)
    assert ca(place, "remove", kept.name, "--yes") == 0
    assert brought(place) == held(place)
    assert len(held(place)) == 1
