"""Releases that were right once, over real TLS: replayed, frozen, expired; images and releases below a security version.

Judged from flash: what boots, that nothing was erased, and what the record holds.
"""

from typing import Any

import rig as rigs
from otactl.release import channels, envelope
from otactl.workspace import keys
from rig import NEW, OLD, SIZE, Rig, boots, otadata, slot_bytes, started, touched
from vboard.board import Board
from vboard.flash import images
from vboard.flash.otadata import State

LASTING = ("releases", "failed", "floor_sequence", "floor_security", "heard")  # of the record's state
PAST = "2026-01-02T00:00:00Z"
UPDATE = """
from ota import agent
from ota.errors import OtaError
try:
    agent.{}
except OtaError as e:
    print("CODE", e)
"""


def said(board: Board, call: str = "update(lambda *_: None)") -> str:
    """Code and detail with which the agent refuses (it must)."""
    return rigs.ask(board, UPDATE.format(call), 60).rpartition("CODE ")[2].strip()


def lasting(board: Board) -> dict[str, Any]:
    state = rigs.recorded(rigs.nvs(board), "state")
    return {name: state[name] for name in LASTING}


def refuses(board: Board, why: str, call: str = "update(lambda *_: None)") -> None:
    """The agent answers `why`: no slot, no otadata and nothing that the record holds for good has changed."""
    before, entries, record = len(board.flash.trace), otadata(board), lasting(board)
    assert said(board, call) == why
    assert otadata(board) == entries
    assert [touched(board, slot, before) for slot in ("ota_0", "ota_1")] == [[], []]
    assert lasting(board) == record


def reseal(rig: Rig, **changes: Any) -> None:
    """The channel's release with other entries, signed by its key."""
    payload = (channels.current(rig.workspace) or {}) | changes
    rig.workspace.channel_file.write_bytes(envelope.seal(payload, [keys.load(rig.workspace.key_file)]))


def test_channel_file_from_before_is_replayed(rig: Rig) -> None:
    """Also where the board has not installed what it has heard of, and where it runs what is replayed."""
    board = started(rig.board())
    board.wait_text("ota: up-to-date 1.0.0", 20)
    channel, first = rig.workspace.channel_file, rig.workspace.channel_file.read_bytes()
    rig.publish("1.1.0", NEW)
    installable = channel.read_bytes()
    rig.publish("1.2.0", rigs.image(3), security_version=1)
    reseal(rig, product="another")  # of the same key: it says nothing about this channel
    refuses(board, "wrong-product another")
    reseal(rig, product="demo", targets=[])
    refuses(board, "no-target esp32 ESP32_GENERIC")
    rig.forge(sequence=3, target__size=0x1B0001)  # nothing for this board, and heard all the same
    assert said(board).startswith("too-big")
    for stale, why in ((first, "replayed 1"), (installable, "replayed 2")):
        channel.write_bytes(stale)
        refuses(board, why)
    rig.forge(sequence=3, published=PAST)
    refuses(board, "replayed 3")
    (rig.workspace.releases / "beta.json").write_bytes(first)
    rigs.configure(board, url=f"https://{rigs.HOST}:{rigs.PORT}/beta.json")
    assert said(board) == "up-to-date 1.0.0"  # what another channel names is no alarm


def test_channel_that_stands_still_expires_until_it_is_renewed(rig: Rig) -> None:
    board = started(rig.board())
    board.wait_text("ota: up-to-date 1.0.0", 20)
    reseal(rig, expires=PAST)  # of what is installed
    refuses(board, f"expired {PAST}")
    rig.forge(expires=PAST)
    refuses(board, f"expired {PAST}")
    assert rigs.status(board)["refused"] == ["expired", PAST]
    rigs.ask(board, "import machine\nmachine.RTC().datetime((2020, 1, 1, 2, 0, 0, 0, 0))")  # a program's own doing
    refuses(board, f"expired {PAST}")
    before = rigs.status(board)["heard"]
    rig.workspace.channel_file.write_bytes((rig.workspace.releases / "1.0.0" / "release.json").read_bytes())
    done = channels.renew(rig.workspace, "30d")
    assert said(board) == "up-to-date 1.0.0"
    after = rigs.status(board)["heard"]
    assert (done.sequence, after["sequence"]) == (1, 1)
    assert after["published"] > before["published"]
    assert [t.path for t in rig.transfers if t.path.endswith(".bin")] == []


def secured(seed: int, secure_version: int) -> bytes:
    """An image with a secure_version of its own."""
    return images.with_behaviour(images.build_app("esp32", size=SIZE, seed=seed, secure_version=secure_version))


def test_image_with_a_lower_secure_version_is_refused_and_not_gone_back_to(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", secured(2, secure_version=2))
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40)
    rig.publish("1.2.0", secured(3, secure_version=1))
    assert said(board) == "security-version image"
    refuses(board, "security-version image")
    assert [release[1] for release in lasting(board)["releases"]] == ["1.0.0", "1.1.0"]  # nothing was overwritten
    assert slot_bytes(board, "ota_0", len(OLD)) == OLD
    refuses(board, "security-version image", "rollback()")
    assert boots(board) == ("ota_1", State.VALID)


def test_floor_rises_when_a_release_is_confirmed_and_at_no_other_time(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", rigs.image(2, panic=True), security_version=5)
    board.reset()
    board.wait_text("ota: rolled-back 1.1.0 trial-crash", 40)
    board.wait_text("ota: error failed-before 1.1.0", 20)
    assert lasting(board)["floor_security"] == 0
    rigs.configure(board, trial={**rigs.TRIAL, "settle_s": 15})
    rig.forge(NEW, version="1.2.0", security_version=3)
    board.reset()
    board.wait_text("ota: check server ok", 40)
    assert lasting(board)["floor_security"] == 0  # on trial
    with rigs.repl(board) as link:
        link.start("from ota import agent\nagent.confirm()")
        board.wait_text("ota: up-to-date 1.2.0", 40)
    assert lasting(board)["floor_security"] == 3
    refuses(board, "security-version 0", "rollback()")
    rig.forge(rigs.image(4), version="1.3.0", sequence=4, security_version=2)
    assert said(board) == "security-version 2"
    assert lasting(board)["floor_security"] == 3
