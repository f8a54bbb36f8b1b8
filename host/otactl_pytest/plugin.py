"""The pytest plugin: options, fixtures and hooks. It imports nothing of the board's side before a fixture is used."""

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from otactl_pytest import outcome, settings

if TYPE_CHECKING:
    from otactl.release.publish import Published

    from otactl_pytest.board import Board
    from otactl_pytest.held import Held
    from otactl_pytest.power import Power
    from otactl_pytest.preflight import Expected
    from otactl_pytest.served import OtaServer

_TAKEN = pytest.StashKey[Any]()  # (device, Lease): what `board_device` gave, and what was leased for it
_VIRTUAL = pytest.StashKey[Any]()  # the VirtualBoard, where it is one


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def board_device(_board_from_pool: str) -> str:
    """The device string of this session's board, as mpremote takes it. Override it to take boards from elsewhere."""
    return _board_from_pool


@pytest.fixture(scope="session")
def _board_from_pool(request: pytest.FixtureRequest) -> Iterator[str]:
    from otactl_pytest import taking

    with taking.from_pool(request.config) as (device, lease, virtual):
        request.config.stash[_TAKEN] = (device, lease)
        if virtual:
            request.config.stash[_VIRTUAL] = virtual
        yield device


@pytest.fixture(scope="session")
def board_power(request: pytest.FixtureRequest, board_device: str) -> "Power | None":
    """The board's power switch, by `--board-power` or boards.toml. Override it with anything that has on, off and cycle."""
    from otactl_pytest import taking

    virtual = request.config.stash.get(_VIRTUAL, None)
    return virtual.power() if virtual else taking.power(request.config, _entry(request.config, board_device))


@pytest.fixture(scope="session")
def board_expected(request: pytest.FixtureRequest, board_device: str) -> "Expected":
    """What the board must be. Override it with an otactl_pytest.preflight.Expected of your own."""
    from otactl_pytest import taking

    return taking.expected(request.config, _entry(request.config, board_device))


@pytest.fixture(scope="session")
def _board_held(
    request: pytest.FixtureRequest, board_device: str, board_power: "Power | None", board_expected: "Expected"
) -> "Iterator[Held]":
    from otactl_pytest import taking

    entry = _entry(request.config, board_device)
    ours = request.config.stash.get(_TAKEN, ("", None))[0] == board_device
    with taking.held(request.config, entry, board_power, board_expected, leased=ours) as held:
        held.board.virtual = request.config.stash.get(_VIRTUAL, None)
        yield held


@pytest.fixture(scope="session")
def board_leased(request: pytest.FixtureRequest, _board_held: "Held") -> "Board":
    """The same board for a whole session, checked once: for suites that put it back themselves."""
    _board_held.ready(request.session)
    return _board_held.board


@pytest.fixture
def board(request: pytest.FixtureRequest, _board_held: "Held") -> "Iterator[Board]":
    """A board at its prompt: exec, eval, put, get, mount, reset, expect_reboot, console, slots(), agent, power."""
    request.node.stash[outcome.USES] = True
    yield from _board_held.lent(request.node)


@pytest.fixture(scope="session")
def _ota_served(request: pytest.FixtureRequest, board_leased: "Board") -> "Iterator[OtaServer]":
    from otactl_pytest import served

    with served.opened(request.config, board_leased) as server:
        yield server


@pytest.fixture
def ota_server(board: "Board", _ota_served: "OtaServer") -> "Iterator[OtaServer]":
    """Releases for the board: a workspace, served over HTTPS, and the agent on the board, which looks there."""
    _ota_served.begin()
    yield _ota_served
    _ota_served.end()


@pytest.fixture
def ota_release(ota_server: "OtaServer") -> "Callable[..., Published]":
    """ota_release("2.0", firmware="app.bin"): a release that the board's next look finds."""
    return ota_server.publish


def _entry(config: pytest.Config, device: str) -> Any:
    from otactl_pytest import taking

    known = config.stash.get(_TAKEN, None)
    return taking.entry(config, device, known[1].entry if known and known[0] == device else None)


# --- hooks ------------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    settings.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    for marker in settings.MARKERS:
        config.addinivalue_line("markers", marker)
    if not hasattr(config, "workerinput"):  # not in a worker of xdist: its reports come together elsewhere
        settings.require_one_word(config)
        config.pluginmanager.register(outcome.Verdict(), "board-verdict")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    outcome.skip_if_broken(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if outcome.uses_board(item):
        outcome.annotate(item, call, report)
    return report


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> Any:
    return outcome.status(report)
