"""App images that are signed themselves, beside their release: what a board that asks for it takes, and what it refuses.

The keys, and what is good, are espsecure's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rig as rigs
from imagekeys import SECTOR, ImageKey
from otactl.board import agent
from rig import OLD, Rig, boots, slot_bytes, started, status, touched, update_code
from vboard.board import Board
from vboard.flash.images import build_app
from vboard.flash.otadata import State

APP, LATER = (build_app("esp32", size=90_000, seed=seed) for seed in (2, 3))  # that end within a sector
SCHEMES = ("rsa3072", "ecdsa256")
Keys = dict[str, tuple[ImageKey, ImageKey]]
PARTS = {
    "entries/image_signature.mpy",
    "release/demand.mpy",
    "release/signed.mpy",
    "release/sector.mpy",
    "release/p256.mpy",
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Two of each scheme: ours, and another."""
    folder = tmp_path_factory.mktemp("image-keys")
    return {scheme: (ImageKey(folder, scheme, "ours"), ImageKey(folder, scheme, "other")) for scheme in SCHEMES}


def asking(rig: Rig, *trusted: ImageKey, **more: Any) -> Board:
    """A board that asks for an image signed by one of these keys; the heap of a small chip."""
    board = started(rig.board(heap_kib=152))
    rigs.configure(board, tries=1, image_signature={"keys": [key.digest for key in trusted], **more})
    return board


def unchanged(board: Board) -> None:
    """What boots is what booted before."""
    assert boots(board)[0] == "ota_0"
    assert slot_bytes(board, "ota_0", len(OLD)) == OLD
    assert board.slot == "ota_0"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_image_that_espsecure_signed_is_installed(scheme: str, rig: Rig, keys: Keys) -> None:
    ours, other = keys[scheme]
    board = asking(rig, other, ours)
    signed = ours.sign(APP)
    rig.publish("1.1.0", signed)
    board.reset()
    board.wait_text(f"ota: signed {ours.digest[:16]} ", 40)
    board.wait_text("ota: up-to-date 1.1.0", 40)
    assert boots(board) == ("ota_1", State.VALID)
    assert ours.verifies(slot_bytes(board, "ota_1", len(signed)))
    told = [line for line in board.text.splitlines() if "ota: signed" in line]
    print(f"\n{scheme}: {told[-1].split()[-2]} ms for the signature, on this machine")


def test_image_that_publish_signed_is_good_to_espsecure_and_to_the_board(rig: Rig, keys: Keys) -> None:
    ours, other = keys["ecdsa256"]
    board = asking(rig, other)
    made = rig.publish("1.1.0", ours.sign(APP), image_key=other.path)  # in the next block of the sector
    assert made.targets[0]["signed_by"] == [ours.digest, other.digest]
    published = (rig.workspace.releases / made.targets[0]["url"]).read_bytes()
    assert ours.verifies(published)
    assert other.verifies(published)
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40)
    assert slot_bytes(board, "ota_1", len(published)) == published


UNFIT: dict[str, tuple[dict[str, Any], bool]] = {
    "unsigned, and it must be": ({}, False),
    "signed by another key": ({}, True),
    "signed by another key, and it need not be": ({"required": False}, True),
    "signed by another key, which publish vouches for": ({"verify": "publish"}, True),
}


def test_image_of_no_trusted_key_is_refused_before_the_first_byte(rig: Rig, keys: Keys) -> None:
    ours, other = keys["ecdsa256"]
    board = asking(rig, ours)
    for number, (why, (more, signed)) in enumerate(UNFIT.items()):
        rigs.configure(board, image_signature={"keys": [ours.digest], **more})
        rig.publish(f"1.1.{number}", other.sign(APP) if signed else APP)
        before, sent = len(board.flash.trace), len(rig.transfers)
        assert update_code(board) == "image-key", why
        assert touched(board, "ota_1", before) == [], why
        assert not [one for one in rig.transfers[sent:] if one.path.endswith(".bin")], why
        assert status(board)["refused"] == ["image-key", other.digest[:16] if signed else "none"], why
    unchanged(board)


def test_image_without_a_signature_is_installed_where_none_is_required(rig: Rig, keys: Keys) -> None:
    board = asking(rig, keys["rsa3072"][0], required=False)
    rig.publish("1.1.0", APP)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40)
    assert boots(board) == ("ota_1", State.VALID)


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


# what the release says is signed by our key, and is not
FORGED: dict[str, Callable[[ImageKey, ImageKey], bytes]] = {
    "a flipped bit of the padding before the sector": lambda ours, _: flipped(ours.sign(APP), -SECTOR - 1),
    "a flipped bit of the signature": lambda ours, _: flipped(ours.sign(APP), -SECTOR + 140),
    "a flipped bit behind the blocks": lambda ours, _: flipped(ours.sign(APP), -1),
    "another key": lambda _, other: other.sign(APP),
    "no sector": lambda ours, _: ours.sign(APP)[:-SECTOR],
    "a cut sector": lambda ours, _: ours.sign(APP)[:-16],
    "a sector that is moved": lambda ours, _: ours.sign(ours.sign(APP)[:-SECTOR] + b"\xff" * SECTOR),
    "the sector of another image": lambda ours, _: ours.sign(APP)[:-SECTOR] + ours.sign(LATER)[-SECTOR:],
}


