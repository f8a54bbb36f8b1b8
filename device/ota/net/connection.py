"""A TCP connection, with TLS where it is asked for, that never blocks but for what C computes: the handshake's
arithmetic."""

import binascii
import errno
import gc
import select
import socket
import time

import tls
from micropython import const

from .. import steps
from ..errors import OtaError, require

_POLL_MS = const(10)
_TLS_EOF = const(-0x7280)  # MBEDTLS_ERR_SSL_CONN_EOF: closed without close_notify
_TIMED_OUT = (errno.ETIMEDOUT, errno.EAGAIN, errno.EINPROGRESS)
# No memory for a handshake is no MemoryError on a chip but a panic, or a connection over which nothing comes. Once Python's heap
# has grown a stock ESP32 has 42,688 bytes with v1.23, and 35,200 to 35,700 with v1.26, of which whole images came; with 33,200 none
# did. mbedTLS's largest buffer has 16.7 KB; a C3 with v1.24 has its memory in two pieces by then, the larger one of 18 to 25 KB.
_TLS_FREE = const(34000)
_TLS_PIECE = const(17000)
# A connection is kept for a second request only where this much is free beside it, as meanwhile a release is judged. Python's
# heap may grow for that: by as much as it has, and out of the same memory. Chips without SPIRAM have some 320 KB for both, so
# that 40 KB are left in any case for what comes in; with SPIRAM it grows there.
_KEEP_FREE = const(180000)
_KEEP_PIECE = const(65536)
# mbedTLS tells all that is wrong; what setting the clock cannot cure comes first.
_VERIFY = (
    ("trusted CA", "cert-untrusted"), ("-9984", "cert-untrusted"),  # MBEDTLS_ERR_X509_CERT_VERIFY_FAILED
    ("expected CN", "cert-host"), ("has expired", "cert-expired"), ("in the future", "cert-not-yet-valid"),
)  # fmt: skip
_kept: "tuple | None" = None  # (TLS, host, port), the socket, and the one with TLS about it


def connect(addresses: list, timeout_s: float):
    """Steps that return a connected socket, which does not block: to the first of `addresses` that answers, which share
    the time. Raises OtaError connect."""
    began, left = time.ticks_ms(), len(addresses)
    for address in addresses:
        spent_ms = time.ticks_diff(time.ticks_ms(), began)
        try:
            return (yield from _connect(address, (int(timeout_s * 1000) - spent_ms) // left))
        except OtaError:
            left -= 1
            if not left:
                raise


def _connect(address, timeout_ms: int):
    began, sock = time.ticks_ms(), None
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(address)
        except OSError as e:
            if abs(e.errno or 0) not in _TIMED_OUT:
                raise
        poller = select.poll()
        poller.register(sock, select.POLLOUT)
        while not poller.poll(0):
            require(time.ticks_diff(time.ticks_ms(), began) < timeout_ms, "connect", "timeout")
            yield steps.wait("server", _POLL_MS)
        sock.read(1)  # raises what came of it; a server that waits for a request says nothing yet
        return sock
    except BaseException as e:
        if sock:
            sock.close()
        if not isinstance(e, OSError):
            raise
        number = abs(e.errno or 0)
        raise OtaError("connect", "timeout" if number in _TIMED_OUT else errno.errorcode.get(number, number))


def secure(sock, host: str, ca: "bytes | None", verify: bool, shown, context=None):
    """`sock` with TLS about it; the handshake goes on with each read and write. `shown` is called with each certificate of
    the chain (DER) and its depth, 0 for the server's own, before anything is said of it. `context`: one that has something
    loaded already. Raises OtaError: tls, no-memory."""
    gc.collect()  # an old connection's buffers go back to the system's heap by their finaliser
    short = _short_of(_TLS_FREE, _TLS_PIECE)
    require(not short, "no-memory", short)
    context = context or tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    # said aloud: no version may forget it
    context.verify_mode = tls.CERT_REQUIRED if verify else tls.CERT_NONE  # type: ignore[attr-defined]
    context.verify_callback = shown  # type: ignore[attr-defined]
    # One DER certificate at a time: not every build reads PEM. A second call adds to the first.
    found = (ca or b"").split(b"-----BEGIN CERTIFICATE-----")
    try:
        for part in (found[1:] or found) if verify else ():
            context.load_verify_locations(binascii.a2b_base64(part.split(b"-----END")[0]) if found[1:] else part)
    except (ValueError, TypeError):
        raise OtaError("tls", "ca")
    return context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)


def _short_of(free: int, piece: int, unknown: str = "") -> str:
    # What the system's heap has, its free bytes and its largest piece, where that is less than these; else nothing.
    try:
        import esp32

        heaps = esp32.idf_heap_info(esp32.HEAP_DATA)
    except (ImportError, AttributeError):  # not on a chip
        return unknown
    has, largest = sum(heap[1] for heap in heaps), max(heap[2] for heap in heaps)
    return "" if has >= free and largest >= piece else f"{has} {largest}"


def may_keep() -> bool:
    """Whether there is room for a connection that is left open."""
    return not _short_of(_KEEP_FREE, _KEEP_PIECE, "unknown")


def keep(origin: tuple, raw, sock) -> None:
    """Leave a connection to `origin`, (TLS, host, port), open for kept(): `raw`, and `sock` with TLS about it. Its answer has been
    read to its end."""
    global _kept
    _kept = origin, raw, sock


def kept(origin: "tuple | None" = None) -> "tuple | None":
    """The sockets of the connection that keep() was given, if it leads to `origin` and is as it was left; else it is closed. In
    any case it is kept no longer. What lies in it already answers nothing that was asked."""
    global _kept
    found, _kept = _kept, None
    if not found:
        return None
    sockets = found[1:]
    try:
        if found[0] == origin and sockets[1].read(1) is None:
            return sockets
    except (OSError, ValueError):
        pass
    close(sockets)
    return None


def close(sockets: tuple) -> None:
    """Both: TLS that failed in its handshake has let go of the socket below."""
    for sock in reversed(sockets):
        try:
            sock.close()
        except OSError:
            pass  # the other side was quicker


def failed(e: BaseException, doing: str, host: str = "") -> BaseException:
    """What a read or write has raised, with its code: tls, cert-…, stalled, dropped, bad-response. What is no error of a
    connection comes back as it is."""
    if isinstance(e, (ValueError, OSError)) and not isinstance(e, OtaError):
        for words, code in _VERIFY:
            if words in str(e):
                return OtaError(code, host)
    if isinstance(e, ValueError):
        return OtaError("tls", str(e).split("\n")[0][:40]) if doing == "tls" else OtaError("bad-response", doing)
    if not isinstance(e, OSError):
        return e
    n = e.errno or 0
    if n < -255 and n != _TLS_EOF:  # an errno may come through TLS with its sign changed
        return OtaError("tls", n)
    return OtaError("stalled" if abs(n) in _TIMED_OUT else "dropped", doing)
