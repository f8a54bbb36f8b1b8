"""The board's way to its release, a step at a time, by the agent's own modules; without an agent by plain MicroPython.

Each step prints one line; the first that fails is the last. A look changes nothing but the clock: what it proves of the
date is not kept, nor are trust documents (ahead.py).
"""

import json
from typing import Any

from otactl.board import panic
from otactl.board.doctor import ahead
from otactl.board.doctor.case import Step
from otactl.board.link import Link

_MARK = "doctor: "
_WAYS = """
import gc, json, time
def _say(step, value=None, code="", detail=""):
    print("doctor:", json.dumps([step, value, code, detail]))
def _heap():
    try:
        import esp32
        heaps = esp32.idf_heap_info(esp32.HEAP_DATA)
        return [sum([h[1] for h in heaps]), max([h[2] for h in heaps])]
    except (ImportError, AttributeError):
        return None
def _station():
    import network
    w = network.WLAN(network.STA_IF)
    if not w.active() or not w.isconnected():
        return None
    try:
        rssi = w.status("rssi")
    except (OSError, ValueError):
        rssi = None
    return {"ssid": w.config("ssid"), "rssi": rssi, "address": list(w.ifconfig())}
"""
_BY_AGENT = """
def _all():
    from ota import config, steps
    from ota.boot import record, slots
    from ota.errors import OtaError, coded
    from ota.net import clock, connection, link, names, url
    from ota.release import envelope, image, keys, policy
    import machine, sys
    try:
        from ota.release import fresh
    except ImportError:  # an agent from before it
        fresh = None
    at, response = "network", None
    clock.prove = lambda *_: None
    def said(value, then):
        _say(at, value)
        return then
    try:
        gc.collect()
        c = config.load()
        before = list(time.gmtime()[:6])
        steps.run(link.join(c))
        at = said({"station": _station(), "wifi": bool(c["wifi"]), "ethernet": bool(c["ethernet"])}, "clock")
        secure, host, port, path = url.split(c["url"])
        if secure:
            steps.run(clock.ready(c))
        at = said({"before": before, "now": list(time.gmtime()[:6])}, "name")
        where = steps.run(names.resolve(host, port))
        at = said({"host": host, "port": port, "addresses": [a[0] for a in where]}, "connect")
        began = time.ticks_ms()
        steps.run(connection.connect(where, c["connect_timeout_s"])).close()
        at = said({"ms": time.ticks_diff(time.ticks_ms(), began), "heap": _heap()}, "fetch")
        response = steps.run(link.fetch(c, c["url"]))
        at = said({"date": list(time.gmtime()[:6]), "secure": secure}, "signature")
        raw = steps.run(response.read(envelope.MOST + 1))
        ahead = 0
        try:
            payload = envelope.open_envelope(raw, keys.load(c["keys"]))
        except OtaError as e:
            response.close()
            response = raw = None  # TLS needs its memory for the next ones
            payload, ahead = _ahead(c, e)
        at = said({"version": payload.get("version"), "sequence": payload.get("sequence"), "trust": ahead}, "target")
        found, kept = slots.Slots(), record.load()
        build = getattr(sys.implementation, "_build", None)
        chip = image.chip(found.running)
        try:
            targets = policy.choose(payload, c["product"], chip, build, machine.unique_id().hex(), c.get("data"))
        except TypeError:  # an agent from before
            targets = policy.choose(payload, c["product"], chip, build)
        alone = "url" in targets  # an agent from before applications gives the one target
        parts = {targets["kind"]: targets} if alone else targets
        at = said({"chip": chip, "build": build, "sizes": {k: t["size"] for k, t in parts.items()},
            "security": kept.state["floor_security"]}, "release")
        class Noted:
            state = kept.state
            note = staticmethod(lambda *_: None)
        if fresh:
            fresh.hear(payload, Noted, c["url"])
        installed = kept.release_in(found.running) or {}
        policy.apply(payload, targets, kept.state, installed.get("sequence", 0) if alone else installed,
            found.next.info()[3])
        said({"held": kept.state["held"] if (kept.state["held"] or [0])[0] == payload["sequence"] else None}, "")
    except OtaError as e:
        _say(at, None, e.code, e.detail)
    except Exception as e:
        e = coded(e)
        _say(at, None, e.code, e.detail)
    finally:
        if response:
            response.close()
_all()
"""
_PLAIN = """
def _all(wifi, host, port, patience_s):
    import network, socket
    w, refused = network.WLAN(network.STA_IF), {201: "wifi-not-found", 210: "wifi-not-found", 211: "wifi-not-found",
        212: "wifi-not-found", 202: "wifi-wrong-password", 15: "wifi-wrong-password", 204: "wifi-wrong-password"}
    w.active(True)
    status = 0
    for ssid, password in wifi:
        if w.isconnected():
            break
        try:
            w.connect(ssid, password)
        except OSError:
            w.disconnect()
            time.sleep_ms(300)
            w.connect(ssid, password)
        began = time.ticks_ms()
        while not w.isconnected():
            status, waited = w.status(), time.ticks_diff(time.ticks_ms(), began)
            if waited > patience_s * 1000 // len(wifi) or (status in refused and waited > 5000):
                break
            time.sleep_ms(100)
    if wifi and not w.isconnected():
        w.disconnect()
        return _say("network", None, refused.get(status, "wifi-failed"), wifi[0][0])
    _say("network", {"station": _station(), "wifi": bool(wifi), "ethernet": False})
    try:
        where = socket.getaddrinfo(host, port)[0][-1]
    except (OSError, IndexError):
        return _say("name", None, "dns", host)
    _say("name", {"host": host, "port": port, "addresses": [where[0]]})
    s = socket.socket()
    s.settimeout(15)
    try:
        began = time.ticks_ms()
        s.connect(where)
        _say("connect", {"ms": time.ticks_diff(time.ticks_ms(), began), "heap": _heap()})
    except OSError as e:
        n = e.args[0]
        _say("connect", None, "connect", "timeout" if n in (110, 116, 119) else "ECONNRESET" if n in (104, 111) else str(n))
    finally:
        s.close()
_all({wifi!r}, {host!r}, {port!r}, {patience_s!r})
"""
_SLACK_S = 60  # over what the configuration lets a step take: lwIP's silent DNS servers, arithmetic
_WAIT = "the board to reach its server"
_POLL_S = 1.0
_LAST_WORDS_S = 2.0  # of a board that has crashed: the cause may come in several lines
_JOIN_S = 20
_RECENT = 50  # lines of the console in which the cause of a crash is looked for


