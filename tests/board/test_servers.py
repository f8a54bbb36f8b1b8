"""Updates from servers that are not ours, and of real firmware images."""

import http.server
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import rig as rigs
from otactl.release import firmware as files
from otactl.server.server import context
from otactl.workspace import tls
from rig import NEW, Rig, boots, slot_bytes, started
from vboard.board import Board
from vboard.flash.otadata import State

WAIT = 60


def installs(board: Board, version: str, data: bytes) -> None:
    """The board takes the release by itself at its next boot, confirms it, and holds it byte for byte."""
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: up-to-date {version}", WAIT, since=seen)
    slot, state = boots(board)
    assert state == State.VALID
    assert board.slot == slot
    assert slot_bytes(board, slot, len(data)) == data


@contextmanager
def python_http_server(releases: Path, certificates: Path) -> Iterator[int]:
    """`python -m http.server`'s handler behind TLS: HTTP/1.0, no Range."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(releases))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket = context(certificates).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def process(command: list[str], port: int, folder: Path) -> Iterator[int]:
    """A server of its own process, up once its port takes a TLS handshake."""
    with (folder / "server.log").open("wb") as log:
        running = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait_tls(port, running)
            yield port
        finally:
            running.kill()
            running.wait()


def _wait_tls(port: int, running: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert running.poll() is None, "the server ended"
        try:
            ssl.get_server_certificate(("127.0.0.1", port), timeout=2)
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not come up")


@contextmanager
def openssl_s_server(releases: Path, certificates: Path) -> Iterator[int]:
    """`openssl s_server -WWW`: no Range, no Content-Length, and it just closes."""
    port = rigs.free_port()
    command = ["openssl", "s_server", "-accept", str(port), "-WWW", "-quiet"]
    command += [
        "-cert",
        str(certificates / "server.pem"),
        "-key",
        str(certificates / "server.key"),
    ]
    with process(command, port, releases) as ready:
        yield ready


@contextmanager
def starlette_on_uvicorn(releases: Path, certificates: Path) -> Iterator[int]:
    """A static server from the package index, with Range, ETag and Last-Modified of its own."""
    port = rigs.free_port()
    app = "from starlette.staticfiles import StaticFiles\napp = StaticFiles(directory='.')\n"
    (releases / "static_app.py").write_text(app)
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "static_app:app",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    command += ["--ssl-certfile", str(certificates / "server.pem")]
    command += ["--ssl-keyfile", str(certificates / "server.key")]
    with process(command, port, releases) as ready:
        yield ready


@pytest.mark.parametrize("serve", [python_http_server, openssl_s_server, starlette_on_uvicorn])
def test_update_from_a_server_that_is_not_ours(rig: Rig, serve: object) -> None:
    rig.publish("1.1.0", NEW)
    with serve(rig.workspace.releases, rig.workspace.tls) as port:  # type: ignore[operator]
        rig.route(port)
        installs(started(rig.board(heap_kib=160)), "1.1.0", NEW)


@pytest.mark.parametrize(
    ("chip", "name", "other"),
    [
        ("esp32", "ESP32_GENERIC-20250911-v1.26.1.bin", "esp32s3"),
        ("esp32s3", "ESP32_GENERIC_S3-20250911-v1.26.1.bin", "esp32"),
    ],
)
def test_real_micropython_is_installed_byte_for_byte_and_refused_by_another_chip(
    rig: Rig, firmware: Path, tmp_path: Path, chip: str, name: str, other: str
) -> None:
    app = files.load(firmware / name).app
    rig.publish("1.26.1", (firmware / name).read_bytes())
    template = rigs.make_template(tmp_path / "template", rig.workspace, chip)
    right = started(rig.board(chip=chip, flash=template, app=None))
    installs(right, "1.26.1", app)
    row = right.table.find("ota_1")
    assert row and row.size == 0x1B0000
    padded = -(-len(app) // 4096) * 4096
    assert right.flash.read(row.offset, padded) == app.ljust(padded, b"\xff")
    wrong = started(
        rig.board(
            chip=other,
            flash=rigs.make_template(tmp_path / "other", rig.workspace, other),
            app=None,
        )
    )
    assert rigs.update_code(wrong) == "no-target"
    assert not rigs.touched(wrong, "ota_1")


def test_server_certificate_of_the_workspace_is_for_the_name_that_boards_use(rig: Rig) -> None:
    assert rigs.HOST in tls.server_names(rig.workspace.tls)
