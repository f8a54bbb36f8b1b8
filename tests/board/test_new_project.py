"""`otactl new`: the project that it makes passes its own tests, and is a release that a board runs."""

import re
import subprocess
import sys
from pathlib import Path

import apps
import cable
import pytest
import tomlkit
from otactl.board.deploy import deploy
from otactl.board.link import Link
from otactl.cli.main import main
from otactl.release import archive
from otactl.workspace.workspace import Workspace
from rig import Rig, boots
from vboard.flash.otadata import State


def test_project_passes_its_tests_and_its_release_runs(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    lamp = rig.root / "lamp"
    assert main(["new", str(lamp), "--host", "localhost"]) == 0
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--board=virtual", "-p", "no:xdist"],
        cwd=lamp,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0 and re.search("2 passed", run.stdout), run.stdout + run.stderr

    for version in ("1.0.0", "1.0.1"):  # the second one from a workspace that has published
        assert main(["publish", "-w", str(lamp), "--app", str(lamp), "--version", version]) == 0
    packed = archive.unpack((lamp / "releases" / "1.0.1" / "app.cpio").read_bytes())
    assert sorted(packed) == ["app/__init__.mpy", "app/pattern.mpy"]  # no key, no test, no settings
    board = cable.cabled(rig)
    place = _without_network(lamp)
    with Link(str(board.port)) as link:
        deploy(link, place, replace_keys=True)
    assert main(["push", "-w", str(lamp), str(board.port)]) == 0
    board.wait_text("ota: check call ok", 10)
    board.wait_text("lamp: runs", 20, since=board.text.rindex("ota: confirmed"))
    assert boots(board) == ("ota_1", State.VALID)
    assert apps.trees(board) == {"ota_1": packed}


def _without_network(root: Path) -> Workspace:
    """The board of this test has none: its trial is the project's own check."""
    settings = root / "otactl.toml"
    told = tomlkit.parse(settings.read_text()).unwrap()
    assert [check["check"] for check in told["board"]["trial"]["checks"]] == ["wifi", "server", "call"]
    told["board"]["trial"] |= {"checks": told["board"]["trial"]["checks"][2:], "settle_s": 1}
    told["url"] = "http://localhost:1"
    told["board"]["allow_http"] = True
    settings.write_text(tomlkit.dumps(told))
    return Workspace.find(root)


def test_folder_with_something_in_it_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lamp").mkdir()
    (tmp_path / "lamp" / "mine.py").write_text("x = 1\n")
    assert main(["new", str(tmp_path / "lamp")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "lamp").iterdir()] == ["mine.py"]
