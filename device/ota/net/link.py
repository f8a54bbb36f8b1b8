"""A way out: Ethernet, where it is configured, else Wi-Fi. Neither configured: no interface is touched, the program
joins by itself. Only what is configured is imported."""

import gc

from ..errors import OtaError
from . import clock, dates, http

_DATES = ("cert-expired", "cert-not-yet-valid")
_wifi = None  # type: ignore  # its module, once it has been asked to join


def join(config: dict, timeout_s: "float | None" = None):
    """Steps until an interface has an address. Raises OtaError wifi-…, ethernet-…"""
    global _wifi
    timeout_ms = int((timeout_s or config["join_timeout_s"]) * 1000)
    if config["ethernet"]:
        from . import ethernet

        try:
            yield from ethernet.join(config["ethernet"], config["hostname"], timeout_ms)
            return
        except OtaError:
            if not config["wifi"]:
                raise
    if config["wifi"]:
        from . import wifi

        _wifi = wifi
        yield from wifi.join(config["wifi"], config["hostname"], timeout_ms)


def fetch(config: dict, url: str, **more):
    """http.get() as the configuration says, once network and clock are ready: steps that return the Response. Raises
    OtaError ca-missing as well. Where a certificate's dates are refused the clock is set once more (clock.py), by a time
    server, then by the release server, as the first may lie."""
    yield from join(config)
    more["own"] = config.get("own") or _own(config)
    secure = url.startswith("https:")
    if secure:
        yield from clock.ready(config)
    try:
        with open(config["ca"] or "", "rb") as f:
            more["ca"] = f.read()
    except OSError:
        if secure:  # plain HTTP may still be sent to a server with TLS
            raise OtaError("ca-missing", config["ca"])
    more.update(http.settings(config))
    gc.collect()  # while nothing of the connection is there yet
    for turn in range(3):
        try:
            response = yield from http.get(url, **more)
            break
        except OtaError as e:
            if e.code not in _DATES or turn == 2:
                raise
            if not (yield from clock.correct(config, url, turn == 0)):
                # not yet valid, and nobody tells this board another date
                raise OtaError("clock-not-set", e.detail) if e.code == "cert-not-yet-valid" else e
    more.clear()  # as http.get() does at its end
    if response.url.startswith("https:"):  # the server has shown who it is
        clock.believe(dates.parse(response.date))
    clock.prove(response.valid_from, response.valid_to)
    return response


def _own(config: dict):
    # What http.get() is to tell the release server: in the first request of a look all of it, then who it is. Whatever is
    # wrong with it, a look goes on without.
    said = config["checkin"]
    if said is True:
        try:
            from . import checkin

            config["checkin"], said = checkin.own(config)
        except Exception:
            config["checkin"] = said = None
    return said


def power_save(mode: "int | None") -> "int | None":
    """Set the power save of Wi-Fi, where that was joined: 0 is off. Returns what it was."""
    return None if _wifi is None or mode is None else _wifi.power_save(mode)
