"""A gooseBit for the session, where it is installed; a rig whose boards ask it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import rig as rigs
from otactl.workspace.workspace import Workspace

from engine.fleet import Fleet
from engine.goosebit import Goosebit


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, place: Workspace) -> Iterator[Goosebit]:
    python = os.environ.get("GOOSEBIT")
    if not python:
        pytest.skip("no gooseBit: `make engine` installs it, and runs this")
    made = Goosebit(str(Path(python).absolute()), tmp_path_factory.mktemp("goosebit"), place)
    yield made
    made.close()


@pytest.fixture
def fleet(rig: rigs.Rig, server: Goosebit, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(rig, server.port, monkeypatch)
