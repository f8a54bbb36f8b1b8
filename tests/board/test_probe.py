"""The virtual board against real firmware: the same questions, the same answers, line by line."""

import subprocess
import sys
from pathlib import Path

import pytest
from vboard.board import Board

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"

# answers of a real board -> chip, version, and line -> why it may differ; docs/virtual-board.md says the same
HEAP = "the virtual board gives every firmware the same heap (heap_kib)"
REAL: dict[str, tuple[str, str, dict[str, str]]] = {
    "v1.23.0": ("esp32", "1.23.0", {"heap_free_over_100k": HEAP}),
    "v1.24.0": ("esp32", "1.24.0", {}),
    "v1.26.1": ("esp32", "1.26.1", {}),
    "c3-v1.24.1": ("esp32c3", "1.24.1", {}),
    "c3-v1.27.0": ("esp32c3", "1.27.0", {}),
}


def answers(text: str) -> dict[str, str]:
    lines = [line.rstrip("\r") for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    return dict(line.split("\t", 1) for line in lines)


@pytest.mark.parametrize("transcript", REAL)
def test_answers_are_those_of_real_firmware(tmp_path: Path, transcript: str) -> None:
    chip, release, may_differ = REAL[transcript]
    if not REFERENCE.is_dir():
        pytest.skip("no answers of real boards beside the project (../shared/reference)")
    with Board(tmp_path, chip=chip, micropython=release) as board:
        board.power_on()
        board.wait_repl()
        words = ["connect", str(board.port), "resume", "run", str(REFERENCE / "probe.py")]
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    real = answers((REFERENCE / f"real-board-{transcript}.txt").read_text())
    virtual = answers(done.stdout)
    wrong = {
        name: f"{virtual.get(name)}  on a real board: {answer}"
        for name, answer in real.items()
        if virtual.get(name) != answer and name not in may_differ
    }
    assert not wrong
    assert set(virtual) == set(real)
