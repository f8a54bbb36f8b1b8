"""What `otactl serve` says, by the verb itself: warnings at its start, and a line for each connection."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from otactl.workspace.workspace import Workspace

HOST = Path(__file__).resolve().parents[3] / "host"
# The signal comes to another thread, so that no system call of the main one is interrupted: as where it comes just before
# the main thread begins to wait.
JUST_BEFORE_A_WAIT = """
import signal, sys, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
from otactl.__main__ import main
sys.exit(main())
"""


@contextmanager
def serving(
    place: Workspace, *words: str, program: tuple[str, ...] = ("-m", "otactl")
) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Its port, once it runs."""
    with subprocess.Popen(
        [sys.executable, *program, "serve", "-w", place.root, "--host", "127.0.0.1", "--port", "0", *words],
        env={**os.environ, "PYTHONPATH": str(HOST), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout
            line = ""
            while "serving" not in line:
                line = running.stdout.readline()
            yield int(line.partition(" (")[0].rpartition(":")[2]), running
        finally:
            running.kill()


@pytest.mark.parametrize(
    ("url", "words", "board", "warning"),
    [
        ("https", ["--http"], "", "they will get no answer from plain HTTP; leave out --http"),
        ("http", [], "", "they will get no answer from TLS; add --http"),
        ("http", ["--http"], "", "they refuse plain HTTP; set allow_http = true below [board]"),
        ("http", ["--http"], "allow_http = true", "127.0.0.1:8443/stable.json: change url, or forward"),
        ("https", [], "", "127.0.0.1:8443/stable.json: change url, or forward"),
    ],
)
def test_a_server_that_boards_cannot_speak_with_says_what_to_change(
    place: Workspace, url: str, words: list[str], board: str, warning: str
) -> None:
    settings = place.root / "otactl.toml"
    text = (
        settings.read_text().replace("https:", f"{url}:").replace("[board.trial]", f"[board]\n{board}\n[board.trial]")
    )
    settings.write_text(text)
    with serving(place, *words) as (_, running):
        assert running.stdout
        said = running.stdout.readline()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
    assert said.startswith(f"warning: boards look at {url}://127.0.0.1:8443/stable.json")
    assert warning in said


def test_who_speaks_no_tls_is_a_line(place: Workspace) -> None:
    with serving(place, "--no-page") as (port, running):
        assert running.stdout
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
            raw.recv(100)
        before, said = [], ""
        while not said.startswith("127.0.0.1"):
            before.append(said)
            said = running.stdout.readline()
    assert not [line for line in before if "page" in line]
    assert said == "127.0.0.1: spoke plain HTTP to this TLS port: its address must begin with https://\n"


def test_the_page_is_named_with_its_token(place: Workspace) -> None:
    with serving(place, "--http") as (port, running):
        assert running.stdout
        look, act = (
            next(line.strip() for line in running.stdout if line.startswith(head)) for head in ("the page", "and")
        )
        assert look == f"the page, to look at: http://127.0.0.1:{port}/"
        token = act.partition("#token=")[2]
        right = {"Authorization": f"Bearer {token}"}
        for headers, status in (({}, 401), (right, 409)):  # 409: nothing is being rolled out
            there = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            there.request("POST", "/api/rollout/pause", headers=headers)
            assert there.getresponse().status == status
            there.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_just_before_the_server_waits_ends_it(place: Workspace, number: int, code: int) -> None:
    with serving(place, program=("-c", JUST_BEFORE_A_WAIT)) as (_, running):
        assert running.stdout
        running.stdout.readline()
        running.send_signal(number)
        running.communicate(timeout=30)
    assert running.returncode == code
