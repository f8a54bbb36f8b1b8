"""The network as the board sees it: from Wi-Fi to the release that it would take. Each row is a step of steps.py."""

import ipaddress
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from otactl.board.codes import CODES, sentence
from otactl.board.doctor.case import Case, Step
from otactl.board.doctor.findings import Finding, Verdict, ok, skipped, waiting, warn

_SCAN = "import network; w = network.WLAN(network.STA_IF); w.active(True); print(w.scan())"
_WEAK_DBM, _VERY_WEAK_DBM = -75, -85
_A_DAY = timedelta(days=1)
_STEPS = ("network", "clock", "name", "connect", "fetch", "signature", "target", "release")  # as steps.py takes them
_PLAIN = ("network", "name", "connect")
_DATES = ("cert-expired", "cert-not-yet-valid")
# a fetch is two rows: codes of the first, and those that only come behind it
_OF_TLS = ("tls", "cert-untrusted", "cert-host", *_DATES, "clock-not-set", "ca-missing")
_BEHIND_TLS = ("http-status", "too-many-redirects", "redirect-to-http", "bad-response", "bad-range")
_RIG = (
    "wifi-not-found", "wifi-wrong-password", "wifi-failed", "ethernet-failed", "clock-not-set", "dns", "connect", "tls",
    "cert-untrusted", "cert-host", "cert-expired", "cert-not-yet-valid", "http-status", "too-many-redirects",
    "redirect-to-http", "bad-response", "bad-range", "stalled", "dropped", "timeout",
)  # fmt: skip

_MBEDTLS = {  # (code, detail) -> what the number means (mbedTLS ssl.h)
    ("tls", "-29184"): "the server's answer is no TLS (-0x7200): does it speak plain HTTP there?",
    ("tls", "-30592"): "the server refuses the handshake (-0x7780): see its log",
    ("tls", "-32512"): "no memory for the buffers of TLS (-0x7F00)",
}
_ACCEPTED = "accepted, with chain, name and dates"

Then = Callable[[Case], str]


def _scan(case: Case) -> str:
    return case.mpremote(_SCAN)


def _deploy(case: Case) -> str:
    return case.deploy


def _publish(case: Case) -> str:
    return case.publish


def _serve(case: Case) -> str:
    return case.in_workspace("serve")


def _curl(case: Case) -> str:
    return case.curl


def _stranger(case: Case) -> str:
    # the row `CA` has seen that the board's is the workspace's: the server is another one's, or has not been started anew
    return _serve(case) if case.place and case.reached.mine else _curl(case)


def _other_product(case: Case) -> str:
    # the row `settings` has seen that the board's is the workspace's: it is the release that differs
    return case.publish if case.place else case.deploy


def _renew(case: Case) -> str:
    return case.in_workspace(f"init --renew {_value(case, 'name').get('host', '')}".rstrip())


def _raise_security(case: Case) -> str:
    return f"{case.publish} --security-version {_value(case, 'target').get('security', 1)}"


def _releases(case: Case) -> str:
    return case.in_workspace("releases list")


def _renew_release(case: Case) -> str:
    return case.in_workspace("releases renew")


def _keys(case: Case) -> str:
    return case.in_workspace("keys list")


def _no_document(case: Case) -> str:
    # the row `keys` has seen that the board's are the workspace's, or older: the newer ones have not come
    if case.config.get("trust") is False:
        return case.deploy
    return case.curl_of(f"trust/{case.newest_document}.json") if case.newest_document else case.curl


def _unknown_key(case: Case) -> str:
    return _no_document(case) if case.newest_document else _keys(case)


def _update(case: Case) -> str:
    return case.on_board("update")


