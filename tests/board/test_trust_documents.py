"""Keys that change while boards are out: rotated, revoked, lost; held against flash, not against the agent's word."""

import json
import shutil
from collections.abc import Callable

import pytest
import rig as rigs
from cryptography.hazmat.primitives import serialization
from otactl.board import agent
from otactl.release import envelope
from otactl.release.resign import resign
from otactl.workspace import dsse, keys, tls, trust
from otactl.workspace.trust import Trust
from powercut.flash import files
from rig import NEW, OLD, Rig, boots, image, otadata, slot_bytes, started, status, touched, update_code
from trusting import Ring, twice
from vboard.board import Board
from vboard.flash.otadata import State

Kept = dict[str, bytes]
HIGHEST, TOO_BIG = (1 << 31) - 1, 0x1B0001


@pytest.fixture
def ring(rig: Rig) -> Ring:
    """`a` is the key that the boards of this workspace have been deployed with."""
    return Ring(a=keys.load(rig.workspace.key_file))


def settle(rig: Rig, ring: Ring, document: Trust, by: str) -> None:
    """Publish a document as the host's tools do, which hold it against what a board would take."""
    trust.publish(rig.workspace, ring.signed(document, by))


def owns(rig: Rig, ring: Ring, name: str) -> None:
    """The workspace signs with that key from now on, what is published too."""
    key, path = ring[name], rig.workspace.key_file
    pkcs8 = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption()))
    keys.keep_or_generate(path)
    resign(rig.workspace)


def kept(board: Board) -> Kept:
    """The files of /etc/ota, as they lie in flash."""
    found = files(board.table, board.flash.read(0, board.flash.size))
    return {path: data for path, data in found.items() if path.startswith("etc/ota/") and "config" not in path}


def trusts(board: Board) -> tuple[int, list[str], int]:
    """Version, keyids and threshold of the role release, as they lie in flash."""
    held = json.loads(kept(board)["etc/ota/keys.json"])
    release = held.get("release", {"keys": list(held), "threshold": 1})
    return held.get("version", 1), sorted(release["keys"]), release["threshold"]


def refuses(board: Board, code: str) -> None:
    """It answers `code`, and nothing that it boots or trusts has changed, nor what the next slot holds."""
    before, entries, trusted = len(board.flash.trace), otadata(board), kept(board)
    assert update_code(board) == code
    assert kept(board) == trusted
    assert otadata(board) == entries
    assert touched(board, "ota_1", before) == []


def installs(board: Board, version: str, data: bytes, slot: str = "ota_1") -> None:
    board.reset()
    board.wait_text(f"ota: confirmed {version}", 40)
    board.wait_text("app: runs", 40)
    assert boots(board) == (slot, State.VALID)
    assert slot_bytes(board, slot, len(data)) == data


def test_rotation(rig: Rig, ring: Ring) -> None:
    board = started(rig.board())
    rigs.configure(board, tries=1)
    settle(rig, ring, ring.document(2, "b", "b"), "ab")
    owns(rig, ring, "b")
    assert update_code(board) == "up-to-date"
    assert trusts(board) == (2, [ring.keyid("b")], 1)
    assert status(board)["trust"] == {"version": 2, "release": [ring.keyid("b")[:16]], "threshold": 1}
    rig.publish("1.1.0", NEW)
    installs(board, "1.1.0", NEW)
    rig.forge(image(3), sign=ring["a"])  # a thief of the key that was retired
    assert update_code(board) == "unknown-key"
    assert boots(board) == ("ota_1", State.VALID)


def test_lost_key_of_a_board_that_slept_through_two_rotations(rig: Rig, ring: Ring) -> None:
    """The one release key is lost with a laptop; the backup root key on a stick ends it."""
    board = started(rig.board())
    rigs.configure(board, tries=1)
    settle(rig, ring, ring.document(2, "r", "a"), "ar")  # while all was well
    settle(rig, ring, ring.document(3, "r", "b"), "r")
    owns(rig, ring, "b")
    rig.publish("1.1.0", NEW)
    installs(board, "1.1.0", NEW)
    assert trusts(board) == (3, [ring.keyid("b")], 1)
    thief = ring.document(4, "a", "a")
    folder = trust.folder(rig.workspace)
    (folder / "4.json").write_bytes(ring.signed(thief, "a"))
    rig.forge(image(3), sign=ring["a"])
    assert update_code(board) == "trust-signature"
    assert trusts(board) == (3, [ring.keyid("b")], 1)
    assert boots(board) == ("ota_1", State.VALID)


