"""Wi-Fi, beside an application that may have joined already, and a chip that goes on trying by itself."""

import time

import network
from micropython import const

from .. import steps
from ..errors import OtaError

_FIRST_REFUSALS_MS = const(5000)  # the chip goes on trying: a first refusal need not be the last word
_POLL_MS = const(100)
_ERRORS = (OSError, RuntimeError)  # the other is for what the port has no word: no memory, before 1.26
_REFUSED = dict.fromkeys((201, 210, 211, 212), "wifi-not-found")  # by number: some names came with later versions
_REFUSED.update(dict.fromkeys((15, 202, 204), "wifi-wrong-password"))


def join(networks: "list[dict]", hostname: "str | None", timeout_ms: int):
    """Steps until the station has an address: of a network it is on already, or of the first of `networks` that takes
    us. Each gets its part of the time. Raises OtaError wifi-…"""
    try:
        wlan = network.WLAN(network.STA_IF)  # the first one starts the driver, which takes memory
        if wlan.isconnected():
            return
        if hostname:
            _name(hostname)
        wlan.active(True)
    except _ERRORS as e:
        raise OtaError("wifi-failed", e)
    failure = None
    for wifi in networks:
        failure = yield from _try(wlan, wifi, timeout_ms // len(networks))
        if failure is None:
            return
    raise failure  # type: ignore[misc]


def _name(hostname: str) -> None:
    # One that MicroPython does not take, as of more than 32 bytes, is passed over: a board without its name is better than one
    # without network, and on trial it is not the release's fault.
    try:
        network.hostname(hostname)
    except ValueError:
        pass


def _try(wlan, wifi: dict, timeout_ms: int):
    # Returns why it did not work, or None.
    began, asked, busy = time.ticks_ms(), None, wlan.status() == network.STAT_CONNECTING
    while not wlan.isconnected():
        waited = time.ticks_diff(time.ticks_ms(), began)
        status = wlan.status()
        refused = _REFUSED.get(status)
        final = asked is not None and time.ticks_diff(time.ticks_ms(), asked) > _FIRST_REFUSALS_MS
        if waited > timeout_ms or (refused and final):
            _leave(wlan)
            return OtaError(refused, wifi["ssid"]) if refused else OtaError("wifi-failed", status)
        if busy:  # the application joins, or the chip by itself after a loss: it has half of the time
            busy = status == network.STAT_CONNECTING and waited < timeout_ms // 2
        elif asked is None and _ask(wlan, wifi):
            asked = time.ticks_ms()
        yield steps.wait("network", _POLL_MS)
    return None


def _ask(wlan, wifi: dict) -> bool:
    try:
        wlan.connect(wifi["ssid"], wifi["password"] or None)
        return True
    except _ERRORS:  # "Wifi Internal Error": it is connecting, by itself and to something else
        _leave(wlan)
        return False


def _leave(wlan) -> None:
    try:
        wlan.disconnect()
    except OSError:
        pass


def power_save(mode: int) -> "int | None":
    """Set it: 0 is off. Returns what it was, None where the chip has none."""
    wlan = network.WLAN(network.STA_IF)
    try:
        was = wlan.config("pm")
        wlan.config(pm=mode)
        return was
    except (OSError, ValueError):
        return None
