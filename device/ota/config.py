"""/etc/ota/config.json: read, checked whole, defaults filled in. Every mistake is named (`trial.checks[1].pin`) before
the network is touched; so is a key nobody knows: a misspelt `allow_htttp` must not pass in silence."""

import json
import sys

from .errors import OtaError, fits, require

_NEEDED = object()  # no value fits less
_MANY = 1 << 30
_SECONDS = ((int, float), 1, 86400)  # below 0.1 s the esp32 socket takes a time limit for "do not block"
_ENTRY = ((dict, None), 0, _MANY, None)  # a larger one, which need not be there

# name: kinds that JSON may give, or words; least and most of the number or of the length; default
_TOP = {
    "url": ((str,), 8, 512, _NEEDED), "product": ((str,), 1, 64, _NEEDED), "allow_http": ((bool,), 0, 1, False),
    "ca": ((str, None), 1, 128, "/etc/ota/ca.pem"), "keys": ((str,), 1, 128, "/etc/ota/keys.json"),
    "wifi": ((list, dict, None), 0, _MANY, None), "trust": ((bool,), 0, 1, True), "checkin": ((bool,), 0, 1, True),
    "deltas": ((bool,), 0, 1, True), "compressed": ((bool,), 0, 1, False),
    "ethernet": _ENTRY, "image_signature": _ENTRY, "encryption": _ENTRY, "client": _ENTRY, "ddi": _ENTRY,
    "pins": ((list, None), 1, 8, None), "data": ((list, None), 1, 16, None),
    "freq_mhz": ((int, None), 80, 400, None),  # Wi-Fi needs the least
    "hostname": ((str, None), 1, 32, None), "ntp_host": ((str, None), 1, 128, "pool.ntp.org"),
    "interval_s": ((int,), 1, 86400, 3600), "jitter_s": ((int,), 0, 86400, 600), "tries": ((int,), 1, 100, 5),
    "start_timeout_s": ((int,), 5, 86400, 60), "join_timeout_s": _SECONDS + (20,),
    "connect_timeout_s": _SECONDS + (15,), "read_timeout_s": _SECONDS + (20,),
    "trial": ((dict,), 0, _MANY, {}),
}  # fmt: skip
_ROOM = __name__.rsplit(".", 1)[0] + ".entries"
# each has a module in entries/, which is there where it is configured
_ENTRIES = "client ddi encryption ethernet image_signature pins trial".split()
_WIFI = {"ssid": ((str,), 1, 32, _NEEDED), "password": ((str, None), 0, 64, None)}


def load(path: str = "/etc/ota/config.json") -> dict:
    """The configuration. This module is let go: look after look needs its memory. Raises OtaError: config-missing,
    config-not-json, config-invalid, not-installed."""
    try:
        with open(path) as f:
            found = check(json.load(f))
        _entry("trial").require_here(found["trial"]["checks"])
        _let_go()
        return found
    except OSError:
        raise OtaError("config-missing", path)
    except (ValueError, RuntimeError):
        raise OtaError("config-not-json", path)


def check(raw) -> dict:
    """`raw` with all values checked and all defaults filled in. Raises OtaError config-invalid."""
    config = _fill(raw, _TOP, "")
    require(config["url"].split("://")[0] in ("http", "https"), "config-invalid", "url")
    wifi = config["wifi"] or []
    wifi = [wifi] if isinstance(wifi, dict) else wifi
    config["wifi"] = [_fill(item, _WIFI, f"wifi[{i}].") for i, item in enumerate(wifi)]
    for name in _ENTRIES:
        if config[name] is not None:
            config[name] = _entry(name).check(config[name], _fill)
    return config


def _entry(name: str):
    return __import__(_ROOM + "." + name, None, None, ("check",))


def _let_go() -> None:
    # What a configuration was checked by makes room for what it configures.
    for name in _ENTRIES:
        sys.modules.pop(_ROOM + "." + name, None)
    package = sys.modules[_ROOM.split(".")[0]]
    for name in ("entries", "config"):
        sys.modules.pop(package.__name__ + "." + name, None)
        if hasattr(package, name):
            delattr(package, name)


def _fill(raw, schema: dict, where: str) -> dict:
    require(isinstance(raw, dict), "config-invalid", where + "not an object")
    filled = {}
    for key in list(raw) + list(schema):  # a value whose key nobody knows fits nothing; in MicroPython 4 may be a key
        kinds, least, most, default = schema.get(key, ((), 0, 0, None))
        filled[key] = raw.get(key, default)
        require(fits(filled[key], kinds, least, most), "config-invalid", where + str(key))
    return filled
