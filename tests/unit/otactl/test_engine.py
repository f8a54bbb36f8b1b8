"""`otactl engine` up to the engine: what it reads, whom it tells what. tests/engine has engines."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.served import Reply, Served
from otactl.board import settings
from otactl.cli.main import main
from otactl.engine import opened
from otactl.engine.calls import Calls
from otactl.errors import RigError, UsageError
from otactl.workspace import fleet_tokens
from otactl.workspace.workspace import SETTINGS, Workspace

URL = "https://engine.test:8443"
SECRET = "mark-of-the-password"


@pytest.fixture
def lamp(place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace of the test's own."""
    monkeypatch.setenv(opened.PASSWORD, SECRET)
    shutil.copytree(place.root, tmp_path / "lamp")
    return Workspace.find(tmp_path / "lamp")


def told(place: Workspace, text: str) -> Workspace:
    """The workspace with that at the end of its otactl.toml."""
    path = place.root / SETTINGS
    path.write_text(path.read_text() + text)
    return Workspace.find(place.root)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no engine"),
        ("[engine]\nuser = 'me'", "url is no http"),
        ("[engine]\nurl = 'ftp://h'", "url is no http"),
        (f"[engine]\nurl = '{URL}'\nfeed = 'canary'", r"\[engine\] feed is unknown"),
        (f"[engine]\nurl = '{URL}'\nuser = 7", r"\[engine\] user is unknown, or no text"),
        (f"[engine]\nurl = '{URL}'\nkind = 'mender'", "kind is one of goosebit, hawkbit"),
        (f"[engine]\nurl = '{URL}'", "who asks the engine"),
    ],
)
def test_wrong_settings_are_named(lamp: Workspace, text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        opened.engine(told(lamp, text))


def test_board_is_told_the_engine_and_its_own_token(lamp: Workspace) -> None:
    there = told(lamp, f"[board.ddi]\n[engine]\nurl = '{URL}'\ntenant = 'site'")
    token = fleet_tokens.make(there, "kitchen")
    assert fleet_tokens.make(there, "kitchen") == token != fleet_tokens.make(there, "hall")
    assert (there.root / "engine" / "kitchen.token").stat().st_mode & 0o777 == 0o600
    assert settings.config(there, "kitchen")["ddi"] == {"url": URL, "tenant": "site", "id": "kitchen", "token": token}
    assert settings.config(there, "shed")["ddi"] == {"url": URL, "tenant": "site"}
    with pytest.raises(UsageError, match="a board's name"):
        fleet_tokens.make(there, "../kitchen")


def test_board_without_an_engines_address_is_refused_before_it_is_deployed(lamp: Workspace) -> None:
    with pytest.raises(UsageError, match=r"ddi\.url"):
        settings.config(told(lamp, "[board.ddi]\n"), "kitchen")


def test_version_that_no_engine_takes_is_refused_before_it_is_signed(
    lamp: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.bin").write_bytes(b"")
    words = ["publish", str(tmp_path / "a.bin"), "--version", "beta", "--swu", "-w", str(lamp.root)]
    assert main(words) == 2
    assert "numbers with dots" in capsys.readouterr().err
    assert not (lamp.releases / "beta").exists()


@pytest.fixture
def servers(lamp: Workspace, tmp_path: Path) -> Iterator[list[Served]]:
    made = []
    for name in ("engine", "elsewhere"):
        (tmp_path / name).mkdir()
        made.append(Served(lamp, tmp_path / name, ["127.0.0.1"], lambda _: Reply(200, b"{}")))
    yield made
    for server in made:
        server.close()


def calls(lamp: Workspace, server: Served) -> Calls:
    made = Calls(f"https://127.0.0.1:{server.port}", (lamp.tls / "ca.pem").read_bytes())
    made.authorization = f"Bearer {SECRET}"
    return made


def test_what_lets_us_in_is_shown_to_nobody_else(lamp: Workspace, servers: list[Served]) -> None:
    there, elsewhere = servers
    there.answer = lambda _: Reply(302, b"", (("Location", f"https://127.0.0.1:{elsewhere.port}/"),))
    with pytest.raises(RigError, match=r"refused \(302\)"):
        calls(lamp, there).json("GET", "/api/v1/devices")
    assert there.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert not elsewhere.asked


@pytest.mark.parametrize(
    ("reply", "error", "why"),
    [
        (Reply(401, b"no"), UsageError, r"does not let us in \(401\)"),
        (
            Reply(422, b"Software image header\ncannot be parsed"),
            RigError,
            r"refused \(422\): Software image header cannot",
        ),
        (Reply(200, b"<html>"), RigError, "no engine answers"),
    ],
)
def test_refusal_is_one_line_without_the_secret(
    lamp: Workspace, servers: list[Served], reply: Reply, error: type[Exception], why: str
) -> None:
    servers[0].answer = lambda _: reply
    with pytest.raises(error, match=why) as found:
        calls(lamp, servers[0]).json("GET", "/api/v1/devices")
    text = str(found.value)
    assert "\n" not in text
    assert SECRET not in text


def test_server_of_another_ca_is_told_nothing(lamp: Workspace, servers: list[Served]) -> None:
    made: Any = Calls(f"https://127.0.0.1:{servers[0].port}", None)
    with pytest.raises(RigError, match="CERTIFICATE_VERIFY_FAILED"):
        made.json("GET", "/")
    assert not servers[0].asked


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://127.0.0.1:{port}", r"speaks TLS perhaps; \[engine\] url in otactl.toml is to begin with https://"),
        ("https://127.0.0.1:1", r"Connection refused\): does it run, and is \[engine\] url in otactl.toml right"),
        ("https://localhost:{port}", "its certificate is for another name"),
    ],
)
def test_engine_that_is_not_reached_says_how_to_mend_that(
    lamp: Workspace, servers: list[Served], address: str, why: str
) -> None:
    made = Calls(address.format(port=servers[0].port), (lamp.tls / "ca.pem").read_bytes())
    with pytest.raises(RigError, match=why):
        made.json("GET", "/")
    assert not servers[0].asked


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        ("goosebit", Reply(404, b"<html>")),
        ("goosebit", Reply(200, b"{}")),
        ("goosebit", Reply(200, b"[]")),
        ("hawkbit", Reply(404, b"{}")),
        ("hawkbit", Reply(200, b"{}")),
    ],
)
def test_server_that_is_another_one_is_named(lamp: Workspace, servers: list[Served], kind: str, reply: Reply) -> None:
    servers[0].answer = lambda _: reply
    there = told(lamp, f"[engine]\nurl = 'https://127.0.0.1:{servers[0].port}'\nkind = '{kind}'\nuser = 'me'")
    with pytest.raises(RigError, match=r"no (gooseBit|hawkBit) at https://127\S+: are \[engine\] url and kind"):
        opened.engine(there)


def test_password_that_is_missing_is_asked_for(lamp: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(opened.PASSWORD)
    with pytest.raises(UsageError, match=f"password of me: put it into {opened.PASSWORD}"):
        opened.engine(told(lamp, f"[engine]\nurl = '{URL}'\nuser = 'me'"))
