"""`otactl keys` as a person uses it, with a board that is out: what it trusts, boots and has in flash afterwards."""

import json
import shutil
from pathlib import Path

import pytest
import rig as rigs
from otactl.board.deploy import deploy
from otactl.cli.main import main
from otactl.errors import BoardError
from otactl.release import rotation
from otactl.workspace import keys, trust
from otactl.workspace.workspace import Workspace
from rig import NEW, Rig, image, otadata, started, touched, update_code
from stories import installs
from vboard.board import Board


def otactl(place: Workspace, *words: object) -> None:
    assert main([*map(str, words), "-w", str(place.root)]) == 0, words


def keyid(path: Path) -> str:
    return keys.keyid(keys.load(path).public_key())


def kept(board: Board) -> str:
    return rigs.ask(board, "print(open('/etc/ota/keys.json').read())")


def trusts(board: Board) -> tuple[int, list[str]]:
    """The version and the release keys of a board, as they lie in its file."""
    held = json.loads(kept(board))
    return held.get("version", 1), held["release"]["keys"] if "version" in held else list(held)


def test_a_backup_key_a_rotation_and_a_release_reach_a_board_that_is_out(rig: Rig, tmp_path: Path) -> None:
    place, stick = rig.workspace, tmp_path / "stick.pem"
    board = started(rig.board())
    before = keyid(place.key_file)
    assert trusts(board) == (1, [before])
    otactl(place, "keys", "new", "--role", "root", "--out", stick)
    otactl(place, "keys", "rotate", "--with", stick)
    assert update_code(board) == "up-to-date"  # both documents in one look, and nothing to install
    assert trusts(board) == (3, [keyid(place.key_file)]) != (3, [before])
    otactl(place, "publish", image_file(tmp_path, NEW), "--version", "1.1.0")
    installs(board, "1.1.0", NEW)


def test_a_laptop_is_lost_and_its_thief_signs(rig: Rig, tmp_path: Path) -> None:
    place, stick = rig.workspace, tmp_path / "stick.pem"
    board = started(rig.board())
    otactl(place, "keys", "new", "--role", "root", "--out", stick)
    thief = shutil.copy(place.key_file, tmp_path / "thief.pem")
    place.key_file.unlink()  # another machine, with the workspace from git, which has no private key in it
    otactl(place, "keys", "revoke", keyid(thief)[:12], "--with", stick)
    assert update_code(board) == "up-to-date"
    assert trusts(board) == (3, [keyid(place.key_file)])
    entries, trace = otadata(board), len(board.flash.trace)
    rig.forge(image(3), sign=keys.load(thief), trust=3)
    assert update_code(board) == "unknown-key"
    forged = trust.folder(place) / "4.json"
    now = trust.current(place)
    forged.write_bytes(trust.sign(now.next_version(release=now.release), [keys.load(thief)]))
    assert update_code(board) == "trust-signature"
    assert (otadata(board), touched(board, "ota_1", trace)) == (entries, [])
    assert trusts(board)[0] == 3


def test_deploy_brings_the_newest_document_and_goes_back_to_none_unasked(rig: Rig, tmp_path: Path) -> None:
    place = rig.workspace
    elsewhere = Workspace.find(shutil.copytree(place.root, tmp_path / "elsewhere"))
    rotation.rotate(elsewhere, None, secret=None, out=None)
    board = started(rig.board())
    with rigs.repl(board) as link:
        deploy(link, elsewhere)
    assert trusts(board) == (2, [keyid(elsewhere.key_file)])
    newest = kept(board)
    with rigs.repl(board) as link, pytest.raises(BoardError, match=r"document 2, this workspace 1.*--replace-keys"):
        deploy(link, place)
    rotation.rotate(place, None, secret=None, out=None)  # both machines have changed the keys
    with rigs.repl(board) as link, pytest.raises(BoardError, match="another trust document 2"):
        deploy(link, place)
    assert kept(board) == newest
    with rigs.repl(board) as link:
        deploy(link, place, replace_keys=True)
    assert trusts(board) == (2, [keyid(place.key_file)])


def image_file(folder: Path, data: bytes) -> Path:
    path = folder / "firmware.bin"
    path.write_bytes(data)
    return path
