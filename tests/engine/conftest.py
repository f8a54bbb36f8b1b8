"""A gooseBit for the session, where it is installed; a rig whose boards ask it, or what stands in an engine's place."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import rig as rigs
from otactl.workspace.workspace import Workspace

from engine.fleet import HOST, Fleet
from engine.goosebit import Goosebit
from engine.hawkbit import Hawkbit
from engine.served import Served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, place: Workspace) -> Iterator[Goosebit]:
    python = os.environ.get("GOOSEBIT")
    if not python:
        pytest.skip("no gooseBit: `make engine` installs it, and runs this")
    made = Goosebit(str(Path(python).absolute()), tmp_path_factory.mktemp("goosebit"), place)
    yield made
    made.close()


@pytest.fixture
def fleet(server: Goosebit, rig: rigs.Rig, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(rig, server.port, monkeypatch)


@pytest.fixture
def hawkbit(rig: rigs.Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Fleet, Hawkbit, Served]]:
    """The rig and its operator, the fake, and the server that it is behind."""
    engine = Hawkbit()
    served = Served(rig.workspace, tmp_path, [HOST, "127.0.0.1"], engine.answer)
    yield Fleet(rig, served.port, monkeypatch, "hawkbit"), engine, served
    served.close()