_THEN: dict[str, Then] = {  # code -> the next thing to type; the others: curl
    "wifi-not-found": _scan, "wifi-wrong-password": _deploy, "wifi-failed": _scan, "ethernet-config": _deploy,
    "ethernet-failed": lambda case: case.on_board("logs"), "clock-not-set": _deploy, "bad-url": _deploy,
    "http-not-allowed": _deploy, "dns": _deploy, "tls": _serve, "ca-missing": _deploy, "cert-untrusted": _stranger,
    "cert-host": _renew, "cert-expired": _renew, "cert-not-yet-valid": _curl, "agent-error": _deploy,
    "envelope-too-big": _publish, "envelope-not-json": _publish, "envelope-type": _deploy,
    "keys-missing": _deploy, "keys-invalid": _deploy, "unknown-key": _unknown_key,
    "trust-behind": _no_document, "trust-signature": _keys, "trust-invalid": _keys,
    "too-few-signatures": lambda case: case.in_workspace("keys resign"),
    "bad-signature": _publish, "schema": _deploy, "bad-release": _publish, "wrong-product": _other_product,
    "unknown-kind": _deploy, "no-target": _publish, "older": _publish, "failed-before": _publish, "too-big": _publish,
    "security-version": _raise_security, "replayed": _releases, "expired": _renew_release,
    "record": lambda case: case.on_board("slots"), "no-ota-slots": lambda case: case.on_board("slots"),
}  # fmt: skip


def _failed(case: Case, step: Step) -> Finding:
    then = _THEN.get(step.code, _curl)(case)
    said = _MBEDTLS.get((step.code, step.detail)) or sentence(step.code, step.detail)
    return Finding(Verdict.BAD, said, then, step.code, rig=step.code in _RIG)


def _judged(case: Case, name: str) -> Finding | Step:
    """The step where it went well, else why not."""
    if name in case.steps:
        step = case.steps[name]
        if step.code == "no-memory":  # whichever step it was: that row tells
            return waiting("memory")
        return _failed(case, step) if step.code else step
    if case.status.get("trial"):
        return waiting("trial")
    if not case.steps and not case.broke:
        return skipped(case.no_place or "the board has no configuration to go by")
    if case.plain and name not in _PLAIN:
        return skipped("the agent cannot be asked" if case.facts.get("agent") else "the agent is missing")
    way = _PLAIN if case.plain else _STEPS
    if case.broke and name != next(step for step in way if step not in case.steps):
        return skipped("the look broke off before")
    if case.broke:
        return Finding(Verdict.BAD, f"the look broke off: {case.broke}", case.on_board("logs"), rig=True)
    return skipped("the board did not come so far")


def joined(case: Case) -> Finding:
    step = _judged(case, "network")
    if isinstance(step, Finding):
        return step
    station = step.value["station"]
    if station:
        return ok(f"on {station['ssid']}, address {station['address'][0]}")
    if step.value["ethernet"]:
        return ok("over Ethernet")
    if not step.value["wifi"]:
        return warn(
            "neither [board.wifi] nor [board.ethernet] is configured, and your program, which may join, was stopped for this",
            case.on_board("logs"),
        )
    return ok("joined")


def _value(case: Case, name: str) -> dict[str, Any]:
    """What a step gave; empty where it did not come, or failed."""
    step = case.steps.get(name)
    return (step and step.value) or {}


def signal(case: Case) -> Finding:
    rssi = (_value(case, "network").get("station") or {}).get("rssi")
    if rssi is None:
        return skipped("no Wi-Fi")
    if rssi < _WEAK_DBM:
        much = "hardly hears" if rssi < _VERY_WEAK_DBM else "hears badly"
        return warn(
            f"{rssi} dBm: the board {much} the access point; move one of them, downloads will stall", _scan(case)
        )
    return ok(f"{rssi} dBm")


def subnet(case: Case) -> Finding:
    """Private addresses in two networks often mean a guest network, or a machine on another router."""
    station, where = _value(case, "network").get("station"), _value(case, "name")
    if not where or not station:
        return skipped("the board's address or the server's is not known")
    address, mask = station["address"][:2]
    server = ipaddress.ip_address(where["addresses"][0])
    own = ipaddress.ip_network(f"{address}/{mask}", strict=False)
    if server in own or not server.is_private:
        return ok(f"the board is in {own}, the server at {server}")
    tried = case.steps.get("connect", Step(detail="timeout"))
    if tried.detail != "timeout":  # a refusal is an answer too
        return ok(f"the board is in {own}, the server at {server}; a router lies between")
    return warn(f"the board is in {own}, the server at {server}: a guest network, or another router?", _deploy(case))


