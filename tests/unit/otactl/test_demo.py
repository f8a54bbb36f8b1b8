"""The demo: which folders it takes for its own, and that README shows what it shows."""

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from otactl.cli import demo
from otactl.cli.demo import StepFailed
from otactl.cli.main import main
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


ROOT = Path(__file__).resolve().parents[3]


def drawn(svg: Path) -> list[str]:
    """The lines of a picture of rich's, with N for what differs from run to run."""
    lines: dict[int, str] = {}
    for piece in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text"):
        if found := re.search(r"-line-(\d+)\)", piece.get("clip-path", "")):
            lines[int(found[1])] = f"{lines.get(int(found[1]), '')} {piece.text or ''}"
    return [measured(lines[number]) for number in sorted(lines)]


def measured(line: str) -> str:
    """Seconds, sizes and dates as N: midnight may come in the middle."""
    return " ".join(
        re.sub(
            r"\b\d{4}-\d\d-\d\d\b|\btoday\b|\b1 day ago\b|\b\d+(\.\d)? s\b|\b\d+ bytes|\b\d+ written|\b\d+\.\d\b(?!\.)",
            "N",
            line.replace("\N{NO-BREAK SPACE}", " "),
        ).split()
    )


def test_the_picture_and_the_run_in_readme_are_of_todays_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--svg", "now.svg"]) == 0
    now = drawn(Path("now.svg"))
    assert len(now) > 30
    assert drawn(ROOT / "docs" / "demo.svg") == now, "mend: make picture"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = [measured(line) for line in readme.partition("\n1  A virtual")[2].partition("\n```")[0].splitlines()]
    commands = [line for line in now if line[:2] in ("$ ", "✓ ", "2 ", "3 ", "4 ")]
    assert [line for line in told if line[:2] in ("$ ", "✓ ", "2 ", "3 ", "4 ")] == commands, "mend: paste a run"


@pytest.mark.parametrize(
    "words",
    [
        ["--stay"],
        ["--fleet", "--svg", "now.svg"],
        ["--fleet", "--firmware", "mine.bin"],
        ["--fleet", "--engine", "python"],
    ],
    ids=" ".join,
)
def test_what_a_demo_cannot_do_is_refused(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.bin").write_bytes(b"x")
    assert main(["demo", *words]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.bin"]


@pytest.mark.skipif(
    os.environ.get("MATRICES") != "all", reason="takes 20 s of a processor: make matrices, make demo-fleet"
)
@pytest.mark.timeout(300)
def test_a_rollout_stops_itself_and_its_successor_goes_through(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--fleet", "--folder", str(tmp_path / "demo")]) == 0
    assert "8 on 1.1.1" in capsys.readouterr().out
