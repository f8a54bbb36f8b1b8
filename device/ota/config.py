"""/etc/ota/config.json: read, checked whole, defaults filled in. Every mistake is named (`trial.checks[1].pin`) before
the network is touched; so is a key nobody knows: a misspelt `allow_htttp` must not pass in silence."""

import json
import os

from .errors import OtaError, require

_NEEDED = object()  # no value fits less
_MANY = 1 << 30
_NUMBER = (int, float)
_SECONDS = (_NUMBER, 1, 86400)  # below 0.1 s the esp32 socket takes a time limit for "do not block"
_TIMEOUT = {"timeout_s": _SECONDS + (60,)}

# name: kinds that JSON may give, or words; least and most of the number or of the length; default
_TOP = {
    "url": ((str,), 8, 512, _NEEDED), "product": ((str,), 1, 64, _NEEDED), "allow_http": ((bool,), 0, 1, False),
    "ca": ((str, None), 1, 128, "/etc/ota/ca.pem"), "keys": ((str,), 1, 128, "/etc/ota/keys.json"),
    "wifi": ((list, dict, None), 0, _MANY, None), "ethernet": ((dict, None), 0, _MANY, None),
    "image_signature": ((dict, None), 0, _MANY, None),
    "hostname": ((str, None), 1, 32, None), "ntp_host": ((str, None), 1, 128, "pool.ntp.org"),
    "interval_s": ((int,), 1, 86400, 3600), "jitter_s": ((int,), 0, 86400, 600), "tries": ((int,), 1, 100, 5),
    "start_timeout_s": ((int,), 5, 86400, 60), "join_timeout_s": _SECONDS + (20,),
    "connect_timeout_s": _SECONDS + (15,), "read_timeout_s": _SECONDS + (20,),
    "trial": ((dict,), 0, _MANY, {}),
}  # fmt: skip
_WIFI = {"ssid": ((str,), 1, 32, _NEEDED), "password": ((str, None), 0, 64, None)}
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


def load(path: str = "/etc/ota/config.json") -> dict:
    """The configuration. Raises OtaError: config-missing, config-not-json, config-invalid, not-installed."""
    try:
        with open(path) as f:
            found = check(json.load(f))
        _require_checks(found["trial"]["checks"])
        return found
    except OSError:
        raise OtaError("config-missing", path)
    except (ValueError, RuntimeError):
        raise OtaError("config-not-json", path)


def _require_checks(checks: "list[dict]") -> None:
    # A check that is not there would fail a good release on its trial. `deploy` installs what is configured.
    try:
        here = [name.split(".")[0] for name in os.listdir(__file__.rsplit("/", 1)[0] + "/checks")]
    except OSError:  # frozen into the firmware, whole
        return
    for item in checks:
        name = item["check"]
        require(name == "healthy" or MODULES.get(name, name) in here, "not-installed", name)


def check(raw) -> dict:
    """`raw` with all values checked and all defaults filled in. Raises OtaError config-invalid."""
    config = _fill(raw, _TOP, "")
    require(config["url"].split("://")[0] in ("http", "https"), "config-invalid", "url")
    wifi = config["wifi"] or []
    wifi = [wifi] if isinstance(wifi, dict) else wifi
    config["wifi"] = [_fill(item, _WIFI, f"wifi[{i}].") for i, item in enumerate(wifi)]
    if config["ethernet"] is not None:
        from .net import fields

        config["ethernet"] = _fill(config["ethernet"], fields.ETHERNET, "ethernet.")
    if config["image_signature"] is not None:
        from .release import fields as signed

        config["image_signature"] = signed.image_signature(config["image_signature"], _fill)
    trial = config["trial"] = _fill(config["trial"], _TRIAL, "trial.")
    require(trial["settle_s"] < trial["deadline_s"], "config-invalid", "trial.settle_s")  # or it never ends
    trial["checks"] = [_check(item, f"trial.checks[{i}].") for i, item in enumerate(trial["checks"])]
    return config


def _check(item: object, where: str) -> dict:
    name = item.get("check") if isinstance(item, dict) else None
    require(name in _CHECKS, "config-invalid", where + "check")
    filled = _fill(item, dict(_CHECKS[name], check=((name,), 0, 0, name)), where)
    function = filled.get("function", "module:function")
    require(all(function.partition(":")), "config-invalid", where + "function")
    return filled


def _fill(raw, schema: dict, where: str) -> dict:
    require(isinstance(raw, dict), "config-invalid", where + "not an object")
    filled = {}
    for key in list(raw) + list(schema):  # a value whose key nobody knows fits nothing
        kinds, least, most, default = schema.get(key, ((), 0, 0, None))
        filled[key] = raw.get(key, default)
        require(fits(filled[key], kinds, least, most), "config-invalid", where + key)
    return filled


def fits(value: object, kinds: tuple, least: int, most: int) -> bool:
    """Whether `value` is of one of `kinds`, or one of the words there, and its number or length in the limits."""
    if type(value) not in kinds:  # not isinstance(): true is no number
        return value in kinds
    return least <= (len(value) if isinstance(value, (str, list, dict)) else value) <= most  # type: ignore
