"""TLS on the virtual board as on the chip: extmod/modtls_mbedtls.c on the board's sockets, dates by the board's clock."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import listening
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from rig import ask
from test_sockets import JOIN
from vboard.board import Board
from vboard.link.network import Network

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
GOOD = (NOW - 1000 * DAY, NOW + 3000 * DAY)
NEW = (NOW - 1 * DAY, NOW + 4000 * DAY)
OLD = (NOW - 2000 * DAY, NOW - 500 * DAY)
EXPIRED, FUTURE = "The certificate validity has expired", "The certificate validity starts in the future"
START = JOIN + (
    "import tls\n"
    "def raw(timeout=5):\n    s = tcp(timeout)[0]\n    return s\n"
    "def wrap(s, **kw):\n    c = tls.SSLContext(0)\n    c.load_verify_locations(open('/ca', 'rb').read())\n"
    "    try: return c.wrap_socket(s, server_hostname=kw.pop('name', 'there'), **kw)\n"
    "    except ValueError as e: return str(e)\n"
    "def first(t):\n"
    "    try:\n        while t.write(b'ask') is None: time.sleep_ms(5)\n        while 1:\n            got = t.read(5)\n"
    "            if got is not None: return got\n            time.sleep_ms(5)\n"
    "    except ValueError as e: return str(e)\n"
)


class Chain:
    """A root, a certificate authority below it, and a server's certificate, each with its own dates."""

    def __init__(self, folder: Path, **dates: tuple[datetime, datetime]) -> None:
        made: list[tuple[x509.Certificate, ec.EllipticCurvePrivateKey]] = []
        for which in ("root", "middle", "leaf"):
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, which)])
            issuer, signer = (made[-1][0].subject, made[-1][1]) if made else (name, key)
            begins, ends = dates.get(which, GOOD)
            builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
            builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
            builder = builder.add_extension(x509.BasicConstraints(which != "leaf", None), True)
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("there")]), False)
            made.append((builder.sign(signer, hashes.SHA256()), key))
        pem = serialization.Encoding.PEM
        key = made[2][1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.root = made[0][0].public_bytes(serialization.Encoding.DER)
        chain = folder / "chain.pem"
        chain.write_bytes(made[2][0].public_bytes(pem) + made[1][0].public_bytes(pem) + key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain)


class Talk:
    """A TLS server: gives "hello" for what it is asked, and stays until the client goes."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.where: tuple[str, int] = self._listener.getsockname()[:2]
        self._accepting = threading.Thread(target=self._serve, daemon=True)
        self._accepting.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(10)
            with self._chain.context.wrap_socket(connection, server_side=True) as stream:
                while stream.recv(100):
                    stream.sendall(b"hello")
        except OSError:
            pass  # the client did not like the certificate, or is gone

    def close(self) -> None:
        listening.end(self._listener, self._accepting)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board", network=Network(hosts={"there": "10.0.0.9"}), idf_heap_kib=400) as made:
        made.power_on()
        made.wait_repl()
        yield made


@pytest.fixture
def talk(board: Board, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Start a server with certificates of given dates, and set the board's clock."""
    open_: list[Talk] = []

    def start(clock: datetime = NOW, **dates: tuple[datetime, datetime]) -> None:
        chain = Chain(tmp_path, **dates)
        open_.append(Talk(chain))
        board.network.routes["10.0.0.9", 80] = open_[-1].where
        board.set_clock(clock)
        ask(board, f"with open('/ca', 'wb') as f:\n    f.write({chain.root!r})")

    yield start
    for server in open_:
        server.close()


def says(board: Board, code: str) -> str:
    return ask(board, START + code).strip().replace("\r", "")


DATES: dict[str, tuple[dict[str, tuple[datetime, datetime]], datetime, str]] = {
    "all are good": ({}, NOW, "b'hello'"),
    "good by the board's clock, and long over by the host's": (
        dict.fromkeys(("root", "middle", "leaf"), OLD),
        NOW - 900 * DAY,
        "b'hello'",
    ),
    "a clock that was never set": ({}, datetime(2000, 1, 1, tzinfo=UTC), FUTURE),
    "leaf expired": ({"leaf": OLD}, NOW, EXPIRED),
    "middle expired": ({"middle": OLD}, NOW, EXPIRED),
    "root expired": ({"root": OLD}, NOW, EXPIRED),
    "leaf not yet valid": ({"leaf": NEW}, NOW - 10 * DAY, FUTURE),
    "one expired, one not yet valid": ({"leaf": OLD, "middle": NEW}, NOW - 10 * DAY, f"{EXPIRED}\n\n{FUTURE}"),
}


@pytest.mark.parametrize("how", ["at once", "later"])
@pytest.mark.parametrize(("dates", "clock", "answer"), DATES.values(), ids=DATES)
def test_dates_of_the_whole_chain_by_the_boards_clock(
    board: Board,
    talk: Callable[..., None],
    dates: dict[str, tuple[datetime, datetime]],
    clock: datetime,
    answer: str,
    how: str,
) -> None:
    talk(clock, **dates)
    later = "s.setblocking(False)\nt = wrap(s, do_handshake_on_connect=False)\n"
    code = "s = raw()\n" + ("t = wrap(s)\n" if how == "at once" else later)
    assert says(board, code + "print(t if isinstance(t, str) else first(t))").removesuffix("\n") == answer


def test_handshake_goes_on_with_each_read_and_write(board: Board, talk: Callable[..., None]) -> None:
    talk()
    code = (
        "s = raw()\ns.setblocking(False)\nt = wrap(s, do_handshake_on_connect=False)\np = select.poll()\np.register(t, 4)\n"
        "n = 0\nwhile t.write(b'ask') is None:\n    n += 1\n    p.poll(2000)\nprint(n > 0)\n"
        "p.modify(t, 1)\nprint([e for _, e in p.poll(2000)], t.read(2))\ngot = [e for _, e in p.poll(0)]\n"
        "t.setblocking(True)\nprint(got, t.read(3))\nt.close()\nprint(p.poll(0)[0][1])"
    )
    assert says(board, code) == "True\n[1] b'he'\n[1] b'llo'\n32"


def test_reading_a_tls_stream_allocates_nothing(board: Board, talk: Callable[..., None]) -> None:
    talk()
    code = (
        "s = raw()\nt = wrap(s)\ns.setblocking(False)\nbuf = bytearray(5)\np = select.poll()\np.register(t, 1)\n"
        "a = b = c = d = e = 0\np.ipoll(0)\nmicropython.heap_lock()\na = t.readinto(buf)\nmicropython.heap_unlock()\n"
        "t.write(b'ask')\np.poll(2000)\nmicropython.heap_lock()\nfor _, e in p.ipoll(0): b = e\nc = t.readinto(buf)\n"
        "d = t.readinto(buf)\nmicropython.heap_unlock()\nprint(a, b, c, d, buf)"
    )
    assert says(board, code) == "None 1 5 None bytearray(b'hello')"


def test_time_limit_of_the_socket_comes_through(board: Board, talk: Callable[..., None]) -> None:
    """Before 1.28 with its sign changed: compare without."""
    talk()
    assert says(board, "t = wrap(raw(0.3))\nprint(abs(said(t.read, 1)[1]))") == "116"


def test_other_name(board: Board, talk: Callable[..., None]) -> None:
    talk()
    assert "expected CN" in says(board, "print(wrap(raw(), name='elsewhere'))")


def test_handshake_burns_time_without_callbacks(board: Board, talk: Callable[..., None]) -> None:
    """Facts 10.11: a handshake of 722 ms, and one call of a 100 ms timer; some more while a busy machine waits for data."""
    talk()
    board.network.handshake_s = 0.6
    code = (
        "import machine\nn = []\nt = machine.Timer(0)\nt.init(period=100, callback=n.append)\na = time.ticks_ms()\n"
        "s = raw()\nb = len(n)\nwrap(s)\nc = len(n)\nt.deinit()\nprint(time.ticks_diff(time.ticks_ms(), a) >= 600, c - b <= 3)"
    )
    assert says(board, code) == "True True"


def test_forgotten_streams_are_closed_when_collected(board: Board, talk: Callable[..., None]) -> None:
    talk()
    code = "for _ in range(25):\n    t = wrap(raw())\n    first(t)\nt = None\ngc.collect()\nprint(first(wrap(raw())))"
    assert says(board, code) == "b'hello'"


ASYNC = (
    "import asyncio, ssl\nasync def talk(name):\n    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
    "    c.verify_mode = ssl.CERT_REQUIRED\n    c.load_verify_locations(cadata=open('/ca', 'rb').read())\n"
    "    r, w = await asyncio.open_connection('there', 80, ssl=c, server_hostname=name)\n    w.write(b'ask')\n"
    "    await w.drain()\n    return await r.read(5)\n"
    "def run(name):\n    try: return asyncio.run(talk(name))\n    except ValueError as e: return str(e).strip()\n"
)


def test_asyncio_connection(board: Board, talk: Callable[..., None]) -> None:
    talk()
    assert says(board, ASYNC + "print(run('there'))") == "b'hello'"
    assert "expected CN" in says(board, ASYNC + "print(run('elsewhere'))")
    board.set_clock(datetime(2000, 1, 1, tzinfo=UTC))
    assert says(board, ASYNC + "print(run('there'))") == FUTURE
