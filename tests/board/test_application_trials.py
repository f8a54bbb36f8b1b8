"""However a trial of firmware and application fails, both of the release before are back, file by file; judged from flash."""

import apps
import pytest
import rig as rigs
from rig import NEW, Rig, boots, image, slot_bytes, started
from vboard.flash.otadata import State

ONE = {"app.py": b"print('app: one')\n", "lib/x.bin": bytes(range(256)) * 20, "empty.py": b""}
WIPE = b"""
import os
def wipe(path):
    for entry in list(os.ilistdir(path)):
        if entry[1] & 0x4000:
            wipe(path + "/" + entry[0])
        else:
            os.remove(path + "/" + entry[0])
wipe("/app-ota_0")
1 / 0
"""
# the program of a release, what its firmware does, and what the console says of its trial: empty, any failure
TRIALS: dict[str, tuple[bytes, dict[str, object], str]] = {
    "raises later": (b"import time\ndef main():\n    time.sleep(1)\n    1 / 0\n", {}, "app-crashed"),
    "exits": (b"import sys, time\nwhile True:\n    time.sleep_ms(300)\n    sys.exit()\n", {}, ""),
    "hangs with interrupts off": (b"import machine\nmachine.disable_irq()\nwhile True:\n    pass\n", {}, ""),
    "eats all memory": (b"kept = []\nwhile True:\n    kept.append(bytearray(1000))\n", {}, "app-crashed"),
    "never yields": (b"while True:\n    pass\n", {}, "deadline"),
    "deletes its own files": (WIPE, {}, "app-crashed"),
    "writes into its own directory": (b"open('/app-ota_0/app.py', 'w').write('x')\n1 / 0\n", {}, "app-crashed"),
    "resets": (b"import machine\nmachine.reset()\n", {}, "trial-crash"),
    "sleeps": (b"import machine\nmachine.deepsleep(300)\n", {}, "trial-restarts"),
    "is never started: the firmware panics": (b"", {"panic": True}, "trial-crash"),
    "is never started: the firmware hangs": (b"", {"hang": "startup"}, ""),
}


@pytest.mark.parametrize("what", TRIALS)
def test_both_are_back_where_the_application(rig: Rig, what: str) -> None:
    program, behaviour, reason = TRIALS[what]
    board = started(rig.board())
    apps.publish(rig, "1.1.0", ONE, NEW)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 60)
    rigs.configure(board, trial={**rigs.TRIAL, "checks": [{"check": "healthy", "timeout_s": 6}]})
    apps.publish(rig, "1.2.0", {"app.py": program}, image(3, **behaviour))
    seen = len(board.text)
    board.reset()
    board.wait_text(f"ota: rolled-back 1.2.0 {reason}", 60, since=seen)
    board.wait_text("app: one", 20, since=board.text.rindex("ota: rolled-back"))
    assert boots(board) == ("ota_1", State.VALID)
    assert slot_bytes(board, "ota_1", len(NEW)) == NEW
    assert apps.trees(board)["ota_1"] == ONE
