"""New releases that panic, hang, crash, fill the heap or spoil the files, and programs that do so later.

All releases share the files of a board, so what misbehaves is chosen by the firmware that runs: its build, which the
image's trailer says, is the name of a row here, and boot.py and app.py do what that row says. docs/reliability.md
tells the same rows. Each is judged from outside: otadata, the slots, NVS as it lies in flash, the user's program.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import rig as rigs
from otactl.board.deploy import deploy
from otactl.board.link import Link
from otactl.workspace.workspace import Workspace
from rig import NEW, OLD, Rig, boots, image, slot_bytes
from vboard import life
from vboard.board import Board
from vboard.chip.kept import HARD, USB, WDT
from vboard.flash.nor import Operation, PowerLost
from vboard.flash.otadata import State
from vboard.link.wlan import Network

HEALTHY = {
    "deadline_s": 10,
    "watchdog_s": 5,
    "settle_s": 1,
    "checks": [{"check": "healthy", "timeout_s": 2}],
}
NO_LINES = "boot.py without the agent's lines"
BOOT = f"""
import json, sys
with open("/boot.json") as f:
    before, after = json.load(f).get(sys.implementation._build, ("", ""))
exec(before)
if sys.implementation._build != {NO_LINES!r}:
{indent((Path(__file__).resolve().parents[2] / "boot.py").read_text(), "    ")}
exec(after)
"""
PROGRAM = """
import json, sys
with open("/log.txt") as f:
    log = f.read()
with open("/programs.json") as f:
    does = json.load(f).get(sys.implementation._build)
if does:
    print("app: begins")
    exec(does)
else:
    from ota import agent
    agent.healthy()
    print("app: runs, and has", log)
