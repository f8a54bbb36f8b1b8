"""What `make` runs for a board: the command line that comes of its variables."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        (["deploy"], 'otactl deploy -w "." "auto"'),
        (["deploy", "PORT=/dev/ttyUSB0", "WORKSPACE=lamp"], 'otactl deploy -w "lamp" "/dev/ttyUSB0"'),
        (["deploy", "WORKSPACE=my lamps/one"], 'otactl deploy -w "my lamps/one" "auto"'),
        (["status", "PORT=id:7", "WORKSPACE=lamp"], 'otactl status "id:7"'),  # the board tells: no workspace is needed
    ],
)
def test_a_board_and_a_workspace_can_be_named(words: list[str], runs: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, env=own, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].endswith(runs)