def by_agent(link: Link, config: dict[str, Any]) -> tuple[dict[str, Step], str]:
    """The steps by the agent on the board, as far as they go, and why they end without a code, empty as a rule.

    `config`: the board's. Raises RigError where the port is lost.
    """
    limits = [config.get(name) for name in ("join_timeout_s", "connect_timeout_s", "read_timeout_s")]
    longest = max(float(limit) if isinstance(limit, (int, float)) else 20.0 for limit in limits)
    return _run(link, _BY_AGENT, "release", longest + _SLACK_S, ahead.CODE)


def plain(link: Link, config: dict[str, Any], host: str, port: int) -> tuple[dict[str, Step], str]:
    """The first steps without an agent. `config`: the workspace's. Raises as by_agent."""
    wifi = config.get("wifi") or []
    networks = [(one["ssid"], one.get("password")) for one in ([wifi] if isinstance(wifi, dict) else wifi)]
    words = {"wifi": networks, "host": host, "port": port, "patience_s": _JOIN_S}
    code = _PLAIN
    for name, value in words.items():
        code = code.replace("{" + name + "!r}", repr(value))
    return _run(link, code, "connect", _JOIN_S + _SLACK_S)


def _run(link: Link, code: str, last: str, silence_s: float, before: str = "") -> tuple[dict[str, Step], str]:
    found: dict[str, Step] = {}
    recent: list[str] = []
    restarted = False
    for part in (_WAYS, before):  # in several commands: the board compiles each in its own memory
        if part:
            link.run(part)
    link.start(code)
    link.patience.begin(_WAIT, silence_s)
    while (left_s := link.patience.left_s) > 0:
        line = link.line(min(left_s, _POLL_S))
        if line is None and link.ended:
            break
        if line is None:
            continue
        recent = [*recent, line][-_RECENT:]
        if step := _step(line):
            found[step[0]] = step[1]
            link.patience.begin(_WAIT, silence_s)
        elif panic.explain(line) and not restarted:
            restarted = True
            link.let_go()
            link.patience.begin(_WAIT, _LAST_WORDS_S)
    if found and (last in found or any(step.code for step in found.values())):
        return found, ""
    return found, _why(link, recent, silence_s, restarted=restarted)


def _why(link: Link, recent: list[str], silence_s: float, *, restarted: bool) -> str:
    """Why no step came any more."""
    if restarted:
        return panic.cause(recent) or "the board restarted"
    if link.ended:
        return next((line for line in reversed(recent) if line), "no word")
    return f"nothing came for {link.patience.limit(silence_s):g} s"


def _step(line: str) -> tuple[str, Step] | None:
    _, mark, rest = line.partition(_MARK)
    if not mark:
        return None
    try:
        name, value, code, detail = json.loads(rest)
    except ValueError:  # garbled on the way
        return None
    return name, Step(value, code, detail)
