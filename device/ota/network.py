"""The way to the release server: join Wi-Fi, set the clock, power save off while downloading.

A board on Ethernet, or one whose program joins by itself, has no `wifi` in its configuration: then
no interface is touched here.
"""

import time

import network

from . import http
from .errors import OtaError

_BUILT_IN = 2026  # a clock that shows an earlier year was not set since power-on
_FIRST_REFUSALS_MS = 5000  # the chip goes on trying: a first refusal need not be the last word
# by number: some names came later than 1.22
_NO_AP_FOUND = (201, 210, 211, 212)
_WRONG_PASSWORD = (15, 202, 204)


def station() -> network.WLAN:
    return network.WLAN(network.STA_IF)


def join(config: dict, timeout_s: float = 20) -> None:
    """Connect to the first of the configured networks that takes us; returns at once if one has.

    Raises OtaError wifi-not-found, wifi-wrong-password, wifi-failed.
    """
    networks = config["wifi"]
    wlan = station() if networks else None
    if wlan is None or wlan.isconnected():
        return
    for wifi in networks:
        try:
            if config["hostname"]:
                network.hostname(config["hostname"])
            wlan.active(True)
            failure = _try(wlan, wifi, timeout_s * 1000 // len(networks))
        except OSError as e:
            failure = OtaError("wifi-failed", e.args[0])
        if failure is None:
            return
    raise failure  # type: ignore[misc]


def _try(wlan: network.WLAN, wifi: dict, timeout_ms: float) -> "OtaError | None":
    wlan.connect(wifi["ssid"], wifi["password"] or None)
    start = time.ticks_ms()
    while not wlan.isconnected():
        time.sleep_ms(100)
        status, waited = wlan.status(), time.ticks_diff(time.ticks_ms(), start)
        refused = status in _NO_AP_FOUND or status in _WRONG_PASSWORD
        if waited > timeout_ms or (refused and waited > _FIRST_REFUSALS_MS):
            wlan.disconnect()
            if refused:
                found = "wifi-not-found" if status in _NO_AP_FOUND else "wifi-wrong-password"
                return OtaError(found, wifi["ssid"])
            return OtaError("wifi-failed", status)
    return None


def set_clock(config: dict) -> None:
    """Without the date no certificate can be judged. Raises OtaError clock-not-set.

    The time server is not authenticated: a false date can make an old certificate look good, which
    is one reason why the release is signed all the same (P8).
    """
    tries = 3 if config["ntp_host"] else 0
    while time.gmtime()[0] < _BUILT_IN:
        if not tries:
            raise OtaError("clock-not-set", time.gmtime()[0])
        import ntptime

        ntptime.host, ntptime.timeout = config["ntp_host"], 3
        try:
            ntptime.settime()
        except (OSError, OverflowError):
            tries -= 1


def fetch(config: dict, url: str, **more) -> http.Response:
    """GET `url` as the configuration says, on a network and a clock that are ready. Raises OtaError."""
    join(config)
    ca = None
    if url.startswith("https:"):
        set_clock(config)
        try:
            with open(config["ca"], "rb") as f:
                ca = f.read()
        except OSError:
            raise OtaError("ca-missing", config["ca"])
    return http.get(
        url,
        ca=ca,
        allow_http=config["allow_http"],
        connect_timeout_s=config["connect_timeout_s"],
        read_timeout_s=config["read_timeout_s"],
        **more,
    )


class FullPower:
    """`with FullPower(config):` Wi-Fi power save is off inside, and as it was after."""

    def __init__(self, config: dict) -> None:
        self._wlan = station() if config["wifi"] else None

    def __enter__(self) -> None:
        if self._wlan:
            self._pm = self._wlan.config("pm")
            self._wlan.config(pm=0)

    def __exit__(self, *_: object) -> None:
        if self._wlan:
            self._wlan.config(pm=self._pm)
