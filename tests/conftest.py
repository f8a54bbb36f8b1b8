"""Fixtures of the board tests; tests/rig.py says what they are made of."""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import matrices
import pytest
import rig as rigs
import shared
from otactl.workspace.workspace import Workspace

FIRMWARE = Path(__file__).resolve().parents[2] / "shared" / "firmware"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: what tests start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with keys, never published in: tests work on copies."""
    return Workspace.find(shared.made(tmp_path_factory, "place", rigs.make_workspace))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, place: Workspace) -> Path:
    """Flash of an ESP32 with the agent, its configuration and keys."""
    return shared.made(tmp_path_factory, "template", lambda folder: rigs.make_template(folder, place)) / "flash.bin"


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory, place: Workspace) -> Callable[..., Path]:
    """templates(chip=…, layout=…, micropython=…): the flash of such a board with the agent, made once."""

    def template(**settings: str) -> Path:
        name = "-".join(settings.values())
        return shared.made(tmp_path_factory, name, lambda at: rigs.make_template(at, place, **settings)) / "flash.bin"

    return template


@pytest.fixture
def rig(tmp_path: Path, place: Workspace, template: Path) -> Iterator[rigs.Rig]:
    """A workspace of the test's own, served, with 1.0.0 (rig.OLD, which boards run) published."""
    shutil.copytree(place.root, tmp_path / "workspace")
    made = rigs.Rig(tmp_path, template, Workspace.find(tmp_path / "workspace"))
    try:
        made.serve()
        made.publish("1.0.0", rigs.OLD)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def firmware() -> Path:
    """Real MicroPython images, where they are beside the project."""
    if not FIRMWARE.is_dir():
        pytest.skip("no real firmware beside the project (../shared/firmware)")
    return FIRMWARE


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of tests with many rows a slice, unless all are asked for."""
    if not matrices.is_whole(config):
        items[:], left_out = matrices.sliced(items)
        config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure names the one command that runs it again."""
    report = yield
    if report.failed:
        again = dict(item.user_properties).get("again", f"make test ARGS='-n0 \"{item.nodeid}\"'")
        report.sections.append(("to replay", str(again)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which tables were sliced; what came of the soak (tests/board/test_soak.py), whichever worker it ran on."""
    if not matrices.is_whole(terminalreporter.config):
        terminalreporter.write_line(matrices.told())
    reports = [r for group in terminalreporter.stats.values() for r in group]
    calls = [r for r in reports if getattr(r, "when", None) == "call"]
    codes = Counter(str(v) for r in calls for name, v in r.user_properties if name == "soak")
    if codes:
        told = ", ".join(f"{n} {code}" for code, n in codes.most_common())
        seed = os.environ.get("SEED") or "1"
        terminalreporter.write_line(f"soak, seed {seed}: {codes.total()} sequences: {told}")
