"""`otactl serve --mqtt` and a real broker: boards ask by HTTP, and what the broker keeps is looked at."""

import contextlib
import gc
import http.client
import json
import logging
import re
import ssl
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import Broker, free_port
from otactl.cli.main import main
from otactl.cli.serve_bridges import Asked
from otactl.errors import RigError, UsageError
from otactl.fleet.store import FILE, Store
from otactl.release import publish
from otactl.server import broker as addresses
from otactl.server.hub import Hub
from otactl.server.server import Server
from otactl.workspace.workspace import SETTINGS, Workspace
from vboard.flash import images

ID, STRANGER = "240ac4000001", "240ac40000ff"
STATE, ONLINE, INSTALL = (f"ota/{ID}/{what}" for what in ("state", "online", "install"))
CONFIG, HUB = f"homeassistant/device/ota-{ID}/config", "ota-hub/lamp/online"


@pytest.fixture
def house(place: Workspace, tmp_path: Path) -> Workspace:
    """Releases 1.0.0 and 1.1.0, and one board that has a name; its broker's certificate is of the workspace's CA."""
    image = tmp_path / "firmware.bin"
    image.write_bytes(images.build_app("esp32", size=4096))
    for version in ("1.0.0", "1.1.0"):
        publish.publish(place, [image], version)
    (place.root / "boards.csv").write_text("24:0a:c4:00:00:01, kitchen-lamp\n")
    with (place.root / SETTINGS).open("a") as settings:
        settings.write('\n[mqtt]\nca = "tls/ca.pem"\nuser = "ota"\n')
    return Workspace.find(place.root)


class Served:
    """A server with its bridge; `said`: its lines."""

    def __init__(self, place: Workspace, server: Server, store: Store, said: list[str]) -> None:
        self.server, self.store, self.said = server, store, said
        self._secure = ssl.create_default_context(cafile=str(place.tls / "ca.pem"))

    def look(self, have: int, board: str = ID, **more: object) -> int:
        """A board's look at the channel: the sequence that it is offered."""
        header = f"id={board};product=lamp;have={have}" + "".join(f";{name}={one}" for name, one in more.items())
        ask = http.client.HTTPSConnection("127.0.0.1", self.server.port, context=self._secure, timeout=10)
        with contextlib.closing(ask):
            ask.request("GET", "/stable.json", headers={"Ota-Board": header})
            return int(json.loads(b64decode(json.loads(ask.getresponse().read())["payload"]))["sequence"])

    def heard(self, part: str) -> None:
        """Until a line with `part` was said."""
        give_up = time.monotonic() + 20
        while not any(part in line for line in self.said):
            assert time.monotonic() < give_up, self.said
            time.sleep(0.02)


@contextlib.contextmanager
def served(place: Workspace, address: str, *, install: bool) -> Iterator[Served]:
    said: list[str] = []
    with Store(place.root / FILE) as store:
        asked = Asked(False, address, install)
        asked.hold(store)
        rooms, watch = asked.rooms(place, store, lambda _: None, said.append)
        hub = Hub(place, store)
        with Server(place.releases, place.tls, "127.0.0.1", 0, watch, rooms=[hub.room, *rooms]) as server:
            yield Served(place, server, store, said)


def test_a_house_sees_its_board_presses_the_button_and_sees_the_update(
    house: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(addresses.PASSWORD, "secret")
    port = free_port()
    with Broker(port, house.tls) as broker:
        broker.keep(INSTALL, "install")  # pressed some day: nobody knows for which release
        with served(house, f"127.0.0.1:{port}", install=True) as at:
            broker.wait(HUB, "online")
            assert broker.users() == [("ota", "secret")]
            assert (at.look(1), at.look(1, STRANGER)) == (1, 2)  # held back from who has a button
            state = broker.wait(STATE, latest_version="1.1.0")
            assert (state["installed_version"], state["in_progress"]) == ("1.0.0", False)
            assert broker.wait(CONFIG)["components"]["firmware"]["command_topic"] == INSTALL
            assert broker.wait(ONLINE, "online")
            broker.cut()
            broker.wait(HUB, "offline")  # the will
            broker.wait(HUB, "online")  # and back, when what the broker has kept is said again
            assert at.look(1) == 1
            broker.send(INSTALL, "uninstall")
            broker.send(f"ota/{STRANGER}/install", "install")
            broker.send(INSTALL, "install")
            broker.wait(STATE, in_progress=True)
            assert at.look(1) == 2
            at.store.progress(ID, 42, 100)
            broker.wait(STATE, in_progress=True, update_percentage=42)
            at.look(1, phase="trial", seq=2)
            broker.wait(STATE, in_progress=True, update_percentage=None)
            at.look(2, phase="confirmed", seq=2)
            broker.wait(STATE, installed_version="1.1.0", in_progress=False, update_percentage=None)
            assert not [topic for topic in broker.kept() if STRANGER in topic]
            at.heard("without a name in boards.toml or boards.csv: 1")
            assert [line for line in at.said if "is wanted" in line] == [
                f"{ID}: 1.1.0 is wanted, it is offered at the next look"
            ]
        assert broker.wait(HUB, "offline")


def test_a_broker_that_comes_late_or_back_is_told_all_and_what_is_forgotten_goes(house: Workspace) -> None:
    port = free_port()
    with served(house, f"mqtt://127.0.0.1:{port}", install=False) as at:
        assert at.look(1) == 2  # no button, nothing waits
        at.heard("tried again until it answers")
        with Broker(port) as broker:
            assert "command_topic" not in broker.wait(CONFIG)["components"]["firmware"]
            broker.wait(STATE, installed_version="1.0.0", latest_version="1.1.0")
        with Broker(port) as broker:  # which has forgotten all
            broker.wait(STATE, installed_version="1.0.0", latest_version="1.1.0")
            at.store.forget(ID)
            deadline = time.monotonic() + 20
            while set(broker.kept()) != {HUB} and time.monotonic() < deadline:
                time.sleep(0.02)
            assert set(broker.kept()) == {HUB}


@pytest.mark.parametrize(
    ("address", "host", "port", "secure"),
    [
        ("broker", "broker", 8883, True),
        ("broker:1", "broker", 1, True),
        ("mqtts://broker", "broker", 8883, True),
        ("mqtt://broker", "broker", 1883, False),
        ("[::1]:8883", "::1", 8883, True),
    ],
)
def test_a_broker_has_tls_unless_it_is_asked_for_without(tmp_path, address, host: str, port: int, secure: bool) -> None:
    found = addresses.broker(address, {}, tmp_path)
    assert (found.host, found.port, found.secure is not None) == (host, port, secure)
    assert not found.secure or (found.secure.check_hostname and found.secure.verify_mode == ssl.CERT_REQUIRED)


@pytest.mark.parametrize(
    ("address", "table", "part"),
    [
        ("http://broker", {}, "HOST:PORT"),
        ("broker:99999", {}, "HOST:PORT"),
        ("broker/path", {}, "HOST:PORT"),
        ("me:secret@broker", {}, "HOST:PORT"),
        ("", {}, "HOST:PORT"),
        ("broker", {"password": 1}, "[mqtt] has user and password and ca"),
        ("broker", {"pasword": "x"}, "[mqtt] has user and password and ca"),
        ("broker", {"ca": "none.pem"}, "none.pem"),
    ],
)
def test_a_broker_that_is_none_is_refused(tmp_path: Path, address: str, table: dict, part: str) -> None:
    with pytest.raises(UsageError, match=re.escape(part)):
        addresses.broker(address, table, tmp_path)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--mqtt-install"], "--mqtt HOST"),
        (["--mqtt", "broker", "--no-fleet"], "leave out --no-fleet"),
        (["--metrics", "--no-fleet"], "leave out --no-fleet"),
        (["--mqtt", "http://broker"], "HOST:PORT"),
    ],
)
def test_what_cannot_be_had_together_is_said(place: Workspace, words: list[str], part: str, capsys) -> None:
    assert main(["serve", "-w", str(place.root), "--port", "0", *words]) == 2
    assert part in capsys.readouterr().err


def test_without_the_extra_it_is_said_how_to_get_it(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "aiomqtt", None)
    monkeypatch.delitem(__import__("sys").modules, "otactl.server.mqtt", raising=False)
    with Store(place.root / FILE) as store, pytest.raises(UsageError, match=r"micropython-ota-agent\[mqtt\]"):
        Asked(False, "broker", False).rooms(place, store, lambda _: None, lambda _: None)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_does_not_start_leaves_no_connection_behind(
    house: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with Broker(port), Store(house.root / FILE) as store:
        rooms, watch = Asked(False, f"mqtt://127.0.0.1:{port}", False).rooms(
            house, store, lambda _: None, lambda _: None
        )
        with pytest.raises(RigError), Server(house.releases, None, "127.0.0.1", port, watch, rooms=rooms):
            pass
        gc.collect()  # what was left behind would complain now
    assert [
        one.getMessage() for one in caplog.records if one.name == "asyncio" and one.levelno >= logging.WARNING
    ] == []
