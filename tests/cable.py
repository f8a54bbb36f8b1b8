"""Pushes over a board's cable, for the tests of them."""

import json
from collections.abc import Callable
from typing import Any

import rig as rigs
from otactl.board.follow import Event
from otactl.board.link import Link
from otactl.board.push import Pushed, push
from otactl.release import envelope
from otactl.release.offer import Offer
from otactl.workspace import keys
from powercut.flash import files, with_files
from rig import Rig, started
from vboard.board import Board
from vboard.flash import images
from vboard.link.wlan import Network

CONFIG = "etc/ota/config.json"
WORDS = b"".join(b"%d bottles of beer on the wall, " % n for n in range(2000))  # much the same, but not over and over


class Broken(Exception):
    """The power is gone, or the cable is pulled."""


def wordy(size: int) -> bytes:
    """An image that deflate makes smaller."""
    return images.build_app("esp32", size=size, filled=WORDS)


def cabled(rig: Rig, config: dict[str, Any] | None = None, **settings: Any) -> Board:
    """A board without a network, whose trial asks for none; `config`: changes of that."""
    board = rig.board(network=Network(), **settings)
    where = f"http://{rigs.ADDRESS}:{rigs.PORT}/stable.json"  # neither name nor date: its look at the start ends soon
    bare = {"url": where, "allow_http": True, "wifi": None, "tries": 1, "trial": {**rigs.TRIAL, "checks": []}}
    flash = board.flash.read(0, board.flash.size)
    told = json.loads(files(board.table, flash)[CONFIG])
    changed = json.dumps({**told, **bare, **(config or {})}).encode()
    board.flash.force(0, with_files(board.table, flash, {CONFIG: changed}))
    return started(board)


def newest(rig: Rig) -> Offer:
    """What the channel names."""
    raw = rig.workspace.channel_file.read_bytes()
    payload = envelope.unseal(raw, keys.trusted(rig.workspace.trusted))
    return Offer(payload["version"], raw, payload["targets"], rig.workspace.releases)


def pushed(board: Board, offered: Offer, watch: Callable[[Event], None] = lambda _: None, **more: Any) -> Pushed:
    with Link(str(board.port)) as link:
        try:
            return push(link, offered, watch, **more)
        except Broken:
            link.let_go()  # nobody is there to be asked
            raise


def at(offset: int, do: Callable[[], None]) -> Callable[[Event], None]:
    """A watch that does that once the board has asked for that byte of the image, or one after it."""

    def watch(event: Event) -> None:
        if event.name == "download" and int(event.facts[0].partition("/")[0]) >= offset:
            do()

    return watch