def test_two_of_three_have_to_sign(rig: Rig, ring: Ring) -> None:
    board = started(rig.board())
    rigs.configure(board, tries=1)
    settle(rig, ring, ring.document(2, "ab", "abc", 2, 2), "ab")
    payload = rig.forge(image(2), trust=2)
    assert update_code(board) == "too-few-signatures"
    assert trusts(board)[0] == 2
    rig.workspace.channel_file.write_bytes(twice(rig.workspace.channel_file.read_bytes()))
    refuses(board, "too-few-signatures")
    rig.workspace.channel_file.write_bytes(envelope.seal(payload, [ring["a"], ring["x"]]))
    refuses(board, "too-few-signatures")
    rig.workspace.channel_file.write_bytes(envelope.seal(payload, [ring["x"], ring["c"], ring["a"]]))
    installs(board, "6.6.6", image(2))


SEALED: dict[str, tuple[Callable[[Ring], bytes], str]] = {
    "signed by the old alone": (lambda ring: ring.signed(ring.document(2, "b", "b"), "a"), "trust-signature"),
    "signed by the new alone": (lambda ring: ring.signed(ring.document(2, "b", "b"), "b"), "trust-signature"),
    "that skips a version": (lambda ring: ring.signed(ring.document(3, "a", "b"), "a"), "trust-invalid"),
    "of version 1": (lambda ring: ring.forged(ring.document(2, "a", "b"), "a", version=1), "trust-invalid"),
    "of another product": (lambda ring: ring.signed(ring.document(2, "a", "b", product="x"), "a"), "trust-invalid"),
    "that is a release": (lambda ring: envelope.seal({"schema": 1, "version": 2}, [ring["a"]]), "trust-invalid"),
    "that is a page": (lambda _: b"<html>", "trust-invalid"),
    "without end": (lambda _: b"{" * 100_000, "trust-invalid"),
}


def test_hostile_document(rig: Rig, ring: Ring) -> None:
    """The whole table is tests/unit/device/test_trust_on_board.py's."""
    board = started(rig.board())
    rigs.configure(board, tries=1)
    folder = trust.folder(rig.workspace)
    folder.mkdir()
    rig.forge(sign=ring["b"])
    for why, (make, code) in SEALED.items():
        (folder / "2.json").write_bytes(make(ring))
        print(why)
        refuses(board, code)
    shutil.rmtree(folder)
    refuses(board, "unknown-key")
    rig.forge(trust=2)
    refuses(board, "trust-behind")  # the server keeps back what the release names
    rig.forge(trust="2")
    refuses(board, "trust-behind")


def test_release_does_not_pass_for_a_document_nor_a_document_for_a_release(rig: Rig, ring: Ring) -> None:
    board = started(rig.board())
    rigs.configure(board, tries=1)
    payload = dsse.encoded(rig.forge())
    signatures = dsse.sign(trust.PAYLOAD_TYPE, payload, [ring["a"]])
    for kind, code in ((trust.PAYLOAD_TYPE, "envelope-type"), (envelope.PAYLOAD_TYPE, "bad-signature")):
        rig.workspace.channel_file.write_bytes(dsse.wrap(kind, payload, signatures))
        refuses(board, code)


def test_chain_without_end_is_taken_in_pieces(rig: Rig, ring: Ring) -> None:
    """Whoever holds the root key may make documents for ever: a look takes 16."""
    board = started(rig.board())
    rigs.configure(board, tries=1)
    for version in range(2, 20):
        settle(rig, ring, ring.document(version, "a", "b"), "a")
    rig.forge(trust=19, sign=ring["b"])
    assert update_code(board) == "trust-behind"
    assert trusts(board)[0] == 17
    installs(board, "6.6.6", NEW)
    assert trusts(board)[0] == 19


