"""Encrypted images on boards: what is installed, what is refused and when, and downloads that break.

The keys, and what is good, are those of tests/devicekeys.py, which knows the format and nothing of otactl."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cable
import devicekeys
import pytest
import rig as rigs
from devicekeys import HEADER, SCHEMES, DeviceKey
from faultbench import INSTALLED, SETUP, Bench, opened
from otactl.board import agent, deploy
from otactl.board.push import push
from otactl.release.encrypted import Asked
from otactl.workspace.workspace import Workspace
from rig import OLD, Rig, boots, slot_bytes, started, status, touched, update_code
from vboard.board import Board
from vboard.flash.images import build_app
from vboard.flash.otadata import State

APP = build_app("esp32", size=90_001, seed=2)
PARTS = {"entries/encryption.mpy", "release/encryption.mpy", "install/decrypt.mpy"}
DEVICE = "/etc/ota/device.json"
Keys = dict[str, tuple[DeviceKey, DeviceKey]]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Two of each scheme: the boards', and another."""
    folder = tmp_path_factory.mktemp("device-keys")
    return {scheme: (devicekeys.make(folder, scheme), devicekeys.make(folder, scheme, "other")) for scheme in SCHEMES}


def give(board: Board, *have: DeviceKey, **more: Any) -> None:
    """Tell a board to open images with these keys."""
    rigs.configure(board, encryption=more)
    with rigs.repl(board) as link:
        link.put(DEVICE, json.dumps({k: v for key in have for k, v in json.loads(key.file).items()}).encode())


def with_keys(rig: Rig, *have: DeviceKey, **more: Any) -> Board:
    """A board with device keys, and the heap of a small chip."""
    board = started(rig.board(heap_kib=152))
    rigs.configure(board, tries=1)
    give(board, *have, **more)
    return board


def elsewhere(rig: Rig, version: str, file: bytes, app: bytes = APP) -> None:
    """Publish `app` beside an encrypted file that another tool has made, which nobody opens."""
    path = rig.root / f"{version}.enc"
    path.write_bytes(file)
    rig.publish(version, app, encryption=Asked(files=[path]))


def unchanged(board: Board) -> None:
    """What boots is what booted before."""
    assert boots(board)[0] == "ota_0"
    assert slot_bytes(board, "ota_0", len(OLD)) == OLD
    assert board.slot == "ota_0"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_image_that_another_tool_encrypted_is_installed_on_a_small_board(scheme: str, rig: Rig, keys: Keys) -> None:
    ours = keys[scheme][0]
    board = with_keys(rig, ours)
    elsewhere(rig, "1.1.0", ours.encrypt(APP))
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40)
    board.wait_text("ota: up-to-date 1.1.0", 40)  # by the plain text's hash
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(APP)) == APP


@pytest.mark.parametrize("scheme", SCHEMES)
def test_image_that_publish_encrypted_opens_elsewhere_and_is_installed(scheme: str, rig: Rig, keys: Keys) -> None:
    ours = keys[scheme][0]
    made = rig.publish("1.1.0", APP, encryption=Asked(public=ours.public))
    assert ours.decrypt((rig.workspace.releases / made.targets[0]["url"]).read_bytes()) == APP
    assert [path.name for path in (rig.workspace.releases / "1.1.0").glob("*.bin")] == ["esp32.enc.bin"]
    board = with_keys(rig, ours)
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40)
    assert slot_bytes(board, "ota_1", len(APP)) == APP


def test_what_a_board_has_no_key_for_is_refused_before_the_first_byte(rig: Rig, keys: Keys) -> None:
    (rsa, other), (ecc, _) = keys["rsa3072"], keys["ecc256"]
    board = with_keys(rig, rsa)
    releases: dict[str, tuple[str, bytes | None]] = {
        "plain, and it must not be": ("encryption none", None),
        "by a scheme that it has no key for": ("encryption ecc256", ecc.encrypt(APP)),
        "for another key": ("encryption-key rsa3072", other.encrypt(APP)),
    }
    for number, (why, (code, file)) in enumerate(releases.items()):
        if file:
            elsewhere(rig, f"1.1.{number}", file)
        else:
            rig.publish(f"1.1.{number}", APP)
        refuses(rig, board, code, why)
    elsewhere(rig, "1.2.0", rsa.encrypt(APP))
    rigs.ask(board, f"import os\nos.remove({DEVICE!r})")
    refuses(rig, board, "encryption-key rsa3072", "no key file")
    rigs.configure(board, encryption=None)
    refuses(rig, board, "encryption", "not configured")
    unchanged(board)
    give(board, rsa)
    board.reset()
    board.wait_text("ota: confirmed 1.2.0", 40)  # none of it counts as failed


