"""The entry `trial` of the configuration: its time limits, and the checks that a release has to pass."""

import os

from ..errors import require

_MANY = 1 << 30
_NUMBER = (int, float)
_NEEDED = object()  # no value fits less
_TIMEOUT = {"timeout_s": (_NUMBER, 1, 86400, 60)}
_TRIAL = {
    "deadline_s": ((int,), 10, 86400, 180), "watchdog_s": ((int,), 5, 600, 30), "settle_s": ((int,), 0, 3600, 10),
    "checks": ((list,), 0, _MANY, [{"check": "wifi"}, {"check": "server"}]),
}  # fmt: skip
_GPIO = {
    "pin": ((int, str), 0, 64, _NEEDED), "level": ((int,), 0, 1, _NEEDED), "hold_s": (_NUMBER, 0, 3600, 1),
    "pull": (("up", "down", None), 0, 0, None),
}  # fmt: skip
_CHECKS: dict = {
    "wifi": _TIMEOUT, "network": _TIMEOUT, "server": _TIMEOUT, "healthy": _TIMEOUT, "gpio": dict(_GPIO, **_TIMEOUT),
    "heap": {"free": ((int,), 1, 1 << 26, _NEEDED)},
    "filesystem": {"path": ((str,), 1, 128, "/"), "free": ((int,), 0, _MANY, 0)},
    "import": {"module": ((str,), 1, 128, _NEEDED)},
    "call": dict(_TIMEOUT, function=((str,), 3, 128, _NEEDED)),
}  # fmt: skip
# check -> its module in checks/, where the names differ
MODULES = {"wifi": "network", "import": "imports", "call": "imports"}


def check(raw, fill) -> dict:
    """`raw` with its defaults, by config.py's `fill`. Raises OtaError config-invalid."""
    trial = fill(raw, _TRIAL, "trial.")
    require(trial["settle_s"] < trial["deadline_s"], "config-invalid", "trial.settle_s")  # or it never ends
    trial["checks"] = [_check(item, f"trial.checks[{i}].", fill) for i, item in enumerate(trial["checks"])]
    return trial


def _check(item: object, where: str, fill) -> dict:
    name = item.get("check") if isinstance(item, dict) else None
    require(isinstance(name, str) and name in _CHECKS, "config-invalid", where + "check")
    filled = fill(item, dict(_CHECKS[name], check=((name,), 0, 0, name)), where)
    function = filled.get("function", "module:function")
    require(all(function.partition(":")), "config-invalid", where + "function")
    return filled


def require_here(checks: "list[dict]") -> None:
    """A check that is not on the board would fail a good release on its trial; `deploy` installs what is configured. Raises
    OtaError not-installed."""
    try:
        here = [name.split(".")[0] for name in os.listdir(__file__.rsplit("/", 2)[0] + "/checks")]
    except OSError:  # frozen into the firmware, whole
        return
    for item in checks:
        name = item["check"]
        require(name == "healthy" or MODULES.get(name, name) in here, "not-installed", name)
