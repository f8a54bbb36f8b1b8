"""The suite's fixtures: `stage` is a board at home, with the agent and the suite's program on it.

What a verdict goes by is told in otactl.hil.verdict, what the board is left as in otactl.hil.keep.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from otactl.errors import BoardError, OtactlError, UsageError
from otactl.hil import plugin, retry
from otactl.hil.stage import Stage
from otactl_pytest import outcome

if TYPE_CHECKING:
    from otactl_pytest.board import Board

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def _stage(
    request: pytest.FixtureRequest, board_leased: "Board", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Set up once, put back in the end; where it cannot be set up, one test says why and the others are skipped."""
    made = Stage(board_leased, tmp_path_factory.mktemp("hil"), plugin.setting(request.config))
    try:
        made.set_up()
        plugin.tell(request.config, board=made.facts)
        yield made
    except Exception as error:
        if isinstance(error, UsageError):
            plugin.tell(request.config, usage=str(error))
        request.config.stash[outcome.BROKEN] = f"the board could not be set up: {error}"
        raise
    finally:
        _put_back(made, request.config)


def _put_back(stage: Stage, config: pytest.Config) -> None:
    """A board that is lost is told of once, by the test that lost it; what it was found with lies on it."""
    changed: list[str] = []
    plugin.hear_no_ctrl_c()
    try:
        changed = stage.put_back()
        plugin.tell(config, put_back=not changed)
    except (OtactlError, OSError) as error:
        stage.notes.append(f"the board is not put back yet ({error}): its next run of the suite does that first")
        plugin.tell(config, put_back=False)
        if outcome.BROKEN not in config.stash:
            raise
    finally:
        for note in stage.notes:
            plugin.tell(config, note=note)
    if changed:  # and test_left, which tells of it, was not among the tests that ran
        raise BoardError(f"the board is not left as it was found: {'; '.join(changed)}")


@pytest.fixture
def stage(request: pytest.FixtureRequest, _stage: Stage, board: "Board") -> Stage:
    """The board for one test: its home slot runs, the other one is free."""
    _stage.go_home(request.node.name)
    return _stage


# --- which tests --------------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: in the choice that a chip runs in three minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    others = [item for item in items if HERE not in item.path.parents]
    if not config.getoption("--hil-all", False):
        left_out = [item for item in ours if item.get_closest_marker("quick") is None]
        config.hook.pytest_deselected(items=left_out)
        ours = [item for item in ours if item.get_closest_marker("quick")]
    for item in ours:
        first = (getattr(item, "function", item).__doc__ or item.name).strip().splitlines()[0]
        item.user_properties += [("title", first), ("again", plugin.again(config, item))]
    ours.sort(key=lambda item: item.path.name == "test_left.py")  # the last word
    items[:] = others + ours


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    return retry.protocol(item, nextitem) if HERE in item.path.parents else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    count = metafunc.config.getoption("--hil-count", 1)
    if count > 1 and "stage" in metafunc.fixturenames and metafunc.module.__name__.split(".")[-1] != "test_left":
        metafunc.fixturenames.append("_turn")
        metafunc.parametrize("_turn", range(1, count + 1))
