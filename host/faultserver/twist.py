"""What the faults of a step do to a request, and to the reply to it."""

import random
from urllib.parse import urlsplit

from faultserver.delivery import Delivery
from faultserver.exchange import Reply, Request
from faultserver.faults import Fault, Step

_LOOP = "fault-loop"
_AWAY = 4096  # bytes that a wrong range begins too late
_ENDINGS = ("cut", "reset", "stall", "garble", "etag")


def in_loop(request: Request) -> bool:
    """Whether this request is where `redirect-loop` has sent its client."""
    return request.query.startswith(_LOOP)


def ask(request: Request, step: Step) -> None:
    """Change what the source is asked for."""
    names = {fault.kind for fault in step}
    if "no-range" in names:
        request.headers.pop("range", None)
    elif "wrong-range" in names:
        first = request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
        start = int(first) if first.isdigit() else 0
        request.headers["range"] = f"bytes={start + _AWAY}-"
        request.headers.pop("if-range", None)


def instead(request: Request, step: Step, other_host: str) -> Reply | None:
    """The reply that needs no source: a redirect or a refusal."""
    if in_loop(request):
        return _redirect(302, f"{_path(request)}?{_LOOP}")
    for fault in step:
        if fault.kind == "status":
            after = {"Retry-After": fault.arguments[1]} if len(fault.arguments) > 1 else {}
            return Reply(fault.n, after, b"told to\n" if fault.n not in (204, 304) else b"")
        if fault.kind == "redirect-loop":
            return _redirect(302, f"{_path(request)}?{_LOOP}")
        if fault.kind == "redirect":
            return _redirect(fault.n, _elsewhere(request, fault, other_host))
    return None


def _path(request: Request) -> str:
    return urlsplit(request.target).path


def _redirect(status: int, location: str) -> Reply:
    return Reply(status, {"Location": location})


def _elsewhere(request: Request, fault: Fault, other_host: str) -> str:
    host = request.headers.get("host", "localhost")
    where = fault.arguments[1] if len(fault.arguments) > 1 else "same"
    if where == "same":
        return request.target
    if where == "other-host":
        port = host.partition(":")[2]
        host = f"{other_host}:{port}" if port else other_host
    return f"{'http' if where == 'http' else 'https'}://{host}{request.target}"


def spoil(reply: Reply, step: Step) -> Delivery:
    """Change the reply, and say how it is to be sent."""
    delivery = Delivery()
    for fault in step:
        if fault.kind == "keep":
            reply.keeps, delivery.then = True, "".join(fault.arguments)
        else:
            _spoil(reply, fault, delivery)
    if reply.keeps and delivery.ending == "close":
        delivery.ending = "keep"
    if any(fault.kind in ("no-length", "chunked") for fault in step):
        reply.length = None
    if delivery.stop is not None:
        delivery.stop = max(0, min(delivery.stop, len(reply.body) - 1))
    return delivery


def _spoil(reply: Reply, fault: Fault, delivery: Delivery) -> None:
    n, length = fault.n if fault.arguments else 0, len(reply.body)
    if fault.kind in _ENDINGS:
        delivery.stop, delivery.ending = n, "cut" if fault.kind == "etag" else fault.kind
        delivery.silent_s = fault.number(1, 60)
    elif fault.kind == "trickle":
        delivery.rate, delivery.rate_s = n, fault.number(1, float("inf"))
    elif fault.kind == "slow-headers":
        delivery.head_rate = n
    elif fault.kind == "short":
        reply.length = max(0, length - n)
    elif fault.kind == "long":
        reply.length = length + n
    elif fault.kind == "extra":
        reply.body += bytes(n)
        reply.length = length + n
    elif fault.kind == "flip" and length:
        at = min(n, length - 1)
        reply.body = reply.body[:at] + bytes([reply.body[at] ^ 0xFF]) + reply.body[at + 1 :]
    elif fault.kind == "http-1.0":
        reply.version = "1.0"
    elif fault.kind == "chunked":
        reply.body = _chunked(reply.body)
        reply.headers["Transfer-Encoding"] = "chunked"


def _chunked(body: bytes) -> bytes:
    """In chunks of odd sizes, one with an extension, a trailer at the end: all of RFC 9112, 7.1."""
    rng, parts, at = random.Random(len(body)), [], 0
    while at < len(body):
        piece = body[at : at + rng.randint(1, 3000)]
        parts.append(b"%x%s\r\n%s\r\n" % (len(piece), b"" if at else b";first=1", piece))
        at += len(piece)
    return b"".join([*parts, b"0\r\nTold: yes\r\n\r\n"])
