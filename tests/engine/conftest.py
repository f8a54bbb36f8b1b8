"""A gooseBit for the session, where it is installed; a rig whose boards ask it, or what stands in an engine's place."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import rig as rigs
from otactl.cli.demo_goosebit import STRICT, Goosebit
from otactl.workspace.workspace import Workspace

from engine.fleet import HOST, PASSWORD, USER, Fleet
from engine.hawkbit import Hawkbit
from engine.served import Served, certified


@pytest.fixture(scope="session")
def python() -> Path:
    """That has gooseBit."""
    named = os.environ.get("GOOSEBIT")
    if not named:
        pytest.skip("no gooseBit: `make engine` installs it, and runs this")
    return Path(named).absolute()


def goosebit(python: Path, folder: Path, place: Workspace, device_auth: str = STRICT) -> Goosebit:
    """One of its own for that workspace."""
    pair = certified(place, folder, [HOST, "localhost", "127.0.0.1"])
    return Goosebit(python, folder, place.tls / "ca.pem", pair, (USER, PASSWORD), {rigs.HOST: "127.0.0.1"}, device_auth)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, place: Workspace, python: Path) -> Iterator[Goosebit]:
    with goosebit(python, tmp_path_factory.mktemp("goosebit"), place) as made:
        yield made


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
