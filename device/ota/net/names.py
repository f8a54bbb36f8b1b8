"""Names. lwIP waits 7 s for each DNS server that is silent, in one call, while no task and no Ctrl-C gets a turn: so its
first server is asked by hand, in steps. Only where that is silent, and no other task waits, lwIP asks the others.
Source of the packets: RFC 1035."""

import random
import select
import socket

from micropython import const

from .. import steps
from ..errors import OtaError, require

_PORT = const(53)
_POLL_MS = const(10)
_POLLS = const(400)  # 4 s in all
_AGAIN = const(100)  # polls: a datagram may get lost
_MOST = const(512)  # bytes of an answer
_HEAD = const(12)  # bytes before the question
_ANSWER = const(0x80)
_ENOUGH = const(3)
_ADDRESS = b"\0\1\0\1"  # type A, class IN

by_steps = False  # agent.task() wants nothing that stops other tasks; other callers wait in any case


def resolve(host: str, port: int):
    """Steps that return the socket addresses of a name, at most three. Raises OtaError dns."""
    server = _server()
    # an address is no name, and .local is asked for by multicast, which is lwIP's own affair
    if server and not _is_address(host) and not host.lower().endswith(".local"):
        found = yield from _ask(server, host.encode())
        if found is not None or by_steps:
            require(found, "dns", host)
            return [(address, port) for address in found[:_ENOUGH]]
    try:
        return [socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][-1]]
    except (OSError, IndexError):  # some versions return none
        raise OtaError("dns", host)


def _server() -> "str | None":
    # The address of lwIP's first DNS server; None where it has none, or MicroPython 1.23 does not tell.
    try:
        import network

        server = network.ipconfig("dns")  # type: ignore[attr-defined]
    except (ImportError, AttributeError):
        return None
    return server if _is_address(server) and server != "0.0.0.0" else None


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit()


def _ask(server: str, host: bytes):
    # Steps that return the addresses that a DNS server tells for a name, maybe none; None where it is silent.
    query = bytearray(b"\0\0\1\0\0\1\0\0\0\0\0\0")  # one question, with recursion
    query[0], query[1] = random.getrandbits(8), random.getrandbits(8)
    for label in host.split(b"."):
        require(0 < len(label) < 64, "dns", host.decode())
        query.append(len(label))
        query.extend(label)
    query.extend(b"\0" + _ADDRESS)
    question = bytes(query[_HEAD:]).lower()
    sock = None
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect((server, _PORT))  # from here on nobody else is heard
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        for turn in range(_POLLS):
            if turn % _AGAIN == 0:
                try:
                    sock.send(query)
                except OSError:  # Wi-Fi's buffers are full: once more in a second
                    pass
            if poller.poll(0):
                answer = sock.recv(_MOST)
                ours = len(answer) >= len(query) and answer[:2] == query[:2] and answer[2] & _ANSWER
                if ours and answer[_HEAD : len(query)].lower() == question:
                    return _addresses(answer, len(query))
            yield steps.wait("server", _POLL_MS)
    except OSError:  # no link, no socket left
        pass
    finally:
        if sock:
            sock.close()
    return None


def _addresses(answer: bytes, at: int) -> list:
    # `at`: where the answers begin, behind the question, which comes back as it was.
    found = []
    try:
        for _ in range(answer[6] << 8 | answer[7]):
            while 0 < answer[at] < 192:
                at += 1 + answer[at]
            at += 2 if answer[at] else 1  # a pointer to a name, or its end
            parts = answer[at + 10 : at + 14]
            if answer[at : at + 4] == _ADDRESS and len(parts) == 4:
                found.append(".".join([str(part) for part in parts]))
            at += 10 + (answer[at + 8] << 8 | answer[at + 9])
    except IndexError:  # cut off
        pass
    return found
