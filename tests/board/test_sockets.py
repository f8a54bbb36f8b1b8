"""Sockets on the virtual board as on the chip: ports/esp32/modsocket.c, lwIP, and time servers and DNS behind them."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rig import ask
from vboard.board import Board
from vboard.link.network import Network

JOIN = (
    "import network, time, socket, select, errno, gc, micropython\nw = network.WLAN(0)\nw.active(True)\n"
    "w.isconnected() or w.connect('virtual', 'password')\nwhile not w.isconnected(): time.sleep_ms(5)\n"
    "def said(f, *args):\n"
    "    try: return f(*args)\n"
    "    except OSError as e: return 'OSError', e.errno\n"
    "def tcp(timeout=None, port=80):\n"
    "    s = socket.socket()\n    s.settimeout(timeout)\n    return s, said(s.connect, ('10.0.0.9', port))\n"
    "def poll(s, events, ms=2000):\n"
    "    p = select.poll()\n    p.register(s, events)\n    return [e for _, e in p.poll(ms)]\n"
)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def board(tmp_path: Path, server: socket.socket) -> Iterator[Board]:
    routes = {("10.0.0.9", 80): server.getsockname()[:2], ("10.0.0.9", 81): ("127.0.0.1", 1)}
    with Board(tmp_path / "board", network=Network(routes=routes, hosts={"two": ["10.0.0.9", "10.0.0.8"]})) as made:
        made.power_on()
        made.wait_repl()
        yield made


def says(board: Board, code: str) -> str:
    return ask(board, JOIN + code).strip().replace("\r", "")


CALLS = {
    "refused, blocking": ("print(tcp(port=81)[1])", "('OSError', 104)"),
    "new socket": ("s = socket.socket()\nprint(said(s.read, 1), poll(s, 5))", "('OSError', 128) [20]"),
    "connect that does not wait": (
        "s, got = tcp(0)\nprint(got, poll(s, 4), s.write(b'x'), s.read(1))",
        "('OSError', 119) [4] 1 None",
    ),
    "refused while nobody waits": (
        "s, got = tcp(0, 81)\nprint(got, poll(s, 5), poll(s, 21), said(s.write, b'x'), said(s.write, b'x'))",
        "('OSError', 119) [5] [21] ('OSError', 104) ('OSError', 128)",
    ),
    "read that does not wait": (
        "s, _ = tcp(0)\npoll(s, 4)\nprint(s.read(4), s.readinto(bytearray(4)), s.readline(), said(s.recv, 4))",
        "None None None ('OSError', 11)",
    ),
    "time limit": ("s, _ = tcp(0.3)\nprint(said(s.read, 1), said(s.recv, 1))", "('OSError', 116) ('OSError', 116)"),
    "time limit under 100 ms": (
        (
            "s, _ = tcp()\ns.settimeout(0.05)\na = time.ticks_ms()\nprint(s.read(1), said(s.recv, 1))\n"
            "print(150 < time.ticks_diff(time.ticks_ms(), a) < 400)"
        ),
        "None ('OSError', 11)\nTrue",
    ),
    "write takes a part": (
        (
            "s, _ = tcp(0)\npoll(s, 4)\nb = bytes(60000)\nprint(0 < s.write(b) < len(b))\n"
            "while poll(s, 4, 300): s.write(b)\nwhile s.write(b): pass\nprint(s.write(b), said(s.send, b))"
        ),
        "True\nNone ('OSError', 11)",
    ),
    "more sockets than lwIP has": (
        (
            "kept = [socket.socket() for _ in range(10)]\nprint(said(socket.socket))\nkept[0].close()\ns = socket.socket()\n"
            "print(said(socket.socket))\nkept = s = None\nprint(len([socket.socket() for _ in range(10)]))"
        ),
        "('OSError', 23)\n('OSError', 23)\n10",
    ),
    "closed": ("s = socket.socket()\ns.close()\ns.close()\nprint(said(s.read, 1), poll(s, 5))", "('OSError', 9) [32]"),
    "no link": (
        "w.disconnect()\ntime.sleep(.1)\nprint(tcp()[1], said(socket.getaddrinfo, 'two', 1))",
        "('OSError', 118) ('OSError', -202)",
    ),
}


@pytest.mark.parametrize(("code", "answer"), CALLS.values(), ids=CALLS)
def test_socket_answers_as_on_the_chip(board: Board, code: str, answer: str) -> None:
    assert says(board, code) == answer


def test_polling_and_reading_allocate_nothing(board: Board, server: socket.socket) -> None:
    def serve() -> None:
        with server.accept()[0] as connection:
            connection.sendall(b"abc")
            time.sleep(3)

    threading.Thread(target=serve, daemon=True).start()
    code = (
        "s, _ = tcp(0)\npoll(s, 4)\npoll(s, 1)\nbuf = bytearray(3)\np = select.poll()\np.register(s, 1)\np.ipoll(0)\n"
        "a = b = c = d = 0\ne = 0\nmicropython.heap_lock()\nfor _, e in p.ipoll(0): a = e\nb = s.readinto(buf)\n"
        "c = s.readinto(buf)\nfor _, e in p.ipoll(0): d = e\nmicropython.heap_unlock()\nprint(a, b, c, d, buf)"
    )
    assert says(board, code) == "1 3 None 0 bytearray(b'abc')"


DNS = (
    "def ask(name, to=None):\n"
    "    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n    s.settimeout(1)\n"
    "    q = b'\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00' + bytes([len(name)]) + name + b'\\x00\\x00\\x01\\x00\\x01'\n"
    "    s.sendto(q, (to or w.ifconfig()[3], 53))\n    got = said(s.recvfrom, 512)\n    s.close()\n    return got\n"
)
LOOKUPS: dict[str, tuple[Callable[[Network], object], str, str]] = {
    "several addresses": (
        lambda network: None,
        "data, where = ask(b'two')\nprint(where, data[:2], data[7], data[-20:-16], data[-4:])",
        r"('10.0.0.1', 53) b'\x124' 2 b'\n\x00\x00\t' b'\n\x00\x00\x08'",
    ),
    "no such name": (lambda network: None, "data, _ = ask(b'three')\nprint(data[3] & 15, data[7])", "3 0"),
    "silent": (lambda network: setattr(network, "dns", "silent"), "print(ask(b'two'))", "('OSError', 116)"),
    "slow": (
        lambda network: setattr(network, "dns_s", 0.5),
        "a = time.ticks_ms()\nask(b'two')\nprint(time.ticks_diff(time.ticks_ms(), a) >= 500)",
        "True",
    ),
    "garbage": (
        lambda network: setattr(network, "dns", "garbage"),
        "data, _ = ask(b'two')\nprint(len(data))",
        "24",
    ),
    "another server is silent": (lambda network: None, "print(ask(b'two', '10.0.0.44'))", "('OSError', 116)"),
    "the address of network.ipconfig": (lambda network: None, "print(network.ipconfig('dns'))", "10.0.0.1"),
}


@pytest.mark.parametrize(("situation", "code", "answer"), LOOKUPS.values(), ids=LOOKUPS)
def test_dns_server(board: Board, situation: Callable[[Network], object], code: str, answer: str) -> None:
    situation(board.network)
    assert says(board, DNS + code) == answer


def test_lookup_blocks_in_c_without_callbacks(board: Board) -> None:
    """Neither a timer's callback nor asyncio runs while lwIP waits for a DNS server."""
    board.network.dns_s = 0.6
    code = (
        "import machine\nn = []\nt = machine.Timer(0)\nt.init(period=50, callback=n.append)\na = time.ticks_ms()\n"
        "print(socket.getaddrinfo('two', 1)[0][-1])\nb = len(n)\nprint(time.ticks_diff(time.ticks_ms(), a) >= 600, b <= 2)\n"
        "t.deinit()"
    )
    assert says(board, code) == "('10.0.0.9', 1)\nTrue True"
    board.network.dns, board.network.dns_patience_s = "silent", 0.3
    code = "a = time.ticks_ms()\nprint(said(socket.getaddrinfo, 'two', 1), time.ticks_diff(time.ticks_ms(), a) // 300)"
    assert says(board, code) == "('OSError', -202) 1"


