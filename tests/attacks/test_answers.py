"""A hostile server, or one in its place with a good certificate: answers, redirects, files that nobody signed."""

import gzip
import socket
from collections.abc import Callable

import pytest
from faultbench import STRANGER
from faultserver.exchange import Request
from rig import ADDRESS, HOST, NEW, OLD, image

from attacks.bench import CHANNEL, FILE, Bench, Row
from attacks.villain import Answer, endless, moved, ok, says

LAN, LAN_PORT = "10.0.0.77", 80  # a neighbour of the board's, which speaks plain HTTP
MEMORY = "the board's memory, and its time"
SOFTWARE = "any software on the board"
OTHER_IMAGE = "an older image under a newer release's name"
REACH = "requests that the board makes for him"
SMUGGLED = "a header or a request of his own"

OK = "HTTP/1.1 200 OK\r\n"


def _channel(answer: Answer) -> Callable[[Bench], None]:
    return lambda bench: bench.answer(CHANNEL, answer)


def _gzipped(bench: Bench) -> None:
    good = bench.rig.workspace.channel_file.read_bytes()
    bench.answer(CHANNEL, ok(gzip.compress(good), "Content-Encoding: gzip"))


def _twice(bench: Bench) -> None:
    good = bench.rig.workspace.channel_file.read_bytes()
    bench.answer(CHANNEL, says(f"{OK}Content-Length: {len(good)}\r\nContent-Length: 5\r\n\r\n", good))


