"""The suite's own pytest options, for `pytest -p otactl.hil.plugin`; `otactl hil` gives them so."""

import os
import shlex
import signal
import threading
from pathlib import Path

import pytest

from otactl.hil import record
from otactl.hil.setting import Setting


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hil", "the suite of micropython-ota-agent (otactl_hil)")
    group.addoption("--hil-all", action="store_true", help="All tests, not the three minutes' choice.")
    group.addoption("--hil-seed", type=int, default=1, metavar="S", help="Chooses images, and where downloads are cut.")
    group.addoption("--hil-count", type=int, default=1, metavar="N", help="Run each test N times.")
    group.addoption("--hil-address", default="", metavar="HOST", help="What the board calls this machine.")
    group.addoption(
        "--hil-firmware", type=Path, metavar="FILE", help="Make releases of it (default: what the board runs)."
    )
    group.addoption("--hil-restore-slot", action="store_true", help="Put the other slot's content back too: slow.")
    group.addoption(
        "--hil-again", default="", metavar="COMMAND", help="What runs the suite so, to say how to repeat it."
    )
    group.addoption("--hil-results", type=Path, metavar="FILE", help="Write what came of it there, as JSON.")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--hil-results")
    if path and not hasattr(config, "workerinput"):
        seed, everything = config.getoption("--hil-seed"), config.getoption("--hil-all")
        config.pluginmanager.register(record.Recorder(path, seed=seed, everything=everything), record.NAME)


def pytest_keyboard_interrupt() -> None:
    hear_no_ctrl_c()


def hear_no_ctrl_c() -> None:
    """From here on the board is put back, which one more Ctrl-C would leave half done."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def tell(config: pytest.Config, **facts: object) -> None:
    """What is no test, to the recorder, where there is one."""
    recorder = config.pluginmanager.get_plugin(record.NAME)
    if recorder:
        recorder.tell(**facts)


def again(config: pytest.Config, item: pytest.Item) -> str:
    """The command that runs one test of the suite again, on the same board, by the same seed and settings."""
    words = shlex.split(config.getoption("--hil-again", "")) or _suite_again(config)
    return shlex.join([*words, "--only", f"{item.path.name}::{item.name}"])


def _suite_again(config: pytest.Config) -> list[str]:
    """As `otactl hil`, what this pytest was called for."""
    known = {"--board-feature": "--feature", "--board-power": "--power", "--board-slow": "--slow"}
    words = ["otactl", "hil", *(config.getoption("--board") or ["virtual"])]
    for theirs, ours in known.items():
        value = config.getoption(theirs)
        for one in value if isinstance(value, list) else [value] if value else []:
            words += [ours, str(one)]
    return words + setting(config).words(config.getoption("--hil-count", 1))


def setting(config: pytest.Config) -> Setting:
    """What the options say, or their defaults where this plugin is not loaded."""
    return Setting(
        seed=config.getoption("--hil-seed", 1),
        address=config.getoption("--hil-address", ""),
        firmware=config.getoption("--hil-firmware", None),
        ssid=os.environ.get("OTACTL_HIL_SSID", ""),
        password=os.environ.get("OTACTL_HIL_PASSWORD", ""),
        restore_slot=config.getoption("--hil-restore-slot", False),
    )