def refuses(rig: Rig, board: Board, said: str, why: str) -> None:
    before, sent = len(board.flash.trace), len(rig.transfers)
    code, _, detail = said.partition(" ")
    assert update_code(board) == code, why
    assert status(board)["refused"] == [code, detail], why
    assert touched(board, "ota_1", before) == [], why
    assert not [one for one in rig.transfers[sent:] if one.path.endswith(".bin")], why


def test_plain_image_is_installed_where_encryption_is_not_required(rig: Rig, keys: Keys) -> None:
    board = with_keys(rig, keys["ecc256"][0], required=False)
    rig.publish("1.1.0", APP)
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 40)
    assert slot_bytes(board, "ota_1", len(APP)) == APP


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def test_what_does_not_come_out_as_an_image_is_refused_before_the_first_erase(rig: Rig, keys: Keys) -> None:
    """Of P-256 no padding tells that a key is the wrong one: the first block does."""
    ours, other = keys["ecc256"]
    board = with_keys(rig, ours)
    good = ours.encrypt(APP)
    files = {
        "for another key": other.encrypt(APP),
        "another IV": flipped(good, 388),
        "another salt": flipped(good, 99),
        "a flipped bit of the descriptor": flipped(good, HEADER + 33),
    }
    before = len(board.flash.trace)
    for number, (why, file) in enumerate(files.items()):
        elsewhere(rig, f"1.1.{number}", file)
        assert update_code(board) == "encryption-key", why
        assert touched(board, "ota_1", before) == [], why
    elsewhere(rig, "1.2.0", flipped(good, HEADER))
    assert update_code(board) == "not-an-image"
    assert touched(board, "ota_1", before) == []
    unchanged(board)


def test_flipped_bit_of_the_rest_is_never_switched_to(rig: Rig, keys: Keys) -> None:
    ours = keys["ecc256"][0]
    board = with_keys(rig, ours)
    for number, at in enumerate((HEADER + 4096, HEADER + len(APP) - 1)):
        elsewhere(rig, f"1.1.{number}", flipped(ours.encrypt(APP), at))
        assert update_code(board) == "hash-mismatch", at
        unchanged(board)
    assert status(board)["failed"] == []


def test_release_that_lies_about_its_header_is_refused(rig: Rig, keys: Keys) -> None:
    board = with_keys(rig, keys["ecc256"][0])
    for said in (5, {"scheme": "ecc256", "header": "!"}, {"scheme": "ecc256", "header": "AAAA"}):
        rig.forge(APP, target__encryption=said)
        assert update_code(board) == "bad-release", said


# --- downloads that break -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, place: Workspace, template: Path, keys: Keys) -> Iterator[Bench]:
    with opened(tmp_path_factory.mktemp("encrypted"), place, template) as made:
        give(made.board, keys["ecc256"][0])
        yield made


WHOLE, REST = (
    "bytes=512-",
    "bytes=29184-",
)  # of 30,000 bytes that came, whole sectors are in flash; the header is before them
# what goes wrong, request by request; how it ends; the Range of each request for the file
ROWS: dict[str, tuple[list[str], str, list[str] | None]] = {
    "nothing": ([], INSTALLED, [WHOLE]),
    "cut": (["cut:30000"], INSTALLED, [WHOLE, REST]),
    "cut within the header's 512 bytes, which a server without ranges sends": (
        ["no-range+cut:300", "no-range"],
        INSTALLED,
        [WHOLE, WHOLE],
    ),
    "Range ignored": (["no-range"], INSTALLED, [WHOLE]),
    "Range ignored in mid-download": (["cut:30000", "no-range"], INSTALLED, [WHOLE, REST]),
    "no length": (["no-length"], INSTALLED, [WHOLE]),
    "chunked": (["chunked"], INSTALLED, [WHOLE]),
    "changed ETag half way": (["etag:30000"], INSTALLED, [WHOLE, REST]),
    "302": (["redirect:302"], INSTALLED, [WHOLE, WHOLE]),
    "wrong length": (["no-range+short:10"], "size-mismatch", [WHOLE]),
}


@pytest.mark.parametrize("name", ROWS)
def test_download_goes_on_where_it_broke(name: str, bench: Bench, keys: Keys) -> None:
    script, outcome, spans = ROWS[name]
    version, data = bench.next_image()
    path = bench.rig.root / "file.enc"
    path.write_bytes(keys["ecc256"][0].encrypt(data))
    bench.rig.publish(version, data, encryption=Asked(files=[path]))
    with rigs.repl(bench.board) as link:
        link.run(SETUP)
        code, _ = bench.run(link, script)
    if code == INSTALLED:
        confirmed(bench.board, version)
        assert slot_bytes(bench.board, boots(bench.board)[0], len(data)) == data
    assert code == outcome
    assert [event.span for event in bench.events if event.request.endswith(".bin") and event.status] == spans


def confirmed(board: Board, version: str) -> None:
    """Through the reset and the trial, which ends in another reset."""
    seen, before = len(board.text), len(board.boots)
    board.reset()
    board.wait_text(f"ota: confirmed {version}", 30, since=seen)
    board.wait_boots(before + 2)


