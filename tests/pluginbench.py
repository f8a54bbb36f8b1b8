"""A project of somebody's whose tests run under the plugin: a pytest of its own, in a folder of its own."""

import os
import re
import select
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from otactl.board.link import Link
from vboard.board import Board

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 100
_WORDS = re.compile(
    r"::(\w+)(?:\[[^\]]*\])? (PASSED|FAILED|ERROR|SKIPPED|RIG FAULT)|(PASSED|FAILED|ERROR|SKIPPED|RIG FAULT) \S+::(\w+)"
)
PROGRAM = "print('app: runs')\nimport time\nwhile True: time.sleep(1)\n"


@dataclass(frozen=True)
class Ran:
    """`said`: all that pytest printed."""

    code: int
    said: str

    @property
    def outcomes(self) -> dict[str, str]:
        """Of a test with parameters, that of the first that did not pass."""
        found: dict[str, str] = {}
        for one in _WORDS.finditer(self.said):
            name, word = one[1] or one[4], one[2] or one[3]
            if found.get(name, "PASSED") == "PASSED":
                found[name] = word
        return found

    @property
    def count(self) -> Counter[str]:
        return Counter(self.outcomes.values())


def start(folder: Path, tests: str, *words: str | Path, beside: str = "", **env: str) -> "subprocess.Popen[str]":
    """`beside`: a folder with another plugin. `env`: of the process."""
    folder.mkdir(exist_ok=True)
    (folder / "test_app.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    paths = os.pathsep.join(filter(None, [beside, str(ROOT / "host")]))  # of this checkout, wherever it is
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *map(str, words)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        | {"PYTHONPATH": paths, "COLUMNS": "160"}
        | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> Ran:
    said, _ = process.communicate(timeout=LIMIT_S)
    return Ran(process.returncode, said)


def run(folder: Path, tests: str, *words: str | Path, beside: str = "", **env: str) -> Ran:
    return ended(start(folder, tests, *words, beside=beside, **env))


def block(page: str, name: str) -> str:
    """The code block of a page of docs that begins with a comment `# NAME`."""
    found = re.search(rf"```\w*\n(# {re.escape(name)}\n.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert found, f"{page} has no block {name}"
    return found[1]


def with_program(board: Board, program: str = PROGRAM) -> Board:
    """A board whose own program runs."""
    board.power_on()
    board.wait_repl()
    with Link(str(board.port)) as link:
        link.put("/main.py", program.encode())
    board.wait_text("app: runs", 20)
    return board


def files(board: Board) -> list[str]:
    """All that is in a board's root, by name."""
    with Link(str(board.port)) as link:
        found: list[str] = sorted(link.value("os.listdir('/')", "import os"))
        return found


@contextmanager
def on_socket(board: Board) -> Iterator[str]:
    """The board's terminal behind a socket:// address, as ser2net puts it there."""
    port = os.open(board.port.resolve(), os.O_RDWR | os.O_NOCTTY)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def relay() -> None:
            client: socket.socket | None = None
            while not over.is_set():
                for ready in select.select([port, client or server], [], [], 0.05)[0]:
                    if ready is server:
                        client, _ = server.accept()
                    elif ready is port:
                        data = os.read(port, 4096)
                        if client:
                            client.sendall(data)
                    elif client:
                        data = client.recv(4096)
                        os.write(port, data)
                        if not data:
                            client.close()
                            client = None

        thread = threading.Thread(target=relay)
        thread.start()
        try:
            yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join()
            os.close(port)
