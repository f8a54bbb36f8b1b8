"""The way to the release server: join Wi-Fi, set the clock. No `wifi` in the configuration: no interface is touched."""

import time

import network
import ntptime

from . import http
from .errors import OtaError, require

_BUILT_IN = 2026  # a clock that shows an earlier year was not set since power-on
_FIRST_REFUSALS_MS = 5000  # the chip goes on trying: a first refusal need not be the last word
_REFUSED = dict.fromkeys((201, 210, 211, 212), "wifi-not-found")  # by number: some names came with later versions
_REFUSED.update(dict.fromkeys((15, 202, 204), "wifi-wrong-password"))


def join(config: dict, timeout_s: float = 20) -> None:
    """Connect to the first configured network that takes us, unless one has. Raises OtaError wifi-…"""
    failure = None
    for wifi in config["wifi"]:
        failure = _try(wifi, config["hostname"], timeout_s * 1000 // len(config["wifi"]))
        if failure is None:
            return
    if failure:
        raise failure


def _try(wifi: dict, hostname: "str | None", timeout_ms: float) -> "OtaError | None":
    wlan = network.WLAN(network.STA_IF)
    start = time.ticks_ms()
    try:
        if not wlan.isconnected():
            if hostname:
                network.hostname(hostname)
            wlan.active(True)
            wlan.connect(wifi["ssid"], wifi["password"] or None)
        while not wlan.isconnected():
            time.sleep_ms(100)
            status, waited = wlan.status(), time.ticks_diff(time.ticks_ms(), start)
            refused = _REFUSED.get(status)
            if waited > timeout_ms or (refused and waited > _FIRST_REFUSALS_MS):
                wlan.disconnect()
                return OtaError(refused, wifi["ssid"]) if refused else OtaError("wifi-failed", status)
    except OSError as e:
        return OtaError("wifi-failed", e.args[0])
    return None


def set_clock(config: dict) -> None:
    """Without the date no certificate can be judged. Raises OtaError clock-not-set. The time server is not
    authenticated: a false date can make an old certificate look good, so the release is signed as well (P8)."""
    tries = 3 if config["ntp_host"] else 0
    while time.gmtime()[0] < _BUILT_IN:
        require(tries, "clock-not-set", time.gmtime()[0])
        tries -= 1
        ntptime.host, ntptime.timeout = config["ntp_host"], 3
        try:
            ntptime.settime()
        except (OSError, OverflowError):
            pass


def fetch(config: dict, url: str, **more) -> http.Response:
    """http.get() as the configuration says, once network and clock are ready. Raises OtaError ca-missing as well."""
    join(config)
    if url.startswith("https:"):
        set_clock(config)
        try:
            with open(config["ca"] or "", "rb") as f:
                more["ca"] = f.read()
        except OSError:
            raise OtaError("ca-missing", config["ca"])
    more.update({key: config[key] for key in ("allow_http", "connect_timeout_s", "read_timeout_s")})
    return http.get(url, **more)


def power_save(config: dict, mode: int) -> int:
    """Set the power save of Wi-Fi, if any is configured: 0 is off. Returns what it was."""
    if not config["wifi"]:
        return 0
    wlan = network.WLAN(network.STA_IF)
    was = wlan.config("pm")
    wlan.config(pm=mode)
    return was
