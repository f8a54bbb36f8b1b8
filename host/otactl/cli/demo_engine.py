"""`otactl demo --engine PYTHON`: the fleet's story through a real gooseBit: eight boards, a release that is stopped at two of them,
and its successor, which goes through.

What came of it is checked in the flash images (demo.boots()), and in gooseBit's own database."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import tomlkit

from otactl.cli import display
from otactl.cli.demo_boards import BOARDS, CANARY, Classroom, Told, begin, classroom, group, name
from otactl.cli.demo_goosebit import Goosebit
from otactl.cli.demo_steps import Step, otactl, require, title, told, wait_for_ctrl_c
from otactl.engine.calls import Calls
from otactl.engine.opened import PASSWORD
from otactl.server.server import Server
from otactl.workspace.workspace import SETTINGS

_USER = "operator"
_ITS_PASSWORD = "of-the-demo"
_STATES = {1: "Unknown", 2: "Registered", 3: "Running", 4: "Error", 5: "Finished"}  # goosebit/db/models.py
Devices = dict[str, tuple[str, str | None]]  # a board's state and version, by its name


def run(folder: Path, python: Path, stay: bool = False) -> list[Step]:
    """The whole story in `folder`. `python`: that has gooseBit; `stay`: it is there until Ctrl-C. Raises StepFailed, OtactlError,
    TimeoutError."""
    steps, made = Told(), classroom(folder)
    with ExitStack() as opened:
        title(f"1  {BOARDS} virtual boards with 1.0.0, and a gooseBit that they ask")
        begin(made)
        place = made.place()
        server = opened.enter_context(Server(place.releases, place.tls, "127.0.0.1", 0, lambda _: None))
        made.settle(server.port)
        engine = opened.enter_context(_engine(made, python))
        opened.enter_context(_let_in())
        _first(made)
        steps.step("eight boards deployed", lambda: _deploy(made, opened))
        steps.step("1.0.0 is what they have", lambda: _known(made, engine))

        title("2  Release 1.1.0, which crashes on its trial, to two boards first")
        steps.step("1.1.0 is stopped", lambda: _halted(made, engine))

        title("3  Its successor 1.1.1, by the same way")
        steps.step("1.1.1 on all eight", lambda: _through(made, engine))
        steps.step("its page lists them", lambda: _page(made, engine))
        if stay:
            display.show(
                f"its page stays: https://localhost:{engine.port}/ (user {_USER}, password {_ITS_PASSWORD}; Ctrl-C ends)"
            )
            wait_for_ctrl_c()
    return steps


def _engine(made: Classroom, python: Path) -> Goosebit:
    """It runs, with the certificate that the workspace has for this machine; otactl.toml names it, and boards ask it."""
    tls, folder = made.place().tls, made.folder / "goosebit"
    folder.mkdir()
    engine = Goosebit(python, folder, tls / "ca.pem", (tls / "server.key", tls / "server.pem"), (_USER, _ITS_PASSWORD))
    settings = made.root / SETTINGS
    said = tomlkit.parse(settings.read_text())
    said["engine"] = {"kind": "goosebit", "url": f"https://localhost:{engine.port}", "user": _USER}
    said["board"]["ddi"] = {}
    settings.write_text(tomlkit.dumps(said))
    display.done(f"gooseBit runs at https://localhost:{engine.port}, and otactl.toml names it")
    return engine


def _first(made: Classroom) -> None:
    """gooseBit has the boards' names and their release before they ask: of two that are the first of their kind at the same
    moment it would make two kinds, and take no release for either."""
    _roster(made, [f'mac = "{made.mac(number)}"' for number in range(1, BOARDS + 1)])
    for which in ("canary", "class"):
        names = [name(number) for number in range(1, BOARDS + 1) if group(number) == which]
        otactl("engine", "add", "-w", made.root, *names, "--group", which)
    otactl("publish", "-w", made.root, made.file("1.0.0"), "--version", "1.0.0", "--swu")
    otactl("engine", "push", "-w", made.root, "1.0.0", "--group", "canary,class")


@contextmanager
def _let_in() -> Iterator[None]:
    """Commands have the operator's password, as they have it of a person."""
    before = os.environ.get(PASSWORD)
    os.environ[PASSWORD] = _ITS_PASSWORD
    try:
        yield
    finally:
        os.environ.pop(PASSWORD)
        if before is not None:
            os.environ[PASSWORD] = before


def _roster(made: Classroom, where: list[str]) -> None:
    """boards.toml, with what is known by now of where each board is."""
    lines = [f'[[board]]\nname = "{name(number)}"\n{place}\n' for number, place in enumerate(where, 1)]
    (made.root / "boards.toml").write_text("\n".join(lines))