NTP: dict[str, tuple[Callable[[Network], object], str]] = {
    "right": (lambda network: None, "None 0"),
    "wrong": (lambda network: setattr(network, "ntp_off_s", 5000.0), "None 5000"),
    "after 2036": (lambda network: setattr(network, "ntp_off_s", 700_000_000.0), "None 700000000"),
    "silent": (lambda network: setattr(network, "ntp", False), "('OSError', 116) None"),
    "short": (lambda network: setattr(network, "ntp_reply", "short"), "ValueError None"),
    "no such name": (lambda network: setattr(network, "dns", "nxdomain"), "('OSError', -202) None"),
}


@pytest.mark.parametrize(("situation", "answer"), NTP.values(), ids=NTP)
def test_time_server(board: Board, situation: Callable[[Network], object], answer: str) -> None:
    situation(board.network)
    code = (
        "import ntptime\ntry: got = said(ntptime.settime)\nexcept ValueError: got = 'ValueError'\n"
        "print(got, time.time() if time.time() > 1000000 else None)"
    )
    got, _, when = says(board, code).rpartition(" ")
    off = "None" if when == "None" else str(round(int(when) + 946684800 - time.time(), -1))
    assert f"{got} {off.removesuffix('.0').replace('-0', '0')}" == answer


def test_datagrams_go_where_routes_say(board: Board) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.bind(("127.0.0.1", 0))
        board.network.routes["10.0.0.7", 9000] = echo.getsockname()

        def serve() -> None:
            data, where = echo.recvfrom(100)
            echo.sendto(data[::-1], where)

        threading.Thread(target=serve, daemon=True).start()
        code = (
            "s = socket.socket(2, socket.SOCK_DGRAM)\ns.connect(('10.0.0.7', 9000))\ns.settimeout(2)\n"
            "print(s.send(b'abc'), s.recv(2), said(s.recv, 2))\ns.setblocking(False)\nprint(said(s.recvfrom, 9), s.read(9))"
        )
        assert says(board, code) == "3 b'cb' ('OSError', 116)\n('OSError', 11) None"


WAITS = {"poll": "poll(s, 1, 400)", "read": "s.settimeout(0.3)\nsaid(s.read, 1)"}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_timer_calls_back_while_a_socket_waits(board: Board, wait: str) -> None:
    code = (
        "import machine\ns, _ = tcp()\nn = []\nt = machine.Timer(0)\nt.init(period=50, callback=n.append)\n"
        f"{wait}\nt.deinit()\nprint(len(n))"
    )
    assert 3 <= int(says(board, code)) <= 10


def test_asyncio_connection(board: Board, server: socket.socket) -> None:
    def serve() -> None:
        with server.accept()[0] as connection:
            connection.sendall(connection.recv(100)[::-1] + b"\n")

    threading.Thread(target=serve, daemon=True).start()
    code = (
        "import asyncio\nasync def talk():\n    r, w = await asyncio.open_connection('10.0.0.9', 80)\n"
        "    w.write(b'abc')\n    await w.drain()\n    return await r.readline()\nprint(asyncio.run(talk()))"
    )
    assert says(board, code) == r"b'cba\n'"