def test_new_ca_comes_before_the_old_one_ends(rig: Rig, ring: Ring) -> None:
    """Over real TLS: the server goes over to a certificate of the new CA only afterwards."""
    board = started(rig.board())
    rigs.configure(board, tries=1)
    place, fresh = rig.workspace, rig.root / "fresh"
    fresh.mkdir()
    tls.make_ca(fresh, place.product)
    tls.make_server(fresh, [rigs.HOST])
    bundle = (place.tls / "ca.pem").read_text() + (fresh / "ca.pem").read_text()
    settle(rig, ring, ring.document(2, "a", "a", ca=bundle), "a")
    resign(place)
    assert update_code(board) == "up-to-date"
    assert kept(board)["etc/ota/ca.pem"].decode() == bundle
    for name in ("server.pem", "server.key"):
        shutil.copy(fresh / name, place.tls / name)
    rig.serve()
    rig.publish("1.1.0", NEW)
    installs(board, "1.1.0", NEW)


def test_board_that_takes_no_documents(rig: Rig, ring: Ring) -> None:
    """[board] trust = false: its keys come by cable."""
    board = started(rig.board())
    rigs.configure(board, tries=1, trust=False)
    settle(rig, ring, ring.document(2, "b", "b"), "ab")
    owns(rig, ring, "b")
    sent = len(rig.transfers)
    refuses(board, "unknown-key")
    assert not [one.path for one in rig.transfers[sent:] if "trust" in one.path]
    assert "release/trust.mpy" in agent.compiled({})
    assert "release/trust.mpy" not in agent.compiled({"trust": False})


def test_sequence_that_a_thief_was_heard_with_binds_no_longer_once_his_key_is_revoked(rig: Rig, ring: Ring) -> None:
    """TUF's recovery from a fast-forward. The floors stay: what was confirmed, and what was proven of the date."""
    board = started(rig.board())
    board.wait_text("ota: up-to-date 1.0.0", 20)
    rigs.configure(board, tries=1)
    good = rig.workspace.channel_file.read_bytes()
    rig.forge(sign=ring["a"], sequence=HIGHEST, target__size=TOO_BIG)
    assert update_code(board) == "too-big"
    rig.workspace.channel_file.write_bytes(good)
    refuses(board, "replayed")
    before = floors(board)
    settle(rig, ring, ring.document(2, "r", "a"), "ar")  # another root key, and the same for releases
    resign(rig.workspace)
    assert update_code(board) == "replayed"
    assert trusts(board) == (2, [ring.keyid("a")], 1)
    settle(rig, ring, ring.document(3, "r", "b"), "r")
    owns(rig, ring, "b")
    assert update_code(board) == "up-to-date"
    assert (trusts(board), floors(board)) == ((3, [ring.keyid("b")], 1), before)
    ours = rig.workspace.channel_file.read_bytes()
    rig.forge(sign=ring["a"], sequence=HIGHEST, target__size=TOO_BIG)
    refuses(board, "unknown-key")
    rig.workspace.channel_file.write_bytes(ours)
    rig.publish("1.1.0", NEW)
    installs(board, "1.1.0", NEW)
    rig.workspace.channel_file.write_bytes(ours)
    assert update_code(board) == "replayed"  # and what is heard of the new key binds


def floors(board: Board) -> tuple[int, int, int]:
    """What never falls: the sequence, the security version, and the proven date."""
    store = rigs.nvs(board)
    state = rigs.recorded(store, "state")
    return state["floor_sequence"], state["floor_security"], store.get_i32(store.namespace("ota"), "proven")


def test_ordinary_look_neither_loads_the_part_nor_asks_for_a_document(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    installs(board, "1.1.0", NEW)
    loaded = rigs.ask(board, "import sys\nfrom ota import agent\nagent.check()\nprint(list(sys.modules))")
    assert "ota.release.keys" in loaded
    assert "ota.release.trust" not in loaded
    assert not [one.path for one in rig.transfers if "trust" in one.path]
    assert slot_bytes(board, "ota_0", len(OLD)) == OLD
