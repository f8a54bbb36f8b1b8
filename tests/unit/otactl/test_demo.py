"""The demo: which folders it takes for its own."""

from pathlib import Path

import pytest
from otactl.cli import demo
from otactl.cli.demo import StepFailed
from vboard.flash.images import build_app


def test_a_folder_that_no_demo_made_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StepFailed, match="--folder"):
        demo.run(tmp_path, None)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_firmware_in_the_demos_own_folder_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "firmware-1.0.0.bin").touch()
    (tmp_path / "mine.bin").write_bytes(build_app("esp32", size=20_000))
    with pytest.raises(StepFailed, match=r"move mine\.bin out"):
        demo.run(tmp_path, tmp_path / "mine.bin")
    assert (tmp_path / "mine.bin").exists()
