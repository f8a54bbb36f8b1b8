"""The suite's own pytest options, for `pytest -p otactl.hil.plugin`; `otactl hil` gives them so."""

import os
from pathlib import Path

import pytest

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
    group.addoption("--hil-results", type=Path, metavar="FILE", help="Write what came of it there, as JSON.")


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
