"""The virtual board against real firmware: the same questions, the same answers, line by line."""

import subprocess
import sys
from pathlib import Path

import pytest
from vboard.board import Board

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"

# line -> why it may differ; docs/virtual-board.md says the same at more length
MAY_DIFFER = {
    "1.26.1": {},
    "1.23.0": {
        "heap_free_over_100k": "the virtual board gives every firmware the same heap (heap_kib)",
    },
}


def answers(text: str) -> dict[str, str]:
    lines = [line.rstrip("\r") for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    return dict(line.split("\t", 1) for line in lines)


@pytest.mark.parametrize("release", MAY_DIFFER)
def test_answers_are_those_of_real_firmware(tmp_path: Path, release: str) -> None:
    if not REFERENCE.is_dir():
        pytest.skip("no answers of real boards beside the project (../shared/reference)")
    with Board(tmp_path, micropython=release) as board:
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
    real = answers((REFERENCE / f"real-board-v{release}.txt").read_text())
    virtual = answers(done.stdout)
    wrong = {
        name: f"{virtual.get(name)}  on a real board: {answer}"
        for name, answer in real.items()
        if virtual.get(name) != answer and name not in MAY_DIFFER[release]
    }
    assert not wrong
    assert set(virtual) == set(real)
