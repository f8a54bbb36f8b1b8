"""/etc/ota/config.json: read, checked whole, defaults filled in.

Every mistake is named (`trial.checks[1].pin`) before the network is touched; a key nobody knows
is a mistake too, so that a misspelt `allow_htttp` does not pass in silence.
"""

import json

from .errors import OtaError

PATH = "/etc/ota/config.json"

_REQUIRED = object()  # fits no kind
_SECONDS = (1, 86400)  # below 0.1 s the esp32 socket takes a time limit for "do not block"

# name: (kinds that json.load may give, (least, most) of the number or of the length, default)
_WIFI = {
    "ssid": ((str,), (1, 32), _REQUIRED),
    "password": ((str, None), (0, 64), None),
}
_TOP = {
    "url": ((str,), (8, 512), _REQUIRED),
    "product": ((str,), (1, 64), _REQUIRED),
    "wifi": ((list, dict, None), None, None),
    "ca": ((str, None), (1, 128), "/etc/ota/ca.pem"),
    "keys": ((str,), (1, 128), "/etc/ota/keys.json"),
    "allow_http": ((bool,), None, False),
    "interval_s": ((int,), _SECONDS, 3600),
    "jitter_s": ((int,), (0, 86400), 600),
    "connect_timeout_s": ((int, float), _SECONDS, 15),
    "read_timeout_s": ((int, float), _SECONDS, 20),
    "tries": ((int,), (1, 100), 5),
    "hostname": ((str, None), (1, 32), None),
    "ntp_host": ((str, None), (1, 128), "pool.ntp.org"),
    "trial": ((dict,), None, {}),
}
_TRIAL = {
    "deadline_s": ((int,), (10, 86400), 180),
    "watchdog_s": ((int,), (5, 600), 30),
    "settle_s": ((int,), (0, 3600), 10),
    "checks": ((list,), None, [{"check": "wifi"}, {"check": "server"}]),
}
_TIMEOUT = ((int, float), _SECONDS, 60)
_CHECKS: dict = {
    "wifi": {"timeout_s": _TIMEOUT},
    "server": {"timeout_s": _TIMEOUT},
    "gpio": {
        "pin": ((int, str), (0, 64), _REQUIRED),
        "level": ((int,), (0, 1), _REQUIRED),
        "hold_s": ((int, float), (0, 3600), 1),
        "pull": (("up", "down", None), None, None),
        "timeout_s": _TIMEOUT,
    },
    "heap": {"free": ((int,), (1, 1 << 26), _REQUIRED)},
    "filesystem": {
        "path": ((str,), (1, 128), "/"),
        "free": ((int,), (0, 1 << 30), 0),
    },
    "import": {"module": ((str,), (1, 128), _REQUIRED)},
    "call": {"function": ((str,), (3, 128), _REQUIRED), "timeout_s": _TIMEOUT},
    "healthy": {"timeout_s": _TIMEOUT},
}


def load(path: str = PATH) -> dict:
    """The configuration. Raises OtaError: config-missing, config-not-json, config-invalid."""
    try:
        with open(path) as f:
            raw = json.load(f)
    except OSError:
        raise OtaError("config-missing", path)
    except ValueError:
        raise OtaError("config-not-json", path)
    return check(raw)


def check(raw: object) -> dict:
    """`raw` with every value checked and every default filled in. Raises OtaError."""
    config = _fill(raw, _TOP, "")
    if not config["url"].startswith("https://") and not config["url"].startswith("http://"):
        raise OtaError("config-invalid", "url")
    wifi = config["wifi"] or []
    config["wifi"] = [
        _fill(network, _WIFI, f"wifi[{i}].")
        for i, network in enumerate([wifi] if isinstance(wifi, dict) else wifi)
    ]
    trial = config["trial"] = _fill(config["trial"], _TRIAL, "trial.")
    if trial["settle_s"] >= trial["deadline_s"]:  # no trial could ever end well
        raise OtaError("config-invalid", "trial.settle_s")
    trial["checks"] = [_check(item, f"trial.checks[{i}].") for i, item in enumerate(trial["checks"])]
    return config


def _check(item: object, where: str) -> dict:
    if not isinstance(item, dict) or item.get("check") not in _CHECKS:
        raise OtaError("config-invalid", where + "check")
    name = item["check"]
    filled = _fill({k: item[k] for k in item if k != "check"}, _CHECKS[name], where)
    filled["check"] = name
    if name == "call":
        module, _, function = filled["function"].partition(":")
        if not module or not function:
            raise OtaError("config-invalid", where + "function")
    return filled


def _fill(raw: object, schema: dict, where: str) -> dict:
    if not isinstance(raw, dict):
        raise OtaError("config-invalid", where + "not an object")
    for key in raw:
        if key not in schema:
            raise OtaError("config-invalid", where + str(key))
    filled = {}
    for key, (kinds, limits, default) in schema.items():
        value = raw.get(key, default)
        if not _fits(value, kinds, limits):
            raise OtaError("config-invalid", where + key)
        filled[key] = value
    return filled


def _fits(value: object, kinds: tuple, limits: "tuple | None") -> bool:
    if value is None or (isinstance(value, str) and str not in kinds):
        return value in kinds
    if type(value) not in kinds:  # not isinstance(): true is no number
        return False
    if limits is None:
        return True
    amount = len(value) if isinstance(value, str) else value
    return limits[0] <= amount <= limits[1]