ANSWERS = {
    "endless data: headers": Row("bad-response", MEMORY, _channel(endless(OK, b"A: b\r\n"))),
    "endless data: one header": Row(
        "bad-response", MEMORY, _channel(endless(OK + "A: ", b"b")), config={"read_timeout_s": 20}
    ),
    "endless data: answers that are only to come": Row(
        "bad-response", MEMORY, _channel(endless("", b"HTTP/1.1 103 Early Hints\r\n\r\n"))
    ),
    "endless data: an envelope of no length": Row("envelope-too-big", MEMORY, _channel(endless(OK + "\r\n", b"{"))),
    "endless data: an envelope in chunks": Row(
        "envelope-too-big", MEMORY, _channel(endless(OK + "Transfer-Encoding: chunked\r\n\r\n", b"4\r\n{{{{\r\n"))
    ),
    "endless data: an envelope of 500 MB": Row(
        "envelope-too-big", MEMORY, _channel(endless(OK + "Content-Length: 500000000\r\n\r\n", b"{"))
    ),
    "lies of length: two that differ": Row("bad-response", "two readings of one answer", _twice),
    "lies of length: -1": Row("bad-response", MEMORY, _channel(says(OK + "Content-Length: -1\r\n\r\n{}"))),
    "lies of length: 2^63": Row(
        "bad-response", "a length that wraps round", _channel(says(f"{OK}Content-Length: {1 << 63}\r\n\r\n{{}}"))
    ),
    "lies of length: a chunk of 2^64": Row(
        "bad-response",
        "a length that wraps round",
        _channel(says(OK + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{}")),
    ),
    "lies of length: more than comes": Row(
        "dropped", "a cut envelope", _channel(says(OK + "Content-Length: 5000\r\n\r\n{}"))
    ),
    "encoding: gzip, which nobody asked for": Row("envelope-not-json", "a bomb", _gzipped),
    "encoding: gzip as a transfer's": Row(
        "bad-response", "a bomb", _channel(says(OK + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"))
    ),
    "status: below nothing": Row(
        "bad-response", "an answer without an end", _channel(endless("", b"HTTP/1.1 -20 x\r\n\r\n"))
    ),
    "busy: Retry-After of 10^18 seconds": Row(
        "http-status",
        "a board that never asks again",
        _channel(says("HTTP/1.1 503 x\r\nRetry-After: 1000000000000000000\r\n\r\n")),
        config={"tries": 2},
    ),
    "captive portal: a page in place of the file": Row(
        "envelope-not-json", SOFTWARE, _channel(ok("<html>Please log in</html>", "Content-Type: text/html"))
    ),
    "captive portal: a redirect to its page": Row(
        "cert-host", SOFTWARE, _channel(moved(f"https://{STRANGER}:8443/login"))
    ),
}


# --- redirects ----------------------------------------------------------------------------------------------------


def _into_the_lan(bench: Bench) -> None:
    """A redirect to the villain's own port, spoken to without TLS: what a printer would hear of the board."""
    bench.villain.answers[CHANNEL] = moved(f"https://{LAN}:{LAN_PORT}/reboot?now=1")
    bench.network.routes[LAN, LAN_PORT] = ("127.0.0.1", bench.neighbour.port)


def _neighbour_heard_nothing(bench: Bench) -> None:
    assert bench.heard_next_door == []


def _moved_row(code: str, location: str, gains: str = REACH) -> Row:
    return Row(code, gains, _channel(moved(location)))


REDIRECTS = {
    "redirect: to an address in the LAN": Row("stalled", REACH, _into_the_lan, after=_neighbour_heard_nothing),
    "redirect: to a host by two slashes": _moved_row("cert-host", f"//{STRANGER}:8443/x"),
    "redirect: to a host with a name and a password": _moved_row("bad-url", "https://releases.test@stranger.test/x"),
    "redirect: to a file": _moved_row("bad-url", "file:///etc/ota/keys.json", "the board's files"),
    "redirect: to a host of 70 letters": _moved_row(
        "dns", f"https://{'a' * 70}.test/x", "the agent's end without a word"
    ),
    "redirect: with a line end in the middle": _moved_row("bad-url", "/x\rHost:evil", SMUGGLED),
    "redirect: with a terminal's control codes": _moved_row("bad-url", "/\x1b]0;x\x07", "the terminal of who watches"),
    "redirect: to itself": _moved_row("too-many-redirects", "/stable.json", MEMORY),
    "redirect: to http": _moved_row("redirect-to-http", "http://releases.test:8443/stable.json", "the transport"),
    "redirect: to HTTP in capitals": _moved_row("bad-url", "HTTP://releases.test:8443/stable.json", "the transport"),
}


# --- the url of a release, well signed ----------------------------------------------------------------------------


def _url_row(code: str, url: str, gains: str = REACH) -> Row:
    return Row(code, gains, lambda bench: bench.release(target__url=url), reaches="file")


def _dotted(bench: Bench) -> None:
    """To a resolver it is the same host, in the certificate it is none; the agent's own question has no such name."""
    bench.network.hosts[HOST + "."] = ADDRESS
    bench.release(target__url=f"https://{HOST}.:8443/x")


URLS = {
    "url: ../ up to the root": _url_row("http-status", "../../../../etc/passwd", "a file of the server's"),
    "url: the same in %2e": _url_row("http-status", "%2e%2e/%2e%2e/etc/passwd", "a file of the server's"),
    "url: a host by two slashes": _url_row("cert-host", f"//{STRANGER}:8443/x"),
    "url: a host by two backslashes": _url_row("http-status", rf"\\{STRANGER}\x"),
    "url: a file": _url_row("bad-url", "file:///etc/ota/keys.json", "the board's files"),
    "url: another scheme": _url_row("bad-url", "ftp://releases.test/x"),
    "url: a name and a password": _url_row("bad-url", "https://me:secret@releases.test:8443/x", "a password in logs"),
    "url: port 0": _url_row("bad-url", "https://releases.test:0/x"),
    "url: port 65536": _url_row("bad-url", "https://releases.test:65536/x"),
    "url: port -1": _url_row("bad-url", "https://releases.test:-1/x"),
    "url: a line end and a header": _url_row("bad-url", "x HTTP/1.1\r\nHost: evil\r\n\r\n", SMUGGLED),
    "url: a NUL": _url_row("bad-url", "forged/esp32.bin\0.txt", "another file than the one named"),
    "url: a host that ends in a dot": Row("dns", "a name past the certificate's check", _dotted, reaches="file"),
    "url: plain http": _url_row("http-not-allowed", "http://releases.test:8443/x", "the transport"),
    "url: nothing but a fragment": _url_row("http-status", "#esp32.bin"),
    "url: a query to another address": _url_row("http-status", "?u=https://stranger.test/"),
}


# --- files that are not what was signed ---------------------------------------------------------------------------

OTHER = image(77)


def _served(data: bytes, signed: bytes = NEW) -> Callable[[Bench], None]:
    """The release is of one image, the file another."""

    def begin(bench: Bench) -> None:
        bench.release(signed)
        bench.answer(FILE, ok(data))

    return begin


def _changes_half_way(bench: Bench) -> None:
    """The first half of what was signed, then the rest of something else, under the same tag."""
    bench.release()
    half = len(NEW) // 2 & ~0xFFF

    def answer(connection: socket.socket, request: Request) -> None:
        span = request.headers.get("range")
        if not span:
            reply = says(f'{OK}ETag: "x"\r\nContent-Length: {len(NEW)}\r\n\r\n', NEW[:half])
        else:
            first = int(span.removeprefix("bytes=").rstrip("-"))
            what = f"bytes {first}-{len(NEW) - 1}/{len(NEW)}"
            reply = says(f'HTTP/1.1 206 x\r\nETag: "x"\r\nContent-Range: {what}\r\n\r\n', OTHER[first:])
        reply(connection, request)

    bench.answer(FILE, answer)


def _endless_file(head: str, piece: bytes) -> Callable[[Bench], None]:
    def begin(bench: Bench) -> None:
        bench.release()
        bench.answer(FILE, endless(OK + head, piece))

    return begin


FILES = {
    "mix-and-match: the image of another release, as long": Row(
        "hash-mismatch", OTHER_IMAGE, _served(OTHER), reaches="slot"
    ),
    "mix-and-match: the image of another release, longer": Row(
        "size-mismatch", OTHER_IMAGE, _served(image(78, size=120 << 10)), reaches="file"
    ),
    "mix-and-match: the image that runs": Row("hash-mismatch", OTHER_IMAGE, _served(OLD), reaches="slot"),
    "mix-and-match: the image of another chip": Row(
        "wrong-chip", SOFTWARE, _served(image(2, "esp32s3")), reaches="file"
    ),
    "mix-and-match: another image's second half, under the same ETag": Row(
        "hash-mismatch", OTHER_IMAGE, _changes_half_way, reaches="slot", config={"tries": 2}
    ),
    "altered image: its last byte": Row(
        "hash-mismatch", SOFTWARE, _served(NEW[:-1] + bytes([NEW[-1] ^ 1])), reaches="slot"
    ),
    "altered image: a head that is right, then zeros without end": Row(
        "hash-mismatch",
        MEMORY,
        _endless_file("\r\n" + NEW[:4096].decode("latin-1"), bytes(64)),
        reaches="slot",
    ),
    "altered image: gzip": Row(
        "not-an-image", "a bomb", _served(gzip.compress(NEW).ljust(len(NEW), b"\0")), reaches="file"
    ),
    "endless data: chunks of a byte": Row(
        "not-an-image",
        MEMORY,
        _endless_file("Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        reaches="file",
    ),
    "endless data: a file of no image, without a length": Row(
        "not-an-image", MEMORY, _endless_file("\r\n", b"<html>"), reaches="file"
    ),
}

ROWS = {**ANSWERS, **REDIRECTS, **URLS, **FILES}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_answer(bench: Bench, row: Row) -> None:
    bench.attacked(row)
