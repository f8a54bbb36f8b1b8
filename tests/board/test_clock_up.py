"""The chip's clock while an update comes: up, where the configuration says so, and as it was after every ending."""

import json

import rig as rigs
from otactl.board import agent as agents
from rig import Rig, image, started

UPDATE = """
import json, machine
from ota import agent
from ota.errors import OtaError
class Kept:
    reset = staticmethod(lambda: None)
agent.machine = Kept
def update(before, ends):
    if before:
        machine.freq(before * 1000000)
    seen = set()
    def progress(phase, done, total):
        seen.add(machine.freq() // 1000000)
        if ends and phase == ends:
            raise KeyboardInterrupt
    try:
        agent.update(progress)
        said = "installed"
    except KeyboardInterrupt:
        said = "stopped"
    except OtaError as e:
        said = e.code
    print("TOLD", json.dumps([said, sorted(seen), machine.freq() // 1000000]))
"""
# asked for, the clock before (0: 360, which machine.freq() does not take, as on a P4); in which phase Ctrl-C comes, or whether the file is another; how it ends, the clocks meanwhile and after
ENDINGS = (
    (240, 160, "download", False, ["stopped", [240], 160]),
    (240, 80, "", True, ["hash-mismatch", [240], 80]),
    (200, 160, "download", False, ["stopped", [160], 160]),  # no chip has it
    (160, 240, "download", False, ["stopped", [240], 240]),  # it is faster already
    (240, 0, "download", False, ["stopped", [360], 360]),
    (240, 160, "", False, ["installed", [240], 160]),
)


def test_clock_is_as_it_was_after_every_ending(rig: Rig) -> None:
    board = started(rig.board())
    found = []
    for number, (asked, before, ends, another, _) in enumerate(ENDINGS, 1):
        rig.publish(f"1.{number}.0", image(number + 1, size=24 << 10))
        if another:
            path = rig.workspace.releases / f"1.{number}.0" / "esp32.bin"
            path.write_bytes(image(99, size=24 << 10))
        rigs.configure(board, freq_mhz=asked)
        assert board.soc
        board.soc.mhz = 360
        said = rigs.ask(board, f"{UPDATE}update({before}, {ends!r})", 60)
        assert "ota: freq " in said
        found.append(json.loads(said.rpartition("TOLD ")[2]))
    assert found == [row[-1] for row in ENDINGS]


def test_part_is_deployed_only_where_it_is_configured() -> None:
    assert "install/speed.mpy" not in agents.compiled({"freq_mhz": None})
    assert "install/speed.mpy" in agents.compiled({"freq_mhz": 240})