def clock(case: Case) -> Finding:
    step = _judged(case, "clock")
    if isinstance(step, Finding):
        return step
    date = datetime(*(_value(case, "fetch").get("date") or step.value["now"]), tzinfo=UTC)  # type: ignore[misc]
    off = date - case.now
    said = f"{date:%Y-%m-%d %H:%M} UTC on the board"
    fetch = case.steps.get("fetch", Step())
    if fetch.code == "clock-not-set" or (fetch.code in _DATES and abs(off) > _A_DAY):
        return _failed(case, Step(code="clock-not-set", detail=said))
    if abs(off) > _A_DAY:
        return warn(
            f"{said}, {case.now:%Y-%m-%d %H:%M} here: nobody tells the board the time (ntp_host)", _deploy(case)
        )
    return ok(said)


def name(case: Case) -> Finding:
    step = _judged(case, "name")
    if isinstance(step, Finding):
        return step
    return ok(f"{step.value['host']} is {', '.join(step.value['addresses'])}")


def connection(case: Case) -> Finding:
    step = case.steps.get("connect")
    if step is None or step.code != "connect":
        found = _judged(case, "connect")
        return found if isinstance(found, Finding) else ok(f"{_server(case)} answers after {found.value['ms']} ms")
    at = _server(case)
    if step.detail != "timeout":
        said = f"{at} refuses the board ({step.detail}): nothing listens there"
        return Finding(Verdict.BAD, said, _serve(case) if case.place else _curl(case), "connect", rig=True)
    if case.reached.mine and case.reached.outside:
        said = f"{at} does not answer the board, though it answers here: a firewall on this machine, or an access point that keeps its clients apart"
        return Finding(Verdict.BAD, said, _open_port(_value(case, "name")["port"]) or _curl(case), "connect", rig=True)
    said = f"{at} does not answer the board: a wrong address, a firewall, or another network"
    return Finding(Verdict.BAD, said, _curl(case), "connect", rig=True)


def _server(case: Case) -> str:
    where = _value(case, "name")
    return f"{where['addresses'][0]} port {where['port']}"


def _open_port(port: int) -> str:
    """How this machine's firewall lets a port in; empty where none is known."""
    if shutil.which("ufw"):
        return f"sudo ufw allow {port}/tcp"
    if shutil.which("firewall-cmd"):
        return f"sudo firewall-cmd --add-port={port}/tcp"
    return ""


def tls(case: Case) -> Finding:
    step = _judged(case, "fetch")
    if isinstance(step, Step):
        return ok(_ACCEPTED) if step.value["secure"] else skipped("plain HTTP")
    failed = case.steps.get("fetch", Step())
    if failed.code in _BEHIND_TLS or failed.detail in ("headers", "body"):
        return ok(_ACCEPTED)
    return step if failed.code in _OF_TLS or failed.detail == "tls" or not failed.code else skipped("HTTP says why")


def http(case: Case) -> Finding:
    step = _judged(case, "fetch")
    return ok("the channel's file comes") if isinstance(step, Step) else step


def signature(case: Case) -> Finding:
    step = _judged(case, "signature")
    if isinstance(step, Finding):
        return step
    said = f"good: {step.value['version']}, sequence {step.value['sequence']}"
    newest = step.value.get("trust")
    return ok(f"{said}, by trust document {newest}, which the board takes at its next look" if newest else said)


def target(case: Case) -> Finding:
    step = _judged(case, "target")
    if isinstance(step, Finding):
        return step
    build = f", build {step.value['build']}" if step.value["build"] else ""
    sizes = " and ".join(f"{kind} of {size} bytes" for kind, size in sorted(step.value["sizes"].items(), reverse=True))
    return ok(f"for {step.value['chip']}{build}: {sizes}")


def release(case: Case) -> Finding:
    step = case.steps.get("release")
    if step and step.code == "up-to-date":
        return ok(f"{step.detail}: {CODES['up-to-date'][0].rstrip('.')}")
    found = _judged(case, "release")
    if isinstance(found, Finding):
        return found
    if found.value["held"]:
        looks = found.value["held"][2]
        return warn(sentence("on-hold", str(looks)), case.on_board("logs"), code="on-hold")
    return ok(f"the board would take it: `{_update(case)}`")