def test_reset_in_mid_download_goes_on_from_the_journal(rig: Rig, keys: Keys) -> None:
    ours = keys["ecc256"][0]
    board = with_keys(rig, ours)
    big = build_app("esp32", size=300 << 10, seed=5)
    rig.publish("1.1.0", big, encryption=Asked(public=ours.public))
    rig.network.bytes_per_s = 300_000
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: download 2", 30, since=seen)  # 200,000 bytes and more
    rig.network.bytes_per_s = None
    board.power_off()
    board.power_on()
    board.wait_text("ota: confirmed 1.1.0", 60, since=seen)
    assert slot_bytes(board, "ota_1", len(big)) == big
    parts = [one.start for one in rig.transfers if one.path.endswith(".bin")]
    assert parts[0] == HEADER
    assert parts[-1] >= HEADER + 65536


def test_same_image_encrypted_anew_goes_on_where_the_other_broke(rig: Rig, keys: Keys) -> None:
    """A later release with that image: what is in flash is plain text, whatever key the rest comes under."""
    ours = keys["ecc256"][0]
    board = with_keys(rig, ours)
    big = build_app("esp32", size=300 << 10, seed=6)
    rig.publish("1.1.0", big, encryption=Asked(public=ours.public))
    rig.network.bytes_per_s = 300_000
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: download 2", 30, since=seen)
    rig.network.bytes_per_s = None
    board.power_off()
    rig.publish("1.2.0", big, encryption=Asked(public=ours.public))
    board.power_on()
    board.wait_text("ota: confirmed 1.2.0", 60, since=seen)
    assert slot_bytes(board, "ota_1", len(big)) == big


def test_push_by_cable_sends_the_encrypted_file(rig: Rig, keys: Keys) -> None:
    ours = keys["ecc256"][0]
    board = cable.cabled(rig)
    give(board, ours)
    rig.publish("1.1.0", APP, encryption=Asked(public=ours.public))
    with rigs.repl(board) as link:
        done = push(link, cable.newest(rig), lambda _: None)
    assert done.outcome.name == "confirmed", done
    assert slot_bytes(board, "ota_1", len(APP)) == APP


# --- memory, and what is installed where ----------------------------------------------------------------------------

LIVE = """
import gc
from ota import agent
most = 0
for step in agent._update(None).steps():
    if step.phase == "download" and not step.wait_ms and step.done // 4096 % 4 == 1:
        gc.collect()
        gc.collect()
        most = max(most, gc.mem_alloc())
print(most)
"""
MORE = 4 << 10  # bytes in use, of an interpreter of 64 bits: the code, key, counters and key stream


def test_encrypted_image_takes_a_little_more_memory_whatever_its_size(rig: Rig, keys: Keys) -> None:
    """P9: beyond what a plain one takes."""
    ours, most = keys["ecc256"][0], []
    for number, kib in enumerate((100, 100, 800)):
        board = with_keys(rig, ours, required=False)
        asked = Asked(public=ours.public) if number else None
        rig.publish(f"1.1.{number}", build_app("esp32", size=kib << 10, seed=7), encryption=asked)
        most.append(int(rigs.ask(board, LIVE, 60).split()[-1]))
    plain, small, large = most
    print(f"\nP9: {large - plain} B more in use for an encrypted image than for a plain one")
    assert large - plain <= MORE
    assert abs(large - small) < 1024


def test_part_and_key_are_deployed_only_where_they_are_configured(rig: Rig, keys: Keys) -> None:
    plain, asked = rig.workspace.board_config(), {**rig.workspace.board_config(), "encryption": {}}
    assert not PARTS & agent.compiled(plain).keys()
    assert PARTS | {"release/p256.mpy"} <= agent.compiled(asked).keys()
    settings = rig.workspace.root / "otactl.toml"
    settings.write_text(settings.read_text() + "\n[board.encryption]\n")
    place = Workspace.find(rig.workspace.root)
    place.device_key_file.parent.mkdir()
    shutil.copy(keys["rsa3072"][0].path, place.device_key_file)
    board = started(rig.board(heap_kib=152))
    said: list[str] = []
    with rigs.repl(board) as link:
        deploy.deploy(link, place, say=said.append)
        secret = str(json.loads(keys["rsa3072"][0].file)["rsa3072"][0])
        assert secret not in board.text and secret not in "".join(said)
        assert [line for line in said if DEVICE in line]
        assert json.loads(link.run(f"print(open({DEVICE!r}).read())")) == json.loads(keys["rsa3072"][0].file)
    rig.publish("1.1.0", APP, encryption=Asked(public=keys["rsa3072"][0].public))
    board.reset()
    board.wait_text("ota: confirmed 1.1.0", 60)
    assert slot_bytes(board, "ota_1", len(APP)) == APP
