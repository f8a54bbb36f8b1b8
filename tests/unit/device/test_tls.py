"""What stock MicroPython's mbedTLS and the agent make of certificates, over real TLS: docs/security.md has this table."""

import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chains
import pytest
from chains import DAY, DER, NOW, OLD, Issued, issue, sha256
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .conftest import Exchange, Run, ScriptedServer

Serve = Callable[..., ScriptedServer]
DNS = x509.DNSName
LOCAL = [DNS("127.0.0.1"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
FUTURE = (NOW + 10 * DAY, NOW + 300 * DAY)
ROOT = issue("root", ca=True)
MIDDLE = issue("middle", ROOT, ca=True)
LEAF = issue("leaf", MIDDLE, names=LOCAL)
GET = """
    from ota.net import guard
    config = {"pins": args["pins"], "client": args["client"]}
    ca = open("ca", "rb").read()
    got = {"allow_http": True}
    if config["pins"] or config["client"]:
        guard.stand(config, got)
    found = attempt(lambda: get(args["url"], ca=ca, **got).status)
    print(json.dumps(found.get("code", found.get("ok"))))
"""


@pytest.fixture
def fetch(mpy: Run, tmp_path: Path) -> Callable[..., Any]:
    """fetch(url, trust=…, pins=…, client=…): the code that it ends with, or the status."""

    def run(url: str, trust: bytes = ROOT.pem, pins: Any = None, client: Any = None) -> Any:
        (tmp_path / "ca").write_bytes(trust)
        return mpy(GET, url=url, pins=pins, client=client)

    return run


def answers(exchange: Exchange) -> None:
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def context(folder: Path, *chain: Issued, demands: bytes = b"") -> ssl.SSLContext:
    """`demands`: the CAs of which it wants a client's certificate."""
    (folder / "chain.pem").write_bytes(chains.served(*chain))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers("ALL:@SECLEVEL=0")  # a server that shows weak certificates too
    made.load_cert_chain(folder / "chain.pem")
    if demands:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(cadata=demands.decode())
    return made


WEAK, STRONG = (rsa.generate_private_key(65537, bits) for bits in (1024, 2048))


def _by(other: Issued, *between: Issued) -> list[Issued]:
    return [issue("leaf", other, names=LOCAL), *between]


STRANGER = issue("root", ca=True)  # the same name, another key
EXPIRED_ROOT = issue("root", ca=True, dates=OLD)
NO_CA = issue("server", ROOT, names=[DNS("shop.test")])
UNSAID = issue("server", ROOT, constraints=False)
WEAK_ROOT = issue("root", ca=True, key=WEAK)
ALONE = issue("alone", names=LOCAL)
CHAINS: dict[str, tuple[bytes, list[Issued], Any]] = {
    "good": (ROOT.pem, [LEAF, MIDDLE], 200),
    "good, the CA as DER": (ROOT.der, [LEAF, MIDDLE], 200),
    "good, its root sent along": (ROOT.pem, [LEAF, MIDDLE, ROOT], 200),
    "good, RSA-2048": (ROOT.pem, [issue("leaf", ROOT, names=LOCAL, key=STRONG)], 200),
    "good, P-384": (ROOT.pem, [issue("leaf", ROOT, names=LOCAL, key=ec.generate_private_key(ec.SECP384R1()))], 200),
    "expired": (ROOT.pem, [issue("leaf", ROOT, names=LOCAL, dates=OLD)], "cert-expired"),
    "not yet valid": (ROOT.pem, [issue("leaf", ROOT, names=LOCAL, dates=FUTURE)], "cert-not-yet-valid"),
    "of another host": (ROOT.pem, [issue("leaf", ROOT, names=[DNS("other.test")])], "cert-host"),
    "of a CA that is not known": (ROOT.pem, _by(STRANGER), "cert-untrusted"),
    "of one that is not known, expired and of another host": (
        ROOT.pem,
        [issue("leaf", STRANGER, names=[DNS("other.test")], dates=OLD)],
        "cert-untrusted",
    ),
    "intermediate missing": (ROOT.pem, [LEAF], "cert-untrusted"),
    "intermediate expired": (
        ROOT.pem,
        _by(middle := issue("m", ROOT, ca=True, dates=OLD), middle),
        "cert-expired",
    ),
    "the CA itself expired": (EXPIRED_ROOT.pem, _by(EXPIRED_ROOT), "cert-expired"),
    "a server's certificate used as a CA": (ROOT.pem, _by(NO_CA, NO_CA), "cert-untrusted"),
    "one that does not say that it is a CA": (ROOT.pem, _by(UNSAID, UNSAID), "cert-untrusted"),
    "trusted, but no CA": (NO_CA.pem, _by(NO_CA), "cert-untrusted"),
    "self-signed and trusted itself": (ALONE.pem, [ALONE], 200),
    "trusted itself, its CA is not": (LEAF.pem, [LEAF], "cert-untrusted"),
    "RSA-1024": (ROOT.pem, [issue("leaf", ROOT, names=LOCAL, key=WEAK)], "tls"),
    "of a CA with RSA-1024": (WEAK_ROOT.pem, _by(WEAK_ROOT), "tls"),
    "the name in CN only": (ROOT.pem, [issue("127.0.0.1", ROOT)], 200),
    "the name in CN, another in SAN": (ROOT.pem, [issue("127.0.0.1", ROOT, names=[DNS("a.test")])], "cert-host"),
    "the address in SAN as an address only": (ROOT.pem, [issue("leaf", ROOT, names=LOCAL[1:])], 200),
    "the address in SAN as a name only": (ROOT.pem, [issue("leaf", ROOT, names=LOCAL[:1])], 200),
    "another address": (
        ROOT.pem,
        [issue("leaf", ROOT, names=[x509.IPAddress(ipaddress.ip_address("127.0.0.2"))])],
        "cert-host",
    ),
}


@pytest.mark.parametrize(("trust", "chain", "ends"), CHAINS.values(), ids=CHAINS)
def test_certificate_that_is(
    fetch: Callable[..., Any], serve: Serve, tmp_path: Path, trust: bytes, chain: list[Issued], ends: Any
) -> None:
    server = serve(answers, context=context(tmp_path, *chain))
    assert fetch(f"{server.base}/x", trust=trust) == ends
    assert bool(server.requests) == (ends == 200)  # nothing is asked of a server that is refused


def test_sha1_is_refused(fetch: Callable[..., Any], serve: Serve, tmp_path: Path) -> None:
    made = chains.with_sha1(tmp_path, ROOT, "localhost")
    server = serve(answers, context=context(tmp_path, made))
    assert fetch(f"https://localhost:{server.port}/x") == "tls"


WILDCARDS = {"localhost.test": 200, "a.localhost.test": "cert-host", "test": "cert-host"}


@pytest.mark.parametrize(("host", "ends"), WILDCARDS.items(), ids=WILDCARDS)
def test_wildcard_stands_for_one_label(mpy: Run, serve: Serve, tmp_path: Path, host: str, ends: Any) -> None:
    server = serve(answers, context=context(tmp_path, issue("leaf", ROOT, names=[DNS("*.test")])))
    (tmp_path / "ca").write_bytes(ROOT.pem)
    resolved = "\n    import socket\n    from ota.net import names\n    def here(host, port):\n        yield from ()\n"
    resolved += f"        return socket.getaddrinfo('127.0.0.1', {server.port})[0][-1:]\n    names.resolve = here\n"
    assert mpy(resolved + GET, url=f"https://{host}:{server.port}/x", pins=None, client=None) == ends


# --- pins ---------------------------------------------------------------------------------------------------------------


LONG = issue("leaf" * 16, ROOT, names=LOCAL, key=STRONG)  # whose lengths take two bytes
PINS: dict[str, tuple[list[str], list[Issued], Any]] = {
    "its certificate": ([sha256(LEAF.der)], [LEAF, MIDDLE], 200),
    "its key": ([sha256(LEAF.public_key)], [LEAF, MIDDLE], 200),
    "a large key": ([sha256(LONG.public_key)], [LONG], 200),
    "one of several": ([sha256(b"next year's"), sha256(LEAF.public_key)], [LEAF, MIDDLE], 200),
    "another key of the same CA": ([sha256(MIDDLE.public_key + b"!")], [LEAF, MIDDLE], "cert-pin"),
    "the intermediate's key only": ([sha256(MIDDLE.public_key)], [LEAF, MIDDLE], "cert-pin"),
    "the root's certificate only": ([sha256(ROOT.der)], [LEAF, MIDDLE], "cert-pin"),
    "its key, and the CA is not known": ([sha256(LEAF.public_key)], [LEAF], "cert-untrusted"),
    "its key, and it has expired": (
        [sha256((old := issue("leaf", ROOT, names=LOCAL, dates=OLD)).public_key)],
        [old],
        "cert-expired",
    ),
    "its key, and it is of another host": (
        [sha256((else_ := issue("leaf", ROOT, names=[DNS("a.test")])).public_key)],
        [else_],
        "cert-host",
    ),
}


@pytest.mark.parametrize(("pins", "chain", "ends"), PINS.values(), ids=PINS)
def test_pinned_is(
    fetch: Callable[..., Any], serve: Serve, tmp_path: Path, pins: list[str], chain: list[Issued], ends: Any
) -> None:
    server = serve(answers, context=context(tmp_path, *chain))
    assert fetch(f"{server.base}/x", pins=pins) == ends
    assert bool(server.requests) == (ends == 200)


@pytest.mark.parametrize(("also", "ends"), [(True, 200), (False, "cert-pin")])
def test_pins_hold_for_the_host_that_a_redirect_leads_to(
    fetch: Callable[..., Any], serve: Serve, tmp_path: Path, also: bool, ends: Any
) -> None:
    other = issue("cdn", ROOT, names=LOCAL)
    beyond = serve(answers, context=context(tmp_path, other))
    server = serve(
        lambda one: one.send(f"HTTP/1.1 302 Found\r\nLocation: {beyond.base}/y\r\nContent-Length: 0\r\n\r\n"),
        context=context(tmp_path, LEAF, MIDDLE),
    )
    assert fetch(f"{server.base}/x", pins=[sha256(LEAF.der), *([sha256(other.der)] if also else [])]) == ends
    assert bool(beyond.requests) == also


def test_pinned_board_follows_no_redirect_to_plain_http(
    fetch: Callable[..., Any], serve: Serve, tmp_path: Path
) -> None:
    plain = serve(answers, tls=False)
    server = serve(
        lambda one: one.send(f"HTTP/1.1 302 Found\r\nLocation: {plain.base}/y\r\nContent-Length: 0\r\n\r\n"),
        context=context(tmp_path, LEAF, MIDDLE),
    )
    assert fetch(f"{server.base}/x") == 200  # allow_http
    assert fetch(f"{server.base}/x", pins=[sha256(LEAF.der)]) == "redirect-to-http"


# --- client certificates ------------------------------------------------------------------------------------------------

BOARD = issue("board-1", ROOT)
CLIENTS: dict[str, tuple[Issued | None, Any]] = {
    "good": (BOARD, 200),
    "none": (None, ("tls", "dropped")),
    "of a CA that the server does not know": (issue("board-1", STRANGER), "client-refused"),
    "expired": (issue("board-1", ROOT, dates=OLD), "client-refused"),
    "with a key that is not its own": (Issued(BOARD.certificate, STRANGER.key), "client-refused"),
}


@pytest.mark.parametrize(("client", "ends"), CLIENTS.values(), ids=CLIENTS)
def test_own_certificate_is(
    fetch: Callable[..., Any], serve: Serve, tmp_path: Path, client: Issued | None, ends: Any
) -> None:
    server = serve(answers, context=context(tmp_path, LEAF, MIDDLE, demands=ROOT.pem))
    got = fetch(f"{server.base}/x", client=_written(tmp_path, client) if client else None)
    assert got in (ends if isinstance(ends, tuple) else (ends,))
    assert bool(server.requests) == (ends == 200)


def _written(folder: Path, client: Issued) -> dict[str, str]:
    (folder / "own.der").write_bytes(client.der)
    (folder / "own.key").write_bytes(client.key_as(DER))
    return {"cert": "own.der", "key": "own.key"}


@pytest.mark.parametrize("client", [BOARD, issue("board-1", STRANGER)])
def test_own_certificate_is_shown_to_nobody_who_does_not_ask(
    fetch: Callable[..., Any], serve: Serve, tmp_path: Path, client: Issued
) -> None:
    server = serve(answers, context=context(tmp_path, LEAF, MIDDLE))
    assert fetch(f"{server.base}/x", client=_written(tmp_path, client)) == 200


@pytest.mark.parametrize(
    "spoil",
    {
        "no certificate": lambda folder: (folder / "own.der").unlink(),
        "no key": lambda folder: (folder / "own.key").unlink(),
        "a certificate that is none": lambda folder: (folder / "own.der").write_bytes(b"\x30\x03abc"),
        "a key that is none": lambda folder: (folder / "own.key").write_bytes(b""),
    }.values(),
)
def test_own_certificate_that_cannot_be_used(
    fetch: Callable[..., Any], serve: Serve, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    server = serve(answers, context=context(tmp_path, LEAF, MIDDLE, demands=ROOT.pem))
    files = _written(tmp_path, BOARD)
    spoil(tmp_path)
    assert fetch(f"{server.base}/x", client=files) == "client-file"


def test_alert_before_the_servers_certificate_is_no_refusal(
    fetch: Callable[..., Any], serve: Serve, tmp_path: Path
) -> None:
    """A board with a certificate of its own goes by what was said of it, and of nothing else."""
    newer = context(tmp_path, LEAF, MIDDLE)
    newer.minimum_version = ssl.TLSVersion.TLSv1_3  # which boards do not speak: an alert, before any certificate
    server = serve(answers, context=newer)
    assert fetch(f"{server.base}/x", client=_written(tmp_path, BOARD)) in ("tls", "dropped")