def test_image_whose_release_vouches_for_it_in_vain_is_never_switched_to(rig: Rig, keys: Keys) -> None:
    """P3, and P6: a look later it is refused again, from what lies in flash, and does not count as failed."""
    ours, other = keys["ecdsa256"]
    board = asking(rig, ours)
    for why, forge in FORGED.items():
        rig.forge(forge(ours, other), target__signed_by=[ours.digest])
        assert update_code(board) == "image-signature", why
        unchanged(board)
    sent, before = len(rig.transfers), len(board.flash.trace)
    assert update_code(board) == "image-signature"
    assert [one.path for one in rig.transfers[sent:] if one.path.endswith(".bin")] == []
    assert touched(board, "ota_1", before) == []
    assert status(board)["failed"] == []
    good = ours.sign(APP)
    rig.publish("1.2.0", good)
    board.reset()
    board.wait_text("ota: confirmed 1.2.0", 40)
    assert slot_bytes(board, "ota_1", len(good)) == good


def test_refused_image_is_taken_once_the_board_is_told_to_trust_its_key(rig: Rig, keys: Keys) -> None:
    ours, other = keys["ecdsa256"]
    board = asking(rig, ours)
    rig.publish("1.1.0", other.sign(APP))
    assert update_code(board) == "image-key"
    rigs.configure(board, image_signature={"keys": [ours.digest, other.digest]})
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40)
    assert boots(board)[0] == "ota_1"


def test_board_that_leaves_it_to_publish_takes_the_release_s_word(rig: Rig, keys: Keys) -> None:
    """What `verify = "publish"` gives up: whoever has the release key can say what he likes of the image."""
    ours, other = keys["ecdsa256"]
    board = asking(rig, ours, verify="publish")
    rig.forge(other.sign(APP), target__signed_by=[ours.digest])
    board.reset()
    board.wait_text("ota: confirmed 6.6.6", 40)
    assert "ota: signed" not in board.text


def test_what_is_no_list_of_digests_is_a_bad_release(rig: Rig, keys: Keys) -> None:
    board = asking(rig, keys["ecdsa256"][0])
    for signed_by in ("ab" * 32, [5], ["ab"], ["ab" * 32] * 4, {"a": 1}, 7):
        rig.forge(target__signed_by=signed_by)
        assert update_code(board) == "bad-release", signed_by


SPOILS = """
from esp32 import Partition
from ota import agent
from ota.errors import OtaError
from ota.install import update

def spoil(at):
    Partition(Partition.RUNNING).get_next_update().writeblocks(at, bytes(32), 0)  # bits that fall to 0: no erase

def go(at):
    for step in update.Update(1, bytearray(4096)).steps():
        if step.phase == "download" and step.done and step.done == step.total:
            spoil(at % step.total // 4096)

try:
    go(AT)
except OtaError as e:
    print("CODE", e.code)
"""


def test_flash_that_does_not_hold_the_image_is_the_flash_s_fault(rig: Rig, keys: Keys) -> None:
    """P6: it counts towards the release's three times, as the signature does not."""
    ours = keys["ecdsa256"][0]
    board = started(rig.board(heap_kib=256, idf_heap_kib=256))  # with room for the code that spoils it
    rigs.configure(board, image_signature={"keys": [ours.digest]})
    rig.publish("1.1.0", ours.sign(APP))
    for sector in (0, 2, -1):  # the image's head, its body, the signature
        out = rigs.ask(board, SPOILS.replace("AT", str(sector * SECTOR)), 60)
        assert out.split()[-1] == "read-back", sector
        unchanged(board)
    assert status(board)["failed"] == [{"sequence": 2, "reason": "read-back"}]


def test_part_is_installed_only_where_it_is_configured(rig: Rig, keys: Keys, tmp_path: Path) -> None:
    config = rig.workspace.board_config()
    asked = {**config, "image_signature": {"keys": [keys["rsa3072"][0].digest]}}
    assert agent.compiled(asked).keys() >= PARTS
    assert not PARTS & agent.compiled(config).keys()
    board = started(rig.board())
    rig.publish("1.1.0", keys["rsa3072"][0].sign(APP))  # which a board that does not ask for it takes as well
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40)
    loaded = rigs.ask(board, "import sys\nfrom ota import agent\nagent.check()\nprint(list(sys.modules))")
    assert "ota.release.policy" in loaded
    assert "ota.release.s" not in loaded.replace("ota.release.signature", "")
    assert "ota.release.demand" not in loaded
