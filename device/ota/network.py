"""The way to the release server: join Wi-Fi, set the clock, power save off while downloading.

A board on Ethernet, or one whose program joins by itself, has no `wifi` in its configuration: then
nothing is touched here.
"""

import time

import network

from .errors import OtaError

_YEAR_OF_THIS_AGENT = 2026  # a clock before it was not set since power-on
_POLL_MS = 100
# by number: some names came later than 1.22
_NO_AP_FOUND = (201, 210, 211, 212)
_WRONG_PASSWORD = (202, 204, 15)


def station() -> network.WLAN:
    return network.WLAN(network.STA_IF)


def join(config: dict, timeout_s: float = 20) -> None:
    """Connect to the first of the configured networks that takes us; returns at once if one has.

    Raises OtaError wifi-not-found, wifi-wrong-password, wifi-timeout.
    """
    if not config["wifi"]:
        return
    wlan = station()
    if wlan.isconnected():
        return
    if config["hostname"]:
        network.hostname(config["hostname"])
    if not wlan.active():
        wlan.active(True)
    failure = None
    for wifi in config["wifi"]:
        failure = _try(wlan, wifi, int(timeout_s * 1000) // len(config["wifi"]))
        if failure is None:
            return
    raise failure


def _try(wlan: network.WLAN, wifi: dict, timeout_ms: int) -> "OtaError | None":
    ssid = wifi["ssid"]
    wlan.connect(ssid, wifi["password"] or None)
    start = time.ticks_ms()
    while not wlan.isconnected():
        # The chip goes on trying after each of these: a first refusal need not be the last word.
        status = wlan.status()
        waited = time.ticks_diff(time.ticks_ms(), start)
        if waited > timeout_ms or (waited > 5000 and status in _NO_AP_FOUND + _WRONG_PASSWORD):
            wlan.disconnect()
            if status in _NO_AP_FOUND:
                return OtaError("wifi-not-found", ssid)
            if status in _WRONG_PASSWORD:
                return OtaError("wifi-wrong-password", ssid)
            return OtaError("wifi-timeout", ssid)
        time.sleep_ms(_POLL_MS)
    return None


def set_clock(config: dict) -> None:
    """Without the date no certificate can be judged. Raises OtaError clock-not-set.

    The time server is not authenticated: a false date can make an old certificate look good, which
    is why the release is signed all the same (P8).
    """
    if time.gmtime()[0] >= _YEAR_OF_THIS_AGENT:
        return
    if config["ntp_host"]:
        import ntptime

        ntptime.host = config["ntp_host"]
        ntptime.timeout = 3
        for _ in range(3):
            try:
                ntptime.settime()
            except (OSError, OverflowError):
                continue
            if time.gmtime()[0] >= _YEAR_OF_THIS_AGENT:
                return
    raise OtaError("clock-not-set", time.gmtime()[0])


class FullPower:
    """`with FullPower(config):` Wi-Fi power save is off inside, and as it was after."""

    def __init__(self, config: dict) -> None:
        self._wlan = station() if config["wifi"] else None
        self._pm = 0

    def __enter__(self) -> None:
        if self._wlan:
            self._pm = self._wlan.config("pm")
            self._wlan.config(pm=0)

    def __exit__(self, *_: object) -> None:
        if self._wlan:
            self._wlan.config(pm=self._pm)
