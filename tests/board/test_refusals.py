"""Bad input, one row each: its own code, one line, the running release and otadata untouched, no erase in the slot."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import listening
import pytest
import rig as rigs
from cryptography.hazmat.primitives.asymmetric import rsa
from otactl.board.deploy import deploy
from otactl.errors import BoardError
from otactl.server.server import context
from otactl.workspace import tls
from rig import NEW, OLD, Rig, image, otadata, slot_bytes, started, touched, update_code
from vboard.board import Board
from vboard.flash.images import build_app

BAD_SHA = "00" * 32


def refused(rig: Rig, board: Board, code: str, *, early: bool = True, tries: int | None = 1) -> None:
    """The agent answers `code`, and nothing that boots has changed; `early`: before P1 is through."""
    if tries:
        rigs.configure(board, tries=tries)
    before, entries = len(board.flash.trace), otadata(board)
    assert update_code(board) == code
    assert slot_bytes(board, "ota_0", len(OLD)) == OLD
    assert otadata(board) == entries
    assert board.slot == "ota_0"
    if early:
        assert touched(board, "ota_1", before) == []


def first_bytes(data: bytes) -> dict[str, Any]:
    return {"data": data}


RELEASES: dict[str, tuple[dict[str, Any], str]] = {
    "of another product": ({"product": "toaster"}, "wrong-product"),
    "with another schema": ({"schema": 2}, "schema"),
    "for another chip": ({"target__chip": "esp32s3"}, "no-target"),
    "for another build": ({"target__build": "ESP32_GENERIC-SPIRAM"}, "no-target"),
    "with a target of an unknown kind": ({"target__kind": "bootloader"}, "unknown-kind"),
    "without a size": ({"target__size": None}, "bad-release"),
    "with a sequence that is text": ({"sequence": "7"}, "bad-release"),
    "with the sequence of what is installed, and another image": ({"sequence": 1}, "older"),
    "larger than the slot": ({"target__size": 0x1B0001}, "too-big"),
    "larger than it says": ({"target__size": len(NEW) - 4096}, "size-mismatch"),
    "smaller than it says": ({"target__size": len(NEW) + 4096}, "size-mismatch"),
    "whose file is no image": (first_bytes(b"GIF89a" + bytes(9000)), "not-an-image"),
    "whose file is a page of text": (first_bytes(b"<html>" * 2000), "not-an-image"),
    "whose file is an image of another chip": (
        first_bytes(build_app("esp32s3", size=20000)),
        "wrong-chip",
    ),
    "whose file is cut short to a few bytes": (first_bytes(NEW[:200]), "not-an-image"),
}


@pytest.mark.parametrize(("changes", "code"), RELEASES.values(), ids=RELEASES)
def test_release_is_refused(rig: Rig, changes: dict[str, Any], code: str) -> None:
    board = started(rig.board())
    rig.forge(**changes)
    refused(rig, board, code)


def test_full_flash_file_is_named_as_such(rig: Rig, firmware: Path) -> None:
    board = started(rig.board())
    rig.forge((firmware / "ESP32_GENERIC-20250911-v1.26.1.bin").read_bytes()[: 1 << 20])
    refused(rig, board, "full-flash")


LATE: dict[str, tuple[dict[str, Any], str]] = {
    "whose SHA-256 is not as signed": ({"target__sha256": BAD_SHA}, "hash-mismatch"),
    "whose image ends too early": (first_bytes(NEW[:-5000]), "set-boot"),
}


@pytest.mark.parametrize(("changes", "code"), LATE.values(), ids=LATE)
def test_release_is_refused_before_it_is_booted(rig: Rig, changes: dict[str, Any], code: str) -> None:
    board = started(rig.board())
    rig.forge(**changes)
    refused(rig, board, code, early=False)


def test_older_release_is_refused(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40)
    rig.forge(image(3), sequence=1)
    rig.workspace.channel_file.rename(rig.workspace.releases / "beta.json")
    rigs.configure(
        board, url=f"https://{rigs.HOST}:{rigs.PORT}/beta.json"
    )  # which has named nothing newer to the board
    assert update_code(board) == "older"
    assert rigs.status(board)["installed"]["sequence"] == 2


def test_lower_security_version_is_refused(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", NEW, security_version=3)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40)
    rig.forge(image(3), security_version=2)
    assert update_code(board) == "security-version"


def _altered(rig: Rig) -> bytes:
    envelope = json.loads(rig.workspace.channel_file.read_bytes())
    payload = envelope["payload"]
    envelope["payload"] = payload[:-8] + ("A" if payload[-8] != "A" else "B") + payload[-7:]
    return json.dumps(envelope).encode()


def _resigned(rig: Rig) -> bytes:
    rig.forge(sign=rsa.generate_private_key(public_exponent=65537, key_size=3072))
    return rig.workspace.channel_file.read_bytes()


def _bad_signature(rig: Rig) -> bytes:
    envelope = json.loads(rig.workspace.channel_file.read_bytes())
    sig = envelope["signatures"][0]["sig"]
    envelope["signatures"][0]["sig"] = sig[:100] + ("A" if sig[100] != "A" else "B") + sig[101:]
    return json.dumps(envelope).encode()


ENVELOPES: dict[str, tuple[Callable[[Rig], bytes], str]] = {
    "that is not JSON": (lambda _: b"<html>not found</html>", "envelope-not-json"),
    "that is too big": (lambda _: b'{"a": "' + b"x" * 9000 + b'"}', "envelope-too-big"),
    "of another type": (lambda _: json.dumps({"payloadType": "x", "payload": "", "signatures": []}).encode(),
                        "envelope-type"),
    "with no known signature": (_resigned, "unknown-key"),
    "with a wrong signature": (_bad_signature, "bad-signature"),
    "with an altered payload": (_altered, "bad-signature"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "code"), ENVELOPES.values(), ids=ENVELOPES)
def test_envelope_is_refused(rig: Rig, make: Callable[[Rig], bytes], code: str) -> None:
    board = started(rig.board())
    rig.forge()
    rig.workspace.channel_file.write_bytes(make(rig))
    refused(rig, board, code)


CONFIGS: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "config-missing"),
    "not JSON": (b"{url:", "config-not-json"),
    "with an unknown check": (
        b'{"url": "https://a/b.json", "product": "demo", "trial": {"checks": [{"check": "luck"}]}}',
        "config-invalid",
    ),
    "with a wrong type": (b'{"url": 5, "product": "demo"}', "config-invalid"),
    "with an unknown key": (
        b'{"url": "https://a/b.json", "product": "demo", "urll": 1}',
        "config-invalid",
    ),
    "with plain HTTP": (
        b'{"url": "http://10.0.0.9:8443/a.json", "product": "demo"}',
        "http-not-allowed",
    ),
}


@pytest.mark.parametrize(("text", "code"), CONFIGS.values(), ids=CONFIGS)
def test_configuration_is_refused(rig: Rig, text: bytes | None, code: str) -> None:
    board = started(rig.board())
    rig.forge()
    with rigs.repl(board) as link:
        if text is None:
            link.run("import os\nos.remove('/etc/ota/config.json')")
        else:
            link.put("/etc/ota/config.json", text)
    refused(rig, board, code, tries=None)


def test_wifi_that_is_not_there(rig: Rig) -> None:
    board = started(rig.board())
    rig.network.access_points.clear()
    board.power_on()
    board.wait_text("ota: error wifi-not-found", 60)
    refused(rig, board, "wifi-not-found")


def test_wifi_with_another_password(rig: Rig) -> None:
    board = started(rig.board())
    rig.network.access_points["virtual"] = "changed"
    board.power_on()
    board.wait_text("ota: error wifi-wrong-password", 60)
    refused(rig, board, "wifi-wrong-password")


@contextmanager
def scripted(certificates: Path | None, serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that lets `serve` do what it likes with each connection, behind TLS unless there are no certificates."""
    listener = socket.create_server(("127.0.0.1", 0))

    def loop() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                plain.settimeout(10)
                made = context(certificates).wrap_socket(plain, server_side=True) if certificates else plain
                with made:
                    made.recv(4096)
                    serve(made)
            except OSError:
                plain.close()  # the board has broken it off, as it should

    accepting = threading.Thread(target=loop, daemon=True)
    accepting.start()
    yield listener.getsockname()[1]
    listening.end(listener, accepting)


