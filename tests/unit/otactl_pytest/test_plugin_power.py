"""Power switches: what a spec means, and that the switch itself (a command, an HTTP server) is really worked."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from otactl.errors import RigError, UsageError
from otactl_pytest import power
from otactl_pytest.power import External, Http, Manual, Uhubctl


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "OFF_S", 0)


@pytest.mark.parametrize(
    ("spec", "means"),
    [
        ("uhubctl:1-1.2", Uhubctl("1-1", "2")),
        ("uhubctl:2-1.4.3", Uhubctl("2-1.4", "3")),
        ("http:http://plug/on https://plug/off", Http("http://plug/on", "https://plug/off")),
        ("external:relay --port 3", External(("relay", "--port", "3"))),
        ("external:'my relay' 3", External(("my relay", "3"))),
    ],
)
def test_a_spec_means_a_switch(spec: str, means: object) -> None:
    assert power.parse(spec) == means


@pytest.mark.parametrize(
    "spec",
    ["", "uhubctl:", "uhubctl:1-1", "uhubctl:1-1.x", "http:http://plug/on", "http:plug/on plug/off", "external:"]
    + ["external:'open", "manual:now", "relay:3"],
)
def test_what_means_none_is_refused_with_the_forms(spec: str) -> None:
    with pytest.raises(UsageError, match=re.escape("uhubctl:HUB.PORT, http:ON_URL OFF_URL, external:COMMAND, manual")):
        power.parse(spec)


def script(folder: Path, name: str, *, ends_with: int = 0) -> tuple[Path, Path]:
    """A command that writes down what it was called with; and where."""
    told, path = folder / "told", folder / name
    path.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(told)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))\n"
        f"sys.exit({ends_with} and 'the relay is hot')\n"
    )
    path.chmod(0o755)
    return path, told


def test_a_cycle_calls_the_command_with_off_then_on(tmp_path: Path) -> None:
    path, told = script(tmp_path, "relay")
    power.parse(f"external:{path} 3").cycle()
    assert told.read_text() == "3 off\n3 on\n"


def test_uhubctl_is_told_hub_port_and_action(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, told = script(tmp_path, "uhubctl")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    power.parse("uhubctl:1-1.2").cycle()
    assert told.read_text() == "-l 1-1 -p 2 -a off\n-l 1-1 -p 2 -a on\n"


def test_a_command_that_fails_is_the_rigs_fault_with_its_last_words(tmp_path: Path) -> None:
    path, _ = script(tmp_path, "relay", ends_with=1)
    with pytest.raises(RigError, match="relay off ended with 1: the relay is hot"):
        power.parse(f"external:{path}").off()


def test_a_command_that_is_not_there_is_the_rigs_fault(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="the power switch failed"):
        power.parse(f"external:{tmp_path}/nothing").on()


@contextmanager
def plug(status: int) -> Iterator[tuple[str, list[str]]]:
    """A smart plug: its address, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_cycle_asks_the_plug_for_off_then_on() -> None:
    with plug(200) as (url, asked):
        power.parse(f"http:{url}/on {url}/off").cycle()
    assert asked == ["/off", "/on"]


def test_a_plug_that_refuses_is_the_rigs_fault_and_its_address_is_not_told() -> None:
    with plug(500) as (url, _), pytest.raises(RigError, match=r"127\.0\.0\.1 failed: HTTP Error 500") as told:
        power.parse(f"http:{url}/on?key=geheim {url}/off?key=geheim").on()
    assert "geheim" not in str(told.value)


def test_by_hand_a_person_is_asked_twice() -> None:
    asked: list[str] = []
    switch = power.parse("manual", asked.append)
    assert isinstance(switch, Manual)
    switch.cycle()
    assert ["off" in text for text in asked] == [True, False]


def test_by_hand_with_nobody_there_is_the_rigs_fault() -> None:
    with pytest.raises(RigError, match="nobody at a terminal"):
        power.parse("manual").off()