def _deploy(made: Classroom, opened: ExitStack) -> str:
    """The agent with its DDI client on all, and then to each the token that gooseBit knows it by."""
    made.deploy(opened)
    _roster(made, [f'port = "{board.port}"' for board in made.boards])
    for board in made.boards:
        board.power_on()
    otactl("deploy", "-w", made.root, "all")
    return "the agent runs, each has its own token"


def _known(made: Classroom, engine: Goosebit) -> str:
    """They are offered what they run: nothing is installed, and gooseBit knows from then on what they have."""
    for rollout in ("1", "2"):
        otactl("engine", "rollout", "-w", made.root, rollout, "--halt-at", "1", "--for", "1m")
    require(not any("ota_1" in [boot.slot for boot in board.boots] for board in made.boards), "nothing was installed")
    return _all_have(made, engine, "1.0.0", "ota_0")


def _push(made: Classroom, version: str, expect: int) -> None:
    """To one group, and then to the other; `expect`: how the command ends."""
    otactl("publish", "-w", made.root, made.file(version), "--version", version, "--swu")
    to = ("--group", "canary,class", "--halt-at", str(CANARY), "--for", "2m")
    otactl("engine", "push", "-w", made.root, version, *to, expect=expect)


def _halted(made: Classroom, engine: Goosebit) -> str:
    _push(made, "1.1.0", expect=1)
    otactl("engine", "status", "-w", made.root)
    proof = made.halted()
    last = rollouts(engine.database)[-1]
    require(
        last == ("1.1.0", "canary", True, 0, CANARY),
        "gooseBit's last rollout is the canaries', paused, with two failures",
    )
    failed = [board for board, (state, _) in devices(engine.database).items() if state == "Error"]
    require(failed == [name(number) for number in range(1, CANARY + 1)], "gooseBit has the canaries in Error")
    return f"{proof}; {CANARY} in Error"


def _through(made: Classroom, engine: Goosebit) -> str:
    _push(made, "1.1.1", expect=0)
    otactl("engine", "status", "-w", made.root)
    otactl("engine", "rollout", "-w", made.root)
    return _all_have(made, engine, "1.1.1", "ota_1")


def _all_have(made: Classroom, engine: Goosebit, version: str, slot: str) -> str:
    proof = made.all_have(version, slot)
    wanted = {name(number): ("Finished", version) for number in range(1, BOARDS + 1)}
    require(devices(engine.database) == wanted, f"gooseBit has all {BOARDS} in Finished with {version}")
    return f"{proof}; {BOARDS} Finished"


def _page(made: Classroom, engine: Goosebit) -> str:
    """What gooseBit's page of devices gets from its server."""
    calls = Calls(f"https://localhost:{engine.port}", (made.place().tls / "ca.pem").read_bytes())
    let_in = calls.form("POST", "/login", {"username": _USER, "password": _ITS_PASSWORD})
    calls.authorization = f"Bearer {let_in['access_token']}"
    rows = calls.json("GET", "/ui/bff/devices")["data"]
    states = [(row["last_state"], row["sw_version"]) for row in rows]
    require(states == [("Finished", "1.1.1")] * BOARDS, f"its page has {BOARDS} in Finished with 1.1.1, not {states}")
    return f"{BOARDS} in Finished with 1.1.1"


# --- what gooseBit has, by no interface of its own ----------------------------------------------------------------------


def devices(database: Path) -> Devices:
    """State and version of each board, by its name."""
    found = _rows(database, "SELECT id, last_state, sw_version FROM device ORDER BY id")
    return {board: (_STATES.get(state, str(state)), version) for board, state, version in found}


def rollouts(database: Path) -> list[tuple[str, str, bool, int, int]]:
    """Name, feed, whether it is paused, how many have it, how many failed; oldest first."""
    found = _rows(database, "SELECT name, feed, paused, success_count, failure_count FROM rollout ORDER BY id")
    return [(version, feed, bool(paused), done, failed) for version, feed, paused, done, failed in found]


def _rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as opened:
        return opened.execute(query).fetchall()


def show(folder: Path, python: Path, stay: bool) -> int:
    """Tell the story in `folder`; 1 where it did not go as it must."""
    return told(
        lambda: run(folder.resolve(), python, stay),
        "the flash images and gooseBit's database",
        "what they say",
        lambda seconds: f"All of it in {seconds:.0f} s; the boards' consoles are in {folder}/desk-*/console.log",
    )
