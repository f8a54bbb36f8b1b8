"""New releases that panic, hang, crash, fill the heap or spoil the files, and programs that do so later.

All releases share the files of a board, so what misbehaves is chosen by the firmware that runs: its build (an image's
trailer says it) is the name of a row here, and app.py does what that row says. docs/reliability.md has the same rows.
Each is judged from outside: otadata, the slots, NVS as it lies in flash, the server's transfers, the user's program.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import rig as rigs
from otactl.deploy import deploy
from otactl.workspace import Workspace
from rig import OLD, Rig, boots, image, slot_bytes
from vboard import board as boards
from vboard.board import Board
from vboard.nvs import Nvs, NvsError
from vboard.otadata import State
from vboard.soc import DEEPSLEEP, HARD, WDT

HEALTHY = {
    "deadline_s": 10,
    "watchdog_s": 5,
    "settle_s": 1,
    "checks": [{"check": "healthy", "timeout_s": 2}],
}
SETTLE = {**HEALTHY, "checks": []}  # a program that only has to live through settle_s
BOOT_PY = (Path(__file__).resolve().parents[2] / "boot.py").read_text()
MAIN_PY = (Path(__file__).resolve().parents[2] / "main.py").read_text()
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
    print("app: runs, and has", log)
"""
ONLY = "import sys\nif sys.implementation._build == {!r}:\n    {}\n"
GARBAGE = """
from esp32 import Partition
vfs = Partition.find(Partition.TYPE_DATA, label="vfs")[0]
for n in range({}, vfs.info()[3] // 4096):
    vfs.writeblocks(n, b"\\xa5" * 4096)
"""
DELETE_AGENT = """
import os
for name in os.listdir("/lib/ota"):
    os.remove("/lib/ota/" + name)
os.rmdir("/lib/ota")
"""
DELETE = "import os\nos.remove('/etc/ota/{}')\n"
SAYS_HEALTHY = "from ota import agent\nagent.healthy()\n"
HANGS = "while True: pass\n"

# --- on trial: the old release comes back, with no hand on the board ------------------------------------------------

# row: (what app.py does, reason that is kept)
TRIALS = {
    "busy loop in main()": ("def main():\n    while True: pass", "deadline"),
    "busy loop at import": (HANGS, "deadline"),
    "busy loop in an asyncio task": (
        "import asyncio\nasync def main():\n    await asyncio.create_task(spin())\n"
        "async def spin():\n    while True: pass\nasyncio.run(main())",
        "deadline",
    ),
    "asyncio task dies, the others go on": (
        "import asyncio\nfrom ota import agent\nasync def work():\n    1 / 0\n    agent.healthy()\n"
        "async def main():\n    asyncio.create_task(work())\n    await asyncio.sleep(60)\nasyncio.run(main())",
        "deadline",
    ),
    "busy loop with interrupts disabled": (
        "import machine\nmachine.disable_irq()\nwhile True: pass",
        "trial-watchdog",
    ),
    "hangs in a timer's callback": (
        "import machine, time\ndef hang(_):\n    while True: pass\n"
        "machine.Timer(1).init(period=10, callback=hang)\ntime.sleep(60)",
        "trial-watchdog",
    ),
    "takes the agent's timer": (
        "import machine, time\nmachine.Timer(3).init(period=100, callback=print)\ntime.sleep(60)",
        "trial-watchdog",
    ),
    "feeds the watchdog itself": (
        "import machine\ndog = machine.WDT(timeout=600000)\nwhile True: dog.feed()",
        "deadline",
    ),
    "raises in main()": ("def main():\n    1 / 0", "app-crashed"),
    "raises at import": ("import no_such_module", "app-crashed"),
    "raises in asyncio.run()": (
        "import asyncio\nasync def main():\n    1 / 0\nasyncio.run(main())",
        "app-crashed",
    ),
    "is no Python": ("def main(:", "app-crashed"),
    "fills the heap": ("kept = []\nwhile True: kept.append(bytearray(100))", "app-crashed"),
    "fills the heap and goes on": (
        "kept = None\nwhile True:\n    try:\n        kept = [kept, kept]\n"
        "    except MemoryError:\n        pass",
        "trial-watchdog",
    ),
    "raises KeyboardInterrupt": ("raise KeyboardInterrupt", "deadline"),
    "returns and never says that it is healthy": ("pass", "deadline"),
    "calls machine.reset()": ("import machine\nmachine.reset()", "trial-crash"),
    "writes to the slot that runs": (
        "from esp32 import Partition\nPartition(Partition.RUNNING).writeblocks(0, bytes(4096))",
        "trial-crash",
    ),
    "ends in sys.exit() for ever": ("sys.exit()", "trial-restarts"),
    "sleeps deeply again and again": ("import machine\nmachine.deepsleep(10)", "trial-restarts"),
    "deletes its configuration and hangs": (DELETE.format("config.json") + HANGS, "deadline"),
    "deletes the release keys and hangs": (DELETE.format("keys.json") + HANGS, "deadline"),
}