def says(text: str) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text.encode())


def stalls(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    connection.recv(1)


SERVERS: dict[str, tuple[Callable[[socket.socket], None], str]] = {
    "answers 404": (says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "http-status"),
    "answers 500": (says("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), "http-status"),
    "stalls": (stalls, "stalled"),
    "drops": (says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "dropped"),
    "says nothing": (lambda connection: None, "dropped"),
    "redirects for ever": (
        says("HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n"),
        "too-many-redirects",
    ),
    "redirects to plain HTTP": (
        says("HTTP/1.1 302 Found\r\nLocation: http://releases.test:8443/x\r\n\r\n"),
        "redirect-to-http",
    ),
    "speaks something else": (says("220 mail.example ESMTP\r\n"), "bad-response"),
}


@pytest.mark.parametrize(("serve", "code"), SERVERS.values(), ids=SERVERS)
def test_server_that(rig: Rig, serve: Callable[[socket.socket], None], code: str) -> None:
    board = started(rig.board())
    with scripted(rig.workspace.tls, serve) as port:
        rig.route(port)
        refused(rig, board, code)


def test_server_that_is_down(rig: Rig) -> None:
    board = started(rig.board())
    rig.route(rigs.free_port())
    refused(rig, board, "connect")


def test_server_whose_name_does_not_resolve(rig: Rig) -> None:
    board = started(rig.board())
    rig.network.hosts.clear()
    refused(rig, board, "dns")


def test_server_without_tls(rig: Rig) -> None:
    board = started(rig.board())
    with scripted(None, says("HTTP/1.1 200 OK\r\n\r\n")) as port:
        rig.route(port)
        refused(rig, board, "tls")


def test_certificate_of_another_host(rig: Rig) -> None:
    board = started(rig.board())
    tls.make_server(rig.workspace.tls, ["another.test"])
    with scripted(rig.workspace.tls, stalls) as port:
        rig.route(port)
        refused(rig, board, "cert-host")


def test_certificate_not_from_our_ca(rig: Rig, tmp_path: Path) -> None:
    board = started(rig.board())
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    tls.make_ca(stranger, "demo")
    tls.make_server(stranger, [rigs.HOST])
    with scripted(stranger, stalls) as port:
        rig.route(port)
        refused(rig, board, "cert-untrusted")


def test_board_that_nobody_tells_the_date(rig: Rig) -> None:
    """No time server, and a release server that sends no Date: a certificate of this year is in its future."""
    rig.network.ntp = False
    board = rig.board()
    store = rigs.nvs(board)
    store.set_i32(store.namespace("ota"), "proven", 0)

    def dateless(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with scripted(rig.workspace.tls, dateless) as port:
        rig.route(port)
        started(board)
        board.wait_text("ota: error clock-not-set", 40)
        refused(rig, board, "clock-not-set")


def test_filesystem_without_room_is_told_by_deploy_and_keeps_the_users_files(rig: Rig) -> None:
    board = rig.board(deployed=False)
    board.power_on()
    board.wait_repl()
    rigs.ask(
        board,
        "import os\nopen('/keep.txt', 'w').close()\nn = os.statvfs('/')[3] - 4\n"
        "with open('/mine', 'wb') as f:\n    for _ in range(n):\n        f.write(bytes(4096))",
    )
    with rigs.repl(board) as link, pytest.raises(BoardError, match="vfs-full"):
        deploy(link, rig.workspace)
    assert "keep.txt" in rigs.ask(board, "import os\nprint(os.listdir('/'))")


def test_a_good_release_installs_after_a_refused_one(rig: Rig) -> None:
    """A sample of one row of the table."""
    board = started(rig.board())
    rig.forge(target__sha256=BAD_SHA)
    refused(rig, board, "hash-mismatch", early=False)
    rig.publish("1.1.0", NEW)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 40)
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW
