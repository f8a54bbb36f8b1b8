"""A workspace made once and copied, real firmware, and images made up for a test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shared
from lessons import A, B, Site
from otactl.fleet.store import FILE, Store
from otactl.server.hub import Hub
from otactl.server.server import Server
from otactl.workspace import keys
from otactl.workspace.create import create
from otactl.workspace.workspace import Workspace
from vboard.flash.images import build_app

FIRMWARE = Path(__file__).resolve().parents[4] / "shared" / "firmware"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a workspace for 127.0.0.1; never published in."""
    return shared.made(tmp_path_factory, "made", lambda at: create(at, product="lamp", names=["127.0.0.1"], port=8443))


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Workspace:
    """A workspace of the test's own."""
    shutil.copytree(made, tmp_path / "workspace")
    return Workspace.find(tmp_path / "workspace")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release key of another workspace, to be copied: to make one takes seconds."""
    return shared.made(tmp_path_factory, "stranger", lambda at: keys.generate(at / "release.pem")) / "release.pem"


@pytest.fixture
def firmware_file(tmp_path: Path) -> Callable[..., Path]:
    """firmware_file(chip, seed=..., size=...) -> the path of a sound app image."""

    def make(chip: str = "esp32", seed: int = 0, size: int = 20_000) -> Path:
        path = tmp_path / f"{chip}-{seed}.bin"
        path.write_bytes(build_app(chip, seed=seed, size=size))
        return path

    return make


@pytest.fixture
def real_firmware() -> Path:
    """The folder with MicroPython's own builds."""
    if not FIRMWARE.is_dir():
        pytest.skip("no real firmware beside the project (../shared/firmware)")
    return FIRMWARE


@pytest.fixture
def site(place: Workspace, tmp_path: Path, firmware_file) -> Iterator[Site]:
    (tmp_path / "lesson").mkdir()
    with Store(place.root / FILE, lambda: made.now) as store:
        made = Site(place, store, tmp_path / "lesson")
        hub = Hub(place, store)
        with Server(place.releases, None, "127.0.0.1", 0, lambda _: None, rooms=[hub.room]) as server:
            made.port, made.hub, made.server = server.port, hub, server
            assert made.publish("1.0.0", [firmware_file()]) == 1
            assert [made.looks(board, 1) for board in (A, B)] == [(1, None), (1, None)]
            yield made