"""
GARBAGE = """
from esp32 import Partition
vfs = Partition.find(Partition.TYPE_DATA, label="vfs")[0]
for n in range(vfs.info()[3] // 4096):
    vfs.writeblocks(n, b"\\x{}" * 4096)
"""
DELETE_AGENT = """
import os
def delete(path):
    for entry in os.ilistdir(path):
        if entry[1] == 0x4000:
            delete(path + "/" + entry[0])
        else:
            os.remove(path + "/" + entry[0])
    os.rmdir(path)
delete("/lib/ota")
"""
DELETE = "import os\nos.remove('/etc/ota/{}')\n"
RESETS = "import machine\nmachine.reset()\n"
HANGS = "while True: pass\n"
WAITS = "import time\ntime.sleep(600)\n"  # as good as a hang where nobody says `healthy`, and cheaper here
SAYS_HEALTHY = "from ota import agent\nagent.healthy()\n"
SLEEPS = "import machine\nprint('good night')\nmachine.deepsleep({})\n"
BACK = ["ota_1", "ota_0"]
RESTARTS = 20  # that a trial may have

# --- the rows: what app.py does under a build of that name -----------------------------------------------------------

# On trial, and the old release comes back with no hand on the board: (what it does, the reason that is kept).
TRIALS = {
    "hangs": {
        "busy loop in main()": ("def main():\n    while True: pass", "deadline"),
        "busy loop at import": (HANGS, "deadline"),
        "busy loop in an asyncio task": (
            (
                "import asyncio\nasync def main():\n    await asyncio.create_task(spin())\n"
                "async def spin():\n    while True: pass\nasyncio.run(main())"
            ),
            "deadline",
        ),
        "asyncio task dies, the others go on": (
            (
                "import asyncio\nfrom ota import agent\n"
                "async def work():\n    1 / 0\n    agent.healthy()\n"
                "async def main():\n    asyncio.create_task(work())\n    await asyncio.sleep(60)\n"
                "asyncio.run(main())"
            ),
            "deadline",
        ),
        "raises KeyboardInterrupt": ("raise KeyboardInterrupt", "deadline"),
        "returns, and never said that it is healthy": ("pass", "deadline"),
    },
    "watchdogs": {
        "busy loop with interrupts disabled": (
            "import machine\nmachine.disable_irq()\nwhile True: pass",
            "trial-watchdog",
        ),
        "hangs in a timer's callback": (
            (
                "import machine, time\ndef hang(_):\n    while True: pass\n"
                "machine.Timer(1).init(period=10, callback=hang)\ntime.sleep(60)"
            ),
            "trial-watchdog",
        ),
        "takes the agent's timer": (
            ("import machine, time\nmachine.Timer(3).init(period=100, callback=lambda _: None)\ntime.sleep(60)"),
            "trial-watchdog",
        ),
        "feeds the watchdog itself": (
            "import machine, time\ndog = machine.WDT(timeout=600000)\nwhile True:\n    dog.feed()\n    time.sleep_ms(20)",
            "deadline",
        ),
        "fills the heap and goes on": (
            ("kept = None\nwhile True:\n    try:\n        kept = [kept, kept]\n    except MemoryError:\n        pass"),
            "trial-watchdog",
        ),
    },
    "crashes": {
        "raises in main()": ("def main():\n    1 / 0", "app-crashed"),
        "lacks a module": ("import no_such_module", "app-import"),
        "raises in asyncio.run()": (
            "import asyncio\nasync def main():\n    1 / 0\nasyncio.run(main())",
            "app-crashed",
        ),
        "is no Python": ("def main(:", "app-import"),
        "fills the heap": ("kept = []\nwhile True: kept.append(bytearray(100))", "app-crashed"),
        "calls machine.reset()": (RESETS, "trial-crash"),
        "writes to the slot that runs": (
            "from esp32 import Partition\nPartition(Partition.RUNNING).writeblocks(0, bytes(4096))",
            "trial-crash",
        ),
    },
    "restarts": {
        "sys.exit() for ever": ("sys.exit()", "trial-restarts"),
        "deep sleep again and again": (SLEEPS.format(10), "trial-restarts"),
    },
    "files": {
        "deletes its configuration and hangs": (DELETE.format("config.json") + WAITS, "deadline"),
        "deletes the release keys and resets": (
            DELETE.format("keys.json") + RESETS,
            "trial-crash",
        ),
    },
    "boot.py": {
        NO_LINES: (WAITS, "deadline"),  # agent.start() arms the trial
        "boot.py raises after the agent's lines": ("", "deadline"),
    },
}

# On trial, and nothing resets the board until somebody does: (what it does, the last that is seen, how it is reset).
STUCK = {
    "firmware hangs in MicroPython's start": ("", "rst:", "power"),
    "firmware hangs in MicroPython's start, button": ("", "rst:", "reset"),
    "boot.py raises before the agent's lines": ("", "ZeroDivisionError", "reset"),
    "boot.py hangs before the agent's lines": ("", "boot: begins", "power"),
    "sleeps deeply, and nothing wakes it": (SLEEPS.format(""), "good night", "power"),
    "stops the agent's timer and feeds the watchdog": (
        (
            "import machine, time\ndog = machine.WDT(timeout=5000)\nmachine.Timer(3).deinit()\n"
            "print('fed')\nwhile True:\n    dog.feed()\n    time.sleep_ms(50)"
        ),
        "fed",
        "reset",
    ),
}

# On trial, without a `healthy` check: confirmed all the same.
UNSEEN = {
    "busy loop, no healthy check": "print('spin')\n" + HANGS,
    "asyncio task dies, no healthy check": "import asyncio\nasync def work():\n    1 / 0\n"
    "async def main():\n    asyncio.create_task(work())\n    print('spin')\n"
    "    await asyncio.sleep(60)\nasyncio.run(main())",
}

# A confirmed release: (what it does, what is seen of it).
ORDINARY = {
    "confirmed, raises": ("1 / 0", "ZeroDivisionError"),
    "confirmed, hangs": (HANGS, "app: begins"),
    "confirmed, machine.reset() for ever": (RESETS, "rst:0xc"),
    "confirmed, deep sleep": (SLEEPS.format(100), "DEEPSLEEP"),
}


@dataclass(frozen=True)
class Damage:
    """On trial, files that both releases share: what the program does, and what the next boot is like.

    `shows`: on the console. `runs`: whether the program does. `erase`: the vfs has to be erased before a deploy.
    """

    does: str
    slot: str
    shows: str
    runs: bool = False
    erase: bool = False
    failed: str = ""


CORRUPT = "The filesystem appears to be corrupted"
FILES = {
    "agent": {
        "deletes its configuration, is healthy": Damage(
            DELETE.format("config.json") + SAYS_HEALTHY,
            "ota_1",
            "ota: error config-missing",
            runs=True,
        ),
        "deletes the release keys, is healthy": Damage(
            DELETE.format("keys.json") + SAYS_HEALTHY,
            "ota_1",
            "ota: error keys-missing",
            runs=True,
        ),
        "deletes /lib/ota, is healthy": Damage(DELETE_AGENT + SAYS_HEALTHY, "ota_1", "ota: error ImportError"),
        "deletes /lib/ota and hangs": Damage(
            DELETE_AGENT + WAITS, "ota_0", "ota: error ImportError", failed="deadline"
        ),
    },
    "vfs": {
        "writes garbage over the vfs, is healthy": Damage(
            GARBAGE.format("a5") + SAYS_HEALTHY, "ota_1", CORRUPT, erase=True
        ),
        "writes garbage over the vfs and hangs": Damage(
            GARBAGE.format("a5") + WAITS, "ota_0", CORRUPT, erase=True, failed="deadline"
        ),
        "erases the vfs and hangs": Damage(
            GARBAGE.format("ff") + WAITS, "ota_0", "Performing initial setup", failed="deadline"
        ),
    },
}

PROGRAMS: dict[str, str] = {
    **{name: row[0] for rows in TRIALS.values() for name, row in rows.items()},
    **{name: row.does for rows in FILES.values() for name, row in rows.items()},
    **{name: row[0] for name, row in {**STUCK, **ORDINARY}.items()},
    **UNSEEN,
    "healthy": SAYS_HEALTHY + "print('app: well, and has', log)",
    "confirmed, writes garbage over the vfs": GARBAGE.format("a5"),
    "erases the old slot and resets": "from esp32 import Partition\n"
    "Partition('ota_0').writeblocks(0, bytes(4096))\n" + RESETS,
    "runs, but is not healthy": "print('app: runs')",
    "healthy, and asleep at once": SAYS_HEALTHY + SLEEPS.format(10),
}
NO_CHECKS = """
with open("/etc/ota/config.json") as f:
    config = json.load(f)
config["trial"]["checks"] = []
with open("/etc/ota/config.json", "w") as f:
    json.dump(config, f)
"""
BOOTS = {  # before and after the agent's lines
    **{name: (NO_CHECKS, "") for name in UNSEEN},
    "boot.py raises after the agent's lines": ("", "1 / 0"),
    "boot.py raises before the agent's lines": ("1 / 0", ""),
    "boot.py hangs before the agent's lines": (
        "import time\nprint('boot: begins')\ntime.sleep(600)",
        "",
    ),
    "boot.py deletes /lib/ota": (DELETE_AGENT, ""),
}

# --- the boards --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def programmed(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Path:
    """Flash of a board on OLD with the agent, the user's files and the rows, off."""
    folder = tmp_path_factory.mktemp("hangs")
    shutil.copy(template, folder / "flash.bin")
    with Board(folder) as board:
        board.power_on()
        board.wait_repl(30)
        rigs.configure(board, trial=HEALTHY)
        with rigs.repl(board) as link:
            put_program(link)
            link.put("/boot.json", json.dumps(BOOTS).encode())
            link.put("/boot.py", BOOT.encode())
        board.power_off()
    return folder / "flash.bin"


def put_program(link: Link) -> None:
    link.put("/app.py", PROGRAM.encode())
    link.put("/programs.json", json.dumps(PROGRAMS).encode())
    link.put("/log.txt", b"its file")


@pytest.fixture(scope="session")
def switched(tmp_path_factory: pytest.TempPathFactory, programmed: Path, place: Workspace) -> Iterator[Path]:
    """The same flash, when 1.1.0 has been downloaded and switched to: its next boot is the trial."""
    root = tmp_path_factory.mktemp("switched")
    shutil.copytree(place.root, root / "workspace")
    rig = Rig(root, programmed, Workspace.find(root / "workspace"))
    try:
        rig.serve()
        rig.publish("1.0.0", OLD)
        rig.publish("1.1.0", image(2, build="1.1.0"))
        board = rig.board()
        off: list[Operation] = []

        def cut(op: Operation, _: bytes | None) -> None:
            if op.actor == "bootloader" and len(board.boots) == 1:
                off.append(op)
                raise PowerLost

        def is_switched() -> bool:
            return bool(off) and board.soc is None

        board.power_on()
        board.wait_boots(1)
        board.flash.before = cut
        board.wait(is_switched, 30, "switch")
        assert boots(board) == ("ota_1", State.NEW)
        yield root / "board-0" / "flash.bin"
    finally:
        rig.close()


class Case:
    """A board that does what the row `name` says, and what can be seen of it from outside.

    From `switched` flash its first boot is the trial of 1.1.0; then it has no server unless `online`. The image that
    is on trial is programmed here: the bytes that were downloaded, with the row's name and behaviour behind them.
    """

    def __init__(
        self,
        rig: Rig,
        flash: Path,
        name: str,
        *,
        slot: str = "ota_1",
        online: bool = False,
        rollback: bool = True,
        **firmware: Any,
    ) -> None:
        self.rig = rig
        network = {} if online else {"network": Network(join_s=0.02)}
        self.board = rig.board(flash=flash, rollback=rollback, **network)
        row = self.board.table.find(slot)
        assert row
        self.image = image(2 if slot == "ota_1" else 1, build=name, **firmware)
        self.board.program(row.offset, self.image)

    def on(self) -> "Case":
        self.board.power_on()
        return self

    @property
    def slots(self) -> list[str | None]:
        return [boot.slot for boot in self.board.boots]

    def wait(self, text: str, timeout_s: float = 20, since: int = 0) -> None:
        self.board.wait_text(text, timeout_s, since)

    def kept(self, which: str) -> dict[str, Any]:
        """`job` or `state` of the record, as it lies in flash; the board is off then."""
        self.board.power_off()
        return rigs.recorded(rigs.nvs(self.board), which)

    def restarted(self, times: int) -> None:
        """Let the trial have begun, and restarted so often: each restart takes a test half a second."""
        job = {**self.kept("job"), "phase": "trial", "restarts": times}
        nvs = rigs.nvs(self.board)
        nvs.set_blob(nvs.namespace("ota"), "job0", json.dumps([1000, job]).encode())

    def went_back(self, reason: str, slots: list[str]) -> None:
        """The old release runs, whole, with the user's program and file; the new one is remembered as failed."""
        self.wait(f"ota: rolled-back 1.1.0 {reason}", 40)
        since = self.board.text.rindex("ota: rolled-back")
        self.wait("app: runs, and has its file", 20, since)
        assert self.slots == slots
        assert boots(self.board) == ("ota_0", State.VALID)
        assert slot_bytes(self.board, "ota_0", len(OLD)) == OLD
        assert self.kept("state")["failed"] == [[2, reason]]

    def is_tried_again(self, slots: list[str]) -> None:
        """The old release runs, whole; the new one is not held to have failed: power may have gone by itself."""
        self.wait("app: runs, and has its file", 40)
        assert self.slots == slots
        assert boots(self.board) == ("ota_0", State.VALID)
        assert slot_bytes(self.board, "ota_0", len(OLD)) == OLD
        assert self.kept("state")["failed"] == []
        assert self.kept("job")["reason"] == "trial-power"

    def takes_the_next(self) -> None:
        """A mended release is found at the next power-on, tried and kept."""
        self.rig.publish("1.2.0", image(3, build="healthy"))
        since = len(self.board.text)
        self.board.power_on()
        self.wait("ota: confirmed 1.2.0", 30, since)
        self.wait("app: well, and has its file", 20, since)

    def mend(self, *, erase: bool = False, program: bool = False) -> None:
        """What a person does: `esptool erase-region` where nothing else helps, `otactl deploy`, their own files."""
        row = self.board.table.find("vfs")
        assert row
        if erase:
            self.board.flash.erase(row.offset, row.size, actor="host")
        self.board.power_on()
        self.board.wait_repl(30)
        with rigs.repl(self.board) as link:
            deploy(link, self.rig.workspace)
            if program:
                put_program(link)
        rigs.configure(self.board, trial=HEALTHY)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """A failure says which row it is."""
    try:
        yield
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(f"{name}: {error}") from error


# --- the tests: a group's boards run at the same time, because most of it is waiting --------------------------------------


@pytest.mark.parametrize("group", TRIALS)
def test_trial_that_goes_wrong_ends_in_the_old_release(rig: Rig, switched: Path, group: str) -> None:
    cases = {name: Case(rig, switched, name) for name in TRIALS[group]}
    for case in cases.values():
        if group == "restarts":
            case.restarted(RESTARTS - 2)
        case.on()
    for name, case in cases.items():
        with naming(name):
            trials = 3 if "sleep" in name else 1  # a soft reset is no boot
            case.went_back(TRIALS[group][name][1], ["ota_1"] * trials + ["ota_0"])


def test_firmware_that_panics_at_boot_is_not_installed_again(rig: Rig, programmed: Path) -> None:
    board = rig.board(flash=programmed)
    rig.publish("1.1.0", image(2, build="panics", panic=True))
    board.power_on()
    board.wait_text("ota: rolled-back 1.1.0 trial-crash", 20)
    board.wait_text("ota: error failed-before 1.1.0", 20)
    board.wait_text("app: runs, and has its file", 20)
    assert [boot.slot for boot in board.boots] == ["ota_0", "ota_1", "ota_0"]
    assert board.boots[2].cause == HARD
    assert boots(board) == ("ota_0", State.VALID)
    assert sum(t.path.endswith(".bin") for t in rig.transfers) == 1  # P6


def test_firmware_that_hangs_in_the_start_of_esp_idf(rig: Rig, switched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "BOOTLOADER_WDT_S", 1.0)  # 9 on a chip
    case = Case(rig, switched, "hangs", hang="startup").on()
    assert case.board.wait_boots(2).cause == WDT
    case.went_back("trial-watchdog", BACK)


def test_hang_that_nothing_ends_is_rolled_back_by_the_next_reset(rig: Rig, switched: Path) -> None:
    cases = {}
    for name in STUCK:
        firmware = {"hang": True} if name.startswith("firmware") else {}
        cases[name] = Case(rig, switched, name, **firmware).on()
    for name, case in cases.items():
        with naming(name):
            case.wait(STUCK[name][1])
    last = list(cases.values())[-1]
    with pytest.raises(TimeoutError):  # longer than any limit of these trials, but the deadline
        last.board.wait_boots(2, 6)
    for name, case in cases.items():
        with naming(name):
            assert case.slots == ["ota_1"]
            assert boots(case.board) == ("ota_1", State.PENDING_VERIFY)
            if STUCK[name][2] == "power":
                case.board.power_off()
                case.board.power_on()
            else:
                case.board.reset()  # the button: the agent cannot tell it from power that went
            case.is_tried_again(BACK)


def test_trial_that_power_ends_each_time_is_given_up_after_three(rig: Rig) -> None:
    board = rigs.started(rig.board())
    board.wait_text("app: runs")
    rig.publish("1.1.0", image(2, hang=True))
    begun = len(board.boots)
    board.power_off()
    for n in range(3):
        board.power_on()  # the first downloads, the others have the image in the slot
        board.wait(lambda n=n: [b.slot for b in board.boots[begun:]].count("ota_1") == n + 1, 30, "trial")
        board.power_off()
    assert len([t for t in rig.transfers if t.path.startswith("1.1.0/")]) == 1
    board.power_on()
    board.wait_text("ota: rolled-back 1.1.0 trial-power", 30)
    board.wait_text("ota: error failed-before 1.1.0", 30)
    assert boots(board) == ("ota_0", State.VALID)
    assert slot_bytes(board, "ota_0", len(OLD)) == OLD


def test_trial_that_the_chips_own_usb_resets_is_tried_again(rig: Rig, templates: Callable[..., Path]) -> None:
    """An IDE that opens the port, say. machine.reset_cause() has no word for it; through a USB-UART chip it reads as power."""
    kind = {"chip": "esp32c3", "micropython": "1.27.0"}
    board = rigs.started(rig.board(flash=templates(**kind), **kind))
    board.wait_text("app: runs")
    rig.publish("1.1.0", image(2, "esp32c3", hang=True))
    begun = len(board.boots)
    board.reset()
    for n in range(2):
        board.wait(lambda n=n: [b.slot for b in board.boots[begun:]].count("ota_1") == n + 1, 30, "trial")
        assert rigs.recorded(rigs.nvs(board), "state")["failed"] == []
        board.reset(USB)
    assert "rst:0x15 (USB_UART_CHIP_RESET)" in board.text


def test_program_that_only_has_to_live_is_confirmed_though_it_hangs(rig: Rig, switched: Path) -> None:
    cases = {name: Case(rig, switched, name).on() for name in UNSEEN}
    for name, case in cases.items():
        with naming(name):
            case.wait("ota: confirmed 1.1.0")
            case.board.wait(lambda b=case.board: b.text.count("spin") == 2, 20, "second hang")
            assert case.slots == ["ota_1", "ota_1"]
            assert boots(case.board) == ("ota_1", State.VALID)
            case.board.power_off()


@pytest.mark.parametrize("name", ORDINARY)
def test_confirmed_program_that_goes_wrong_does_not_lose_the_update_path(rig: Rig, programmed: Path, name: str) -> None:
    case = Case(rig, programmed, name, slot="ota_0", online=True)
    rig.publish("1.1.0", case.image)
    case.on().wait(ORDINARY[name][1])
    case.takes_the_next()
    assert boots(case.board) == ("ota_1", State.VALID)


@pytest.mark.parametrize("group", FILES)
def test_files_that_a_trial_spoils_are_not_rolled_back_and_a_deploy_mends_them(
    rig: Rig, switched: Path, group: str
) -> None:
    rig.publish("1.1.0", NEW)
    cases = {name: Case(rig, switched, name, online=True).on() for name in FILES[group]}
    for name, case in cases.items():
        row = FILES[group][name]
        with naming(name):
            case.wait(row.shows)
            if row.runs:
                case.board.wait_repl()
                assert "app: " in case.board.text.rpartition(row.shows)[2]
            assert case.slots == ["ota_1", row.slot]
            assert boots(case.board) == (row.slot, State.VALID)
            assert slot_bytes(case.board, "ota_0", len(OLD)) == OLD
            assert slot_bytes(case.board, "ota_1", len(case.image)) == case.image
            assert case.kept("state")["failed"] == ([[2, row.failed]] if row.failed else [])
            case.mend(erase=row.erase, program=not row.runs)
    with naming(name):
        case.takes_the_next()


def test_boot_py_that_deletes_the_agent_on_trial(rig: Rig, switched: Path) -> None:
    rig.publish("1.1.0", NEW)
    case = Case(rig, switched, "boot.py deletes /lib/ota", online=True).on()
    case.wait("ota: error ImportError")
    case.board.wait_repl()
    assert boots(case.board) == ("ota_1", State.PENDING_VERIFY)  # no watchdog, no deadline
    case.mend()  # begins with a power-on
    assert case.slots == BACK
    assert case.kept("state")["failed"] == [[2, "trial-crash"]]
    case.takes_the_next()


def test_program_starts_without_the_agent(rig: Rig) -> None:
    board = rigs.started(rig.board())
    board.wait_text("app: runs")
    rigs.ask(board, "import os\nos.rename('/lib/ota', '/lib/gone')")
    seen = len(board.text)
    board.reset()
    board.wait_text("app: runs", since=seen)
    assert board.text[seen:].count("ota: error ImportError") == 2  # boot.py says so, and main.py


def test_vfs_spoilt_on_an_ordinary_boot(rig: Rig, programmed: Path) -> None:
    name = "confirmed, writes garbage over the vfs"
    case = Case(rig, programmed, name, slot="ota_0", online=True)
    rig.publish("1.1.0", case.image)
    case.on().wait("app: begins")
    case.board.wait_repl()
    case.board.reset()
    case.wait(CORRUPT)
    assert boots(case.board) == ("ota_0", State.VALID)
    case.mend(erase=True, program=True)
    case.takes_the_next()


def test_trial_that_destroys_the_way_back_keeps_the_new_release(rig: Rig, switched: Path) -> None:
    case = Case(rig, switched, "erases the old slot and resets").on()
    case.wait("ota: reclaimed ota_1")
    case.board.wait_boots(3)
    assert boots(case.board) == ("ota_1", State.VALID)
    assert case.slots[:3] == ["ota_1"] * 3


def test_program_that_says_healthy_and_sleeps_at_once_is_confirmed(rig: Rig, switched: Path) -> None:
    case = Case(rig, switched, "healthy, and asleep at once")
    case.restarted(RESTARTS - 2)
    case.on().wait("good night")
    case.wait("ota: confirmed 1.1.0", 8)


def test_old_bootloader_and_the_agent_goes_back_itself(rig: Rig, switched: Path) -> None:
    hang = Case(rig, switched, "busy loop in main()", rollback=False)
    loop = Case(rig, switched, "calls machine.reset()", rollback=False)
    loop.restarted(RESTARTS - 2)
    hang.on()
    loop.on()
    # what it goes back to was confirmed before: it has no other trial
    hang.went_back("deadline", BACK)
    loop.went_back("trial-restarts", ["ota_1"] * 3 + ["ota_0"])


def test_old_bootloader_never_goes_back_to_what_failed(rig: Rig, switched: Path) -> None:
    case = Case(rig, switched, "busy loop in main()", rollback=False)
    row = case.board.table.find("ota_0")
    assert row
    case.board.program(row.offset, image(1, build="runs, but is not healthy"))
    case.on().wait("ota: rolled-back 1.1.0 deadline", 30)
    with pytest.raises(TimeoutError):  # and stays
        case.board.wait_boots(3, 12)
    assert case.slots == BACK
    assert boots(case.board) == ("ota_0", State.VALID)


def test_old_bootloader_starts_firmware_that_panics_for_ever(rig: Rig, switched: Path) -> None:
    case = Case(rig, switched, "panics", rollback=False, panic=True).on()
    case.board.wait_boots(6)
    assert set(case.slots) == {"ota_1"}
    assert boots(case.board) == ("ota_1", State.NEW)
